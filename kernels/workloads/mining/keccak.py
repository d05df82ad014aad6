"""Keccak-f[1600] and Keccak-f[800] on private arrays (FIPS 202; the Keccak reference, 3.0).

Lane (x, y) lies at x + 5 y. Padding, and with it the difference between SHA-3, Keccak and cSHAKE, is
the caller's.
"""

# ruff: noqa: ANN401  device functions take arrays and numbers of any type

from __future__ import annotations

from typing import Any, Final

import numpy as np

from hashwarden.kernels.device import device, rotate_left_32, rotate_left_64

__all__ = ["keccak_f800", "keccak_f1600"]

_ROUND: Final = np.array(
    [
        0x0000000000000001, 0x0000000000008082, 0x800000000000808A, 0x8000000080008000, 0x000000000000808B,
        0x0000000080000001, 0x8000000080008081, 0x8000000000008009, 0x000000000000008A, 0x0000000000000088,
        0x0000000080008009, 0x000000008000000A, 0x000000008000808B, 0x800000000000008B, 0x8000000000008089,
        0x8000000000008003, 0x8000000000008002, 0x8000000000000080, 0x000000000000800A, 0x800000008000000A,
        0x8000000080008081, 0x8000000000008080, 0x0000000080000001, 0x8000000080008008,
    ],
    np.uint64,
)  # fmt: skip
_ROUNDS_800: Final = 22

# Indices are written out, so that a compiler can keep the lanes in registers.


@device
def _columns_64(a: Any) -> None:
    """Theta: add to each lane the parity of two neighbouring columns."""
    c0, c1 = a[0] ^ a[5] ^ a[10] ^ a[15] ^ a[20], a[1] ^ a[6] ^ a[11] ^ a[16] ^ a[21]
    c2, c3 = a[2] ^ a[7] ^ a[12] ^ a[17] ^ a[22], a[3] ^ a[8] ^ a[13] ^ a[18] ^ a[23]
    c4 = a[4] ^ a[9] ^ a[14] ^ a[19] ^ a[24]
    d0, d1, d2 = c4 ^ rotate_left_64(c1, 1), c0 ^ rotate_left_64(c2, 1), c1 ^ rotate_left_64(c3, 1)
    d3, d4 = c2 ^ rotate_left_64(c4, 1), c3 ^ rotate_left_64(c0, 1)
    for row in range(0, 25, 5):
        a[row] ^= d0
        a[row + 1] ^= d1
        a[row + 2] ^= d2
        a[row + 3] ^= d3
        a[row + 4] ^= d4


@device
def _columns_32(a: Any) -> None:
    """Theta on 32-bit lanes."""
    c0, c1 = a[0] ^ a[5] ^ a[10] ^ a[15] ^ a[20], a[1] ^ a[6] ^ a[11] ^ a[16] ^ a[21]
    c2, c3 = a[2] ^ a[7] ^ a[12] ^ a[17] ^ a[22], a[3] ^ a[8] ^ a[13] ^ a[18] ^ a[23]
    c4 = a[4] ^ a[9] ^ a[14] ^ a[19] ^ a[24]
    d0, d1, d2 = c4 ^ rotate_left_32(c1, 1), c0 ^ rotate_left_32(c2, 1), c1 ^ rotate_left_32(c3, 1)
    d3, d4 = c2 ^ rotate_left_32(c4, 1), c3 ^ rotate_left_32(c0, 1)
    for row in range(0, 25, 5):
        a[row] ^= d0
        a[row + 1] ^= d1
        a[row + 2] ^= d2
        a[row + 3] ^= d3
        a[row + 4] ^= d4


