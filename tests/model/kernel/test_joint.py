"""Calibration, and kernels judged together: company accuses, it never acquits."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hashwarden.model.kernel.joint import CAP, Calibration, company, logit, own_log_odds, sigmoid, together

PLAIN = Calibration(0.0, 0.0, 1.0, 0.0, background=0.05, beside_object=0.0, beside_file=2.0)


def test_own_log_odds_by_hand():
    fitted = replace(PLAIN, hash_offset=0.5, mining_offset=-0.25, kind_slope=0.5, kind_offset=0.1)
    groups = np.log([[0.5, 0.2, 0.3], [0.9, 0.09, 0.01]])
    hashing, mining, kind = own_log_odds(groups, fitted)
    np.testing.assert_allclose(mining, [math.log(0.6) - 0.25, math.log(0.01 / 0.9) - 0.25])
    np.testing.assert_allclose(hashing, [0.5, math.log(0.1 / 0.9) + 0.5])
    np.testing.assert_allclose(kind, [0.5 * math.log(1.5) + 0.1, 0.5 * math.log(1 / 9) + 0.1])


def test_hash_work_is_at_least_as_likely_as_mining():
    fitted = replace(PLAIN, hash_offset=-5.0, mining_offset=5.0)
    hashing, mining, _ = own_log_odds(np.log([[0.4, 0.3, 0.3]]), fitted)
    assert hashing[0] == mining[0]


def test_sigmoid_and_logit_are_inverse_and_stay_finite():
    x = np.linspace(-20, 20, 41)
    np.testing.assert_allclose(logit(sigmoid(x)), x, rtol=1e-3)
    assert np.isfinite(logit(np.array([0.0, 1.0]))).all()
    assert np.isfinite(sigmoid(np.array([-1e9, 1e9]))).all()


def test_company_by_hand():
    p = np.array([0.9, 0.5, 0.0])
    got = company(p, ["a", "a", "b"], ["x", "y", "z"], 0.1)
    # four kernels of background beside each; one other in place a, none in place b
    np.testing.assert_allclose(got, [math.log((0.5 + 0.4) / 5 / 0.1), math.log((0.9 + 0.4) / 5 / 0.1), 0.0])


def test_one_kernel_alone_gets_nothing():
    assert company(np.array([1.0]), ["a"], ["x"], 0.05)[0] == 0
    assert together(np.array([3.0]), ["a"], ["a"], ["x"], PLAIN)[0] == 3.0


def test_no_kernels_keep_no_company():
    assert len(company(np.zeros(0), [], [], 0.05)) == 0


def test_copies_count_once():
    one = company(np.array([0.2, 0.9]), ["a"] * 2, ["x", "y"], 0.05)
    copied = company(np.array([0.2, 0.9, 0.9, 0.9, 0.9]), ["a"] * 5, ["x", "y", "y", "y", "y"], 0.05)
    assert copied[0] == pytest.approx(one[0])
    alone = company(np.array([0.9, 0.9, 0.9]), ["a"] * 3, ["y", "y", "y"], 0.05)
    np.testing.assert_allclose(alone, 0)


def test_kernels_without_an_identity_are_each_their_own():
    named = company(np.array([0.2, 0.9, 0.9]), ["a"] * 3, ["x", "y", "z"], 0.05)
    np.testing.assert_allclose(company(np.array([0.2, 0.9, 0.9]), ["a"] * 3, ["", "", ""], 0.05), named)


def test_other_places_do_not_count():
    p = np.array([0.2, 0.9, 0.9])
    np.testing.assert_allclose(company(p, ["a", "b", "c"], ["x", "y", "z"], 0.05), 0)


one = st.tuples(st.floats(-8, 8), st.sampled_from("ab"), st.sampled_from("uvwxyz"))
places = st.lists(one, min_size=1, max_size=30)


@given(places)
def test_together_never_lowers_and_adds_at_most_the_cap(kernels):
    alone = np.array([z for z, _, _ in kernels])
    place, code = [p for _, p, _ in kernels], [c for _, _, c in kernels]
    fitted = replace(PLAIN, beside_object=3.0, beside_file=4.0)
    added = together(alone, place, ["f"] * len(place), code, fitted) - alone
    assert added.min() >= 0
    assert added.max() <= CAP + 1e-9


@given(places, st.integers(0, 29), st.floats(0.1, 4))
def test_a_louder_neighbour_never_lowers_the_others(kernels, which, more):
    alone = np.array([z for z, _, _ in kernels])
    place, code = [p for _, p, _ in kernels], [str(i) for i in range(len(kernels))]
    which %= len(kernels)
    louder = alone.copy()
    louder[which] += more
    before, after = (together(z, place, place, code, PLAIN) for z in (alone, louder))
    assert (after - before).min() >= -1e-9


def test_dilution_takes_the_addition_away_and_no_more():
    miners, gains = np.full(10, 3.0), []
    for innocent in (0, 10, 100, 1_000, 10_000):
        alone = np.concatenate([miners, np.full(innocent, -8.0)])
        code = [str(i) for i in range(len(alone))]
        judged = together(alone, ["a"] * len(alone), ["a"] * len(alone), code, PLAIN)
        gains.append(judged[0] - 3.0)
    assert gains[0] > 3
    assert gains == sorted(gains, reverse=True)
    assert gains[-1] == 0
