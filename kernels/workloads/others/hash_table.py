"""Hash tables of 64-bit keys: linear probing, and two choices with eviction (cuckoo hashing) and a stash.

Keys are spread by MurmurHash3's finaliser. As in the GPU tables of WarpCore (HiPC 2020) and of Alcantara and
others (SIGGRAPH Asia 2009): hashes of numbers, and random dependent accesses to far more memory than the
caches hold.
"""

# ruff: noqa: ANN401, PLR0913, PLR0917  bodies take arrays, and many of them

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from hashwarden.kernels.device import atomic_add, atomic_exchange, compare_and_swap, device
from hashwarden.kernels.memory.recorder import atomic, begin, load, store
from hashwarden.kernels.workloads.others.mixing import mix_64
from hashwarden.kernels.workloads.plan import Arrays, Empty, Launch, Plan, Work, require_equal
from hashwarden.kernels.workloads.workload import Parameter, Settings, Workload

__all__ = ["WORKLOADS", "build_linear", "build_two_choices"]

EMPTY: Final = np.uint64(0)
NONE: Final = -1
EVICTIONS: Final = 64
STASH: Final = 64
_SAMPLE: Final = 4096
_MISSING: Final = 16
_SORTED: Final = 1 << 20


@device
def make_keys(thread: Any, log: Any, keys: Any, first: Any, factor: Any, mask: Any) -> None:
    """Make key ``thread``: number ``first + factor * thread`` of a series without repetition."""
    t = begin(log, thread)
    t = store(log, t, 0, 0, thread)
    number = (np.int64(first) + np.int64(factor) * thread) & mask
    keys[thread] = mix_64(np.uint64(np.uint64(number) + np.uint64(0x123456789)))


@device
def _slot(key: Any, choice: Any, slots: Any) -> Any:
    """Slot of a key: another one for each choice."""
    mixed = mix_64(np.uint64(key ^ np.uint64(np.uint64(choice + 1) * np.uint64(0x9E3779B97F4A7C15))))
    return np.int64(np.uint64(mixed >> np.uint64(8))) & (slots - 1)


@device
def insert_linear(thread: Any, log: Any, keys: Any, table: Any, rows: Any) -> None:
    """Put key ``thread`` into the first free slot."""
    t = begin(log, thread)
    t = load(log, t, 0, 0, thread)
    key = keys[thread]
    slot = _slot(key, 0, len(table))
    while True:
        t = atomic(log, t, 1, 1, slot, 1)
        if compare_and_swap(table, slot, EMPTY, key) == EMPTY:
            break
        slot = (slot + 1) & (len(table) - 1)
    t = store(log, t, 2, 2, slot, 1)
    rows[slot] = thread


@device
def find_linear(thread: Any, log: Any, wanted: Any, table: Any, rows: Any, found: Any) -> None:
    """Look up key ``thread`` of those wanted."""
    t = begin(log, thread)
    t = load(log, t, 0, 0, thread)
    key, row, depth = wanted[thread], np.int32(NONE), 1
    slot = _slot(key, 0, len(table))
    while True:
        t = load(log, t, 1, 1, slot, depth)
        held = table[slot]
        if held == key:
            t = load(log, t, 2, 2, slot, depth)
            row = np.int32(rows[slot])
            break
        if held == EMPTY:
            break
        # The next slot does not depend on what was read, yet whether it is read does.
        slot, depth = (slot + 1) & (len(table) - 1), depth + 1
    t = store(log, t, 3, 3, thread)
    found[thread] = row


@device
def insert_two(thread: Any, log: Any, keys: Any, table: Any, stash: Any, stashed: Any) -> None:
    """Put key ``thread`` into its first slot, and whatever was there into its other one, and so on."""
    t = begin(log, thread)
    t = load(log, t, 0, 0, thread)
    key = keys[thread]
    slot = _slot(key, 0, len(table))
    depth = 1
    for _ in range(EVICTIONS):
        t = atomic(log, t, 1, 1, slot, depth)
        key = np.uint64(atomic_exchange(table, slot, key))
        if key == EMPTY:
            return
        first = _slot(key, 0, len(table))
        slot, depth = _slot(key, 1, len(table)) if slot == first else first, depth + 1
    t = atomic(log, t, 2, 3, 0)
    place = np.int64(atomic_add(stashed, 0, np.uint32(1)))
    if place < len(stash):
        t = store(log, t, 3, 2, place, depth)
        stash[place] = key


@device
def _find(log: Any, t: Any, key: Any, table: Any, stash: Any, stashed: Any) -> Any:
    """Slot of a key, ``len(table)`` and more in the stash, or NONE."""
    for choice in range(2):
        slot = _slot(key, choice, len(table))
        t = load(log, t, 4, 1, slot, 1)
        if table[slot] == key:
            return slot, t
    t = load(log, t, 5, 3, 0)
    kept: Any = min(np.int64(stashed[0]), len(stash))
    for place in range(kept):
        t = load(log, t, 6, 2, place)
        if stash[place] == key:
            return np.int64(len(table) + place), t
    return np.int64(NONE), t


