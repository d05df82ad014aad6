"""Passes over the stream of references: to lines (or sectors) in order of time, and sorted by line.

``keys`` in order of time are numbers of lines; sorted, they stand beside ``order``, the times in which they
came. A body's thread takes ``chunk`` entries.
"""

# ruff: noqa: ANN401, ARG001, PLR0913, PLR0917  bodies take arrays, and many of them

from __future__ import annotations

import math
from typing import Any

import numpy as np

from hashwarden.kernels.device import atomic_add, atomic_or, device, local_array
from hashwarden.kernels.memory.patterns_cells import (
    COLD,
    DISTANCE_BINS,
    DISTANCE_CELLS,
    WINDOW_CELLS,
    WINDOWS,
)
from hashwarden.kernels.memory.patterns_tools import bit_length, bucket_of, clear, flush, lower_bound, run_end

__all__ = ["bins", "chain", "classify", "fill_buckets", "mark", "pick", "place", "relink", "runs", "turnover"]


@device
def chain(thread: Any, log: Any, order: Any, keys: Any, n: Any, chunk: Any, previous: Any) -> None:
    """Write for each time when the same key came before, or -1; ``keys`` are sorted."""
    for i in range(thread * chunk, min((thread + 1) * chunk, n)):
        same = i > 0 and keys[i] == keys[i - 1]
        previous[order[i]] = order[i - 1] if same else np.int64(-1)


@device
def mark(thread: Any, log: Any, order: Any, keys: Any, n: Any, chunk: Any, when: Any, flags: Any) -> None:
    """Gather which kinds of access each line saw (bit ``1 << kind``), at the place where its run begins."""
    first, last = thread * chunk, min((thread + 1) * chunk, n)
    if first < last:
        head, seen = lower_bound(keys, 0, first, keys[first]), np.int64(0)
        for i in range(first, last):
            if i > first and keys[i] != keys[i - 1]:
                atomic_or(flags, head, seen)
                head, seen = np.int64(i), np.int64(0)
            seen |= np.int64(1) << (when[order[i]] & 3)
        atomic_or(flags, head, seen)


@device
def classify(
    thread: Any, log: Any, order: Any, keys: Any, n: Any, chunk: Any, when: Any, flags: Any, cells: Any
) -> None:
    """Count lines that were only loaded, only stored to, loaded and then changed, and others."""
    mine = local_array(4, np.int64)
    clear(mine, 4)
    for i in range(thread * chunk, min((thread + 1) * chunk, n)):
        if i == 0 or keys[i] != keys[i - 1]:
            if flags[i] == 1:
                mine[0] += 1
            elif flags[i] == 2:
                mine[1] += 1
            elif when[order[i]] & 3 == 0:
                mine[2] += 1
            else:
                mine[3] += 1
    flush(mine, cells, 4)


@device
def runs(thread: Any, log: Any, keys: Any, n: Any, shift: Any, chunk: Any, heads: Any, weights: Any) -> None:
    """Count distinct sorted keys, their low ``shift`` bits left out, and add up c * log2(c) of their counts c."""
    found, weight = np.int64(0), 0.0
    for i in range(thread * chunk, min((thread + 1) * chunk, n)):
        if i == 0 or keys[i] >> shift != keys[i - 1] >> shift:
            count = float(run_end(keys, i, n, shift) - i)
            found, weight = found + 1, weight + count * math.log2(count)
    heads[thread], weights[thread] = found, weight


@device
def turnover(thread: Any, log: Any, previous: Any, when: Any, n: Any, chunk: Any, total: Any, windows: Any) -> None:
    """Per window of ``total`` rows: references, distinct lines, new ones, and those of the window before."""
    mine = local_array(4, np.int64)
    clear(mine, 4)
    window = np.int64(-1)
    for time in range(thread * chunk, min((thread + 1) * chunk, n)):
        here = (when[time] >> 2) * WINDOWS // total
        if here != window:
            _add(windows, window, mine)
            window = here
        mine[0] += 1
        before = np.int64(-1)
        if previous[time] >= 0:
            before = (when[previous[time]] >> 2) * WINDOWS // total
        else:
            mine[2] += 1
        if before < here:
            mine[1] += 1
        if before >= 0 and before == here - 1:
            mine[3] += 1
    _add(windows, window, mine)


@device
def _add(windows: Any, window: Any, mine: Any) -> None:
    for cell in range(4):
        if window >= 0 and mine[cell] != 0:
            atomic_add(windows, window * WINDOW_CELLS + 5 + cell, mine[cell])
        mine[cell] = 0


@device
def fill_buckets(thread: Any, log: Any, keys: Any, n: Any, chunk: Any, buckets: Any) -> None:
    """Count the distinct sorted keys by the bucket that their hash puts them in."""
    for i in range(thread * chunk, min((thread + 1) * chunk, n)):
        if i == 0 or keys[i] != keys[i - 1]:
            atomic_add(buckets, bucket_of(keys[i]), 1)


@device
def pick(thread: Any, log: Any, keys: Any, n: Any, chunk: Any, threshold: Any, counts: Any) -> None:
    """Count the references of a chunk to lines in the buckets under ``threshold``."""
    found = np.int64(0)
    for time in range(thread * chunk, min((thread + 1) * chunk, n)):
        if bucket_of(keys[time]) < threshold:
            found += 1
    counts[thread] = found


@device
def place(
    thread: Any, log: Any, keys: Any, n: Any, chunk: Any, threshold: Any, offsets: Any, places: Any, picked: Any
) -> None:
    """Write the times of those references one after the other, and for each time its place there."""
    at = offsets[thread]
    for time in range(thread * chunk, min((thread + 1) * chunk, n)):
        if bucket_of(keys[time]) < threshold:
            places[time], picked[at] = at, time
            at += 1


@device
def relink(thread: Any, log: Any, picked: Any, previous: Any, places: Any, n: Any, chunk: Any, linked: Any) -> None:
    """Write for each picked reference the place of the one before it to the same line, or -1."""
    for i in range(thread * chunk, min((thread + 1) * chunk, n)):
        before = previous[picked[i]]
        linked[i] = places[before] if before >= 0 else np.int64(-1)


@device
def bins(thread: Any, log: Any, distances: Any, n: Any, chunk: Any, all_lines: Any, sampled: Any, cells: Any) -> None:
    """Count reuse distances in log2 bins, each multiplied by ``all_lines / sampled``."""
    mine = local_array(DISTANCE_CELLS, np.int64)
    clear(mine, DISTANCE_CELLS)
    for i in range(thread * chunk, min((thread + 1) * chunk, n)):
        if distances[i] < 0:
            mine[COLD] += 1
        else:
            mine[min(bit_length(distances[i] * all_lines // sampled), DISTANCE_BINS - 1)] += 1
    flush(mine, cells, DISTANCE_CELLS)
