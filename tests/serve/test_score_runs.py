"""An archive is scored as the agent would have judged it: same states, reasons and evidence, in pieces of any size."""

from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hashwarden.errors import ModelError
from hashwarden.model.channels import CHANNELS, GROUPS, INDEX, TIERS
from hashwarden.model.job.taxonomy import CLASSES, MINING, MINING_FAMILIES
from hashwarden.model.sequential_calibration import EvidenceCalibration, TierCalibration
from hashwarden.model.sequential_state import BLIND_TEXT, Blind, State
from hashwarden.model.trace import Run
from hashwarden.serve.job_scorer import JobScorer
from hashwarden.serve.replay import replay
from hashwarden.serve.score_runs import score_blocks, score_run
from hashwarden.serve.watch import JobWatch, Sample
from hashwarden.training.synthesise.run import make_run
from hashwarden.training.synthesise.sensors import Sensors

C = len(CHANNELS)
OF = np.array([channel.group for channel in CHANNELS])
UTIL, POWER, FOREIGN = INDEX["gpu_util_ratio"], INDEX["power_ratio"], INDEX["foreign_process_count"]
SENTINEL = np.float32(9.223372036854776e18)
UNLIKE = 2.0


def _tier(name):
    levels = tuple((0.3 * np.arange(1, 171) ** -0.3).tolist())
    return TierCalibration(
        groups=TIERS[name], levels=levels, runs=2200, hours=300, longest_s=300, origins={"synthesised": 2200}
    )


CALIBRATION = EvidenceCalibration(tiers={name: _tier(name) for name in ("nvml", "gpm", "gpm+code")}, horizon_s=300.0)


class Plain:
    """A network without a memory: mining as surely as the GPU is used, as novel as it draws power."""

    path, identity = Path("plain"), {"name": "plain", "version": "1", "schema": "1", "sha256": "0" * 64}
    metadata = SimpleNamespace(
        evidence=CALIBRATION.model_dump(mode="json"), novelty_limits={"unlike": UNLIKE}, measured_on="nothing"
    )

    def initial(self, n):
        return np.zeros((n, 1), np.float32)

    def step(self, sample, mask, dt, state):
        classes = np.zeros((*sample.shape[:-1], len(CLASSES)), np.float32)
        classes[..., MINING] = np.minimum(sample[..., UTIL], 1)
        classes[..., 0] = 1 - classes[..., MINING]
        families = np.full((*sample.shape[:-1], len(MINING_FAMILIES)), 1 / 12, np.float32)
        return SimpleNamespace(probabilities=classes, families=families, novelty=4 * sample[..., POWER], state=state)

    def sequence(self, samples, masks, dts, state=None):
        return self.step(samples, masks, dts, self.initial(len(samples)))


def _live(scorer, run):
    """State, reason and evidence at each sample that is not stale, as the agent has them."""
    calibration = EvidenceCalibration.model_validate(scorer.metadata.evidence)
    watch = JobWatch(scorer, calibration, 1e-3, scorer.metadata.novelty_limits.get("unlike", np.inf))
    found, latest = [], -np.inf
    for time, values in zip(run.times.tolist(), run.values, strict=True):
        watch.step([Sample("j", time, values)])
        if time > latest:
            now, latest = watch.evidence("j"), time
            found.append((now.state, now.blind, now.evidence[2]))
    return np.array(found).reshape(-1, 3)


def _scored(scorer, run, cuts=()):
    """The same as `score` has them, in pieces."""
    edges = [0, *sorted(cuts), len(run)]
    pieces = [replace(run, times=run.times[a:b], values=run.values[a:b]) for a, b in pairwise(edges)]
    scored = list(score_blocks(scorer, pieces))
    columns = [[getattr(one, name) for one in scored] for name in ("states", "reasons", "evidence")]
    return np.stack([np.concatenate(column) for column in columns], axis=1)


def _agree(found, wanted, rtol):
    np.testing.assert_array_equal(found[:, :2], wanted[:, :2])
    np.testing.assert_allclose(found[:, 2], wanted[:, 2], rtol=rtol)


