"""Sorting, scans, parsing, codecs, columns, bit boards, sequences: against Python, NumPy and zlib."""

from __future__ import annotations

import base64
import json
import zlib

import lz4.block
import numpy as np
import pytest

RANDOM = np.random.default_rng(17)


def offsets(parts: list[bytes], kind: type = np.uint32) -> tuple[np.ndarray, np.ndarray]:
    data = np.frombuffer(b"".join(parts) + bytes(8), np.uint8).copy()
    return data, np.cumsum([0, *map(len, parts)]).astype(kind)


def test_radix_sort_passes(host):
    module, n, threads = host("sort_radix"), 300, 64
    keys, values = RANDOM.integers(0, 2**32, n, np.uint32), np.arange(n, dtype=np.uint32)
    want = np.argsort(keys, kind="stable")
    for shift in range(0, 32, 4):
        counts = np.zeros(16 * 5, np.uint32)
        module.launch("radix_count", 5, threads, keys, counts, np.uint32(n), np.int32(shift))
        begin = np.append(0, np.cumsum(counts)[:-1]).astype(np.uint32)
        sorted_keys, sorted_values = np.zeros_like(keys), np.zeros_like(values)
        arguments = (keys, values, begin, sorted_keys, sorted_values, np.uint32(n), np.int32(shift))
        module.launch("radix_scatter", 5, threads, *arguments)
        keys, values = sorted_keys, sorted_values
    assert np.array_equal(values, want)


def test_bitonic_and_merge(host):
    module, keys = host("sort_radix"), RANDOM.integers(0, 2**32, 700, np.uint32)
    work = keys.copy()
    module.launch("bitonic_block", 2, 64, work, np.uint32(700))
    assert np.array_equal(work, np.concatenate([np.sort(keys[:512]), np.sort(keys[512:])]))
    out = np.zeros_like(work)
    module.launch("merge_path", 2, 64, work[:512].copy(), np.uint32(512), work[512:].copy(), np.uint32(188), out)
    assert np.array_equal(out, np.sort(keys))


def test_scan_select_histogram_runs(host):
    module, n = host("scan_select"), 1000
    x = RANDOM.integers(0, 3, n).astype(np.uint32)
    out, status = np.zeros(n, np.uint32), np.zeros(4, np.uint64)
    module.launch("scan_chained", 4, 64, x, out, status, np.uint32(n))
    assert np.array_equal(out, np.cumsum(x))
    flags = RANDOM.integers(0, 2**32, 32, np.uint32)
    kept, count = np.zeros(n, np.uint32), np.zeros(1, np.uint32)
    module.launch("select_flagged", 16, 64, x, flags, kept, count, np.uint32(n))
    chosen = np.unpackbits(flags.view(np.uint8), bitorder="little")[:n].astype(bool)
    assert np.array_equal(kept[: count[0]], x[chosen])
    bins = np.zeros(256, np.uint32)
    module.launch("histogram_bytes", 2, 64, flags, bins, np.uint32(32))
    assert np.array_equal(bins, np.bincount(flags.view(np.uint8), minlength=256))
    marks = np.zeros(n, np.uint32)
    module.launch("run_heads", 16, 64, x, marks, np.uint32(n))
    values, starts = np.zeros(n, np.uint32), np.zeros(n, np.uint32)
    module.launch("run_emit", 16, 64, x, np.cumsum(marks).astype(np.uint32), values, starts, np.uint32(n))
    begin = np.flatnonzero(np.append(1, np.diff(x.astype(int))))
    assert np.array_equal(starts[: len(begin)], begin)
    assert np.array_equal(values[: len(begin)], x[begin])


def test_radix_select(host):
    x, out = RANDOM.normal(size=(2, 200)).astype(np.float32), np.zeros(2, np.float32)
    host("scan_select").launch("radix_select", 2, 64, x, out, np.int32(200), np.int32(17))
    assert np.array_equal(out, np.sort(x, axis=1)[:, -17])


