"""Small device functions that the passes over a log share."""

# ruff: noqa: ANN401, PLR0913, PLR0917  compiled code takes arrays and numbers of any type, and many of them

from __future__ import annotations

from typing import Any

import numpy as np

from hashwarden.kernels.device import atomic_add, device
from hashwarden.kernels.memory.patterns_cells import (
    BUCKETS,
    CHAINED,
    CONSTANT,
    DIFFERENCE_BITS,
    IRREGULAR,
    NO_DIFFERENCE,
    STEP_MIDDLE,
    UNIT,
    ZERO,
)

__all__ = ["add_step", "bit_length", "bucket_of", "clear", "difference_key", "flush", "lower_bound", "run_end"]


@device
def bit_length(value: Any) -> Any:
    """Binary digits of an integer from 0 to 2**63 - 1: 0 for 0, else 1 + floor(log2)."""
    left, bits = np.int64(value), np.int64(0)
    for width in (32, 16, 8, 4, 2, 1):
        if left >> width:
            left >>= width
            bits += width
    return bits + left


@device
def clear(mine: Any, count: Any) -> None:
    """Set private counters to zero."""
    for cell in range(count):
        mine[cell] = 0


@device
def flush(mine: Any, cells: Any, count: Any) -> None:
    """Add private counters to the common ones."""
    for cell in range(count):
        if mine[cell] != 0:
            atomic_add(cells, cell, mine[cell])


@device
def add_step(mine: Any, at: Any, step: Any, width: Any, chained: Any, previous: Any) -> None:
    """Count a step of ``step`` bytes by an access of ``width``; ``previous`` is the step before, if ``chained``."""
    size = abs(step)
    bin_ = min(bit_length(size), STEP_MIDDLE)
    mine[at + STEP_MIDDLE + (bin_ if step >= 0 else -bin_)] += 1
    if step == 0:
        mine[at + ZERO] += 1
    elif size == width:
        mine[at + UNIT] += 1
    if chained:
        mine[at + CHAINED] += 1
        if step == previous:
            mine[at + CONSTANT] += 1
        elif step != 0 and size != width:
            mine[at + IRREGULAR] += 1


@device
def lower_bound(keys: Any, first: Any, last: Any, key: Any) -> Any:
    """First place from ``first`` on, before ``last``, whose key is not less than ``key``."""
    low, high = np.int64(first), np.int64(last)
    while low < high:
        middle = (low + high) >> 1
        if keys[middle] < key:
            low = middle + 1
        else:
            high = middle
    return low


@device
def run_end(keys: Any, place: Any, count: Any, shift: Any) -> Any:
    """First place behind ``place`` of ascending keys that differs from it in the bits from ``shift`` on."""
    value, step = keys[place] >> shift, np.int64(1)
    while place + step < count and keys[place + step] >> shift == value:
        step *= 2
    return lower_bound(keys, place + step // 2 + 1, min(place + step, count), (value + 1) << shift)


@device
def bucket_of(key: Any) -> Any:
    """16 well mixed bits of a line's or sector's number: 0 to `BUCKETS` - 1 (lowbias32, public domain).

    Not the hash that the recorder chooses lines by: what that one kept must be spread anew.
    """
    value = np.uint32(
        np.uint32(np.int64(key) & 0xFFFFFFFF) ^ np.uint32(np.uint32(np.int64(key) >> 32) * np.uint32(40503))
    )
    value = np.uint32(np.uint32(value ^ np.uint32(value >> np.uint32(16))) * np.uint32(0x7FEB352D))
    value = np.uint32(np.uint32(value ^ np.uint32(value >> np.uint32(15))) * np.uint32(0x846CA68B))
    value = np.uint32(value ^ np.uint32(value >> np.uint32(16)))
    return np.int64(value) & (BUCKETS - 1)


@device
def difference_key(launch: Any, site: Any, step: Any) -> Any:
    """`DIFFERENCE_BITS` well mixed bits of launch, site and difference (splitmix64's finaliser).

    Two that differ share a key with a chance of 2**-48; n of them meet with n**2 / 2**49.
    """
    value = np.uint64(np.int64(step)) + np.uint64((np.int64(launch) << 16) | np.int64(site)) * np.uint64(
        0x9E3779B97F4A7C15
    )
    value = (value ^ (value >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    value = (value ^ (value >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    value = value ^ (value >> np.uint64(31))
    return min(np.int64(value >> np.uint64(64 - DIFFERENCE_BITS)), NO_DIFFERENCE - 1)
