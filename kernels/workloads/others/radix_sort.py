"""Radix sort of 32-bit keys with 32-bit values, least significant digit first.

Each pass counts the digits of every thread's keys, scans the counts digit by digit, and scatters (Satish,
Harris and Garland, IPDPS 2009). Integer work and scattered stores, as in the bucket sorts of Equihash, but
no hash.
"""

# ruff: noqa: ANN401, PLR0913, PLR0917  bodies take arrays, and many of them

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from hashwarden.kernels.device import device, local_array
from hashwarden.kernels.memory.recorder import begin, load, store
from hashwarden.kernels.workloads.others.mixing import mix_32
from hashwarden.kernels.workloads.others.scan import scan_arrays, scan_launches
from hashwarden.kernels.workloads.plan import Arrays, Empty, Launch, Plan, Work, require_equal
from hashwarden.kernels.workloads.workload import Parameter, Settings, Workload

__all__ = ["WORKLOADS", "build_plan"]

BITS: Final = 4
DIGITS: Final = 1 << BITS
PASSES: Final = 32 // BITS
VECTOR: Final = 4
_ALL_BELOW: Final = 1 << 20
_SAMPLE: Final = 1 << 16


@device
def fill(thread: Any, log: Any, keys: Any, salt: Any) -> None:
    """Make key ``thread``."""
    t = begin(log, thread)
    t = store(log, t, 0, 0, thread)
    keys[thread] = mix_32(np.uint32(np.uint32(thread) + np.uint32(salt)))


@device
def count_digits(thread: Any, log: Any, keys: Any, counts: Any, tile: Any, shift: Any) -> None:
    """Count the digits of the keys of a thread."""
    t = begin(log, thread)
    own = local_array(DIGITS, np.int64)
    threads = len(counts) // DIGITS
    for digit in range(DIGITS):
        own[digit] = 0
    for first in range(thread * tile, (thread + 1) * tile, VECTOR):
        t = load(log, t, 0, 0, first, 0, VECTOR)
        for index in range(first, first + VECTOR):
            own[(np.int64(keys[index]) >> shift) & (DIGITS - 1)] += 1
    for digit in range(DIGITS):
        t = store(log, t, 1, 1, digit * threads + thread)
        counts[digit * threads + thread] = np.uint32(own[digit])


@device
def scatter(
    thread: Any,
    log: Any,
    keys: Any,
    values: Any,
    offsets: Any,
    sorted_keys: Any,
    sorted_values: Any,
    tile: Any,
    shift: Any,
) -> None:
    """Move the keys and values of a thread to their places."""
    t = begin(log, thread)
    place = local_array(DIGITS, np.int64)
    threads = len(offsets) // DIGITS
    for digit in range(DIGITS):
        t = load(log, t, 0, 2, digit * threads + thread)
        place[digit] = np.int64(offsets[digit * threads + thread])
    for first in range(thread * tile, (thread + 1) * tile, VECTOR):
        t = load(log, t, 1, 0, first, 0, VECTOR)
        t = load(log, t, 2, 1, first, 0, VECTOR)
        for index in range(first, first + VECTOR):
            key = keys[index]
            digit = (np.int64(key) >> shift) & (DIGITS - 1)
            target = place[digit]
            place[digit] = target + 1
            t = store(log, t, 3, 3, target, 1)
            sorted_keys[target] = key
            t = store(log, t, 4, 4, target, 1)
            # The first pass sorts the numbers of the keys.
            sorted_values[target] = values[index] if shift else np.uint32(index)


def _passes(threads: int, tile: int) -> list[Launch]:
    launches = []
    buffers = (("keys", "values"), ("keys_a", "values_a"), ("keys_b", "values_b"))
    for number in range(PASSES):
        source = buffers[0 if number == 0 else 1 + (number - 1) % 2]
        target = buffers[1 + number % 2]
        scalars = (np.int64(tile), np.int64(number * BITS))
        launches.append(Launch(count_digits, threads, (source[0], "counts", *scalars)))
        launches.extend(scan_launches("counts", threads * DIGITS))
        launches.append(Launch(scatter, threads, (*source, "counts", *target, *scalars)))
    return launches


def build_plan(settings: Settings, seed: int) -> Plan:
    """Plan sorts of ``keys`` keys, new ones in each step."""
    count, tile = settings["keys"], settings["tile"]
    tile = min(tile, count)
    threads = count // tile
    arrays: Arrays = {
        **{name: Empty((count,), np.uint32) for name in ("keys", "keys_a", "keys_b")},
        **{name: Empty((count,), np.uint32) for name in ("values", "values_a", "values_b")},
        **scan_arrays("counts", threads * DIGITS),
    }
    passes = _passes(threads, tile)
    last = "ab"[(PASSES - 1) % 2]

    def step(number: int) -> tuple[Launch, ...]:
        salt = np.uint32((seed * 0x9E3779B1 + number * count) & 0xFFFFFFFF)
        return (Launch(fill, count, ("keys", salt)), *passes)

    def check(results: Mapping[str, NDArray[Any]]) -> None:
        keys, ordered, order = results["keys"], results[f"keys_{last}"], results[f"values_{last}"]
        if count <= _ALL_BELOW:
            expected = np.argsort(keys, kind="stable")
            require_equal("values", order, expected.astype(np.uint32))
            require_equal("keys", ordered, keys[expected])
            return
        rises = ordered[1:] >= ordered[:-1]
        require_equal("rises", rises, np.ones_like(rises))
        places = np.random.default_rng(seed).integers(0, count, _SAMPLE)
        require_equal("keys", ordered[places], keys[order[places]])
        seen = np.zeros(count, bool)
        seen[order] = True
        require_equal("values seen", seen, np.ones_like(seen))

    # A pass reads keys twice and values once and writes both; the counts add their share.
    moved = PASSES * (count * 20 + threads * DIGITS * 16)
    return Plan(arrays, step=step, work=Work(units=count, dram_bytes=moved, int_ops=PASSES * count * 20), check=check)


WORKLOADS: Final = (
    Workload(
        name="radix-sort",
        label="hpc-other",
        family="sort",
        bound="memory",
        summary="Radix sort of pairs of a 32-bit key and value, 4 bits a pass (IPDPS 2009)",
        unit="key",
        parameters=(
            Parameter("keys", "keys", 4, 1 << 29, "keys to sort", power_of_two=True),
            Parameter("tile", "keys", 4, 1024, "keys of a thread", power_of_two=True),
        ),
        sizes={
            "small": {"keys": 128, "tile": 4},
            "trace": {"keys": 1 << 16, "tile": 32},
            "gpu": {"keys": 1 << 26, "tile": 64},
        },
        build=build_plan,
    ),
)
