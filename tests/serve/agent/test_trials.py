"""Evidence of jobs that go on in another session: by the shipped model, on the demo's runs, without processes."""

from __future__ import annotations

import numpy as np
import pytest

from hashwarden.model.channels import CHANNELS
from hashwarden.model.sequential_state import State
from hashwarden.serve.agent.coverage import Coverage
from hashwarden.serve.agent.joining import JobSample, watched_name
from hashwarden.serve.agent.judge import Judge
from hashwarden.serve.agent.kept import MOST, Kept
from hashwarden.serve.agent.trials import CUT, TRIAL
from hashwarden.serve.agent.window import RawWindow
from hashwarden.serve.calibrated import calibration_of, novelty_limit_of
from hashwarden.serve.job_scorer import JobScorer, shipped_job_model
from hashwarden.serve.jobs.job import Job
from hashwarden.serve.policy.guards import act_objections
from hashwarden.serve.policy.schema import Ladder
from hashwarden.serve.watch import JobWatch

MINER, TRAINING = "mining-progpow-plain", "training-llm-bf16-plain"
A, B = "GPU-a", "GPU-b"
SHOWN = np.array([channel.group in ("nvml", "gpm") for channel in CHANNELS])


@pytest.fixture(scope="module")
def scorer():
    return JobScorer(shipped_job_model())


class Bench:
    """One job, second by second."""

    def __init__(self, scorer):
        watch = JobWatch(scorer, calibration_of(scorer), 1e-3, novelty_limit_of(scorer), scorer.identity)
        self.judge = Judge(watch, RawWindow(600.0, 600), Coverage(0.0))
        self.watch, self.now, self.told = watch, 0.0, []
        self.job = Job("session:b:1:1", "process", "1", (A,), uid=1000)
        self.count = 1

    def another(self):
        """The next session."""
        self.count += 1
        label = {"session": f"session:b:{self.count}:1", "sessions": str(self.count)}
        self.job = Job("session:b:1:1", "process", "1", (A,), uid=1000, labels=label)

    def play(self, run, seconds, *gpus):
        """Gives the observation at the end."""
        gpus = gpus or (A,)
        for second in range(seconds):
            self.now += 1.0
            values = np.where(SHOWN, run.values[second % len(run)], np.nan).astype(np.float32)
            samples = [JobSample(self.job, gpu, self.now, self.now, values, shared=False) for gpu in gpus]
            self.told += self.judge.step(samples, self.now, {self.job.key: gpus})
        [seen] = self.judge.observe([self.job], (self.now, self.now), {self.job.key: gpus})
        return seen

    def states(self):
        return [verdict.state for verdict in self.told]


@pytest.fixture
def bench(scorer):
    return Bench(scorer)


def objections(seen, gpu=A):
    return [one.words for one in act_objections(seen, seen.verdicts[gpu], Ladder(), beyond=False)]


def test_a_miner_that_goes_on_is_held_to_all_of_it_and_acts_wait_until_it_was_seen_itself(bench, demo):
    seen = bench.play(demo[MINER], 60)
    assert (seen.verdicts[A].state, seen.borrowed) == ("confirmed", frozenset())
    bench.another()
    seen = bench.play(demo[MINER], 5)
    assert (seen.verdicts[A].state, seen.borrowed) == ("confirmed", {A})
    assert any("was not seen to do it itself" in words for words in objections(seen))
    seen = bench.play(demo[MINER], 25)
    assert (seen.verdicts[A].state, seen.borrowed, objections(seen)) == ("confirmed", frozenset(), [])
    assert bench.states().count("confirmed") == 1  # nothing flaps
    assert set(bench.judge.saved()) == {watched_name(bench.job.key, A)}


def test_sessions_too_short_to_be_judged_are_evidence_together(bench, demo):
    for _ in range(20):
        seen = bench.play(demo[MINER], 4)
        bench.another()
    assert (seen.verdicts[A].state, seen.borrowed) == ("confirmed", {A})
    assert len(bench.watch.jobs) == 2