@pytest.mark.parametrize(("text", "valid"), [
    ("grüße, 世界 🎉".encode(), True), (b"\xc0\x80", False), (b"\xed\xa0\x80", False), (b"a\x80", False),
    (b"\xf4\x90\x80\x80", False),
])  # fmt: skip
def test_utf8(host, text, valid):
    errors, characters = np.zeros(1, np.uint32), np.zeros(1, np.uint32)
    data = np.frombuffer(text, np.uint8).copy()
    host("text_parse").launch("utf8_validate", 1, 32, data, np.uint32(len(text)), errors, characters)
    assert (errors[0] == 0) == valid
    if valid:
        assert characters[0] == len(text.decode())


def test_json_structure(host):
    text = json.dumps({"a[": [1, 2, {"b\\": 'x "y", {z}'}], "c": None}).ljust(96).encode()
    data, words = np.frombuffer(text, np.uint8).copy(), len(text) // 32
    structural, quotes = np.zeros(words, np.uint32), np.zeros(words, np.uint32)
    module = host("text_parse")
    module.launch("json_masks", 1, len(text), data, np.uint32(len(text)), structural, quotes)
    ones = np.array([int(q).bit_count() for q in quotes])
    parity = np.append(0, np.cumsum(ones)[:-1]).astype(np.uint32)
    module.launch("json_string_mask", 1, 32, quotes, parity, structural, np.uint32(words))
    got = np.flatnonzero(np.unpackbits(structural.view(np.uint8), bitorder="little"))
    want, inside, escaped = [], False, False
    for place, c in enumerate(text.decode()):
        if escaped:
            escaped = False
        elif c == "\\":
            escaped = True
        elif c == '"':
            inside = not inside
        elif c in "{}[]:," and not inside:
            want.append(place)
    assert got.tolist() == want


def test_numbers_and_base64(host):
    module, numbers = host("text_parse"), [b"0", b"-17", b"9223372036854775807", b"12x", b""]
    data, begin = offsets(numbers)
    values, valid = np.zeros(5, np.int64), np.zeros(5, np.uint8)
    module.launch("parse_integers", 1, 8, data, begin, values, valid, np.int32(5))
    assert valid.tolist() == [1, 1, 1, 0, 0]
    assert values[:3].tolist() == [0, -17, 2**63 - 1]
    digits, out = np.frombuffer(b"1234567800090200", np.uint64).copy(), np.zeros(2, np.uint32)
    module.launch("parse_digits8", 1, 2, digits, out, np.int32(2))
    assert out.tolist() == [12345678, 90200]
    raw = RANDOM.integers(0, 256, 300, np.uint8)
    text, back, bad = np.zeros(400, np.uint8), np.zeros(300, np.uint8), np.zeros(1, np.uint32)
    module.launch("base64_encode", 4, 32, raw, text, np.uint32(100))
    assert text.tobytes() == base64.b64encode(raw.tobytes())
    module.launch("base64_decode", 4, 32, text, back, bad, np.uint32(100))
    assert np.array_equal(back, raw)
    assert bad[0] == 0


def test_inflate(host):
    plain = [b"", b"hello hello hello hello", RANDOM.bytes(500), bytes(range(40)) * 60]
    modes = [(zlib.Z_FIXED, 9), (zlib.Z_FIXED, 9), (zlib.Z_DEFAULT_STRATEGY, 0), (zlib.Z_DEFAULT_STRATEGY, 9)]
    streams = []
    for text, (strategy, level) in zip(plain, modes, strict=True):
        packer = zlib.compressobj(level, wbits=-15, strategy=strategy)
        streams.append(packer.compress(text) + packer.flush())
    data, begin = offsets(streams)
    _, ends = offsets(plain)
    out, sizes = np.zeros(int(ends[-1]) + 8, np.uint8), np.zeros(4, np.uint32)
    host("codec_deflate").launch("inflate", 2, 64, data, begin, out, ends, sizes, np.int32(4))
    assert sizes.tolist() == [len(text) for text in plain]
    assert out[: ends[-1]].tobytes() == b"".join(plain)


