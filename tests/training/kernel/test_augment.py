"""What padding does to counts: sums, to the last instruction."""

import numpy as np
import pytest

from hashwarden.kernels.sass.constants import PRIMITIVES
from hashwarden.model.kernel.counts import BLOCKS, DEPTH_WEIGHTS, SCALAR_FIELDS, block
from hashwarden.model.kernel.features import FEATURE_NAMES, features_of_counts
from hashwarden.training.kernel.augment import PADDINGS, hide_constants, pad, pad_with, padding

N, IN_LOOP = SCALAR_FIELDS.index("n_instr"), SCALAR_FIELDS.index("in_loop")


def test_running_two_kernels_together_adds_them_up(small, rng):
    rows, others = rng.integers(0, len(small), (2, 40))
    one, other = small.counts.take(rows), small.counts.take(others)
    same_size = (other.scalars[:, N] / one.scalars[:, N]).astype(np.float32)  # as many as the other has, once
    both = pad_with(one, other, same_size)
    np.testing.assert_allclose(both.counts, one.counts + other.counts, rtol=1e-5, atol=1e-2)
    np.testing.assert_allclose(both.scalars[:, N], one.scalars[:, N] + other.scalars[:, N], rtol=1e-6)
    np.testing.assert_allclose(both.scalars[:, IN_LOOP], one.scalars[:, IN_LOOP] + other.scalars[:, IN_LOOP], rtol=1e-6)
    kept = [i for i in range(len(SCALAR_FIELDS)) if i not in (N, IN_LOOP)]
    np.testing.assert_array_equal(both.scalars[:, kept], one.scalars[:, kept])
    np.testing.assert_array_equal(both.constants, one.constants)


@pytest.mark.parametrize("kind", PADDINGS)
@pytest.mark.parametrize("ratio", [0.5, 10.0])
def test_padding_adds_instructions_by_the_ratio(small, kind, ratio):
    kernels = small.counts.take(np.arange(20))
    padded = pad(kernels, ratio, kind)
    added = padded.counts - kernels.counts
    n = kernels.scalars[:, N]
    np.testing.assert_allclose(padded.scalars[:, N], n * (1 + ratio), rtol=1e-6)
    np.testing.assert_allclose(added[:, block("op")].sum(1), n * ratio, rtol=1e-3)
    np.testing.assert_allclose(added[:, block("op_weighted")].sum(1), n * ratio * DEPTH_WEIGHTS[1], rtol=1e-3)
    assert added.min() >= 0


@pytest.mark.parametrize("kind", PADDINGS)
def test_dummy_work_holds_no_hash_work(kind):
    one = padding(kind)
    for name in ("lut", "lut_weighted", "rotate", "rotate_weighted", "op_immediate"):
        assert one.counts[:, block(name)].sum() == 0
    hashed = [i for i, column in enumerate(BLOCKS["mem"]) if column.endswith("hashed")]
    assert one.counts[:, block("mem")][:, hashed].sum() == 0


def test_no_padding_changes_nothing(small):
    kernels = small.counts.take(np.arange(20))
    padded = pad(kernels, 0.0, "float")
    np.testing.assert_array_equal(features_of_counts(padded), features_of_counts(kernels))


def test_shares_of_a_padded_kernel_by_hand(small):
    kernels = small.counts.take(np.arange(20))
    before, after = features_of_counts(kernels), features_of_counts(pad(kernels, 3.0, "float"))
    for name in ("op:logic", "op:shift", "lut:lut69", "rotate:rotate"):
        column = FEATURE_NAMES.index(name)
        np.testing.assert_allclose(after[:, column], before[:, column] / 2, rtol=1e-5)  # sqrt(1 / 4)
    column = FEATURE_NAMES.index("op:float")
    np.testing.assert_allclose(after[:, column], np.sqrt((before[:, column] ** 2 + 3) / 4), rtol=1e-5)


def test_hidden_constants_are_gone_and_only_those(small):
    hidden = np.arange(len(small)) % 2 == 0
    got = hide_constants(small.counts, hidden)
    assert small.counts.constants[hidden].any()
    assert not got.constants[hidden].any()
    np.testing.assert_array_equal(got.constants[~hidden], small.counts.constants[~hidden])
    np.testing.assert_array_equal(got.counts, small.counts.counts)
    changed = features_of_counts(got)[:, : -2 * len(PRIMITIVES)]
    np.testing.assert_array_equal(changed, features_of_counts(small.counts)[:, : -2 * len(PRIMITIVES)])
