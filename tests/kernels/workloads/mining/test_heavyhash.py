"""What kHeavyHash is prepared with: the states of its sponges, and a matrix of full rank."""

from __future__ import annotations

import numpy as np
import pytest
from Crypto.Hash import cSHAKE256

from hashwarden.kernels.workloads.mining import heavyhash
from hashwarden.kernels.workloads.mining.keccak import keccak_f1600


@pytest.mark.parametrize("name", [b"ProofOfWorkHash", b"HeavyHash"])
def test_prefix_state_is_that_of_cshake(name):
    state = heavyhash.prefix_state(name)
    state[0] ^= np.uint64(int.from_bytes(b"message\x04", "little"))
    state[16] ^= np.uint64(1 << 63)
    keccak_f1600(state)
    assert state[:4].tobytes() == cSHAKE256.new(data=b"message", custom=name).read(32)


def test_the_matrix_has_full_rank_and_is_drawn_again_if_not():
    class Twice:
        """A generator whose first matrix has two equal rows."""

        def __init__(self):
            self.random, self.calls = np.random.default_rng(1), 0

        def integers(self, *arguments):
            self.calls += 1
            matrix = self.random.integers(*arguments)
            matrix[1] = matrix[0] if self.calls == 1 else matrix[1]
            return matrix

    random = Twice()
    matrix = heavyhash.full_rank_matrix(random)
    assert random.calls == 2
    assert matrix.shape == (64, 64)
    assert matrix.max() == 15
    assert np.linalg.matrix_rank(matrix.astype(float)) == 64
