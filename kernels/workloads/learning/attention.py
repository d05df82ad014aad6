"""Attention with an online softmax, forward and backward: no matrix of scores is ever stored.

FlashAttention (Dao et al., NeurIPS 2022) by registers: a thread takes one query and goes through the keys with
a running maximum and sum; in the backward pass one launch takes a query each, another one a key each. The 32
queries of a warp read every key together, as a tile of queries does. Queries, keys and values are matrices of
(batch * tokens, heads * size). Heads have 16 or 64 numbers, so that they fit registers.
"""

# ruff: noqa: ANN401, PLR0913, PLR0917  bodies take arrays, and many of them

from __future__ import annotations

import math
from typing import Any

import numpy as np

from hashwarden.errors import UsageError
from hashwarden.kernels.device import device, local_array
from hashwarden.kernels.memory.recorder import begin, load, store
from hashwarden.kernels.workloads.learning.program import Program, Tensor
from hashwarden.kernels.workloads.learning.tiles import fetch

__all__ = ["attend", "attend_16", "attend_64", "head_size"]

_ZERO = np.float32(0)
_LOWEST = np.float32(-3.0e38)
_FLOOR = np.float32(-80)


def head_size(width: int) -> int:
    """Numbers of a head: 64 where the width allows it, else 16.

    Raises
    ------
    UsageError
        If the width is no multiple of 16.
    """
    if width % 16:
        raise UsageError(f"width = {width}", "a multiple of 16", "Choose a multiple of 16.")
    return 64 if width >= 128 and width % 64 == 0 else 16


