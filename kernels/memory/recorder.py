"""The device side of the address log: what a kernel calls at its loads and stores.

A body starts with ``t = begin(log, thread)`` and then writes ``t = load(log, t, ...)`` beside every
load. ``t`` holds the thread and its count of accesses in one register, or is negative in a thread that
is not sampled. With ``log`` None, as in the kernels that do not record, all of it compiles to nothing.

Sampling keeps whole requests (an access is kept for all lanes of a warp or for none), or, by line, every
access to the kept 128-byte lines, which is what an estimate of reuse distances needs (SHARDS, FAST 2015).
Entries go to a ring that `hashwarden.kernels.memory.log.Recorder` empties; what finds it full is dropped
and counted, never overwritten.
"""

# ruff: noqa: ANN401, PLR0913, PLR0917  compiled code takes arrays and numbers of any type, and many of them

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np

from hashwarden.kernels.device import atomic_add, device

__all__ = [
    "ATOMIC",
    "BY_LINE",
    "CAPACITY",
    "CONTROL_WORDS",
    "CURSOR",
    "ENTRY_WORDS",
    "EVERY_ACCESS",
    "EVERY_WARP",
    "LAUNCH",
    "LINE_BYTES",
    "LOAD",
    "SEED",
    "STORE",
    "TAIL",
    "WARP",
    "LogArrays",
    "atomic",
    "begin",
    "load",
    "store",
]

LOAD: Final = 0
STORE: Final = 1
ATOMIC: Final = 2
"""Kinds of access; an atomic operation reads and writes."""

WARP: Final = 32
"""Threads of a warp: consecutive thread numbers, from a multiple of 32."""

LINE_BYTES: Final = 128
"""A cache line of the GPUs from Volta on: four sectors of 32 bytes."""

ENTRY_WORDS: Final = 3
"""int64 words of an entry: address; thread and count; launch, depth, site, bytes and kind (see `_record`)."""

# Places in the control array.
CURSOR: Final = 0
CAPACITY: Final = 1
TAIL: Final = 2
LAUNCH: Final = 3
SEED: Final = 4
EVERY_WARP: Final = 5
EVERY_ACCESS: Final = 6
BY_LINE: Final = 7
CONTROL_WORDS: Final = 8

_DEEPEST: Final = 0xFFFF


class LogArrays(NamedTuple):
    """The log as a kernel sees it.

    Attributes
    ----------
    entries : int64, shape (capacity, ENTRY_WORDS)
        The ring.
    control : int64, shape (CONTROL_WORDS,)
        Cursor, and what to keep.
    bases : int64, shape (arguments,)
        Address of each argument of the body, counted behind ``thread`` and ``log``; 0 for a scalar.
    widths : int64, shape (arguments,)
        Bytes of an element of each argument; 0 for a scalar.
    """

    entries: Any
    control: Any
    bases: Any
    widths: Any


@device
def _spread(key: Any, seed: Any) -> Any:
    """32 well mixed bits of an integer (the finaliser of MurmurHash3, public domain)."""
    value = np.uint32(np.uint32(key) ^ np.uint32(np.uint32(np.int64(key) >> 32) * np.uint32(0x9E3779B1)))
    # Zero stays zero in what follows, so that no key and seed may lead there together.
    value = np.uint32(value ^ np.uint32(np.uint32(seed) * np.uint32(0x9E3779B1) + np.uint32(0x7F4A7C15)))
    value = np.uint32(np.uint32(value ^ np.uint32(value >> np.uint32(16))) * np.uint32(0x85EBCA6B))
    value = np.uint32(np.uint32(value ^ np.uint32(value >> np.uint32(13))) * np.uint32(0xC2B2AE35))
    return np.uint32(value ^ np.uint32(value >> np.uint32(16)))


@device
def _chosen(key: Any, seed: Any, every: Any) -> Any:
    """Whether this key is the one in ``every`` that is kept."""
    return (np.int64(_spread(key, seed)) * np.int64(every)) >> 32 == 0


@device
def begin(log: Any, thread: Any) -> Any:
    """Start the record of a thread.

    Parameters
    ----------
    log : LogArrays or None
        As the body got it.
    thread : int
        Number of the thread in its launch, from 0; 32 in a row are a warp.

    Returns
    -------
    int64
        The state to hand to `load`, `store` and `atomic`; negative if the warp is not sampled.
    """
    if log is None:
        return np.int64(-1)
    every = log.control[EVERY_WARP]
    if every < 1 or not _chosen(np.int64(thread) // WARP, log.control[SEED], every):
        return np.int64(-1)
    return np.int64(thread) << 32


@device
def load(log: Any, t: Any, site: Any, argument: Any, index: Any, depth: Any = 0, count: Any = 1) -> Any:
    """Record a load.

    Parameters
    ----------
    log, t
        The log and the state of the thread.
    site : int
        Number of this place in the body's text, 0 to 65,535: what a program counter would tell.
    argument : int
        Which argument of the body is read, counted from 0 behind ``thread`` and ``log``.
    index : int
        Flat index of the first element.
    depth : int
        How many loads, one after the other, had to return before this address was known: 0 where it
        follows from the thread's number, one more than the load that the address came from elsewhere.
    count : int
        Elements in one access, as in a vector load.

    Returns
    -------
    int64
        The new state.
    """
    if log is None:
        return t
    what = np.int64(site), np.int64(argument), np.int64(index), np.int64(depth), np.int64(count), np.int64(LOAD)
    return _record(log, t, *what)


@device
def store(log: Any, t: Any, site: Any, argument: Any, index: Any, depth: Any = 0, count: Any = 1) -> Any:
    """Record a store; the parameters are those of `load`."""
    if log is None:
        return t
    what = np.int64(site), np.int64(argument), np.int64(index), np.int64(depth), np.int64(count), np.int64(STORE)
    return _record(log, t, *what)


@device
def atomic(log: Any, t: Any, site: Any, argument: Any, index: Any, depth: Any = 0, count: Any = 1) -> Any:
    """Record an atomic operation; the parameters are those of `load`."""
    if log is None:
        return t
    what = np.int64(site), np.int64(argument), np.int64(index), np.int64(depth), np.int64(count), np.int64(ATOMIC)
    return _record(log, t, *what)


@device
def _record(log: Any, t: Any, site: Any, argument: Any, index: Any, depth: Any, count: Any, kind: Any) -> Any:
    # All integers are int64 here, so that this is compiled once and not for every type of index.
    if t < 0:
        return t
    control = log.control
    width = log.widths[argument]
    address = log.bases[argument] + np.int64(index) * width
    every = control[EVERY_ACCESS]
    if every > 1:
        request = ((t >> 37) << 32) | (t & 0xFFFFFFFF)
        key = address // LINE_BYTES if control[BY_LINE] else request
        if not _chosen(key, control[SEED], every):
            return t + 1
    place = np.int64(atomic_add(control, CURSOR, 1))
    if place - control[TAIL] < control[CAPACITY]:
        row = place % control[CAPACITY]
        entries = log.entries
        entries[row, 0] = address
        entries[row, 1] = t
        entries[row, 2] = (
            (control[LAUNCH] << 48)
            | (np.int64(min(depth, _DEEPEST)) << 32)
            | (np.int64(site) << 16)
            | (np.int64(count) * width << 2)
            | kind
        )
    return t + 1