def test_lz4(host):
    plain = [b"abcabcabcabcabcabcabcabcabcabc", RANDOM.bytes(300), bytes(5000)]
    data, begin = offsets([lz4.block.compress(text, store_size=False) for text in plain])
    _, ends = offsets(plain)
    out, sizes = np.zeros(ends[-1], np.uint8), np.zeros(3, np.uint32)
    host("codec_decode").launch("lz4_decode", 1, 4, data, begin, out, ends, sizes, np.int32(3))
    assert sizes.tolist() == [len(text) for text in plain]
    assert out.tobytes() == b"".join(plain)


def test_run_lengths_and_snappy(host):
    runs, ends = np.array([7, 9, 1], np.uint8), np.array([3, 4, 10], np.uint32)
    out = np.zeros(10, np.uint8)
    host("codec_decode").launch("run_length_decode", 1, 10, runs, ends, out, np.int32(3), np.uint32(10))
    assert out.tolist() == [7, 7, 7, 9, 1, 1, 1, 1, 1, 1]
    # Preamble, a literal of four, a copy of six from four back.
    stream = bytes([10, 3 << 2, *b"wxyz", (2 << 2) | 1, 4])
    data, begin = offsets([stream])
    text = np.zeros(10, np.uint8)
    limits = np.array([0, 10], np.uint32)
    host("codec_decode").launch("snappy_decode", 1, 32, data, begin, text, limits, np.int32(1))
    assert text.tobytes() == b"wxyzwxyzwx"


@pytest.mark.parametrize(("variant", "width"), [("", 7), ("WIDTH=13", 13)])
def test_bit_packing(host, variant, width):
    values, packed, out = (
        RANDOM.integers(0, 2**width, 96, np.uint32),
        np.zeros(3 * width, np.uint32),
        np.zeros(96, np.uint32),
    )
    module = host("bits_columns", variant)
    module.launch("pack_fixed", 1, 4, values, packed, np.uint32(3))
    bits = ((values[:, None] >> np.arange(width, dtype=np.uint32)) & 1).astype(np.uint8).reshape(-1)
    assert np.packbits(bits, bitorder="little").tobytes() == packed.tobytes()
    module.launch("unpack_fixed", 1, 4, packed, out, np.uint32(3))
    assert np.array_equal(out, values)


def test_varints_and_select(host):
    module, numbers = host("bits_columns"), [0, -1, 300, -70000, 2**40]
    encoded = b""
    for number in numbers:
        v = number << 1 ^ number >> 63
        v &= 2**64 - 1
        while v > 127:
            encoded, v = encoded + bytes([v & 127 | 128]), v >> 7
        encoded += bytes([v])
    data = np.frombuffer(encoded, np.uint8).copy()
    rank, out = np.cumsum(data < 128).astype(np.uint32), np.zeros(5, np.int64)
    module.launch("varint_decode", 1, 32, data, rank, out, np.uint32(len(data)))
    assert out.tolist() == numbers
    bits = RANDOM.integers(0, 2**32, 10, np.uint32)
    places = np.flatnonzero(np.unpackbits(bits.view(np.uint8), bitorder="little"))
    before = np.append(0, np.cumsum([int(w).bit_count() for w in bits])[:-1]).astype(np.uint32)
    wanted, got = np.arange(len(places), dtype=np.uint32), np.zeros(len(places), np.uint32)
    module.launch("bitmap_select", 8, 32, bits, before, np.uint32(10), wanted, got, np.uint32(len(places)))
    assert np.array_equal(got, places)


