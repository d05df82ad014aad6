"""The Python references themselves, against hashlib, pycryptodome and published vectors."""

from __future__ import annotations

import hashlib

import pytest
from Crypto.Cipher import AES, ChaCha20


def test_blake2b(oracles):
    data = bytes(range(200))
    h = oracles.blake2b_start(50, b"ZcashPoW" + bytes(8))
    h = oracles.blake2b_compress(h, data[:128], 128, last=False)
    h = oracles.blake2b_compress(h, data[128:].ljust(128, b"\0"), 200, last=True)
    got = b"".join(word.to_bytes(8, "little") for word in h)[:50]
    assert got == hashlib.blake2b(data, digest_size=50, person=b"ZcashPoW" + bytes(8)).digest()


@pytest.mark.parametrize("size", [0, 135, 136, 300])
def test_keccak(oracles, size):
    data = bytes(i % 251 for i in range(size))
    assert oracles.keccak(data, 136, 0x06, 32) == hashlib.sha3_256(data).digest()


def test_keccak_f800_of_zeros(oracles):
    # First lanes of Keccak-f[800] on the zero state, KeccakF-800-IntermediateValues of the Keccak team.
    assert oracles.keccak_f([0] * 25, 32, 22)[:3] == [0xE531D45D, 0xF404C6FB, 0x23A0BF99]


def test_siphash_vector_of_the_paper(oracles):
    assert oracles.siphash24(bytes(range(16)), bytes(range(15))) == 0xA129CA6149BE45E5


def test_sha256_compression(oracles):
    block = b"abc\x80" + bytes(59) + b"\x18"
    digest = b"".join(word.to_bytes(4, "big") for word in oracles.sha256_compress(oracles.IV256, block))
    assert digest == hashlib.sha256(b"abc").digest()


def test_blake256_of_one_zero_byte(oracles):
    # The first vector of BLAKE's submission document to the SHA-3 competition.
    block = bytes([0, 0x80]) + bytes(53) + b"\x01" + (8).to_bytes(8, "big")
    digest = "".join(f"{word:08x}" for word in oracles.blake256_compress(oracles.IV256, block, 8))
    assert digest == "0ce8d4ef4dd7cd8d62dfded9d4edb0a774ae6a41929a74da23109e8f11139c87"


def test_aes_rounds_make_aes256(oracles):
    key, block = bytes(range(32)), bytes(range(100, 116))
    keys = oracles.aes256_keys(key, 15)
    state = bytes(a ^ b for a, b in zip(block, keys[0], strict=True))
    for i in range(1, 15):
        state = oracles.aes_round(state, keys[i], last=i == 14)
    assert state == AES.new(key, AES.MODE_ECB).encrypt(block)


def test_chacha20_block(oracles):
    key, nonce = bytes(range(32)), bytes(range(12))
    assert oracles.chacha(key, 0, nonce, 20) == ChaCha20.new(key=key, nonce=nonce).encrypt(bytes(64))
