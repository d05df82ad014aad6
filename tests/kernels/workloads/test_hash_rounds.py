"""Rounds of miners that do not hash themselves: staged trimming, slot pairing, staged tables, folded transcripts."""

from __future__ import annotations

import hashlib
from collections import Counter
from itertools import combinations

import numpy as np
import pytest
from blake3 import blake3

KEYS = (0x0706050403020100, 0x0F0E0D0C0B0A0908, 0x1716151413121110, 0x1F1E1D1C1B1A1918)
ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
SMALL = "EDGE_BITS=12 ROW_BITS=2 ROW_CAP=4096 CELL_CAP=2048 BLOCK=64"
NOTHING = 2**32 - 1


def edge_list(oracles, count: int, chained: bool) -> list[tuple[int, int]]:
    mask, found = 4095, []
    if not chained:
        return [tuple(oracles.cuckoo_siphash(KEYS, 2 * e + s) & mask for s in (0, 1)) for e in range(count)]
    for first in range(0, count, 64):
        v, values = list(KEYS), []
        for edge in range(first, first + 64):
            oracles.sip_absorb(v, edge, 21)
            values.append(oracles.sip_finish(v, 21))
        found += [value ^ values[-1] for value in values[:-1]] + [values[-1]]
    return [(value & mask, value >> 32 & mask) for value in found]


def filed(bins, fill) -> Counter[tuple[int, int]]:
    assert (fill <= bins.shape[1]).all()
    kept = np.concatenate([part[:n] for part, n in zip(bins, fill, strict=True)])
    return Counter(tuple(edge) for edge in kept.tolist() if edge[0] != NOTHING)


@pytest.mark.parametrize("extra", ["", " CHAINED=1", " SOURCES=2", " CHAINED=1 DEPTH=6"])
def test_staged_seed_split_and_trim(host, oracles, extra):
    module, count = host("cuckoo_mean_shared", SMALL + extra), 2**12
    module.write("c_keys", np.array(KEYS, np.uint64))
    edges = edge_list(oracles, count, "CHAINED" in extra)
    rows, fill = np.zeros((4, 4096, 2), np.uint32), np.zeros(4, np.uint32)
    module.launch("shared_seed", 1, 64, np.uint64(count), rows, fill)
    assert filed(rows, fill) == Counter(edges)
    assert all(u >> 10 == row for row in range(4) for u, _ in filed(rows[row : row + 1], fill[row : row + 1]))
    cells, cell_fill, none = np.zeros((16, 2048, 2), np.uint32), np.zeros(16, np.uint32), np.zeros(4, np.uint32)
    module.launch("shared_split", 4, 64, rows, rows, fill, none, cells, cell_fill)
    assert filed(cells, cell_fill) == Counter(edges)
    after, after_fill = np.zeros_like(rows), np.zeros_like(fill)
    module.launch("shared_trim", 16, 64, cells, cell_fill, after, after_fill)
    degree = Counter(u for u, _ in edges)
    assert filed(after, after_fill) == Counter((v, u) for u, v in edges if degree[u] > 1)
    names = np.zeros(16, np.uint32)
    module.launch("shared_rename", 16, 64, cells, cell_fill, names)
    assert names.sum() == len(degree)


def slot_string(slots, at: int, bucket: int, bits: int) -> int:
    """A filed string with its bucket's three bits in front again."""
    value = 0
    for word in slots[:, at]:
        value = value << 32 | int(word)
    return bucket << bits | value >> (32 * len(slots) - bits)