def test_queens_and_life(host):
    module = host("bits_search", "BOARD=8")
    prefixes, solutions = np.zeros((32, 4), np.uint32), np.zeros(1, np.uint64)
    for column in range(8):
        bit = 1 << column
        prefixes[column, :3] = bit, bit << 1, bit >> 1
    module.launch("queens_count", 1, 32, prefixes, np.int32(1), solutions, np.int32(8))
    assert solutions[0] == 92
    board = RANDOM.integers(0, 2, (16, 64), np.uint8)
    packed = np.packbits(board, axis=1, bitorder="little").view(np.uint32).copy()
    out = np.zeros_like(packed)
    module.launch("life_step", (1, 16), 2, packed, out, np.int32(2), np.int32(16))
    near = sum(
        np.roll(board, (dy, dx), (0, 1)).astype(int) for dy in (-1, 0, 1) for dx in (-1, 0, 1) if (dy, dx) != (0, 0)
    )
    want = (near == 3) | ((near == 2) & (board == 1))
    assert np.array_equal(np.unpackbits(out.view(np.uint8), axis=1, bitorder="little"), want)


def edit_distance(a: bytes, b: bytes) -> int:
    row = list(range(len(b) + 1))
    for i, x in enumerate(a, 1):
        last, row[0] = row[0], i
        for j, y in enumerate(b, 1):
            last, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, last + (x != y))
    return row[-1]


def local_alignment(query: np.ndarray, target: np.ndarray) -> int:
    """Smith and Waterman's best score, with Gotoh's affine gaps: match 2, mismatch -3, gap 5, longer 2."""
    shape = (len(query) + 1, len(target) + 1)
    h, e = np.zeros(shape, int), np.full(shape, -9999)
    f = e.copy()
    for i in range(1, shape[0]):
        for j in range(1, shape[1]):
            e[i, j] = max(e[i, j - 1] - 2, h[i, j - 1] - 5)
            f[i, j] = max(f[i - 1, j] - 2, h[i - 1, j] - 5)
            match = h[i - 1, j - 1] + (2 if query[i - 1] == target[j - 1] else -3)
            h[i, j] = max(0, match, e[i, j], f[i, j])
    return h.max()


def test_sequences(host):
    module, pattern = host("bits_genome"), b"ACGTTGCAACGTACCA"
    texts = [b"ACGTTGCAACGTACCA", b"ACGTTGCACGTACA", b"TTTT", b"ACGATGCAACGTTTACCA"]
    masks = np.zeros(256, np.uint64)
    for place, c in enumerate(pattern):
        masks[c] |= np.uint64(1 << place)
    data, begin = offsets(texts)
    distance = np.zeros(4, np.int32)
    module.launch("edit_distance", 1, 4, masks, np.int32(16), data, begin, distance, np.int32(4))
    assert distance.tolist() == [edit_distance(pattern, text) for text in texts]
    rng = np.random.default_rng(1)
    queries, targets = (
        rng.choice(np.frombuffer(b"ACGT", np.uint8), (64, 2)),
        rng.choice(np.frombuffer(b"ACGT", np.uint8), (50, 2)),
    )
    best = np.zeros(2, np.int32)
    scores = [np.int32(v) for v in (2, -3, 5, 2)]
    module.launch("smith_waterman", 1, 2, queries, targets, np.int32(50), *scores, best, np.int32(2))
    assert best.tolist() == [local_alignment(queries[:, pair], targets[:, pair]) for pair in range(2)]


def test_kmers_are_counted_on_both_strands(host):
    read = bytes(RANDOM.choice(list(b"ACGT"), 60).tolist()) + b"N" + b"A" * 25
    reverse = read[::-1].translate(bytes.maketrans(b"ACGT", b"TGCA"))
    data, begin = offsets([read, reverse])
    keys, counts = np.full(512, 2**64 - 1, np.uint64), np.zeros(512, np.uint32)
    host("bits_genome").launch("kmer_count", 1, 2, data, begin, np.int32(2), keys, counts, np.uint32(512))
    windows = [read[i : i + 21] for i in range(len(read) - 20) if b"N" not in read[i : i + 21]]
    assert counts.sum() == 2 * len(windows)
    assert (counts > 0).sum() == len(set(windows))
    assert sorted(counts[counts > 0].tolist())[-1] == 10


