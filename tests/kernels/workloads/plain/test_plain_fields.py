"""Field and curve arithmetic of provers, signatures and homomorphic encryption against Python integers."""

from __future__ import annotations

import numpy as np
import pytest

RANDOM = np.random.default_rng(11)
GOLDILOCKS, BABYBEAR = 2**64 - 2**32 + 1, 15 * 2**27 + 1
SCALAR = 0x73EDA753299D7D483339D80809A1D80553BDA402FFFE5BFEFFFFFFFF00000001
SECP256K1, ED25519 = 2**256 - 2**32 - 977, 2**255 - 19


def root_of_unity(p: int, generator: int, n: int) -> int:
    return pow(generator, (p - 1) // n, p)


def dft(values: list[int], root: int, p: int) -> list[int]:
    n = len(values)
    return [sum(v * pow(root, i * k, p) for i, v in enumerate(values)) % p for k in range(n)]


def limbs(value: int, count: int) -> list[int]:
    return [value >> (32 * i) & 0xFFFFFFFF for i in range(count)]


def number(words: np.ndarray) -> int:
    size = 8 * words.itemsize
    return sum(int(word) << (size * i) for i, word in enumerate(words))


@pytest.mark.parametrize(("variant", "p", "kind", "scale", "generator"), [
    ("LOG_TILE=6", GOLDILOCKS, np.uint64, 1, 7),
    ("FIELD=1 LOG_TILE=6", BABYBEAR, np.uint32, 2**32, 31),
])  # fmt: skip
def test_small_field_transforms(host, variant, p, kind, scale, generator):
    n, module = 64, host("zk_ntt_small", variant)
    root = root_of_unity(p, generator, n)
    values = [int(v) % p for v in RANDOM.integers(0, 2**63, n)]
    twiddles = np.array([pow(root, k, p) * scale % p for k in range(n)], kind)
    want = dft(values, root, p)
    by_tile, by_stage, by_four = (np.array(values, kind) for _ in range(3))
    module.launch("ntt_tile", 1, 16, by_tile, twiddles, np.uint32(n))
    half = n // 2
    while half:
        module.launch("ntt_stage", 1, 32, by_stage, twiddles, np.uint32(half), np.uint32(n // 2 // half), np.uint32(n))
        half //= 2
    imaginary = kind(pow(root, n // 4, p) * scale % p)
    for quarter in (16, 4, 1):
        arguments = (by_four, twiddles, imaginary, np.uint32(quarter), np.uint32(16 // quarter), np.uint32(n))
        module.launch("ntt_radix4", 1, 16, *arguments)
    reversed_bits = [int(f"{i:06b}"[::-1], 2) for i in range(n)]
    assert [int(v) % p for v in by_tile] == [want[i] for i in reversed_bits]
    assert np.array_equal(by_stage, by_tile)
    module.launch("bit_reverse", 2, 32, by_stage, np.uint32(6))
    assert by_stage.tolist() == want
    # Radix 4 keeps the order (0, 2, 1, 3) within each stage, which is the same bit reversal.
    assert np.array_equal(by_four, by_tile)


def test_sumcheck_and_fold(host):
    module, p, n = host("zk_ntt_small", "LOG_TILE=6"), GOLDILOCKS, 256
    f, g = ([int(v) for v in RANDOM.integers(0, 2**63, n)] for _ in range(2))
    sums = np.zeros(3, np.uint64)
    module.launch("sumcheck_round", 1, 128, np.array(f, np.uint64), np.array(g, np.uint64), sums, np.uint32(n // 2))
    line = lambda v, i, at: (v[i] + at * (v[i + n // 2] - v[i])) % p  # noqa: E731
    assert sums.tolist() == [sum(line(f, i, at) * line(g, i, at) for i in range(n // 2)) % p for at in range(3)]
    points, half, challenge = [int(v) for v in RANDOM.integers(1, 2**63, n // 2)], pow(2, -1, p), 12345678901234567
    out = np.zeros(n // 2, np.uint64)
    module.launch(
        "fri_fold",
        4,
        32,
        np.array(f, np.uint64),
        np.array(points, np.uint64),
        np.uint64(challenge),
        np.uint64(half),
        out,
        np.uint32(n),
    )
    assert out.tolist() == [
        half * (f[i] + f[i + 128] + challenge * (f[i] - f[i + 128]) * points[i]) % p for i in range(128)
    ]


def test_big_field_quotient_stage_and_inverse(host):
    module, r, n = host("zk_ntt_big", "RUN=16 -maxrregcount=128"), 2**256 % SCALAR, 16
    draw = lambda: [int.from_bytes(RANDOM.bytes(32)) % SCALAR for _ in range(n)]  # noqa: E731
    a, b, c, inverse = draw(), draw(), draw(), draw()[0]
    mont = lambda values: np.array([limbs(v * r % SCALAR, 8) for v in values], np.uint32)  # noqa: E731
    plain = lambda rows: [number(row) * pow(r, -1, SCALAR) % SCALAR for row in rows]  # noqa: E731
    out = np.zeros((n, 8), np.uint32)
    cell = np.array([(limbs(inverse * r % SCALAR, 8),)], [("v", "u4", 8)])
    module.launch("big_gate_quotient", 1, 16, mont(a), mont(b), mont(c), cell[0], out, np.uint32(n))
    assert plain(out) == [(x * y - z) * inverse % SCALAR for x, y, z in zip(a, b, c, strict=True)]
    x, twiddles = mont(a), mont(b)
    module.launch("big_ntt_stage", 1, 8, x, twiddles, np.uint32(8), np.uint32(1), np.uint32(16))
    assert plain(x) == [
        *((a[i] + a[i + 8]) % SCALAR for i in range(8)),
        *((a[i] - a[i + 8]) * b[i] % SCALAR for i in range(8)),
    ]
    one = np.array([(limbs(r, 8),)], [("v", "u4", 8)])
    x = mont(a)
    module.launch("big_batch_inverse", 1, 1, x, one[0], np.uint32(1))
    assert plain(x) == [pow(v, -1, SCALAR) for v in a]


def secp_add(p, q):
    if p is None or q is None:
        return p or q
    if p[0] == q[0] and (p[1] + q[1]) % SECP256K1 == 0:
        return None
    slope = 3 * p[0] ** 2 * pow(2 * p[1], -1, SECP256K1) if p == q else (q[1] - p[1]) * pow(q[0] - p[0], -1, SECP256K1)
    x = (slope * slope - p[0] - q[0]) % SECP256K1
    return x, (slope * (p[0] - x) - p[1]) % SECP256K1


def edwards_add(p, q):
    d = -121665 * pow(121666, -1, ED25519)
    t = d * p[0] * q[0] * p[1] * q[1]
    x = (p[0] * q[1] + q[0] * p[1]) * pow(1 + t, -1, ED25519)
    return x % ED25519, (p[1] * q[1] + p[0] * q[0]) * pow(1 - t, -1, ED25519) % ED25519


def multiply(k: int, point, add, acc):
    while k:
        acc, point, k = (add(acc, point) if k & 1 else acc), add(point, point), k >> 1
    return acc


G = (
    0x79BE667EF9DCBBAC55A06295CE870B07029BFCDB2DCE28D959F2815B16F81798,
    0x483ADA7726A3C4655DA4FBFC0E1108A8FD17B448A68554199C47D08FFB10D4B8,
)
B = (
    0x216936D3CD6E53FEC0A4E231FDD6DC5C692CC7609525A7B2C9562D608F25D51A,
    0x6666666666666666666666666666666666666666666666666666666666666658,
)


@pytest.mark.parametrize(("variant", "p", "base", "add", "zero"), [
    ("", SECP256K1, G, secp_add, None), ("CURVE=1", ED25519, B, edwards_add, (0, 1)),
])  # fmt: skip
def test_double_scalar_products(host, variant, p, base, add, zero):
    key = multiply(123456789, base, add, zero)
    u1, u2 = (int.from_bytes(RANDOM.bytes(31)) for _ in range(2))
    coordinates = lambda at: [*at, 1] if variant == "" else [*at, 1, at[0] * at[1] % p]  # noqa: E731
    as_words = lambda at: np.array([v >> (64 * i) & (2**64 - 1) for v in coordinates(at) for i in range(4)], np.uint64)  # noqa: E731
    scalars = [np.array(limbs(u, 8), np.uint32) for u in (u1, u2)]
    out = np.zeros(len(coordinates(base)) * 4, np.uint64)
    module = host("crypto_signatures", variant)
    module.launch("double_scalar_product", 1, 1, *scalars, as_words(base), as_words(key), out, np.int32(1))
    x, y, z = (number(out[4 * i : 4 * i + 4]) % p for i in range(3))
    want = add(multiply(u1, base, add, zero), multiply(u2, key, add, zero))
    inverse = pow(z, -1, p)
    powers = (inverse**2, inverse**3) if variant == "" else (inverse, inverse)
    assert (x * powers[0] % p, y * powers[1] % p) == want


def test_residue_number_system(host):
    module, n, q = host("fhe_rns", "COLUMNS=2"), 32, 0x3FFFFFFFFFFC0001
    while pow(3, q - 1, q) != 1 or (q - 1) % (2 * n):
        q -= 2 * n
    ratio = 2**128 // q
    moduli = np.array([q, ratio >> 64, ratio & (2**64 - 1)], np.uint64)
    a = [int(v) % q for v in RANDOM.integers(0, 2**62, 4 * n)]
    parts, out = np.array(a, np.uint64), np.zeros(3 * n, np.uint64)
    module.launch("rns_tensor", 1, 32, parts[: 2 * n].copy(), parts[2 * n :].copy(), out, moduli, np.uint32(n))
    a0, a1, b0, b1 = (a[i * n : (i + 1) * n] for i in range(4))
    assert out[:n].tolist() == [x * y % q for x, y in zip(a0, b0, strict=True)]
    assert out[n : 2 * n].tolist() == [(w * z + x * y) % q for w, x, y, z in zip(a0, a1, b0, b1, strict=True)]
    assert out[2 * n :].tolist() == [x * y % q for x, y in zip(a1, b1, strict=True)]


def test_big_integers(host):
    module, n = host("big_integer", "WORDS=8"), 3
    a, b = ([int.from_bytes(RANDOM.bytes(32)) for _ in range(n)] for _ in range(2))
    columns = lambda values: np.ascontiguousarray(np.array([limbs(v, 8) for v in values], np.uint32).T)  # noqa: E731
    out = np.zeros((16, n), np.uint32)
    module.launch("big_multiply", 1, 4, columns(a), columns(b), out, np.int32(n))
    assert [number(out[:, i]) for i in range(n)] == [x * y for x, y in zip(a, b, strict=True)]
    m, r, e = a[0] | 1 | 1 << 255, 2**256, b[1]
    rows = lambda values: np.array([limbs(v, 8) for v in values], np.uint32)  # noqa: E731
    power = np.zeros((1, 8), np.uint32)
    inverse = np.uint32(-pow(m, -1, 2**32) % 2**32)
    module.launch(
        "rsa_power", 1, 1, rows([b[0] * r % m]), rows([r % m]), rows([e]), rows([m]), inverse, power, np.int32(1)
    )
    assert number(power[0]) == pow(b[0], e, m) * r % m
    found = np.array([2**64 - 1], np.uint64)
    module.launch("mersenne_factors", 2, 32, np.uint32(29), np.uint64(1), found, np.int32(64))
    assert found[0] == 233
    x, y, gcd = (RANDOM.integers(0, 2**40, 50, np.uint64) for _ in range(3))
    module.launch("binary_gcd", 2, 32, x, y, gcd, np.int32(50))
    assert np.array_equal(gcd, np.gcd(x, y))
