"""Shuffles, descriptor matching, byte reductions, bitmaps and labels: against Python and NumPy."""

from __future__ import annotations

import datetime
from decimal import ROUND_HALF_UP, Context, Decimal
from itertools import pairwise

import numpy as np
import pytest

RANDOM = np.random.default_rng(23)
FEISTEL = np.dtype([("n", "u8"), ("seed", "u8"), ("half", "u4")], align=True)
UNEVEN = np.dtype([("n", "u8"), ("left", "u4"), ("right", "u4"), ("key", "u4", 2)], align=True)


def uneven(n: int) -> np.void:
    bits = max(8, (n - 1).bit_length())
    return np.array([(n, bits // 2, bits - bits // 2, (1234, 5678))], UNEVEN)[0]


def bits_of(words: np.ndarray) -> np.ndarray:
    return np.unpackbits(words.view(np.uint8), bitorder="little").astype(bool)


@pytest.mark.parametrize("n", [5, 256, 300, 1025])
def test_indices_are_permuted(host, n):
    out = np.zeros(n, np.uint64)
    host("random_shuffle").launch("shuffle_indices", (n + 127) // 128, 32, out, uneven(n))
    assert sorted(out.tolist()) == list(range(n))
    assert (out == np.arange(n)).sum() < min(n, 10)


def test_rows_are_shuffled_and_sampled(host):
    module, n, x = host("random_shuffle"), 200, RANDOM.normal(size=(200, 3)).astype(np.float32)
    order = np.array([(n, 99, 4)], FEISTEL)[0]
    out = np.zeros_like(x)
    module.launch("shuffle_rows_float", 2, 64, x, out, np.int32(3), order)
    assert not np.array_equal(out, x)
    assert sorted(map(tuple, out.tolist())) == sorted(map(tuple, x.tolist()))
    sample, chosen, weights = np.zeros((20, 3), np.float32), np.zeros(20, np.uint32), np.full(n, 2, np.float32)
    module.launch("subsample_rows", 10, 64, x, weights, sample, chosen, np.int32(20), np.int32(3), order)
    assert np.array_equal(sample, 2 * x[chosen])
    assert np.array_equal(sample, 2 * out[:20])


def test_rows_of_doubles_and_codes(host):
    module, x, codes = host("random_shuffle"), RANDOM.normal(size=(90, 2)), np.full(8000, 200, np.uint8)
    out = np.zeros_like(x)
    module.launch("shuffle_rows_double", 2, 64, x, out, np.int32(2), uneven(90))
    assert not np.array_equal(out, x)
    assert sorted(map(tuple, out.tolist())) == sorted(map(tuple, x.tolist()))
    arguments = (codes, np.uint64(8000), np.uint32(3), np.uint32(16384), np.uint32(100))
    module.launch("perturb_codes", 32, 64, *arguments)
    changed = codes[codes != 200]
    assert abs(len(changed) - 2000) < 250
    assert changed.max() < 100
    assert len(set(changed.tolist())) > 80


def test_reservoirs_hold_each_item_equally_often(host):
    streams, kept = np.tile(np.arange(40, dtype=np.uint32), (2000, 1)), np.zeros((2000, 10), np.uint32)
    arguments = (streams, np.int32(40), kept, np.int32(10), np.uint64(7))
    host("random_shuffle").launch("reservoir_sample", 20, 100, *arguments)
    assert all(len(set(row)) == 10 for row in kept.tolist())
    assert np.all(np.abs(np.bincount(kept.ravel(), minlength=40) - 500) < 125)


def test_gradient_descriptors(host):
    a, b = (RANDOM.integers(0, 60, (40, 128), np.uint8) for _ in range(2))
    b[:20] = np.clip(a[20:].astype(int) + RANDOM.integers(-2, 3, (20, 128)), 0, 60)
    limits, match = (np.float32(9), np.float32(9)), np.zeros(40, np.int32)
    host("descriptor_match").launch("sift_match_tiled", 2, 32, a, b, np.int32(40), np.int32(40), *limits, match)
    scores = a.astype(int) @ b.T.astype(int)
    assert np.array_equal(match, scores.argmax(axis=1))


def test_binary_descriptors(host):
    module, a, b = host("descriptor_match"), *(RANDOM.integers(0, 2**64, (n, 4), np.uint64) for n in (10, 70))
    b[33] = a[4] ^ np.uint64(5)
    match, best = np.zeros(10, np.int32), np.zeros(10, np.int32)
    module.launch("orb_match_ratio", 5, 64, a, b, np.int32(10), np.int32(70), np.int32(205), match, best)
    distance = np.bitwise_count(a[:, None] ^ b[None]).sum(axis=2, dtype=int)
    two = np.sort(distance, axis=1)[:, :2]
    assert np.array_equal(best, two[:, 0])
    assert np.array_equal(match, np.where(two[:, 0] * 256 < two[:, 1] * 205, distance.argmin(axis=1), -1))
    of_a, of_b = np.full(10, 2**32 - 1, np.uint32), np.full(70, 2**32 - 1, np.uint32)
    module.launch("orb_match_atomic", (1, 3), 32, a, b, np.int32(10), np.int32(70), of_a, of_b)
    assert np.array_equal(of_a & 0xFFFFF, distance.argmin(axis=1))
    assert np.array_equal(of_b >> 20, distance.min(axis=0))
    pairs, count = np.zeros((10, 2), np.int32), np.zeros(1, np.uint32)
    module.launch("cross_check", 1, 32, of_a, of_b, np.int32(10), np.uint32(20), pairs, count)
    assert pairs[: count[0]].tolist() == [[4, 33]]


def test_guided_descriptors(host):
    a, b = (RANDOM.integers(1, 60, (n, 128), np.uint8) for n in (16, 50))
    at_a, at_b = (RANDOM.random((n, 2), np.float32) for n in (16, 50))
    # A rectified pair: epipolar lines are rows, and the homography is the identity.
    rectified = np.array([0, 0, 0, 0, 0, -1, 0, 1, 0], np.float32)
    scores, match = np.zeros(16, np.int32), np.zeros(16, np.int32)
    arguments = (a, b, at_a, at_b, np.int32(16), np.int32(50), rectified, np.eye(3, dtype=np.float32).ravel())
    limits = (np.float32(0.2**2), np.float32(0.5**2))
    host("descriptor_match").launch("sift_match_guided", 2, 32, *arguments, *limits, scores, match)
    away = at_a[:, None] - at_b[None]
    near = (np.abs(away[..., 1]) <= 0.2) & ((away**2).sum(axis=2) <= 0.5**2)
    expected = np.where(near, a.astype(int) @ b.T.astype(int), 0)
    assert np.array_equal(scores, expected.max(axis=1))
    assert np.array_equal(match, np.where(near.any(axis=1), expected.argmax(axis=1), -1))


@pytest.mark.parametrize(("operation", "combine"), [
    (0, np.add), (1, np.minimum), (2, np.maximum), (3, lambda x, y: ((x.astype(int) + y + 1) // 2).astype(np.uint8)),
    (4, np.multiply),
])  # fmt: skip
def test_bytes_are_reduced_by_lanes(host, operation, combine):
    a, b = (RANDOM.integers(0, 256, 16 * 700, np.uint8) for _ in range(2))
    out = np.zeros_like(a)
    host("byte_reduce").launch("reduce_pair_u8", 2, 64, out, a, b, np.uint64(700), np.int32(operation))
    assert np.array_equal(out, combine(a, b))


def test_extrema_and_tree(host):
    module, x = host("byte_reduce"), RANDOM.integers(-100, 90, 1600, np.int8)
    low, high = np.full(1, 127, np.int32), np.full(1, -128, np.int32)
    module.launch("extrema_s8", 1, 64, x, np.uint64(100), low, high)
    assert (low[0], high[0]) == (x.min(), x.max())
    left, right, mine = (RANDOM.integers(0, 256, 1040, np.uint8) for _ in range(3))
    out = np.zeros(1000, np.uint8)
    module.launch("tree_up", 2, 64, left[3:], right[1:], mine, out, np.uint32(250), np.int32(2))
    assert np.array_equal(out, left[3:1003] + right[1:1001] + mine[:1000])


def test_ring_and_lines(host):
    module, mine, theirs = host("byte_reduce"), *RANDOM.integers(0, 256, (2, 640), np.uint8)
    sent, ready, done = np.zeros(640, np.uint8), np.array([4], np.uint64), np.zeros(1, np.uint64)
    steps = (np.uint64(0), np.uint32(4), np.uint32(10), np.uint32(4))
    module.launch("ring_step", 1, 32, mine, theirs, sent, ready, done, *steps)
    assert np.array_equal(sent, mine + theirs)
    assert done[0] == 4
    words, fifo = RANDOM.integers(0, 2**32, 11, np.uint32), np.zeros((6, 4), np.uint32)
    module.launch("line_send", 1, 32, words, fifo, np.uint32(9), np.uint32(11))
    assert np.array_equal(fifo[:, ::2].ravel()[:11], words)
    assert np.all(fifo[:, 1::2] == 9)
    lines, own, out = (RANDOM.integers(0, 2**64, (n, w), np.uint64) for n, w in ((9, 8), (9, 7), (9, 7)))
    lines[:, 7] = 42
    module.launch("line_receive_reduce", 2, 64, lines, own, out, np.uint64(42), np.uint32(9))
    assert np.array_equal(out.view(np.uint8), np.ascontiguousarray(lines[:, :7]).view(np.uint8) + own.view(np.uint8))


def test_bitmaps(host):
    module, mask = host("bitmask_columns"), RANDOM.integers(0, 2**32, 20, np.uint32)
    bits, rows = RANDOM.integers(-5, 640, 100, np.int32), np.uint32(100)
    out, valid = np.zeros(4, np.uint32), np.zeros(1, np.uint32)
    module.launch("bitmask_gather", 2, 64, mask, bits, rows, np.uint32(640), out, valid)
    expected = np.where(bits >= 0, bits_of(mask)[bits], False)
    assert np.array_equal(bits_of(out)[:100], expected)
    assert valid[0] == expected.sum()
    copied = np.zeros(19, np.uint32)
    module.launch("bitmask_shift_copy", 1, 32, mask, np.uint32(37), np.uint32(600), copied)
    assert np.array_equal(bits_of(copied)[:563], bits_of(mask)[37:600])
    begin, nulls = np.array([0, 5, 5, 37, 320, 640], np.uint32), np.zeros(5, np.uint32)
    module.launch("segmented_null_count", 3, 64, mask, begin, np.uint32(5), nulls)
    missing = ~bits_of(mask)
    assert nulls.tolist() == [missing[a:b].sum() for a, b in pairwise(begin)]


def test_validity_of_a_range(host):
    x, out, nulls = RANDOM.normal(size=75), np.zeros(3, np.uint32), np.zeros(1, np.uint32)
    limits = (np.float64(-1), np.float64(0.5), np.uint32(75))
    host("bitmask_columns").launch("valid_if_in_range", 3, 32, x, *limits, out, nulls)
    good = (x >= -1) & (x <= 0.5)
    assert np.array_equal(bits_of(out)[:75], good)
    assert nulls[0] == (~good).sum()


def wide(numbers: list[int]) -> np.ndarray:
    return np.array([(v & (2**64 - 1), v >> 64) for v in numbers], [("low", "u8"), ("high", "i8")])


def test_decimals(host):
    a, b, c = ([int(v) * 10**9 + k for k, v in enumerate(RANDOM.integers(-(10**9), 10**9, 30))] for _ in range(3))
    out, below = wide([0] * 30), np.zeros(30, np.uint8)
    arguments = (wide(a), wide(b), wide(c), np.int32(9), wide([10**26])[0], out, below, np.uint32(30))
    host("bitmask_columns").launch("decimal_multiply_add", 1, 16, *arguments)
    exact = Context(prec=60)
    parts = [exact.multiply(Decimal(x), Decimal(y)).scaleb(-9, exact) for x, y in zip(a, b, strict=True)]
    sums = [int(p.quantize(Decimal(1), ROUND_HALF_UP, exact)) + z for p, z in zip(parts, c, strict=True)]
    assert [(int(v["high"]) << 64) + int(v["low"]) for v in out] == sums
    assert below.tolist() == [v < 10**26 for v in sums]
    assert 0 < below.sum() < 30


def test_civil_dates(host):
    times = np.append(RANDOM.integers(-6 * 10**16, 10**17, 200), [-1, 0, 951782400 * 10**6, 68256000 * 10**6])
    n, zone = len(times), np.zeros(1, np.int32)
    year, second, month, day = (np.zeros(n, kind) for kind in (np.int32, np.int32, np.uint8, np.uint8))
    host("bitmask_columns").launch("civil_dates", 7, 32, times, zone, year, month, day, second, np.uint32(n))
    begin = datetime.datetime(1970, 1, 1)
    expected = [begin + datetime.timedelta(microseconds=int(t)) for t in times]
    got = list(zip(year.tolist(), month.tolist(), day.tolist(), second.tolist(), strict=True))
    assert got == [(t.year, t.month, t.day, t.hour * 3600 + t.minute * 60 + t.second) for t in expected]


def test_substrings(host):
    texts, needle = [b"xxapple", b"xxapplesauce", b"xxapplf", b"xxappl", b"x", b"xxaa", b"xxzebra"], b"apple"
    begin = np.cumsum([0, *map(len, texts)]).astype(np.uint32)
    data, order = np.frombuffer(b"".join(texts), np.uint8).copy(), np.zeros(7, np.int8)
    arguments = (data, begin, np.uint32(2), np.uint32(6), np.frombuffer(needle, np.uint8).copy(), np.uint32(5), order)
    host("bitmask_columns").launch("substring_compare", 1, 8, *arguments, np.uint32(7))
    pieces = [text[2:8] for text in texts]
    assert order.tolist() == [(piece > needle) - (piece < needle) for piece in pieces]


def test_clusters(host):
    module, core = host("cluster_labels"), np.uint32(4)
    centres = np.repeat(np.array([[0, 0, 0], [5, 5, 5], [0, 9, 0]]), 30, axis=0)
    points = np.concatenate([centres + RANDOM.normal(0, 0.4, (90, 3)), [[30, 0, 0]]]).astype(np.float32)
    n, near, degree, labels = (
        np.int32(91),
        np.zeros((91, 2), np.uint64),
        np.zeros(91, np.uint32),
        np.zeros(91, np.int32),
    )
    module.launch("dbscan_adjacency", (1, 91), 2, points, n, np.float32(1.5**2), near, degree)
    distance2 = ((points[:, None] - points[None]) ** 2).sum(axis=2)
    assert np.array_equal(degree, (distance2 <= 1.5**2).sum(axis=1))
    parent = np.arange(91, dtype=np.uint32)
    module.launch("dbscan_union", 3, 32, near, degree, core, n, parent)
    module.launch("dbscan_labels", 3, 32, near, degree, core, n, parent, labels)
    assert [len(set(labels[k : k + 30])) for k in (0, 30, 60)] == [1, 1, 1]
    assert len(set(labels.tolist())) == 4
    assert labels[90] == -1


def test_hilbert_curve_visits_neighbours(host):
    cells = np.stack(np.meshgrid(*[np.arange(8)] * 3), axis=-1).reshape(-1, 3).astype(np.float32)
    codes, order = np.zeros(512, np.uint64), np.zeros(512, np.uint32)
    arguments = (cells, np.zeros(3, np.float32), np.float32(1), codes, order, np.int32(512))
    host("cluster_labels").launch("hilbert_encode", 16, 32, *arguments)
    path = cells[np.argsort(codes)]
    assert sorted(codes.tolist()) == list(range(512))
    assert np.all(np.abs(np.diff(path, axis=0)).sum(axis=1) == 1)


def test_top_keys(host):
    x, values, places = (
        RANDOM.normal(size=(3, 150)).astype(np.float32),
        np.zeros((3, 8), np.float32),
        np.zeros((3, 8), np.uint32),
    )
    host("cluster_labels").launch("topk_packed", 3, 32, x, np.int32(150), values, places)
    expected = np.argsort(-x, axis=1)[:, :8]
    assert np.array_equal(places, expected)
    assert np.array_equal(values, np.take_along_axis(x, expected, axis=1))


def test_expert_routing(host):
    module, chosen = host("cluster_labels"), RANDOM.integers(0, 5, 140, np.int32)
    counts = np.bincount(chosen, minlength=5)
    begin, cursor, packed = (
        np.append(0, np.cumsum(counts)[:-1]).astype(np.uint32),
        np.zeros(5, np.uint32),
        np.zeros(140, np.uint32),
    )
    module.launch("expert_pack", 3, 64, chosen, begin, cursor, packed, np.int32(70), np.int32(2))
    slots = (packed & 0xFFFFFFF) * 2 + (packed >> 28)
    assert sorted(slots.tolist()) == list(range(140))
    assert np.array_equal(chosen[slots], np.repeat(np.arange(5), counts))
    product, router, out = (
        RANDOM.normal(size=(140, 6)).astype(np.float32),
        RANDOM.random(140, np.float32),
        np.zeros((140, 6), np.float16),
    )
    module.launch("expert_scatter", (1, 140), 4, product, packed, router, out, np.int32(140), np.int32(6), np.int32(2))
    assert np.array_equal(out[slots], (product * router[slots, None]).astype(np.float16))
