"""The ChaCha-filled scratchpad hash in plain Python, by RFC 8439 and whole numbers."""

from __future__ import annotations

from math import isqrt
from typing import Final

from hashwarden.kernels.workloads.mining.oracles_blake3 import blake3_hash

__all__ = ["chacha", "hashed"]

_MASK_32: Final = 0xFFFFFFFF
_MASK: Final = 0xFFFFFFFFFFFFFFFF


def _turned(word: int, count: int) -> int:
    return (word << count | word >> (32 - count)) & _MASK_32


def chacha(key: bytes, counter: int, nonce: bytes, rounds: int) -> bytes:
    """Block of ChaCha: 32 bytes of key, 32 bits of counter, 12 bytes of nonce."""
    data = b"expand 32-byte k" + key + counter.to_bytes(4, "little") + nonce
    start = [int.from_bytes(data[i : i + 4], "little") for i in range(0, 64, 4)]
    s = list(start)
    for turn in range(rounds):
        shift = turn & 1
        for i in range(4):
            a, b, c, d = i, 4 + (i + shift) % 4, 8 + (i + 2 * shift) % 4, 12 + (i + 3 * shift) % 4
            for first, second in ((16, 12), (8, 7)):
                s[a] = (s[a] + s[b]) & _MASK_32
                s[d] = _turned(s[d] ^ s[a], first)
                s[c] = (s[c] + s[d]) & _MASK_32
                s[b] = _turned(s[b] ^ s[c], second)
    return b"".join(((x + y) & _MASK_32).to_bytes(4, "little") for x, y in zip(s, start, strict=True))


def _filled(seed: bytes, nonce: int, words: int) -> list[int]:
    key, tail, pad = seed, bytes(8), b""
    for _ in range(4):
        key = blake3_hash(key)
        blocks = [chacha(key, i, nonce.to_bytes(4, "little") + tail, 8) for i in range(words // 32)]
        pad += b"".join(blocks)
        tail = blocks[-1][:4] + blocks[-1][60:]
    return [int.from_bytes(pad[i : i + 8], "little") for i in range(0, 8 * words, 8)]


def _combined(r: int, x: int, y: int, z: int) -> int:
    turn = y % 64
    operations = (
        lambda: r ^ (x * y + z) & _MASK,
        lambda: r ^ ((x * y >> 64) + z) & _MASK,
        lambda: r ^ (x // (y | 1) + z) & _MASK,
        lambda: r ^ isqrt(x) * z & _MASK,
        lambda: r ^ (x << turn | x >> (64 - turn)) & _MASK if turn else r ^ x,
        lambda: r ^ (x % (z | 1) + y) & _MASK,
        lambda: (r + (x & ~y ^ z)) & _MASK,
        lambda: (r - (x ^ (y | z))) & _MASK,
    )
    return operations[(x ^ y ^ r) % 8]()


def hashed(seed: bytes, nonce: int, words: int, turns: int) -> tuple[int, bytes]:
    """Last word of the walk, and digest, of a nonce."""
    pad = _filled(seed, nonce, words)
    a, b, r = pad[0], pad[words // 2], 0
    for _ in range(turns):
        for i in range(words):
            z = pad[i]
            r = _combined(r, pad[a % words], pad[b % words], z)
            r = (r << 1 | r >> 63) & _MASK
            pad[i] = z ^ r
            a, b = a ^ r, (b + (r ^ i)) & _MASK
    return r, blake3_hash(b"".join(word.to_bytes(8, "little") for word in pad[-128:]))
