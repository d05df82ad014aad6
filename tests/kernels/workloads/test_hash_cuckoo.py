"""Cuckoo-cycle kernels against SipHash and a plain trimming."""

from __future__ import annotations

import numpy as np
import pytest

KEYS = (0x0706050403020100, 0x0F0E0D0C0B0A0908, 0x1716151413121110, 0x1F1E1D1C1B1A1918)


def test_lean_trimming_of_one_side(host, oracles):
    module, keys, edges = host("cuckatoo_lean", "EDGE_BITS=12"), np.array(KEYS, np.uint64), 4096
    alive, nodes = np.full(edges // 32, 2**32 - 1, np.uint32), np.zeros(edges // 32, np.uint32)
    packed = np.frombuffer(keys.tobytes(), dtype=[("k", "<u8", 4)])[0]
    module.launch("lean_mark", 1, 32, packed, alive, np.uint32(0), nodes)
    ends = [oracles.cuckoo_siphash(KEYS, 2 * edge) & 4095 for edge in range(edges)]
    marked = set(ends)
    assert sum(int(word).bit_count() for word in nodes) == len(marked)
    module.launch("lean_kill", 1, 32, packed, alive, np.uint32(0), nodes)
    expected = [end ^ 1 in marked for end in ends]
    assert [bool(alive[e // 32] >> (e % 32) & 1) for e in range(edges)] == expected
    total = np.zeros(1, np.uint32)
    module.launch("lean_census", 1, 32, alive, np.uint32(edges // 32), total)
    assert total[0] == sum(expected)


def block_edges(oracles, count: int, rotation: int) -> list[int]:
    found = []
    for first in range(0, count, 64):
        v, values = list(KEYS), []
        for edge in range(first, first + 64):
            oracles.sip_absorb(v, edge, rotation)
            values.append(oracles.sip_finish(v, rotation))
        found += [value ^ values[-1] for value in values[:-1]] + [values[-1]]
    return found


def test_mean_seed_trim_and_recovery(host, oracles):
    module = host("cuckaroo_mean", "EDGEBITS=14 XBITS=4 CAPACITY=2048")
    module.write("sip_key", np.array(KEYS, np.uint64))
    count, mask = 2**14, 2**14 - 1
    buckets, fill = np.zeros((16, 2048, 2), np.uint32), np.zeros(16, np.uint32)
    module.launch("mean_seed", 2, 64, np.uint64(count), buckets, fill)
    edges = [(value & mask, value >> 32 & mask) for value in block_edges(oracles, count, 21)]
    for b in range(16):
        got = sorted(map(tuple, buckets[b, : fill[b]].tolist()))
        assert got == sorted(edge for edge in edges if edge[0] >> 10 == b)
    after, after_fill = np.zeros_like(buckets), np.zeros_like(fill)
    module.launch("mean_trim", 16, 64, buckets, fill, after, after_fill)
    degree = np.bincount([u for u, _ in edges], minlength=2**14)
    left = sorted((v, u) for u, v in edges if degree[u] >= 2)
    got = sorted(tuple(e) for b in range(16) for e in after[b, : after_fill[b]].tolist())
    assert got == left
    cycle, numbers = np.array([edges[70], edges[9999]], np.uint32), np.zeros(2, np.uint32)
    module.launch("mean_recover", 2, 32, cycle, np.int32(2), np.uint64(count), numbers)
    assert numbers.tolist() == [70, 9999]


def test_degrees_compaction_and_cycles(host, oracles):
    module, n = host("cuckoo_tail", "EDGES_LOG2=12"), 3000
    module.write("k", np.array(KEYS, np.uint64))
    edges, counters = np.arange(n, dtype=np.uint32), np.zeros(2048 // 16, np.uint32)
    module.launch("degree_count", 2, 64, edges, np.uint32(n), np.uint32(0), counters)
    us, vs = ([oracles.cuckoo_siphash(KEYS, 2 * e + side) % 2048 for e in range(n)] for side in (0, 1))
    degree = np.bincount(us, minlength=2048)
    out, size = np.zeros(n, np.uint32), np.zeros(1, np.uint32)
    module.launch("compact_edges", 2, 64, edges, np.uint32(n), np.uint32(0), counters, out, size)
    assert sorted(out[: size[0]].tolist()) == [e for e in range(n) if degree[us[e]] >= 2]
    parent, closing = np.arange(4096, dtype=np.uint32), np.zeros(1, np.uint32)
    module.launch("follow_paths", 47, 64, edges, np.uint32(n), parent, closing)
    assert closing[0] == closing_edges(us, vs)


def closing_edges(us, vs) -> int:
    root, closing = list(range(4096)), 0
    for u, v in zip(us, vs, strict=True):
        a, b = 2 * u, 2 * v + 1
        while root[a] != a:
            a = root[a]
        while root[b] != b:
            b = root[b]
        closing += a == b
        root[max(a, b)] = min(a, b)
    return closing


@pytest.mark.parametrize("rotation", [21, 25])
def test_block_edges_depend_on_the_rotation(oracles, rotation):
    assert len(set(block_edges(oracles, 128, rotation))) == 128
