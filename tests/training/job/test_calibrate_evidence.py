"""From honest runs to null levels: the same blocks as live, the right ranks, and who is refused."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hashwarden.errors import DataError
from hashwarden.model.sequential import Evidence
from hashwarden.model.sequential_calibration import EvidenceCalibration, Payoff, TierCalibration
from hashwarden.model.sequential_math import levels
from hashwarden.training.job.calibrate import ScoredRun, block_scores, calibrate, choose_payoff


def _run(name, seed, seconds=600, period=1.0, label="training", height=0.05, **more):
    rng = np.random.default_rng(seed)
    times = np.arange(0, seconds + period / 2, period)
    return ScoredRun(name, times, rng.beta(1, 1 / height, len(times)), label, **more)


def _runs(count, **more):
    return [_run(f"r{i}", i, height=0.02 + 0.1 * (i % 7) / 7, **more) for i in range(count)]


def _live(run, horizon):
    """Means of the blocks that the live evidence fills within the horizon."""
    tier = TierCalibration(groups=("nvml",), levels=(0.3,) * 20, runs=200, hours=1, longest_s=1, origins={})
    live = Evidence(EvidenceCalibration(tiers={"nvml": tier}, horizon_s=600.0), 0.1)
    seen, kept, reason = [], [], np.zeros(1, np.int8)
    for p, dt in zip(run.p_mining, run.dt, strict=True):
        if np.isfinite(p):
            kept.append(p)
        before = live.state().one(0).watched_s
        reason[0] = 0 if np.isfinite(p) else 3
        if live.update(np.array([p]), np.array([dt]), np.zeros(1, int), reason).closed[0]:
            if live.state().one(0).watched_s <= horizon + 1e-6:
                seen.append(np.mean(kept))
            kept = []
            assert live.state().one(0).watched_s > before
    return seen


@pytest.mark.parametrize("period", [0.25, 0.7, 1.0, 7.0, 10.0, 60.0])
def test_blocks_are_those_of_the_live_evidence(period):
    run = _run("a", 3, 900 if period > 5 else 300, period)
    run.p_mining[5:9] = np.nan
    horizon = 600.0 if period > 5 else 150.0
    np.testing.assert_allclose(block_scores([run], None, horizon)[0], _live(run, horizon), rtol=1e-12)


@settings(max_examples=60, deadline=None)
@given(
    st.integers(0, 2**32 - 1), st.integers(1, 300), st.sampled_from([0.1, 0.3, 1.0, 7.0, 10.0, 30.0, 60.0]),
    st.sampled_from([15.0, 150.0, 900.0]),
)  # fmt: skip
def test_blocks_are_those_of_the_live_evidence_whatever_is_missing(seed, size, period, horizon):
    rng = np.random.default_rng(seed)
    dts = period * rng.uniform(0.9, 1.1, size) * rng.choice([1.0, 3.0], p=[0.95, 0.05], size=size)
    dts[rng.random(size) < 0.01] = 400.0
    chance = rng.random(size)
    for start in rng.integers(0, size, rng.integers(0, 6)):
        chance[start : start + int(rng.integers(1, size + 1))] = np.nan
    chance[rng.random(size) < 0.02] = rng.choice([0.0, 1.0, np.nan])
    run = ScoredRun("a", np.cumsum(dts), chance, "training")
    np.testing.assert_allclose(block_scores([run], None, horizon)[0], _live(run, horizon), rtol=1e-12)


def test_no_calibration_run_reaches_its_own_level_live():
    runs = _runs(60)
    calibration = calibrate({"nvml": runs})
    tier = calibration.tiers["nvml"]
    assert (tier.runs, calibration.horizon_s, tier.origins) == (60, 600.0, {"synthesised": 60})
    live = Evidence(calibration, 0.1, jobs=60)
    for p, dt in zip(np.stack([r.p_mining for r in runs], 1), np.stack([r.dt for r in runs], 1), strict=True):
        state = live.update(p, dt, np.zeros(60, int))
    assert np.isfinite(state.confirmed_s).sum() == 3  # rank floor(0.075 * 61) = 4: three are above it


def test_levels_are_kept_highest_first_and_rounded_up():
    runs = _runs(60)
    kept = np.array(calibrate({"gpm": runs}).tiers["gpm"].levels)
    found = np.sort(levels(block_scores(runs, None, 600.0)))[::-1][: len(kept)]
    assert (kept >= found).all()
    assert (kept - found <= 1e-6).all()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"label": "mining"}, "mining run"),
        ({"label": ""}, "label ''"),
        ({"label": "knitting"}, "knitting"),
        ({"labelled_by": ""}, "nobody"),
    ],
)
def test_who_must_not_calibrate_is_refused(change, words):
    with pytest.raises(DataError, match=words):
        calibrate({"nvml": [*_runs(3), _run("bad", 9, **change)]})


def test_what_cannot_be_calibrated_is_refused():
    with pytest.raises(DataError, match="named 2 times"):
        calibrate({"nvml": [*_runs(3), _run("r1", 9)]})
    with pytest.raises(DataError, match="outside"):
        calibrate({"nvml": [ScoredRun("a", np.arange(300.0), np.full(300, 1.5), "idle")]})
    with pytest.raises(DataError, match="do not rise"):
        calibrate({"nvml": [ScoredRun("a", np.zeros(300), np.zeros(300), "idle")]})
    with pytest.raises(DataError, match="horizon"):
        calibrate({"nvml": _runs(3, seconds=60)})
    with pytest.raises(DataError, match="no run of"):
        calibrate({"nvml": _runs(3)}, horizon_s=3600.0)
    for nothing in ({}, {"nvml": []}, {"no such tier": _runs(3)}):
        with pytest.raises(DataError):
            calibrate(nothing)


def test_short_runs_are_left_out_by_length_alone():
    calibration = calibrate({"nvml": [*_runs(40), _run("short", 1, seconds=130)]})
    assert (calibration.horizon_s, calibration.tiers["nvml"].runs) == (600.0, 40)


def test_all_silent_runs_calibrate_no_lower_than_the_floor():
    silent = [ScoredRun(f"r{i}", np.arange(601.0), np.zeros(601), "idle") for i in range(30)]
    assert calibrate({"nvml": silent}).nulls(0.1)[0, 2] == 0.02


def test_a_payoff_is_chosen_where_probabilities_crowd():
    """Honest jobs are half sure of mining, miners almost wholly: the log-odds tell them apart, the probability not."""
    rng = np.random.default_rng(0)

    def runs(mean, label, count):
        odds = rng.normal(mean, 0.3, (count, 601))
        times = np.arange(601.0)
        return [ScoredRun(f"{label}{i}", times, 1 / (1 + np.exp(-z)), label) for i, z in enumerate(odds)]

    honest, mining = runs(0.7, "hpc-other", 40), runs(6.0, "mining", 20)
    chosen = choose_payoff(honest, mining, 0.05, 600.0)
    assert isinstance(chosen, Payoff)
    assert chosen(np.array([0.67]))[0] < 0.3
    assert chosen(np.array([0.9975]))[0] > 0.7
    far = choose_payoff(runs(-6, "idle", 40), mining, 0.05, 600.0)
    assert far is None


def test_other_hash_work_is_set_aside():
    """It may look like a miner for as long as it runs: among honest runs it would hide every miner."""
    times = np.arange(601.0)
    quiet = [ScoredRun(f"quiet{i}", times, np.full(601, 0.02), "training") for i in range(200)]
    loud = [ScoredRun(f"loud{i}", times, np.full(601, 0.97), "hash-other") for i in range(20)]
    with_them, without = calibrate({"gpm": [*quiet, *loud]}).tiers["gpm"], calibrate({"gpm": quiet}).tiers["gpm"]
    assert with_them == without
    assert with_them.runs == 200
    with pytest.raises(DataError, match="0 runs"):
        calibrate({"gpm": loud})
    assert choose_payoff(loud, loud, 0.05, 600.0) is None
