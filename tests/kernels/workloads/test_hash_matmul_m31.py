"""The matrix proof of work over 2^31 - 1 against Python integers and hashlib."""

from __future__ import annotations

import hashlib

import numpy as np

P = 2**31 - 1


def element(seed: bytes, index: int) -> int:
    for attempt in range(100):
        words = np.frombuffer(seed + np.array([index, attempt], "<u4").tobytes(), "<u4").astype(">u4").tobytes()
        candidate = int.from_bytes(hashlib.sha256(words).digest()[:4], "big") & P
        if candidate < P:
            return candidate
    raise AssertionError("a hundred candidates were the prime itself")


def test_field_elements_come_from_sha256(host):
    seed, matrix = bytes(range(32)), np.zeros(10, np.uint32)
    host("matmul_m31").launch("field_matrix", 1, 16, np.frombuffer(seed, "<u4").copy(), np.uint32(10), matrix)
    assert matrix.tolist() == [element(seed, i) for i in range(10)]


def test_noise_product_and_transcript(host):
    module, rng, n = host("matmul_m31"), np.random.default_rng(4), 32
    a, b = (rng.integers(0, P, (n, n)).astype(np.uint32) for _ in range(2))
    low, high = rng.integers(0, P, (n, 8)).astype(np.uint32), rng.integers(0, P, (8, n)).astype(np.uint32)
    noised = np.zeros((n, n), np.uint32)
    module.launch("low_rank_noise", (1, n), (32, 1), a, low, high, np.int32(n), noised)
    expected = (a.astype(object) + low.astype(object) @ high.astype(object)) % P
    assert (noised == expected).all()
    product = np.zeros((n, n), np.uint32)
    module.launch("matmul_field", (2, 2), (16, 16), noised, b, np.int32(n), product)
    assert (product == expected @ b.astype(object) % P).all()

    weights, nonce = rng.integers(0, P, 16).astype(np.uint32), np.array([11, 22], np.uint32)
    digests, hits = np.zeros((4, 8), np.uint32), np.zeros(1, np.uint32)
    limit = np.uint32(2**32 - 1)
    module.launch("tile_transcript", 1, 4, product, weights, np.int32(n), nonce, limit, digests, hits)
    compressed = (product[:16, 16:].astype(object) @ weights.astype(object)) % P
    message = np.array([*compressed, 11, 22], ">u4").tobytes()
    assert digests[1].astype(">u4").tobytes() == hashlib.sha256(message).digest()
    assert hits[0] == 4
