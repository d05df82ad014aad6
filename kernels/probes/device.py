"""What a session needs of a GPU, and when it refuses one.

The session speaks to a `ProbeDevice` only: CuPy's (cupy_device.py) on a node, others in the tests.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, Final, Protocol, final

import numpy as np
from numpy.typing import NDArray

from hashwarden.errors import MemoryShortError, NoDeviceError, PrivilegeError

__all__ = [
    "CONTEXT_BYTES",
    "MEMORY_LIMIT",
    "OLDEST_CAPABILITY",
    "SPARE_BYTES",
    "ComputeMode",
    "DeviceFacts",
    "Launch",
    "ProbeDevice",
    "Timing",
    "require_memory",
    "require_mode",
    "require_usable",
]

MEMORY_LIMIT: Final = 64_000_000
"""Device memory that the probes may take beyond their context, in bytes."""

CONTEXT_BYTES: Final = 600_000_000
"""Room that a CUDA context is expected to take, where it is not there yet."""

SPARE_BYTES: Final = 64_000_000
"""What must stay free for the others when the probes have taken theirs."""

OLDEST_CAPABILITY: Final = (8, 0)
"""The tensor instructions that are timed came with it."""


class ComputeMode(IntEnum):
    """Who may open a context on a GPU (``cudaComputeMode``)."""

    DEFAULT = 0
    EXCLUSIVE = 1
    PROHIBITED = 2
    EXCLUSIVE_PROCESS = 3


@final
@dataclass(frozen=True, slots=True)
class DeviceFacts:
    """What is known of a GPU before anything is allocated.

    Attributes
    ----------
    name : str
        Such as ``NVIDIA H100 80GB HBM3``.
    capability : tuple of int
        Major and minor compute capability.
    multiprocessors : int
        SMs that this context may use.
    l2_bytes : int
        Size of the second-level cache.
    compute_mode : ComputeMode
        Who may open a context.
    driver, runtime : int
        CUDA versions, 13000 for 13.0: the newest that the driver knows, and the one CuPy was built for.
    mig : bool
        Whether this is a MIG instance: caches, memory and SMs of other instances are then out of sight.
    free_bytes : int or None
        Free device memory as NVML tells it without a context; None where it does not.
    """

    name: str
    capability: tuple[int, int]
    multiprocessors: int
    l2_bytes: int
    compute_mode: ComputeMode
    driver: int
    runtime: int
    mig: bool = False
    free_bytes: int | None = None


@final
@dataclass(frozen=True, slots=True)
class Launch:
    """One kernel of a round.

    Attributes
    ----------
    kernel : str
        Name of a kernel of the package's ``.cu`` files.
    grid, block : int
        Blocks, and threads of each.
    arguments : tuple
        Names of arrays (a part of one as ``(name, first element)``) and NumPy scalars.
    """

    kernel: str
    grid: int
    block: int
    arguments: tuple[str | tuple[str, int] | np.generic, ...]


@final
@dataclass(frozen=True, slots=True)
class Timing:
    """What a round took, in microseconds.

    Attributes
    ----------
    gpu_us : float
        Between the events around it on the GPU.
    wall_us : float
        On the host, from the submission until the last kernel was done; what exceeds ``gpu_us`` was waiting.
    """

    gpu_us: float
    wall_us: float


class ProbeDevice(Protocol):
    """A GPU with named arrays."""

    def facts(self) -> DeviceFacts:
        """Tell what is known without a context."""

    def open(self) -> int:
        """Open the context and compile the kernels; gives the free device memory in bytes."""

    def allocate(self, name: str, data: NDArray[Any]) -> None:
        """Take memory and fill it with ``data``."""

    def take(self, name: str, words: int) -> None:
        """Take memory of so many 32-bit words, not filled."""

    def write(self, name: str, data: NDArray[Any]) -> None:
        """Fill an array again."""

    def run(self, launches: Sequence[Launch]) -> Timing:
        """Submit kernels at once, wait for them, and time them."""

    def read(self, name: str) -> NDArray[Any]:
        """Copy an array to the host."""

    def close(self) -> None:
        """Give all memory back; may be called twice."""


def require_mode(mode: ComputeMode, where: str) -> None:
    """Refuse a GPU that does not let in a second process.

    Raises
    ------
    PrivilegeError
        If its compute mode lets in one process only, or none.
    """
    if mode is not ComputeMode.DEFAULT:
        who = "no process" if mode is ComputeMode.PROHIBITED else "one process only, and a job needs it"
        raise PrivilegeError(
            f"compute mode {mode.name} (lets in {who})",
            "compute mode DEFAULT",
            "Leave the probes off on this GPU, or let an administrator set: nvidia-smi -c DEFAULT.",
            where=where,
        )


def require_usable(facts: DeviceFacts, needed: int) -> None:
    """Refuse a GPU on which probes must not or cannot run, before a context is opened.

    Parameters
    ----------
    facts : DeviceFacts
        What is known of it.
    needed : int
        Bytes that the probes will take beyond their context.

    Raises
    ------
    PrivilegeError
        If its compute mode lets in one process only, or none.
    NoDeviceError
        If its driver is older than CuPy's CUDA, or the GPU older than the timed instructions.
    MemoryShortError
        If less memory is free than context, probes and spare room take.
    """
    require_mode(facts.compute_mode, facts.name)
    if facts.driver < facts.runtime:
        raise NoDeviceError(
            f"a driver for CUDA {_version(facts.driver)}",
            f"one for CUDA {_version(facts.runtime)} or newer, which CuPy was built for",
            "Update the driver, or install the extra that fits it: pip install 'hashwarden[cuda12]'.",
            where=facts.name,
        )
    if facts.capability < OLDEST_CAPABILITY:
        raise NoDeviceError(
            "compute capability {}.{}".format(*facts.capability),
            "{}.{} or newer (A100)".format(*OLDEST_CAPABILITY),
            "Leave the probes off on this GPU; the counters work without them.",
            where=facts.name,
        )
    if facts.free_bytes is not None:
        require_memory(facts.free_bytes, needed + CONTEXT_BYTES, facts.name)


def require_memory(free: int, needed: int, where: str) -> None:
    """Refuse to take memory that others may soon need.

    Raises
    ------
    MemoryShortError
        If less than ``needed`` and `SPARE_BYTES` are free.
    """
    if free < needed + SPARE_BYTES:
        raise MemoryShortError(
            f"{free:,} bytes free on the device",
            f"{needed:,} for the probes and {SPARE_BYTES:,} left to the others",
            "Leave the probes off while the job runs, or start the agent before it.",
            where=where,
        )


def _version(number: int) -> str:
    return f"{number // 1000}.{number % 1000 // 10}"
