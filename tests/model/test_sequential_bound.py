"""The promise: of honest jobs with autocorrelated scores at most a share alpha is ever confirmed, over a month.

Honest jobs here have a base level of their own, autocorrelated log-odds, bursts and regimes (honest_jobs.py). They are
calibrated on one hour each; the calibration is drawn anew each time, for the bound is over its chance as well.
"""

import sys
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from hashwarden.model.sequential import Evidence
from hashwarden.model.sequential_calibration import EvidenceCalibration, TierCalibration
from hashwarden.model.sequential_math import FRACTIONS, LEVEL, levels
from hashwarden.model.sequential_state import State

sys.path.insert(0, str(Path(__file__).parent))
honest_jobs = pytest.importorskip("honest_jobs")

RUNS, HOUR, DAY, MONTH = 2000, 360, 8640, 259_200
ALPHAS = (1e-2, 1e-3)
BOLD = np.array(FRACTIONS)


def _calibrated(seed):
    found = np.sort(levels(honest_jobs.sample(RUNS, HOUR, seed)))[::-1]
    tier = TierCalibration(
        groups=("nvml",), levels=tuple(found[:170].tolist()), runs=RUNS, hours=RUNS, longest_s=3600,
        origins={"synthesised": RUNS},
    )  # fmt: skip
    return EvidenceCalibration(tiers={"nvml": tier}, horizon_s=3600.0)


@pytest.fixture(scope="module")
def calibrations():
    return [_calibrated(seed) for seed in (1, 2)]


def _flagged(calibrations, alphas, jobs, blocks, seed):
    nulls = np.array([c.nulls(a)[0, 2] for c in calibrations for a in alphas])
    beyond = np.array([c.thresholds(a, beyond=True)[2] for c in calibrations for a in alphas])
    when = honest_jobs.month(jobs, blocks, nulls, BOLD, HOUR, LEVEL, beyond, seed)
    return when.reshape(jobs, len(calibrations), len(alphas))


def _most(alpha, jobs, calibrations):
    """False alarms that 1 in 1,000 tests would pass by chance: of the jobs, and of where the calibrations fell.

    Where they fell: the share above rank k of n is Beta(k, n + 1 - k) (Vovk 2012).
    """
    rank = int(alpha * 0.75 * (RUNS + 1))
    spread = stats.beta(rank, RUNS + 1 - rank).std() / np.sqrt(calibrations)
    return stats.binom.ppf(0.999, jobs, alpha) / jobs + 3 * spread


def test_the_twin_is_the_algebra(calibrations):
    for calibration in calibrations[:2]:
        scores = honest_jobs.sample(4, 3 * HOUR, 9)
        scores[1, 400:] = 0.9
        evidence = Evidence(calibration, 1e-2, jobs=4)
        null, beyond = calibration.nulls(1e-2)[0, 2], calibration.thresholds(1e-2, beyond=True)[2]
        for block in range(3 * HOUR):
            state = evidence.update(scores[:, block], np.full(4, 10.0), np.zeros(4, int))
        for job in range(4):
            when, last = honest_jobs.follow(scores[job], null, BOLD, HOUR, LEVEL, beyond)
            confirmed = state.one(job).confirmed_s
            assert (when < 0) == np.isnan(confirmed)
            if when >= 0:
                assert confirmed == pytest.approx(10.0 * (when + 1))
            else:
                assert state.evidence[job, 2] == pytest.approx(last, rel=1e-6)


@pytest.mark.parametrize(("jobs", "blocks"), [(3000, DAY), (150, MONTH)], ids=["day", "month"])
def test_false_alarms_keep_to_alpha(calibrations, jobs, blocks):
    flagged = _flagged(calibrations, ALPHAS, jobs, blocks, seed=11) >= 0
    for place, alpha in enumerate(ALPHAS):
        assert flagged[..., place].mean() <= _most(alpha, jobs, len(calibrations)), alpha


def test_the_bound_is_not_kept_by_never_saying_anything(calibrations):
    """Where alpha is large enough to count by, false alarms are about what was allowed."""
    flagged = _flagged(calibrations, (0.1,), 1000, HOUR, seed=12) >= 0
    assert 0.05 < flagged.mean() < 0.1


@pytest.mark.parametrize("alpha", ALPHAS)
def test_miners_are_found(calibrations, alpha):
    rng, jobs = np.random.default_rng(5), 200
    evidence = Evidence(calibrations[0], alpha, jobs=jobs)
    noise = np.zeros(jobs)
    for _ in range(HOUR // 2):
        noise = 0.9 * noise + 0.44 * rng.standard_normal(jobs)
        score = 1 / (1 + np.exp(-(4.0 + noise)))
        state = evidence.update(score, np.full(jobs, 10.0), np.zeros(jobs, int))
    assert (state.state == State.CONFIRMED).mean() > 0.95
    assert np.median(state.confirmed_s) <= 300


def test_a_miner_that_starts_after_a_week_is_found(calibrations):
    null, beyond = calibrations[0].nulls(1e-2)[0, 2], calibrations[0].thresholds(1e-2, beyond=True)[2]
    scores = honest_jobs.sample(20, 8 * DAY, 21)
    scores[:, 7 * DAY :] = 0.97
    late = [honest_jobs.follow(row, null, BOLD, HOUR, LEVEL, beyond)[0] - 7 * DAY for row in scores]
    assert 0 < np.median(late) < 360  # within an hour


# The same honest jobs break what is usually done


def _fitted():
    rows = honest_jobs.sample(RUNS, HOUR, 31)
    return rows, np.log(rows) - np.log1p(-rows)


def test_a_threshold_on_rows_breaks_the_bound():
    rows, _ = _fitted()
    fresh = honest_jobs.sample(300, DAY, 32)
    assert (fresh.max(axis=1) > np.quantile(rows, 1 - 1e-3)).mean() > 0.5


def test_a_likelihood_ratio_that_takes_blocks_as_independent_breaks_the_bound():
    """Wald's test on a Gaussian model of the log-odds, fitted on the same hours; it would keep alpha if blocks were
    independent draws of their fitted marginal."""
    _, odds = _fitted()
    mean, spread, miner = odds.mean(), odds.std(), 1.0
    fresh = honest_jobs.sample(300, DAY, 33)
    z = np.log(fresh) - np.log1p(-fresh)
    ratio = ((z - mean) ** 2 - (z - miner) ** 2) / (2 * spread**2)
    reached = np.cumsum(ratio, axis=1).max(axis=1) >= np.log(1 / 1e-3)
    assert reached.mean() > 0.01
    independent = np.random.default_rng(1).normal(mean, spread, (300, DAY))
    ratio = ((independent - mean) ** 2 - (independent - miner) ** 2) / (2 * spread**2)
    assert (np.cumsum(ratio, axis=1).max(axis=1) >= np.log(1 / 1e-3)).mean() <= 0.01


def test_bets_against_the_mean_of_honest_rows_break_the_bound():
    """The right martingale against the wrong level: Ville's inequality needs the mean given the past, for each job."""
    rows, _ = _fitted()
    fresh = honest_jobs.sample(300, DAY, 34)
    flagged = [honest_jobs.follow(r, rows.mean(), BOLD, DAY, 1e3, 1e3)[0] >= 0 for r in fresh]
    assert np.mean(flagged) > 0.1