@device
def place_of(thread: Any, tokens: Any, width: Any, size: Any) -> Any:
    """Token of a thread within its sequence, flat index of its head's first number, and of the sequence's first."""
    padded = (tokens + 31) // 32 * 32
    token, group = thread % padded, thread // padded
    heads = width // size
    first = (group // heads) * tokens * width + (group % heads) * size
    return token, first + token * width, first


@device
def take(log: Any, t: Any, site: Any, argument: Any, source: Any, start: Any, size: Any, kept: Any) -> Any:
    """Load a head's numbers."""
    for i in range(0, size, 4):
        t = fetch(log, t, site, argument, source, start + i, 4, kept, i, 1)
    return t


@device
def give(log: Any, t: Any, site: Any, argument: Any, target: Any, start: Any, size: Any, kept: Any) -> Any:
    """Store a head's numbers."""
    for i in range(0, size, 4):
        t = store(log, t, site, argument, start + i, 0, 4)
        for j in range(i, i + 4):
            target[start + j] = kept[j]
    return t


@device
def dot(log: Any, t: Any, site: Any, argument: Any, source: Any, start: Any, size: Any, kept: Any) -> Any:
    """Product of a row in memory with one in registers."""
    total = _ZERO
    for i in range(0, size, 4):
        t = load(log, t, site, argument, start + i, 0, 4)
        for j in range(i, i + 4):
            total += source[start + j] * kept[j]
    return t, total


@device
def blend(
    log: Any, t: Any, site: Any, argument: Any, source: Any, start: Any, size: Any, kept: Any, old: Any, new: Any
) -> Any:
    """``kept = old * kept + new * row``."""
    for i in range(0, size, 4):
        t = load(log, t, site, argument, start + i, 0, 4)
        for j in range(i, i + 4):
            kept[j] = old * kept[j] + new * source[start + j]
    return t


@device
def forward(
    thread: Any, log: Any, q: Any, k: Any, v: Any, out: Any, sums: Any, tokens: Any, width: Any, causal: Any,
    query: Any, kept: Any, size: Any,
) -> None:  # fmt: skip
    """Attention of one query; the logarithm of the sum of its exponentials stays in ``sums``."""
    t = begin(log, thread)
    token, mine, first = place_of(thread, tokens, width, size)
    if token >= tokens:
        return
    scale = np.float32(np.float32(1) / np.float32(math.sqrt(np.float32(size))))
    t = take(log, t, 0, 0, q, mine, size, query)
    for i in range(size):
        kept[i] = _ZERO
    peak, total = _LOWEST, _ZERO
    for other in range(token + 1 if causal else tokens):
        row = first + other * width
        t, score = dot(log, t, 1, 1, k, row, size, query)
        score = np.float32(score * scale)
        top = max(peak, score)
        old = np.float32(math.exp(max(np.float32(peak - top), _FLOOR)))
        new = np.float32(math.exp(np.float32(score - top)))
        t = blend(log, t, 2, 2, v, row, size, kept, old, new)
        total, peak = np.float32(total * old + new), top
    for i in range(size):
        kept[i] = kept[i] / total
    t = give(log, t, 3, 3, out, mine, size, kept)
    t = store(log, t, 4, 4, thread)
    sums[thread] = peak + np.float32(math.log(total))


@device
def attend_16(
    thread: Any, log: Any, q: Any, k: Any, v: Any, out: Any, sums: Any, tokens: Any, width: Any, causal: Any
) -> None:
    """`forward` for heads of 16 numbers."""
    query, kept = local_array(16, np.float32), local_array(16, np.float32)
    forward(thread, log, q, k, v, out, sums, tokens, width, causal, query, kept, 16)


@device
def attend_64(
    thread: Any, log: Any, q: Any, k: Any, v: Any, out: Any, sums: Any, tokens: Any, width: Any, causal: Any
) -> None:
    """`forward` for heads of 64 numbers."""
    query, kept = local_array(64, np.float32), local_array(64, np.float32)
    forward(thread, log, q, k, v, out, sums, tokens, width, causal, query, kept, 64)


@device
def overlap(thread: Any, log: Any, out: Any, dout: Any, overlaps: Any, tokens: Any, width: Any, size: Any) -> None:
    """Product of a query's output with its gradient, which every score's gradient needs."""
    t = begin(log, thread)
    token, mine, _ = place_of(thread, tokens, width, size)
    if token >= tokens:
        return
    total = _ZERO
    for i in range(mine, mine + size, 4):
        t = load(log, t, 0, 0, i, 0, 4)
        t = load(log, t, 1, 1, i, 0, 4)
        for j in range(i, i + 4):
            total += out[j] * dout[j]
    t = store(log, t, 2, 2, thread)
    overlaps[thread] = total


@device
def queries_back(
    thread: Any, log: Any, q: Any, k: Any, v: Any, dout: Any, sums: Any, overlaps: Any, dq: Any, tokens: Any,
    width: Any, causal: Any, query: Any, slope: Any, kept: Any, size: Any,
) -> None:  # fmt: skip
    """Gradient of one query."""
    t = begin(log, thread)
    token, mine, first = place_of(thread, tokens, width, size)
    if token >= tokens:
        return
    scale = np.float32(np.float32(1) / np.float32(math.sqrt(np.float32(size))))
    t = take(log, t, 0, 0, q, mine, size, query)
    t = take(log, t, 1, 3, dout, mine, size, slope)
    t = load(log, t, 2, 4, thread)
    t = load(log, t, 3, 5, thread)
    for i in range(size):
        kept[i] = _ZERO
    for other in range(token + 1 if causal else tokens):
        row = first + other * width
        t, score = dot(log, t, 4, 1, k, row, size, query)
        t, weight = dot(log, t, 5, 2, v, row, size, slope)
        share = np.float32(math.exp(np.float32(score * scale - sums[thread])))
        factor = np.float32(share * (weight - overlaps[thread]) * scale)
        t = blend(log, t, 6, 1, k, row, size, kept, np.float32(1), factor)
    t = give(log, t, 7, 6, dq, mine, size, kept)


@device
def keys_back(
    thread: Any, log: Any, q: Any, k: Any, v: Any, dout: Any, sums: Any, overlaps: Any, dk: Any, dv: Any,
    tokens: Any, width: Any, causal: Any, key: Any, value: Any, key_slope: Any, value_slope: Any, size: Any,
) -> None:  # fmt: skip
    """Gradients of one key and its value."""
    t = begin(log, thread)
    token, mine, first = place_of(thread, tokens, width, size)
    if token >= tokens:
        return
    scale = np.float32(np.float32(1) / np.float32(math.sqrt(np.float32(size))))
    t = take(log, t, 0, 1, k, mine, size, key)
    t = take(log, t, 1, 2, v, mine, size, value)
    for i in range(size):
        key_slope[i] = _ZERO
        value_slope[i] = _ZERO
    for other in range(token if causal else 0, tokens):
        row, who = first + other * width, thread - token + other
        t = load(log, t, 2, 4, who)
        t = load(log, t, 3, 5, who)
        t, score = dot(log, t, 4, 0, q, row, size, key)
        t, weight = dot(log, t, 5, 3, dout, row, size, value)
        share = np.float32(math.exp(np.float32(score * scale - sums[who])))
        factor = np.float32(share * (weight - overlaps[who]) * scale)
        t = blend(log, t, 6, 0, q, row, size, key_slope, np.float32(1), factor)
        t = blend(log, t, 7, 3, dout, row, size, value_slope, np.float32(1), share)
    t = give(log, t, 8, 6, dk, mine, size, key_slope)
    t = give(log, t, 9, 7, dv, mine, size, value_slope)


@device
def queries_back_16(
    thread: Any, log: Any, q: Any, k: Any, v: Any, dout: Any, sums: Any, overlaps: Any, dq: Any, tokens: Any,
    width: Any, causal: Any,
) -> None:  # fmt: skip
    """`queries_back` for heads of 16 numbers."""
    query, slope, kept = local_array(16, np.float32), local_array(16, np.float32), local_array(16, np.float32)
    queries_back(thread, log, q, k, v, dout, sums, overlaps, dq, tokens, width, causal, query, slope, kept, 16)


@device
def queries_back_64(
    thread: Any, log: Any, q: Any, k: Any, v: Any, dout: Any, sums: Any, overlaps: Any, dq: Any, tokens: Any,
    width: Any, causal: Any,
) -> None:  # fmt: skip
    """`queries_back` for heads of 64 numbers."""
    query, slope, kept = local_array(64, np.float32), local_array(64, np.float32), local_array(64, np.float32)
    queries_back(thread, log, q, k, v, dout, sums, overlaps, dq, tokens, width, causal, query, slope, kept, 64)


@device
def keys_back_16(
    thread: Any, log: Any, q: Any, k: Any, v: Any, dout: Any, sums: Any, overlaps: Any, dk: Any, dv: Any,
    tokens: Any, width: Any, causal: Any,
) -> None:  # fmt: skip
    """`keys_back` for heads of 16 numbers."""
    a, b = local_array(16, np.float32), local_array(16, np.float32)
    c, d = local_array(16, np.float32), local_array(16, np.float32)
    keys_back(thread, log, q, k, v, dout, sums, overlaps, dk, dv, tokens, width, causal, a, b, c, d, 16)


@device
def keys_back_64(
    thread: Any, log: Any, q: Any, k: Any, v: Any, dout: Any, sums: Any, overlaps: Any, dk: Any, dv: Any,
    tokens: Any, width: Any, causal: Any,
) -> None:  # fmt: skip
    """`keys_back` for heads of 64 numbers."""
    a, b = local_array(64, np.float32), local_array(64, np.float32)
    c, d = local_array(64, np.float32), local_array(64, np.float32)
    keys_back(thread, log, q, k, v, dout, sums, overlaps, dk, dv, tokens, width, causal, a, b, c, d, 64)


def attend(program: Program, q: Tensor, k: Tensor, v: Tensor, batch: int, causal: bool = False) -> Tensor:
    """Attention layer over (batch * tokens, width) matrices, each used nowhere else."""
    tokens, width = q.rows // batch, q.columns
    size = head_size(width)
    threads = batch * (width // size) * (-(-tokens // 32) * 32)
    pairs = batch * (width // size) * tokens * tokens * (0.5 if causal else 1.0)
    sums = program.scratch("sums", threads)
    out = program.tensor("attended", q.rows, width)
    shape = (tokens, width, int(causal))
    body = attend_64 if size == 64 else attend_16
    program.run(body, threads, q.name, k.name, v.name, out.name, sums, *shape, ops=pairs * 4 * size)
    if not program.training:
        return out

    def back() -> None:
        overlaps, dout = program.scratch("overlaps", threads), program.gradient(out)
        program.run(overlap, threads, out.name, dout, overlaps, tokens, width, size, ops=2.0 * out.size)
        known = (q.name, k.name, v.name, dout, sums, overlaps)
        for_queries, for_keys = (queries_back_64, keys_back_64) if size == 64 else (queries_back_16, keys_back_16)
        program.run(for_queries, threads, *known, program.gradient(q), *shape, ops=pairs * 6 * size)
        slopes = (program.gradient(k), program.gradient(v))
        program.run(for_keys, threads, *known, *slopes, *shape, ops=pairs * 8 * size)

    program.tape.append(back)
    return out
