"""The pass over the log thread by thread: steps at one site, and loads between stores.

Rows are as in patterns_requests.py, sorted by launch, thread, order.
"""

# ruff: noqa: ANN401, ARG001, PLR0913, PLR0917  bodies take arrays, and many of them

from __future__ import annotations

from typing import Any

import numpy as np

from hashwarden.kernels.device import device, local_array
from hashwarden.kernels.memory.patterns_cells import (
    GAP_BINS,
    NO_DIFFERENCE,
    SITE_SLOTS,
    STEP_CELLS,
    THREAD_CELLS,
)
from hashwarden.kernels.memory.patterns_tools import add_step, bit_length, clear, difference_key, flush

__all__ = ["threads"]


@device
def _same_thread(rows: Any, i: Any, k: Any) -> Any:
    return rows[i, 1] >> 32 == rows[k, 1] >> 32 and rows[i, 2] >> 48 == rows[k, 2] >> 48


@device
def _site(rows: Any, i: Any) -> Any:
    return (rows[i, 2] >> 16) & 0xFFFF


@device
def _before(rows: Any, i: Any, start: Any) -> Any:
    """The last row before ``i``, not before ``start``, at the same site; negative if there is none."""
    k = np.int64(i) - 1
    while k >= start and _site(rows, k) != _site(rows, i):
        k -= 1
    return k if k >= start else np.int64(-1)


@device
def _previous(rows: Any, i: Any, start: Any, recent: Any) -> Any:
    """The same as `_before`; ``recent`` is the last row of each slot of sites, and spares most searches."""
    guess = recent[_site(rows, i) % SITE_SLOTS]
    if guess < start:
        return np.int64(-1)
    return guess if _site(rows, guess) == _site(rows, i) else _before(rows, i, start)


@device
def _step(rows: Any, i: Any, start: Any, before: Any, beyond: Any, mine: Any) -> None:
    """Count the step to row ``i`` from the row ``before``, which came from the row ``beyond``, if any."""
    width, previous = (rows[i, 2] >> 2) & 0x3FFF, np.int64(0)
    if beyond >= start:
        previous = rows[before, 0] - rows[beyond, 0]
    add_step(mine, 0, rows[i, 0] - rows[before, 0], width, beyond >= start, previous)


@device
def threads(
    thread: Any, log: Any, rows: Any, n: Any, chunk: Any, nothing: Any, cells: Any, differences: Any, groups: Any,
    earlier: Any,
) -> None:  # fmt: skip
    """Count steps and loads between stores of the threads that begin in this chunk.

    ``differences`` gets the key of each difference, ``groups`` its launch and site, or ``nothing``, which is
    more than any; ``earlier`` gets the row before it at the same site (scratch).
    """
    mine, recent = local_array(THREAD_CELLS, np.int64), local_array(SITE_SLOTS, np.int64)
    clear(mine, THREAD_CELLS)
    for slot in range(SITE_SLOTS):
        recent[slot] = -1
    i, last = thread * chunk, min((thread + 1) * chunk, n)
    while 0 < i < last and _same_thread(rows, i - 1, i):
        i += 1
    begun, start, loads = i < last, np.int64(i), np.int64(0)
    while begun and i < n and (i < last or _same_thread(rows, i - 1, i)):
        if i > start and not _same_thread(rows, i - 1, i):
            start, loads = np.int64(i), np.int64(0)
        before = _previous(rows, i, start, recent)
        recent[_site(rows, i) % SITE_SLOTS] = i
        earlier[i], differences[i], groups[i] = before, NO_DIFFERENCE, nothing
        if before >= 0:
            _step(rows, i, start, before, earlier[before], mine)
            launch, site = rows[i, 2] >> 48, _site(rows, i)
            differences[i] = difference_key(launch, site, rows[i, 0] - rows[before, 0])
            groups[i] = (launch << 16) | site
        if rows[i, 2] & 3 == 0:
            loads += 1
        else:
            mine[STEP_CELLS + min(bit_length(loads), GAP_BINS - 1)] += 1
            loads = np.int64(0)
        i += 1
    flush(mine, cells, THREAD_CELLS)
