"""Scratchpad hashes: scrypt, Argon2d, CryptoNight-like and ChaCha-pad kernels."""

from __future__ import annotations

import hashlib
from math import isqrt

import numpy as np
import pytest
from argon2 import low_level
from blake3 import blake3

M32, M64 = 2**32 - 1, 2**64 - 1


@pytest.mark.parametrize(("variant", "cost", "gap"), [("", 1024, 1), ("GAP=2", 1024, 2), ("LOG_N=6 LOCAL_PAD", 64, 1)])
def test_scrypt(host, variant, cost, gap):
    module, header = host("scrypt", variant), bytes((9 * i + 2) % 256 for i in range(80))
    module.write("c_header", np.frombuffer(header, ">u4").astype(np.uint32))
    states, pad = np.zeros((2, 32), np.uint32), np.zeros(2 * cost // gap * 32, np.uint32)
    digests, hits = np.zeros((2, 8), np.uint32), np.zeros(1, np.uint32)
    module.launch("scrypt_begin", 1, 2, np.uint32(7), states)
    module.launch("scrypt_mix", 1, 2, states, pad)
    module.launch("scrypt_end", 1, 2, np.uint32(7), states, np.uint32(M32), digests, hits)
    for i in range(2):
        data = header[:76] + (7 + i).to_bytes(4, "big")
        assert digests[i].astype(">u4").tobytes() == hashlib.scrypt(data, salt=data, n=cost, r=1, p=1, dklen=32)


def long_blake(data: bytes, length: int) -> bytes:
    """H' of the Argon2 specification."""
    data = length.to_bytes(4, "little") + data
    if length <= 64:
        return hashlib.blake2b(data, digest_size=length).digest()
    parts, v = b"", hashlib.blake2b(data).digest()
    while length - len(parts) > 64:
        parts += v[:32]
        left = length - len(parts)
        v = hashlib.blake2b(v, digest_size=min(64, left)).digest()
    return parts + v


@pytest.mark.parametrize(("blocks", "passes"), [(16, 1), (32, 2)])
def test_argon2d(host, blocks, passes):
    password, salt = b"a fixed header", b"sixteen bytes 16"
    numbers = [1, 32, blocks, passes, 0x13, 0]
    start = b"".join(n.to_bytes(4, "little") for n in numbers)
    for field in (password, salt, b"", b""):
        start += len(field).to_bytes(4, "little") + field
    h0 = hashlib.blake2b(start).digest()
    memory = np.zeros((blocks, 128), np.uint64)
    for i in range(2):
        first = long_blake(h0 + i.to_bytes(4, "little") + bytes(4), 1024)
        memory[i] = np.frombuffer(first, "<u8")
    host("argon2d").launch("argon2d_fill", 1, 32, memory, np.uint32(blocks), np.uint32(passes))
    kind = low_level.Type.D
    expected = low_level.hash_secret_raw(password, salt, passes, blocks, 1, 32, kind, 0x13)
    assert long_blake(memory[-1].tobytes(), 32) == expected


def xor(a: bytes, b: bytes) -> bytes:
    return bytes(x ^ y for x, y in zip(a, b, strict=True))


def aes_chain(oracles, blocks: list[bytes], keys: list[bytes]) -> list[bytes]:
    for key in keys:
        blocks = [oracles.aes_round(block, key) for block in blocks]
    return blocks


def cryptonight(oracles, data: bytes, size: int, iterations: int) -> bytes:
    state = oracles.keccak(data, 136, 1, 200)
    text, pad = [state[64 + 16 * i : 80 + 16 * i] for i in range(8)], []
    keys = oracles.aes256_keys(state[:32], 10)
    for _ in range(size // 128):
        text = aes_chain(oracles, text, keys)
        pad += text
    a, b = xor(state[:16], state[32:48]), xor(state[16:32], state[48:64])
    for _ in range(iterations):
        at = int.from_bytes(a[:4], "little") % size // 16
        c = oracles.aes_round(pad[at], a)
        pad[at], to = xor(b, c), int.from_bytes(c[:4], "little") % size // 16
        d = pad[to]
        product = int.from_bytes(c[:8], "little") * int.from_bytes(d[:8], "little")
        low, high = int.from_bytes(a[:8], "little"), int.from_bytes(a[8:], "little")
        low, high = (low + (product >> 64)) & M64, (high + product) & M64
        pad[to] = low.to_bytes(8, "little") + high.to_bytes(8, "little")
        a, b = xor(pad[to], d), c
    text, keys = [state[64 + 16 * i : 80 + 16 * i] for i in range(8)], oracles.aes256_keys(state[32:64], 10)
    for row in range(size // 128):
        text = aes_chain(oracles, [xor(t, p) for t, p in zip(text, pad[8 * row : 8 * row + 8], strict=True)], keys)
    state = state[:64] + b"".join(text) + state[192:]
    lanes = oracles.keccak_f([int.from_bytes(state[i : i + 8], "little") for i in range(0, 200, 8)])
    return b"".join(lane.to_bytes(8, "little") for lane in lanes)


@pytest.mark.parametrize("table", ["", " ONE_TABLE"])
def test_cryptonight_like(host, oracles, table):
    module = host("cryptonight", "SCRATCH=4096 ITERATIONS=100" + table)
    data = bytes((11 * i) % 256 for i in range(76))
    words = np.frombuffer(data.ljust(80, b"\0"), "<u8").copy()
    states, pads = np.zeros((2, 25), np.uint64), np.zeros((2, 4096), np.uint8)
    module.launch("cn_prepare", 1, 2, words, np.uint32(0xA0B0C0D0), states)
    module.launch("cn_explode", 1, 16, states, pads)
    module.launch("cn_loop", 1, 2, states, pads)
    module.launch("cn_implode", 1, 16, states, pads)
    hits = np.zeros(1, np.uint32)
    module.launch("cn_finish", 1, 2, states, np.uint32(2), np.uint64(M64), hits)
    for i in range(2):
        message = data[:39] + (0xA0B0C0D0 + i).to_bytes(4, "little") + data[43:]
        assert states[i].tobytes() == cryptonight(oracles, message, 4096, 100)
    assert hits[0] == 2


def test_chacha_pad(host, oracles):
    module, seed = host("chacha_pad", "PAD_WORDS=256 TURNS=2"), bytes(range(32))
    pads, results = np.zeros((2, 256), np.uint64), np.zeros(2, np.uint64)
    words = np.frombuffer(seed, "<u4").copy()
    module.launch("pad_fill", 1, 2, words, np.uint32(5), pads)
    key, nonce, expected = seed, (6).to_bytes(4, "little") + bytes(8), b""
    for _ in range(4):
        key = blake3(key).digest()
        for block in range(8):
            out = oracles.chacha(key, block, nonce, 8)
            expected += out
        nonce = nonce[:4] + out[:4] + out[60:]
    assert pads[1].tobytes() == expected
    pad = pads[1].tolist()
    module.launch("pad_walk", 1, 2, pads, results)
    assert results[1] == walk(pad, 2)
    assert pads[1].tolist() == pad
    digests, hits = np.zeros((2, 8), np.uint32), np.zeros(1, np.uint32)
    module.launch("pad_digest", 1, 2, pads, np.uint64(M64), digests, hits)
    assert digests[1].tobytes() == blake3(pads[1, 128:].tobytes()).digest()


def turned(choice: int, r: int, x: int, y: int, z: int) -> int:
    s = y % 64
    values = (
        r ^ x * y + z & M64,
        r ^ (x * y >> 64) + z & M64,
        r ^ x // (y | 1) + z & M64,
        r ^ isqrt(x) * z & M64,
        r ^ (x << s & M64 | x >> (64 - s) % 64),
        r ^ x % (z | 1) + y & M64,
        r + (x & ~y ^ z) & M64,
        r - (x ^ (y | z)) & M64,
    )
    return values[choice]


def walk(pad: list[int], turns: int) -> int:
    n = len(pad)
    a, b, r = pad[0], pad[n // 2], 0
    for _ in range(turns):
        for i in range(n):
            x, y, z = pad[a % n], pad[b % n], pad[i]
            r = turned((x ^ y ^ r) % 8, r, x, y, z)
            r = r << 1 & M64 | r >> 63
            pad[i] = z ^ r
            a ^= r
            b = b + (r ^ i) & M64
    return r
