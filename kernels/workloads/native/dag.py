"""Ethash-like tables: parameters, launches that build them on the device, and items computed one by one.

The oracle never reads the table: like a light client it computes each item that it needs from the small cache
(Ethash's appendix to the Ethereum yellow paper). The cache itself is random numbers here; the real one is
made once an epoch on the host, and nothing that follows depends on how.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from hashwarden.kernels.workloads.native import operations
from hashwarden.kernels.workloads.native.reference import keccak
from hashwarden.kernels.workloads.native.search import grid
from hashwarden.kernels.workloads.plan import NativeLaunch
from hashwarden.kernels.workloads.workload import Parameter

__all__ = ["CACHE_ITEMS", "ITEM_OPS", "build_dag", "fnv", "fnv1a", "items", "light_cache"]

CACHE_ITEMS: Final = Parameter("cache_items", "items", 16, 1 << 20, "64-byte items of the small cache")

ETHASH_PARENTS: Final = 256
ITEM_OPS: Final = 2 * operations.KECCAK_1600 + ETHASH_PARENTS * 16 * 2
"""Integer instructions of one item."""

_PRIME: Final = np.uint32(0x01000193)
_AT_ONCE: Final = 1 << 22
"""Items built by one launch, so that no launch lasts long."""

U32 = NDArray[np.uint32]


def fnv(a: U32, b: Any) -> U32:  # noqa: ANN401  array or number
    """FNV-1 of words, as Ethash has it: product, then XOR."""
    return np.asarray((a * _PRIME) ^ b)


def fnv1a(a: U32, b: Any) -> U32:  # noqa: ANN401  array or number
    """FNV-1a of words: XOR, then product."""
    return np.asarray((a ^ b) * _PRIME)


def light_cache(seed: int, count: int) -> U32:
    """Random small cache, shape (count, 16)."""
    return np.random.default_rng(seed).integers(0, 2**32, (count, 16), np.uint32)


def items(cache: U32, index: NDArray[Any], parents: int = ETHASH_PARENTS) -> U32:
    """Compute items of the table.

    Parameters
    ----------
    cache : array of uint32, shape (cache items, 16)
    index : array of integers, shape (items,)
    parents : int
        Items of the cache that go into each.

    Returns
    -------
    array of uint32, shape (items, 16)
    """
    wanted, back = np.unique(index.astype(np.uint32), return_inverse=True)
    mix = cache[wanted % len(cache)].copy()
    mix[:, 0] ^= wanted
    mix = _keccak512(mix)
    for j in range(parents):
        parent = fnv(wanted ^ np.uint32(j), mix[:, j % 16]) % np.uint32(len(cache))
        mix = fnv(mix, cache[parent])
    return np.asarray(_keccak512(mix)[back])


def _keccak512(words: U32) -> U32:
    return keccak(np.ascontiguousarray(words).view(np.uint8), 72, 1, 64).view("<u4")


def build_dag(count: int, cache_items: int, cache: str = "cache", table: str = "dag") -> tuple[NativeLaunch, ...]:
    """Launches that fill a table of ``count`` items on the device."""
    starts = range(0, count, _AT_ONCE)
    return tuple(_piece(start, min(count, start + _AT_ONCE), cache_items, cache, table) for start in starts)


def _piece(start: int, end: int, cache_items: int, cache: str, table: str) -> NativeLaunch:
    arguments = (cache, np.uint32(cache_items), np.uint32(start), np.uint32(end), table)
    return NativeLaunch("ethash", "ethash_dag", *grid(end - start, 128), arguments)