# Runs made up at random, by a network whose answers are known


def _stretch(rng, size):
    start = int(rng.integers(0, size))
    return slice(start, start + int(rng.integers(1, size + 1)))


def _made_up(rng, size, period):
    """Anything: groups that come and go, seldom ones, sentinels, frozen and dead counters, foreign work, gaps."""
    values = rng.uniform(0, 1, (size, C)).astype(np.float32)
    values[:, UTIL] = rng.uniform(0, 1, size) ** rng.choice([0.1, 1, 10])
    values[:, POWER] = rng.uniform(0, 1, size) ** rng.choice([0.3, 1, 3])
    values[:, FOREIGN] = 0
    for group in GROUPS:
        if rng.random() < 0.4:
            values[np.ix_(rng.random(size) > rng.choice([0.0, 0.1, 0.95]), group == OF)] = np.nan
    for value in (np.nan, SENTINEL, 0.0, -1.0):
        for _ in range(int(rng.integers(0, 3))):
            columns = np.flatnonzero(np.isin(OF, rng.choice(GROUPS, int(rng.integers(1, 4)))))
            values[_stretch(rng, size), columns] = value
    if rng.random() < 0.5:
        values[_stretch(rng, size), FOREIGN] = 1
    if rng.random() < 0.3:
        part = _stretch(rng, size)
        values[part] = values[part.start]
    waits = np.where(rng.random(size) < 0.03, rng.choice([200.0, 30.0, -1.0]), period * rng.uniform(0.9, 1.1, size))
    return Run("made-up", np.cumsum(waits), values)


@settings(max_examples=50, deadline=None)
@given(
    st.integers(0, 2**32 - 1), st.integers(1, 160), st.sampled_from([0.1, 1.0, 5.0, 60.0]),
    st.lists(st.integers(0, 160), max_size=5),
)  # fmt: skip
def test_any_run_is_judged_as_live_in_any_pieces(seed, size, period, cuts):
    run = _made_up(np.random.default_rng(seed), size, period)
    _agree(_scored(Plain(), run, [min(cut, size) for cut in cuts]), _live(Plain(), run), 1e-9)


def test_such_runs_show_every_state_and_reason():
    states, reasons = set(), set()
    for seed in range(150):
        rng = np.random.default_rng(seed)
        found = _scored(Plain(), _made_up(rng, int(rng.integers(1, 300)), float(rng.choice([1.0, 5.0, 60.0]))))
        states |= set(found[:, 0].astype(int))
        reasons |= set(found[:, 1].astype(int))
    assert states == set(State)
    assert reasons == set(Blind) - {Blind.STALE, Blind.NO_SCORE}


def test_a_score_that_is_no_number_is_none():
    class Lost(Plain):
        def step(self, sample, mask, dt, state):
            said = super().step(sample, mask, dt, state)
            said.probabilities[sample[..., UTIL] < 0.3] = np.nan
            said.novelty[sample[..., UTIL] < 0.3] = np.nan
            return said

    run = _made_up(np.random.default_rng(1), 150, 1.0)
    wanted = _live(Lost(), run)
    assert (wanted[:, 1] == Blind.NO_SCORE).any()
    _agree(_scored(Lost(), run, [50, 51]), wanted, 1e-9)


def test_a_model_without_calibration_is_refused():
    bare = Plain()
    bare.metadata = SimpleNamespace(evidence={}, novelty_limits={})
    with pytest.raises(ModelError, match="calibration"):
        score_run(bare, _made_up(np.random.default_rng(0), 5, 1.0))


# Synthesised runs, by the shipped model


def _with_limit(scorer, limit):
    """The same model with another limit of novelty."""
    return SimpleNamespace(
        initial=scorer.initial, step=scorer.step, sequence=scorer.sequence, path=scorer.path, identity=scorer.identity,
        metadata=scorer.metadata.model_copy(update={"novelty_limits": {"unlike": limit}}),
    )  # fmt: skip


def _changed(run, name, start, stop, groups, value):
    values = run.values.copy()
    values[start:stop, np.isin(OF, groups)] = value
    return replace(run, name=name, values=values)


