"""Low-bit weights: every format is packed here by its definition and multiplied or expanded by the kernel."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest

RANDOM = np.random.default_rng(13)


def halves(shape: tuple[int, ...], low: float = 0.01, high: float = 0.1) -> np.ndarray:
    return RANDOM.uniform(low, high, shape).astype(np.float16)


def pack_rows(values: np.ndarray, bits: int) -> np.ndarray:
    """Bits of each column run down through the words, lowest first."""
    k, n = values.shape
    flat = (values[:, None, :] >> np.arange(bits)[None, :, None]) & 1
    words = flat.reshape(k * bits // 32, 32, n).astype(np.uint64) << np.arange(32, dtype=np.uint64)[None, :, None]
    return words.sum(axis=1).astype(np.uint32)


@pytest.mark.parametrize("bits", [2, 3, 4, 8])
def test_gptq_gemv_and_dequantise(host, bits):
    k, n, group = 128, 64, 64
    variant = {2: "BITS=2", 3: "BITS=3", 4: "", 8: "BITS=8 ROWS_PER_BLOCK=256"}[bits]
    weights, zeros = RANDOM.integers(0, 2**bits, (k, n)), RANDOM.integers(0, 2**bits - 1, (k // group, n))
    scales, x = halves((k // group, n)), halves((k,), -1, 1)
    packed, packed_zeros = pack_rows(weights, bits), np.ascontiguousarray(pack_rows(zeros.T, bits).T)
    groups = np.arange(k) // group
    matrix = (weights - zeros[groups] - 1) * scales[groups].astype(np.float64)
    # Zero points straddle words along n; one word more may be read at the end.
    padded = np.append(packed_zeros.reshape(-1), np.zeros(1, np.uint32))
    y = np.zeros(n, np.float32)
    module = host("gemv_gptq", variant)
    arguments = (
        x.view(np.uint16),
        packed,
        padded,
        scales.view(np.uint16),
        y,
        np.int32(k),
        np.int32(n),
        np.int32(group),
    )
    module.launch("gptq_gemv", (2, 1 if bits == 8 else 2), 32, *arguments)
    assert np.allclose(y, x.astype(np.float64) @ matrix, rtol=1e-4, atol=1e-3)
    out = np.zeros((k, n), np.float16)
    arguments = (
        packed,
        padded,
        scales.view(np.uint16),
        groups.astype(np.int32),
        out.view(np.uint16),
        np.int32(k),
        np.int32(n),
    )
    module.launch("gptq_dequantise", (2, k // 32), 32, *arguments)
    assert np.allclose(out, matrix, rtol=2e-3)


def q8_blocks(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    blocks = np.zeros(len(x) // 32, [("d", "<f2"), ("sum", "<f2"), ("q", "i1", 32)])
    rows = x.reshape(-1, 32)
    blocks["d"] = np.abs(rows).max(axis=1) / 127
    blocks["q"] = np.rint(rows / blocks["d"].astype(np.float32)[:, None])
    values = blocks["q"] * blocks["d"].astype(np.float64)[:, None]
    blocks["sum"] = values.sum(axis=1)
    return blocks, values.reshape(-1)


def q4_0(n: int) -> tuple[np.ndarray, np.ndarray]:
    b = np.zeros(n, [("d", "<f2"), ("q", "u1", 16)])
    b["d"], b["q"] = halves((n,)), RANDOM.integers(0, 256, (n, 16))
    return b, b["d"].astype(float)[:, None] * (np.concatenate([b["q"] & 15, b["q"] >> 4], axis=1) - 8.0)


def q4_1(n: int) -> tuple[np.ndarray, np.ndarray]:
    b = np.zeros(n, [("d", "<f2"), ("m", "<f2"), ("q", "u1", 16)])
    b["d"], b["m"], b["q"] = halves((n,)), halves((n,), -1, 1), RANDOM.integers(0, 256, (n, 16))
    levels = np.concatenate([b["q"] & 15, b["q"] >> 4], axis=1)
    return b, b["d"].astype(float)[:, None] * levels + b["m"].astype(float)[:, None]


def q5(n: int, with_minimum: bool) -> tuple[np.ndarray, np.ndarray]:
    minimum = [("m", "<f2")] if with_minimum else []
    b = np.zeros(n, [("d", "<f2"), *minimum, ("high", "u1", 4), ("q", "u1", 16)])
    b["d"], b["high"], b["q"] = halves((n,)), RANDOM.integers(0, 256, (n, 4)), RANDOM.integers(0, 256, (n, 16))
    fifth = np.unpackbits(b["high"], axis=1, bitorder="little")
    levels = np.concatenate([b["q"] & 15, b["q"] >> 4], axis=1) + 16.0 * fifth
    if not with_minimum:
        return b, b["d"].astype(float)[:, None] * (levels - 16)
    b["m"] = halves((n,), -1, 1)
    return b, b["d"].astype(float)[:, None] * levels + b["m"].astype(float)[:, None]


def q6_k(n: int) -> tuple[np.ndarray, np.ndarray]:
    b = np.zeros(n, [("low", "u1", 128), ("high", "u1", 64), ("scales", "i1", 16), ("d", "<f2")])
    levels, b["scales"], b["d"] = (
        RANDOM.integers(0, 64, (n, 256)),
        RANDOM.integers(-60, 60, (n, 16)),
        halves((n,), 0.001, 0.01),
    )
    parts = levels.reshape(n, 2, 4, 32)
    b["low"] = np.concatenate([(parts[:, :, :2] & 15) | (parts[:, :, 2:] & 15) << 4], axis=2).reshape(n, 128)
    b["high"] = sum((parts[:, :, j] >> 4) << (2 * j) for j in range(4)).reshape(n, 64)
    return b, b["d"].astype(float)[:, None] * np.repeat(b["scales"], 16, axis=1) * (levels - 32.0)


def q3_k(n: int) -> tuple[np.ndarray, np.ndarray]:
    b = np.zeros(n, [("high", "u1", 32), ("q", "u1", 64), ("scales", "u1", 12), ("d", "<f2")])
    levels, scales = RANDOM.integers(0, 8, (n, 256)), RANDOM.integers(0, 64, (n, 16))
    parts = levels.reshape(n, 2, 4, 32)
    b["d"], b["q"] = halves((n,), 0.001, 0.01), sum((parts[:, :, j] & 3) << (2 * j) for j in range(4)).reshape(n, 64)
    b["high"] = sum((parts[:, h, j] >> 2) << (4 * h + j) for h in range(2) for j in range(4))
    b["scales"][:, :8] = (scales[:, :8] & 15) | (scales[:, 8:] & 15) << 4
    b["scales"][:, 8:] = sum((scales[:, 4 * j : 4 * j + 4] >> 4) << (2 * j) for j in range(4))
    return b, b["d"].astype(float)[:, None] * np.repeat(scales - 32, 16, axis=1) * (levels - 4.0)


@pytest.mark.parametrize(("kernel", "make", "threads"), [
    ("q4_0", q4_0, 16), ("q4_1", q4_1, 16), ("q5_0", lambda n: q5(n, False), 16), ("q5_1", lambda n: q5(n, True), 16),
    ("q6_k", q6_k, 64), ("q3_k", q3_k, 64),
])  # fmt: skip
def test_block_formats_expand(host, kernel, make, threads):
    blocks, want = make(4)
    out = np.zeros(want.shape, np.float32)
    count = () if threads == 64 else (np.int32(4),)
    host("dequantise_blocks").launch(f"dequantise_{kernel}", 4, threads, blocks, out, *count)
    assert np.allclose(out, want, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("kernel", "make", "rows_of"), [
    ("q4_0", q4_0, 1), ("q5_0", lambda n: q5(n, False), 1), ("q6_k", q6_k, 8), ("q3_k", q3_k, 8),
])  # fmt: skip
def test_block_formats_multiply(host, kernel, make, rows_of):
    rows, blocks = 3, 8
    weights, matrix = make(rows * blocks)
    x, values = q8_blocks(RANDOM.normal(size=32 * blocks * rows_of))
    y = np.zeros(rows, np.float32)
    host("gemv_blocks").launch(f"gemv_{kernel}", 3, 32, weights, x, y, np.int32(rows), np.int32(blocks))
    want = matrix.reshape(rows, -1) @ values
    assert np.allclose(y, want, rtol=2e-3, atol=2e-2 * np.abs(matrix).max())


@pytest.mark.parametrize("variant", ["", "DECODE=1", "DECODE=2 BLOCK_SIZE=128"])
def test_nf4_round_trip(host, variant):
    module, size = host("nf4_fp4", variant), 128 if "128" in variant else 64
    x = RANDOM.normal(size=4 * size).astype(np.float32)
    packed, maxima, out = np.zeros(2 * size, np.uint8), np.zeros(4, np.float32), np.zeros_like(x)
    module.launch("nf4_quantise", 1, 4, x, packed, maxima, np.int32(4))
    assert np.array_equal(maxima, np.abs(x.reshape(4, -1)).max(axis=1))
    codes = np.arange(4, dtype=np.uint8)
    one = np.ones(1, np.float32)
    module.launch(
        "nf4_dequantise", 4 * size // 64, 32, packed, codes, maxima, one, np.float32(0), out, np.int32(len(x))
    )
    assert np.abs(out - x).max() <= 0.16 * maxima.max()
    again = np.zeros_like(packed)
    module.launch("nf4_quantise", 1, 4, out, again, maxima, np.int32(4))
    assert np.array_equal(again, packed)


@pytest.mark.parametrize(("variant", "per_word"), [("", 16), ("PACKING=3", 20), ("PACKING=1", 16)])
def test_ternary_weights(host, variant, per_word):
    rows, words = 3, 40
    w, x = (
        RANDOM.integers(-1, 2, (rows, words, per_word // 4, 4)),
        RANDOM.integers(-128, 128, (words, per_word // 4, 4)),
    )
    packed = np.zeros((rows, words), np.uint32)
    for j in range(per_word // 4):
        for b in range(4):
            if variant == "":
                packed |= ((w[..., j, b] + 1) << (2 * j + 8 * b)).astype(np.uint32)
            elif variant == "PACKING=1":
                packed |= ((w[..., j, b] != 0) << (4 * j + b)).astype(np.uint32)
                packed |= ((w[..., j, b] < 0) * (1 << (16 + 4 * j + b))).astype(np.uint32)
    if variant == "PACKING=3":
        digits = sum((w[..., j, :] + 1) * 3 ** (4 - j) for j in range(5))
        codes = -(-digits * 256 // 243)
        packed = (codes.astype(np.uint64) << (8 * np.arange(4, dtype=np.uint64))).sum(axis=-1).astype(np.uint32)
    y, scale = np.zeros(rows, np.float32), np.array([0.5], np.float32)
    words_x = x.astype(np.int8).view(np.int32).reshape(-1).copy()
    host("ternary_gemv", variant).launch(
        "ternary_gemv", 3, 32, packed, words_x, scale, y, np.int32(rows), np.int32(words)
    )
    assert np.array_equal(y, 0.5 * np.einsum("rwjb,wjb->r", w, x))


def test_binary_products(host):
    module, m, n, kw = host("binary_gemm"), 20, 18, 9
    a, b = RANDOM.integers(0, 2**32, (m, kw), np.uint32), RANDOM.integers(0, 2**32, (n, kw), np.uint32)
    signs = lambda v: np.unpackbits(v.view(np.uint8), axis=1).astype(int) * 2 - 1  # noqa: E731
    c = np.zeros((m, n), np.int32)
    module.launch("xnor_gemm", (2, 2), (16, 16), a, b, c, np.int32(m), np.int32(n), np.int32(kw))
    assert np.array_equal(c, signs(a) @ signs(b).T)
    x, y = RANDOM.integers(0, 2**32, (2, kw), np.uint32), np.zeros(m, np.int32)
    module.launch("bit_serial_gemv", m, (32, 1), a, x, y, np.int32(m), np.int32(kw))
    bits = lambda v: np.unpackbits(v.view(np.uint8), axis=1).astype(int)  # noqa: E731
    assert np.array_equal(y, bits(a) @ (bits(x)[0] + 2 * bits(x)[1]))
    matrix, out = RANDOM.integers(0, 2**32, 32, np.uint32), np.zeros(32, np.uint32)
    module.launch("bit_transpose", 1, 1, matrix, out, np.int32(1))
    square = lambda v: np.unpackbits(v.view(np.uint8), bitorder="little").reshape(32, 32)  # noqa: E731
    assert np.array_equal(square(out), square(matrix).T)


def test_small_floats(host):
    module, codes = host("fp8_fp6_unpack"), np.arange(256, dtype=np.uint8)
    out = np.zeros(256, np.float16)
    module.launch("unpack_e4m3", 1, 64, codes, out.view(np.uint16), np.uint32(0x3C003C00), np.int32(64))
    want = codes.view(ml_dtypes.float8_e4m3fn).astype(np.float32)
    finite = np.isfinite(want)
    assert np.array_equal(out[finite], want[finite])
    module.launch("unpack_e5m2", 1, 32, codes, out.view(np.uint16), np.int32(32))
    want = codes.view(ml_dtypes.float8_e5m2).astype(np.float32)
    finite = np.isfinite(want)
    assert np.array_equal(out[finite], want[finite])
    values, packed = (
        np.append(RANDOM.normal(scale=50, size=252), [0, 500, -0.004, 448]).astype(np.float32),
        np.zeros(64, np.uint32),
    )
    module.launch("pack_e4m3", 1, 64, values, packed, np.float32(1), np.int32(64))
    clipped = np.clip(values, -448, 448).astype(ml_dtypes.float8_e4m3fn)
    assert np.array_equal(packed.view(np.uint8), clipped.view(np.uint8))


@pytest.mark.parametrize(("variant", "name"), [("", "float6_e3m2fn"), ("FP6_MANTISSA=3", "float6_e2m3fn")])
def test_six_bit_floats(host, variant, name):
    codes = np.arange(64, dtype=np.uint32).reshape(16, 4)
    groups = (codes << (6 * np.arange(4, dtype=np.uint32))).sum(axis=1)
    packed = np.array([(g >> (8 * i)) & 255 for g in groups for i in range(3)], np.uint8)
    out = np.zeros(64, np.float32)
    host("fp8_fp6_unpack", variant).launch("unpack_fp6_dense", 1, 16, packed, out, np.int32(16))
    assert np.array_equal(out, np.arange(64, dtype=np.uint8).view(getattr(ml_dtypes, name)).astype(np.float32))


def test_quantisers(host):
    module, x = host("quantise", "GROUP=32"), RANDOM.normal(size=(3, 100)).astype(np.float32)
    q, scales = np.zeros((3, 100), np.int8), np.zeros(3, np.float32)
    module.launch("quantise_per_token", 3, 64, x, q, scales, np.int32(100))
    assert np.abs(q * scales[:, None] - x).max() <= scales.max() * 0.501
    values = RANDOM.normal(size=(5, 32)).astype(np.float32)
    packed, scale, zero = np.zeros((5, 4), np.uint32), np.zeros(5, np.float32), np.zeros(5, np.uint32)
    module.launch("quantise_int4_groups", 1, 8, values, packed, scale, zero, np.int32(5))
    levels = (packed[:, :, None] >> (4 * np.arange(8, dtype=np.uint32)) & 15).reshape(5, 32).astype(int)
    assert np.abs((levels - zero[:, None].astype(int)) * scale[:, None] - values).max() <= scale.max() * 1.01


def test_int8_gemm_requantises(host):
    module, m, n, k = host("gemm_int8", "TM=32 TN=32"), 20, 40, 48
    a, b = RANDOM.integers(-128, 128, (m, k), np.int8), RANDOM.integers(-128, 128, (n, k), np.int8)
    bias, scale, c = (
        RANDOM.integers(-1000, 1000, n, np.int32),
        np.full(n, 0.0007, np.float32),
        np.zeros((m, n), np.int8),
    )
    module.launch(
        "gemm_dp4a", (2, 1), 256, a, b, bias, scale, c, np.int32(m), np.int32(n), np.int32(k // 4), np.int32(3)
    )
    sums = a.astype(int) @ b.astype(int).T + bias
    want = np.clip(np.rint(sums.astype(np.float32) * scale) + 3, -128, 127)
    assert np.array_equal(c, want)


@pytest.mark.parametrize("planes", [2, 3, 4])
def test_any_precision(host, planes):
    rows, words = 2, 4
    index, x, book = (
        RANDOM.integers(0, 2**planes, (rows, 32 * words)),
        halves((32 * words,), -1, 1),
        halves((rows, 2**planes), -1, 1),
    )
    bits = np.zeros((planes, rows, words), np.uint32)
    for weight in range(32 * words):
        word, j, s = weight // 32, weight % 32 // 8, weight % 8
        for plane in range(planes):
            bits[plane, :, word] |= ((index[:, weight] >> plane & 1) << (8 * j + s)).astype(np.uint32)
    y = np.zeros(rows, np.float32)
    module = host("bitplane_gemv", {2: "PLANES=2", 3: "", 4: "PLANES=4"}[planes])
    module.launch(
        "any_precision_gemv",
        1,
        (32, 2),
        bits,
        book.view(np.uint16),
        x.view(np.uint16),
        y,
        np.int32(rows),
        np.int32(words),
    )
    weights = np.take_along_axis(book.astype(float), index, axis=1)
    assert np.allclose(y, weights @ x.astype(float), rtol=1e-3, atol=1e-3)
