"""The engine in CUDA C (mix.cu) through CuPy: decoding and counting both stay on the GPU."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import Any

import numpy as np

from hashwarden.errors import MissingExtraError
from hashwarden.kernels.sass import isa
from hashwarden.kernels.sass.batch import Batch, Counts
from hashwarden.kernels.sass.constants import constant_table
from hashwarden.kernels.sass.engines import core
from hashwarden.kernels.sass.engines.tabulate import tabulate
from hashwarden.kernels.sass.primitives_scan import constant_filter

try:
    import cupy
except ImportError as error:
    raise MissingExtraError.of("cupy", "cuda13") from error

__all__ = ["BATCH_BYTES", "OPTIONS", "run", "source"]

BATCH_BYTES = 64 << 20
"""Many kernels at once, since each is one thread; about four times this is taken on the GPU."""

OPTIONS = (f"-DNOBODY={core.NOBODY}",)
"""What mix.cu is compiled with."""

_THREADS = 32


def source() -> str:
    """The text of mix.cu."""
    return files("hashwarden.kernels.sass.engines").joinpath("mix.cu").read_text()


@cache
def _decode() -> Any:  # noqa: ANN401  cupy has no types
    return cupy.RawModule(code=source(), options=OPTIONS).get_function("decode")


def run(batch: Batch) -> Counts:
    """Compute the counts of a batch on the GPU.

    Parameters
    ----------
    batch : Batch
        Any number of kernels.
    """
    kernels, total = len(batch), len(batch.words) // 4
    keys = cupy.full((core.KEY_COLUMNS, total), -1, np.int32)
    scalars = cupy.zeros((kernels, 6), np.int64)
    if total:
        values = constant_table()[0]
        newer = (batch.arch >= isa.NEW_BRANCH).astype(np.uint8)
        inputs = (batch.words, batch.starts, newer, isa.opcode_properties(), constant_filter().view(np.uint8), values)
        marks = (cupy.zeros(total, np.int32), cupy.zeros(total, np.int32), cupy.zeros(total, np.uint8))
        arguments = [cupy.asarray(array) for array in inputs] + [np.int32(len(values)), *marks]
        arguments += [keys, np.int64(total), scalars, np.int64(kernels)]
        _decode()((-(-kernels // _THREADS),), (_THREADS,), tuple(arguments))
    return tabulate(cupy, keys, batch.starts, scalars)
