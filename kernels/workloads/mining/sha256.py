"""SHA-256's compression function for private arrays (FIPS 180-4)."""

# ruff: noqa: ANN401  device functions take arrays and numbers of any type

from __future__ import annotations

from typing import Any, Final

import numpy as np

from hashwarden.kernels.device import device, rotate_left_32

__all__ = ["INITIAL_256", "sha256_compress", "sha256_start", "swap_bytes_32"]

INITIAL_256: Final = (
    0x6A09E667, 0xBB67AE85, 0x3C6EF372, 0xA54FF53A, 0x510E527F, 0x9B05688C, 0x1F83D9AB, 0x5BE0CD19,
)  # fmt: skip
"""Hash value that SHA-256 starts from."""

_ROUND: Final = np.array(
    [
        0x428A2F98, 0x71374491, 0xB5C0FBCF, 0xE9B5DBA5, 0x3956C25B, 0x59F111F1, 0x923F82A4, 0xAB1C5ED5,
        0xD807AA98, 0x12835B01, 0x243185BE, 0x550C7DC3, 0x72BE5D74, 0x80DEB1FE, 0x9BDC06A7, 0xC19BF174,
        0xE49B69C1, 0xEFBE4786, 0x0FC19DC6, 0x240CA1CC, 0x2DE92C6F, 0x4A7484AA, 0x5CB0A9DC, 0x76F988DA,
        0x983E5152, 0xA831C66D, 0xB00327C8, 0xBF597FC7, 0xC6E00BF3, 0xD5A79147, 0x06CA6351, 0x14292967,
        0x27B70A85, 0x2E1B2138, 0x4D2C6DFC, 0x53380D13, 0x650A7354, 0x766A0ABB, 0x81C2C92E, 0x92722C85,
        0xA2BFE8A1, 0xA81A664B, 0xC24B8B70, 0xC76C51A3, 0xD192E819, 0xD6990624, 0xF40E3585, 0x106AA070,
        0x19A4C116, 0x1E376C08, 0x2748774C, 0x34B0BCB5, 0x391C0CB3, 0x4ED8AA4A, 0x5B9CCA4F, 0x682E6FF3,
        0x748F82EE, 0x78A5636F, 0x84C87814, 0x8CC70208, 0x90BEFFFA, 0xA4506CEB, 0xBEF9A3F7, 0xC67178F2,
    ],
    np.uint32,
)  # fmt: skip


@device
def swap_bytes_32(value: Any) -> Any:
    """Reverse the four bytes of a uint32."""
    even = np.uint32(rotate_left_32(value, 8) & np.uint32(0x00FF00FF))
    return np.uint32(even | np.uint32(rotate_left_32(value, 24) & np.uint32(0xFF00FF00)))


@device
def _three_turns(x: Any, first: Any, second: Any, third: Any) -> Any:
    """XOR of three left rotations."""
    return np.uint32(rotate_left_32(x, first) ^ rotate_left_32(x, second) ^ rotate_left_32(x, third))


@device
def _next_words(w: Any) -> None:
    """Replace 16 words of the message schedule by the next 16."""
    for i in range(16):
        near, far = w[(i + 14) & 15], w[(i + 1) & 15]
        s1 = np.uint32(rotate_left_32(near, 15) ^ rotate_left_32(near, 13) ^ np.uint32(near >> np.uint32(10)))
        s0 = np.uint32(rotate_left_32(far, 25) ^ rotate_left_32(far, 14) ^ np.uint32(far >> np.uint32(3)))
        w[i] = np.uint32(np.uint32(w[i] + s0) + np.uint32(w[(i + 9) & 15] + s1))


@device
def sha256_start(h: Any) -> None:
    """Set ``h``, uint32[8], to the value that SHA-256 starts from."""
    for i in range(8):
        h[i] = np.uint32(INITIAL_256[i])


@device
def sha256_compress(h: Any, w: Any) -> None:
    """Compress one block.

    Parameters
    ----------
    h : uint32, shape (8,)
        Hash value, replaced.
    w : uint32, shape (16,)
        Message words, big endian; used up as the window of the message schedule.
    """
    a, b, c, d = h[0], h[1], h[2], h[3]
    e, f, g, last = h[4], h[5], h[6], h[7]
    for first in range(0, 64, 16):
        if first:
            _next_words(w)
        for i in range(16):
            chosen = np.uint32(g ^ np.uint32(e & np.uint32(f ^ g)))
            fixed = np.uint32(_ROUND[first + i] + w[i])
            t1 = np.uint32(np.uint32(last + _three_turns(e, 26, 21, 7)) + np.uint32(chosen + fixed))
            most = np.uint32(np.uint32(a & b) | np.uint32(c & np.uint32(a | b)))
            t2 = np.uint32(_three_turns(a, 30, 19, 10) + most)
            last, g, f, e = g, f, e, np.uint32(d + t1)
            d, c, b, a = c, b, a, np.uint32(t1 + t2)
    h[0], h[1], h[2], h[3] = np.uint32(h[0] + a), np.uint32(h[1] + b), np.uint32(h[2] + c), np.uint32(h[3] + d)
    h[4], h[5], h[6], h[7] = np.uint32(h[4] + e), np.uint32(h[5] + f), np.uint32(h[6] + g), np.uint32(h[7] + last)
