"""Device functions that one text serves everywhere: the CPU, CUDA, and Numba's simulator.

A function under `device` is compiled by Numba for the CPU when compiled code for the CPU calls it,
and for CUDA when a CUDA kernel calls it. In the simulator (``NUMBA_ENABLE_CUDASIM=1`` together with
``NUMBA_DISABLE_JIT=1``) it is plain Python. What differs between the three has one name here: atomic
operations, and arrays that are private to a thread.

Rules that keep the three equal, on integers above all: name the type of every result
(``np.uint32(a + b)``), give every constant that meets a ``uint64`` its own type (Numba makes a float of
``uint64`` and ``int64``), and expect integers to wrap.
"""

# ruff: noqa: ANN401  compiled code takes arrays and numbers of any type

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any, Final, NamedTuple, TypeVar, cast

import numpy as np

from hashwarden.errors import MissingExtraError

try:
    import numba
    import numba.cuda
except ImportError as error:
    raise MissingExtraError.of("numba", "cuda13") from error

cuda: Any = numba.cuda

__all__ = [
    "SIMULATED",
    "GridKernels",
    "atomic_add",
    "atomic_exchange",
    "atomic_max",
    "atomic_min",
    "atomic_or",
    "compare_and_swap",
    "device",
    "grid_kernels",
    "local_array",
    "require_numba_cuda",
    "rotate_left_32",
    "rotate_left_64",
]

SIMULATED: Final = os.environ.get("NUMBA_ENABLE_CUDASIM") == "1"
"""Whether Numba's CUDA simulator stands in for a GPU in this process."""

_Function = TypeVar("_Function", bound=Callable[..., Any])


def device(function: _Function) -> _Function:
    """Let a function run on the CPU and, called by a CUDA kernel, on a GPU."""
    compile_for_cpu: Any = numba.njit
    return cast(_Function, compile_for_cpu(no_cfunc_wrapper=True)(function))


def require_numba_cuda() -> None:
    """Make sure that Numba can compile for CUDA.

    Raises
    ------
    MissingExtraError
        If the package numba-cuda is not installed; the simulator needs it as little as the CPU does.
    """
    if not SIMULATED and find_spec("numba_cuda") is None:
        raise MissingExtraError.of("numba-cuda", "cuda13")


def atomic_add(array: Any, index: Any, value: Any) -> Any:
    """Add to an element and return what it was before."""
    return cuda.atomic.add(array, index, value)


def atomic_max(array: Any, index: Any, value: Any) -> Any:
    """Raise an element to at least ``value`` and return what it was before."""
    return cuda.atomic.max(array, index, value)


def atomic_min(array: Any, index: Any, value: Any) -> Any:
    """Lower an element to at most ``value`` and return what it was before."""
    return cuda.atomic.min(array, index, value)


def atomic_or(array: Any, index: Any, value: Any) -> Any:
    """Set bits of an integer element and return what it was before."""
    return cuda.atomic.or_(array, index, value)


def atomic_exchange(array: Any, index: Any, value: Any) -> Any:
    """Replace an element and return what it was before."""
    return cuda.atomic.exch(array, index, value)


def compare_and_swap(array: Any, index: Any, expected: Any, value: Any) -> Any:
    """Replace an element if it equals ``expected``; return what it was before (32 and 64 bit integers)."""
    return cuda.atomic.cas(array, index, expected, value)


def local_array(length: int, dtype: Any) -> Any:
    """Array that is private to the thread; its contents are undefined, and it must not be returned.

    Parameters
    ----------
    length : int
        Elements; a constant of the source text.
    dtype : NumPy type
        Such as ``np.uint32``.
    """
    return np.zeros(length, dtype)


@device
def rotate_left_32(value: Any, count: Any) -> Any:
    """Rotate a uint32 to the left by 1 to 31 bits."""
    wide, turn = np.uint32(value), np.uint32(count)
    return np.uint32(np.uint32(wide << turn) | np.uint32(wide >> np.uint32(32 - turn)))


@device
def rotate_left_64(value: Any, count: Any) -> Any:
    """Rotate a uint64 to the left by 1 to 63 bits."""
    wide, turn = np.uint64(value), np.uint64(count)
    return np.uint64((wide << turn) | (wide >> (np.uint64(64) - turn)))


class GridKernels(NamedTuple):
    """One body as kernels: what an engine launches.

    Attributes
    ----------
    host : callable
        ``host(count, log, arguments)`` runs threads 0 to ``count`` one after the other.
    plain : callable
        CUDA kernel ``plain(count, arguments)``; a grid of any size covers all threads.
    logged : callable
        CUDA kernel ``logged(count, log, arguments)``, which records memory accesses.
    """

    host: Any
    plain: Any
    logged: Any


def grid_kernels(body: Any, begin: Any) -> GridKernels:
    """Make the kernels of a body ``body(thread, log, *arguments)``.

    They are made here because the simulator stands in for ``cuda`` in this module while a kernel of this
    module runs, and so for the atomic operations above too.

    Parameters
    ----------
    body : callable
        Under `device`.
    begin : callable
        ``begin(log, thread)`` is negative for threads that are not recorded. They run the body that was
        compiled without a recorder, so that they cost one branch and not one at every access.
    """

    def host(count: int, log: Any, arguments: Any) -> None:
        for thread in range(count):
            if begin(log, thread) < 0:
                body(thread, None, *arguments)
            else:
                body(thread, log, *arguments)

    def plain(count: int, arguments: Any) -> None:
        for thread in range(cuda.grid(1), count, cuda.gridsize(1)):
            body(thread, None, *arguments)

    def logged(count: int, log: Any, arguments: Any) -> None:
        for thread in range(cuda.grid(1), count, cuda.gridsize(1)):
            if begin(log, thread) < 0:
                body(thread, None, *arguments)
            else:
                body(thread, log, *arguments)

    return GridKernels(host, plain, logged)


if SIMULATED:
    # Integers wrap on a GPU; the simulator's threads do not inherit what NumPy is told about that.
    warnings.filterwarnings("ignore", "overflow encountered", RuntimeWarning)
else:
    from hashwarden.kernels import device_overloads

    device_overloads.teach(sys.modules[__name__])
