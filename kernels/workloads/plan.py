"""A plan: the arrays and launches of one workload at one size, before any memory is taken.

A family's ``build`` makes a plan; an engine (`hashwarden.kernels.workloads.engines`) carries it out: it
takes memory for the arrays, launches ``setup`` once and then the launches of one step after another.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hashwarden.errors import CheckError

__all__ = ["Arrays", "Empty", "Launch", "NativeLaunch", "Plan", "Work", "require_close", "require_equal"]


@dataclass(frozen=True, slots=True)
class Empty:
    """An array that begins as zeros, and is never made in host memory unless the kernels run there."""

    shape: tuple[int, ...]
    dtype: Any

    @property
    def nbytes(self) -> int:
        """Bytes it will take."""
        return int(np.prod(self.shape, dtype=np.int64)) * int(np.dtype(self.dtype).itemsize)


Arrays = Mapping[str, NDArray[Any] | Empty]
"""Arrays of a plan by name."""


@dataclass(frozen=True, slots=True)
class Launch:
    """One launch of a Numba body.

    Attributes
    ----------
    body : callable
        A function under `hashwarden.kernels.device.device`, ``body(thread, log, *arguments)``.
    threads : int
        How many threads run it, at least 1.
    arguments : sequence
        Names of arrays of the plan, and NumPy scalars, whose type is part of the kernel's.
    block : int
        Threads of a block on a GPU.
    """

    body: Any
    threads: int
    arguments: Sequence[str | np.generic]
    block: int = 128


@dataclass(frozen=True, slots=True)
class NativeLaunch:
    """One launch of a CUDA C kernel of the catalogue.

    Attributes
    ----------
    source : str
        Name of a `hashwarden.kernels.workloads.catalogue.CudaSource`.
    kernel : str
        One of its entry kernels.
    grid, block : tuple of int
        Blocks, and threads of a block, in up to three dimensions.
    arguments : sequence
        As for `Launch`; ``"name[3]"`` is row 3 of an array.
    variant : str
        How the source is compiled, in the words of `catalogue.parse_variant`.
    shared_bytes : int
        Dynamic shared memory of a block.
    """

    source: str
    kernel: str
    grid: tuple[int, ...]
    block: tuple[int, ...]
    arguments: Sequence[str | np.generic]
    variant: str = ""
    shared_bytes: int = 0


@dataclass(frozen=True, slots=True)
class Work:
    """What one step does, by count of the algorithm, whatever the machine.

    Attributes
    ----------
    units : float
        Hashes, samples, tokens or whatever the workload's unit is.
    dram_bytes : float
        Bytes that have to come from or go to DRAM if no cache held them.
    int_ops, float_ops, tensor_ops : float
        32-bit integer instructions, floating-point operations, tensor-core operations; a multiply-add is two
        of the latter two.
    """

    units: float
    dram_bytes: float = 0.0
    int_ops: float = 0.0
    float_ops: float = 0.0
    tensor_ops: float = 0.0


@dataclass(frozen=True, slots=True)
class Plan:
    """What to allocate, launch and check.

    Attributes
    ----------
    arrays : mapping of str to array or Empty
        Initial contents; all contiguous.
    step : callable
        From the number of the step, 0 and up, to its launches.
    work : Work
        What a step does.
    check : callable
        Compares results with an oracle that shares no code with the kernels. It is called after ``setup``
        and step 0, with a mapping from array names to contents that copies on access, and raises
        CheckError.
    setup : sequence of launches
        Done once, before step 0.
    symbols : mapping of (source, symbol) to array
        Constant memory of native launches, written whenever a variant of the source is loaded.
    """

    arrays: Arrays
    step: Callable[[int], Sequence[Launch | NativeLaunch]]
    work: Work
    check: Callable[[Mapping[str, NDArray[Any]]], None]
    setup: Sequence[Launch | NativeLaunch] = ()
    symbols: Mapping[tuple[str, str], NDArray[Any]] = field(default_factory=dict)

    @property
    def nbytes(self) -> int:
        """Bytes of all arrays."""
        return sum(int(array.nbytes) for array in self.arrays.values())


def require_equal(what: str, got: NDArray[Any], expected: NDArray[Any]) -> None:
    """Compare results that have to be the same to the last bit.

    Raises
    ------
    CheckError
        With the first place that differs.
    """
    if got.shape != expected.shape:
        raise CheckError(f"{what} of shape {got.shape}", f"shape {expected.shape}", "This is a fault of hashwarden.")
    wrong = np.argwhere(got != expected)
    if len(wrong):
        place = tuple(int(index) for index in wrong[0])
        found = f"{what}{list(place)} = {got[place]} ({len(wrong):,} of {got.size:,} differ)"
        raise CheckError(found, f"{expected[place]}", "The kernel, the compiler or the device is at fault.")


def require_close(
    what: str, got: NDArray[Any], expected: NDArray[Any], relative: float = 1e-4, absolute: float = 1e-5
) -> None:
    """Compare floating-point results.

    Raises
    ------
    CheckError
        With the place that is furthest off.
    """
    if got.shape != expected.shape:
        raise CheckError(f"{what} of shape {got.shape}", f"shape {expected.shape}", "This is a fault of hashwarden.")
    excess = np.abs(got - expected) - (absolute + relative * np.abs(expected))
    if got.size and not np.max(excess) <= 0:  # NaN is not close to anything
        place = np.unravel_index(int(np.argmax(np.nan_to_num(excess, nan=np.inf))), got.shape)
        at = [int(index) for index in place]
        tolerance = f"within {relative:g} of it, relatively, or {absolute:g}"
        found = f"{what}{at} = {got[place]}"
        raise CheckError(found, f"{expected[place]} {tolerance}", "The kernel, the compiler or the device is at fault.")
