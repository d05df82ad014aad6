"""Register tiles: what every matrix product here shares.

A warp owns a tile of 32 by 32 results, its lanes stand 4 by 8, and each lane keeps 8 by 4 sums in registers:
the warp tile of the float32 kernels of CUTLASS. Operands come in runs of four neighbours along the axis that
is contiguous in memory and are used 4 or 8 times from registers. A run is recorded as one access of up to
16 bytes, as the vector load that such a kernel makes. Real kernels stage runs in shared memory, so that more
warps share a run; here neighbouring warps find them in the L1 cache.
"""

# ruff: noqa: ANN401, PLR0913, PLR0917  bodies take arrays, and many of them

from __future__ import annotations

from typing import Any, Final

import numpy as np

from hashwarden.kernels.device import atomic_add, device
from hashwarden.kernels.memory.recorder import atomic, load, store

__all__ = ["SIDE", "add_run", "clear", "corner", "fetch", "multiply", "put", "tile_threads"]

SIDE: Final = 32
"""Rows and columns of a warp's tile."""

ZERO: Final = np.float32(0)


def tile_threads(rows: int, columns: int) -> int:
    """Threads that a grid of tiles over ``rows`` by ``columns`` results takes, a warp for each tile."""
    return -(-rows // SIDE) * -(-columns // SIDE) * 32


@device
def corner(thread: Any, columns: Any) -> Any:
    """First row and first column of a thread's 8 by 4 results."""
    warp, lane = thread // 32, thread % 32
    across = (columns + 31) // 32
    return (warp // across) * 32 + (lane // 8) * 8, (warp % across) * 32 + (lane % 8) * 4


@device
def clear(sums: Any, count: Any) -> None:
    """Set the first elements of a private array to zero."""
    for place in range(count):
        sums[place] = 0


@device
def fetch(
    log: Any, t: Any, site: Any, argument: Any, source: Any, start: Any, count: Any, tile: Any, place: Any, stride: Any
) -> Any:
    """Load up to four neighbours to ``tile[place]``, ``tile[place + stride]``, ...; zeros beyond ``count``."""
    there = min(count, 4)
    if there > 0:
        t = load(log, t, site, argument, start, 0, there)
    if there == 4:
        for i in range(4):
            tile[place + i * stride] = source[start + i]
    else:
        for i in range(4):
            tile[place + i * stride] = source[start + i] if i < there else ZERO
    return t


@device
def multiply(left: Any, right: Any, sums: Any) -> None:
    """Add four outer products: ``sums[r, c] += left[d, r] * right[d, c]`` with r < 8, c < 4, d < 4."""
    for deep in range(4):
        for row in range(8):
            value = left[deep * 8 + row]
            for column in range(4):
                sums[row * 4 + column] += value * right[deep * 4 + column]


@device
def put(
    log: Any, t: Any, site: Any, argument: Any, target: Any, start: Any, count: Any, sums: Any, place: Any, more: Any
) -> Any:
    """Store up to four neighbours from ``sums[place:]``; with ``more`` add them to what is there."""
    there = min(count, 4)
    if more:
        t = load(log, t, site, argument, start, 0, there)
    t = store(log, t, site + 1, argument, start, 0, there)
    for i in range(4):
        if i < there:
            target[start + i] = sums[place + i] + (target[start + i] if more else ZERO)
    return t


@device
def add_run(
    log: Any, t: Any, site: Any, argument: Any, target: Any, start: Any, count: Any, sums: Any, place: Any
) -> Any:
    """Add up to four neighbours from ``sums[place:]`` atomically, each an operation of its own."""
    for i in range(4):
        if i < count:
            t = atomic(log, t, site, argument, start + i)
            atomic_add(target, start + i, sums[place + i])
    return t
