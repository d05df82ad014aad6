"""The field of 2**64 - 2**32 + 1 elements and the Poseidon2 permutation of twelve of them (eprint 2023/323).

Elements are uint64 below the prime. A product of 128 bits is made of four products of 32-bit halves and
reduced by 2**64 = 2**32 - 1 and 2**96 = -1.
"""

# ruff: noqa: ANN401  device functions take arrays and numbers of any type

from __future__ import annotations

from typing import Any, Final

import numpy as np

from hashwarden.kernels.device import device
from hashwarden.kernels.workloads.mining.poseidon_constants import DIAGONAL, INNER, OUTER, PRIME

__all__ = ["WIDTH", "field_add", "field_multiply", "poseidon2"]

WIDTH: Final = 12
"""Elements of a state."""

_P: Final = np.uint64(PRIME)
_EPSILON: Final = np.uint64(0xFFFFFFFF)
_HALF: Final = np.uint64(32)


@device
def field_add(a: Any, b: Any) -> Any:
    """Sum of two elements."""
    total = np.uint64(a + b)
    if total < a:
        total = np.uint64(total + _EPSILON)
    if total >= _P:
        total = np.uint64(total - _P)
    return total


@device
def _reduce(high: Any, low: Any) -> Any:
    """Element of a number of 128 bits."""
    top, middle = np.uint64(high >> _HALF), np.uint64(high & _EPSILON)
    rest = np.uint64(low - top)
    if low < top:
        rest = np.uint64(rest - _EPSILON)
    product = np.uint64(np.uint64(middle << _HALF) - middle)
    result = np.uint64(rest + product)
    if result < product:
        result = np.uint64(result + _EPSILON)
    if result >= _P:
        result = np.uint64(result - _P)
    return result


@device
def field_multiply(a: Any, b: Any) -> Any:
    """Product of two elements."""
    a0, a1 = np.uint64(a & _EPSILON), np.uint64(a >> _HALF)
    b0, b1 = np.uint64(b & _EPSILON), np.uint64(b >> _HALF)
    low = np.uint64(a0 * b0)
    middle = np.uint64(np.uint64(a1 * b0) + np.uint64(low >> _HALF))
    other = np.uint64(np.uint64(a0 * b1) + np.uint64(middle & _EPSILON))
    high = np.uint64(np.uint64(a1 * b1) + np.uint64(np.uint64(middle >> _HALF) + np.uint64(other >> _HALF)))
    return _reduce(high, np.uint64(np.uint64(other << _HALF) | np.uint64(low & _EPSILON)))


@device
def _seventh(x: Any) -> Any:
    square = field_multiply(x, x)
    return field_multiply(field_multiply(square, x), field_multiply(square, square))


@device
def _mix_four(s: Any, at: Any) -> None:
    """Multiply four elements by the matrix ((5,7,1,3),(4,6,1,1),(1,3,5,7),(1,1,4,6)), by additions alone."""
    t0, t1 = field_add(s[at], s[at + 1]), field_add(s[at + 2], s[at + 3])
    t2 = field_add(field_add(s[at + 1], s[at + 1]), t1)
    t3 = field_add(field_add(s[at + 3], s[at + 3]), t0)
    twice0, twice1 = field_add(t0, t0), field_add(t1, t1)
    t4, t5 = field_add(field_add(twice1, twice1), t3), field_add(field_add(twice0, twice0), t2)
    s[at], s[at + 1] = field_add(t3, t5), t5
    s[at + 2], s[at + 3] = field_add(t2, t4), t4


@device
def _outer_matrix(s: Any) -> None:
    for at in range(0, WIDTH, 4):
        _mix_four(s, at)
    for i in range(4):
        total = field_add(field_add(s[i], s[4 + i]), s[8 + i])
        s[i], s[4 + i], s[8 + i] = field_add(s[i], total), field_add(s[4 + i], total), field_add(s[8 + i], total)


@device
def _outer_rounds(s: Any, first: Any, last: Any) -> None:
    for r in range(first, last):
        for i in range(WIDTH):
            s[i] = _seventh(field_add(s[i], OUTER[r, i]))
        _outer_matrix(s)


@device
def poseidon2(s: Any, half: Any) -> None:
    """Permute twelve elements in place.

    Parameters
    ----------
    s : uint64, shape (12,)
        The elements.
    half : int
        4, half the number of outer rounds. It is not a constant of the text, so that no compiler spends
        minutes on unrolling 30 rounds.
    """
    _outer_matrix(s)
    _outer_rounds(s, 0, half)
    for r in range(5 * half + 2):
        s[0] = _seventh(field_add(s[0], INNER[r]))
        total = np.uint64(0)
        for i in range(WIDTH):
            total = field_add(total, s[i])
        for i in range(WIDTH):
            s[i] = field_add(field_multiply(s[i], DIAGONAL[i]), total)
    _outer_rounds(s, half, 2 * half)
