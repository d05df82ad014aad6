"""Arithmetic modulo primes of 60 bits, by Montgomery's method: what residue number systems compute with."""

# ruff: noqa: ANN401  compiled code takes numbers of any type

from __future__ import annotations

from typing import Any

import numpy as np

from hashwarden.kernels.device import device
from hashwarden.kernels.workloads.others.mixing import multiply_high_64

__all__ = ["add", "find_primes", "find_root", "multiply", "subtract"]


@device
def multiply(a: Any, b: Any, prime: Any, inverse: Any) -> Any:
    """``a b / 2**64`` modulo the prime; ``inverse`` is minus one over the prime modulo ``2**64``."""
    low, high = np.uint64(a * b), multiply_high_64(a, b)
    factor = np.uint64(low * inverse)
    carry = np.uint64(1) if low != np.uint64(0) else np.uint64(0)
    total = np.uint64(np.uint64(high + multiply_high_64(factor, prime)) + carry)
    return np.uint64(total - prime) if total >= prime else total


@device
def add(a: Any, b: Any, prime: Any) -> Any:
    """Sum of two residues."""
    total = np.uint64(a + b)
    return np.uint64(total - prime) if total >= prime else total


@device
def subtract(a: Any, b: Any, prime: Any) -> Any:
    """Difference of two residues."""
    return np.uint64(a - b) if a >= b else np.uint64(np.uint64(a - b) + prime)


def find_primes(count: int, length: int) -> list[int]:
    """The largest primes below ``2**60`` that are 1 modulo ``2 * length``."""
    found: list[int] = []
    candidate = (2**60 - 1) // (2 * length) * (2 * length) + 1
    while len(found) < count:
        if candidate < 2**60 and _is_prime(candidate):
            found.append(candidate)
        candidate -= 2 * length
    return found


def find_root(prime: int, length: int) -> int:
    """A primitive root of unity of order ``2 * length``, a power of two."""
    for base in range(2, 1000):
        root = pow(base, (prime - 1) // (2 * length), prime)
        if pow(root, length, prime) == prime - 1:
            return root
    raise ArithmeticError(f"no root of unity modulo {prime}")


def _is_prime(number: int) -> bool:
    """Miller and Rabin's test; with these bases it does not err below 3.3e24 (Sorenson and Webster, 2015)."""
    bases = (2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41)
    if any(number % base == 0 for base in bases):
        return number in bases
    odd = (number - 1) // ((number - 1) & -(number - 1))
    return all(_passes(number, base, odd) for base in bases)


def _passes(number: int, base: int, odd: int) -> bool:
    value = pow(base, odd, number)
    while odd < number - 1:
        if value == number - 1 or (value == 1 and odd % 2):
            return True
        value, odd = value * value % number, odd * 2
    return False