@device
def _turn_64(a: Any) -> None:
    """Rho and pi: turn the lanes and move them around, on the one walk through 24 of them."""
    kept = a[1]
    a[1] = rotate_left_64(a[6], 44)
    a[6] = rotate_left_64(a[9], 20)
    a[9] = rotate_left_64(a[22], 61)
    a[22] = rotate_left_64(a[14], 39)
    a[14] = rotate_left_64(a[20], 18)
    a[20] = rotate_left_64(a[2], 62)
    a[2] = rotate_left_64(a[12], 43)
    a[12] = rotate_left_64(a[13], 25)
    a[13] = rotate_left_64(a[19], 8)
    a[19] = rotate_left_64(a[23], 56)
    a[23] = rotate_left_64(a[15], 41)
    a[15] = rotate_left_64(a[4], 27)
    a[4] = rotate_left_64(a[24], 14)
    a[24] = rotate_left_64(a[21], 2)
    a[21] = rotate_left_64(a[8], 55)
    a[8] = rotate_left_64(a[16], 45)
    a[16] = rotate_left_64(a[5], 36)
    a[5] = rotate_left_64(a[3], 28)
    a[3] = rotate_left_64(a[18], 21)
    a[18] = rotate_left_64(a[17], 15)
    a[17] = rotate_left_64(a[11], 10)
    a[11] = rotate_left_64(a[7], 6)
    a[7] = rotate_left_64(a[10], 3)
    a[10] = rotate_left_64(kept, 1)


@device
def _turn_32(a: Any) -> None:
    """Rho and pi: turn the lanes and move them around, on the one walk through 24 of them."""
    kept = a[1]
    a[1] = rotate_left_32(a[6], 12)
    a[6] = rotate_left_32(a[9], 20)
    a[9] = rotate_left_32(a[22], 29)
    a[22] = rotate_left_32(a[14], 7)
    a[14] = rotate_left_32(a[20], 18)
    a[20] = rotate_left_32(a[2], 30)
    a[2] = rotate_left_32(a[12], 11)
    a[12] = rotate_left_32(a[13], 25)
    a[13] = rotate_left_32(a[19], 8)
    a[19] = rotate_left_32(a[23], 24)
    a[23] = rotate_left_32(a[15], 9)
    a[15] = rotate_left_32(a[4], 27)
    a[4] = rotate_left_32(a[24], 14)
    a[24] = rotate_left_32(a[21], 2)
    a[21] = rotate_left_32(a[8], 23)
    a[8] = rotate_left_32(a[16], 13)
    a[16] = rotate_left_32(a[5], 4)
    a[5] = rotate_left_32(a[3], 28)
    a[3] = rotate_left_32(a[18], 21)
    a[18] = rotate_left_32(a[17], 15)
    a[17] = rotate_left_32(a[11], 10)
    a[11] = rotate_left_32(a[7], 6)
    a[7] = rotate_left_32(a[10], 3)
    a[10] = rotate_left_32(kept, 1)


@device
def _rows(a: Any) -> None:
    """Chi: the only step that is not linear."""
    for row in range(0, 25, 5):
        a0, a1, a2, a3, a4 = a[row], a[row + 1], a[row + 2], a[row + 3], a[row + 4]
        a[row] = a0 ^ (~a1 & a2)
        a[row + 1] = a1 ^ (~a2 & a3)
        a[row + 2] = a2 ^ (~a3 & a4)
        a[row + 3] = a3 ^ (~a4 & a0)
        a[row + 4] = a4 ^ (~a0 & a1)


@device
def keccak_f1600(state: Any) -> None:
    """Permute 25 lanes of 64 bits, uint64[25], in place."""
    for r in range(24):
        _columns_64(state)
        _turn_64(state)
        _rows(state)
        state[0] ^= _ROUND[r]


@device
def keccak_f800(state: Any) -> None:
    """Permute 25 lanes of 32 bits, uint32[25], in place."""
    for r in range(_ROUNDS_800):
        _columns_32(state)
        _turn_32(state)
        _rows(state)
        state[0] ^= np.uint32(_ROUND[r] & np.uint64(0xFFFFFFFF))
