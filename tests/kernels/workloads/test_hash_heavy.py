"""The matrix hashes against pycryptodome's cSHAKE and the `blake3` package."""

from __future__ import annotations

import numpy as np
import pytest
from blake3 import blake3
from Crypto.Hash import cSHAKE256


def matrix() -> np.ndarray:
    return np.random.default_rng(6).integers(0, 16, (64, 64)).astype(np.uint8)


def heavy_middle(digest: bytes) -> bytes:
    nibbles = np.array([nibble for byte in digest for nibble in (byte >> 4, byte & 15)])
    product = (matrix().astype(int) @ nibbles) >> 10
    mixed = [int(16 * product[2 * i] | product[2 * i + 1]) for i in range(32)]
    return bytes(a ^ b for a, b in zip(digest, mixed, strict=True))


def prefix_state(oracles, name: bytes) -> list[int]:
    block = (b"\x01\x88" + b"\x01\x00" + b"\x01" + bytes([8 * len(name)]) + name).ljust(136, b"\0")
    return oracles.keccak_f([int.from_bytes(block[8 * i : 8 * i + 8], "little") for i in range(17)] + [0] * 8)


@pytest.mark.parametrize("variant", ["", "ROLLED"])
def test_kheavyhash(host, oracles, variant):
    module = host("heavyhash", variant)
    header = bytes(range(40)) + bytes(32)
    module.write("c_pow_state", np.array(prefix_state(oracles, b"ProofOfWorkHash"), np.uint64))
    module.write("c_heavy_state", np.array(prefix_state(oracles, b"HeavyHash"), np.uint64))
    module.write("c_header", header)
    module.write("c_matrix", matrix())
    module.write("c_target", np.full(4, 2**64 - 1, np.uint64))
    states, found = np.array([12345, 67890], np.uint64), np.zeros(1, np.uint64)
    digests = np.zeros((2, 4), np.uint64)
    module.launch("heavy_hash", 1, 2, np.uint64(2**64 - 1), np.uint64(0), states, np.uint64(2), found, digests)
    for nonce, digest in zip((12345, 67890), digests, strict=True):
        first = cSHAKE256.new(data=header + nonce.to_bytes(8, "little"), custom=b"ProofOfWorkHash").read(32)
        assert digest.tobytes() == cSHAKE256.new(data=heavy_middle(first), custom=b"HeavyHash").read(32)
    assert found[0] == 12345


@pytest.mark.parametrize("variant", ["", "COMPACT"])
def test_matrix_between_blake3(host, variant):
    module = host("heavyhash_blake3", variant)
    header = bytes(range(80))
    module.write("header_words", header)
    module.write("matrix_in", matrix())
    digests, hits = np.zeros((4, 8), np.uint32), np.zeros(1, np.uint32)
    limit = np.uint32(2**32 - 1)
    module.launch("matrix_blake3", 1, 4, np.uint32(100), np.uint32(7), limit, digests, hits)
    for i in range(4):
        nonce = (7 << 32 | 100 + i).to_bytes(8, "little")
        assert digests[i].tobytes() == blake3(heavy_middle(blake3(header[:72] + nonce).digest())).digest()
    assert hits[0] == 4
