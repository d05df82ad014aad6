"""AES rounds in NumPy on rows of bytes, by the definition of FIPS 197: an oracle for the device functions."""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

__all__ = ["aes256_keys", "aes_rounds"]

Bytes = NDArray[np.uint8]

_ROW_SHIFT = np.array([(5 * i) % 16 for i in range(16)])


def _product(a: int, b: int) -> int:
    """Multiply in the field of 256 elements."""
    product = 0
    while b:
        product ^= a if b & 1 else 0
        a = a << 1 ^ (0x11B if a & 0x80 else 0)
        b >>= 1
    return product


@cache
def _substitution() -> Bytes:
    """Inverse and affine map of every byte."""
    inverse = [next((y for y in range(256) if _product(x, y) == 1), 0) for x in range(256)]
    wide = [value << 8 | value for value in inverse]
    return np.array([(v ^ v >> 4 ^ v >> 5 ^ v >> 6 ^ v >> 7 ^ 0x63) & 255 for v in wide], np.uint8)


@cache
def _doubled() -> Bytes:
    return np.array([_product(x, 2) for x in range(256)], np.uint8)


def aes_rounds(blocks: Bytes, keys: Bytes) -> Bytes:
    """Do one full round on each block.

    Parameters
    ----------
    blocks, keys : uint8, shape (N, 16)
        A key for each block.

    Returns
    -------
    uint8, shape (N, 16)
    """
    columns = _substitution()[blocks[:, _ROW_SHIFT]].reshape(-1, 4, 4)
    following = np.roll(columns, -1, axis=2)
    everything = np.bitwise_xor.reduce(columns, axis=2, keepdims=True)
    mixed = columns ^ everything ^ _doubled()[columns ^ following]
    rounds: Bytes = mixed.reshape(-1, 16) ^ keys
    return rounds


def aes256_keys(key: bytes, count: int) -> Bytes:
    """First ``count`` round keys of AES-256, uint8 of shape (count, 16)."""
    table, constant = _substitution().tolist(), 1
    words = [key[i : i + 4] for i in range(0, 32, 4)]
    while len(words) < 4 * count:
        word, place = words[-1], len(words)
        if place % 8 == 0:
            word = bytes(table[b] for b in word[1:] + word[:1])
            word, constant = bytes([word[0] ^ constant]) + word[1:], constant << 1
        elif place % 8 == 4:
            word = bytes(table[b] for b in word)
        words.append(bytes(a ^ b for a, b in zip(words[-8], word, strict=True)))
    return np.frombuffer(b"".join(words), np.uint8).reshape(count, 16)
