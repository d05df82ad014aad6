"""BLAKE2b's compression function for private arrays (RFC 7693)."""

# ruff: noqa: ANN401, PLR0913, PLR0917  device functions take arrays and numbers of any type, and many of them

from __future__ import annotations

from typing import Any, Final

import numpy as np

from hashwarden.kernels.device import device, rotate_left_64

__all__ = ["blake2b_compress", "blake2b_start"]

_INITIAL: Final = np.array(
    [
        0x6A09E667F3BCC908, 0xBB67AE8584CAA73B, 0x3C6EF372FE94F82B, 0xA54FF53A5F1D36F1,
        0x510E527FADE682D1, 0x9B05688C2B3E6C1F, 0x1F83D9ABFB41BD6B, 0x5BE0CD19137E2179,
    ],
    np.uint64,
)  # fmt: skip
_PARAMETERS: Final = 0x01010000

_ORDER: Final = np.array(
    [
        [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15],
        [14, 10, 4, 8, 9, 15, 13, 6, 1, 12, 0, 2, 11, 7, 5, 3],
        [11, 8, 12, 0, 5, 2, 15, 13, 10, 14, 3, 6, 7, 1, 9, 4],
        [7, 9, 3, 1, 13, 12, 11, 14, 2, 6, 5, 10, 4, 0, 15, 8],
        [9, 0, 5, 7, 2, 4, 10, 15, 14, 1, 11, 12, 6, 8, 3, 13],
        [2, 12, 6, 10, 0, 11, 8, 3, 4, 13, 7, 5, 15, 14, 1, 9],
        [12, 5, 1, 15, 14, 13, 4, 10, 0, 7, 6, 3, 9, 2, 8, 11],
        [13, 11, 7, 14, 12, 1, 3, 9, 5, 0, 15, 4, 8, 6, 2, 10],
        [6, 15, 14, 9, 11, 3, 0, 8, 12, 2, 13, 7, 1, 4, 10, 5],
        [10, 2, 8, 4, 7, 6, 1, 5, 15, 11, 9, 14, 3, 12, 13, 0],
    ],
    np.int64,
)
"""Which message words a round takes."""


@device
def blake2b_start(h: Any, digest_bytes: Any, personal0: Any, personal1: Any) -> None:
    """Set the chaining value of an unkeyed hash.

    Parameters
    ----------
    h : uint64, shape (8,)
        Set.
    digest_bytes : int
        1 to 64.
    personal0, personal1 : uint64
        The 16 bytes of personalisation as little-endian words; 0 for none.
    """
    for i in range(8):
        h[i] = _INITIAL[i]
    h[0] ^= np.uint64(_PARAMETERS) ^ np.uint64(digest_bytes)
    h[6] ^= np.uint64(personal0)
    h[7] ^= np.uint64(personal1)


@device
def _mix(v: Any, a: Any, b: Any, c: Any, d: Any, x: Any, y: Any) -> None:
    va, vb, vc, vd = v[a], v[b], v[c], v[d]
    va = np.uint64(va + vb + x)
    vd = rotate_left_64(vd ^ va, 32)
    vc = np.uint64(vc + vd)
    vb = rotate_left_64(vb ^ vc, 40)
    va = np.uint64(va + vb + y)
    vd = rotate_left_64(vd ^ va, 48)
    vc = np.uint64(vc + vd)
    vb = rotate_left_64(vb ^ vc, 1)
    v[a], v[b], v[c], v[d] = va, vb, vc, vd


@device
def blake2b_compress(h: Any, m: Any, v: Any, t_low: Any, last: Any) -> None:
    """Compress one block.

    Parameters
    ----------
    h : uint64, shape (8,)
        Chaining value, replaced.
    m : uint64, shape (16,)
        Message words, little endian; left as they are.
    v : uint64, shape (16,)
        Scratch.
    t_low : uint64
        Bytes of the message up to and with this block.
    last : bool or int
        Whether this is the last block.
    """
    for i in range(8):
        v[i] = h[i]
        v[8 + i] = _INITIAL[i]
    v[12] ^= np.uint64(t_low)
    if last:
        v[14] = ~v[14]
    for r in range(12):
        row = r if r < 10 else r - 10
        for i in range(4):
            _mix(v, i, 4 + i, 8 + i, 12 + i, m[_ORDER[row, 2 * i]], m[_ORDER[row, 2 * i + 1]])
        for i in range(4):
            b, c, d = 4 + ((i + 1) & 3), 8 + ((i + 2) & 3), 12 + ((i + 3) & 3)
            _mix(v, i, b, c, d, m[_ORDER[row, 8 + 2 * i]], m[_ORDER[row, 9 + 2 * i]])
    for i in range(8):
        h[i] ^= v[i] ^ v[8 + i]
