"""The field of 2**64 - 2**32 + 1 elements, and powers of its roots of unity.

Plonky2's and many other provers' field ("Goldilocks"); 2**32 is a sixth root of -1, which makes reduction
three additions.
"""

# ruff: noqa: ANN401  compiled code takes numbers of any type

from __future__ import annotations

from typing import Any, Final

import numpy as np

from hashwarden.kernels.device import device
from hashwarden.kernels.workloads.others.mixing import multiply_high_64

__all__ = ["ORDER", "add", "multiply", "root_of_unity", "subtract"]

ORDER: Final = 2**64 - 2**32 + 1
_ORDER: Final = np.uint64(ORDER)
_LOW: Final = np.uint64(0xFFFFFFFF)


@device
def add(a: Any, b: Any) -> Any:
    """Add two elements, each below the order."""
    total = np.uint64(a + b)
    if total < a or total >= _ORDER:
        total = np.uint64(total - _ORDER)
    return total


@device
def subtract(a: Any, b: Any) -> Any:
    """Subtract two elements."""
    difference = np.uint64(a - b)
    return difference if a >= b else np.uint64(difference + _ORDER)


@device
def multiply(a: Any, b: Any) -> Any:
    """Multiply two elements: with 128 bits w + x 2**64 + y 2**96, the product is w + x (2**32 - 1) - y."""
    low, high = np.uint64(a * b), multiply_high_64(a, b)
    top, middle = np.uint64(high >> np.uint64(32)), np.uint64(high & _LOW)
    first = np.uint64(low - top)
    if low < top:
        first = np.uint64(first - _LOW)
    second = np.uint64(middle * _LOW)
    total = np.uint64(first + second)
    if total < first:
        total = np.uint64(total + _LOW)
    return np.uint64(total - _ORDER) if total >= _ORDER else total


def root_of_unity(bits: int) -> int:
    """A primitive root of unity of order ``2**bits``; 7 generates the group."""
    return pow(7, (ORDER - 1) >> bits, ORDER)
