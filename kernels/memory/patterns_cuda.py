"""The engine on a GPU through Numba CUDA, or in Numba's simulator: the bodies of the CPU, many threads."""

# ruff: noqa: ANN401, D102  arrays of any type; the methods are those of Machine

from __future__ import annotations

from functools import cache
from typing import Any, Final, final

import numba.cuda
import numpy as np

from hashwarden.errors import NoDeviceError
from hashwarden.kernels.device import SIMULATED, grid_kernels
from hashwarden.kernels.memory import patterns_bodies
from hashwarden.kernels.memory.log import AddressLog
from hashwarden.kernels.memory.patterns_counts import Counts
from hashwarden.kernels.memory.patterns_passes import measure, merged_distances
from hashwarden.kernels.memory.patterns_sort import DIGITS
from hashwarden.kernels.memory.recorder import begin

cuda: Any = numba.cuda

__all__ = ["CudaMachine", "count"]

_BLOCK: Final = 32 if SIMULATED else 128
_MOST_BLOCKS: Final = 1 << 16
_SCAN: Final = 1024


def count(log: AddressLog, most_lines: int) -> Counts:
    """Count everything in a log, on the GPU that is current.

    Raises
    ------
    NoDeviceError
        If there is none.
    """
    if not SIMULATED and not _gpu_here():
        raise NoDeviceError("no CUDA GPU or driver answers", "an NVIDIA GPU and its driver", "Use the engine numba.")
    return measure(log, CudaMachine(), most_lines)


def _gpu_here() -> bool:
    try:
        return bool(cuda.is_available())
    except Exception:
        return False


@final
class CudaMachine:
    """A GPU; a thread takes few entries of a small log, and up to 256 of a large one."""

    def chunk(self, n: int) -> int:
        return max(n // (48 if SIMULATED else 1 << 16), 16) if n < 1 << 24 else 256

    def upload(self, array: Any) -> Any:
        return cuda.to_device(np.ascontiguousarray(array))

    def download(self, array: Any) -> Any:
        return array.copy_to_host()

    def empty(self, *shape: int) -> Any:
        return cuda.device_array(_at_least_one(shape), np.int64)

    def zeros(self, *shape: int) -> Any:
        return cuda.to_device(np.zeros(_at_least_one(shape), np.int64))

    def floats(self, n: int) -> Any:
        return cuda.device_array(n, np.float64)

    def run(self, name: str, threads: int, *arguments: Any) -> None:
        blocks = min(-(-threads // _BLOCK), _MOST_BLOCKS)
        _compiled(name)[blocks, _BLOCK](threads, arguments)

    def order(self, keys: Any, n: int, bits: int) -> tuple[Any, Any]:
        order = self.upload(np.arange(n))
        chunk = self.chunk(n)
        threads = -(-n // chunk)
        counts = self.empty(DIGITS * threads)
        spare_keys, spare_order = self.empty(n), self.empty(n)
        size = (np.int64(n), np.int64(chunk))
        for shift in range(0, bits, DIGITS.bit_length() - 1):
            digit = (np.int64(shift), np.int64(threads))
            self.run("count_digits", threads, keys, *size, *digit, counts)
            self._sum_before(counts, DIGITS * threads)
            self.run("move", threads, keys, order, *size, *digit, counts, spare_keys, spare_order)
            # The caller's keys stay as they are.
            keys, spare_keys = spare_keys, self.empty(n) if shift == 0 else keys
            order, spare_order = spare_order, order
        return order, keys

    def ordered(self, keys: Any, n: int, bits: int) -> Any:
        return self.order(keys, n, bits)[1]

    def distances(self, previous: Any, n: int) -> Any:
        return merged_distances(self, previous, n)

    def _sum_before(self, counts: Any, n: int) -> None:
        """Replace counts by the sums of all before them."""
        blocks, size = -(-n // _SCAN), (np.int64(n), np.int64(_SCAN))
        sums = self.empty(blocks)
        self.run("sum_blocks", blocks, counts, *size, sums)
        each = self.download(sums)
        self.run("add_offsets", blocks, counts, *size, self.upload(np.cumsum(each) - each))


def _at_least_one(shape: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(max(size, 1) for size in shape)


@cache
def _compiled(name: str) -> Any:
    return cuda.jit(grid_kernels(getattr(patterns_bodies, name), begin).plain)