def test_slots_are_filled_and_paired(host, oracles):
    module = host(
        "equihash_slots",
        "WN=48 WK=5 BUCKET_LOG=3 SLOT_COUNT=96 BLOCK=32",
    )
    header, person = bytes(range(140)), b"ZcashPoW" + (48).to_bytes(4, "little") + (5).to_bytes(4, "little")
    start = oracles.blake2b_start(60, person)
    module.write("c_mid", np.array(oracles.blake2b_compress(start, header[:128], 128, last=False), np.uint64))
    module.write("c_rest", header[128:].ljust(128, b"\0"))
    module.write("c_place", np.uint32(3).tobytes())
    module.write("c_total", np.uint32(144).tobytes())
    slots, tree, counts = np.zeros((2, 768), np.uint32), np.zeros((768, 2), np.uint32), np.zeros(8, np.uint32)
    module.launch("slots_fill", 2, 32, np.uint32(52), slots, tree, counts)
    expected = []
    for i in range(52):
        digest = hashlib.blake2b(header + i.to_bytes(4, "little"), digest_size=60, person=person).digest()
        expected += [int.from_bytes(digest[6 * p : 6 * p + 6], "big") for p in range(10)]
    places = [(b, s, 96 * b + s) for b in range(8) for s in range(counts[b])]
    assert sorted(tree[at, 0] for _, _, at in places) == list(range(520))
    assert all(slot_string(slots, at, b, 45) == expected[tree[at, 0]] for b, _, at in places)

    after, refs, made = np.zeros((2, 768), np.uint32), np.zeros((768, 2), np.uint32), np.zeros(8, np.uint32)
    module.launch("slots_round1", 8, 32, slots, counts, after, refs, made)
    pairs = [(x ^ y) for x, y in combinations(expected, 2) if x >> 40 == y >> 40 and x != y]
    got = [slot_string(after, 96 * b + s, b, 37) for b in range(8) for s in range(min(96, made[b]))]
    assert made.sum() == len(pairs)
    assert not Counter(got) - Counter(pairs)
    for b in range(8):
        for s in range(min(96, made[b])):
            bucket, slot = int(refs[96 * b + s, 0]), int(refs[96 * b + s, 1])
            parents = [expected[tree[96 * bucket + part, 0]] for part in (slot >> 16, slot & 0xFFFF)]
            assert parents[0] ^ parents[1] == slot_string(after, 96 * b + s, b, 37)


def number_words(value: int):
    return np.frombuffer(value.to_bytes(32, "little"), np.uint32).copy()


@pytest.mark.parametrize("variant", ["TABLE_LOG=10", "TABLE_LOG=10 SPREAD=1"])
def test_stages_of_the_table_and_the_search(host, variant):
    module = host("autolykos_stages", variant)
    front, n, bound = bytes(range(64)), 1024, ORDER >> 1  # half of the hashes must be hashed again
    secret, minuend = ORDER - 12345678901234567890, ORDER - 3
    for name, value in (("c_secret", secret), ("c_minuend", minuend), ("c_bound", bound)):
        module.write(name, number_words(value))
    module.write("c_front", front)
    table, pending = np.zeros((n, 8), np.uint32), np.zeros(n, np.uint8)
    module.launch("prehash_first", 16, 64, np.uint32(n), table, pending)
    running = b"".join(i.to_bytes(8, "big") for i in range(128))
    sums = [hashlib.blake2b(running + front + i.to_bytes(4, "big"), digest_size=32).digest() for i in range(n)]
    assert [row.tobytes()[::-1] for row in table] == sums
    assert pending.tolist() == [int.from_bytes(it, "big") >= bound for it in sums]
    todo, count = np.zeros(n, np.uint32), np.zeros(1, np.uint32)
    module.launch("prehash_count", 16, 64, np.uint32(n), pending, todo, count)
    assert sorted(todo[: count[0]].tolist()) == np.flatnonzero(pending).tolist()
    again = [hashlib.blake2b(it, digest_size=32).digest() if p else it for it, p in zip(sums, pending, strict=True)]
    module.launch("prehash_again", 16, 64, todo, count, table, pending)
    assert [row.tobytes()[::-1] for row in table] == again
    module.launch("prehash_final", 16, 64, np.uint32(n), table)
    final = [(minuend - secret * int.from_bytes(it, "big")) % ORDER for it in again]
    assert [int.from_bytes(row.tobytes(), "little") for row in table] == final
    found, best = np.zeros((64, 8), np.uint32), np.full(1, NOTHING, np.uint32)
    module.launch("stage_search", 1, 64, np.uint64(7), table, found, best)
    for i in range(64):
        digest = hashlib.blake2b(front[:32] + (7 + i).to_bytes(8, "big"), digest_size=32).digest()
        wheel = digest + digest[:4]
        terms = [int.from_bytes(wheel[k : k + 4], "big") % 1024 for k in range(32)]
        assert int.from_bytes(found[i].tobytes(), "little") == sum(final[t] for t in terms) % ORDER


def left(x, n: int):
    return (x << np.uint64(n) | x >> np.uint64(32 - n)) & np.uint64(0xFFFFFFFF)


def fold(parts, cells) -> bytes:
    """Transcript of one lane: its accumulators after every step, each given by its row and column."""
    record = np.uint64(0)
    for part in parts:
        folded = np.uint64(0)
        for row, column in cells:
            folded = left(folded, 3) ^ np.uint64(int(part[row, column]) & 0xFFFFFFFF)
        record = left(record, 11) ^ folded
    return record


def steps(a, b):
    return [a[:, :end].astype(np.int64) @ b[:, :end].T.astype(np.int64) for end in range(32, a.shape[1] + 1, 32)]


