"""Means over many moments at once are those of one moment after the other."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hashwarden.model.following import followed, pull


def _one_by_one(mean, values, pulls):
    found = []
    for value, far in zip(values, pulls, strict=True):
        mean = np.where(np.isnan(mean), value, mean + far * (value - mean))
        found.append(mean)
    return np.array(found).reshape(values.shape)


@settings(max_examples=40)
@given(st.integers(0, 2**32 - 1), st.integers(0, 70), st.booleans(), st.sampled_from([np.float32, np.float64]))
def test_the_same_as_one_by_one_in_any_pieces(seed, size, begun, kind):
    rng = np.random.default_rng(seed)
    values = rng.gamma(1, 3, (size, 3)).astype(kind)
    values[rng.random(values.shape) < 0.05] = np.nan
    dts = np.where(rng.random((size, 1)) < 0.1, 0, rng.exponential(30, (size, 1))).astype(kind)
    pulls = np.broadcast_to(pull(dts, 60.0), values.shape)
    mean = np.full(3, 1.5 if begun else np.nan, kind)
    wanted, cut = _one_by_one(mean, values, pulls), size // 3
    first = followed(mean, values[:cut], pulls[:cut])
    rest = followed(first[-1] if cut else mean, values[cut:], pulls[cut:])
    found = np.concatenate([first, rest])
    assert found.dtype == kind
    np.testing.assert_allclose(found, wanted, rtol=1e-4 if kind is np.float32 else 1e-12)


def test_an_age_of_silence_forgets_all_and_no_time_changes_nothing():
    assert followed(np.array(7.0), np.array([1.0, 3.0]), pull(np.array([1e9, 0.0]), 60.0)).tolist() == [1.0, 1.0]


def test_half_of_the_way_takes_the_constant_times_the_logarithm_of_2():
    assert pull(np.array(60 * np.log(2)), 60.0) == pytest.approx(0.5)