@device
def note_rows(thread: Any, log: Any, keys: Any, table: Any, stash: Any, stashed: Any, rows: Any) -> None:
    """Note the row of key ``thread`` beside the slot where it ended up."""
    t = begin(log, thread)
    t = load(log, t, 0, 0, thread)
    slot, t = _find(log, t, keys[thread], table, stash, stashed)
    if slot != NONE:
        t = store(log, t, 1, 4, slot, 2)
        rows[slot] = thread


@device
def find_two(thread: Any, log: Any, wanted: Any, table: Any, stash: Any, stashed: Any, rows: Any, found: Any) -> None:
    """Look up key ``thread`` of those wanted."""
    t = begin(log, thread)
    t = load(log, t, 0, 0, thread)
    slot, t = _find(log, t, wanted[thread], table, stash, stashed)
    row = np.int32(NONE)
    if slot != NONE:
        t = load(log, t, 1, 4, slot, 2)
        row = np.int32(rows[slot])
    t = store(log, t, 2, 5, thread)
    found[thread] = row


def _check(results: Mapping[str, NDArray[Any]], seed: int) -> None:
    """Rows of a sample of keys, by sorting where there are few and by looking at all where there are many."""
    keys, wanted, found = results["keys"], results["wanted"], results["found"]
    chosen = np.random.default_rng(seed).integers(0, len(wanted), _SAMPLE)
    asked, rows = wanted[chosen], found[chosen]
    there = rows != NONE
    require_equal("keys found", keys[rows[there]], asked[there])
    missing = asked[~there]
    if len(keys) > _SORTED:
        missing = missing[:_MISSING]
        present = np.array([bool((keys == key).any()) for key in missing], bool)
    else:
        present = np.isin(missing, keys)
    require_equal("keys missed", present, np.zeros(len(missing), bool))
    if "stashed" in results:
        require_equal("stash fits", results["stashed"] <= STASH, np.array([True]))


def _plan(settings: Settings, seed: int, arrays: Arrays, build: tuple[Launch, ...], find: Launch) -> Plan:
    count, lookups = settings["keys"], settings["lookups"]
    both = 1 << (2 * count - 1).bit_length()
    mask = np.int64(both - 1)
    own: Arrays = {
        "keys": Empty((count,), np.uint64),
        "wanted": Empty((lookups,), np.uint64),
        "found": Empty((lookups,), np.int32),
        **arrays,
    }

    def step(number: int) -> tuple[Launch, ...]:
        first = np.int64((seed + 1) * 7919 + number * 104729)
        return (Launch(make_keys, lookups, ("wanted", first, np.int64(0x9E3779B1), mask)), find)

    return Plan(
        own,
        step=step,
        work=Work(units=lookups, dram_bytes=lookups * (2 * 32 + 24), int_ops=lookups * 50),
        check=lambda results: _check(results, seed),
        setup=(Launch(make_keys, count, ("keys", np.int64(0), np.int64(1), mask)), *build),
    )


def build_linear(settings: Settings, seed: int) -> Plan:
    """Plan look-ups in a table that is half full or less; about half of the keys are there."""
    count, lookups = settings["keys"], settings["lookups"]
    slots = 1 << (2 * count - 1).bit_length()
    arrays: Arrays = {"table": Empty((slots,), np.uint64), "rows": Empty((slots,), np.int32)}
    insert = Launch(insert_linear, count, ("keys", "table", "rows"))
    return _plan(settings, seed, arrays, (insert,), Launch(find_linear, lookups, ("wanted", "table", "rows", "found")))


def build_two_choices(settings: Settings, seed: int) -> Plan:
    """Plan look-ups in a table that is at most four tenths full."""
    count, lookups = settings["keys"], settings["lookups"]
    slots = 1 << (5 * count // 2 - 1).bit_length()
    arrays: Arrays = {
        "table": Empty((slots,), np.uint64),
        "stash": Empty((STASH,), np.uint64),
        "stashed": Empty((1,), np.uint32),
        "rows": Empty((slots + STASH,), np.int32),
    }
    where = ("table", "stash", "stashed")
    build = (Launch(insert_two, count, ("keys", *where)), Launch(note_rows, count, ("keys", *where, "rows")))
    return _plan(settings, seed, arrays, build, Launch(find_two, lookups, ("wanted", *where, "rows", "found")))


def _workload(name: str, summary: str, build: Callable[[Settings, int], Plan]) -> Workload:
    return Workload(
        name=name,
        label="hash-other",
        family="hash-table",
        bound="memory",
        summary=summary,
        unit="look-up",
        parameters=(
            Parameter("keys", "keys", 1, 1 << 28, "keys in the table"),
            Parameter("lookups", "keys", 1, 1 << 30, "keys to look up in a step, a thread each"),
        ),
        sizes={
            "small": {"keys": 48, "lookups": 64},
            "trace": {"keys": 3 << 17, "lookups": 1 << 17},
            "gpu": {"keys": 3 << 24, "lookups": 1 << 26},
        },
        build=build,
    )


WORKLOADS: Final = (
    _workload("hash-table-linear", "Look-ups in a table with linear probing (HiPC 2020)", build_linear),
    _workload("hash-table-cuckoo", "Look-ups in a cuckoo table with a stash (SIGGRAPH Asia 2009)", build_two_choices),
)
