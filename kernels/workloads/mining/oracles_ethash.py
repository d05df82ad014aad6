"""Ethash in NumPy as a light client computes it: table items from the cache, only those that are read.

Written from the Ethash specification; the tests prove it against a published vector. FishHash takes its
table from the same items.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hashwarden.kernels.workloads.mining.oracles_keccak import keccak
from hashwarden.kernels.workloads.plan import require_equal

__all__ = ["Table", "Words", "fnv", "hashimoto", "require_cache"]

Words = NDArray[np.uint32]

_CHECKED_ROWS: Final = 64


def fnv(a: Words, b: Words) -> Words:
    """Mix words."""
    return (a * np.uint32(0x01000193)) ^ b


class Table(NamedTuple):
    """A table that is computed where it is read.

    Attributes
    ----------
    cache : uint32, shape (rows, 16)
        The cache.
    pages : int
        Pages of the table.
    built : int
        Pages from here on are zero.
    parents : int
        Rows of the cache that are mixed into an item.
    """

    cache: Words
    pages: int
    built: int
    parents: int

    def items(self, index: Words) -> Words:
        """Items of 64 bytes: uint32 of shape (N, 16) for N numbers."""
        rows = np.uint32(len(self.cache))
        mix = self.cache[index % rows].copy()
        mix[:, 0] ^= index
        mix = keccak(mix, 72, 64).view("<u4")
        for parent in range(self.parents):
            picked = fnv(index ^ np.uint32(parent), mix[:, parent % 16]) % rows
            mix = fnv(mix, self.cache[picked])
        return keccak(mix, 72, 64).view("<u4")

    def read(self, page: Words) -> Words:
        """Pages of 128 bytes: uint32 of shape (N, 32) for N numbers."""
        halves = np.stack([2 * page, 2 * page + 1], axis=1).astype(np.uint32).reshape(-1)
        both = self.items(halves).reshape(len(page), 32)
        return np.where((page < self.built)[:, None], both, np.uint32(0))


def hashimoto(table: Table, header: bytes, nonces: NDArray[np.uint64], reads: int) -> NDArray[np.uint8]:
    """Hash nonces.

    Parameters
    ----------
    table : Table
        Where pages are read.
    header : bytes
        32 bytes.
    nonces : uint64, shape (N,)
        One for each hash.
    reads : int
        Pages that a hash reads.

    Returns
    -------
    uint8, shape (N, 32)
        Digests.
    """
    count = len(nonces)
    messages = np.zeros((count, 40), np.uint8)
    messages[:, :32] = np.frombuffer(header, np.uint8)
    messages[:, 32:] = nonces.astype("<u8").view(np.uint8).reshape(count, 8)
    seed = keccak(messages, 72, 64)
    words = np.ascontiguousarray(seed).view("<u4")
    mix = np.concatenate([words, words], axis=1)
    for read in range(reads):
        picked = fnv(np.uint32(read) ^ words[:, 0], mix[:, read % 32])
        mix = fnv(mix, table.read(picked % np.uint32(table.pages)))
    folded = fnv(fnv(fnv(mix[:, 0::4], mix[:, 1::4]), mix[:, 2::4]), mix[:, 3::4])
    return keccak(np.concatenate([seed, np.ascontiguousarray(folded).view(np.uint8)], axis=1), 136, 32)


def require_cache(cache: Words, seed: int) -> None:
    """Compare some rows of a cache with the Keccak-512 of their numbers; raises CheckError."""
    chosen = np.unique(np.random.default_rng(seed).integers(0, len(cache), _CHECKED_ROWS))
    messages = np.zeros((len(chosen), 16), np.uint32)
    messages[:, 0] = chosen
    require_equal("cache", cache[chosen], keccak(messages, 72, 64).view("<u4"))
