"""Buckets of strings in memory, as the rounds of Wagner's algorithm fill and read them.

A level has ``2**bucket_bits`` buckets of ``2**slot_bits`` places of ``stride`` words; a counter for each bucket
hands the places out. In the bodies that use these functions the counters are argument 1, the strings read
argument 0, the strings written argument 2 and their references argument 3.
"""

# ruff: noqa: ANN401, PLR0913, PLR0917  device functions take arrays, and many of them

from __future__ import annotations

from typing import Any, Final

import numpy as np

from hashwarden.kernels.device import atomic_add, device
from hashwarden.kernels.memory.recorder import atomic, load, store

__all__ = ["insert", "load_words", "own_string"]

QUAD: Final = 4  # words of an access of 16 bytes


@device
def load_words(log: Any, t: Any, site: Any, argument: Any, at: Any, used: Any) -> Any:
    """Record the load of ``used`` words by accesses of at most 16 bytes."""
    for quad in range(0, used, QUAD):
        t = load(log, t, site, argument, at + quad, 0, min(used - quad, QUAD))
    return t


@device
def insert(
    log: Any, t: Any, target: Any, refs: Any, counts: Any, words: Any, ref: Any, used: Any, shape: Any, level: Any
) -> Any:
    """Put a string and its reference into the bucket of its leading bits; sites 10 to 12, arguments 1 to 3.

    ``shape`` holds the bits of a bucket's number, of a place's, and the words of a string's slot.
    """
    bucket_bits, slot_bits, stride = shape
    bucket = np.int64(np.uint32(words[0] >> np.uint32(32 - bucket_bits)))
    counter = (np.int64(level) << bucket_bits) + bucket
    t = atomic(log, t, 10, 1, counter, 1)
    slot = np.int64(atomic_add(counts, counter, np.uint32(1)))
    if slot >> slot_bits == 0:
        place = (bucket << slot_bits) + slot
        for quad in range(0, used, QUAD):
            t = store(log, t, 11, 2, place * stride + quad, 2, min(used - quad, QUAD))
        for i in range(used):
            target[place * stride + i] = words[i]
        place += np.int64(level) << (bucket_bits + slot_bits)
        t = store(log, t, 12, 3, place, 2)
        refs[place] = np.uint32(ref)
    return t


@device
def own_string(
    log: Any, t: Any, source: Any, counts: Any, place: Any, used: Any, shape: Any, level: Any, words: Any
) -> Any:
    """Read the string at a place of the last level, or say that there is none; sites 0 and 1, arguments 0 and 1."""
    bucket_bits, slot_bits, stride = shape
    counter = (np.int64(level) << bucket_bits) + (place >> slot_bits)
    t = load(log, t, 0, 1, counter)
    if (place & ((1 << slot_bits) - 1)) >= np.int64(counts[counter]):
        return t, False
    t = load_words(log, t, 1, 0, place * stride, used)
    for i in range(used):
        words[i] = source[place * stride + i]
    return t, True