def test_noise_product_and_transcript_by_dot_products(host):
    rng, key = np.random.default_rng(4), bytes(range(32))
    a, b = (rng.integers(-63, 64, (64, 96)).astype(np.int8) for _ in range(2))
    factor, other = rng.integers(-1, 2, (64, 8)).astype(np.int8), rng.integers(-2, 3, (8, 96)).astype(np.int8)
    module = host("tilepow_epilogue")
    module.write("c_chain", key)
    module.write("c_target", b"\xff" * 16)
    product, digests, hits = np.zeros((64, 64), np.int32), np.zeros((16, 8), np.uint32), np.zeros(9, np.uint32)
    module.launch("epilogue_dot", (1, 1), (16, 16), a, b, factor, other, np.int32(24), product, digests, hits)
    noisy = a + factor.astype(int) @ other.astype(int)
    assert (product == noisy @ b.T.astype(int)).all()
    parts = steps(noisy, b)
    for tile in range(16):
        corner = [(16 * (tile // 4) + 4 * (t // 4), 16 * (tile % 4) + 4 * (t % 4)) for t in range(16)]
        lanes = [fold(parts, [(r + i // 4, c + i % 4) for i in range(16)]) for r, c in corner]
        assert digests[tile].tobytes() == blake3(np.array(lanes).astype("<u4").tobytes(), key=key).digest()
    assert hits[0] == 16
    inner = other.astype(np.int32) @ b.T.astype(np.int32)
    module.launch("epilogue_restore", (4, 4), (16, 16), factor, inner, np.int32(64), product)
    assert (product == a.astype(int) @ b.T.astype(int)).all()


@pytest.mark.parametrize("variant", ["", "USE_SHA=1"])
def test_transcript_by_tensor_cores(host, oracles, variant):
    rng, chain = np.random.default_rng(6), np.array(oracles.IV256, np.uint32)
    a, b = (rng.integers(-63, 64, (64, 96)).astype(np.int8) for _ in range(2))
    module = host("tilepow_epilogue", variant)
    module.write("c_chain", chain)
    module.write("c_target", b"\xff" * 16)
    digests, hits, parts = np.zeros((16, 8), np.uint32), np.zeros(9, np.uint32), steps(a, b)
    module.launch("epilogue_tensor", (1, 1), 128, a, b, np.int32(96), digests, hits)
    for tile in range(16):
        warp, t = divmod(tile, 4)
        row, column = 32 * (warp // 2) + 16 * (t // 2), 32 * (warp % 2) + 16 * (t % 2)
        spots = [(8 * (e % 4 // 2), 8 * (e // 4) + e % 2) for e in range(8)]
        lanes = [
            fold(parts, [(row + lane // 4 + r, column + lane % 4 * 2 + c) for r, c in spots]) for lane in range(32)
        ]
        words = np.array([lanes[i] ^ left(lanes[i + 16], 7) for i in range(16)]).astype(np.uint32)
        if variant:
            expected = np.array(oracles.sha256_compress(oracles.IV256, words.astype(">u4").tobytes()), np.uint32)
            assert digests[tile].tolist() == expected.tolist()
        else:
            assert digests[tile].tobytes() == blake3(words.tobytes(), key=chain.tobytes()).digest()
    assert hits[0] == 16


def test_work_strings_are_mixed_and_paired(host, oracles):
    module = host("beam_slots", "MATCH_BITS=12 CELLS_LOG=3 CELL_SLOTS=256 THREADS=64")
    module.write("c_pre", np.array(KEYS, np.uint64))
    work, refs, counts = np.zeros((8, 256, 8), np.uint64), np.zeros((8, 256, 2), np.uint32), np.zeros(8, np.uint32)
    module.launch("beam_seed", 2, 64, np.uint32(800), work, refs, counts)
    kept = [work[c, s] for c in range(8) for s in range(counts[c])]
    assert sorted(int(it[7]) for it in kept) == list(range(800))
    for it in kept[:50]:
        words = [oracles.cuckoo_siphash(KEYS, int(it[7]) << 3 | 6 - i) for i in range(7)]
        total = sum(oracles.rotl(word, 29 * (i + 1) % 64) for i, word in enumerate(words)) % 2**64
        assert it[:7].tolist() == [oracles.rotl(total, 24), *words[1:]]
    after, pairs, made = np.zeros_like(work), np.zeros_like(refs), np.zeros_like(counts)
    module.launch("beam_round1", 8, 64, work, counts, after, pairs, made)
    groups = Counter(int(it[0]) & 4095 for it in kept)
    assert made.sum() == sum(n * (n - 1) // 2 for n in groups.values())
