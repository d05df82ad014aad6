"""The Poseidon2-like permutation against Python integers and a plain matrix product."""

from __future__ import annotations

import numpy as np
import pytest

P = 2**64 - 2**32 + 1
SYMBOLS = ["gold::c_outer", "gold::c_inner", "gold::c_diagonal"]
BLOCK = np.array([[5, 7, 1, 3], [4, 6, 1, 1], [1, 3, 5, 7], [1, 1, 4, 6]], dtype=object)


def constants(width: int, inner: int):
    rng = np.random.default_rng(12)
    outer = [[int(rng.integers(0, P, dtype=np.uint64)) for _ in range(width)] for _ in range(8)]
    middle = [int(rng.integers(0, P, dtype=np.uint64)) for _ in range(inner)]
    return outer, middle, [int(rng.integers(0, P, dtype=np.uint64)) for _ in range(width)]


def permute(state: list[int], width: int, inner: int) -> list[int]:
    outer, middle, diagonal = constants(width, inner)
    groups = width // 4
    matrix = np.kron(np.ones((groups, groups), dtype=object) + np.eye(groups, dtype=int).astype(object), BLOCK)

    def outer_round(s, r):
        return matrix @ np.array([pow(int(x) + c, 7, P) for x, c in zip(s, outer[r], strict=True)], dtype=object) % P

    s = matrix @ np.array(state, dtype=object) % P
    for r in range(4):
        s = outer_round(s, r)
    for constant in middle:
        s[0] = pow(int(s[0]) + constant, 7, P)
        total = sum(s)
        s = np.array([(x * d + total) % P for x, d in zip(s, diagonal, strict=True)], dtype=object)
    for r in range(4, 8):
        s = outer_round(s, r)
    return [int(x) for x in s]


@pytest.fixture
def prepared(host):
    def get(name: str, variant: str, width: int, inner: int):
        module = host(name, variant)
        for symbol, values in zip(SYMBOLS, constants(width, inner), strict=True):
            module.write(symbol, np.array(values, np.uint64))
        return module

    return get


def test_proof_of_work(prepared):
    module = prepared("poseidon2_pow", "", 12, 22)
    header, digests, best = np.array([3, P - 1, 5, 7], np.uint64), np.zeros((2, 4), np.uint64), np.array([P], np.uint64)
    module.launch("poseidon_search", 1, 2, header, np.uint64(2**32 - 1), np.uint64(P), digests, best)
    for i in range(2):
        nonce = 2**32 - 1 + i
        first = permute([*header.tolist(), nonce % 2**32, nonce >> 32, 0, 0, 1, 0, 0, 0], 12, 22)
        second = permute([*first[:4], 0, 0, 0, 0, 1, 0, 0, 0], 12, 22)
        assert digests[i].tolist() == second[:4]


def test_merkle_tree(prepared):
    module = prepared("poseidon2_merkle", "", 12, 22)
    trace = np.random.default_rng(13).integers(0, P, (10, 4), dtype=np.uint64)
    leaves, level = np.zeros((4, 4), np.uint64), np.zeros((2, 4), np.uint64)
    module.launch("merkle_leaves", 1, 4, trace, np.uint32(10), np.uint32(4), leaves)
    for row in range(4):
        column = trace[:, row].tolist()
        state = permute([*column[:8], 0, 0, 0, 0], 12, 22)
        assert leaves[row].tolist() == permute([*column[8:], *state[2:]], 12, 22)[:4]
    module.launch("merkle_level", 1, 2, leaves, np.uint32(2), level)
    assert level[1].tolist() == permute([*leaves[2:].ravel().tolist(), 0, 0, 0, 0], 12, 22)[:4]
