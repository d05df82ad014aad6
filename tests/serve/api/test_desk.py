"""The desk: the same states as a replay, evidence that outlives a crash, blindness of those who fall silent."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))
from desk_rig import a_desk, ago, demo, work
from serve_rig import until

from hashwarden.serve.audit.verify import verify_log
from hashwarden.serve.inbox.batch import Batch, Limits, Part
from hashwarden.serve.inbox.jobs import Facts

SPAN_S = 1081.0


def put(desk, runs, rows, start, wait=60):
    jobs = tuple(Facts(run.name, gpus=(run.name,)) for run in runs)
    parts = tuple(Part(i, run.name, start + run.times[rows], run.values[rows]) for i, run in enumerate(runs))
    return desk.inbox.put(Batch(jobs, parts)).done.result(wait)


def states(said):
    return {verdict["gpu"]: verdict["state"] for verdict in said["verdicts"]}


def test_jobs_and_evidence_outlive_a_stop(tmp_path):
    run, start = demo()[2], ago(302)
    desk = a_desk(tmp_path)
    desk.start()
    before = put(desk, [run], slice(0, 300), start)
    desk.stop()
    other = a_desk(tmp_path)
    other.start()
    try:
        again = put(other, [run], slice(250, 300), start)
        assert states(again) == states(before) == {run.name: "confirmed"}
        assert other.inbox.counts["duplicates"] == 50
        assert again["verdicts"][0]["watched_s"] == before["verdicts"][0]["watched_s"], "nothing counted twice"
        on = put(other, [run], slice(300, 301), start)
        assert states(on) == {run.name: "confirmed"}
        assert [case["job"]["key"] for case in other.view.cases()] == [f"pushed::other:{run.name}"]
    finally:
        other.stop()


KILLED = """
import sys, time
sys.path.insert(0, sys.argv[1])
from pathlib import Path
from desk_rig import a_desk, demo
from hashwarden.serve.inbox.batch import Batch, Part
from hashwarden.serve.inbox.jobs import Facts
run, desk = demo()[2], a_desk(Path(sys.argv[2]))
desk.start()
batch = lambda rows: Batch((Facts("1"),), (Part(0, "GPU-0", float(sys.argv[3]) + run.times[rows], run.values[rows]),))
said = desk.inbox.put(batch(slice(0, 10))).done.result(60)
said = desk.inbox.put(batch(slice(10, 300))).done.result(60)
print(said["kept"], said["verdicts"][0]["state"], said["verdicts"][0]["watched_s"], flush=True)
time.sleep(600)
"""


def test_what_was_answered_outlives_a_kill(tmp_path):
    run, start = demo()[2], ago(SPAN_S)
    command = [sys.executable, "-c", KILLED, str(Path(__file__).parent), str(tmp_path), str(start)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        try:
            told = child.stdout.readline().split()
        finally:
            os.kill(child.pid, signal.SIGKILL)
    assert told[:2] == ["True", "confirmed"]
    desk = a_desk(tmp_path)
    desk.start()
    try:
        until(lambda: not desk.inbox.waiting and desk.view.jobs())
        part = Part(0, "GPU-0", start + run.times[:301], run.values[:301])
        ticket = desk.inbox.put(Batch((Facts("1"),), (part,)))
        (verdict,) = ticket.done.result(60)["verdicts"]
        assert (ticket.taken, ticket.duplicates) == (1, 300), "all that was answered is known"
        assert verdict["state"] == "confirmed"
        assert verdict["watched_s"] >= float(told[2]) - 2, "the first sample after a restart has none before it"
    finally:
        desk.stop()


def test_a_damaged_journal_ends_where_it_is_damaged(tmp_path):
    run, start = demo()[0], ago(SPAN_S)
    desk = a_desk(tmp_path)
    desk.start()
    put(desk, [run], slice(0, 1), start)
    until(lambda: not desk.inbox.unwritten())
    for row in range(1, 4):
        put(desk, [run], slice(row, row + 1), start)
    journal = tmp_path / "desk" / "inbox" / "pushed.journal"
    data = journal.read_bytes()
    desk.stop()
    for damaged in (
        data[:-7],
        data[: len(data) // 2] + b"\xff" + data[len(data) // 2 + 1 :],
        b"",
        b"hp" + b"\xff" * 99,
    ):
        journal.write_bytes(damaged)
        other = a_desk(tmp_path)
        other.start()
        try:
            assert put(other, [run], slice(4, 5), start)["kept"]
        finally:
            other.stop()


def test_who_falls_silent_is_blind_and_not_innocent(tmp_path):
    desk = a_desk(tmp_path)
    desk.start()
    try:
        now = time.time()
        facts = Facts("1", gpus=("GPU-0", "GPU-1"))
        parts = tuple(Part(0, f"GPU-{i}", now - 59 + np.arange(60.0), work(60, i)) for i in range(1))
        desk.inbox.put(Batch((facts,), parts)).done.result(60)
        until(lambda: "stale" in desk.view.jobs()[0]["blind"])  # of GPU-1 nothing was ever seen
        for _ in range(2):  # each second from now on
            now += 1
            time.sleep(max(0.0, now - time.time()))
            both = tuple(Part(0, f"GPU-{i}", np.array([now]), work(1, i)) for i in range(2))
            desk.inbox.put(Batch((facts,), both)).done.result(60)
        until(lambda: not desk.view.jobs()[0]["blind"])
        until(lambda: "stale" in desk.view.jobs()[0]["blind"])
        assert verify_log(tmp_path / "desk" / "audit").ok
    finally:
        desk.stop()


def test_two_jobs_that_are_said_to_be_on_one_gpu_are_shared(tmp_path):
    desk = a_desk(tmp_path)
    desk.start()
    try:
        now, values = ago(61), work(60)
        jobs = (Facts("1"), Facts("2"))
        parts = tuple(Part(i, "GPU-0", now + np.arange(60.0), values) for i in range(2))
        said = desk.inbox.put(Batch(jobs, parts)).done.result(60)
        assert all(verdict["abstains_for"] for verdict in said["verdicts"])
        assert all(row["shared"] for row in desk.view.jobs())
    finally:
        desk.stop()


def test_a_desk_that_ends_says_so_to_those_who_wait(tmp_path):
    desk = a_desk(tmp_path, Limits())
    ticket = desk.inbox.put(Batch((Facts("1"),), (Part(0, "GPU-0", np.array([ago(1)]), work(1)),)))
    desk.stop()
    with pytest.raises(Exception, match="ended before"):
        ticket.done.result(20)


def test_the_folder_is_one_desks_alone(tmp_path):
    desk = a_desk(tmp_path)
    try:
        with pytest.raises(Exception, match="another agent uses it"):
            a_desk(tmp_path)
    finally:
        desk.stop()
