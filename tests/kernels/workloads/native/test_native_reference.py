"""The oracles of the CUDA C programs, against the standard library, other packages and published numbers."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
from blake3 import blake3
from Crypto.Cipher import AES, ChaCha20
from Crypto.Hash import cSHAKE256, keccak

from hashwarden.errors import CheckError
from hashwarden.kernels.workloads.native import aes, chacha_pads, reference
from hashwarden.kernels.workloads.native.dag import fnv, fnv1a
from hashwarden.kernels.workloads.native.search import NONE, Search, big_head, last_head, require_share


def texts(count: int, size: int) -> np.ndarray:
    return np.random.default_rng(size).integers(0, 256, (count, size), np.uint8)


@pytest.mark.parametrize("size", [0, 1, 71, 72, 135, 136, 137, 300])
def test_sha3_and_keccak(size) -> None:
    many = texts(3, size)
    expected = [hashlib.sha3_256(row.tobytes()).digest() for row in many]
    assert [row.tobytes() for row in reference.keccak(many, 136, 6, 32)] == expected
    expected = [keccak.new(digest_bits=512, data=row.tobytes()).digest() for row in many]
    assert [row.tobytes() for row in reference.keccak(many, 72, 1, 64)] == expected


def test_cshake() -> None:
    many, start = texts(2, 80), reference.cshake_prefix(b"HeavyHash")
    expected = [cSHAKE256.new(data=row.tobytes(), custom=b"HeavyHash").read(32) for row in many]
    assert [row.tobytes() for row in reference.keccak(many, 136, 4, 32, start)] == expected


def test_keccak_f800_of_zeros() -> None:
    # First words of the permutation of zeros, from the Keccak team's intermediate values.
    got = reference.keccak_f(np.zeros((25, 1), np.uint32))[:5, 0]
    assert [f"{word:08X}" for word in got] == ["E531D45D", "F404C6FB", "23A0BF99", "F1F8452F", "51FFD042"]


@pytest.mark.parametrize("size", [1, 32, 63, 64, 65, 128, 180, 1024])
def test_blake3(size) -> None:
    many = texts(3, size)
    assert [row.tobytes() for row in reference.blake3(many, 64)] == [blake3(row.tobytes()).digest(64) for row in many]


def test_blake3_output_stream() -> None:
    seed = texts(1, 32)
    block = np.zeros((16, 5), np.uint32)
    block[:8] = seed.view("<u4").reshape(8, 1)
    out = reference.blake3_compress(reference.BLAKE3_IV, block, 32, 11, np.arange(5, dtype=np.uint64))
    assert np.ascontiguousarray(out.T).tobytes() == blake3(seed.tobytes()).digest(320)


def test_siphash_of_the_paper() -> None:
    # Appendix A of the SipHash paper: key 00..0f, message 00..0e.
    k0, k1 = (int.from_bytes(bytes(range(at, at + 8)), "little") for at in (0, 8))
    start = (k0 ^ 0x736F6D6570736575, k1 ^ 0x646F72616E646F6D, k0 ^ 0x6C7967656E657261, k1 ^ 0x7465646279746573)
    state = [np.array([word], np.uint64) for word in start]
    for word in (bytes(range(8)), bytes(range(8, 15)) + b"\x0f"):
        reference.sip_absorb(state, np.frombuffer(word, "<u8"))
    assert int(reference.sip_finish(state)[0]) == 0xA129CA6149BE45E5


def test_chacha() -> None:
    key, nonce, counters = bytes(range(32)), bytes(range(50, 62)), np.arange(3, dtype=np.uint32)
    wide = [np.repeat(np.frombuffer(part, "<u4")[:, None], 3, axis=1) for part in (key, nonce)]
    out = reference.chacha(wide[0], counters, wide[1], 20)
    assert np.ascontiguousarray(out.T).tobytes() == ChaCha20.new(key=key, nonce=nonce).encrypt(bytes(192))


def test_pads_are_streams_of_chained_keys() -> None:
    keys = chacha_pads.keys(bytes(32), 2)
    assert keys[0].tobytes() == blake3(bytes(32)).digest()
    assert keys[1].tobytes() == blake3(keys[0].tobytes()).digest()
    pads = chacha_pads.fill_pads(bytes(32), np.array([5, 6], np.uint32), 128, 2)
    assert pads.shape == (2, 128)
    assert len(set(pads.reshape(-1).tolist())) == 256


def test_sha256_compression() -> None:
    block = (b"abc" + b"\x80").ljust(56, b"\0") + (24).to_bytes(8, "big")
    words = reference.sha256_compress(reference.SHA256_IV, block)
    assert np.array(words, ">u4").tobytes() == hashlib.sha256(b"abc").digest()


@pytest.mark.parametrize("size", [16, 32])
def test_aes(size) -> None:
    key, block = bytes(range(size)), bytes(range(100, 116))
    keys = aes.expand_key(key, size // 4 + 7)
    assert aes.encrypt(block, keys) == AES.new(key, AES.MODE_ECB).encrypt(block)


def test_fnv_numbers() -> None:
    one = np.array([0x811C9DC5], np.uint32)
    assert int(fnv1a(one, np.uint32(0xDDD0A47B))[0]) == 0xD37EE61A  # EIP-1057
    assert int(fnv(one, np.uint32(0x61))[0]) == 0x050C5D7E  # FNV-1 of "a"


def search(nonces: int, **options) -> Search:
    """A search whose digests are BLAKE2b of the nonce."""

    def oracle(span: np.ndarray) -> np.ndarray:
        digests = b"".join(hashlib.blake2b(int(n).to_bytes(8, "little"), digest_size=32).digest() for n in span)
        return np.frombuffer(digests, np.uint8).reshape(-1, 32)

    return Search(nonces, oracle, **options)


def test_heads() -> None:
    digest = np.arange(32, dtype=np.uint8)[None]
    assert int(big_head(digest)[0]) == int.from_bytes(bytes(range(8)), "big")
    assert int(last_head(digest)[0]) == int.from_bytes(bytes(range(28, 32)), "little") << 32


@pytest.mark.parametrize("quick", [True, False])
def test_the_lowest_hit(quick) -> None:
    it = search(1 << 14, all_below=256, quick=quick)
    hits = it.hits(1 << 14)
    it.check_lowest(hits[:1])
    with pytest.raises(CheckError, match="hit"):
        it.check_lowest(hits[:1] + np.uint64(1))
    with pytest.raises(CheckError, match="hit"):
        it.check_lowest(np.array([NONE]))


def test_no_hit_is_no_error() -> None:
    barren = next(first for first in range(0, 1 << 20, 32) if not len(search(32, first=first).hits(32)))
    search(32, first=barren).check_lowest(np.array([NONE]))


def test_counts_of_hits() -> None:
    small, large = search(1 << 10), search(1 << 20)
    small.check_hits(np.array([len(small.hits(1 << 10))], np.uint32))
    with pytest.raises(CheckError):
        small.check_hits(np.array([len(small.hits(1 << 10)) + 1], np.uint32))
    large.check_hits(np.array([1024], np.uint32))
    with pytest.raises(CheckError, match="1,024 within"):
        large.check_hits(np.array([2048], np.uint32))


def test_winners_are_hits_of_the_step() -> None:
    it = search(1 << 10, first=1 << 30)
    hits = it.hits(1 << 10)
    it.check_winners(hits)
    it.check_winners(hits[:0])
    with pytest.raises(CheckError):
        it.check_winners(hits - np.uint64(1 << 30))


def test_shares() -> None:
    require_share("heads", 5020, 10_000, 0.5)
    with pytest.raises(CheckError, match="heads = 6,000"):
        require_share("heads", 6000, 10_000, 0.5)
