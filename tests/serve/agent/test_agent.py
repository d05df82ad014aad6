"""The whole agent on a stand-in for the driver: what it does about a miner, and what it never does when it is blind."""

from __future__ import annotations

import errno
import io
import json
import os
import signal
import subprocess
from pathlib import Path

import pytest
from agent_policy import ENFORCE

from hashwarden.errors import CheckError, UsageError
from hashwarden.serve.agent import agent as agent_module
from hashwarden.serve.agent.config import LogSection
from hashwarden.serve.agent.logs import set_up
from hashwarden.serve.audit.event import EventKind
from hashwarden.serve.audit.verify import verify_log
from hashwarden.serve.job_scorer import JobScorer
from hashwarden.serve.schedulers.scheduler import Result

GPU = "GPU-00000000-stand-in"
MINER, TRAINING = "mining-progpow-plain", "training-llm-bf16-plain"
PROCESSES = {"schedulers": {"names": ("process",), "grace_s": 1.0}}
LONG = 200


def results(rig) -> list[str]:
    return [record.body()["result"] for record in rig.records(EventKind.ACTION)]


def alive(process: subprocess.Popen[bytes]) -> bool:
    return process.poll() is None


@pytest.fixture
def mining(rig, worker):
    """An agent that may act, and a process that mines."""
    one = rig(ENFORCE, **PROCESSES)
    one.more = [f"pid {worker.pid}"]
    return one


@pytest.fixture
def settled(mining):
    """Lets the thread that asks schedulers come to an end."""

    def wait() -> None:
        for _ in range(50):
            mining.idle(1)
            if not mining.agent.parts.queue.pending:
                return

    return wait


# What it does


def test_a_miner_is_confirmed_warned_about_and_ended_and_all_of_it_is_proved(mining, worker, demo, settled):
    mining.play(demo[MINER], LONG, until=lambda: not alive(worker))
    settled()
    assert worker.wait(10) == -signal.SIGTERM
    assert results(mining)[-1] == Result.DONE
    [case] = list(mining.agent.parts.engine.cases)
    assert case.job["uid"] == os.getuid()
    kinds = [record.kind for record in mining.records()]
    first_intent, first_case = kinds.index(EventKind.INTENT), kinds.index(EventKind.CASE)
    assert first_case < first_intent < kinds.index(EventKind.ACTION)
    bundles = [record.body() for record in mining.records(EventKind.CASE) if record.body().get("event") == "bundle"]
    assert [Path(body["file"]).exists() for body in bundles] == [True] * len(bundles)
    assert {body["standing"] for body in bundles} >= {"confirmed"}
    mining.agent.close()
    assert verify_log(mining.folder / "state" / "audit").ok


def test_without_a_policy_nothing_is_done_and_everything_is_told(rig, worker, demo):
    one = rig(**PROCESSES)
    one.more = [f"pid {worker.pid}"]
    one.play(demo[MINER], LONG)
    assert one.state() == "confirmed"
    assert alive(worker)
    assert one.records(EventKind.INTENT) == []
    assert len(one.agent.show.cases()) == 1


def test_operators_are_told_by_mail_and_a_command_that_fails_stops_nothing(rig, worker, demo, tmp_path):
    script = tmp_path / "mail"
    script.write_text(f"#!/bin/sh\necho to $1 >> {tmp_path}/sent; cat >> {tmp_path}/sent; exit 3\n")
    script.chmod(0o755)
    schedulers = {"names": (), "mail_command": (str(script), "{user}")}
    one = rig('admin_emails = ["ops@example.org", "$(touch x)@example.org"]\n' + ENFORCE, schedulers=schedulers)
    one.more = [f"pid {worker.pid}"]
    one.play(demo[MINER], LONG)
    one.agent.close()
    sent = (tmp_path / "sent").read_text()
    assert "to ops@example.org" in sent
    assert "to $(touch x)@example.org" in sent
    assert "confirmed" in sent
    assert not (tmp_path / "x").exists()


def test_a_dry_run_says_what_it_would_have_done(rig, worker, demo):
    one = rig(ENFORCE.replace("enforce", "dry-run"), **PROCESSES)
    one.more = [f"pid {worker.pid}"]
    one.play(demo[MINER], LONG)
    assert alive(worker)
    assert one.records(EventKind.INTENT) == []
    assert one.agent.metrics.totals["actions", (("result", "dry-run"),)] >= 1


