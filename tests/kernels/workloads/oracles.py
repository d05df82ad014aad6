"""Plain Python references of primitives whose inside the standard library does not show.

`test_hash_oracles.py` checks each of them against hashlib, pycryptodome or a published vector.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

M32, M64 = 2**32 - 1, 2**64 - 1
IV256 = (0x6A09E667, 0xBB67AE85, 0x3C6EF372, 0xA54FF53A, 0x510E527F, 0x9B05688C, 0x1F83D9AB, 0x5BE0CD19)
IV512 = (
    0x6A09E667F3BCC908,
    0xBB67AE8584CAA73B,
    0x3C6EF372FE94F82B,
    0xA54FF53A5F1D36F1,
    0x510E527FADE682D1,
    0x9B05688C2B3E6C1F,
    0x1F83D9ABFB41BD6B,
    0x5BE0CD19137E2179,
)
SIGMA = (
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
QUARTERS = ((0, 4, 8, 12), (1, 5, 9, 13), (2, 6, 10, 14), (3, 7, 11, 15))
DIAGONALS = ((0, 5, 10, 15), (1, 6, 11, 12), (2, 7, 8, 13), (3, 4, 9, 14))


def rotl(x: int, n: int, bits: int = 64) -> int:
    """Rotate left."""
    n %= bits
    return (x << n | x >> (bits - n)) & (2**bits - 1)


def blake2b_start(length: int, person: bytes = b"", key_length: int = 0) -> list[int]:
    """Chaining value that BLAKE2b starts from."""
    block = bytearray(64)
    block[0], block[1], block[2], block[3] = length, key_length, 1, 1
    block[48 : 48 + len(person)] = person
    return [iv ^ int.from_bytes(block[8 * i : 8 * i + 8], "little") for i, iv in enumerate(IV512)]


def blake2b_compress(h: Sequence[int], block: bytes, total: int, last: bool) -> list[int]:
    """One compression of BLAKE2b."""
    m = [int.from_bytes(block[i : i + 8], "little") for i in range(0, 128, 8)]
    v = [*h, *IV512]
    v[12] ^= total
    v[14] ^= M64 if last else 0
    for r in range(12):
        s = SIGMA[r % 10]
        for i, (a, b, c, d) in enumerate(QUARTERS + DIAGONALS):
            for word, first, second in ((m[s[2 * i]], 32, 24), (m[s[2 * i + 1]], 16, 63)):
                v[a] = (v[a] + v[b] + word) & M64
                v[d] = rotl(v[d] ^ v[a], -first)
                v[c] = (v[c] + v[d]) & M64
                v[b] = rotl(v[b] ^ v[c], -second)
    return [h[i] ^ v[i] ^ v[i + 8] for i in range(8)]


def keccak_constants(rounds: int) -> list[int]:
    """Round constants of Keccak-f[1600] by the shift register of the specification."""
    state, bits = 1, []
    for _ in range(7 * rounds):
        bits.append(state & 1)
        state = state << 1 ^ (0x171 if state & 0x80 else 0)
    return [sum(bits[7 * r + j] << (2**j - 1) for j in range(7)) for r in range(rounds)]


def keccak_f(lanes: Sequence[int], width: int = 64, rounds: int = 24) -> list[int]:
    """Keccak-f on 25 lanes of ``width`` bits, lane (x, y) at x + 5 y."""
    a, mask = list(lanes), 2**width - 1
    for constant in keccak_constants(rounds):
        c = [a[x] ^ a[x + 5] ^ a[x + 10] ^ a[x + 15] ^ a[x + 20] for x in range(5)]
        a = [a[i] ^ c[(i + 4) % 5] ^ rotl(c[(i + 1) % 5], 1, width) for i in range(25)]
        b = [0] * 25
        x, y, offset = 1, 0, 0
        b[0] = a[0]
        for t in range(24):
            offset = (t + 1) * (t + 2) // 2
            b[y + 5 * ((2 * x + 3 * y) % 5)] = rotl(a[x + 5 * y], offset, width)
            x, y = y, (2 * x + 3 * y) % 5
        a = [b[i] ^ (~b[i // 5 * 5 + (i + 1) % 5] & b[i // 5 * 5 + (i + 2) % 5] & mask) for i in range(25)]
        a[0] ^= constant & mask
    return a


def keccak(data: bytes, rate: int, suffix: int, length: int) -> bytes:
    """Keccak sponge over bytes with the given domain suffix."""
    padded = bytearray(data + bytes([suffix]) + bytes(-(len(data) + 1) % rate))
    padded[-1] |= 0x80
    lanes = [0] * 25
    for at in range(0, len(padded), rate):
        for i in range(rate // 8):
            lanes[i] ^= int.from_bytes(padded[at + 8 * i : at + 8 * i + 8], "little")
        lanes = keccak_f(lanes)
    return b"".join(lane.to_bytes(8, "little") for lane in lanes)[:length]


def sip_round(v: list[int], last: int = 21) -> None:
    """One SipRound in place; ``last`` is the fourth rotation (21 in SipHash)."""
    v[0], v[2] = (v[0] + v[1]) & M64, (v[2] + v[3]) & M64
    v[1], v[3] = rotl(v[1], 13) ^ v[0], rotl(v[3], 16) ^ v[2]
    v[0] = rotl(v[0], 32)
    v[2], v[0] = (v[2] + v[1]) & M64, (v[0] + v[3]) & M64
    v[1], v[3] = rotl(v[1], 17) ^ v[2], rotl(v[3], last) ^ v[0]
    v[2] = rotl(v[2], 32)


def sip_absorb(v: list[int], word: int, last: int = 21) -> None:
    """Absorb one word by two rounds."""
    v[3] ^= word
    sip_round(v, last)
    sip_round(v, last)
    v[0] ^= word


def sip_finish(v: list[int], last: int = 21) -> int:
    """Four last rounds and the XOR of the state."""
    v[2] ^= 0xFF
    for _ in range(4):
        sip_round(v, last)
    return v[0] ^ v[1] ^ v[2] ^ v[3]


def siphash24(key: bytes, data: bytes) -> int:
    """SipHash-2-4 of the specification."""
    k0, k1 = int.from_bytes(key[:8], "little"), int.from_bytes(key[8:], "little")
    v = [k0 ^ 0x736F6D6570736575, k1 ^ 0x646F72616E646F6D, k0 ^ 0x6C7967656E657261, k1 ^ 0x7465646279746573]
    padded = data + bytes(7 - len(data) % 8) + bytes([len(data) % 256])
    for i in range(0, len(padded), 8):
        sip_absorb(v, int.from_bytes(padded[i : i + 8], "little"))
    return sip_finish(v)


def cuckoo_siphash(keys: Sequence[int], nonce: int) -> int:
    """SipHash-2-4 of one word as cuckoo-cycle proofs use it: the state is given, nothing is padded."""
    v = list(keys)
    sip_absorb(v, nonce)
    return sip_finish(v)


def primes(count: int) -> list[int]:
    """First primes."""
    found: list[int] = []
    candidate = 2
    while len(found) < count:
        if all(candidate % p for p in found):
            found.append(candidate)
        candidate += 1
    return found


def cube_root_fraction(n: int, bits: int) -> int:
    """First bits of the fractional part of a cube root, in whole numbers."""
    low, high, target = 0, n << bits, n << (3 * bits)
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if middle**3 <= target else (low, middle - 1)
    return low % 2**bits


@cache
def sha256_constants() -> tuple[int, ...]:
    """Round constants of SHA-256."""
    return tuple(cube_root_fraction(p, 32) for p in primes(64))


def sha256_compress(h: Sequence[int], block: bytes) -> list[int]:
    """One compression of SHA-256."""
    constants = sha256_constants()
    w = [int.from_bytes(block[i : i + 4], "big") for i in range(0, 64, 4)]
    for i in range(16, 64):
        s0 = rotl(w[i - 15], -7, 32) ^ rotl(w[i - 15], -18, 32) ^ w[i - 15] >> 3
        s1 = rotl(w[i - 2], -17, 32) ^ rotl(w[i - 2], -19, 32) ^ w[i - 2] >> 10
        w.append((w[i - 16] + s0 + w[i - 7] + s1) & M32)
    a, b, c, d, e, f, g, k = h
    for constant, word in zip(constants, w, strict=True):
        s1 = rotl(e, -6, 32) ^ rotl(e, -11, 32) ^ rotl(e, -25, 32)
        t1 = k + s1 + (e & f ^ ~e & g) + constant + word
        t2 = (rotl(a, -2, 32) ^ rotl(a, -13, 32) ^ rotl(a, -22, 32)) + (a & b ^ a & c ^ b & c)
        a, b, c, d, e, f, g, k = (t1 + t2) & M32, a, b, c, (d + t1) & M32, e, f, g
    return [(x + y) & M32 for x, y in zip(h, (a, b, c, d, e, f, g, k), strict=True)]


PI = (
    0x243F6A88,
    0x85A308D3,
    0x13198A2E,
    0x03707344,
    0xA4093822,
    0x299F31D0,
    0x082EFA98,
    0xEC4E6C89,
    0x452821E6,
    0x38D01377,
    0xBE5466CF,
    0x34E90C6C,
    0xC0AC29B7,
    0xC97C50DD,
    0x3F84D5B5,
    0xB5470917,
)


def blake256_compress(h: Sequence[int], block: bytes, bits: int, rounds: int = 14) -> list[int]:
    """One compression of BLAKE-256 without salt."""
    m = [int.from_bytes(block[i : i + 4], "big") for i in range(0, 64, 4)]
    v = [*h, *PI[:8]]
    v[12] ^= bits & M32
    v[13] ^= bits & M32
    v[14] ^= bits >> 32
    v[15] ^= bits >> 32
    for r in range(rounds):
        s = SIGMA[r % 10]
        for i, (a, b, c, d) in enumerate(QUARTERS + DIAGONALS):
            for word, constant, first, second in ((s[2 * i], s[2 * i + 1], 16, 12), (s[2 * i + 1], s[2 * i], 8, 7)):
                v[a] = (v[a] + v[b] + (m[word] ^ PI[constant])) & M32
                v[d] = rotl(v[d] ^ v[a], -first, 32)
                v[c] = (v[c] + v[d]) & M32
                v[b] = rotl(v[b] ^ v[c], -second, 32)
    return [h[i] ^ v[i] ^ v[i + 8] for i in range(8)]


def sbox() -> list[int]:
    """Build the substitution table of AES from inverses in its field and the affine map."""

    def times(a: int, b: int) -> int:
        product = 0
        while b:
            product ^= a if b & 1 else 0
            a = a << 1 ^ (0x11B if a & 0x80 else 0)
            b >>= 1
        return product

    table = []
    for x in range(256):
        inverse = next((y for y in range(256) if times(x, y) == 1), 0)
        table.append(
            inverse ^ rotl(inverse, 1, 8) ^ rotl(inverse, 2, 8) ^ rotl(inverse, 3, 8) ^ rotl(inverse, 4, 8) ^ 0x63
        )
    return table


AES_SBOX = sbox()


def aes_round(block: bytes, key: bytes, last: bool = False) -> bytes:
    """One forward round of AES: bytes, rows, columns (not in the last round), key."""
    s = [AES_SBOX[block[(5 * i) % 16]] for i in range(16)]
    if not last:
        mixed = []
        for column in range(0, 16, 4):
            c = s[column : column + 4]
            whole = c[0] ^ c[1] ^ c[2] ^ c[3]
            for i in range(4):
                pair = c[i] ^ c[(i + 1) % 4]
                mixed.append(c[i] ^ whole ^ (pair << 1 ^ (0x11B if pair & 0x80 else 0)))
        s = mixed
    return bytes(a ^ b for a, b in zip(s, key, strict=True))


def aes256_keys(key: bytes, count: int) -> list[bytes]:
    """First round keys of AES-256."""
    words, constant = [key[i : i + 4] for i in range(0, 32, 4)], 1
    while len(words) < 4 * count:
        t, i = words[-1], len(words)
        if i % 8 == 0:
            t = bytes(AES_SBOX[b] for b in t[1:] + t[:1])
            t, constant = bytes([t[0] ^ constant]) + t[1:], constant << 1
        elif i % 8 == 4:
            t = bytes(AES_SBOX[b] for b in t)
        words.append(bytes(a ^ b for a, b in zip(words[-8], t, strict=True)))
    return [b"".join(words[4 * i : 4 * i + 4]) for i in range(count)]


def chacha(key: bytes, counter: int, nonce: bytes, rounds: int) -> bytes:
    """One block of ChaCha with a 32-bit counter and 96-bit nonce."""
    start = [int.from_bytes(b"expand 32-byte k"[i : i + 4], "little") for i in range(0, 16, 4)]
    tail = key + counter.to_bytes(4, "little") + nonce
    start += [int.from_bytes(tail[i : i + 4], "little") for i in range(0, 48, 4)]
    s = list(start)
    for _ in range(rounds // 2):
        for a, b, c, d in QUARTERS + DIAGONALS:
            for first, second in ((16, 12), (8, 7)):
                s[a] = (s[a] + s[b]) & M32
                s[d] = rotl(s[d] ^ s[a], first, 32)
                s[c] = (s[c] + s[d]) & M32
                s[b] = rotl(s[b] ^ s[c], second, 32)
    return b"".join(((a + b) & M32).to_bytes(4, "little") for a, b in zip(s, start, strict=True))
