"""Points of the curve BN254 (alt_bn128 of EIP-196), G1: y**2 = x**3 + 3, on private arrays of 32-bit limbs.

A field element is eight uint32, least first, times 2**256 (Montgomery's form). A point is 24 of them, X, Y, Z,
in homogeneous coordinates; (0 : 1 : 0) is the neutral one. Addition is complete (Renes, Costello and Batina,
EUROCRYPT 2016, algorithm 7): the same steps for all points, equal ones and the neutral one included.
"""

# ruff: noqa: ANN401, PLR0913, PLR0917  compiled code takes arrays of any type

from __future__ import annotations

from typing import Any, Final

import numpy as np

from hashwarden.kernels.device import device, local_array

__all__ = ["LIMBS", "ORDER", "POINT", "add_points", "multiply", "set_neutral", "to_montgomery"]

ORDER: Final = 21888242871839275222246405745257275088696311157297823662689037894645226208583
"""The field's prime."""

LIMBS: Final = 8
POINT: Final = 3 * LIMBS
_TIMES, _PLUS, _MINUS = range(3)
_MASK: Final = np.uint64(0xFFFFFFFF)
_HALF: Final = np.uint64(32)
_PRIME: Final = tuple(ORDER >> 32 * limb & 0xFFFFFFFF for limb in range(LIMBS))
_ONE: Final = tuple(2**256 % ORDER >> 32 * limb & 0xFFFFFFFF for limb in range(LIMBS))
_INVERSE: Final = np.uint32(-pow(ORDER, -1, 2**32) % 2**32)


def to_montgomery(value: int) -> list[int]:
    """Eight limbs of a field element in Montgomery's form."""
    scaled = value * 2**256 % ORDER
    return [scaled >> 32 * limb & 0xFFFFFFFF for limb in range(LIMBS)]


@device
def _reduce(out: Any, at: Any, value: Any, carry: Any) -> None:
    """Write ``value`` (and a bit above it) less the prime, if it is not below it."""
    less = local_array(8, np.uint32)
    borrow = np.int64(0)
    for limb in range(LIMBS):
        difference = np.int64(value[limb]) - np.int64(_PRIME[limb]) + borrow
        less[limb] = np.uint32(difference & 0xFFFFFFFF)
        borrow = difference >> 32
    below = np.int64(carry) + borrow < 0
    for limb in range(LIMBS):
        out[at + limb] = value[limb] if below else less[limb]


@device
def multiply(out: Any, at: Any, a: Any, a_at: Any, b: Any, b_at: Any) -> None:
    """Montgomery product of the elements at ``a[a_at]`` and ``b[b_at]``; ``out`` may be either of them."""
    sums = local_array(10, np.uint32)
    for limb in range(10):
        sums[limb] = np.uint32(0)
    for i in range(LIMBS):
        carry, factor = np.uint64(0), np.uint64(b[b_at + i])
        for j in range(LIMBS):
            total = np.uint64(np.uint64(sums[j]) + np.uint64(np.uint64(a[a_at + j]) * factor) + carry)
            sums[j], carry = np.uint32(total & _MASK), np.uint64(total >> _HALF)
        total = np.uint64(np.uint64(sums[8]) + carry)
        sums[8], sums[9] = np.uint32(total & _MASK), np.uint32(total >> _HALF)
        factor = np.uint64(np.uint32(sums[0] * _INVERSE))
        total = np.uint64(np.uint64(sums[0]) + np.uint64(factor * np.uint64(_PRIME[0])))
        carry = np.uint64(total >> _HALF)
        for j in range(1, LIMBS):
            total = np.uint64(np.uint64(sums[j]) + np.uint64(factor * np.uint64(_PRIME[j])) + carry)
            sums[j - 1], carry = np.uint32(total & _MASK), np.uint64(total >> _HALF)
        total = np.uint64(np.uint64(sums[8]) + carry)
        sums[7] = np.uint32(total & _MASK)
        sums[8] = np.uint32(np.uint64(sums[9]) + np.uint64(total >> _HALF))
    _reduce(out, at, sums, sums[8])


