"""The whole way on a real Slurm: a job that mines is found, its owner warned, and it is cancelled; others go on."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from hashwarden.serve.audit.event import EventKind
from hashwarden.serve.schedulers.slurm_cases import read_open_cases

pytestmark = pytest.mark.slurm

MINER, TRAINING = "mining-progpow-plain", "training-llm-bf16-plain"
POLICY = """
mode = "enforce"
[[rules]]
name = "miners"
first_warning_minutes = 0.2
cancel_minutes = 1
action = "{action}"
require_approval = []
"""
WAIT_S = 60


@pytest.fixture
def job(slurm):
    """A job of Slurm with one process that the driver sees on the GPU; its number and that of the process."""
    scratch = slurm.folder / "scratch"
    scratch.mkdir(exist_ok=True)
    scratch.chmod(0o777)

    def start(name: str) -> tuple[str, int]:
        file = scratch / name
        number = slurm.start_job(f"echo $$ > {file}.part; mv {file}.part {file}; exec sleep 300")
        deadline = time.monotonic() + WAIT_S
        while not file.exists() and time.monotonic() < deadline:
            time.sleep(0.05)
        return number, int(file.read_text())

    return start


def watching(rig, slurm, action: str, tmp_path: Path, **schedulers: object):
    return rig(
        POLICY.format(action=action),
        schedulers={"names": ("slurm",), "node": slurm.node} | schedulers,
        jobs={"providers": ("slurm", "sessions"), "gpustat": tmp_path / "none", "every_s": 0.2, "soonest_s": 0.1},
    )


def play_until(agent, run, holds) -> None:
    """Seconds of the GPU pass quickly, those of Slurm do not."""
    deadline, second = time.monotonic() + WAIT_S, 0
    while not holds():
        assert time.monotonic() < deadline, (agent.state(), agent.blind(), agent.agent.show.cases())
        agent.play(run, 1, second)
        second += 1
        time.sleep(0.03)


def test_a_job_that_mines_is_warned_about_then_cancelled(slurm, rig, job, demo, tmp_path):
    number, pid = job("miner")
    agent = watching(rig, slurm, "cancel", tmp_path)
    agent.more = [f"pid {pid}"]
    play_until(agent, demo[MINER], lambda: slurm.state(number) == "CANCELLED")
    [case] = agent.agent.show.cases()
    assert case["id"] in slurm.run("scontrol", "show", "job", number).stdout
    play_until(agent, demo[MINER], lambda: len(agent.records(EventKind.ACTION)) >= 2)
    kinds = [record.body()["kind"] for record in agent.records(EventKind.INTENT)]
    assert kinds == ["warn", "cancel"]
    assert [record.body()["result"] for record in agent.records(EventKind.ACTION)] == ["done", "done"]
    assert case["job"]["user"] == "daemon"
    assert case["job"]["key"].startswith(f"slurm:{number}")


def test_a_training_job_is_left_alone(slurm, rig, job, demo, tmp_path):
    number, pid = job("training")
    agent = watching(rig, slurm, "cancel", tmp_path)
    agent.more = [f"pid {pid}"]
    play_until(agent, demo[TRAINING], lambda: agent.state() == "clear")
    agent.play(demo[TRAINING], 200, 50)
    assert slurm.state(number) == "RUNNING"
    assert agent.records(EventKind.INTENT) == []


def test_a_controller_that_is_down_is_asked_again_and_the_job_ended_once(slurm, rig, job, demo, tmp_path):
    number, pid = job("down")
    agent = watching(rig, slurm, "cancel", tmp_path)
    agent.more = [f"pid {pid}"]
    play_until(agent, demo[MINER], lambda: agent.state() == "confirmed")
    slurm.stop_controller()
    play_until(agent, demo[MINER], lambda: len(agent.records(EventKind.INTENT)) >= 1)
    assert agent.agent.parts.queue.pending
    slurm.start_controller()
    play_until(agent, demo[MINER], lambda: slurm.state(number) == "CANCELLED")
    play_until(agent, demo[MINER], lambda: not agent.agent.parts.queue.pending)
    results = [record.body()["action"] for record in agent.records(EventKind.ACTION)]
    assert len(results) == len(set(results))


def test_new_jobs_of_a_user_with_a_confirmed_case_are_held(slurm, rig, job, demo, tmp_path):
    number, pid = job("listed")
    listed = tmp_path / "open-cases"
    agent = watching(rig, slurm, "none", tmp_path, open_cases=listed)
    agent.more = [f"pid {pid}"]
    play_until(agent, demo[MINER], lambda: listed.exists() and "hold" in listed.read_text())
    [line] = read_open_cases(listed)
    [case] = agent.agent.show.cases()
    assert (line.uid, line.case, line.what) == (1, case["id"], "hold")
    assert line.until_unix_s <= agent.nvml() + agent.unix_ahead + 601
    slurm.run("scancel", number)
    play_until(agent, demo[MINER], lambda: read_open_cases(listed) == [])
