"""SipHash-2-4 of one word from a given state, as the Cuckoo Cycle proofs of work use it.

SipHash is by Aumasson and Bernstein (INDOCRYPT 2012). Cuckoo Cycle (Tromp, 2014) sets the four state words
directly, without the constants of SipHash, and pads nothing.
"""

# ruff: noqa: ANN401  compiled code takes numbers of any type

from __future__ import annotations

from typing import Any

import numpy as np

from hashwarden.kernels.device import device, rotate_left_64

__all__ = ["siphash24_word"]


@device
def _sip_round(v0: Any, v1: Any, v2: Any, v3: Any) -> Any:
    v0, v2 = np.uint64(v0 + v1), np.uint64(v2 + v3)
    v1, v3 = np.uint64(rotate_left_64(v1, 13) ^ v0), np.uint64(rotate_left_64(v3, 16) ^ v2)
    v0 = rotate_left_64(v0, 32)
    v2, v0 = np.uint64(v2 + v1), np.uint64(v0 + v3)
    v1, v3 = np.uint64(rotate_left_64(v1, 17) ^ v2), np.uint64(rotate_left_64(v3, 21) ^ v0)
    return v0, v1, rotate_left_64(v2, 32), v3


@device
def siphash24_word(k0: Any, k1: Any, k2: Any, k3: Any, word: Any) -> Any:
    """Hash one word.

    Parameters
    ----------
    k0, k1, k2, k3 : uint64
        State to begin with.
    word : uint64
        What is hashed.

    Returns
    -------
    uint64
    """
    v0, v1, v2, v3 = np.uint64(k0), np.uint64(k1), np.uint64(k2), np.uint64(np.uint64(k3) ^ np.uint64(word))
    for _ in range(2):
        v0, v1, v2, v3 = _sip_round(v0, v1, v2, v3)
    v0, v2 = np.uint64(v0 ^ np.uint64(word)), np.uint64(v2 ^ np.uint64(0xFF))
    for _ in range(4):
        v0, v1, v2, v3 = _sip_round(v0, v1, v2, v3)
    return np.uint64((v0 ^ v1) ^ (v2 ^ v3))