@device
def _add(out: Any, at: Any, a: Any, a_at: Any, b: Any, b_at: Any) -> None:
    """Sum of two field elements."""
    sums = local_array(8, np.uint32)
    carry = np.uint64(0)
    for limb in range(LIMBS):
        total = np.uint64(np.uint64(a[a_at + limb]) + np.uint64(b[b_at + limb]) + carry)
        sums[limb], carry = np.uint32(total & _MASK), np.uint64(total >> _HALF)
    _reduce(out, at, sums, carry)


@device
def _subtract(out: Any, at: Any, a: Any, a_at: Any, b: Any, b_at: Any) -> None:
    """Difference of two field elements."""
    borrow = np.int64(0)
    less = local_array(8, np.uint32)
    for limb in range(LIMBS):
        difference = np.int64(a[a_at + limb]) - np.int64(b[b_at + limb]) + borrow
        less[limb] = np.uint32(difference & 0xFFFFFFFF)
        borrow = difference >> 32
    negative, carry = borrow < 0, np.int64(0)
    for limb in range(LIMBS):
        total = np.int64(less[limb]) + (np.int64(_PRIME[limb]) if negative else 0) + carry
        out[at + limb] = np.uint32(total & 0xFFFFFFFF)
        carry = total >> 32


def _program() -> list[tuple[int, int, int, int]]:
    """Addition of points as steps (operation, to, from, from) on slots: p is 0 to 2, q is 3 to 5."""
    steps = [(_TIMES, 6 + k, k, 3 + k) for k in range(3)]
    for out, i, j in ((9, 0, 1), (10, 1, 2), (11, 0, 2)):
        steps += [(_PLUS, out, i, j), (_PLUS, 12, 3 + i, 3 + j), (_TIMES, out, out, 12)]
        steps += [(_MINUS, out, out, 6 + i), (_MINUS, out, out, 6 + j)]
    # Slots 6 to 8: xx, yy, zz; 9 to 11: what is mixed, xy, yz, xz. Three b are nine.
    steps += [(_PLUS, 12, 6, 6), (_PLUS, 6, 12, 6)]
    for slot in (8, 11):
        steps += [(_PLUS, 12, slot, slot), (_PLUS, 12, 12, 12), (_PLUS, 12, 12, 12), (_PLUS, slot, 12, slot)]
    steps += [(_MINUS, 12, 7, 8), (_PLUS, 8, 7, 8)]
    # Now 3 xx, yy, yy + 9 zz, xy, yz, 9 xz, and yy - 9 zz.
    steps += [(_TIMES, 0, 9, 12), (_TIMES, 1, 8, 12), (_TIMES, 12, 10, 11), (_MINUS, 0, 0, 12)]
    steps += [(_TIMES, 12, 11, 6), (_PLUS, 1, 1, 12)]
    return [*steps, (_TIMES, 2, 10, 8), (_TIMES, 12, 6, 9), (_PLUS, 2, 2, 12)]


_STEPS: Final = np.array(_program(), np.int64)
_COUNT: Final = len(_STEPS)


@device
def add_points(p: Any, p_at: Any, q: Any, q_at: Any) -> None:
    """Add the point at ``q[q_at]`` to the point at ``p[p_at]``, in place; they may be the same.

    The steps are data, so that the product is compiled once and not twelve times.
    """
    slots = local_array(104, np.uint32)
    for limb in range(POINT):
        slots[limb], slots[POINT + limb] = p[p_at + limb], q[q_at + limb]
    for step in range(_COUNT):
        out, first, second = LIMBS * _STEPS[step, 1], LIMBS * _STEPS[step, 2], LIMBS * _STEPS[step, 3]
        if _STEPS[step, 0] == _TIMES:
            multiply(slots, out, slots, first, slots, second)
        elif _STEPS[step, 0] == _PLUS:
            _add(slots, out, slots, first, slots, second)
        else:
            _subtract(slots, out, slots, first, slots, second)
    for limb in range(POINT):
        p[p_at + limb] = slots[limb]


@device
def set_neutral(p: Any, at: Any) -> None:
    """Make the point at ``p[at]`` the neutral one."""
    for limb in range(LIMBS):
        p[at + limb] = np.uint32(0)
        p[at + LIMBS + limb] = np.uint32(_ONE[limb])
        p[at + 2 * LIMBS + limb] = np.uint32(0)
