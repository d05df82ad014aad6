"""The default engine: the bodies compiled for the CPU, one thread that takes the whole log, a radix sort."""

# ruff: noqa: ANN401, D102  arrays of any type; the methods are those of Machine

from __future__ import annotations

from functools import cache
from typing import Any, Final, final

import numba
import numpy as np

from hashwarden.kernels.memory import patterns_bodies
from hashwarden.kernels.memory.log import AddressLog
from hashwarden.kernels.memory.patterns_counts import Counts
from hashwarden.kernels.memory.patterns_passes import measure

__all__ = ["CpuMachine", "count"]

_DIGIT: Final = 11


def count(log: AddressLog, most_lines: int) -> Counts:
    """Count everything in a log."""
    return measure(log, CpuMachine(), most_lines)


@final
class CpuMachine:
    """One core."""

    def chunk(self, n: int) -> int:
        return max(n, 1)

    def upload(self, array: Any) -> Any:
        return array

    def download(self, array: Any) -> Any:
        return array

    def empty(self, *shape: int) -> Any:
        return np.empty(shape, np.int64)

    def zeros(self, *shape: int) -> Any:
        return np.zeros(shape, np.int64)

    def floats(self, n: int) -> Any:
        return np.empty(n, np.float64)

    def run(self, name: str, threads: int, *arguments: Any) -> None:
        for thread in range(threads):
            _compiled(name)(thread, None, *arguments)

    def order(self, keys: Any, n: int, bits: int) -> tuple[Any, Any]:
        if _ascending(keys[:n]):
            return np.arange(n), keys
        return _radix(keys[:n], bits, True)  # type: ignore[no-any-return]

    def ordered(self, keys: Any, n: int, bits: int) -> Any:
        return _radix(keys[:n], bits, False)[1]

    def distances(self, previous: Any, n: int) -> Any:
        return _stack_distances(previous[:n])


@cache
def _compiled(name: str) -> Any:
    """A body as a function of the CPU, kept on disk, which what is under `device` is not.

    Numba does not notice changes in what a body calls in another file: remove __pycache__ after one.
    """
    body = getattr(patterns_bodies, name)
    return _jit(getattr(body, "py_func", body))


def _jit(function: Any) -> Any:
    return numba.njit(cache=True, nogil=True)(function)


@_jit
def _ascending(keys: Any) -> Any:
    i = 1
    while i < len(keys) and keys[i] >= keys[i - 1]:
        i += 1
    return i >= len(keys)


@_jit
def _radix(keys: Any, bits: Any, with_order: Any) -> Any:
    """Stable sort by digits of 11 bits, the lowest first."""
    n = len(keys)
    passes = max((bits + _DIGIT - 1) // _DIGIT, 1)
    counts = np.zeros((passes, 1 << _DIGIT), np.int64)
    mask = (1 << _DIGIT) - 1
    for i in range(n):
        for digit in range(passes):
            counts[digit, (keys[i] >> (_DIGIT * digit)) & mask] += 1
    source, target = keys.copy(), np.empty(n, np.int64)
    order = np.arange(n if with_order else 0)
    new_order = np.empty(len(order), np.int64)
    for digit in range(passes):
        shift, total = _DIGIT * digit, 0
        for value in range(1 << _DIGIT):
            total, counts[digit, value] = total + counts[digit, value], total
        for i in range(n):
            value = (source[i] >> shift) & mask
            place = counts[digit, value]
            counts[digit, value] = place + 1
            target[place] = source[i]
            if with_order:
                new_order[place] = order[i]
        source, target = target, source
        order, new_order = new_order, order
    return order, source


@_jit
def _stack_distances(previous: Any) -> Any:
    """Olken's algorithm , with a Fenwick tree over the times of the last reference to each line."""
    n = len(previous)
    tree, distances = np.zeros(n + 1, np.int32), np.empty(n, np.int64)
    live = 0
    for time in range(n):
        before = previous[time]
        if before < 0:
            distances[time] = -1
            live += 1
        else:
            older, place = 0, before + 1
            while place > 0:
                older += tree[place]
                place &= place - 1
            distances[time] = live - older
            place = before + 1
            while place <= n:
                tree[place] -= 1
                place += place & -place
        place = time + 1
        while place <= n:
            tree[place] += 1
            place += place & -place
    return distances
