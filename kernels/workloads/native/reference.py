"""Oracles of hash primitives in NumPy, for many messages at once, written from their specifications.

Keccak (FIPS 202), BLAKE3 (its paper, section 2), SipHash (Aumasson and Bernstein 2012), ChaCha (RFC 8439) and
the compression of SHA-256 (FIPS 180-4). They share no code with the kernels. Messages lie along the last axis
of states, and along the first of texts.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "BLAKE3_IV",
    "SHA256_IV",
    "blake2b_midstate",
    "blake3",
    "blake3_compress",
    "chacha",
    "cshake_prefix",
    "keccak",
    "keccak_f",
    "rotate",
    "sha256_compress",
    "sip_absorb",
    "sip_finish",
]

U8 = NDArray[np.uint8]
U32 = NDArray[np.uint32]
U64 = NDArray[np.uint64]

SHA256_IV: Final = (0x6A09E667, 0xBB67AE85, 0x3C6EF372, 0xA54FF53A, 0x510E527F, 0x9B05688C, 0x1F83D9AB, 0x5BE0CD19)
BLAKE3_IV: Final = np.array(SHA256_IV, np.uint32)
_COLUMNS: Final = ((0, 4, 8, 12), (1, 5, 9, 13), (2, 6, 10, 14), (3, 7, 11, 15))
_DIAGONALS: Final = ((0, 5, 10, 15), (1, 6, 11, 12), (2, 7, 8, 13), (3, 4, 9, 14))
_PERMUTATION: Final = (2, 6, 3, 10, 7, 0, 4, 13, 1, 11, 12, 5, 9, 14, 15, 8)


def rotate(x: NDArray[Any], turn: int) -> NDArray[Any]:
    """Rotate unsigned words to the left."""
    bits = 8 * x.dtype.itemsize
    turn %= bits
    return x if turn == 0 else x << x.dtype.type(turn) | x >> x.dtype.type(bits - turn)


@cache
def _keccak_constants(rounds: int) -> tuple[int, ...]:
    """Round constants by the shift register of the specification."""
    state, bits = 1, []
    for _ in range(7 * rounds):
        bits.append(state & 1)
        state = state << 1 ^ (0x171 if state & 0x80 else 0)
    return tuple(sum(bits[7 * r + j] << (2**j - 1) for j in range(7)) for r in range(rounds))


@cache
def _keccak_moves() -> tuple[tuple[int, int, int], ...]:
    """Lane, rotation and new place of the steps rho and pi."""
    moves, x, y = [(0, 0, 0)], 1, 0
    for t in range(24):
        to = y + 5 * ((2 * x + 3 * y) % 5)
        moves.append((x + 5 * y, (t + 1) * (t + 2) // 2, to))
        x, y = y, (2 * x + 3 * y) % 5
    return tuple(moves)


def keccak_f(lanes: NDArray[Any]) -> NDArray[Any]:
    """Keccak-f[1600] or, with 32-bit lanes, Keccak-f[800].

    Parameters
    ----------
    lanes : array of uint64 or uint32, shape (25, messages)
        Lane (x, y) at x + 5 y.
    """
    kind = lanes.dtype.type
    a = list(lanes)
    for constant in _keccak_constants(24 if lanes.dtype.itemsize == 8 else 22):
        c = [a[x] ^ a[x + 5] ^ a[x + 10] ^ a[x + 15] ^ a[x + 20] for x in range(5)]
        d = [c[(x + 4) % 5] ^ rotate(c[(x + 1) % 5], 1) for x in range(5)]
        b = [a[0]] * 25
        for at, turn, to in _keccak_moves():
            b[to] = rotate(a[at] ^ d[at % 5], turn)
        a = [b[i] ^ (~b[i // 5 * 5 + (i + 1) % 5] & b[i // 5 * 5 + (i + 2) % 5]) for i in range(25)]
        a[0] = a[0] ^ kind(constant & (2 ** (8 * lanes.dtype.itemsize) - 1))
    return np.stack(a)


def keccak(texts: U8, rate: int, suffix: int, length: int, start: U64 | None = None) -> U8:
    """Sponge over texts of one length.

    Parameters
    ----------
    texts : array of uint8, shape (messages, bytes)
    rate : int
        Bytes of a block: 136 for 256 bits, 72 for 512.
    suffix : int
        Domain: 1 for Keccak, 6 for SHA-3, 4 for cSHAKE.
    length : int
        Bytes of a digest, at most the rate, or 200 for the whole state.
    start : array of uint64, shape (25,), optional
        State to begin with.

    Returns
    -------
    array of uint8, shape (messages, length)
    """
    count, size = texts.shape
    padded = np.zeros((count, (size // rate + 1) * rate), np.uint8)
    padded[:, :size] = texts
    padded[:, size] = suffix
    padded[:, -1] |= 0x80
    state = np.zeros((25, count), np.uint64)
    if start is not None:
        state ^= start[:, None]
    for at in range(0, padded.shape[1], rate):
        state[: rate // 8] ^= np.ascontiguousarray(padded[:, at : at + rate]).view("<u8").T
        state = keccak_f(state)
    return np.ascontiguousarray(state.T).view(np.uint8)[:, :length]


def cshake_prefix(custom: bytes) -> U64:
    """State of cSHAKE256 after the block with its customisation (SP 800-185)."""
    block = (b"\x01\x88\x01\x00\x01" + bytes([8 * len(custom)]) + custom).ljust(136, b"\0")
    state = np.zeros((25, 1), np.uint64)
    state[:17, 0] = np.frombuffer(block, "<u8")
    return np.asarray(keccak_f(state)[:, 0])


def _quarter(v: list[U32], at: Sequence[int], x: U32, y: U32) -> None:
    a, b, c, d = at
    for word, first, second in ((x, 16, 12), (y, 8, 7)):  # to the right
        v[a] = v[a] + v[b] + word
        v[d] = rotate(v[d] ^ v[a], -first)
        v[c] = v[c] + v[d]
        v[b] = rotate(v[b] ^ v[c], -second)


def blake3_compress(cv: U32, blocks: U32, length: int, flags: int, counter: int | U64 = 0) -> U32:
    """Compression function of BLAKE3.

    Parameters
    ----------
    cv : array of uint32, shape (8,) or (8, messages)
    blocks : array of uint32, shape (16, messages)
    length, flags : int
        Bytes of the block, and its domain bits.
    counter : int or array of uint64, shape (messages,)

    Returns
    -------
    array of uint32, shape (16, messages)
        The first eight words are the chaining value.
    """
    count = blocks.shape[1]
    wide = np.broadcast_to(np.asarray(counter, np.uint64), (count,))
    chain = np.broadcast_to(cv.reshape(8, -1), (8, count)).astype(np.uint32)
    rest = [(wide & np.uint64(2**32 - 1)).astype(np.uint32), (wide >> np.uint64(32)).astype(np.uint32)]
    rest += [np.full(count, value, np.uint32) for value in (length, flags)]
    v = [*chain, *(np.full(count, iv, np.uint32) for iv in BLAKE3_IV[:4]), *rest]
    m = list(blocks)
    for _ in range(7):
        for i, at in enumerate(_COLUMNS + _DIAGONALS):
            _quarter(v, at, m[2 * i], m[2 * i + 1])
        m = [m[i] for i in _PERMUTATION]
    return np.stack([*(v[i] ^ v[i + 8] for i in range(8)), *(v[i + 8] ^ chain[i] for i in range(8))])


def blake3(texts: U8, length: int = 32) -> U8:
    """BLAKE3 of texts of one length, at most one chunk.

    Parameters
    ----------
    texts : array of uint8, shape (messages, bytes)
        At least one and at most 1,024 bytes each.
    length : int
        Bytes of a digest, at most 64.
    """
    count, size = texts.shape
    padded = np.zeros((count, -(-size // 64) * 64), np.uint8)
    padded[:, :size] = texts
    cv = np.repeat(BLAKE3_IV[:, None], count, axis=1)
    for at in range(0, size, 64):
        block = np.ascontiguousarray(padded[:, at : at + 64]).view("<u4").T
        flags = (1 if at == 0 else 0) | (10 if at + 64 >= size else 0)
        out = blake3_compress(cv, block, min(64, size - at), flags)
        cv = out[:8]
    return np.ascontiguousarray(out.T).view(np.uint8)[:, :length]


def sip_absorb(v: list[U64], word: U64, rounds: int = 2) -> None:
    """Absorb one word into the four words of a SipHash state, in place."""
    v[3] = v[3] ^ word
    for _ in range(rounds):
        _sip_round(v)
    v[0] = v[0] ^ word


def sip_finish(v: list[U64]) -> U64:
    """Four last rounds, in place, and the XOR of the state."""
    v[2] = v[2] ^ np.uint64(0xFF)
    for _ in range(4):
        _sip_round(v)
    return v[0] ^ v[1] ^ v[2] ^ v[3]


def _sip_round(v: list[U64]) -> None:
    v[0], v[2] = v[0] + v[1], v[2] + v[3]
    v[1], v[3] = rotate(v[1], 13) ^ v[0], rotate(v[3], 16) ^ v[2]
    v[0] = rotate(v[0], 32)
    v[2], v[0] = v[2] + v[1], v[0] + v[3]
    v[1], v[3] = rotate(v[1], 17) ^ v[2], rotate(v[3], 21) ^ v[0]
    v[2] = rotate(v[2], 32)


def chacha(key: U32, counter: U32, nonce: U32, rounds: int) -> U32:
    """Blocks of ChaCha.

    Parameters
    ----------
    key, counter, nonce : arrays of uint32, shapes (8, blocks), (blocks,), (3, blocks)
    rounds : int
        8, 12 or 20.

    Returns
    -------
    array of uint32, shape (16, blocks)
    """
    count = counter.shape[0]
    first = np.frombuffer(b"expand 32-byte k", "<u4")
    start = [*(np.full(count, word, np.uint32) for word in first), *key, counter, *nonce]
    s = list(start)
    for _ in range(rounds // 2):
        for a, b, c, d in _COLUMNS + _DIAGONALS:
            for one, two in ((16, 12), (8, 7)):
                s[a] = s[a] + s[b]
                s[d] = rotate(s[d] ^ s[a], one)
                s[c] = s[c] + s[d]
                s[b] = rotate(s[b] ^ s[c], two)
    return np.stack([x + y for x, y in zip(s, start, strict=True)])


@cache
def _sha256_constants() -> tuple[int, ...]:
    """First 32 bits of the fractional parts of the cube roots of the first 64 primes."""
    primes = [n for n in range(2, 312) if all(n % p for p in range(2, int(n**0.5) + 1))]
    return tuple(_cube_root(p << 96) % 2**32 for p in primes[:64])


def _cube_root(n: int) -> int:
    low, high = 0, 1 << (n.bit_length() // 3 + 1)
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if middle**3 <= n else (low, middle - 1)
    return low


def sha256_compress(h: Sequence[int], block: bytes) -> list[int]:
    """One compression of SHA-256, of one block of 64 bytes."""
    mask = 2**32 - 1

    def right(x: int, n: int) -> int:
        return (x >> n | x << (32 - n)) & mask

    w = [int.from_bytes(block[i : i + 4], "big") for i in range(0, 64, 4)]
    for i in range(16, 64):
        s0 = right(w[i - 15], 7) ^ right(w[i - 15], 18) ^ w[i - 15] >> 3
        s1 = right(w[i - 2], 17) ^ right(w[i - 2], 19) ^ w[i - 2] >> 10
        w.append((w[i - 16] + s0 + w[i - 7] + s1) & mask)
    a, b, c, d, e, f, g, k = h
    for constant, word in zip(_sha256_constants(), w, strict=True):
        s1 = right(e, 6) ^ right(e, 11) ^ right(e, 25)
        t1 = k + s1 + (e & f ^ ~e & g) + constant + word
        t2 = (right(a, 2) ^ right(a, 13) ^ right(a, 22)) + (a & b ^ a & c ^ b & c)
        a, b, c, d, e, f, g, k = (t1 + t2) & mask, a, b, c, (d + t1) & mask, e, f, g
    return [(x + y) & mask for x, y in zip(h, (a, b, c, d, e, f, g, k), strict=True)]


_SIGMA: Final = (
    (0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15),
    (14, 10, 4, 8, 9, 15, 13, 6, 1, 12, 0, 2, 11, 7, 5, 3),
    (11, 8, 12, 0, 5, 2, 15, 13, 10, 14, 3, 6, 7, 1, 9, 4),
    (7, 9, 3, 1, 13, 12, 11, 14, 2, 6, 5, 10, 4, 0, 15, 8),
    (9, 0, 5, 7, 2, 4, 10, 15, 14, 1, 11, 12, 6, 8, 3, 13),
    (2, 12, 6, 10, 0, 11, 8, 3, 4, 13, 7, 5, 15, 14, 1, 9),
    (12, 5, 1, 15, 14, 13, 4, 10, 0, 7, 6, 3, 9, 2, 8, 11),
    (13, 11, 7, 14, 12, 1, 3, 9, 5, 0, 15, 4, 8, 6, 2, 10),
    (6, 15, 14, 9, 11, 3, 0, 8, 12, 2, 13, 7, 1, 4, 10, 5),
    (10, 2, 8, 4, 7, 6, 1, 5, 15, 11, 9, 14, 3, 12, 13, 0),
)
_BLAKE2B_IV: Final = (
    0x6A09E667F3BCC908,
    0xBB67AE8584CAA73B,
    0x3C6EF372FE94F82B,
    0xA54FF53A5F1D36F1,
    0x510E527FADE682D1,
    0x9B05688C2B3E6C1F,
    0x1F83D9ABFB41BD6B,
    0x5BE0CD19137E2179,
)


def blake2b_midstate(block: bytes, length: int, person: bytes) -> U64:
    """Chaining value of BLAKE2b after a first block of 128 bytes that is not the last (RFC 7693)."""
    header = bytearray(64)
    header[0], header[2], header[3] = length, 1, 1
    header[48 : 48 + len(person)] = person
    state = np.array(_BLAKE2B_IV, np.uint64) ^ np.frombuffer(bytes(header), "<u8")
    m = list(np.frombuffer(block, "<u8").astype(np.uint64)[:, None])
    v = [*state[:, None], *np.array(_BLAKE2B_IV, np.uint64)[:, None]]
    v[12] = v[12] ^ np.uint64(128)
    for r in range(12):
        order = _SIGMA[r % 10]
        for i, (a, b, c, d) in enumerate(_COLUMNS + _DIAGONALS):
            for word, first, second in ((m[order[2 * i]], 32, 24), (m[order[2 * i + 1]], 16, 63)):
                v[a] = v[a] + v[b] + word
                v[d] = rotate(v[d] ^ v[a], -first)
                v[c] = v[c] + v[d]
                v[b] = rotate(v[b] ^ v[c], -second)
    return np.array([state[i] ^ v[i][0] ^ v[i + 8][0] for i in range(8)], np.uint64)
