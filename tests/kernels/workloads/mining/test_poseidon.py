"""Goldilocks arithmetic against whole numbers, Poseidon2 against its published answer."""

from __future__ import annotations

import numpy as np
import pytest

from hashwarden.kernels.workloads.mining import poseidon
from hashwarden.kernels.workloads.mining.goldilocks import field_add, field_multiply, poseidon2
from hashwarden.kernels.workloads.mining.poseidon_constants import PRIME

EDGES = (0, 1, 2, 2**32 - 2, 2**32 - 1, 2**32, 2**32 + 1, 2**63, PRIME - 2**32, PRIME - 2, PRIME - 1)

KNOWN = (
    138186169299091649, 2237493815125627916, 7098449130000758157, 16681569560651424230, 2885694034573886267,
    1987263728465303211, 4895658260063552408, 16782691522897809445, 6250362358359317026, 8723968546836371205,
    17025428646788054631, 7660698892044183277,
)  # fmt: skip
"""HorizenLabs' known answer for 0, 1, ..., 11."""


@pytest.fixture(autouse=True)
def wrapping():
    with np.errstate(over="ignore"):
        yield


def elements():
    drawn = np.random.default_rng(4).integers(0, PRIME, 40, np.uint64)
    return [*EDGES, *(int(x) for x in drawn)]


def test_sums_and_products():
    for a in elements():
        for b in elements():
            assert int(field_add(np.uint64(a), np.uint64(b))) == (a + b) % PRIME
            assert int(field_multiply(np.uint64(a), np.uint64(b))) == a * b % PRIME


def test_published_permutation():
    state = np.arange(12, dtype=np.uint64)
    poseidon2(state, 4)
    assert tuple(int(x) for x in state) == KNOWN
    assert tuple(poseidon.permutation(range(12))) == KNOWN


@pytest.mark.parametrize("value", [0, PRIME - 1])
def test_permutation_of_extreme_states(value):
    state = np.full(12, value, np.uint64)
    poseidon2(state, 4)
    assert state.tolist() == poseidon.permutation([value] * 12)
