"""What a running workload tells the process that started it."""

from __future__ import annotations

import json
import os

import pytest

from hashwarden.errors import UsageError
from hashwarden.kernels.workloads import events as module
from hashwarden.kernels.workloads.events import Events, LaunchTally, Orphaned, Silence
from hashwarden.kernels.workloads.plan import Launch, NativeLaunch
from hashwarden.kernels.workloads.runner import Order, run_order


class Heard(Silence):
    def __init__(self):
        self.said = []

    def tell(self, event, **more):
        self.said.append((event, more))

    def progress(self, steps, tallies):
        self.said.append(("progress", {"steps": steps, "launches": tallies()}))


def test_launches_are_counted_by_kernel_with_their_threads():
    def body():
        """Nothing."""

    tally = LaunchTally()
    tally.add(Launch(body, 64, ()))
    tally.add(Launch(body, 36, ()))
    tally.add(NativeLaunch("ethash", "search", (2, 3), (32,), (), variant="v"))
    assert tally.kernels == {"body": [2, 100], "ethash:search:v": [1, 192]}


def test_a_run_tells_its_start_its_progress_and_its_end_with_launches():
    heard = Heard()
    report = run_order(Order("hash-join", engine="cpu", seconds=0.05), events=heard)
    names = [name for name, _ in heard.said]
    assert (names[0], names[-1]) == ("start", "end")
    assert names.count("progress") == report.steps
    first, last = heard.said[0][1]["launches"], heard.said[-1][1]["launches"]
    per_step = {name: (last[name][0] - first.get(name, [0])[0]) / report.steps for name in last}
    assert all(count >= 1 for count in per_step.values())
    assert heard.said[-1][1]["steps"] == report.steps


def test_company_counts_too_and_an_evasions_baseline_comes_before_the_start():
    heard = Heard()
    order = Order("hash-join", engine="cpu", seconds=0.05, evasion="dual", company=("hash-table-linear",))
    run_order(order, events=heard)
    start, end = heard.said[0][1]["launches"], heard.said[-1][1]["launches"]
    assert set(end) > set(start), "the company was not launched before"
    assert sum(count for count, _ in start.values()) > 0, "the check and the baseline were"


def test_lines_are_json_with_the_monotonic_clock_and_not_too_many(tmp_path, monkeypatch):
    clock = iter([10.0, 10.01, 10.02, 10.2, 10.2, 10.3])
    monkeypatch.setattr(module.time, "monotonic", lambda: next(clock))
    events = Events(tmp_path / "e")
    events.progress(1, dict)
    events.progress(2, dict)
    events.progress(3, dict)
    events.tell("end", steps=3)
    events.close()
    lines = [json.loads(line) for line in (tmp_path / "e").read_text().splitlines()]
    assert [(line["event"], line["steps"]) for line in lines] == [("progress", 1), ("progress", 3), ("end", 3)]
    assert lines[-1]["time"] == 10.3


def test_a_workload_whose_parent_is_gone_ends(tmp_path, monkeypatch):
    events = Events(tmp_path / "e")
    events.tell("start")
    monkeypatch.setattr(os, "getppid", lambda: 1)
    with pytest.raises(Orphaned):
        events.tell("end")
    events.close()
    assert issubclass(Orphaned, KeyboardInterrupt)


def test_a_file_that_cannot_be_written_is_an_error(tmp_path):
    with pytest.raises(UsageError, match="cannot be written"):
        Events(tmp_path / "no" / "e")
