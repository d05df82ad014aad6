"""Multi-scalar multiplication on BN254, by Pippenger's buckets: most of the time of a Groth16 or KZG prover.

Scalars are cut into windows; all points of a window that share a digit are added into one bucket, buckets are
added up by running sums, and windows by doubling (Bernstein and others, INDOCRYPT 2012). 256-bit modular
arithmetic on gathered points.
"""

# ruff: noqa: ANN401, PLR0913, PLR0917  bodies take arrays, and many of them

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from hashwarden.kernels.device import atomic_add, device, local_array
from hashwarden.kernels.memory.recorder import atomic, begin, load, store
from hashwarden.kernels.workloads.others.bn254 import (
    LIMBS,
    ORDER,
    POINT,
    add_points,
    set_neutral,
    to_montgomery,
)
from hashwarden.kernels.workloads.others.scan import scan_arrays, scan_launches
from hashwarden.kernels.workloads.plan import Arrays, Empty, Launch, Plan, Work, require_equal
from hashwarden.kernels.workloads.workload import Parameter, Settings, Workload

__all__ = ["WORKLOADS", "build_plan"]

_DISTINCT: Final = 1 << 10
_ADDITION: Final = 14 * 300
"""Integer instructions of an addition: 14 products of 8 by 8 limbs and what goes with them."""

_Point = tuple[int, int] | None


@device
def clear(thread: Any, log: Any, starts: Any, filled: Any) -> None:
    """Empty a bucket's count."""
    t = begin(log, thread)
    t = store(log, t, 0, 0, thread)
    starts[thread] = np.uint32(0)
    if thread < len(filled):
        t = store(log, t, 1, 1, thread)
        filled[thread] = np.uint32(0)


@device
def _digit(scalars: Any, word: Any, shift: Any, bits: Any) -> Any:
    return (np.int64(scalars[word]) >> shift) & ((1 << bits) - 1)


@device
def count_digits(thread: Any, log: Any, scalars: Any, starts: Any, bits: Any, windows: Any, words: Any) -> None:
    """Count the buckets of scalar ``thread``."""
    t = begin(log, thread)
    for window in range(windows):
        word = thread * words + window * bits // 32
        t = load(log, t, 0, 0, word)
        bucket = (window << bits) + _digit(scalars, word, window * bits % 32, bits)
        t = atomic(log, t, 1, 1, bucket, 1)
        atomic_add(starts, bucket, np.uint32(1))


@device
def place_points(
    thread: Any,
    log: Any,
    scalars: Any,
    starts: Any,
    filled: Any,
    members: Any,
    bits: Any,
    windows: Any,
    words: Any,
) -> None:
    """Put the number of point ``thread`` into its buckets."""
    t = begin(log, thread)
    for window in range(windows):
        word = thread * words + window * bits // 32
        t = load(log, t, 0, 0, word)
        bucket = (window << bits) + _digit(scalars, word, window * bits % 32, bits)
        t = load(log, t, 1, 1, bucket, 1)
        t = atomic(log, t, 2, 2, bucket, 1)
        place = np.int64(starts[bucket]) + np.int64(atomic_add(filled, bucket, np.uint32(1)))
        t = store(log, t, 3, 3, place, 2)
        members[place] = np.uint32(thread)


@device
def _take(log: Any, t: Any, site: Any, argument: Any, points: Any, number: Any, out: Any, at: Any, depth: Any) -> Any:
    """Copy a point to a private array, 16 bytes at a time."""
    for part in range(0, POINT, 4):
        t = load(log, t, site, argument, POINT * number + part, depth, 4)
    for limb in range(POINT):
        out[at + limb] = points[POINT * number + limb]
    return t


@device
def _give(log: Any, t: Any, site: Any, argument: Any, points: Any, number: Any, own: Any, at: Any) -> Any:
    """Copy a private point to memory."""
    for part in range(0, POINT, 4):
        t = store(log, t, site, argument, POINT * number + part, 0, 4)
    for limb in range(POINT):
        points[POINT * number + limb] = own[at + limb]
    return t


