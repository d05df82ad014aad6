"""Well mixed bits from a number, and the upper half of a product: what several families build on."""

# ruff: noqa: ANN401  compiled code takes numbers of any type

from __future__ import annotations

from typing import Any

import numpy as np

from hashwarden.kernels.device import device

__all__ = ["mix_32", "mix_64", "multiply_high_64"]


@device
def mix_32(key: Any) -> Any:
    """Mix a uint32: the finaliser of MurmurHash3_x86_32 (public domain)."""
    value = np.uint32(key)
    value = np.uint32(np.uint32(value ^ np.uint32(value >> np.uint32(16))) * np.uint32(0x85EBCA6B))
    value = np.uint32(np.uint32(value ^ np.uint32(value >> np.uint32(13))) * np.uint32(0xC2B2AE35))
    return np.uint32(value ^ np.uint32(value >> np.uint32(16)))


@device
def mix_64(key: Any) -> Any:
    """Mix a uint64: the finaliser of MurmurHash3_x64_128 (public domain)."""
    value = np.uint64(key)
    value = np.uint64((value ^ (value >> np.uint64(33))) * np.uint64(0xFF51AFD7ED558CCD))
    value = np.uint64((value ^ (value >> np.uint64(33))) * np.uint64(0xC4CEB9FE1A85EC53))
    return np.uint64(value ^ (value >> np.uint64(33)))


@device
def multiply_high_64(a: Any, b: Any) -> Any:
    """Upper 64 bits of the product of two uint64."""
    half, low = np.uint64(32), np.uint64(0xFFFFFFFF)
    a_low, a_high = np.uint64(a) & low, np.uint64(a) >> half
    b_low, b_high = np.uint64(b) & low, np.uint64(b) >> half
    first, second = np.uint64(a_low * b_high), np.uint64(a_high * b_low)
    carry = np.uint64((np.uint64(a_low * b_low) >> half) + (first & low) + (second & low))
    return np.uint64(np.uint64(a_high * b_high) + (first >> half) + (second >> half) + (carry >> half))
