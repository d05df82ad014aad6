"""Jobs that come, go, move, and touch the GPUs of others: none of that is a hiding place, nor time that was seen."""

from __future__ import annotations

import signal
import subprocess
import time

import pytest
from agent_policy import ENFORCE

from hashwarden.serve.audit.event import EventKind
from hashwarden.serve.schedulers.process import ProcessScheduler
from hashwarden.serve.schedulers.scheduler import ActionKind, SchedulerAway

MINER, TRAINING = "mining-progpow-plain", "training-llm-bf16-plain"
FIRST, SECOND = "GPU-00000000-stand-in", "GPU-00000001-stand-in"
PROCESSES = {"schedulers": {"names": ("process",), "grace_s": 1.0}}
LONG = 250


@pytest.fixture
def other():
    process = subprocess.Popen(["sleep", "600"], start_new_session=True)
    yield process
    process.kill()
    process.wait()


@pytest.fixture(autouse=True)
def two_gpus(nvml):
    nvml.write("gpus 2")


def on(*places: tuple[subprocess.Popen[bytes], int]) -> list[str]:
    """Two GPUs, and which process is on which."""
    return ["gpus 2", *(f"only {process.pid} {gpu}" for process, gpu in places)]


@pytest.mark.parametrize("shared", [False, True])
def test_a_miner_that_touched_another_gpu_and_left_it_is_not_safe_from_then_on(rig, worker, other, demo, shared):
    """Nor if it was one that somebody else works on."""
    one = rig(ENFORCE, **PROCESSES)
    there = [(other, 1)] if shared else []
    one.more = on((worker, 0), (worker, 1), *there)
    one.play(demo[MINER], 5)
    one.more = on((worker, 0), *there)
    one.play(demo[MINER], LONG, 5, until=lambda: worker.poll() is not None)
    assert worker.wait(10) == -signal.SIGTERM
    assert other.poll() is None


def test_the_time_on_a_gpu_that_a_job_left_is_not_counted(rig, worker, demo):
    one = rig()
    one.more = on((worker, 0), (worker, 1))
    one.play(demo[TRAINING], 10)
    one.more = on((worker, 0))
    one.play(demo[TRAINING], 50, 10)
    [key] = one.agent.parts.table.jobs
    assert one.agent.parts.coverage.total_of(key) == pytest.approx(70, abs=5)
    assert "stale" not in one.blind()


def test_what_was_confirmed_on_a_gpu_is_not_forgiven_by_leaving_it(rig, worker, demo):
    one = rig("clear_minutes = 0.2\n" + ENFORCE.replace("cancel_minutes = 1", "cancel_minutes = 60"))
    one.more = on((worker, 0))
    one.play(demo[MINER], LONG, until=lambda: one.state() == "confirmed")
    one.more = on((worker, 1))
    one.play(demo[TRAINING], 30)
    [seen] = one.agent.show.jobs()
    assert seen["verdicts"][FIRST]["state"] == "confirmed"
    [case] = one.agent.show.cases()
    assert case["closed_unix_s"] is None


def test_seconds_that_nobody_saw_are_not_counted_as_watched(rig, worker, demo):
    one = rig()
    one.more = on((worker, 0))
    one.play(demo[TRAINING], 30)
    [key] = one.agent.parts.table.jobs
    coverage = one.agent.parts.coverage
    seen = coverage.total_of(key) - coverage.blind_of(key)
    one.nvml.tick(500)  # the agent was stopped meanwhile, or the machine slept
    one.agent.tick()
    assert coverage.total_of(key) - coverage.blind_of(key) - seen < 20
    assert coverage.blind_of(key) > 450


def test_a_job_that_rests_is_not_called_blind(rig, worker, demo):
    one = rig("alert_minutes = 0.1\n" + ENFORCE, **PROCESSES)
    one.more = on((worker, 0))
    one.play(demo[TRAINING], 60)
    before = one.agent.metrics.totals["alerts", (("kind", "blind"),)]
    one.more = on()
    one.play(demo[TRAINING], 55)
    assert len(one.agent.parts.table.jobs) == 1
    assert one.agent.metrics.totals["alerts", (("kind", "blind"),)] == before
    assert [r for r in one.records(EventKind.BLIND) if r.body()["kind"] == "stale"] == []


# What was decided, and waits for a scheduler


@pytest.fixture
def away(monkeypatch):
    """The scheduler is away as long as this holds something."""
    state, apply = ["it is away"], ProcessScheduler.apply

    def asked(self, action):
        if state:
            raise SchedulerAway(state[0])
        return apply(self, action)

    monkeypatch.setattr(ProcessScheduler, "apply", asked)
    return state


def waiting(one, run) -> None:
    one.play(run, LONG, until=lambda: any(a.kind is ActionKind.TERMINATE for a in one.agent.parts.queue.pending))
    assert one.agent.parts.queue.pending


def settle(one) -> None:
    for _ in range(100):
        one.idle(1)
        if not one.agent.parts.queue.pending:
            return
        time.sleep(0.05)


def test_what_was_decided_before_a_dry_run_is_not_done_in_it(rig, worker, demo, away):
    one = rig(ENFORCE, **PROCESSES)
    one.more = on((worker, 0))
    waiting(one, demo[MINER])
    (one.folder / "policy.toml").write_text(ENFORCE.replace("enforce", "dry-run"))
    one.agent.reload()
    away.clear()
    settle(one)
    assert one.agent.parts.queue.pending == ()
    assert worker.poll() is None
    assert "dry run" in one.records(EventKind.ACTION)[-1].body()["detail"]


def test_what_was_decided_before_a_person_said_no_is_not_done(rig, worker, demo, away):
    one = rig(ENFORCE, **PROCESSES)
    one.more = on((worker, 0))
    waiting(one, demo[MINER])
    [case] = one.agent.show.cases()
    one.agent.show.decide(case["id"], "reject", "jane", "it is our own")
    away.clear()
    settle(one)
    assert worker.poll() is None
    assert "closed" in one.records(EventKind.ACTION)[-1].body()["detail"]


# Evidence that was kept


def test_evidence_on_nobody_s_work_is_not_put_on_whoever_comes_next(rig, demo):
    """Its key is that of the GPU: after a start it may be another's work."""
    one = rig()
    one.more = [*on(), "pid 4194300"]  # of another PID namespace
    one.play(demo[MINER], LONG, until=lambda: one.state() == "suspect")
    assert {job.kind for job in one.agent.parts.table.jobs.values()} == {"gpu"}
    one.agent.close()
    one.begin()
    one.play(demo[TRAINING], 5)
    assert one.state() in {"abstain", "clear"}


def test_evidence_that_was_kept_is_taken_up_once(rig, worker, demo):
    one = rig()
    one.more = on((worker, 0))
    one.play(demo[MINER], LONG, until=lambda: one.state() == "suspect")
    one.agent.close()
    one.begin()
    one.play(demo[MINER], 2)
    assert one.state() in {"watching", "suspect", "confirmed"}
    assert one.agent._kept == {}