def test_honest_work_after_a_miner_counts_for_itself_and_then_is_all_that_counts(bench, demo):
    bench.play(demo[MINER], 60)
    bench.another()
    seen = bench.play(demo[TRAINING], 10 * TRIAL - 5)
    assert (seen.verdicts[A].state, seen.borrowed) == ("confirmed", {A})
    seen = bench.play(demo[TRAINING], 10)
    assert (seen.verdicts[A].state, seen.borrowed) == ("clear", frozenset())
    assert seen.verdicts[A].job == watched_name(bench.job.key, A)
    bench.play(demo[TRAINING], 10 * (CUT - TRIAL))
    assert bench.watch.jobs == (watched_name(bench.job.key, A),)
    assert bench.judge.watched[watched_name(bench.job.key, A)].evidence.state is State.CLEAR
    assert bench.states()[-1] == "clear"
    seen = bench.play(demo[MINER], 10)
    assert seen.verdicts[A].state != "confirmed"  # from nothing


def test_a_session_that_is_honest_for_a_moment_and_then_goes_on_as_before_does_not_get_away(bench, demo):
    bench.play(demo[MINER], 60)
    bench.another()
    seen = bench.play(demo[TRAINING], 10 * TRIAL + 5)
    assert seen.verdicts[A].state == "clear"
    seen = bench.play(demo[MINER], 60)
    assert (seen.verdicts[A].state, seen.borrowed) == ("confirmed", frozenset())


def test_honest_sessions_one_after_the_other_begin_with_nothing_each(bench, demo):
    for _ in range(4):
        seen = bench.play(demo[TRAINING], 70)
        assert bench.judge.watched[watched_name(bench.job.key, A)].evidence.watched_s <= 70
        assert (seen.verdicts[A].state, seen.borrowed) == ("clear", frozenset())
        bench.another()
    assert len(bench.watch.jobs) == 1


def test_what_a_session_did_on_a_gpu_that_the_next_one_is_not_on_is_dropped_with_it(bench, demo):
    bench.play(demo[MINER], 60, A, B)
    bench.another()
    seen = bench.play(demo[TRAINING], 20, B)
    assert (seen.verdicts[A].state, seen.borrowed) == ("confirmed", {A, B})
    assert any("was not seen to do it itself" in words for words in objections(seen))
    bench.play(demo[TRAINING], 10 * CUT, B)
    seen = bench.play(demo[TRAINING], 1, B)
    assert set(seen.verdicts) == {B}
    assert bench.judge.end(bench.job.key) == {}
    assert bench.watch.jobs == ()


def test_the_end_of_a_job_on_trial_leaves_nothing_and_gives_what_was_held_against_it(bench, demo):
    bench.play(demo[MINER], 60)
    bench.another()
    bench.play(demo[MINER], 5)
    held = bench.judge.end(bench.job.key)
    assert set(held) == {watched_name(bench.job.key, A)}
    assert bench.watch.jobs == ()
    assert bench.judge.restore(held, {bench.job.key: bench.job}, bench.now) == 1
    seen = bench.play(demo[MINER], 2)
    assert (seen.verdicts[A].state, seen.borrowed) == ("confirmed", {A})


def test_what_is_kept_is_given_once_forgotten_in_time_and_bounded():
    kept = Kept(10.0)
    kept.put({"one@g": 1, "one@h": 2, "two@g": 3}, 0.0)
    assert kept.take("one") == {"one@g": 1, "one@h": 2}
    assert kept.take("one") == {}
    assert kept.saved() == {"two@g": 3}
    kept.tidy(9.0)
    assert len(kept) == 1
    kept.tidy(11.0)
    assert len(kept) == 0
    kept.put({f"{number}@g": number for number in range(MOST + 10)}, 0.0)
    assert len(kept) == MOST
