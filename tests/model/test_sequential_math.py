"""The algebra: a fair game, start times that sum to 1, null levels that are what they say."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hashwarden.model.sequential_math import CAP, FRACTIONS, LEVEL, bet, boldness, levels, remaining

BOLD = np.array(FRACTIONS)


def _course(scores, null, fractions=BOLD):
    wealth, evidence = np.zeros((1, len(fractions))), [1.0]
    for block, score in enumerate(scores):
        wealth, value = bet(wealth, np.array([float(block)]), np.array([score]), np.array([null]), fractions)
        evidence.append(float(value[0]))
    return np.array(evidence)


@pytest.mark.parametrize("null", [0.05, 0.1, 0.5, 1.0])
def test_at_the_null_level_the_game_is_fair_after_any_past(null):
    total = 0.0
    for past in itertools.product((0.0, 1.0), repeat=6):
        chance = float(np.prod([null if s else 1 - null for s in past]))
        won, lost = _course((*past, 1.0), null), _course((*past, 0.0), null)
        assert null * won[-1] + (1 - null) * lost[-1] == pytest.approx(won[-2], rel=1e-12)
        total += chance * won[-2]
    assert total == pytest.approx(1.0, rel=1e-12)


def _expected(policy, null, blocks):
    """Expected evidence, and the chance that it ever reaches 3, for scores of 0 and 1 whose mean follows the past."""
    mean_evidence, reached = 0.0, 0.0
    for scores in itertools.product((0.0, 1.0), repeat=blocks):
        chance = 1.0
        for block, score in enumerate(scores):
            mean = policy(scores[:block])
            chance *= mean if score else 1 - mean
        course = _course(scores, null)
        mean_evidence += chance * course[-1]
        reached += chance * (course.max() >= 3.0)
    return mean_evidence, reached


@pytest.mark.parametrize(
    "policy",
    [
        lambda past: 0.3 if past and past[-1] else 0.1,
        lambda past: 0.3 if len(past) > 3 else 0.0,
        lambda past: 0.3,
    ],
    ids=["sticky", "late", "always at the level"],
)
def test_a_mean_that_never_passes_the_level_keeps_villes_bound(policy):
    evidence, reached = _expected(policy, 0.3, 8)
    assert evidence <= 1.0 + 1e-12
    assert reached <= 1 / 3


def test_a_mean_above_the_level_wins():
    assert _expected(lambda past: 0.6, 0.3, 8)[0] > 2.0


def test_start_times_have_a_weight_of_one_in_all_and_fade_slowly():
    left = remaining(np.arange(0, 2_000_000, dtype=np.float64))
    weights = -np.diff(left)
    assert left[0] == 1.0
    assert (weights > 0).all()
    assert weights.sum() + left[-1] == pytest.approx(1.0)
    assert np.log(1 / weights[259_199]) < 18  # a month in: a late start costs 18 nats, not a month
    assert remaining(1e30) < 0.02


def test_bets_keep_their_size_within_the_horizon_and_shrink_as_a_root_beyond():
    ages = np.array([10.0, 600.0, 2400.0, 60_000.0])
    np.testing.assert_allclose(boldness(ages, 600.0), [1.0, 1.0, 0.5, 0.1])


def test_wealth_is_capped_and_comes_down_again():
    course = _course([1.0] * 100 + [0.0] * 400, 0.02)
    assert course.max() == pytest.approx(CAP, rel=1e-6)
    assert course[-1] < 1.0


scores = st.lists(st.floats(0, 1), min_size=1, max_size=40)


@settings(max_examples=60, deadline=None)
@given(scores)
def test_the_level_of_a_run_is_the_smallest_that_keeps_it_below(run):
    level = float(levels(np.array([run]))[0])
    assert _course(run, level).max() < LEVEL or level == 1.0
    if level > 1.01e-6:
        assert _course(run, level * (1 - 1e-4)).max() >= LEVEL


@settings(max_examples=40, deadline=None)
@given(scores, st.floats(0.01, 0.9))
def test_evidence_falls_as_the_level_rises(run, null):
    assert (_course(run, null) >= _course(run, null * 1.1) - 1e-12).all()


def test_levels_of_runs_of_different_length_are_those_of_each_alone():
    rng = np.random.default_rng(3)
    runs = [rng.beta(1, 6, size) for size in (5, 30, 17)]
    table = np.full((3, 30), np.nan)
    for row, run in zip(table, runs, strict=True):
        row[: len(run)] = run
    alone = [float(levels(run[None])[0]) for run in runs]
    np.testing.assert_allclose(levels(table), alone, rtol=1e-12)
    assert levels(np.full((1, 4), np.nan))[0] == pytest.approx(1e-6)