@device
def fill_bucket(thread: Any, log: Any, points: Any, starts: Any, members: Any, buckets: Any) -> None:
    """Add up the points of bucket ``thread``."""
    t = begin(log, thread)
    total, other = local_array(24, np.uint32), local_array(24, np.uint32)
    set_neutral(total, 0)
    t = load(log, t, 0, 1, thread, 0, 2)
    for place in range(np.int64(starts[thread]), np.int64(starts[thread + 1])):
        t = load(log, t, 1, 2, place, 1)
        member = np.int64(members[place]) % (len(points) // POINT)
        t = _take(log, t, 2, 0, points, member, other, 0, 2)
        add_points(total, 0, other, 0)
    t = _give(log, t, 3, 3, buckets, thread, total, 0)


@device
def add_buckets(thread: Any, log: Any, buckets: Any, parts: Any, bits: Any, run: Any) -> None:
    """Sum of digit times bucket over ``run`` buckets in a row."""
    t = begin(log, thread)
    held = local_array(72, np.uint32)
    running, total, other = 0, POINT, 2 * POINT
    set_neutral(held, running)
    set_neutral(held, total)
    first = thread * run
    for step in range(run):
        t = _take(log, t, 0, 0, buckets, first + run - 1 - step, held, other, 0)
        for turn in range(2 if step < run - 1 else 1):
            add_points(held, turn * POINT, held, running if turn else other)
    # So far digits were counted from the run's first, which belongs to every point: double and add.
    digit = first & ((1 << bits) - 1)
    set_neutral(held, other)
    for bit in range(bits - 1, -2, -1):
        for turn in range(2):
            source = total if bit < 0 else (running if turn else other)
            if turn if bit < 0 else (turn == 0 or (digit >> bit) & 1):
                add_points(held, other, held, source)
    t = _give(log, t, 1, 1, parts, thread, held, other)


@device
def add_windows(thread: Any, log: Any, parts: Any, result: Any, bits: Any, windows: Any) -> None:
    """Add up the parts of all windows, the highest first."""
    t = begin(log, thread)
    total, other = local_array(24, np.uint32), local_array(24, np.uint32)
    set_neutral(total, 0)
    each = len(parts) // POINT // windows
    for window in range(windows - 1, -1, -1):
        for _ in range(bits):
            add_points(total, 0, total, 0)
        for part in range(each):
            t = _take(log, t, 0, 0, parts, window * each + part, other, 0, 0)
            add_points(total, 0, other, 0)
    t = _give(log, t, 1, 1, result, thread, total, 0)


def _sum(p: _Point, q: _Point) -> _Point:
    """Oracle: addition of points by the schoolbook's chords and tangents."""
    if p is None or q is None:
        return q if p is None else p
    if p[0] == q[0]:
        if (p[1] + q[1]) % ORDER == 0:
            return None
        slope = 3 * p[0] * p[0] * pow(2 * p[1], -1, ORDER) % ORDER
    else:
        slope = (q[1] - p[1]) * pow(q[0] - p[0], -1, ORDER) % ORDER
    x = (slope * slope - p[0] - q[0]) % ORDER
    return x, (slope * (p[0] - x) - p[1]) % ORDER


def _times(p: _Point, scalar: int) -> _Point:
    total: _Point = None
    for bit in bin(scalar)[2:]:
        total = _sum(total, total)
        total = _sum(total, p) if bit == "1" else total
    return total


def _limbs(point: _Point) -> list[int]:
    x, y = point if point is not None else (0, 1)
    return [*to_montgomery(x), *to_montgomery(y), *to_montgomery(int(point is not None))]


def _read(limbs: NDArray[np.uint32]) -> _Point:
    shrink = pow(2**256, -1, ORDER)
    x, y, z = (int.from_bytes(part.astype("<u4").tobytes(), "little") for part in limbs.reshape(3, LIMBS))
    if z == 0:
        return None
    scale = pow(z * shrink, -1, ORDER) * shrink
    return x * scale % ORDER, y * scale % ORDER


def _row_of_points(count: int, first: int) -> list[_Point]:
    """Multiples of the generator, from ``first`` on."""
    points, point = [], _times((1, 2), first)
    for _ in range(count):
        points.append(point)
        point = _sum(point, (1, 2))
    return points


def _check(limbs: NDArray[np.uint32], scalars: NDArray[np.uint32], distinct: list[_Point]) -> None:
    totals = [0] * len(distinct)
    for place, row in enumerate(scalars.astype("<u4")):
        totals[place % len(distinct)] += int.from_bytes(row.tobytes(), "little")
    expected: _Point = None
    for point, total in zip(distinct, totals, strict=True):
        expected = _sum(expected, _times(point, total))
    got = np.array(_read(limbs) or (-1, -1), object)
    require_equal("sum", got, np.array(expected or (-1, -1), object))


def build_plan(settings: Settings, seed: int) -> Plan:
    """Plan multi-scalar multiplications of ``points`` points, of which at most 1,024 are distinct."""
    count, scalar_bits, bits = settings["points"], settings["scalar_bits"], settings["window"]
    windows, words = -(-scalar_bits // bits), -(-scalar_bits // 32)
    random = np.random.default_rng(seed)
    scalars = random.integers(0, 1 << 32, (count, words), np.uint32)
    scalars[:, -1] &= np.uint32(0xFFFFFFFF >> (32 * words - scalar_bits))
    distinct = _row_of_points(min(count, _DISTINCT), int(random.integers(1, 1 << 62)))
    buckets, run = windows << bits, min(settings["run"], 1 << bits)
    arrays: Arrays = {
        "points": np.array([_limbs(point) for point in distinct], np.uint32).reshape(-1),
        "scalars": scalars.reshape(-1),
        "members": Empty((count * windows,), np.uint32),
        "filled": Empty((buckets,), np.uint32),
        **scan_arrays("starts", buckets + 1),
        "buckets": Empty((buckets * POINT,), np.uint32),
        "parts": Empty((buckets // run * POINT,), np.uint32),
        "result": Empty((POINT,), np.uint32),
    }
    shape = (np.int64(bits), np.int64(windows), np.int64(words))
    launches = (
        Launch(clear, buckets + 1, ("starts", "filled")),
        Launch(count_digits, count, ("scalars", "starts", *shape)),
        *scan_launches("starts", buckets + 1),
        Launch(place_points, count, ("scalars", "starts", "filled", "members", *shape)),
        Launch(fill_bucket, buckets, ("points", "starts", "members", "buckets")),
        Launch(add_buckets, buckets // run, ("buckets", "parts", np.int64(bits), np.int64(run))),
        Launch(add_windows, 1, ("parts", "result", *shape[:2])),
    )

    def check(results: Mapping[str, NDArray[Any]]) -> None:
        _check(results["result"], scalars, distinct)

    additions = count * windows + 2 * buckets
    moved = additions * POINT * 4 + count * windows * 12
    return Plan(arrays, lambda _: launches, Work(count, dram_bytes=moved, int_ops=additions * _ADDITION), check)


WORKLOADS: Final = (
    Workload(
        name="zk-msm",
        label="hpc-other",
        family="zk-msm",
        bound="integer",
        summary="Multi-scalar multiplication on BN254 by Pippenger's buckets (EIP-196, INDOCRYPT 2012)",
        unit="point",
        parameters=(
            Parameter("points", "points", 1, 1 << 22, "points, each with its scalar"),
            Parameter("scalar_bits", "bits", 8, 256, "bits of a scalar"),
            Parameter("window", "bits", 1, 16, "bits of a window", power_of_two=True),
            Parameter("run", "buckets", 1, 1 << 16, "buckets that a thread adds up", power_of_two=True),
        ),
        sizes={
            "small": {"points": 32, "scalar_bits": 8, "window": 4, "run": 8},
            "trace": {"points": 1 << 12, "scalar_bits": 64, "window": 8, "run": 16},
            "gpu": {"points": 1 << 18, "scalar_bits": 254, "window": 8, "run": 16},
        },
        build=build_plan,
    ),
)
