"""The engine in CUDA C (patterns.cu) through CuPy, whose own sort it uses."""

# ruff: noqa: ANN401, D102  arrays of any type; the methods are those of Machine

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import Any, Final, final

import numpy as np

from hashwarden.errors import MissingExtraError, NoDeviceError
from hashwarden.kernels.memory.log import AddressLog
from hashwarden.kernels.memory.patterns_counts import Counts
from hashwarden.kernels.memory.patterns_passes import measure, merged_distances

try:
    import cupy
except ImportError as error:
    raise MissingExtraError.of("cupy", "cuda13") from error

__all__ = ["KERNELS", "CupyMachine", "count", "source"]

KERNELS: Final = (
    "pack", "sort_keys", "gather", "columns", "requests", "emit", "threads", "chain", "mark", "classify", "runs",
    "turnover", "fill_buckets", "pick", "place", "relink", "bins", "start_merge", "merge", "distance_of",
)  # fmt: skip
"""Kernels of patterns.cu; those of Numba that sort by digits are not among them."""

_BLOCK: Final = 128
_MOST_BLOCKS: Final = 1 << 16


def source() -> str:
    """The text of patterns.cu and patterns_lines.cu, one behind the other."""
    folder = files("hashwarden.kernels.memory")
    return "".join(folder.joinpath(name).read_text(encoding="utf-8") for name in ("patterns.cu", "patterns_lines.cu"))


def count(log: AddressLog, most_lines: int) -> Counts:
    """Count everything in a log, on the GPU that is current.

    Raises
    ------
    NoDeviceError
        If there is none.
    """
    if not _gpu_here():
        raise NoDeviceError("no CUDA GPU or driver answers", "an NVIDIA GPU and its driver", "Use the engine numba.")
    return measure(log, CupyMachine(), most_lines)


def _gpu_here() -> bool:
    try:
        return bool(cupy.cuda.runtime.getDeviceCount() > 0)
    except cupy.cuda.runtime.CUDARuntimeError:
        return False


@final
class CupyMachine:
    """A GPU; a thread takes 16 to 256 entries."""

    def chunk(self, n: int) -> int:
        return min(max(n >> 16, 16), 256)

    def upload(self, array: Any) -> Any:
        return cupy.asarray(array)

    def download(self, array: Any) -> Any:
        return cupy.asnumpy(array)

    def empty(self, *shape: int) -> Any:
        return cupy.empty(shape, np.int64)

    def zeros(self, *shape: int) -> Any:
        return cupy.zeros(shape, np.int64)

    def floats(self, n: int) -> Any:
        return cupy.empty(n, np.float64)

    def run(self, name: str, threads: int, *arguments: Any) -> None:
        blocks = min(-(-threads // _BLOCK), _MOST_BLOCKS)
        _kernel(name)((blocks,), (_BLOCK,), (np.int64(threads), *arguments))

    def order(self, keys: Any, n: int, bits: int) -> tuple[Any, Any]:  # noqa: ARG002  Thrust sorts whole words
        # CuPy's argsort is stable: it sorts by radix.
        order = cupy.argsort(keys[:n], kind="stable")
        return order, keys[order]

    def ordered(self, keys: Any, n: int, bits: int) -> Any:  # noqa: ARG002
        return cupy.sort(keys[:n])

    def distances(self, previous: Any, n: int) -> Any:
        return merged_distances(self, previous, n)


@cache
def _kernel(name: str) -> Any:
    return _module().get_function(name)


@cache
def _module() -> Any:
    return cupy.RawModule(code=source())
