"""The oracles of the memory-hard workloads, and the device functions that only they use, against published vectors."""

from __future__ import annotations

import hashlib
from math import isqrt

import numpy as np
import pytest
from blake3 import blake3
from Crypto.Cipher import ChaCha20
from Crypto.Hash import keccak as reference_keccak

from hashwarden.kernels.workloads.mining.aes_round import aes256_round_keys, aes_round
from hashwarden.kernels.workloads.mining.chachapad import chacha8, whole_root
from hashwarden.kernels.workloads.mining.cuckatoo import edge_ends
from hashwarden.kernels.workloads.mining.oracles_aes import aes256_keys, aes_rounds
from hashwarden.kernels.workloads.mining.oracles_blake3 import blake3_hash
from hashwarden.kernels.workloads.mining.oracles_chachapad import chacha
from hashwarden.kernels.workloads.mining.oracles_keccak import keccak
from hashwarden.kernels.workloads.mining.scratchpad import high_product
from hashwarden.kernels.workloads.mining.siphash import siphash24_word

KEY = bytes(range(16))
SIP_OUTPUTS = (  # of the reference implementation: the first 0 to 7 bytes of 00 01 02 ...
    "310e0edd47db6f72",
    "fd67dc93c539f874",
    "5a4fa9d909806c0d",
    "2d7efbd796666785",
    "b7877127e09427cf",
    "8da699cd64557618",
    "cee3fe586e46c9cb",
    "37d1018bf50002ab",
)


def bytes_of(text: str) -> np.ndarray:
    return np.frombuffer(bytes.fromhex(text), np.uint8)[None]


@pytest.mark.parametrize("length", [0, 1, 40, 64, 135, 136, 137, 300])
def test_keccak_of_many_messages(length):
    messages = np.random.default_rng(length).integers(0, 256, (3, length), dtype=np.uint8)
    for message, short, long in zip(messages, keccak(messages, 136, 32), keccak(messages, 72, 64), strict=True):
        assert short.tobytes() == reference_keccak.new(digest_bits=256, data=message.tobytes()).digest()
        assert long.tobytes() == reference_keccak.new(digest_bits=512, data=message.tobytes()).digest()
    assert keccak(messages, 136, 32, suffix=6)[0].tobytes() == hashlib.sha3_256(messages[0].tobytes()).digest()


@pytest.mark.parametrize("length", [0, 1, 63, 64, 65, 180, 1023, 1024])
@pytest.mark.parametrize("key", [b"", bytes(range(32))])
def test_blake3_of_one_chunk(length, key):
    data = bytes(i % 251 for i in range(length))
    expected = blake3(data, key=key) if key else blake3(data)
    assert blake3_hash(data, 200, key) == expected.digest(length=200)
    assert blake3_hash(data, key=key) == expected.digest()


def test_blake3_refuses_a_second_chunk():
    with pytest.raises(ValueError, match="1025 bytes"):
        blake3_hash(bytes(1025))


def test_aes_round_of_the_standard():
    """FIPS 197, appendix B, round 1; and appendix A.3 for the keys."""
    state, key = bytes_of("193de3bea0f4e22b9ac68d2ae9f84808"), bytes_of("a0fafe1788542cb123a339392a6c7605")
    expected = "a49c7ff2689f352b6b5bea43026a5049"
    assert aes_rounds(state, key).tobytes().hex() == expected
    columns = aes_round(*np.concatenate([state, key], axis=1).view("<u4")[0])
    assert np.array(columns, "<u4").tobytes().hex() == expected
    key = bytes.fromhex("603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4")
    expected = "9ba354118e6925afa51a8b5f2067fcdea8b09c1a93d194cdbe49846eb75d5b9a"
    assert aes256_keys(key, 4).tobytes().hex() == key.hex() + expected
    words = np.zeros(40, np.uint32)
    words[:8] = np.frombuffer(key, "<u4")
    aes256_round_keys(words)
    assert words.tobytes() == aes256_keys(key, 10).tobytes()


@pytest.mark.parametrize("length", range(8))
def test_siphash_of_one_word(length):
    k0, k1 = (int(word) for word in np.frombuffer(KEY, "<u8"))
    masks = (0x736F6D6570736575, 0x646F72616E646F6D, 0x6C7967656E657261, 0x7465646279746573)
    state = [np.uint64(mask ^ (k1 if i & 1 else k0)) for i, mask in enumerate(masks)]
    word = int.from_bytes(KEY[:length], "little") | length << 56
    found = int(siphash24_word(*state, np.uint64(word)))
    assert found.to_bytes(8, "little").hex() == SIP_OUTPUTS[length]
    keys = tuple(int(part) for part in state)
    edges = np.array([word // 2], np.uint64)
    assert edge_ends(keys, edges, word & 1, 32)[0] == found & 0xFFFFFFFF


@pytest.mark.parametrize("factors", [(2**64 - 1, 2**64 - 1), (2**63 + 12345, 2**33 + 7), (0, 5)])
def test_high_product(factors):
    assert int(high_product(*map(np.uint64, factors))) == factors[0] * factors[1] >> 64


def test_chacha_of_a_block():
    """The oracle with 20 rounds against a library, and the device function with 8 against the oracle."""
    key, nonce = bytes(range(32)), bytes(range(50, 62))
    reference = ChaCha20.new(key=key, nonce=nonce)
    reference.seek(64 * 3)
    assert chacha(key, 3, nonce, 20) == reference.encrypt(bytes(64))
    start = np.frombuffer(b"expand 32-byte k" + key + (3).to_bytes(4, "little") + nonce, "<u4").copy()
    block = np.zeros(16, np.uint32)
    chacha8(start, block)
    assert block.tobytes() == chacha(key, 3, nonce, 8)


@pytest.mark.parametrize("value", [0, 1, 3, 4, 2**52 + 1, 4294967295**2 - 1, 4294967295**2, 2**63 + 9, 2**64 - 1])
def test_whole_root(value):
    assert int(whole_root(np.uint64(value))) == isqrt(value)
