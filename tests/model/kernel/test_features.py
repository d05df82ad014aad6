"""The transform against a computation by hand."""

import math

import numpy as np
import pytest

from hashwarden.kernels.sass.constants import PRIMITIVES
from hashwarden.model.kernel.counts import Counts, block, counts_of
from hashwarden.model.kernel.features import FEATURE_NAMES, features_of, features_of_counts

LOP3, SHF, FFMA, LDG, BRA = 0x012, 0x019, 0x023, 0x181, 0x147
REGISTER, IMMEDIATE, BRANCH = 1 << 9, 4 << 9, 4 << 9

KERNEL = {
    "n_instr": 100,
    "n_loops": 2,
    "max_depth": 9,
    "in_loop": 60,
    "regs": 51,
    "shared": 1023,
    "longest_alu_run": 25,
    "longest_chain": 40,
    "op": [
        {"op12": LOP3 | REGISTER, "depth": 0, "n": 9},
        {"op12": LOP3 | IMMEDIATE, "depth": 1, "n": 16},
        {"op12": SHF | IMMEDIATE, "depth": 2, "n": 25},
        {"op12": FFMA | REGISTER, "depth": 0, "n": 41},
        {"op12": LDG | IMMEDIATE, "depth": 4, "n": 4},
        {"op12": BRA | BRANCH, "depth": 3, "n": 5},
    ],
    "lut": [{"lut": 0x96, "depth": 0, "n": 9}, {"lut": 0x3C, "depth": 1, "n": 16}],
    "rotate": [0, 0, 20, 0, 0],
    "funnel": [5, 0, 0, 0, 0],
    "mem": [{"kind": "ldg", "width": 6, "taint": 2, "depth": 4, "n": 4}],
    "flow": [
        {"src": LOP3, "dst": SHF, "inner": 9, "n": 36},
        {"src": SHF, "dst": LOP3, "inner": 16, "n": 64},
    ],
    "const_code": [{"primitive": "sha256_k", "n": 64}],
    "const_module": [{"primitive": "aes_t0", "n": 3}],
}
WEIGHTED = 9 + 16 * 6 + 25 * 36 + 41 + 4 * 100 + 5 * 100
BY_HAND = {
    "op:logic": math.sqrt(0.25),
    "op:shift": math.sqrt(0.25),
    "op:float": math.sqrt(0.41),
    "op:load": math.sqrt(0.04),
    "op:control": math.sqrt(0.05),
    "op_weighted:logic": math.sqrt((9 + 96) / WEIGHTED),
    "op_weighted:shift": math.sqrt(900 / WEIGHTED),
    "op_weighted:float": math.sqrt(41 / WEIGHTED),
    "op_weighted:load": math.sqrt(400 / WEIGHTED),
    "op_weighted:control": math.sqrt(500 / WEIGHTED),
    "op_immediate:logic": math.sqrt(0.16),
    "op_immediate:shift": math.sqrt(0.25),
    "op_immediate:load": math.sqrt(0.04),
    "op_immediate:control": math.sqrt(0.05),
    "lut:lut69": math.sqrt(0.09),
    "lut:lut3c": math.sqrt(0.16),
    "lut_weighted:lut69": math.sqrt(9 / WEIGHTED),
    "lut_weighted:lut3c": math.sqrt(96 / WEIGHTED),
    "rotate:rotate": math.sqrt(0.2),
    "rotate:funnel": math.sqrt(0.05),
    "rotate_weighted:rotate": math.sqrt(720 / WEIGHTED),
    "rotate_weighted:funnel": math.sqrt(5 / WEIGHTED),
    "mem:global.hashed": math.sqrt(0.04),
    "mem_weighted:global.hashed": math.sqrt(400 / WEIGHTED),
    "mem_width:global.w128": math.sqrt(0.04),
    "flow:logic>shift": math.sqrt(0.36),
    "flow:shift>logic": math.sqrt(0.64),
    "flow_inner:logic>shift": math.sqrt(9 / 25),
    "flow_inner:shift>logic": math.sqrt(16 / 25),
    "shape:log_n_instr": math.log(101),
    "shape:log_n_loops": math.log(3),
    "shape:max_depth": 6,
    "shape:in_loop_share": 0.6,
    "shape:regs": 0.2,
    "shape:log_shared": math.log(1024) / 2,
    "shape:log_alu_run": math.log(26),
    "shape:alu_run_share": 0.25,
    "shape:log_chain": math.log(41),
    "shape:chain_share": 0.4,
    "const_code:sha256_k": math.log(65),
    "const_module:aes_t0": math.log(4),
}


def test_the_features_of_a_kernel_made_by_hand(table_of):
    got = features_of(table_of([KERNEL]))
    assert got.dtype == np.float32
    assert set(BY_HAND) <= set(FEATURE_NAMES)
    np.testing.assert_allclose(got[0], [BY_HAND.get(name, 0.0) for name in FEATURE_NAMES], rtol=1e-6)


def test_names_are_unique_and_as_many_as_columns(real):
    assert len(set(FEATURE_NAMES)) == len(FEATURE_NAMES) == features_of(real).shape[1]
    assert sum(name.startswith("const_") for name in FEATURE_NAMES) == 2 * len(PRIMITIVES)


def test_features_are_finite_and_shares_are_shares(real):
    got = features_of(real)
    shares = [i for i, name in enumerate(FEATURE_NAMES) if not name.startswith(("shape:", "const_"))]
    assert np.isfinite(got).all()
    assert got.min() >= 0
    assert got[:, shares].max() <= 1.0001


def test_a_row_does_not_depend_on_the_others(real):
    whole = features_of(real)
    order = np.random.default_rng(0).permutation(len(real))
    np.testing.assert_array_equal(features_of(real.take(order)), whole[order])
    for row in (0, 17, len(real) - 1):
        np.testing.assert_array_equal(features_of(real.take([row]))[0], whole[row])


def test_an_empty_kernel_is_all_zero_but_for_its_size(table_of):
    got = features_of(table_of([{"n_instr": 0}]))[0]
    assert np.isfinite(got).all()
    assert {FEATURE_NAMES[i] for i in np.flatnonzero(got)} == {"shape:log_n_instr"}


@pytest.mark.parametrize("name", ["op", "lut", "mem", "flow"])
def test_shares_come_back_from_the_features(real, name):
    counts, features = counts_of(real), features_of(real)
    columns = block(name)
    part = counts.counts[:, columns]
    of = counts.scalars[:, :1] if name != "flow" else np.maximum(part.sum(1, keepdims=True), 1)
    np.testing.assert_allclose(features[:, columns] ** 2 * of, part, rtol=1e-4, atol=1e-3)


def test_features_of_two_pieces_run_together_are_those_of_their_sum(real):
    counts = counts_of(real)
    one, other = counts.take(np.array([0])), counts.take(np.array([40]))
    both = Counts(one.counts + other.counts, one.scalars + other.scalars, one.constants)
    got = features_of_counts(both)[0]
    n = one.scalars[0, 0] + other.scalars[0, 0]
    place = FEATURE_NAMES.index("op:logic")
    wanted = math.sqrt((one.counts[0, place] + other.counts[0, place]) / n)
    assert got[place] == pytest.approx(wanted, rel=1e-6)