@pytest.mark.parametrize(("variant", "kind"), [("", np.uint32), ("KEY64", np.uint64)])
def test_hash_table(host, variant, kind):
    module, keys = host("table_linear", variant), RANDOM.choice(10**6, 150, replace=False).astype(kind)
    table, values = np.full(256, np.iinfo(kind).max, kind), np.zeros(256, np.uint32)
    payload, failed = np.arange(150, dtype=np.uint32), np.zeros(1, np.uint32)
    module.launch("table_insert", 5, 32, table, values, np.uint32(256), keys, payload, np.uint32(150), failed)
    assert failed[0] == 0
    found = np.zeros(200, np.uint32)
    wanted = np.append(keys, np.arange(2 * 10**6, 2 * 10**6 + 50).astype(kind))
    module.launch("table_find", 2, 32, table, values, np.uint32(256), wanted, found, np.uint32(200))
    assert found.tolist() == [*range(150), *[2**32 - 1] * 50]


def test_cuckoo_table(host):
    module, keys = host("table_cuckoo"), RANDOM.choice(2**31, 100, replace=False).astype(np.uint64)
    pairs = keys << np.uint64(32) | np.arange(100, dtype=np.uint64)
    table, failed, values = np.full(256, 2**64 - 1, np.uint64), np.zeros(1, np.uint32), np.zeros(100, np.uint32)
    a, b = RANDOM.integers(0, 2**32, (2, 4), np.uint32)
    family = np.array([(a, b)], [("a", "u4", 4), ("b", "u4", 4)])
    module.launch("cuckoo_insert", 4, 32, table, np.uint32(256), family[0], pairs, np.uint32(100), failed)
    wanted = keys.astype(np.uint32)
    module.launch("cuckoo_find", 4, 32, table, np.uint32(256), family[0], wanted, values, np.uint32(100))
    assert failed[0] == 0
    assert values.tolist() == list(range(100))


def test_hash_join(host):
    module, build, probe = host("table_relational"), *(RANDOM.integers(0, n, n + 10, np.uint32) for n in (70, 50))
    heads, chain, count = np.zeros(64, np.uint32), np.zeros(80, np.uint32), np.zeros(1, np.uint32)
    out, most = np.zeros((9000, 2), np.uint32), np.uint32(9000)
    module.launch("join_build", 3, 32, heads, chain, np.uint32(63), build, np.uint32(80))
    module.launch("join_probe", 2, 32, heads, chain, np.uint32(63), build, probe, np.uint32(60), out, count, most)
    expected = [(b, p) for b in range(80) for p in range(60) if build[b] == probe[p]]
    assert sorted(map(tuple, out[: count[0]].tolist())) == expected


def test_bloom_filter(host):
    sketches, keys = host("table_sketches"), RANDOM.choice(2**31, 100, replace=False).astype(np.uint64)
    bits, present = np.zeros(128, np.uint32), np.zeros(400, np.uint8)
    sketches.launch("bloom_add", 4, 32, bits, np.uint32(4096), keys, np.int32(100))
    tested = np.append(keys, RANDOM.integers(2**40, 2**41, 300, np.uint64))
    sketches.launch("bloom_test", 13, 32, bits, np.uint32(4096), tested, present, np.int32(400))
    assert present[:100].all()
    assert present[100:].sum() < 6


@pytest.mark.parametrize(
    ("variant", "points", "kind"), [("POINTS=64", 64, np.complex64), ("POINTS=1024 DOUBLE", 1024, np.complex128)]
)
def test_fourier(host, variant, points, kind):
    module, x = host("hpc_fft", variant), (RANDOM.normal(size=points) + 1j * RANDOM.normal(size=points)).astype(kind)
    out, tolerance = np.zeros_like(x), 1e-3 if kind is np.complex64 else 1e-9
    module.launch("fft_radix2_shared", 1, 32, x, out)
    assert np.allclose(out, np.fft.fft(x), atol=tolerance)
    for radix in (4, 8):
        a, b, n, done = x[:64].copy(), np.zeros(64, kind), 64, 1
        while done < n:
            module.launch(f"fft_radix{radix}_pass", 1, 32, a, b, np.int32(n), np.int32(done))
            a, b, done = b, a, done * radix
        assert np.allclose(a, np.fft.fft(x[:64]), atol=tolerance)
