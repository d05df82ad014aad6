"""Machines without a scheduler: who begins anew all the time has a past, and who begins something honest has none."""

from __future__ import annotations

import signal
import subprocess

import pytest

MINER, TRAINING = "mining-progpow-plain", "training-llm-bf16-plain"
PROCESSES = {"schedulers": {"names": ("process",), "grace_s": 1.0}}
ENFORCE = """
mode = "enforce"
[[rules]]
name = "miners"
first_warning_minutes = 0.2
cancel_minutes = {cancel}
action = "cancel"
require_approval = []
act_if_warning_refused = true
"""
LONG, EVERY = 250, 30


class Sessions:
    """Real processes, each in a session of its own, of which one is on the GPU."""

    def __init__(self):
        self.all = []

    def begin(self):
        self.all.append(subprocess.Popen(["sleep", "600"], start_new_session=True))
        return self.all[-1]

    def end(self):
        for process in self.all:
            process.kill()
            process.wait()


@pytest.fixture
def sessions():
    found = Sessions()
    yield found
    found.end()


def on(process):
    return [f"only {process.pid} 0"]


def play(one, sessions, run, seconds, every, until=lambda: False):
    """Play a run, by another session every so often; gives the seconds that it took."""
    for first in range(0, seconds, every):
        sessions.end()
        one.more = on(sessions.begin())
        took = one.play(run, min(every, seconds - first), first, until)
        if until():
            return first + took
    return seconds


def confirmed(one):
    return lambda: one.state() == "confirmed"


def jobs(one):
    """Keys of those that are processes."""
    return [key for key, job in one.agent.parts.table.jobs.items() if job.kind == "process"]


def test_who_begins_anew_twice_a_minute_is_confirmed_as_soon_as_who_does_not(rig, sessions, demo, tmp_path):
    one = rig(state_dir=tmp_path / "one")
    plain = play(one, sessions, demo[MINER], LONG, LONG, confirmed(one))
    one.agent.close()
    for every in (EVERY, 7):
        other = rig(state_dir=tmp_path / f"every-{every}")
        anew = play(other, sessions, demo[MINER], LONG, every, confirmed(other))
        assert plain < LONG
        assert anew <= plain + 10  # one block of samples
        assert len(other.agent.parts.table.sessions()["jobs"]) == 1
        other.agent.close()


def test_who_begins_anew_is_warned_and_ended(rig, sessions, demo):
    one = rig(ENFORCE.format(cancel=1), **PROCESSES)
    play(one, sessions, demo[MINER], LONG, 45, lambda: sessions.all[-1].poll() is not None)
    assert sessions.all[-1].wait(20) == -signal.SIGTERM
    [case] = one.agent.show.cases()
    assert case["job"]["labels"]["sessions"] == str(len(sessions.all))
    assert jobs(one) == [case["job"]["key"]]


def test_a_session_that_was_never_seen_to_mine_itself_is_not_ended(rig, sessions, demo):
    """They are shorter than what it takes to see it: a person is told instead."""
    one = rig(ENFORCE.format(cancel=0.5), **PROCESSES)
    play(one, sessions, demo[MINER], LONG, 8)
    assert one.state() == "confirmed"
    [case] = one.agent.show.cases()
    assert "was not seen to do it itself" in case["waiting"]
    assert [process.returncode for process in sessions.all[:-1]] == [-signal.SIGKILL] * (len(sessions.all) - 1)
    assert sessions.all[-1].poll() is None


def test_an_honest_session_after_a_miner_that_ended_is_not_ended_for_it(rig, sessions, demo):
    one = rig("clear_minutes = 1\n" + ENFORCE.format(cancel=1), **PROCESSES)
    play(one, sessions, demo[MINER], LONG, LONG, confirmed(one))
    sessions.end()
    one.more = on(honest := sessions.begin())
    one.play(demo[TRAINING], LONG)
    assert len(jobs(one)) == 1  # it goes on with the job: the same user, the same GPU, at once
    assert honest.poll() is None
    assert one.state() == "clear"
    [case] = one.agent.show.cases()
    assert case["closed_for"] == "clear"
    assert "act" not in case["steps"]


def test_an_honest_session_after_one_that_was_ended_begins_with_nothing(rig, sessions, demo):
    one = rig(ENFORCE.format(cancel=1), **PROCESSES)
    play(one, sessions, demo[MINER], LONG, LONG, lambda: sessions.all[-1].poll() is not None)
    miner = one.agent.show.cases()[0]["job"]["key"]
    one.more = on(honest := sessions.begin())
    one.play(demo[TRAINING], 5)
    [key] = {job.key for job in one.agent.parts.table.jobs_on("GPU-00000000-stand-in")}
    assert key != miner
    one.play(demo[TRAINING], 120, 5)
    assert honest.poll() is None
    assert [case["job"]["key"] for case in one.agent.show.cases()] == [miner]


def test_a_miner_after_one_that_was_ended_is_not_warned_from_the_start(rig, sessions, demo):
    one = rig(ENFORCE.format(cancel=2), **PROCESSES)
    first = play(one, sessions, demo[MINER], 2 * LONG, 2 * LONG, lambda: sessions.all[-1].poll() is not None)
    assert sessions.all[-1].wait(20) == -signal.SIGTERM
    second = play(one, sessions, demo[MINER], LONG, LONG, lambda: sessions.all[-1].poll() is not None)
    assert sessions.all[-1].wait(20) == -signal.SIGTERM
    assert second <= first - 60
    old, new = sorted(one.agent.show.cases(), key=lambda case: case["opened_unix_s"])
    assert new["linked"] == old["id"]
    assert new["job"]["key"] != old["job"]["key"]


def test_the_evidence_on_a_session_that_ended_is_there_for_the_next_some_minutes_later(rig, sessions, demo):
    one = rig()
    play(one, sessions, demo[MINER], LONG, LONG, confirmed(one))
    [key] = jobs(one)
    sessions.end()
    one.more = []
    one.play(demo[TRAINING], 90)
    assert jobs(one) == []
    assert one.state() == "none"
    one.more = on(sessions.begin())
    one.play(demo[MINER], 3)
    assert jobs(one) == [key]
    assert one.state() == "confirmed"
    [seen] = one.agent.parts.judge.watched.values()
    assert seen.borrowed
    one.play(demo[MINER], 40, 3)
    assert not seen.borrowed


def test_a_job_of_several_sessions_is_the_same_after_a_restart(rig, sessions, demo):
    one = rig()
    play(one, sessions, demo[MINER], LONG, EVERY, confirmed(one))
    [key] = jobs(one)
    assert len(sessions.all) > 1
    one.agent.close()
    one.begin()
    one.play(demo[MINER], 3)
    assert jobs(one) == [key]
    assert one.state() == "confirmed"


def test_whom_a_person_let_be_is_not_whoever_comes_next(rig, sessions, demo):
    one = rig(ENFORCE.format(cancel=60))
    play(one, sessions, demo[MINER], LONG, LONG, confirmed(one))
    [case] = one.agent.show.cases()
    one.agent.show.decide(case["id"], "reject", "jane", "a password audit")
    one.idle(1)
    play(one, sessions, demo[MINER], LONG, LONG, lambda: len(one.agent.show.cases()) == 2)
    assert len(one.agent.show.cases()) == 2
