"""Attention over a paged cache of keys and values, for decoding: one new token for each request.

The layout of PagedAttention (Kwon et al., SOSP 2023): pages of 16 tokens anywhere in memory, found through a
table; keys are stored so that neighbouring tokens lie beside one another, 16 bytes of each, values so that the
numbers of a token do. Scores, softmax and the sum of values are launches of their own.
"""

# ruff: noqa: ANN401, PLR0913, PLR0917  bodies take arrays, and many of them

from __future__ import annotations

import math
from typing import Any, Final

import numpy as np

from hashwarden.kernels.device import device, local_array
from hashwarden.kernels.memory.recorder import begin, load, store
from hashwarden.kernels.workloads.learning.tiles import fetch

__all__ = ["PAGE", "append", "grow", "paged_scores", "paged_values", "rotate"]

PAGE: Final = 16
"""Tokens of a page."""

_LOWEST: Final = np.float32(-3.0e38)


@device
def key_place(page: Any, slot: Any, column: Any, width: Any) -> Any:
    """Flat index in the key cache: (page, quad of columns, slot, column in the quad)."""
    return ((page * (width // 4) + column // 4) * PAGE + slot) * 4 + column % 4


@device
def rotate(thread: Any, log: Any, x: Any, turns: Any, lengths: Any, tokens: Any, width: Any, size: Any) -> None:
    """Rotary positions (Su et al., arXiv 2104.09864), in place, on one pair of neighbours of a row.

    ``turns`` holds cosine and sine of each position and pair; a row's position is its token in the sequence,
    behind the tokens that its request has already.
    """
    t = begin(log, thread)
    half = width // 2
    row, pair = thread // half, thread % half
    t = load(log, t, 0, 2, row // tokens)
    position = np.int64(lengths[row // tokens]) + row % tokens
    place = (position * (size // 2) + pair % (size // 2)) * 2
    t = load(log, t, 1, 1, place, 1, 2)
    cosine, sine = turns[place], turns[place + 1]
    at = row * width + pair * 2
    t = load(log, t, 2, 0, at, 0, 2)
    first, second = x[at], x[at + 1]
    t = store(log, t, 3, 0, at, 0, 2)
    x[at] = first * cosine - second * sine
    x[at + 1] = first * sine + second * cosine


@device
def append(
    thread: Any, log: Any, k: Any, v: Any, table: Any, lengths: Any, keys: Any, values: Any, tokens: Any, width: Any,
    most: Any,
) -> None:  # fmt: skip
    """Put one number of a new key and value into the pages of their request, which has ``most`` of them."""
    t = begin(log, thread)
    row, column = thread // width, thread % width
    request = row // tokens
    t = load(log, t, 0, 3, request)
    position = np.int64(lengths[request]) + row % tokens
    t = load(log, t, 1, 2, request * most + position // PAGE, 1)
    page, slot = np.int64(table[request * most + position // PAGE]), position % PAGE
    t = load(log, t, 2, 0, thread)
    t = load(log, t, 3, 1, thread)
    place = key_place(page, slot, column, width)
    t = store(log, t, 4, 4, place, 2)
    keys[place] = k[thread]
    place = (page * PAGE + slot) * width + column
    t = store(log, t, 5, 5, place, 2)
    values[place] = v[thread]


@device
def paged_scores(
    thread: Any, log: Any, q: Any, keys: Any, table: Any, lengths: Any, scores: Any, width: Any, size: Any, most: Any
) -> None:
    """Score of one cached token for one head of one request; tokens beyond the newest score lowest."""
    t = begin(log, thread)
    room, heads = most * PAGE, width // size
    token, head, request = thread % room, thread // room % heads, thread // room // heads
    t = load(log, t, 0, 3, request)
    total = _LOWEST
    if token <= lengths[request]:
        t = load(log, t, 1, 2, request * most + token // PAGE)
        page = np.int64(table[request * most + token // PAGE])
        run = local_array(4, np.float32)
        total = np.float32(0)
        for i in range(head * size, head * size + size, 4):
            t = fetch(log, t, 2, 0, q, request * width + i, 4, run, 0, 1)
            place = key_place(page, token % PAGE, i, width)
            t = load(log, t, 3, 1, place, 1, 4)
            for j in range(4):
                total += run[j] * keys[place + j]
        total = np.float32(total / np.float32(math.sqrt(np.float32(size))))
    t = store(log, t, 4, 4, thread)
    scores[thread] = total


@device
def paged_values(
    thread: Any, log: Any, shares: Any, values: Any, table: Any, lengths: Any, out: Any, width: Any, size: Any,
    most: Any,
) -> None:  # fmt: skip
    """One number of a request's output: the values of all its tokens by their shares."""
    t = begin(log, thread)
    request, column = thread // width, thread % width
    row = (request * (width // size) + column // size) * (most * PAGE)
    t = load(log, t, 0, 3, request)
    last, page, total = np.int64(lengths[request]), np.int64(0), np.float32(0)
    for token in range(last + 1):
        if token % PAGE == 0:
            t = load(log, t, 1, 2, request * most + token // PAGE)
            page = np.int64(table[request * most + token // PAGE])
        t = load(log, t, 2, 0, row + token)
        place = (page * PAGE + token % PAGE) * width + column
        t = load(log, t, 3, 1, place, 1)
        total += shares[row + token] * values[place]
    t = store(log, t, 4, 4, thread)
    out[thread] = total


@device
def grow(thread: Any, log: Any, lengths: Any, prompts: Any, room: Any) -> None:
    """One token more; a request without room makes place for a new one behind its prompt."""
    t = begin(log, thread)
    t = load(log, t, 0, 0, thread)
    longer = np.int64(lengths[thread]) + 1
    if longer >= room:
        t = load(log, t, 1, 1, thread)
        longer = np.int64(prompts[thread])
    t = store(log, t, 2, 0, thread)
    lengths[thread] = np.int32(longer)
