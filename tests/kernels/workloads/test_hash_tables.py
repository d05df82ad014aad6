"""Autolykos2, Verthash and Octopus kernels against hashlib and plain Python."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest

M32 = 2**32 - 1
CONSTANTS = b"".join(i.to_bytes(8, "big") for i in range(1024))


def blake(data: bytes) -> bytes:
    return hashlib.blake2b(data, digest_size=32).digest()


def element(index: int, height: int) -> bytes:
    return blake(index.to_bytes(4, "big") + height.to_bytes(4, "big") + CONSTANTS)[1:]


def autolykos(message: bytes, nonce: bytes, n: int, height: int) -> bytes:
    first = int.from_bytes(blake(message + nonce)[24:], "big") % n
    seed = blake(element(first, height) + message + nonce)
    window = seed + seed[:3]
    indices = [int.from_bytes(window[i : i + 4], "big") % n for i in range(32)]
    return blake(sum(int.from_bytes(element(i, height), "big") for i in indices).to_bytes(32, "big"))


def test_autolykos_table_and_search(host):
    module, n, height = host("autolykos"), 50, 614400
    table, message = np.zeros((n, 8), np.uint32), bytes(range(32))
    module.launch("autolykos_table", 2, 32, np.uint32(height), np.uint32(n), table)
    for i in (0, 49):
        assert table[i].tobytes() == element(i, height)[::-1] + b"\0"
    module.write("c_message", message)
    digests, hits = np.zeros((4, 4), np.uint64), np.zeros(1, np.uint32)
    arguments = (np.uint64(900), np.uint32(n), table, np.zeros(1, np.uint32), np.uint64(2**64 - 1), digests, hits)
    module.launch("autolykos_mine", 1, 4, *arguments)
    for i in range(4):
        assert digests[i].tobytes() == autolykos(message, (900 + i).to_bytes(8, "big"), n, height)


def fnv1a(a: int, b: int) -> int:
    return (a ^ b) * 0x01000193 & M32


@pytest.mark.parametrize("variant", ["", "ALONE"])
def test_verthash(host, variant):
    module, header = host("verthash", variant), bytes(range(200, 256)) + bytes(24)
    module.write("header80", header)
    file = np.random.default_rng(9).integers(0, 2**32, 4 * 1000 + 8, dtype=np.uint64).astype(np.uint32)
    seeds, state = np.zeros((4, 128), np.uint32), np.zeros((4, 8), np.uint32)
    module.launch("verthash_prepare", 1, 32, np.uint32(5), seeds, state)
    messages = [header[:76] + (5 + i).to_bytes(4, "little") for i in range(4)]
    for i, message in enumerate(messages):
        assert state[i].tobytes() == hashlib.sha3_256(message).digest()
        stepped = [bytes([(message[0] + k) % 256]) + message[1:] for k in range(1, 9)]
        assert seeds[i].tobytes() == b"".join(hashlib.sha3_512(m).digest() for m in stepped)
    before = state.copy()
    module.launch("verthash_walk", 1, 4 if variant == "ALONE" else 32, file, np.uint32(1000), seeds, state)
    for i in range(0, 4, 3):
        assert state[i].tolist() == walk(file.tolist(), seeds[i].tolist(), before[i].tolist())
    best = np.array([M32], np.uint32)
    module.launch("verthash_check", 1, 32, state, np.uint32(4), np.uint32(M32), best)
    assert best[0] == 0


def walk(file: list[int], seeds: list[int], p: list[int]) -> list[int]:
    accumulator = 0x811C9DC5
    for turn in range(32):
        for seed in seeds:
            seek = (seed << turn | seed >> (32 - turn)) & M32
            at = 4 * (fnv1a(seek, accumulator) % 1000)
            for k in range(8):
                p[k] = fnv1a(p[k], file[at + k])
                accumulator = fnv1a(accumulator, file[at + k])
    return p


def sip32(oracles, keys, word: int) -> int:
    value = oracles.cuckoo_siphash(keys, word)
    return (value ^ value >> 32) & M32


def test_octopus_like_polynomial_walk(host, oracles):
    keys, q, nonce = (11, 22, 33, 44), 1032193, 123456
    module = host("octopus")
    module.write("c_keys", np.array(keys, np.uint64))
    table = np.random.default_rng(10).integers(0, 2**32, (71, 64), dtype=np.uint64).astype(np.uint32)
    results, hits = np.zeros(2, np.uint32), np.zeros(1, np.uint32)
    module.launch("octopus_warp", 1, 64, table, np.uint32(71), np.uint64(nonce), np.uint32(M32), results, hits)
    coefficients = [sip32(oracles, keys, nonce * 1024 + i) % q for i in range(1024)]
    mix, point = [[coefficients[lane], coefficients[lane + 32]] for lane in range(32)], nonce % q
    for k in range(32):
        value = sum(c * pow(point, i, q) for i, c in enumerate(coefficients)) % q
        row = table[(((value ^ k) * 0x01000193 & M32) ^ mix[k][0]) % 71].reshape(32, 2).tolist()
        mix = [[(m * 0x01000193 & M32) ^ w for m, w in zip(*pair, strict=True)] for pair in zip(mix, row, strict=True)]
        point = (point + value + 1) % q
    folded = [(x * 0x01000193 & M32) ^ y for x, y in mix]
    for d in (16, 8, 4, 2, 1):
        folded = [(f * 0x01000193 & M32) ^ folded[lane ^ d] for lane, f in enumerate(folded)]
    assert results[0] == sip32(oracles, (11, 22, 33, 44 ^ folded[0]), nonce)
    assert hits[0] == 2
