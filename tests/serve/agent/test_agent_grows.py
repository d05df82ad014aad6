"""What months do to an agent: thousands of jobs, files that pile up, what was written by another version."""

from __future__ import annotations

import gc
import json
import os
import threading
import time

import pytest

from hashwarden.errors import UsageError
from hashwarden.serve.agent import packing as packing_module
from hashwarden.serve.agent.folder import StateFolder
from hashwarden.serve.agent.packing import Packing
from hashwarden.serve.agent.post import Post
from hashwarden.serve.jobs.job import Job
from hashwarden.serve.policy.alerts import Alert, AlertKind
from hashwarden.serve.policy.case import Case
from hashwarden.serve.policy.cases import CaseStore

MINER, TRAINING = "mining-progpow-plain", "training-llm-bf16-plain"
GPU = "GPU-00000000-stand-in"
ENFORCE = """
mode = "enforce"
[[rules]]
name = "miners"
first_warning_minutes = 0.2
cancel_minutes = 60
action = "cancel"
"""
JOBS, AT_ONCE, WARM = 1000, 20, 40


class Passing:
    """A scheduler whose jobs last a second each."""

    name = "slurm"

    def __init__(self) -> None:
        self.number = 0

    def refresh(self, devices):
        self.number += 1

    def allotted(self):
        first = self.number * AT_ONCE
        return {
            GPU: tuple(Job(f"slurm:{n}", "slurm", str(n), user=f"u{n % 50}") for n in range(first, first + AT_ONCE))
        }

    def job_of(self, process):
        return None


def sizes(root: object) -> dict[str, int]:
    """Of every container that can be reached from an agent by its own attributes."""
    found: dict[str, int] = {}
    todo, seen = [("agent", root)], set()
    while todo:
        name, one = todo.pop()
        if id(one) in seen or len(seen) > 200_000:
            continue
        seen.add(id(one))
        if isinstance(one, dict | list | set | tuple) or type(one).__name__ == "deque":
            found[name] = len(one)
            values = list(one.values()) if isinstance(one, dict) else list(one)
            todo += [(f"{name}[]", value) for value in values[:3]]
        elif type(one).__module__.startswith("hashwarden"):
            names = [*getattr(one, "__dict__", ()), *getattr(type(one), "__slots__", ())]
            todo += [(f"{name}.{key}", getattr(one, key, None)) for key in names]
    return found


