"""Number-theoretic transforms over the Goldilocks field: what a STARK or Plonk prover does to its columns.

Stockham passes of radix 2 (as in `hashwarden.kernels.workloads.others.fft`), with a table of the powers of
the root of unity. 64-bit modular products all along, as in the field arithmetic of some proofs of work.
"""

# ruff: noqa: ANN401, PLR0913, PLR0917  bodies take arrays, and many of them

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from hashwarden.kernels.device import device
from hashwarden.kernels.memory.recorder import begin, load, store
from hashwarden.kernels.workloads.mining.goldilocks import field_add, field_multiply
from hashwarden.kernels.workloads.others.mixing import mix_64
from hashwarden.kernels.workloads.plan import Arrays, Empty, Launch, Plan, Work, require_equal
from hashwarden.kernels.workloads.workload import Parameter, Settings, Workload

__all__ = ["ORDER", "WORKLOADS", "build_plan", "root_of_unity", "subtract"]

ORDER: Final = 2**64 - 2**32 + 1
"""Elements of the field."""

_ALL_BELOW: Final = 1 << 12
_SAMPLE: Final = 2


@device
def subtract(a: Any, b: Any) -> Any:
    """Difference of two field elements."""
    difference = np.uint64(a - b)
    return difference if a >= b else np.uint64(difference + np.uint64(ORDER))


def root_of_unity(bits: int) -> int:
    """A primitive root of unity of order ``2**bits``; 7 generates the group."""
    return pow(7, (ORDER - 1) >> bits, ORDER)


@device
def fill(thread: Any, log: Any, values: Any, salt: Any) -> None:
    """Make element ``thread``."""
    t = begin(log, thread)
    t = store(log, t, 0, 0, thread)
    values[thread] = field_add(np.uint64(mix_64(np.uint64(np.uint64(thread) + salt)) >> np.uint64(1)), np.uint64(0))


@device
def make_powers(thread: Any, log: Any, powers: Any, root: Any) -> None:
    """Raise the root to the power of ``thread``."""
    t = begin(log, thread)
    result, base, rest = np.uint64(1), np.uint64(root), np.int64(thread)
    while rest:
        if rest & 1:
            result = field_multiply(result, base)
        base = field_multiply(base, base)
        rest >>= 1
    t = store(log, t, 0, 0, thread)
    powers[thread] = result


@device
def butterfly(thread: Any, log: Any, source: Any, target: Any, powers: Any, stride: Any) -> None:
    """One butterfly; columns of ``2 * len(powers)`` elements one after the other."""
    t = begin(log, thread)
    half = len(powers)
    column, item = thread // half, thread % half
    inner = item % stride
    first, out = 2 * half * column + item, 2 * half * column + 2 * item - inner
    power = inner * (half // stride)
    t = load(log, t, 0, 0, first)
    t = load(log, t, 1, 0, first + half)
    t = load(log, t, 2, 2, power)
    a, b = source[first], field_multiply(source[first + half], powers[power])
    t = store(log, t, 3, 1, out)
    target[out] = field_add(a, b)
    t = store(log, t, 4, 1, out + stride)
    target[out + stride] = subtract(a, b)


def _transform(values: list[int], root: int) -> list[int]:
    """Oracle: the transform by halving, in Python integers."""
    if len(values) == 1:
        return values
    even, odd = (_transform(values[part::2], root * root % ORDER) for part in range(2))
    power, low, high = 1, [], []
    for a, b in zip(even, odd, strict=True):
        low.append((a + power * b) % ORDER)
        high.append((a - power * b) % ORDER)
        power = power * root % ORDER
    return low + high


def _value_at(values: NDArray[np.uint64], point: int) -> int:
    """Oracle: the polynomial with these coefficients at a point, block by block in Python integers."""
    total = 0
    for value in values[::-1].tolist():
        total = (total * point + value) % ORDER
    return total


def build_plan(settings: Settings, seed: int) -> Plan:
    """Plan transforms of ``columns`` columns of ``length`` elements."""
    length, columns = settings["length"], settings["columns"]
    bits, count = length.bit_length() - 1, length * columns
    root = root_of_unity(bits)
    arrays: Arrays = {
        **{name: Empty((count,), np.uint64) for name in ("values", "a", "b")},
        "powers": Empty((length // 2,), np.uint64),
    }
    names = ["values", *("ab"[number % 2] for number in range(bits))]
    passes = [Launch(butterfly, count // 2, (names[i], names[i + 1], "powers", np.int64(1 << i))) for i in range(bits)]

    def check(results: Mapping[str, NDArray[Any]]) -> None:
        column = seed % columns
        given = results["values"].reshape(columns, length)[column]
        got = results[names[-1]].reshape(columns, length)[column]
        if length <= _ALL_BELOW:
            require_equal("transform", got, np.array(_transform(given.tolist(), root), np.uint64))
            return
        places = np.random.default_rng(seed).integers(0, length, _SAMPLE)
        expected = [_value_at(given, pow(root, int(place), ORDER)) for place in places]
        require_equal("transform", got[places], np.array(expected, np.uint64))

    start = np.uint64(seed * 0x9E3779B97F4A7C15 % 2**64)
    return Plan(
        arrays,
        step=lambda _: passes,
        work=Work(units=count, dram_bytes=bits * count * 16, int_ops=bits * count * 20),
        check=check,
        setup=(
            Launch(fill, count, ("values", start)),
            Launch(make_powers, length // 2, ("powers", np.uint64(root))),
        ),
    )


WORKLOADS: Final = (
    Workload(
        name="zk-ntt",
        label="hpc-other",
        family="zk-ntt",
        bound="integer",
        summary="Number-theoretic transforms over the Goldilocks field, as provers make them",
        unit="element",
        parameters=(
            Parameter("length", "elements", 2, 1 << 28, "elements of a column", power_of_two=True),
            Parameter("columns", "columns", 1, 1 << 16, "columns of a step"),
        ),
        sizes={
            "small": {"length": 64, "columns": 2},
            "trace": {"length": 1 << 14, "columns": 4},
            "gpu": {"length": 1 << 20, "columns": 64},
        },
        build=build_plan,
    ),
)
