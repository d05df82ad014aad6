"""Products of 8-bit integers: quantising activations row by row, multiplying, scaling back.

W8A8 inference (Xiao et al., SmoothQuant, ICML 2023; Dettmers et al., LLM.int8, NeurIPS 2022): a row of activations
is scaled so that its largest number becomes 127, weights so by column; sums are exact in 32 bits. Both operands
lie along the summed axis and are read in runs of 16 bytes, as the kernels for tensor cores and DP4A do.
"""

# ruff: noqa: ANN401, PLR0913, PLR0917  bodies take arrays, and many of them

from __future__ import annotations

import math
from typing import Any, Final

import numpy as np

from hashwarden.kernels.device import device, local_array
from hashwarden.kernels.memory.recorder import begin, load, store
from hashwarden.kernels.workloads.learning.elementwise import place_of, value_of

__all__ = ["RUN", "dequantise", "gemm_int8", "gemm_threads", "largest", "quantise"]

RUN: Final = 16
"""Bytes of a run; the summed axis is a multiple of it."""

_HALF: Final = np.float32(0.5)
_MOST: Final = np.float32(127)
_TINY: Final = np.float32(1e-20)


@device
def largest(thread: Any, log: Any, x: Any, partial: Any, columns: Any) -> None:
    """Largest magnitude in a lane's part of a row."""
    t = begin(log, thread)
    start, peak = (thread // 32) * columns, np.float32(0)
    for column in range(thread % 32, columns, 32):
        t = load(log, t, 0, 0, start + column)
        peak = max(peak, abs(x[start + column]))
    t = store(log, t, 1, 1, thread)
    partial[thread] = peak


@device
def quantise(thread: Any, log: Any, x: Any, partial: Any, y: Any, scales: Any, columns: Any) -> None:
    """A row as integers of -127 to 127, and the scale that undoes it."""
    t = begin(log, thread)
    row, lane, peak = thread // 32, thread % 32, _TINY
    for other in range(row * 32, row * 32 + 32, 4):
        t = load(log, t, 0, 1, other, 0, 4)
        for i in range(other, other + 4):
            peak = max(peak, partial[i])
    if lane == 0:
        t = store(log, t, 1, 3, row)
        scales[row] = peak / _MOST
    factor = np.float32(_MOST / peak)
    for start in range(lane * 4, columns, 128):
        place, count = row * columns + start, min(4, columns - start)
        t = load(log, t, 2, 0, place, 0, count)
        t = store(log, t, 3, 2, place, 0, count)
        for i in range(place, place + count):
            y[i] = np.int8(math.floor(np.float32(x[i] * factor + _HALF)))


@device
def gemm_int8(thread: Any, log: Any, a: Any, b: Any, c: Any, m: Any, n: Any, k: Any) -> None:
    """``c[m, n] = a[m, k] b[n, k]^T`` in int32; a warp owns 32 by 16 results, a thread 4 by 4."""
    t = begin(log, thread)
    warp, lane, across = thread // 32, thread % 32, (n + 15) // 16
    row, column = (warp // across) * 32 + (lane // 4) * 4, (warp % across) * 16 + (lane % 4) * 4
    if row >= m or column >= n:
        return
    right, sums = local_array(64, np.int32), local_array(16, np.int32)
    for i in range(16):
        sums[i] = 0
    for deep in range(0, k, RUN):
        for j in range(4):
            start = min(column + j, n - 1) * k + deep
            t = load(log, t, 0, 1, start, 0, RUN)
            for i in range(RUN):
                right[j * RUN + i] = b[start + i]
        for r in range(4):
            start = min(row + r, m - 1) * k + deep
            t = load(log, t, 1, 0, start, 0, RUN)
            for i in range(RUN):
                value = np.int32(a[start + i])
                for j in range(4):
                    sums[r * 4 + j] = np.int32(sums[r * 4 + j] + np.int32(value * right[j * RUN + i]))
    for r in range(4):
        if row + r < m:
            start, count = (row + r) * n + column, min(4, n - column)
            t = store(log, t, 2, 2, start, 0, count)
            for i in range(4):
                if i < count:
                    c[start + i] = sums[r * 4 + i]


@device
def dequantise(
    thread: Any, log: Any, sums: Any, row_scales: Any, column_scales: Any, bias: Any, y: Any, columns: Any, kind: Any
) -> None:
    """``y = f(sums * row scale * column scale + bias)``."""
    t = begin(log, thread)
    column, start, count = place_of(thread, columns)
    row = (start - column) // columns
    t = load(log, t, 0, 1, row)
    t = load(log, t, 1, 0, start, 0, count)
    t = load(log, t, 2, 2, column, 0, count)
    t = load(log, t, 3, 3, column, 0, count)
    t = store(log, t, 4, 4, start, 0, count)
    scale = row_scales[row]
    for i in range(count):
        value = np.float32(np.float32(sums[start + i]) * scale * column_scales[column + i] + bias[column + i])
        y[start + i] = value_of(value, kind)


def gemm_threads(rows: int, columns: int) -> int:
    """Threads of `gemm_int8`."""
    return -(-rows // 32) * -(-columns // 16) * 32
