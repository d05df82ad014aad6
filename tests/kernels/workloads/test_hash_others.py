"""Curve, state-vector, suffix-sorting and stamp kernels against plain Python."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
import xxhash
from Crypto.Cipher import Salsa20

M32, M64 = 2**32 - 1, 2**64 - 1
PRIME = 2**256 - 2**32 - 977
GENERATOR = (
    0x79BE667EF9DCBBAC55A06295CE870B07029BFCDB2DCE28D959F2815B16F81798,
    0x483ADA7726A3C4655DA4FBFC0E1108A8FD17B448A68554199C47D08FFB10D4B8,
)


def plus(p, q):
    if p is None:
        return q
    above, below = (3 * p[0] * p[0], 2 * p[1]) if p == q else (q[1] - p[1], q[0] - p[0])
    slope = above * pow(below, -1, PRIME)
    x = (slope * slope - p[0] - q[0]) % PRIME
    return x, (slope * (p[0] - x) - p[1]) % PRIME


def times(scalar: int):
    result = None
    for bit in bin(scalar)[2:]:
        result = plus(result, result) if result else None
        result = plus(result, GENERATOR) if bit == "1" else result
    return result


def test_the_reference_curve_knows_its_order():
    order = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
    assert times(order - 1) == (GENERATOR[0], PRIME - GENERATOR[1])


def test_point_and_answer(host):
    header = np.arange(9, dtype=np.uint32) * 12345
    points, digests, hits = np.zeros((2, 16), np.uint32), np.zeros((2, 8), np.uint32), np.zeros(1, np.uint32)
    module = host("schnorr_pow")
    module.launch("schnorr_search", 1, 2, header, np.uint32(9), np.uint32(M32), points, digests, hits)
    for i in range(2):
        message = np.array([*header, 9 + i], ">u4").tobytes()
        x, y = times(int.from_bytes(hashlib.sha256(message).digest(), "big"))
        assert points[i, :8].tobytes() == x.to_bytes(32, "little")
        assert points[i, 8:].tobytes() == y.to_bytes(32, "little")
        answer = x.to_bytes(32, "big") + (y & 1).to_bytes(4, "big") + (9 + i).to_bytes(4, "big")
        assert digests[i].astype(">u4").tobytes() == hashlib.sha256(answer).digest()


@pytest.mark.parametrize("double", [False, True])
def test_state_vector(host, double):
    real = np.float64 if double else np.float32
    module, n = host("statevector_pow", "QUBITS=6" + " DOUBLE_PRECISION" * double), 6
    state, sums = np.zeros((64, 2), real), np.zeros(n, real)
    module.launch("state_begin", 1, 32, state)
    expected, angles = np.zeros(64, complex), np.linspace(0.3, 2.1, n)
    expected[0] = 1
    for q, angle in enumerate(angles):
        parts = [real(f(a / 2)) for a in (angle, 2 * angle) for f in (np.cos, np.sin)]
        module.launch("rotate_qubit", 1, 32, state, np.int32(q), *parts)
        c, s = np.cos(angle / 2), np.sin(angle / 2)
        gate = np.diag([np.exp(-1j * angle), np.exp(1j * angle)]) @ np.array([[c, -s], [s, c]])
        expected = np.kron(np.kron(np.eye(2 ** (n - 1 - q)), gate), np.eye(2**q)) @ expected
    for q in range(n - 1):
        module.launch("controlled_flip", 1, 32, state, np.int32(q), np.int32(q + 1))
        flipped = [i ^ (i >> q & 1) << (q + 1) for i in range(64)]
        expected = expected[flipped]
    assert np.allclose(state[:, 0] + 1j * state[:, 1], expected, atol=1e-5)
    for q in range(n):
        module.launch("expect_z", 1, 32, state, np.int32(q), sums)
    signs = [[1 - 2 * (i >> q & 1) for i in range(64)] for q in range(n)]
    assert np.allclose(sums, np.array(signs) @ np.abs(expected) ** 2, atol=1e-5)


def test_state_digest(host):
    module, first = host("statevector_pow"), np.arange(8, dtype=np.uint32) + 5
    sums = np.linspace(-0.9, 0.9, 16).astype(np.float32)
    digests, hits = np.zeros((1, 8), np.uint32), np.zeros(1, np.uint32)
    module.launch("state_digest", 1, 1, first, sums, np.uint32(1), np.uint32(M32), digests, hits)
    fixed = np.trunc(sums * np.float32(32768)).astype("<i2").tobytes()
    assert digests[0].astype(">u4").tobytes() == hashlib.sha256(first.astype(">u4").tobytes() + fixed).digest()


@pytest.mark.parametrize(("variant", "size"), [("", 1024), ("TEXT=256", 256)])
def test_suffixes_are_sorted_and_hashed(host, variant, size):
    module, seed = host("suffix_pow", variant), bytes(range(32))
    texts, orders = np.zeros((2, size), np.uint8), np.zeros((2, size), np.uint16)
    module.launch("suffix_sort", 2, 32, np.frombuffer(seed, "<u4").copy(), np.uint32(3), texts, orders)
    for i in range(2):
        key = seed[:28] + (int.from_bytes(seed[28:], "little") ^ (3 + i)).to_bytes(4, "little")
        stream = Salsa20.new(key=key, nonce=bytes(8)).encrypt(bytes(size))
        text = bytes(b & 15 for b in stream)
        assert texts[i].tobytes() == text
        assert orders[i].tolist() == sorted(range(size), key=lambda at: text[at:])
    digests, hits = np.zeros((2, 4), np.uint64), np.zeros(1, np.uint32)
    module.launch("order_digest", 2, 32, orders, np.uint32(2), np.uint64(M64), digests, hits)
    for i in range(2):
        assert digests[i].tobytes() == hashlib.sha3_256(orders[i].tobytes()).digest()
    assert hits[0] == 2


@pytest.mark.parametrize(("variant", "digits", "words"), [("", 12, 10), ("DIGITS=20", 20, 3)])
def test_stamp(host, variant, digits, words):
    header = np.arange(words, dtype=np.uint64) * np.uint64(0x123456789ABC)
    digests, hits = np.zeros((4, 5), np.uint32), np.zeros(1, np.uint32)
    arguments = (header, np.uint32(words), np.uint64(42), np.uint64(987654), np.int32(0), digests, hits)
    host("stamp_pow", variant).launch("stamp_search", 1, 4, *arguments)
    seed = xxhash.xxh64_hexdigest(header.tobytes(), seed=42)
    for i in range(4):
        text = f"{seed}:{987654 + i:0{digits}d}".encode()
        assert digests[i].astype(">u4").tobytes() == hashlib.sha1(text).digest()
    assert hits[0] == 4
