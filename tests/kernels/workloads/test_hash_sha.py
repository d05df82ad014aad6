"""SHA-2, SHA-3, Keccak, RIPEMD and BLAKE mining kernels against hashlib."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
from Crypto.Hash import RIPEMD160

M32 = 2**32 - 1
HEADER80 = bytes((5 * i + 1) % 256 for i in range(80))


def big(data: bytes) -> np.ndarray:
    return np.frombuffer(data, ">u4").astype(np.uint32)


def sha256d(data: bytes) -> bytes:
    return hashlib.sha256(hashlib.sha256(data).digest()).digest()


def test_sha256d_from_midstate(host, oracles):
    module = host("sha256d_midstate")
    module.write("c_midstate", np.array(oracles.sha256_compress(oracles.IV256, HEADER80[:64]), np.uint32))
    module.write("c_tail", big(HEADER80[64:76]))
    digests = np.zeros((32, 8), np.uint32)
    module.launch("sha256d_dump", 1, 32, np.uint32(1234), digests)
    expected = [sha256d(HEADER80[:76] + (1234 + i).to_bytes(4, "big")) for i in range(32)]
    assert [d.astype(">u4").tobytes() for d in digests] == expected
    heads = [int.from_bytes(d[28:], "little") for d in expected]
    limit, found, count = sorted(heads)[4], np.zeros(32, np.uint32), np.zeros(1, np.uint32)
    module.launch("sha256d_scan", 1, 32, np.uint32(1234), np.uint32(limit), found, count)
    assert sorted(found[: count[0]].tolist()) == [1234 + i for i, head in enumerate(heads) if head <= limit]


@pytest.mark.parametrize("variant", ["", "UNROLL16"])
def test_persistent_sha256d(host, variant):
    words, progress, stop = big(HEADER80), np.zeros(1, np.uint64), np.zeros(1, np.int32)
    answer, target = np.zeros(9, np.uint32), np.array([M32] * 7 + [M32 >> 4], np.uint32)
    module = host("sha256d_persistent", variant)
    module.launch("persistent_sha256d", 1, 32, words, np.uint64(8), target, progress, stop, answer)
    assert stop[0] == 1
    digest = sha256d(HEADER80[:76] + int(answer[0]).to_bytes(4, "big"))
    assert answer[1:].astype(">u4").tobytes() == digest
    assert digest[31] < 16


@pytest.mark.parametrize("variant", ["", "USE_PRMT"])
def test_sha512_256_twice(host, variant):
    module = host("sha512_256d", variant)
    module.write("header_words", np.frombuffer(HEADER80, ">u8").astype(np.uint64))
    digests, count = np.zeros((4, 4), np.uint64), np.zeros(1, np.uint32)
    module.launch("sha512_256d_mine", 1, 4, np.uint32(99), np.uint64(2**64 - 1), digests, count)
    for i in range(4):
        data = HEADER80[:76] + (99 + i).to_bytes(4, "big")
        expected = hashlib.new("sha512_256", hashlib.new("sha512_256", data).digest()).digest()
        assert digests[i].astype(">u8").tobytes() == expected


@pytest.mark.parametrize(("variant", "times"), [("", 3), ("ROLLED", 3), ("TIMES=1", 1)])
def test_sha3_chain(host, variant, times):
    header, digests, best = bytes(range(1, 34)), np.zeros((4, 4), np.uint64), np.array([2**64 - 1], np.uint64)
    packed = np.frombuffer(header.ljust(40, b"\0"), dtype=[("w", "<u8", 5)])[0]
    limit = np.uint64(2**64 - 1)
    host("sha3x", variant).launch("sha3x_search", 1, 4, packed, np.uint64(2**40), limit, digests, best)
    for i in range(4):
        data = (2**40 + i).to_bytes(8, "little") + header
        for _ in range(times):
            data = hashlib.sha3_256(data).digest()
        assert digests[i].tobytes() == data
    assert best[0] == 2**40


@pytest.mark.parametrize("words", [7, 8, 18])
def test_interleaved_keccak(host, oracles, words):
    header = np.arange(1, words + 1, dtype=np.uint32) * 7919
    digests, hits = np.zeros((4, 4, 2), np.uint32), np.zeros(1, np.uint32)
    module = host("keccak_interleaved")
    module.launch("keccak_interleaved", 1, 4, header, np.uint32(words), np.uint32(50), np.uint32(M32), digests, hits)
    for i in range(4):
        assert digests[i].tobytes() == oracles.keccak(header.tobytes() + (50 + i).to_bytes(4, "little"), 136, 1, 32)
    assert hits[0] == 4


def test_long_message_with_the_nonce_twice(host):
    message, found = np.arange(123, dtype=np.uint8), np.array([2**64 - 1], np.uint64)
    digests = np.zeros((4, 32), np.uint8)
    arguments = (message, np.uint64(2**50), np.uint32(2), np.uint8(255), digests, found)
    host("sha256_giver").launch("giver_search", 1, 2, *arguments)
    for i in range(4):
        text = bytearray(message.tobytes())
        text[43:51] = text[91:99] = (2**50 + i).to_bytes(8, "big")
        assert digests[i].tobytes() == hashlib.sha256(text).digest()
    assert found[0] == 2**50


@pytest.mark.parametrize(("variant", "links"), [("", 8), ("LINKS=2", 2)])
def test_chain_of_sha256_and_ripemd160(host, variant, links):
    seed, ends, hits = np.arange(5, dtype=np.uint32) * 65537, np.zeros((2, 5), np.uint32), np.zeros(1, np.uint32)
    module = host("hash160_chain", variant)
    module.launch("hash160_chain", 1, 2, seed, np.uint32(3), np.uint32(M32), ends, hits)
    for i in range(2):
        text = seed.tobytes()
        for _ in range(links):
            text = RIPEMD160.new(hashlib.sha256(text + (3 + i).to_bytes(4, "little")).digest()).digest()
        assert ends[i].tobytes() == text


@pytest.mark.parametrize("variant", ["", "NONCES=2"])
def test_blake2b(host, variant):
    module, each = host("blake2b_pow", variant), 2 if variant else 1
    module.write("c_header", HEADER80)
    digests, best = np.zeros((4 * each, 4), np.uint64), np.array([2**64 - 1], np.uint64)
    module.launch("blake2b_search", 1, 4, np.uint64(2**45), np.uint64(2**64 - 1), digests, best)
    for i, digest in enumerate(digests):
        data = HEADER80[:32] + (2**45 + i).to_bytes(8, "little") + HEADER80[40:]
        assert digest.tobytes() == hashlib.blake2b(data, digest_size=32).digest()


@pytest.mark.parametrize(
    ("variant", "size"), [("", 286), ("HEADER_SIZE=80 FULL_UNROLL", 80), ("HEADER_SIZE=128 NONCES_PER_THREAD=1", 128)]
)
def test_blake2s(host, variant, size):
    module = host("blake2s_pow", variant)
    header = bytes((3 * i + 7) % 256 for i in range(size))
    module.write("header", header)
    nonce, digest = np.zeros(1, np.uint64), np.zeros(8, np.uint32)
    module.launch("run_blake2s", 1, 2, np.uint64(2**33 + 5), np.uint64(2**64 - 1), nonce, digest)
    assert digest.tobytes() == hashlib.blake2s(int(nonce[0]).to_bytes(8, "little") + header[8:]).digest()


@pytest.mark.parametrize(("variant", "rounds"), [("", 14), ("PRMT", 14), ("ROUNDS=8", 8)])
def test_blake256(host, oracles, variant, rounds):
    module = host("blake256_pow", variant)
    middle, block = oracles.blake256_compress(oracles.IV256, bytes(range(64)), 512, rounds), bytes(range(64, 128))
    module.write("c_mid", np.array(middle, np.uint32))
    module.write("c_block", big(block))
    digests, hits = np.zeros((2, 8), np.uint32), np.zeros(1, np.uint32)
    module.launch("blake256_search", 1, 2, np.uint32(40), np.uint32(1440), np.uint32(M32), digests, hits)
    for i in range(2):
        data = block[:12] + (40 + i).to_bytes(4, "big") + block[16:]
        assert digests[i].tolist() == oracles.blake256_compress(middle, data, 1440, rounds)
