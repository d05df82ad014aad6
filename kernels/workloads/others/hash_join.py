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

EMPTY: Final = np.uint32(0xFFFFFFFF)
_NONE: Final = -1


@device
def _slot(key: Any, mask: Any) -> Any:
    """Fibonacci hashing of a 32-bit key."""
    return np.int64(np.uint32(np.uint32(key) * np.uint32(2654435769)) >> np.uint32(7)) & np.int64(mask)


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
def probe(thread: Any, log: Any, keys: Any, table_keys: Any, table_rows: Any, matches: Any) -> None:
    """Find the partner of row ``thread`` of the larger table."""
    t = begin(log, thread)
    t = load(log, t, 0, 0, thread)
    key = keys[thread]
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
    random = np.random.default_rng(seed)
    keys = random.choice(1 << 31, rows, replace=False).astype(np.uint32)
    asked = np.where(
        random.random(probes) < 0.5, random.choice(keys, probes), random.integers(1 << 31, 1 << 32, probes)
    )
    wanted = asked.astype(np.uint32)
    slots = 1 << int(2 * rows - 1).bit_length()
    arrays: Arrays = {
        "keys": keys,
        "wanted": wanted,
        "table_keys": np.full(slots, EMPTY, np.uint32),
        "table_rows": Empty((slots,), np.int32),
        "matches": Empty((probes,), np.int32),
    }

    def check(results: Mapping[str, NDArray[Any]]) -> None:
        order = np.argsort(keys)
        place = np.minimum(np.searchsorted(keys, wanted, sorter=order), rows - 1)
        expected = np.where(keys[order[place]] == wanted, order[place], _NONE)
        require_equal("matches", results["matches"], expected.astype(np.int32))

    return Plan(
        arrays,
        step=lambda _: (Launch(probe, probes, ("wanted", "table_keys", "table_rows", "matches")),),
        work=Work(units=probes, dram_bytes=probes * (2 * 32 + 8), int_ops=probes * 10),
        check=check,
        setup=(Launch(insert, rows, ("keys", "table_keys", "table_rows")),),
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
            Parameter("probe_rows", "rows", 1, 1 << 30, "rows of the larger table, one thread each"),
        ),
        sizes={
            "small": {"build_rows": 40, "probe_rows": 64},
            "trace": {"build_rows": 1 << 21, "probe_rows": 1 << 16},
            "gpu": {"build_rows": 1 << 26, "probe_rows": 1 << 26},
        },
        build=build_plan,
    ),
)
