"""The scalar core compiled for CUDA by Numba: one thread for each kernel under analysis."""

# ruff: noqa: ANN401, PLR0913, PLR0917  compiled code takes arrays, and many of them

from __future__ import annotations

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
    import numba.cuda
except ImportError as error:
    raise MissingExtraError.of("numba-cuda", "cuda13") from error

cuda: Any = numba.cuda
int64, uint8 = numba.int64, numba.uint8

__all__ = ["BATCH_BYTES", "SIGNATURE", "decode", "run"]

BATCH_BYTES = 64 << 20
"""Many kernels at once, since each is one thread; about three times this is taken on the GPU."""

SIGNATURE = "void(uint32[::1], int64[::1], uint8[::1], int32[::1], boolean[::1], uint32[::1], int32[::1], int32[::1], uint8[::1], int32[:, ::1], int64[:, ::1])"  # noqa: E501
"""Types of the arguments of `decode`."""

_THREADS = 32
_REGISTERS, _NOBODY = core.REGISTERS, core.NOBODY

_code_length = cuda.jit(device=True, inline="always")(core.code_length)
_mark_loops = cuda.jit(device=True, inline="always")(core.mark_loops)
_instruction_keys = cuda.jit(device=True, inline="always")(core.instruction_keys)
_flow_keys = cuda.jit(device=True, inline="always")(core.flow_keys)


def decode(
    words: Any, starts: Any, new_branch: Any, properties: Any, maybe: Any, values: Any,
    ends: Any, steps: Any, depth: Any, keys: Any, scalars: Any,
) -> None:  # fmt: skip
    """Write the keys and scalars of kernel number ``cuda.grid(1)``."""
    k = cuda.grid(1)
    if k < len(starts) - 1:
        first = starts[k]
        n = _code_length(words, first, starts[k + 1] - first, new_branch[k])
        loops, deepest, inside = _mark_loops(words, first, n, new_branch[k], ends, steps, depth)
        run_length = _instruction_keys(words, first, n, depth, properties, maybe, values, keys)
        taint = cuda.local.array(_REGISTERS, uint8)
        files = cuda.local.array(_REGISTERS, int64)
        for register in range(_REGISTERS):
            taint[register], files[register] = 0, _NOBODY
        chain = _flow_keys(words, first, n, depth, min(deepest, 4), properties, taint, files, keys)
        scalars[k, 0], scalars[k, 1], scalars[k, 2] = n, loops, deepest
        scalars[k, 3], scalars[k, 4], scalars[k, 5] = inside, run_length, chain


_decode = cuda.jit(decode)


def run(batch: Batch) -> Counts:
    """Compute the counts of a batch on the GPU (or in Numba's simulator).

    Parameters
    ----------
    batch : Batch
        Any number of kernels.
    """
    kernels, total = len(batch), len(batch.words) // 4
    keys = cuda.to_device(np.full((core.KEY_COLUMNS, max(total, 1)), -1, np.int32))
    scalars = cuda.to_device(np.zeros((max(kernels, 1), 6), np.int64))
    if total:
        inputs = (
            batch.words, batch.starts, (batch.arch >= isa.NEW_BRANCH).astype(np.uint8), isa.opcode_properties(),
            constant_filter(), constant_table()[0], np.zeros(total + 1, np.int32), np.zeros(total + 1, np.int32),
            np.zeros(total, np.uint8),
        )  # fmt: skip
        _decode[-(-kernels // _THREADS), _THREADS](*(cuda.to_device(array) for array in inputs), keys, scalars)
    # Waits for the GPU: both copies below do.
    return tabulate(np, keys.copy_to_host()[:, :total], batch.starts, scalars.copy_to_host()[:kernels])
