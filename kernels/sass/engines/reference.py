"""The reference engine: NumPy for what is counted, plain Python for flow. Slow, and the definition."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from hashwarden.kernels.sass import flow, isa
from hashwarden.kernels.sass.batch import COUNTED, Batch, Counts
from hashwarden.kernels.sass.constants import count_primitives

__all__ = ["BATCH_BYTES", "run"]

BATCH_BYTES = 4 << 20

IntArray = npt.NDArray[np.int64]
Entries = tuple[IntArray, IntArray]


def run(batch: Batch) -> Counts:
    """Compute the counts of a batch.

    Parameters
    ----------
    batch : Batch
        Any number of kernels.
    """
    kernels = [_kernel(batch.code(k), int(batch.arch[k])) for k in range(len(batch))]
    nested = {name: _join([kernel[3][name] for kernel in kernels], name) for name in COUNTED}
    columns = (np.array([kernel[i] for kernel in kernels], np.int64) for i in range(3))
    scalars, rotate, funnel = (c.reshape(len(kernels), w) for c, w in zip(columns, (6, 5, 5), strict=True))
    return Counts(scalars, rotate, funnel, nested)


def _kernel(words: flow.Words, arch: int) -> tuple[Any, Any, Any, dict[str, Entries]]:
    words = words[: flow.strip_tail(words, arch)]
    nesting, loops = flow.loop_depth(words, arch)
    depth = np.minimum(nesting, isa.MAX_DEPTH)
    sources, chain = flow.def_use(words)
    memory = _memory_kind(words)
    deepest = int(nesting.max(initial=0))
    scalars = [len(words), loops, deepest, int((nesting > 0).sum()), _longest_run(memory < 0), chain]
    rotate, funnel = _shifts(words, depth)
    lut = words[:, 0] & 511 == isa.LOP3
    nested = {
        "op": _count((words[:, 0] & 0xFFF).astype(np.int64), depth, sizes=(4096, isa.DEPTHS)),
        "lut": _count((words[lut, 2] >> 8 & 255).astype(np.int64), depth[lut], sizes=(256, isa.DEPTHS)),
        "mem": _memory(words, memory, depth),
        "flow": _flow(words, sources, depth == min(deepest, isa.MAX_DEPTH)),
        "const_code": _constants(words),
    }
    return scalars, rotate, funnel, nested


def _count(*fields: IntArray, sizes: tuple[int, ...]) -> Entries:
    """Distinct combinations of the fields as keys, ascending, and how often each occurs."""
    keys = np.zeros(len(fields[0]), np.int64)
    for field, size in zip(fields, sizes, strict=True):
        keys = keys * size + field
    found, counts = np.unique(keys, return_counts=True)
    return found, counts.astype(np.int64)


def _memory_kind(words: flow.Words) -> IntArray:
    """Index of the memory kind of each instruction, -1 for what touches no memory."""
    kinds = np.full(512, -1, np.int64)
    for op, kind in isa.MEMORY.items():
        kinds[op] = kind
    found: IntArray = kinds[words[:, 0] & 511]
    return found


def _memory(words: flow.Words, kind: IntArray, depth: IntArray) -> Entries:
    at = kind >= 0
    width = (words[at, 2] >> 9 & 7).astype(np.int64)
    taint = flow.address_taint(words)[at]
    return _count(kind[at], width, taint, depth[at], sizes=tuple(size for _, size in COUNTED["mem"]))


def _flow(words: flow.Words, sources: IntArray, innermost: npt.NDArray[np.bool_]) -> Entries:
    """Pairs of opcodes with the counts inner and n, shape (pairs, 2)."""
    user = np.repeat((words[:, 0] & 511).astype(np.int64), 3)
    inner = np.repeat(innermost, 3)
    source, read = sources.ravel(), sources.ravel() >= 0
    keys, place, n = np.unique((source * 512 + user)[read], return_inverse=True, return_counts=True)
    inside = np.bincount(place, weights=inner[read], minlength=len(keys))
    return keys, np.stack([inside.astype(np.int64), n.astype(np.int64)], axis=1)


def _shifts(words: flow.Words, depth: IntArray) -> tuple[IntArray, IntArray]:
    """Rotates and funnel shifts by depth, shape (5,) each."""
    first, ra, rc = words[:, 0], words[:, 0] >> 24, words[:, 2] & 255
    shift = first & 511 == isa.FUNNEL
    rotate = shift & (first >> 9 & 7 == 4) & (ra == rc) & (ra != isa.RZ)
    funnel = shift & ~rotate & (ra != isa.RZ) & (rc != isa.RZ)
    return np.bincount(depth[rotate], minlength=isa.DEPTHS), np.bincount(depth[funnel], minlength=isa.DEPTHS)


def _constants(words: flow.Words) -> Entries:
    form = words[:, 0] >> 9 & 7
    found = count_primitives(words[(form == 2) | (form == 4), 1])
    return np.flatnonzero(found), found[found > 0]


def _longest_run(mask: npt.NDArray[np.bool_]) -> int:
    """Length of the longest run of True."""
    breaks = np.flatnonzero(~mask)
    edges = np.concatenate([[-1], breaks, [len(mask)]])
    return int(np.diff(edges).max()) - 1


def _join(parts: list[Entries], name: str) -> tuple[IntArray, IntArray, IntArray]:
    offsets = np.concatenate([[0], np.cumsum([len(keys) for keys, _ in parts])]).astype(np.int64)
    empty = np.zeros((0, 2) if name == "flow" else 0, np.int64)
    keys = np.concatenate([empty.reshape(-1), *(keys for keys, _ in parts)]).astype(np.int64)
    counts = np.concatenate([empty, *(counts for _, counts in parts)]).astype(np.int64)
    return offsets, keys, counts
