"""BLAKE3 of one chunk in plain Python, from sections 2.1 to 2.6 of the BLAKE3 paper: an oracle without a package.

The tests compare it with the ``blake3`` package.
"""

# ruff: noqa: ANN401  a word may be a number or an array of them

from __future__ import annotations

from typing import Any, Final

import numpy as np

__all__ = ["blake3_hash"]

_INITIAL: Final = (
    0x6A09E667, 0xBB67AE85, 0x3C6EF372, 0xA54FF53A, 0x510E527F, 0x9B05688C, 0x1F83D9AB, 0x5BE0CD19,
)  # fmt: skip
_ORDER: Final = (2, 6, 3, 10, 7, 0, 4, 13, 1, 11, 12, 5, 9, 14, 15, 8)
_MASK: Final = 0xFFFFFFFF
_BLOCK: Final = 64
_CHUNK: Final = 1024
_START, _END, _ROOT, _KEYED = 1, 2, 8, 16


def _turned(word: Any, count: int) -> Any:
    return (word >> count | word << (32 - count)) & _MASK


def _mix(v: list[Any], places: tuple[int, int, int, int], x: int, y: int) -> None:
    a, b, c, d = places
    for word, first, second in ((x, 16, 12), (y, 8, 7)):
        v[a] = (v[a] + v[b] + word) & _MASK
        v[d] = _turned(v[d] ^ v[a], first)
        v[c] = (v[c] + v[d]) & _MASK
        v[b] = _turned(v[b] ^ v[c], second)


def _compress(chain: list[Any], block: bytes, length: int, flags: int, counter: Any = 0) -> list[Any]:
    """Return 16 words of output, of which the first 8 are the next chaining value; many if the counter is an array."""
    m = [int.from_bytes(block[i : i + 4], "little") for i in range(0, _BLOCK, 4)]
    v = [*chain, *_INITIAL[:4], counter, 0, length, flags]
    for _ in range(7):
        for i in range(4):
            _mix(v, (i, 4 + i, 8 + i, 12 + i), m[2 * i], m[2 * i + 1])
        for i in range(4):
            _mix(v, (i, 4 + (i + 1) % 4, 8 + (i + 2) % 4, 12 + (i + 3) % 4), m[8 + 2 * i], m[9 + 2 * i])
        m = [m[i] for i in _ORDER]
    return [v[i] ^ v[i + 8] for i in range(8)] + [v[i + 8] ^ chain[i] for i in range(8)]


def blake3_hash(data: bytes, length: int = 32, key: bytes = b"") -> bytes:
    """Hash at most one chunk.

    Parameters
    ----------
    data : bytes
        At most 1,024 bytes.
    length : int
        Bytes of output.
    key : bytes
        32 bytes for the keyed mode, or none.
    """
    if len(data) > _CHUNK:
        raise ValueError(f"{len(data)} bytes, more than one chunk")
    chain = [int.from_bytes(key[i : i + 4], "little") for i in range(0, 32, 4)] if key else list(_INITIAL)
    mode = _KEYED if key else 0
    blocks = [data[i : i + _BLOCK] for i in range(0, len(data), _BLOCK)] or [b""]
    for i, block in enumerate(blocks[:-1]):
        chain = _compress(chain, block, _BLOCK, mode | (_START if i == 0 else 0))[:8]
    flags = mode | (_START if len(blocks) == 1 else 0) | _END | _ROOT
    last, taken = blocks[-1].ljust(_BLOCK, b"\0"), len(blocks[-1])
    counters = np.arange(-(-length // _BLOCK), dtype=np.uint64)
    words = np.stack(_compress(chain, last, taken, flags, counters), axis=1)
    return words.astype("<u4").tobytes()[:length]
