"""SHA-512's compression function for private arrays, and the start of SHA-512/256 (FIPS 180-4)."""

# ruff: noqa: ANN401  device functions take arrays and numbers of any type

from __future__ import annotations

from typing import Any, Final

import numpy as np

from hashwarden.kernels.device import device, rotate_left_64

__all__ = ["sha512_256_start", "sha512_compress"]

_INITIAL: Final = np.array(
    [
        0x22312194FC2BF72C, 0x9F555FA3C84C64C2, 0x2393B86B6F53B151, 0x963877195940EABD,
        0x96283EE2A88EFFE3, 0xBE5E1E2553863992, 0x2B0199FC2C85B8AA, 0x0EB72DDC81C52CA2,
    ],
    np.uint64,
)  # fmt: skip
"""Hash value that SHA-512/256 starts from."""

_ROUND: Final = np.array(
    [
        0x428A2F98D728AE22, 0x7137449123EF65CD, 0xB5C0FBCFEC4D3B2F, 0xE9B5DBA58189DBBC,
        0x3956C25BF348B538, 0x59F111F1B605D019, 0x923F82A4AF194F9B, 0xAB1C5ED5DA6D8118,
        0xD807AA98A3030242, 0x12835B0145706FBE, 0x243185BE4EE4B28C, 0x550C7DC3D5FFB4E2,
        0x72BE5D74F27B896F, 0x80DEB1FE3B1696B1, 0x9BDC06A725C71235, 0xC19BF174CF692694,
        0xE49B69C19EF14AD2, 0xEFBE4786384F25E3, 0x0FC19DC68B8CD5B5, 0x240CA1CC77AC9C65,
        0x2DE92C6F592B0275, 0x4A7484AA6EA6E483, 0x5CB0A9DCBD41FBD4, 0x76F988DA831153B5,
        0x983E5152EE66DFAB, 0xA831C66D2DB43210, 0xB00327C898FB213F, 0xBF597FC7BEEF0EE4,
        0xC6E00BF33DA88FC2, 0xD5A79147930AA725, 0x06CA6351E003826F, 0x142929670A0E6E70,
        0x27B70A8546D22FFC, 0x2E1B21385C26C926, 0x4D2C6DFC5AC42AED, 0x53380D139D95B3DF,
        0x650A73548BAF63DE, 0x766A0ABB3C77B2A8, 0x81C2C92E47EDAEE6, 0x92722C851482353B,
        0xA2BFE8A14CF10364, 0xA81A664BBC423001, 0xC24B8B70D0F89791, 0xC76C51A30654BE30,
        0xD192E819D6EF5218, 0xD69906245565A910, 0xF40E35855771202A, 0x106AA07032BBD1B8,
        0x19A4C116B8D2D0C8, 0x1E376C085141AB53, 0x2748774CDF8EEB99, 0x34B0BCB5E19B48A8,
        0x391C0CB3C5C95A63, 0x4ED8AA4AE3418ACB, 0x5B9CCA4F7763E373, 0x682E6FF3D6B2B8A3,
        0x748F82EE5DEFB2FC, 0x78A5636F43172F60, 0x84C87814A1F0AB72, 0x8CC702081A6439EC,
        0x90BEFFFA23631E28, 0xA4506CEBDE82BDE9, 0xBEF9A3F7B2C67915, 0xC67178F2E372532B,
        0xCA273ECEEA26619C, 0xD186B8C721C0C207, 0xEADA7DD6CDE0EB1E, 0xF57D4F7FEE6ED178,
        0x06F067AA72176FBA, 0x0A637DC5A2C898A6, 0x113F9804BEF90DAE, 0x1B710B35131C471B,
        0x28DB77F523047D84, 0x32CAAB7B40C72493, 0x3C9EBE0A15C9BEBC, 0x431D67C49C100D4C,
        0x4CC5D4BECB3E42B6, 0x597F299CFC657E2A, 0x5FCB6FAB3AD6FAEC, 0x6C44198C4A475817,
    ],
    np.uint64,
)  # fmt: skip


@device
def _three_turns(x: Any, first: Any, second: Any, third: Any) -> Any:
    """XOR of three left rotations."""
    return np.uint64(rotate_left_64(x, first) ^ rotate_left_64(x, second) ^ rotate_left_64(x, third))


@device
def _next_words(w: Any) -> None:
    """Replace 16 words of the message schedule by the next 16."""
    for i in range(16):
        near, far = w[(i + 14) & 15], w[(i + 1) & 15]
        s1 = np.uint64(rotate_left_64(near, 45) ^ rotate_left_64(near, 3) ^ np.uint64(near >> np.uint64(6)))
        s0 = np.uint64(rotate_left_64(far, 63) ^ rotate_left_64(far, 56) ^ np.uint64(far >> np.uint64(7)))
        w[i] = np.uint64(np.uint64(w[i] + s0) + np.uint64(w[(i + 9) & 15] + s1))


@device
def sha512_256_start(h: Any) -> None:
    """Set ``h``, uint64[8], to the value that SHA-512/256 starts from."""
    for i in range(8):
        h[i] = _INITIAL[i]


@device
def sha512_compress(h: Any, w: Any) -> None:
    """Compress one block.

    Parameters
    ----------
    h : uint64, shape (8,)
        Hash value, replaced.
    w : uint64, shape (16,)
        Message words, big endian; used up as the window of the message schedule.
    """
    a, b, c, d = h[0], h[1], h[2], h[3]
    e, f, g, last = h[4], h[5], h[6], h[7]
    for first in range(0, 80, 16):
        if first:
            _next_words(w)
        for i in range(16):
            chosen = np.uint64(g ^ np.uint64(e & np.uint64(f ^ g)))
            fixed = np.uint64(_ROUND[first + i] + w[i])
            t1 = np.uint64(np.uint64(last + _three_turns(e, 50, 46, 23)) + np.uint64(chosen + fixed))
            most = np.uint64(np.uint64(a & b) | np.uint64(c & np.uint64(a | b)))
            t2 = np.uint64(_three_turns(a, 36, 30, 25) + most)
            last, g, f, e = g, f, e, np.uint64(d + t1)
            d, c, b, a = c, b, a, np.uint64(t1 + t2)
    h[0], h[1], h[2], h[3] = np.uint64(h[0] + a), np.uint64(h[1] + b), np.uint64(h[2] + c), np.uint64(h[3] + d)
    h[4], h[5], h[6], h[7] = np.uint64(h[4] + e), np.uint64(h[5] + f), np.uint64(h[6] + g), np.uint64(h[7] + last)
