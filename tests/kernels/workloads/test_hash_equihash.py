"""Equihash kernels: strings against hashlib, whole solutions against the definition, sorting against NumPy."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest

PERSON = b"ZcashPoW"


def person(n: int, k: int) -> bytes:
    return PERSON + n.to_bytes(4, "little") + k.to_bytes(4, "little")


def strings(header: bytes, n: int, k: int, count: int) -> list[int]:
    per, found = 512 // n, []
    for i in range(-(-count // per)):
        size = per * n // 8
        digest = hashlib.blake2b(header + i.to_bytes(4, "little"), digest_size=size, person=person(n, k)).digest()
        found += [int.from_bytes(digest[p * n // 8 : (p + 1) * n // 8], "big") for p in range(per)]
    return found[:count]


def solve(module, oracles, header: bytes) -> list[list[int]]:
    """N = 48, K = 5 with the bucket kernels; 8 buckets of 96 slots."""
    state = oracles.blake2b_start(60, person(48, 5))
    module.write("c_state", np.array(oracles.blake2b_compress(state, header[:128], 128, last=False), np.uint64))
    module.write("c_tail", header[128:].ljust(16, b"\0"))
    module.write("c_tail_bytes", np.uint32(len(header) - 128).tobytes())
    tables, refs = np.zeros((2, 8, 96, 2), np.uint32), np.zeros((5, 8, 96, 2), np.uint32)
    counts = np.zeros((6, 8), np.uint32)
    module.launch("equihash_seed", 2, 32, np.uint32(52), tables[0], refs[0], counts[0])
    for r in range(4):
        source, target = tables[r % 2], tables[(r + 1) % 2]
        module.launch("equihash_round", 8, 32, source, counts[r], target, refs[r + 1], counts[r + 1])
    solutions, found = np.zeros((400, 2), np.uint32), np.zeros(1, np.uint32)
    module.launch("equihash_final", 8, 32, tables[0], counts[4], np.uint32(400), solutions, found)
    indices = np.zeros((400, 32), np.uint32)
    module.launch("equihash_recover", 400, 32, refs, solutions, indices)
    return indices[: min(400, int(found[0]))].tolist()


def test_solutions_obey_the_definition(host, oracles):
    module = host("equihash_bucket", "N=48 K=5 BUCKET_BITS=3 SLOTS=96")
    proper = 0
    for nonce in range(6):
        header = bytes((nonce * 31 + i) % 256 for i in range(140))
        words = strings(header, 48, 5, 520)
        for solution in solve(module, oracles, header):
            total = 0
            for index in solution:
                total ^= words[index]
            assert total == 0
            for width in (2, 4, 8, 16):  # Wagner's tree: every subtree agrees on its leading bits
                part = 0
                for index in solution[:width]:
                    part ^= words[index]
                assert part >> (48 - 8 * (width.bit_length() - 1)) == 0
            proper += len(set(solution)) == 32
    assert proper > 0


@pytest.mark.parametrize(("variant", "n", "k"), [("", 144, 5), ("PARAM_N=48 PARAM_K=5 DIGIT=4", 48, 5)])
def test_strings_of_the_sorting_solver(host, oracles, variant, n, k):
    header, total, rows = bytes(range(100)), 64, -(-n // 32)
    start = np.array(oracles.blake2b_start(512 // n * n // 8, person(n, k)), np.uint64)
    words, indices = np.zeros((rows, total), np.uint32), np.zeros(total, np.uint32)
    data = np.frombuffer(header, np.uint32).copy()
    host("equihash_sort", variant).launch(
        "make_strings", 1, 32, start, data, np.uint32(25), np.uint32(total), words, indices
    )
    expected = strings(header, n, k, total)
    for i in range(total):
        value = int.from_bytes(words[:, i].astype(">u4").tobytes(), "big") >> (32 * rows - n)
        assert value == expected[i]
    assert indices.tolist() == list(range(total))


def test_sorting_and_joining(host):
    module, rng, total = host("equihash_sort", "PARAM_N=48 PARAM_K=5 DIGIT=4"), np.random.default_rng(5), 700
    rows = rng.integers(0, 2**32, (2, total), dtype=np.uint64).astype(np.uint32)
    rows[1] &= 0xFFFF0000
    original, order = rows.copy(), np.arange(total, dtype=np.uint32)
    for shift in (24, 28):
        counts = np.zeros((16, 3), np.uint32)
        module.launch("sort_count", 3, 256, rows, np.uint32(total), np.int32(shift), counts)
        module.launch("sort_scan", 1, 256, counts, np.uint32(48))
        new_rows, new_order = np.zeros_like(rows), np.zeros_like(order)
        module.launch(
            "sort_scatter", 3, 256, rows, order, np.uint32(total), np.int32(shift), counts, new_rows, new_order
        )
        rows, order = new_rows, new_order
    assert order.tolist() == np.argsort(original[0] >> 24, kind="stable").tolist()
    assert (rows == original[:, order]).all()

    joined, pairs, made = np.zeros((2, 4096), np.uint32), np.zeros((4096, 2), np.uint32), np.zeros(1, np.uint32)
    module.launch("join_neighbours", 3, 256, rows, np.uint32(total), np.uint32(4096), joined, pairs, made)
    sizes = np.bincount(rows[0] >> 24)
    assert int(made[0]) == int((sizes * (sizes - 1) // 2).sum())
    for i, (a, b) in enumerate(pairs[: int(made[0])]):
        both = [int(rows[0, x]) << 32 | int(rows[1, x]) for x in (a, b)]
        expected = (both[0] ^ both[1]) << 8
        assert expected >> 64 == 0
        assert int(joined[0, i]) << 32 | int(joined[1, i]) == expected % 2**64
