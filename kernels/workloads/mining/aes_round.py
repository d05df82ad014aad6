"""One AES round and the AES-256 key schedule for private arrays (FIPS 197), as scratchpad hashes use them.

A round is substitution, rotation of the rows, mixing of the columns and a key, through the one table of
256 words that miners keep in shared memory. Words are little endian, one a column.
"""

# ruff: noqa: ANN401, PLR0913, PLR0917  device functions take arrays and numbers of any type

from __future__ import annotations

from typing import Any, Final

import numpy as np

from hashwarden.kernels.device import device, rotate_left_32

__all__ = ["ROUND_KEYS", "aes256_round_keys", "aes_round"]

ROUND_KEYS: Final = 10
"""Round keys of the schedule that scratchpad hashes take: as many as they do rounds."""

_BYTES: Final = np.frombuffer(
    bytes.fromhex(
        "637c777bf26b6fc53001672bfed7ab76ca82c97dfa5947f0add4a2af9ca472c0b7fd9326363ff7cc34a5e5f171d83115"
        "04c723c31896059a071280e2eb27b27509832c1a1b6e5aa0523bd6b329e32f8453d100ed20fcb15b6acbbe394a4c58cf"
        "d0efaafb434d338545f9027f503c9fa851a3408f929d38f5bcb6da2110fff3d2cd0c13ec5f974417c4a77e3d645d1973"
        "60814fdc222a908846eeb814de5e0bdbe0323a0a4906245cc2d3ac629195e479e7c8376d8dd54ea96c56f4ea657aae08"
        "ba78252e1ca6b4c6e8dd741f4bbd8b8a703eb5664803f60e613557b986c11d9ee1f8981169d98e949b1e87e9ce5528df"
        "8ca1890dbfe6426841992d0fb054bb16"
    ),
    np.uint8,
).astype(np.uint32)
_TWICE: Final = (_BYTES << 1 ^ (_BYTES >> 7) * 0x11B).astype(np.uint32)
_TABLE: Final = (_TWICE | _BYTES << 8 | _BYTES << 16 | (_TWICE ^ _BYTES) << 24).astype(np.uint32)
"""What a byte of row 0 adds to its column; the other rows add the same, turned by whole bytes."""


@device
def _byte(word: Any, place: Any) -> Any:
    return np.int64(np.uint32(np.uint32(word) >> np.uint32(8 * place)) & np.uint32(255))


@device
def _column(a: Any, b: Any, c: Any, d: Any, key: Any) -> Any:
    mixed = np.uint32(_TABLE[_byte(a, 0)] ^ rotate_left_32(_TABLE[_byte(b, 1)], 8))
    mixed = np.uint32(mixed ^ rotate_left_32(_TABLE[_byte(c, 2)], 16))
    return np.uint32(np.uint32(mixed ^ rotate_left_32(_TABLE[_byte(d, 3)], 24)) ^ np.uint32(key))


@device
def aes_round(x0: Any, x1: Any, x2: Any, x3: Any, k0: Any, k1: Any, k2: Any, k3: Any) -> Any:
    """Do one round on the columns ``x0`` to ``x3`` with the key ``k0`` to ``k3``; returns four uint32."""
    y0, y1 = _column(x0, x1, x2, x3, k0), _column(x1, x2, x3, x0, k1)
    return y0, y1, _column(x2, x3, x0, x1, k2), _column(x3, x0, x1, x2, k3)


@device
def _substitute(word: Any) -> Any:
    low = np.uint32(_BYTES[_byte(word, 0)] | np.uint32(_BYTES[_byte(word, 1)] << np.uint32(8)))
    high = np.uint32(_BYTES[_byte(word, 2)] | np.uint32(_BYTES[_byte(word, 3)] << np.uint32(8)))
    return np.uint32(low | np.uint32(high << np.uint32(16)))


@device
def aes256_round_keys(words: Any) -> None:
    """Extend the 8 key words at the front of ``words``, uint32[40], to `ROUND_KEYS` round keys of 4 words."""
    constant = np.uint32(1)
    for i in range(8, 4 * ROUND_KEYS):
        word = np.uint32(words[i - 1])
        if i & 7 == 0:
            word = np.uint32(_substitute(rotate_left_32(word, 24)) ^ constant)
            constant = np.uint32(constant << np.uint32(1))
        elif i & 7 == 4:
            word = _substitute(word)
        words[i] = np.uint32(words[i - 8] ^ word)