def test_training_is_left_alone(rig, worker, demo):
    one = rig(ENFORCE, **PROCESSES)
    one.more = [f"pid {worker.pid}"]
    one.play(demo[TRAINING], LONG)
    assert one.state() == "clear"
    assert alive(worker)
    assert one.agent.show.cases() == []


def test_an_approval_is_waited_for(rig, worker, demo):
    one = rig(ENFORCE.replace("require_approval = []", 'require_approval = ["cancel"]'), **PROCESSES)
    one.more = [f"pid {worker.pid}"]
    one.play(demo[MINER], LONG)
    assert alive(worker)
    [case] = one.agent.show.cases()
    assert case["waiting"]
    with pytest.raises(UsageError):
        one.agent.show.decide("HW-NOTHERE", "approve", "jane", "it is a miner")
    one.agent.show.decide(case["id"], "approve", "jane", "it is a miner")
    one.play(demo[MINER], 60, until=lambda: not alive(worker))
    assert worker.wait(10) == -signal.SIGTERM
    [said] = one.records(EventKind.APPROVAL)
    assert (said.body()["by"], said.body()["reason"]) == ("jane", "it is a miner")


def test_a_job_that_ends_is_forgotten(mining, worker, demo):
    mining.play(demo[TRAINING], 20)
    assert len(mining.agent.parts.judge.watched) == 1
    worker.kill()
    worker.wait()
    mining.more = []
    mining.play(demo[TRAINING], 75)
    assert mining.blind() == set()
    assert len(mining.agent.parts.judge.watched) == 0
    assert mining.agent.parts.window.rows == 0


def test_evidence_survives_a_crash_of_the_agent(mining, worker, demo, monkeypatch):
    monkeypatch.setattr(agent_module, "EVIDENCE_EVERY_S", 1.0)
    mining.play(demo[MINER], LONG, until=lambda: mining.state() == "suspect")
    before = next(iter(mining.agent.parts.judge.watched.values())).evidence.strength
    mining.drop()
    mining.begin()
    mining.play(demo[MINER], 1, 35)
    [one] = mining.agent.parts.judge.watched.values()
    assert one.evidence.strength >= before > 0
    assert [record.kind for record in mining.records()].count(EventKind.START) == 2
    [case] = mining.agent.show.cases()
    mining.play(demo[MINER], LONG, 40, until=lambda: not alive(worker))
    worker.wait(10)
    assert [c["id"] for c in mining.agent.show.cases()] == [case["id"]]


# What it never does


def watch_blindly(rig, worker, demo, kind: str) -> None:
    """A miner, unseen for minutes: told, and not acted on."""
    rig.play(demo[MINER], LONG)
    assert kind in rig.blind()
    assert any(record.body()["kind"] == kind and record.body()["began"] for record in rig.records(EventKind.BLIND))
    assert rig.records(EventKind.INTENT) == []
    assert alive(worker)


def test_a_failed_self_test_blinds_and_is_mended_by_a_reload(rig, worker, demo, monkeypatch):
    def wrong(self):
        raise CheckError("probabilities that differ", "the known answers", "Install again.")

    with monkeypatch.context() as patch:
        patch.setattr(JobScorer, "self_test", wrong)
        one = rig(ENFORCE, **PROCESSES)
    one.more = [f"pid {worker.pid}"]
    watch_blindly(one, worker, demo, "self-test")
    assert not one.agent.show.ready()["ready"]
    one.agent.reload()
    one.idle(15)
    assert one.agent.show.ready()["ready"]


def test_counters_that_stand_still_are_no_evidence(mining, worker, demo):
    mining.play(demo[MINER], 1)
    mining.idle(LONG)
    assert "dead-counters" in mining.blind()
    assert mining.records(EventKind.INTENT) == []
    assert alive(worker)


