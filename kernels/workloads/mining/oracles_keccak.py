"""Keccak in NumPy, many messages at a time: an oracle that shares nothing with the device functions.

Round constants and rotations follow from the definitions of FIPS 202 (shift register, walk over the lanes)
instead of tables.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["keccak", "keccak_permutation"]

_LANES = 25
_ROUNDS = 24


def _constants() -> list[int]:
    """Round constants by the shift register of section 3.2.5."""
    register, bits = 1, []
    for _ in range(7 * _ROUNDS):
        bits.append(register & 1)
        register = register << 1 ^ (0x171 if register & 0x80 else 0)
    return [sum(bits[7 * turn + j] << (2**j - 1) for j in range(7)) for turn in range(_ROUNDS)]


def _rotated(lanes: NDArray[np.uint64], count: int) -> NDArray[np.uint64]:
    count %= 64
    return lanes << np.uint64(count) | lanes >> np.uint64(64 - count) if count else lanes


def keccak_permutation(state: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Permute states.

    Parameters
    ----------
    state : uint64, shape (25, N)
        Lane (x, y) at x + 5 y.

    Returns
    -------
    uint64, shape (25, N)
    """
    lanes = list(state)
    for constant in _constants():
        parity = [lanes[x] ^ lanes[x + 5] ^ lanes[x + 10] ^ lanes[x + 15] ^ lanes[x + 20] for x in range(5)]
        lanes = [lanes[i] ^ parity[(i + 4) % 5] ^ _rotated(parity[(i + 1) % 5], 1) for i in range(_LANES)]
        moved = [lanes[0]] * _LANES
        x, y = 1, 0
        for turn in range(_ROUNDS):
            moved[y + 5 * ((2 * x + 3 * y) % 5)] = _rotated(lanes[x + 5 * y], (turn + 1) * (turn + 2) // 2)
            x, y = y, (2 * x + 3 * y) % 5
        lanes = [moved[i] ^ (~moved[i // 5 * 5 + (i + 1) % 5] & moved[i // 5 * 5 + (i + 2) % 5]) for i in range(_LANES)]
        lanes[0] = lanes[0] ^ np.uint64(constant)
    return np.stack(lanes)


def keccak(messages: NDArray[Any], rate: int, digest_bytes: int, suffix: int = 1) -> NDArray[np.uint8]:
    """Hash messages of one length.

    Parameters
    ----------
    messages : array, shape (N, anything)
        One message a row, as the bytes that it holds.
    rate : int
        Bytes absorbed at a time: 136 for 256 bits of output, 72 for 512.
    digest_bytes : int
        At most ``rate``.
    suffix : int
        First byte of the padding: 1 for Keccak as it was proposed, 6 for SHA-3.

    Returns
    -------
    uint8, shape (N, digest_bytes)
    """
    data = np.ascontiguousarray(messages).reshape(len(messages), -1).view(np.uint8)
    count, length = data.shape
    padded = np.zeros((count, (length // rate + 1) * rate), np.uint8)
    padded[:, :length] = data
    padded[:, length] = suffix
    padded[:, -1] |= 0x80
    state = np.zeros((_LANES, count), np.uint64)
    for start in range(0, padded.shape[1], rate):
        block = np.ascontiguousarray(padded[:, start : start + rate]).view("<u8")
        state[: rate // 8] ^= block.T
        state = keccak_permutation(state)
    return np.ascontiguousarray(state.T).view(np.uint8)[:, :digest_bytes]