@pytest.fixture(scope="module")
def runs():
    """By name: what is said of the end of each is in the test."""
    training = make_run("training", "llm-bf16", seconds=300, groups=("nvml", "gpm"), seed=1)
    mining = make_run("mining", "progpow", seconds=300, seed=2)
    keep = np.r_[:90, 230 : len(mining)]
    visited = training.values.copy()
    visited[len(training) // 2 :, FOREIGN] = 2
    return {
        "plain": training,
        "mining": mining,
        "shared": make_run("mining", "progpow", seconds=300, groups=("nvml", "gpm"), seed=3,
                           changes={"site.foreign": 0.99}),
        "visited": replace(training, values=visited),
        "shared, with code": make_run("mining", "progpow", seconds=300, seed=3, changes={"site.foreign": 0.99}),
        "gpm dies": _changed(mining, "a", 120, None, ("gpm", "pm"), np.nan),
        "gpm is 0": _changed(mining, "a", 120, None, ("gpm",), 0.0),
        "all dies": _changed(mining, "a", 120, None, GROUPS, np.nan),
        "sentinels": _changed(training, "a", 120, None, GROUPS, SENTINEL),
        "sentinels for a while": _changed(training, "a", 120, 220, GROUPS, SENTINEL),
        "gap": replace(mining, times=mining.times[keep], values=mining.values[keep]),
        "slow": make_run("mining", "ethash", seconds=5400, period_s=60.0, seed=4),
        "fast": make_run("inference", "llm-bf16", seconds=40, period_s=0.1, seed=5),
        "faults": make_run("training", "llm-bf16", seconds=300, seed=6, sensors=Sensors(faults=20, missed=0.1)),
        "seldom": make_run("mining", "progpow", seconds=300, seed=7, sensors=Sensors(trace_every_s=40, trace_s=2)),
    }  # fmt: skip


@pytest.fixture(scope="module")
def scorer():
    return JobScorer()


def test_synthesised_runs_end_as_replay_ends_them(runs, scorer):
    ends = list(replay(runs.values(), scorer))
    for (name, run), end in zip(runs.items(), ends, strict=True):
        for cuts in ((), (1, len(run) // 3, len(run) - 1), range(0, len(run), 7)):
            state, reason, evidence = _scored(scorer, run, cuts)[-1]
            assert State(int(state)).word == end.verdict.state, name
            assert BLIND_TEXT[Blind(int(reason))] == end.verdict.abstains_for, name
            assert evidence == pytest.approx(end.verdict.evidence.evidence["confirmed"], rel=1e-2), name


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("shared", Blind.SHARED), ("visited", Blind.SHARED), ("all dies", Blind.FEW), ("sentinels", Blind.DEAD),
        ("gpm dies", Blind.NO), ("shared, with code", Blind.NO),
    ],
)  # fmt: skip
def test_what_cannot_be_judged_is_not_cleared(runs, scorer, name, why):
    scored = score_run(_with_limit(scorer, np.inf), runs[name])
    assert scored.reasons[-1] == why
    assert (why is Blind.NO) or scored.states[-1] in (State.ABSTAIN, State.SUSPECT, State.CONFIRMED)


def test_the_whole_course_is_the_live_one(runs, scorer):
    for name in ("visited", "gpm dies", "sentinels for a while"):
        _agree(_scored(scorer, runs[name], (100, 101, 150)), _live(scorer, runs[name]), 1e-2)


def test_work_unlike_any_other_is_not_cleared(runs, scorer):
    run = runs["plain"]
    strict = _with_limit(scorer, float(score_run(scorer, run).novelty.min()) / 2)
    found = _scored(strict, run, (17,))
    assert set(found[9:, 1]) <= {Blind.UNKNOWN_WORK, Blind.STARTING}
    assert found[-1, 1] == Blind.UNKNOWN_WORK
    end = next(replay([run], strict)).verdict
    assert (State(int(found[-1, 0])).word, end.abstains_for) == (end.state, BLIND_TEXT[Blind.UNKNOWN_WORK])