@pytest.mark.parametrize(
    "fault",
    ["lost 0", "gone 1", "fail nvmlDeviceGetCount 999", "fail nvmlDeviceGetHandleByIndex 15"],
)
def test_a_gpu_or_driver_that_goes_away_is_told_and_taken_up_again(mining, worker, demo, fault):
    mining.play(demo[MINER], 20)
    kept = mining.more
    mining.more = [*kept, fault]
    mining.play(demo[MINER], 90, 20)
    if fault.startswith("fail"):  # what is open goes on: these calls are made only to open it
        assert mining.state() in ("clear", "watching", "suspect", "confirmed")
        return
    assert {"stale", "source-down"} & mining.blind()
    assert mining.records(EventKind.INTENT) == []
    assert alive(worker)


def test_others_on_the_gpu_make_it_nobody_s_evidence(mining, worker, demo):
    other = subprocess.Popen(["sleep", "600"], start_new_session=True)
    mining.more.append(f"pid {other.pid}")
    watch_blindly(mining, worker, demo, "shared")
    assert alive(other)
    other.kill()
    other.wait()


def test_a_jump_of_the_clock_holds_everything_for_a_minute(mining, worker, demo):
    mining.play(demo[MINER], LONG, until=lambda: mining.state() == "confirmed")
    for jump in (86_400, -86_400, 30, -30):
        mining.unix_ahead += jump
        mining.play(demo[MINER], 5)
        assert "clock" in mining.blind()
        assert alive(worker)
    assert results(mining) in ([], ["refused"])  # of the warning, which the process scheduler cannot give
    mining.play(demo[MINER], LONG, until=lambda: not alive(worker))
    assert worker.wait(10) == -signal.SIGTERM
    assert mining.agent.metrics.totals["clock_jumps", ()] == 4


def test_a_policy_that_cannot_be_read_changes_nothing(mining, worker, demo):
    path = mining.folder / "policy.toml"
    before = mining.agent.parts.policy.sha256
    for text in ("mode = ", "mood = 'x'", "mode = 'enforce'\n[[rules]]\nname = 3"):
        path.write_text(text)
        mining.agent.reload()
        assert mining.agent.parts.policy.sha256 == before
    path.write_text("mode = 'dry-run'")
    mining.agent.reload()
    assert mining.agent.parts.policy.sha256 != before
    assert mining.agent.metrics.totals["reloads", (("result", "refused"),)] == 3


def test_a_full_disk_holds_every_action_and_no_record_is_lost(rig, worker, demo, small_disk):
    state = small_disk("3m", "state")
    one = rig(ENFORCE, **PROCESSES)
    one.more = [f"pid {worker.pid}"]
    one.play(demo[MINER], 10)
    filler = state / "filler"
    fill(filler)
    one.play(demo[MINER], LONG)
    assert "storage" in one.blind()
    assert alive(worker)
    assert one.records(EventKind.INTENT) == []
    filler.unlink()
    one.play(demo[MINER], LONG, until=lambda: not alive(worker))
    assert worker.wait(10) == -signal.SIGTERM
    one.idle(15)
    assert "storage" not in one.blind()
    states = [record.body()["verdict"]["state"] for record in one.records(EventKind.VERDICT)]
    assert states[:2] == ["abstain", "clear"]
    assert "confirmed" in states
    one.agent.close()
    assert verify_log(state / "audit").ok


def fill(path: Path) -> None:
    """Write to a disk until it takes no more."""
    with path.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(4096))
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise


# Hostile names


def test_a_process_can_call_itself_what_it_likes(rig, demo):
    name = "\x1b[2J\n\"}{'"
    code = f"import pathlib, time; pathlib.Path('/proc/self/comm').write_bytes({name.encode()!r}); time.sleep(600)"
    process = subprocess.Popen(["python3", "-c", code], start_new_session=True)
    stream = io.StringIO()
    one = rig(ENFORCE.replace("enforce", "dry-run"))
    set_up(LogSection(), stream)
    one.more = [f"pid {process.pid}"]
    one.play(demo[MINER], 120)
    process.kill()
    process.wait()
    lines = stream.getvalue().splitlines()
    assert lines
    assert all(json.loads(line)["message"] for line in lines)
    assert "\x1b" not in stream.getvalue()
    assert "\x1b" not in json.dumps(one.agent.show.jobs(), ensure_ascii=False)
