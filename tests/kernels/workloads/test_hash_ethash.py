"""Ethash, its SHA3-padded cousin and FishHash against Python written from their specifications."""

from __future__ import annotations

import numpy as np
import pytest
from blake3 import blake3

M32 = 2**32 - 1
HEADER = bytes(range(32))


def fnv(a: int, b: int) -> int:
    return (a * 0x01000193 & M32) ^ b


def words(data: bytes) -> list[int]:
    return np.frombuffer(data, "<u4").tolist()


def data(values) -> bytes:
    return np.array(values, "<u4").tobytes()


def hashimoto(oracles, table: np.ndarray, nonce: int, suffix: int, accesses: int) -> bytes:
    seed = oracles.keccak(HEADER + nonce.to_bytes(8, "little"), 72, suffix, 64)
    s = words(seed)
    width = table.shape[1]
    mix = (s + s)[:width]
    for i in range(accesses):
        row = table[fnv(i ^ s[0], mix[i % width]) % len(table)].tolist()
        mix = [fnv(a, b) for a, b in zip(mix, row, strict=True)]
    folded = [fnv(fnv(fnv(*mix[i : i + 2]), mix[i + 2]), mix[i + 3]) for i in range(0, width, 4)]
    return oracles.keccak(seed + data(folded), 136, suffix, 32)


def table(rows: int, width: int = 32) -> np.ndarray:
    return np.random.default_rng(7).integers(0, 2**32, (rows, width), dtype=np.uint64).astype(np.uint32)


@pytest.mark.parametrize("variant", ["", "UNROLL_PAGES=4"])
def test_search_by_eight_lanes(host, oracles, variant):
    module, pages = host("ethash", variant), table(97)
    module.write("g_header", HEADER)
    module.write("g_target", np.uint64(2**64 - 1).tobytes())
    digests, found, winners = np.zeros((32, 4), np.uint64), np.zeros(1, np.uint32), np.zeros(4, np.uint64)
    module.launch("ethash_search", 1, 32, pages, np.uint32(97), np.uint64(2**33), digests, found, winners)
    for i in (0, 1, 8, 31):
        assert digests[i].tobytes() == hashimoto(oracles, pages, 2**33 + i, 1, 64)
    assert found[0] == 32


@pytest.mark.parametrize(("variant", "suffix", "width"), [("", 1, 32), ("SHA3_PAD", 6, 32), ("MIX_WORDS=16", 1, 16)])
def test_search_by_one_thread(host, oracles, variant, suffix, width):
    module, rows = host("ethash_simple", variant), table(61, width)
    digests, hits = np.zeros((32, 32), np.uint8), np.zeros(1, np.uint32)
    header = np.frombuffer(HEADER, np.uint8).copy()
    module.launch("hashimoto", 1, 32, header, rows, np.uint32(61), np.uint64(5), digests, np.uint8(255), hits)
    for i in (0, 31):
        assert digests[i].tobytes() == hashimoto(oracles, rows, 5 + i, suffix, 64)
    assert hits[0] == 32


def item(oracles, cache: np.ndarray, index: int, parents: int) -> bytes:
    mix = cache[index % len(cache)].tolist()
    mix[0] ^= index
    mix = words(oracles.keccak(data(mix), 72, 1, 64))
    for j in range(parents):
        parent = cache[fnv(index ^ j, mix[j % 16]) % len(cache)].tolist()
        mix = [fnv(a, b) for a, b in zip(mix, parent, strict=True)]
    return oracles.keccak(data(mix), 72, 1, 64)


def test_ethash_table(host, oracles):
    cache, dag = table(37, 16), np.zeros((64, 16), np.uint32)
    host("ethash").launch("ethash_dag", 1, 32, cache, np.uint32(37), np.uint32(32), np.uint32(64), dag)
    for i in (32, 40, 63):
        assert dag[i].tobytes() == item(oracles, cache, i, 256)
    assert not dag[:32].any()


def test_fishhash_table_and_search(host, oracles):
    module, cache = host("fishhash"), table(37, 16)
    items = np.zeros((16, 32), np.uint32)
    module.launch("fish_build", 1, 32, cache, np.uint32(37), np.uint32(0), np.uint32(16), items)
    for i in (0, 15):
        assert items[i].tobytes() == item(oracles, cache, 2 * i, 512) + item(oracles, cache, 2 * i + 1, 512)
    header = bytes((3 * i) % 256 for i in range(180))
    module.write("c_header", header)
    digests, best = np.zeros((4, 8), np.uint32), np.array([2**64 - 1], np.uint64)
    limit, first = np.uint64(2**64 - 1), np.uint64(77)
    module.launch("fish_search", 1, 4, items, np.uint32(16), first, limit, digests, best)
    for i in range(4):
        assert digests[i].tobytes() == fish(blake3, items, header[:172] + (77 + i).to_bytes(8, "little"))
    assert best[0] == 77


def fish(blake3, items: np.ndarray, header: bytes) -> bytes:
    seed = blake3(header).digest(length=64)
    mix = words(seed) * 2
    for _ in range(32):
        first, second, third = (items[mix[i] % len(items)].tolist() for i in (0, 4, 8))
        second = [fnv(a, b) for a, b in zip(mix, second, strict=True)]
        third = [a ^ b for a, b in zip(mix, third, strict=True)]
        wide = [np.frombuffer(data(part), "<u8").tolist() for part in (first, second, third)]
        new = [(a * b + c) % 2**64 for a, b, c in zip(*wide, strict=True)]
        mix = words(np.array(new, "<u8").tobytes())
    folded = [fnv(fnv(fnv(*mix[i : i + 2]), mix[i + 2]), mix[i + 3]) for i in range(0, 32, 4)]
    return blake3(seed + data(folded)).digest()
