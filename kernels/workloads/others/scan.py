"""Exclusive prefix sums in several launches: the building block of sorting and of graphs in rows.

Reduce, scan the sums, add them (Sengupta, Harris, Zhang and Owens, Graphics Hardware 2007), with a chunk
for each thread instead of for each block.
"""

# ruff: noqa: ANN401  bodies take arrays, and many of them

from __future__ import annotations

from typing import Any, Final

import numpy as np

from hashwarden.kernels.device import device
from hashwarden.kernels.memory.recorder import begin, load, store
from hashwarden.kernels.workloads.plan import Empty, Launch

__all__ = ["CHUNK", "scan_arrays", "scan_launches"]

CHUNK: Final = 64
"""Elements that a thread adds up."""


@device
def sum_chunk(thread: Any, log: Any, values: Any, sums: Any) -> None:
    """Add up chunk ``thread``."""
    t = begin(log, thread)
    total = np.int64(0)
    for index in range(thread * CHUNK, min((thread + 1) * CHUNK, len(values))):
        t = load(log, t, 0, 0, index)
        total += np.int64(values[index])
    t = store(log, t, 1, 1, thread)
    sums[thread] = np.uint32(total)


@device
def scan_chunk(thread: Any, log: Any, values: Any, offsets: Any) -> None:
    """Replace the elements of chunk ``thread`` by the sums of what stands before them."""
    t = begin(log, thread)
    t = load(log, t, 0, 1, thread)
    total = np.int64(offsets[thread])
    for index in range(thread * CHUNK, min((thread + 1) * CHUNK, len(values))):
        t = load(log, t, 1, 0, index)
        own = np.int64(values[index])
        t = store(log, t, 2, 0, index)
        values[index] = np.uint32(total)
        total += own


def _lengths(length: int) -> list[int]:
    lengths = [length]
    while lengths[-1] > 1:
        lengths.append(-(-lengths[-1] // CHUNK))
    return lengths


def scan_arrays(name: str, length: int) -> dict[str, Empty]:
    """Arrays that a scan of ``name`` needs, the uint32 array of ``length`` itself included.

    Parameters
    ----------
    name : str
        Array of the plan; the others get a number behind this name.
    length : int
        Its elements, at least 2.
    """
    sizes = _lengths(length)
    levels = {_level(name, depth): Empty((size,), np.uint32) for depth, size in enumerate(sizes)}
    return {**levels, f"{name}_zero": Empty((1,), np.uint32)}


def scan_launches(name: str, length: int) -> tuple[Launch, ...]:
    """Launches that replace each element of ``name`` by the sum of all before it (modulo 2**32)."""
    sizes = _lengths(length)
    names = [_level(name, depth) for depth in range(len(sizes))]
    up = [Launch(sum_chunk, sizes[d + 1], (names[d], names[d + 1])) for d in range(len(sizes) - 1)]
    above = [*names[1:-1], f"{name}_zero"]
    down = [Launch(scan_chunk, sizes[d + 1], (names[d], above[d])) for d in reversed(range(len(sizes) - 1))]
    return (*up[:-1], *down)


def _level(name: str, depth: int) -> str:
    return f"{name}_{depth}" if depth else name
