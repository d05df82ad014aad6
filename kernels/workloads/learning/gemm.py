"""Matrix products in float32: plain, with the second or the first matrix transposed, and for a few rows.

All matrices are row-major and flat. `gemm_nn` serves the forward pass of a linear layer with weights of shape
(inputs, outputs), `gemm_nt` the gradient of its input, `gemm_tn` that of its weights (the three products of
Rumelhart, Hinton and Williams, Nature 1986, in BLAS's letters). `gemv` is the product of decoding, where a
few rows meet a large matrix that is read once.
"""

# ruff: noqa: ANN401, PLR0913, PLR0917  bodies take arrays, and many of them

from __future__ import annotations

from typing import Any, Final

import numpy as np

from hashwarden.kernels.device import device, local_array
from hashwarden.kernels.memory.recorder import begin, load, store
from hashwarden.kernels.workloads.learning.tiles import clear, corner, fetch, multiply, put, tile_threads
from hashwarden.kernels.workloads.plan import Launch

__all__ = ["GEMV_CHUNK", "GEMV_ROWS", "gemm", "gemm_nn", "gemm_nt", "gemm_tn", "gemv", "gemv_finish", "gemv_part"]

GEMV_ROWS: Final = 8
"""Most rows of `gemv`'s left matrix."""

GEMV_CHUNK: Final = 128
"""Rows of the matrix that one thread of `gemv_part` goes through."""


@device
def gemm_nn(thread: Any, log: Any, a: Any, b: Any, c: Any, m: Any, n: Any, k: Any, more: Any) -> None:
    """``c[m, n] = a[m, k] b[k, n]``, added to what is there if ``more``."""
    t = begin(log, thread)
    row, column = corner(thread, n)
    if row >= m or column >= n:
        return
    left, right, sums = local_array(32, np.float32), local_array(16, np.float32), local_array(32, np.float32)
    clear(sums, 32)
    for deep in range(0, k, 4):
        for r in range(8):
            t = fetch(log, t, 0, 0, a, (row + r) * k + deep, k - deep if row + r < m else 0, left, r, 8)
        for d in range(4):
            t = fetch(log, t, 1, 1, b, (deep + d) * n + column, n - column if deep + d < k else 0, right, d * 4, 1)
        multiply(left, right, sums)
    for r in range(8):
        if row + r < m:
            t = put(log, t, 2, 2, c, (row + r) * n + column, n - column, sums, r * 4, more)


@device
def gemm_nt(thread: Any, log: Any, a: Any, b: Any, c: Any, m: Any, n: Any, k: Any, more: Any) -> None:
    """``c[m, n] = a[m, k] b[n, k]^T``, added to what is there if ``more``."""
    t = begin(log, thread)
    row, column = corner(thread, n)
    if row >= m or column >= n:
        return
    left, right, sums = local_array(32, np.float32), local_array(16, np.float32), local_array(32, np.float32)
    clear(sums, 32)
    for deep in range(0, k, 4):
        for r in range(8):
            t = fetch(log, t, 0, 0, a, (row + r) * k + deep, k - deep if row + r < m else 0, left, r, 8)
        for d in range(4):
            t = fetch(log, t, 1, 1, b, (column + d) * k + deep, k - deep if column + d < n else 0, right, d, 4)
        multiply(left, right, sums)
    for r in range(8):
        if row + r < m:
            t = put(log, t, 2, 2, c, (row + r) * n + column, n - column, sums, r * 4, more)


@device
def gemm_tn(thread: Any, log: Any, a: Any, b: Any, c: Any, m: Any, n: Any, k: Any, more: Any) -> None:
    """``c[m, n] = a[k, m]^T b[k, n]``, added to what is there if ``more``."""
    t = begin(log, thread)
    row, column = corner(thread, n)
    if row >= m or column >= n:
        return
    left, right, sums = local_array(32, np.float32), local_array(16, np.float32), local_array(32, np.float32)
    clear(sums, 32)
    for deep in range(0, k, 4):
        for d in range(4):
            there = deep + d < k
            start = (deep + d) * m + row
            t = fetch(log, t, 0, 0, a, start, m - row if there else 0, left, d * 8, 1)
            t = fetch(log, t, 1, 0, a, start + 4, m - row - 4 if there else 0, left, d * 8 + 4, 1)
            t = fetch(log, t, 2, 1, b, (deep + d) * n + column, n - column if there else 0, right, d * 4, 1)
        multiply(left, right, sums)
    for r in range(8):
        if row + r < m:
            t = put(log, t, 3, 2, c, (row + r) * n + column, n - column, sums, r * 4, more)


@device
def gemv_part(thread: Any, log: Any, x: Any, w: Any, part: Any, rows: Any, n: Any, k: Any) -> None:
    """Product of up to 8 rows with four columns of w[k, n], over 128 of its k rows: part[chunk, row, column]."""
    t = begin(log, thread)
    across = (n + 3) // 4
    chunk, column = thread // across, thread % across * 4
    sums, run, weights = local_array(32, np.float32), local_array(32, np.float32), local_array(4, np.float32)
    clear(sums, 32)
    first = chunk * GEMV_CHUNK
    last = min(first + GEMV_CHUNK, k)
    for deep in range(first, last, 4):
        for r in range(rows):
            t = fetch(log, t, 0, 0, x, r * k + deep, last - deep, run, r * 4, 1)
        for d in range(min(4, last - deep)):
            t = fetch(log, t, 1, 1, w, (deep + d) * n + column, n - column, weights, 0, 1)
            for r in range(rows):
                for c in range(4):
                    sums[r * 4 + c] += run[r * 4 + d] * weights[c]
    for r in range(rows):
        t = put(log, t, 2, 2, part, (chunk * rows + r) * n + column, n - column, sums, r * 4, 0)


@device
def gemv_finish(thread: Any, log: Any, part: Any, y: Any, chunks: Any, size: Any, more: Any) -> None:
    """``y[thread] = sum of part[:, thread]``, added to what is there if ``more``."""
    t = begin(log, thread)
    total = np.float32(0)
    if more:
        t = load(log, t, 0, 1, thread)
        total = y[thread]
    for chunk in range(chunks):
        t = load(log, t, 1, 0, chunk * size + thread)
        total += part[chunk * size + thread]
    t = store(log, t, 2, 1, thread)
    y[thread] = total


def gemm(body: Any, names: tuple[str, str, str], m: int, n: int, k: int, more: bool = False) -> Launch:
    """Launch one of the three large products on the arrays ``(a, b, c)``."""
    scalars = tuple(np.int64(value) for value in (m, n, k, more))
    return Launch(body, tile_threads(m, n), (*names, *scalars))


def gemv(names: tuple[str, str, str, str], rows: int, n: int, k: int, more: bool = False) -> tuple[Launch, Launch]:
    """Launch the product of a few rows on the arrays ``(x, w, part, y)``.

    ``part`` has room for ``ceil(k / 128) * rows * n`` sums.
    """
    x, w, part, y = names
    chunks = -(-k // GEMV_CHUNK)
    first = Launch(gemv_part, chunks * -(-n // 4), (x, w, part, np.int64(rows), np.int64(n), np.int64(k)))
    second = Launch(gemv_finish, rows * n, (part, y, np.int64(chunks), np.int64(rows * n), np.int64(more)))
    return first, second
