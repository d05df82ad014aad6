"""The beta-binomial against SciPy's."""

import itertools
import math

import numpy as np
import pytest
from scipy.stats import betabinom

from hashwarden.model.kernel.tail import at_least, fit_beta, log_probability

SHAPES = [(0.4, 398.0), (0.05, 50.0), (3.0, 2.0), (1.0, 1.0)]


@pytest.mark.parametrize(("a", "b"), SHAPES)
@pytest.mark.parametrize("n", [1, 2, 17, 500])
def test_probabilities_are_those_of_scipy(a, b, n):
    for k in {0, 1, n // 2, n}:
        assert log_probability(k, n, a, b) == pytest.approx(betabinom(n, a, b).logpmf(k), rel=1e-7, abs=1e-7)


@pytest.mark.parametrize(("a", "b"), SHAPES)
@pytest.mark.parametrize("n", [1, 30, 4_000])
def test_tails_are_those_of_scipy(a, b, n):
    for k in {1, 2, n // 3, n}:
        tail = betabinom(n, a, b).pmf(np.arange(k, n + 1)).sum()
        assert at_least(k, n, a, b) == pytest.approx(tail, rel=1e-6, abs=1e-200)


def test_more_than_all_is_impossible():
    assert at_least(2, 1, 1.0, 1.0) == 0.0


def test_none_or_more_is_certain():
    assert at_least(0, 10, 1.0, 1.0) == 1.0
    assert at_least(-1, 0, 1.0, 1.0) == 1.0


@pytest.mark.parametrize(("a", "b"), SHAPES)
def test_more_is_rarer(a, b):
    tails = [at_least(k, 200, a, b) for k in range(201)]
    assert all(left >= right * (1 - 1e-9) for left, right in itertools.pairwise(tails))
    assert tails[-1] > 0


def test_a_tail_far_out_is_small_and_not_zero():
    assert 0 < at_least(900, 1_000, 0.4, 398.0) < 1e-100


@pytest.mark.parametrize(("k", "n"), [(5, 40_000), (80, 40_000), (400, 200_000)])
def test_beyond_the_exact_sum_the_chance_is_not_understated(k, n):
    a, b = 0.4, 398.0
    exact = betabinom(n, a, b).sf(k - 1)
    assert exact * 0.999 <= at_least(k, n, a, b) <= 2 * exact + 0.01


def test_a_million_kernels_take_no_time():
    assert 0 <= at_least(500_000, 1_000_000, 0.4, 398.0) <= 1e-6


@pytest.mark.parametrize("rate", [0.002, 0.02])
def test_the_fit_finds_a_known_distribution(rate):
    rng = np.random.default_rng(1)
    size = 60.0
    sizes = rng.integers(200, 600, 300)
    rates = rng.beta(rate * size, (1 - rate) * size, 300)
    a, b = fit_beta([(int(rng.binomial(n, p)), int(n)) for n, p in zip(sizes, rates, strict=True)])
    assert abs(math.log10(a / (a + b) / rate)) < 0.2
    assert abs(math.log10((a + b) / size)) < 0.4


def test_clean_files_do_not_prove_a_rate_of_zero():
    a, b = fit_beta([(0, 40)] * 3)
    assert a / (a + b) >= 1e-4
    assert fit_beta([]) == fit_beta([(0, 0)])


def test_clusters_make_many_alarms_likelier():
    """The same total, in one file or spread over all."""
    spread, clustered = fit_beta([(1, 100)] * 20), fit_beta([(0, 100)] * 19 + [(20, 100)])
    assert at_least(10, 100, *clustered) > 10 * at_least(10, 100, *spread)
