"""Sorting and stack distances where there is no library for them: passes for Numba CUDA and its simulator.

A stable radix sort by eight bits at a time, in which each thread keeps the order of its own chunk, and a
merge sort that counts on its way. No shared memory and no warp operations, so that the simulator can run it.
"""

# ruff: noqa: ANN401, ARG001, PLR0913, PLR0917  bodies take arrays, and many of them

from __future__ import annotations

from typing import Any, Final

import numpy as np

from hashwarden.kernels.device import device, local_array

__all__ = ["DIGITS", "add_offsets", "count_digits", "distance_of", "merge", "move", "start_merge", "sum_blocks"]

DIGITS: Final = 256


@device
def count_digits(thread: Any, log: Any, keys: Any, n: Any, chunk: Any, shift: Any, threads: Any, counts: Any) -> None:
    """Count the digits of a chunk; ``counts`` is ordered by digit, then by thread."""
    mine = local_array(DIGITS, np.int64)
    for digit in range(DIGITS):
        mine[digit] = 0
    for i in range(thread * chunk, min((thread + 1) * chunk, n)):
        mine[(keys[i] >> shift) & (DIGITS - 1)] += 1
    for digit in range(DIGITS):
        counts[digit * threads + thread] = mine[digit]


@device
def sum_blocks(thread: Any, log: Any, counts: Any, n: Any, block: Any, sums: Any) -> None:
    """Add up each block of counts."""
    total = np.int64(0)
    for i in range(thread * block, min((thread + 1) * block, n)):
        total += counts[i]
    sums[thread] = total


@device
def add_offsets(thread: Any, log: Any, counts: Any, n: Any, block: Any, starts: Any) -> None:
    """Replace counts by the sums of all before them; ``starts`` has those of the blocks."""
    total = starts[thread]
    for i in range(thread * block, min((thread + 1) * block, n)):
        count = counts[i]
        counts[i] = total
        total += count


@device
def move(
    thread: Any, log: Any, keys: Any, order: Any, n: Any, chunk: Any, shift: Any, threads: Any, offsets: Any,
    new_keys: Any, new_order: Any,
) -> None:  # fmt: skip
    """Put the keys of a chunk, and what stands beside them, where their digit belongs."""
    for i in range(thread * chunk, min((thread + 1) * chunk, n)):
        cell = ((keys[i] >> shift) & (DIGITS - 1)) * threads + thread
        place = offsets[cell]
        offsets[cell] = place + 1
        new_keys[place], new_order[place] = keys[i], order[i]


@device
def start_merge(thread: Any, log: Any, previous: Any, n: Any, chunk: Any, values: Any, owners: Any, over: Any) -> None:
    """Begin with runs of one reference each."""
    for i in range(thread * chunk, min((thread + 1) * chunk, n)):
        values[i], owners[i], over[i] = previous[i], i, 0


@device
def _below(values: Any, first: Any, last: Any, value: Any) -> Any:
    """How many of the ascending values are less than ``value``."""
    low, high = np.int64(first), np.int64(last)
    while low < high:
        middle = (low + high) >> 1
        if values[middle] < value:
            low = middle + 1
        else:
            high = middle
    return low - first


@device
def merge(
    thread: Any, log: Any, values: Any, owners: Any, n: Any, chunk: Any, width: Any, new_values: Any,
    new_owners: Any, over: Any,
) -> None:  # fmt: skip
    """Merge sorted runs of ``width`` by pairs; add to ``over`` how many of the left run each right one is under."""
    for i in range(thread * chunk, min((thread + 1) * chunk, n)):
        run, value = i // width, values[i]
        pair = run // 2 * 2 * width
        middle = min(pair + width, n)
        if run % 2:
            passed = _below(values, pair, middle, value + 1)
            over[owners[i]] += middle - pair - passed
            place = i - middle + pair + passed
        else:
            place = i + _below(values, middle, min(middle + width, n), value)
        new_values[place], new_owners[place] = value, owners[i]


@device
def distance_of(thread: Any, log: Any, previous: Any, over: Any, n: Any, chunk: Any, distances: Any) -> None:
    """Write the reuse distance: references between the two, less those to a line that came twice between them."""
    for i in range(thread * chunk, min((thread + 1) * chunk, n)):
        distances[i] = i - previous[i] - 1 - over[i] if previous[i] >= 0 else np.int64(-1)
