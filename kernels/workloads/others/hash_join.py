"""Hash join of two tables of integers: build a linear-probing table, then probe it.

The two halves of the join of a column store (Blanas, Li and Patel, SIGMOD 2011): random, dependent
accesses to a table that is larger than the caches, as in a memory-bound proof of work, and none of its
hashing.
"""

# ruff: noqa: ANN401, PLR0913, PLR0917  bodies take arrays, and many of them

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from hashwarden.kernels.device import compare_and_swap, device
from hashwarden.kernels.memory.recorder import atomic, begin, load, store
from hashwarden.kernels.workloads.plan import Arrays, Empty, Launch, Plan, Work, require_equal
from hashwarden.kernels.workloads.workload import Parameter, Settings, Workload

__all__ = ["WORKLOADS", "build_plan"]

EMPTY: Final = np.uint32(0)
_NONE: Final = -1
_SAMPLE: Final = 1 << 20


@device
def _key(row: Any) -> Any:
    """Key of a row: different for all rows, never `EMPTY` (the finaliser of MurmurHash3 is a bijection)."""
    value = np.uint32(row + 1)
    value = np.uint32(np.uint32(value ^ np.uint32(value >> np.uint32(16))) * np.uint32(0x85EBCA6B))
    value = np.uint32(np.uint32(value ^ np.uint32(value >> np.uint32(13))) * np.uint32(0xC2B2AE35))
    return np.uint32(value ^ np.uint32(value >> np.uint32(16)))


@device
def _asked(number: Any, rows: Any, seed: Any) -> Any:
    """Which row a probe looks for: half of them lie behind the table's last row."""
    return np.int64((np.uint64(number) * np.uint64(0x9E3779B97F4A7C15) + np.uint64(seed)) >> np.uint64(33)) % (2 * rows)


@device
def _slot(key: Any, mask: Any) -> Any:
    """Fibonacci hashing of a 32-bit key."""
    return np.int64(np.uint32(np.uint32(key) * np.uint32(2654435769)) >> np.uint32(4)) & np.int64(mask)


@device
def make_keys(thread: Any, log: Any, keys: Any) -> None:
    """Write the key of row ``thread``."""
    t = begin(log, thread)
    store(log, t, 0, 0, thread)
    keys[thread] = _key(thread)


@device
def make_wanted(thread: Any, log: Any, wanted: Any, rows: Any, seed: Any) -> None:
    """Write the key that probe ``thread`` looks for."""
    t = begin(log, thread)
    store(log, t, 0, 0, thread)
    wanted[thread] = _key(_asked(thread, rows, seed))


@device
def insert(thread: Any, log: Any, keys: Any, table_keys: Any, table_rows: Any) -> None:
    """Put row ``thread`` of the smaller table into the hash table."""
    t = begin(log, thread)
    t = load(log, t, 0, 0, thread)
    key = keys[thread]
    slot = _slot(key, len(table_keys) - 1)
    while True:
        t = atomic(log, t, 1, 1, slot, 1)
        if compare_and_swap(table_keys, slot, EMPTY, key) == EMPTY:
            break
        slot = (slot + 1) & (len(table_keys) - 1)
    t = store(log, t, 2, 2, slot, 1)
    table_rows[slot] = thread


@device
def probe(thread: Any, log: Any, wanted: Any, table_keys: Any, table_rows: Any, matches: Any) -> None:
    """Find the partner of row ``thread`` of the larger table."""
    t = begin(log, thread)
    t = load(log, t, 0, 0, thread)
    key = wanted[thread]
    slot, found = _slot(key, len(table_keys) - 1), np.int32(_NONE)
    depth = 1
    while True:
        t = load(log, t, 1, 1, slot, depth)
        held = table_keys[slot]
        if held == key:
            t = load(log, t, 2, 2, slot, depth + 1)
            found = np.int32(table_rows[slot])
            break
        if held == EMPTY:
            break
        slot, depth = (slot + 1) & (len(table_keys) - 1), depth + 1
    t = store(log, t, 3, 3, thread)
    matches[thread] = found


def build_plan(settings: Settings, seed: int) -> Plan:
    """Plan the join of ``build_rows`` rows with ``probe_rows`` rows, half of which have a partner."""
    rows, probes = settings["build_rows"], settings["probe_rows"]
    slots = 1 << int(2 * rows - 1).bit_length()
    arrays: Arrays = {
        "keys": Empty((rows,), np.uint32),
        "wanted": Empty((probes,), np.uint32),
        "table_keys": Empty((slots,), np.uint32),
        "table_rows": Empty((slots,), np.int32),
        "matches": Empty((probes,), np.int32),
    }

    def check(results: Mapping[str, NDArray[Any]]) -> None:
        number = np.random.default_rng(0).integers(0, probes, min(probes, _SAMPLE)).astype(np.uint64)
        mixed = number * np.uint64(0x9E3779B97F4A7C15) + np.uint64(seed)
        asked = (mixed >> np.uint64(33)).astype(np.int64) % (2 * rows)
        expected = np.where(asked < rows, asked, _NONE).astype(np.int32)
        require_equal("matches", results["matches"][number.astype(np.int64)], expected)

    return Plan(
        arrays,
        step=lambda _: (Launch(probe, probes, ("wanted", "table_keys", "table_rows", "matches")),),
        work=Work(units=probes, dram_bytes=probes * (2 * 32 + 8), int_ops=probes * 10),
        check=check,
        setup=(
            Launch(make_keys, rows, ("keys",)),
            Launch(make_wanted, probes, ("wanted", np.int64(rows), np.uint64(seed))),
            Launch(insert, rows, ("keys", "table_keys", "table_rows")),
        ),
    )


WORKLOADS: Final = (
    Workload(
        name="hash-join",
        label="hpc-other",
        family="hash-table",
        bound="memory",
        summary="Join of two integer tables through a linear-probing hash table (SIGMOD 2011)",
        unit="row",
        parameters=(
            Parameter("build_rows", "rows", 1, 1 << 28, "rows of the smaller table"),
            Parameter("probe_rows", "rows", 1, 1 << 36, "rows of the larger table, one thread each"),
        ),
        sizes={
            "small": {"build_rows": 40, "probe_rows": 64},
            "trace": {"build_rows": 1 << 19, "probe_rows": 1 << 17},
            "gpu": {"build_rows": 1 << 26, "probe_rows": 1 << 26},
        },
        build=build_plan,
    ),
)
