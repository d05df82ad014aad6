"""AES, MD4, MD5, SHA-1 and Philox against published vectors and other people's libraries."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
from Crypto.Cipher import AES
from Crypto.Hash import MD4

from hashwarden.kernels.workloads.others import aes, monte_carlo, password
from hashwarden.kernels.workloads.others.mixing import mix_32, mix_64, multiply_high_64

MESSAGES = (b"", b"a", b"abc", b"message digest", b"abcdefghijklmnopqrstuvwxyz")


def _padded(message, order):
    text = message + b"\x80" + bytes(55 - len(message))
    length = (8 * len(message)).to_bytes(8, "big" if order == ">" else "little")
    return np.frombuffer(text + length, f"{order}u4").astype(np.uint32)


def _digest(body, message, order, words):
    state = np.zeros(5, np.uint32)
    with np.errstate(over="ignore"):
        body(state, _padded(message, order))
    return state[:words].astype(f"{order}u4").tobytes()


@pytest.mark.parametrize("message", MESSAGES)
def test_digests_of_one_block_agree_with_libraries(message):
    assert _digest(password.md5_block, message, "<", 4) == hashlib.md5(message).digest()
    assert _digest(password.sha1_block, message, ">", 5) == hashlib.sha1(message).digest()
    assert _digest(password.md4_block, message, "<", 4) == MD4.new(message).digest()


@pytest.mark.parametrize("length", [0, 1, 55, 56, 64, 200])
def test_the_md4_oracle_agrees_with_a_library_at_any_length(length):
    message = bytes(range(256))[:length]
    assert password.md4(message) == MD4.new(message).digest()


def test_published_vectors_of_md4_and_ntlm():
    assert password.md4(b"abc").hex() == "a448017aaf21d8525fc10ae87aa6729d"  # RFC 1320, A.5
    assert password.ntlm(b"password").hex() == "8846f7eaee8fb117ad06bdd830b7586c"


def test_published_vectors_of_aes():
    block = bytes.fromhex("00112233445566778899aabbccddeeff")  # FIPS 197, C.1
    got = aes.encrypt_blocks(np.frombuffer(block, np.uint8).reshape(1, 16), bytes(range(16)))
    assert got.tobytes().hex() == "69c4e0d86a7b0430d8cdb78070b4c55a"
    box = aes.substitution()
    assert (box[0x00], box[0x53], box[0xFF]) == (0x63, 0xED, 0x16)
    keys = aes.expand_key(bytes.fromhex("2b7e151628aed2a6abf7158809cf4f3c"))  # FIPS 197, A.1
    assert (keys[4], keys[43]) == (0xA0FAFE17, 0xB6630CA6)


def test_the_body_encrypts_the_counter_mode_vector_of_nist():
    key = bytes.fromhex("2b7e151628aed2a6abf7158809cf4f3c")  # SP 800-38A, F.5.1
    counter = np.frombuffer(bytes.fromhex("f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff"), ">u4").astype(np.uint32)
    plain = bytes.fromhex("6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e51")
    text, cipher = np.frombuffer(plain, ">u4").astype(np.uint32), np.zeros(8, np.uint32)
    for thread in range(2):
        aes.encrypt(thread, None, aes.expand_key(key), aes.tables(), counter, text, cipher, np.uint32(0))
    expected = "874d6191b620e3261bef6864990db6ce9806f66b7970fdff8617187bb9fffdff"
    assert cipher.astype(">u4").tobytes().hex() == expected


def test_the_aes_oracle_agrees_with_a_library():
    random = np.random.default_rng(1)
    blocks, key = random.integers(0, 256, (50, 16)).astype(np.uint8), random.bytes(16)
    expected = AES.new(key, AES.MODE_ECB).encrypt(blocks.tobytes())
    assert aes.encrypt_blocks(blocks, key).tobytes() == expected


@pytest.mark.parametrize(
    ("counter", "key", "expected"),
    [  # known answers of Random123
        ((0, 0, 0, 0), (0, 0), (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
        ((0xFFFFFFFF,) * 4, (0xFFFFFFFF,) * 2, (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
        (
            (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
            (0xA4093822, 0x299F31D0),
            (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
        ),
    ],
)
def test_philox_gives_the_known_answers(counter, key, expected):
    block = np.array(counter, np.uint32)
    monte_carlo.philox_4x32_10(block, np.uint32(key[0]), np.uint32(key[1]))
    assert tuple(block) == expected


def test_mixing_and_wide_products():
    assert int(mix_32(np.uint32(1))) == 0x514E28B7
    assert int(mix_64(np.uint64(1))) == 0xB456BCFC34C2CB2C
    a, b = 0xFEDCBA9876543210, 0xFFFFFFFFFFFFFFFF
    assert int(multiply_high_64(np.uint64(a), np.uint64(b))) == a * b >> 64
