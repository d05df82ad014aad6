"""The evidence of many jobs as they are watched: blocks, gaps, tiers, states, restarts."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from hashwarden.errors import DataError, UsageError
from hashwarden.model.sequential import Evidence
from hashwarden.model.sequential_calibration import EvidenceCalibration, Payoff, TierCalibration, ladder
from hashwarden.model.sequential_math import FRACTIONS, bet, boldness
from hashwarden.model.sequential_state import Blind, State

HORIZON = 600.0


def _tier(level=0.1, runs=2200, groups=("nvml",), **changes):
    levels = tuple((level * np.arange(1, 171) ** -0.3).tolist())
    return TierCalibration(
        groups=groups, levels=levels[: min(runs, 170)], runs=runs, hours=300, longest_s=600,
        origins={"synthesised": runs}, **changes,
    )  # fmt: skip


@pytest.fixture
def calibration():
    tiers = {"nvml": _tier(0.3), "gpm": _tier(0.1, groups=("nvml", "gpm"))}
    return EvidenceCalibration(tiers=tiers, horizon_s=HORIZON)


def _watch(evidence, scores, dt=1.0, tier=1, **more):
    """Give one job these scores; all states, in order."""
    return [evidence.update(np.array([s]), np.array([dt]), np.array([tier]), **more).one(0) for s in scores]


def test_full_speed_is_confirmed_within_a_minute_and_honest_work_stays_clear(calibration):
    evidence = Evidence(calibration, 1e-3, jobs=2)
    for second in range(600):
        state = evidence.update(np.array([0.97, 0.01]), np.full(2, float(second > 0)), np.ones(2, int))
    miner, honest = state.one(0), state.one(1)
    assert miner.state is State.CONFIRMED
    assert miner.confirmed_s <= 60
    assert honest.state is State.CLEAR
    assert honest.evidence[2] < 1 < miner.evidence[2]
    assert (honest.strength, miner.strength, honest.blocks) == (0.0, 1.0, 59)


def test_before_the_first_block_nothing_is_called_clear(calibration):
    states = _watch(Evidence(calibration), [0.01] * 10)
    assert [s.state for s in states[:9]] == [State.ABSTAIN] * 9
    assert states[0].blind is Blind.STARTING
    assert states[9].state is State.CLEAR


@pytest.mark.parametrize(("dt", "samples"), [(0.1, 100), (0.7, 15), (1.0, 10), (10.0, 1), (30.0, 1), (60.0, 1)])
def test_a_block_is_ten_seconds_or_one_sample(calibration, dt, samples):
    states = _watch(Evidence(calibration), [0.5] * (3 * samples), dt)
    assert [s.blocks for s in states][samples - 1 :: samples] == [1, 2, 3]
    assert states[samples - 2].blocks == (0 if samples > 1 else 3)


def test_the_evidence_is_the_algebra_on_block_means(calibration):
    rng, evidence = np.random.default_rng(5), Evidence(calibration)
    scores = rng.random((90, 10)) * 0.4
    states = _watch(evidence, scores.ravel())
    wealth, null = np.zeros((1, len(FRACTIONS))), np.array([calibration.nulls(1e-3)[1, 2]])
    for block, row in enumerate(scores):
        age = np.array([10.0 * (block + 1)])
        size = boldness(age, HORIZON)[:, None] * np.array(FRACTIONS)
        wealth, value = bet(wealth, np.array([float(block)]), np.array([row.mean()]), null, size)
        assert states[block * 10 + 9].evidence[2] == pytest.approx(value[0], rel=1e-9)


def test_many_jobs_at_once_are_the_same_as_each_alone(calibration):
    rng = np.random.default_rng(2)
    jobs, steps = 7, 200
    scores, times = rng.beta(1, 5, (steps, jobs)), rng.choice([0.1, 1.0, 3.0, 10.0, 60.0], (steps, jobs))
    tiers = rng.integers(-1, 2, (steps, jobs))
    blind = np.where(rng.random((steps, jobs)) < 0.1, Blind.DEAD, Blind.NO).astype(np.int8)
    together, order = Evidence(calibration, jobs=jobs), rng.permutation(jobs)
    for score, dt, tier, reason in zip(scores, times, tiers, blind, strict=True):
        together.update(score[order], dt[order], tier[order], reason[order], rows=order)
    for job in range(jobs):
        alone = Evidence(calibration)
        for score, dt, tier, reason in zip(scores, times, tiers, blind, strict=True):
            alone.update(score[job : job + 1], dt[job : job + 1], tier[job : job + 1], reason[job : job + 1])
        assert repr(together.state().one(job)) == repr(alone.state().one(0))


def test_a_gap_is_no_bet_and_costs_the_evidence_nothing(calibration):
    evidence = Evidence(calibration)
    before = _watch(evidence, [0.6] * 25)[-1]
    after = _watch(evidence, [0.6], dt=7200.0)[-1]
    assert after.blocks == before.blocks + 1
    assert after.watched_s == pytest.approx(before.watched_s + 65)  # one sample speaks for a minute at most


def test_dead_counters_lead_to_abstain_and_erase_nothing(calibration):
    evidence = Evidence(calibration)
    before = _watch(evidence, [0.01] * 50)[-1]
    dead = {"blind": np.array([Blind.DEAD], np.int8)}
    states = _watch(evidence, [np.nan] * 90, **dead)
    assert states[-1].state is State.ABSTAIN
    assert states[-1].blind is Blind.DEAD
    assert states[-1].evidence == before.evidence
    assert states[10].state is State.CLEAR  # a moment without counters is no reason yet
    assert states[10].blind is Blind.DEAD


@pytest.mark.parametrize("reason", [Blind.STALE, Blind.DEAD, Blind.FEW, Blind.SHARED])
def test_who_goes_blind_stays_suspect_or_confirmed(calibration, reason):
    blind = {"blind": np.array([reason], np.int8)}
    for scores, wanted in (([0.97] * 100, State.CONFIRMED), ([0.07] * 580, State.SUSPECT)):
        evidence = Evidence(calibration)
        assert _watch(evidence, scores)[-1].state is wanted
        last = _watch(evidence, [0.0] * 600, **blind)[-1]
        assert (last.state, last.blind) == (wanted, reason)


def test_confirmed_latches_though_the_evidence_falls(calibration):
    evidence = Evidence(calibration)
    _watch(evidence, [0.97] * 60)
    last = _watch(evidence, [0.0] * 1500, dt=10.0)[-1]
    assert last.evidence[2] < 1
    assert last.state is State.CONFIRMED


def test_suspicion_ends_when_the_evidence_is_back_to_none(calibration):
    evidence = Evidence(calibration)
    states = _watch(evidence, [0.07] * 580) + _watch(evidence, [0.0] * 1000, dt=10.0)
    seen = [s.state for s in states]
    assert State.SUSPECT in seen
    assert State.CONFIRMED not in seen
    assert states[-1].state is State.CLEAR


def test_unknown_work_is_not_cleared_and_still_bet_on(calibration):
    unlike = {"unlike": np.array([True])}
    evidence = Evidence(calibration)
    last = _watch(evidence, [0.01] * 300, **unlike)[-1]
    assert (last.state, last.blind, last.blocks) == (State.ABSTAIN, Blind.UNKNOWN_WORK, 30)
    assert _watch(evidence, [0.98] * 300, **unlike)[-1].state is State.CONFIRMED


def test_without_a_tier_there_is_no_bet(calibration):
    last = _watch(Evidence(calibration), [0.99] * 300, tier=-1)[-1]
    assert (last.state, last.blind, last.blocks) == (State.ABSTAIN, Blind.NO_CALIBRATION, 0)


def test_each_sample_is_held_against_the_level_of_its_tier(calibration):
    nulls = calibration.nulls(1e-3)[:, 2]
    evidence = Evidence(calibration)
    for second in range(10):
        state = evidence.update(np.array([0.2]), np.ones(1), np.array([second % 2]))
    alone = bet(np.zeros((1, 4)), np.zeros(1), np.array([0.2]), np.array([nulls.mean()]), np.array(FRACTIONS))[1]
    assert state.evidence[0, 2] == pytest.approx(alone[0])


def test_too_few_runs_stop_at_suspect():
    few = EvidenceCalibration(tiers={"nvml": _tier(0.1, runs=500)}, horizon_s=HORIZON)
    assert few.tiers["nvml"].attainable_alpha == pytest.approx(1 / (0.75 * 501))
    last = _watch(Evidence(few, 1e-3), [0.99] * 2000, tier=0)[-1]
    assert last.state is State.SUSPECT
    assert not last.attainable
    assert _watch(Evidence(few, 1e-2), [0.99] * 2000, tier=0)[-1].state is State.CONFIRMED


def test_beyond_the_horizon_the_threshold_is_higher_and_bets_are_smaller(calibration):
    states = _watch(Evidence(calibration), [0.05] * 1000)
    assert not states[599].beyond
    assert states[599].thresholds == (4.0, 4.0, 4.0)
    assert states[-1].beyond
    assert states[-1].thresholds[2] == pytest.approx(4.0 / (0.25 * 1e-3))


def test_a_late_miner_is_found(calibration):
    evidence = Evidence(calibration)
    _watch(evidence, [0.02] * 2880, dt=30.0)  # a day
    states = _watch(evidence, [0.97] * 200, dt=30.0)
    found = next(i for i, s in enumerate(states) if s.state is State.CONFIRMED)
    assert 5 < found < 60


def test_a_restart_loses_nothing(calibration):
    rng = np.random.default_rng(9)
    scores = rng.beta(1, 4, 300)
    whole, first, second = (Evidence(calibration, jobs=3) for _ in range(3))
    args = (np.ones(1), np.ones(1, int))
    for score in scores:
        whole.update(np.array([score]), *args, rows=np.array([1]))
    for score in scores[:137]:
        first.update(np.array([score]), *args, rows=np.array([1]))
    second.restore(2, json.loads(json.dumps(first.saved(1))))
    for score in scores[137:]:
        second.update(np.array([score]), *args, rows=np.array([2]))
    assert repr(second.state().one(2)) == repr(whole.state().one(1))
    assert repr(second.state().one(1)) == repr(Evidence(calibration).state().one(0))


@pytest.mark.parametrize(
    "change",
    [
        {"schema": 2}, {"block_s": 5.0}, {"wealth": [1.0]}, {"wealth": [[1e13] * 4] * 3}, {"blocks": -1},
        {"blocks": "many"}, {"watched_s": float("nan")}, {"evidence": None},
    ],
    ids=str,
)  # fmt: skip
def test_a_saved_job_that_does_not_fit_is_refused(calibration, change):
    evidence = Evidence(calibration)
    saved = evidence.saved(0)
    evidence.restore(0, saved)
    with pytest.raises(DataError):
        evidence.restore(0, {**saved, **change})
    with pytest.raises(DataError):
        evidence.restore(0, {k: v for k, v in saved.items() if k not in change})


def test_rows_come_and_go(calibration):
    evidence = Evidence(calibration)
    _watch(evidence, [0.97] * 100)
    evidence.grow(2)
    assert len(evidence) == 3
    assert evidence.state().state.tolist() == [State.CONFIRMED, State.ABSTAIN, State.ABSTAIN]
    evidence.restart(0)
    assert evidence.state().one(0).state is State.ABSTAIN


@pytest.mark.parametrize(
    ("score", "dt", "tier"), [(1.2, 1, 0), (-0.1, 1, 0), (0.5, -1, 0), (0.5, np.nan, 0), (0.5, 1, 2), (0.5, 1, -2)]
)
def test_what_cannot_be_is_refused_and_changes_nothing(calibration, score, dt, tier):
    evidence = Evidence(calibration)
    _watch(evidence, [0.3] * 15)
    before = evidence.saved(0)
    with pytest.raises(DataError):
        _watch(evidence, [score], dt, tier)
    assert evidence.saved(0) == before
    with pytest.raises(DataError, match="2 tiers"):
        evidence.update(np.ones(1), np.ones(1), np.zeros(2, int))


def test_a_score_that_is_no_number_counts_for_nothing(calibration):
    last = _watch(Evidence(calibration), [np.nan] * 100)[-1]
    assert (last.blocks, last.blind, last.state) == (0, Blind.NO_SCORE, State.ABSTAIN)


@pytest.mark.parametrize("alpha", [0.0, 1.0, -1.0, float("nan")])
def test_alpha_is_a_share(calibration, alpha):
    with pytest.raises(UsageError):
        Evidence(calibration, alpha)


def test_the_ladder_and_its_levels(calibration):
    np.testing.assert_allclose(ladder(1e-3), (0.1, 0.01, 0.001))
    np.testing.assert_allclose(ladder(0.2), (0.2, 0.2, 0.2))
    nulls = calibration.nulls(1e-3)
    assert (np.diff(nulls, axis=1) > 0).all()  # to confirm takes more than to watch


def test_the_null_level_is_the_conformal_rank():
    levels = tuple(np.linspace(0.9, 0.5, 100).tolist())
    tier = TierCalibration(
        groups=("nvml",), levels=levels, runs=1999, hours=1, longest_s=600, origins={"recorded": 1999}
    )
    for alpha in (0.001, 0.0067, 0.02):
        a = alpha * 0.75
        rank = int(np.ceil((1 - a) * 2000 - 1e-9))  # of 1999 in rising order
        assert tier.null(alpha) == levels[1999 - rank] if rank <= 1999 else tier.null(alpha) == 1.0
    assert tier.null(1e-4) == 1.0


def test_the_record_is_json_and_is_checked(calibration):
    assert EvidenceCalibration.model_validate(json.loads(json.dumps(calibration.model_dump()))) == calibration
    good = calibration.model_dump()
    for change in ({"horizon_s": 0}, {"fractions": ()}, {"fractions": (1.5,)}, {"level": 1.0}, {"more": 1}):
        with pytest.raises(ValidationError):
            EvidenceCalibration.model_validate({**good, **change})
    for change in ({"levels": (0.1, 0.2)}, {"levels": ()}, {"levels": (0.0,)}, {"runs": 3}, {"runs": 0}):
        with pytest.raises(ValidationError):
            TierCalibration.model_validate({**good["tiers"]["nvml"], **change})
    with pytest.raises(ValidationError):
        Payoff(low=2, high=2)


def test_a_tier_shows_nothing_that_is_not_there(calibration):
    assert calibration.tier_of(frozenset({"nvml", "gpm", "probe"})) == 1
    assert calibration.tier_of(frozenset({"nvml", "code"})) == 0
    assert calibration.tier_of(frozenset({"gpm"})) == -1


@given(st.lists(st.floats(0, 1), min_size=2, max_size=30), st.floats(-10, 5), st.floats(0.5, 10))
@settings(max_examples=50, deadline=None)
def test_a_payoff_rises_from_0_to_1(probabilities, low, width):
    paid = Payoff(low=low, high=low + width)(np.sort(np.array(probabilities)))
    assert (np.diff(paid) >= 0).all()
    assert paid.min() >= 0
    assert paid.max() <= 1
    assert Payoff(low=low, high=low + width)(np.array([0.0, 1.0])).tolist() == [0.0, 1.0]