def test_after_thousands_of_jobs_the_agent_is_as_large_as_before(rig, demo):
    one = rig()
    table = one.agent.parts.table
    passing = Passing()
    table._refreshers = [type(table._refreshers[0])(passing, one.nvml)]
    table._wait_s = None
    one.play(demo[TRAINING], WARM)
    one.agent.parts.table.counts["began"] = 0
    gc.collect()
    before = sizes(one.agent)
    for _ in range(JOBS // AT_ONCE):
        one.nvml.now += 1.0
        one.agent.tick()
    gc.collect()
    after = sizes(one.agent)
    assert table.counts["began"] >= JOBS - AT_ONCE
    assert {name: (before.get(name, 0), size) for name, size in after.items() if size > before.get(name, 0) + 100} == {}
    assert len(one.agent.parts.judge.watched) == AT_ONCE


def test_of_closed_cases_nothing_is_remembered_as_packed(rig, worker, demo):
    one = rig(ENFORCE)
    one.more = [f"pid {worker.pid}"]
    one.play(demo[MINER], 200, until=lambda: one.state() == "confirmed")
    packed = one.agent._decisions._packed
    [case] = one.agent.show.cases()
    assert set(packed) == {case["id"]}
    one.agent.show.decide(case["id"], "reject", "jane", "our own")
    one.idle(2)
    assert packed == {}


def test_evidence_takes_no_more_of_the_disk_than_it_may(tmp_path, monkeypatch):
    monkeypatch.setattr(packing_module, "_TIDY_S", 0.05)
    for number in range(10):
        file = tmp_path / f"HW-{number}.tar"
        file.write_bytes(bytes(1000))
        os.utime(file, (time.time() - 100 + number,) * 2)
    (tmp_path / "HW-OLD.tar").write_bytes(b"x")
    os.utime(tmp_path / "HW-OLD.tar", (0, 0))
    packing = Packing(tmp_path, None, keep_days=1, most_bytes=3500)  # type: ignore[arg-type]  nothing is packed
    deadline = time.monotonic() + 20
    while len(list(tmp_path.iterdir())) > 3 and time.monotonic() < deadline:
        time.sleep(0.02)
    packing.close()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["HW-7.tar", "HW-8.tar", "HW-9.tar"]


def test_evidence_that_another_version_kept_is_left_alone(rig, worker, demo):
    """It begins anew, rather than ending the agent at every start."""
    one = rig()
    one.more = [f"pid {worker.pid}"]
    one.play(demo[TRAINING], 30)
    one.agent.close()
    path = one.folder / "state" / "evidence.json"
    kept = json.loads(path.read_text())
    for wrong in ({}, {"block_s": 1}, [], None, dict.fromkeys(next(iter(kept["jobs"].values())), "x")):
        path.write_text(json.dumps(kept | {"jobs": dict.fromkeys(kept["jobs"], wrong)}))
        one.begin()
        one.play(demo[TRAINING], 3, 30)
        assert len(one.agent.parts.judge.watched) == 1
        one.agent.close()


def test_a_mail_that_cannot_be_is_not_the_last(tmp_path):
    script = tmp_path / "mail"
    script.write_text(f"#!/bin/sh\necho $1 >> {tmp_path}/sent\n")
    script.chmod(0o755)
    post = Post([str(script), "{user}"], 5.0, "n")
    post.put(Alert(AlertKind.CASE, "s", "\ud800", emails=("a\0b", "first@x")))
    post.put(Alert(AlertKind.CASE, "s", "text", emails=("second@x",)))
    post.close()
    assert "second@x" in (tmp_path / "sent").read_text()


def test_open_cases_can_be_asked_for_while_others_are_opened():
    store, stop, faults = CaseStore(None), threading.Event(), []

    def look() -> None:
        while not stop.is_set():
            try:
                store.open_cases()
            except RuntimeError as error:
                faults.append(error)

    thread = threading.Thread(target=look)
    thread.start()
    for number in range(2000):
        store.save(Case(id=f"HW-{number:07d}", origin="evidence", job={"key": "j"}, opened_unix_s=0, seen_unix_s=0))
    stop.set()
    thread.join()
    assert faults == []


def test_a_state_folder_that_others_can_write_to_is_refused(tmp_path):
    (tmp_path / "state").mkdir()
    (tmp_path / "state").chmod(0o777)
    with pytest.raises(UsageError, match="others"):
        StateFolder(tmp_path / "state")


def test_a_model_that_came_into_service_meanwhile_is_told_and_not_taken(rig, monkeypatch, tmp_path):
    one = rig()
    one.agent.reload()
    one.agent.tick()
    assert not one.agent.outdated
    assert b"\nhashwarden_model_outdated 0.0\n" in one.agent.show.metrics()
    identity = dict(one.agent.parts.scorer.identity)
    other = tmp_path / "job.onnx"
    other.write_bytes(b"another")
    monkeypatch.setattr("hashwarden.serve.agent.build.ModelStore.current", lambda self: other)
    one.agent.reload()
    assert "next start" in one.agent.outdated
    assert one.agent.show.status()["model_outdated"]
    one.agent.tick()
    assert b"\nhashwarden_model_outdated 1.0\n" in one.agent.show.metrics()
    assert dict(one.agent.parts.scorer.identity) == identity


def test_what_is_shown_of_cases_is_bounded_and_open_ones_are_always_there(rig):
    one = rig()
    store = one.agent.parts.engine.cases
    first = Case(id="HW-OPEN", origin="evidence", job={"key": "j"}, opened_unix_s=0, seen_unix_s=0)
    store._keep(first)
    for number in range(1500):
        store._keep(first.model_copy(update={"id": f"HW-{number:07d}", "closed_unix_s": 1.0}))
    shown = [case["id"] for case in one.agent.show.cases()]
    assert len(shown) == 501
    assert (shown[0], shown[-1]) == ("HW-OPEN", "HW-0001499")


def test_a_watchdog_that_is_faster_than_the_ticks_is_refused(rig, monkeypatch):
    monkeypatch.setenv("WATCHDOG_USEC", "60000000")
    monkeypatch.setenv("WATCHDOG_PID", str(os.getpid()))
    with pytest.raises(UsageError, match="WatchdogSec"):
        rig(period_s=60.0)
