"""Recording a workload: which samples count, who stands for the label, what is left when it goes wrong."""

from __future__ import annotations

import json
import math
import os
import signal
import sys
import threading
import time
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest

from hashwarden.cli import run_record_plan as run_record_module
from hashwarden.cli.run_record import Request, run_record
from hashwarden.errors import DataError, HashwardenError, UsageError
from hashwarden.model.channels import INDEX
from hashwarden.model.trace_read import read_runs
from hashwarden.serve import workload_process as process_module
from hashwarden.serve.campaign import items_of
from hashwarden.serve.record_live import Naming, one_device, open_sources, record_live
from hashwarden.serve.record_work import Gate, Owner, Plan, check_seconds, finished_run, record_idle, record_work
from hashwarden.serve.recorder import Sample, joined, run_of
from hashwarden.serve.sources.runner import Runner
from hashwarden.serve.sources.source import Device, Options, Reading
from hashwarden.serve.workload_process import Work, launch_channels

GPU = Device("GPU-1", 0, "NVIDIA Test 80GB", 90, "570", "12.8")
NAMES = ("mining", "ethash", "throttle")

SCRIPT = """
import json, os, sys, time
said = dict(zip(sys.argv[2::2], sys.argv[3::2]))
name, events = sys.argv[1], open(sys.argv[sys.argv.index("--events") + 1], "w", buffering=1)
def tell(event, **more):
    events.write(json.dumps({"event": event, "time": time.monotonic(), **more}) + "\\n")
if name == "broken":
    print("hashwarden: no such thing; expected another", file=sys.stderr)
    raise SystemExit(2)
if name == "sleepy":
    time.sleep(60)
if name == "quick":
    tell("start")
    print("{}")
    raise SystemExit
time.sleep(0.25)
start = time.monotonic()
tell("start", launches={"warm": [5, 50]})
count = 0
while time.monotonic() - start < 0.8 or name == "endless":
    time.sleep(0.05)
    count += 10
    tell("progress", steps=count, launches={"warm": [5, 50], "kernel": [count, 100 * count]})
    if name == "crash" and count > 80:
        os.abort()
tell("end", steps=count, launches={"warm": [5, 50], "kernel": [count, 100 * count]})
time.sleep(0.3)
print(json.dumps({"workload": name, "label": "mining", "family": "ethash", "device": name, "kept_share": 0.4,
                  "built_share": 0.5, "settings": {"pages": 7}}))
"""


class Counting:
    """A source whose power is the number of the reading."""

    def __init__(self, processes=0.0):
        self.count, self.processes = 0, processes

    def open(self):
        return [GPU]

    def read(self):
        self.count += 1
        values = {"power_watts": float(self.count), "process_count": self.processes}
        return [Reading(GPU.gpu, 0, time.monotonic(), time.time(), values)]

    def close(self):
        pass


@pytest.fixture
def plan(tmp_path, monkeypatch):
    script = tmp_path / "workload.py"
    script.write_text(SCRIPT)
    monkeypatch.setattr(process_module, "PROGRAM", (sys.executable, str(script)))
    runner = Runner({"counting": Counting})
    open_sources(runner, ("counting",))
    yield Plan(runner, GPU, 0.1, threading.Event(), Owner(), cut_s=0.2, start_limit_s=10)
    runner.close()


def recorded(plan, tmp_path, name, **more):
    path = tmp_path / "w.parquet"
    done = record_work(plan, Work(name, **more), path, NAMES, {"sources": ["counting"]})
    (run,) = read_runs(path)
    return done, run


def test_only_the_run_proper_is_kept_without_its_first_part(plan, tmp_path):
    done, run = recorded(plan, tmp_path, "NVIDIA Test 80GB")
    assert done.samples == len(run)
    assert 1 <= len(run) <= 7, "0.8 s at 10 Hz without the first 0.2 s"
    assert run.times[0] == 0
    assert (np.diff(run.times) > 0).all()
    first = run.values[0, INDEX["power_watts"]]
    assert first > 4, "0.25 s before the start and 0.2 s after it are cut off"
    assert run.info.start_unix_s == pytest.approx(time.time(), abs=30)


def test_label_share_settings_and_gpu_are_told(plan, tmp_path):
    done, run = recorded(plan, tmp_path, "NVIDIA Test 80GB")
    assert (run.label, run.family, run.strategy) == NAMES
    info = run.info
    assert (done.labelled_by, done.note, info.labelled_by) == ("construction", "", "construction")
    assert (info.origin, info.gpu, info.architecture, info.driver) == ("recorded", GPU.name, 90, "570")
    assert (info.share, info.period_s) == (0.4, 0.1)
    assert info.made_by.startswith("hashwarden ")
    expected = {"settings": {"pages": 7}, "gpu_uuid": "GPU-1", "cuda": "12.8", "sources": ["counting"]}
    assert {key: info.parameters[key] for key in expected} == expected


def test_launches_are_channels(plan, tmp_path):
    _, run = recorded(plan, tmp_path, "NVIDIA Test 80GB")
    rate = run.values[1:, INDEX["launches_per_s"]]
    assert np.nanmean(rate) == pytest.approx(200, rel=0.6)
    assert np.nanmax(run.values[:, INDEX["threads_per_launch"]]) == 100
    assert np.nanmax(run.values[:, INDEX["distinct_kernels"]]) == 1
    assert np.isnan(run.values[:, INDEX["module_loads_per_s"]]).all(), "what a count cannot tell is missing"


@pytest.mark.parametrize("ran_on", ["cpu", "NVIDIA Other"])
def test_a_workload_that_ran_elsewhere_gives_no_label(plan, tmp_path, ran_on):
    done, run = recorded(plan, tmp_path, ran_on)
    assert (done.labelled_by, run.info.labelled_by) == ("", "")
    assert f"ran on {ran_on!r}" in done.note


def test_a_workload_that_fails_leaves_nothing_and_says_why(plan, tmp_path):
    with pytest.raises(UsageError, match="no such thing"):
        recorded(plan, tmp_path, "broken")
    with pytest.raises(HashwardenError, match="ended with"):
        recorded(plan, tmp_path, "crash")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["workload.py"]


def test_a_workload_that_does_not_begin_is_ended(plan, tmp_path):
    with pytest.raises(DataError, match="did not begin within 0 s"):
        recorded(replace(plan, start_limit_s=0.3), tmp_path, "sleepy")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["workload.py"]


def test_with_others_beside_it_nobody_vouches_for_the_label(plan, tmp_path):
    path = tmp_path / "w.parquet"
    before = time.time()
    others = [Work("endless"), Work("endless", seed=1)]
    done = record_work(plan, Work("NVIDIA Test 80GB"), path, NAMES, {}, others)
    (run,) = read_runs(path)
    assert (run.label, done.labelled_by, run.info.labelled_by) == ("mining", "", "")
    assert "others were on the GPU" in done.note
    assert run.info.parameters["beside"] == ["endless", "endless"]
    assert run.info.start_unix_s - before > 0.9, "each of three waits 0.25 s until the next one, and 0.2 s are cut off"
    assert not [one for one in Path("/proc").glob("[0-9]*/cmdline") if str(tmp_path).encode() in one.read_bytes()]


@pytest.mark.parametrize(
    ("name", "limit", "said"),
    [("broken", 30, "no such thing"), ("sleepy", 1, "sleepy, beside it, did not begin"), ("quick", 30, "ended early")],
)
def test_one_that_does_not_stay_beside_it_spoils_the_recording(plan, tmp_path, name, limit, said):
    path, plan = tmp_path / "w.parquet", replace(plan, start_limit_s=limit)
    with pytest.raises(HashwardenError, match=said):
        record_work(plan, Work("NVIDIA Test 80GB"), path, NAMES, {}, [Work(name)])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["workload.py"]


def test_stopped_in_the_middle_what_there_is_is_sealed_and_the_workload_ended(plan, tmp_path):
    threading.Timer(1.6, plan.stop.set).start()
    done, run = recorded(plan, tmp_path, "endless")
    assert done.samples == len(run) > 0
    assert run.info.parameters["interrupted"] is True
    assert (run.info.labelled_by, math.isnan(run.info.share)) == ("", True)
    assert plan.owner(GPU.gpu) == frozenset()


def test_an_idle_gpu_is_labelled_only_if_no_process_is_on_it(plan, tmp_path):
    done = record_idle(plan, 0.35, tmp_path / "idle.parquet")
    (run,) = read_runs(tmp_path / "idle.parquet")
    assert (run.label, done.labelled_by, run.info.share) == ("idle", "construction", 0.0)
    busy = Runner({"counting": lambda: Counting(processes=1.0)})
    open_sources(busy, ())
    done = record_idle(Plan(busy, GPU, 0.1, threading.Event()), 0.35, tmp_path / "busy.parquet")
    busy.close()
    assert done.labelled_by == ""
    assert "not vouched for" in done.note


def test_shares():
    run = run_of(GPU, 0.1, "x", {})
    report = {"kept_share": None, "built_share": None, "device": "d"}

    def share(label, strategy, **more):
        return finished_run(replace(run, label=label, strategy=strategy), {**report, **more}, "construction").info.share

    assert share("mining", "plain") == 1.0
    assert share("mining", "pad", kept_share=0.3, built_share=0.5) == 0.3
    assert share("mining", "pad", built_share=0.5) == 0.5
    assert share("mining", "pad", kept_share=1.03) == 1.0, "measured against 2 s of full speed: noise"
    assert math.isnan(share("mining", "few-sms"))
    assert share("training", "plain", kept_share=0.9) == 0.0


def test_the_gate_holds_back_what_is_not_known_yet():
    class Process:
        told = process_module._Told()

    def at(*times):
        return [Sample("g", t, t, np.zeros(1, np.float32)) for t in times]

    told, gate = Process.told, Gate(Process, 1.0)
    assert gate.admit(at(1, 2)) == []
    told.started_s = told.heard_s = 3.0
    assert gate.admit(at(3.5, 4.5)) == [], "it was last heard of before"
    told.heard_s = 4.6
    assert [s.time_s for s in gate.admit(at(5.0))] == [4.5], "3.5 is within the first second"
    told.heard_s, told.ended_s = 9.0, 5.5
    assert [s.time_s for s in gate.admit(at(5.4, 5.6))] == [5.0, 5.4]
    assert gate.admit([]) == []


def test_launch_channels_of_two_counts():
    seen = {"a": 3}
    found = launch_channels({"a": (3, 30)}, {"a": (5, 50), "b": (6, 600)}, 2.0, seen)
    assert found == {
        "launches_per_s": 4.0, "distinct_kernels": 2.0, "top_kernel_ratio": 0.75, "new_kernel_ratio": 0.75,
        "threads_per_launch": 620 / 8,
    }  # fmt: skip
    assert seen == {"a": 5, "b": 6}
    assert launch_channels({"a": (5, 50)}, {"a": (5, 50)}, 1.0, seen) == {"launches_per_s": 0, "distinct_kernels": 0}


def test_readings_of_a_tick_are_joined_and_the_first_source_wins():
    readings = [
        Reading("g", 0, 1.00, 5, {"power_watts": 1.0}),
        Reading("h", 1, 1.00, 5, {"power_watts": 7.0}),
        Reading("g", 0, 1.02, 5, {"power_watts": 2.0, "launches_per_s": 3.0}),
        Reading("g", 0, 1.30, 5, {"power_watts": 4.0}),
    ]
    found = joined(readings, 0.05)
    assert [(s.gpu, s.time_s, s.values[INDEX["power_watts"]]) for s in found] == [
        ("g", 1, 1),
        ("h", 1, 7),
        ("g", 1.3, 4),
    ]
    assert found[0].values[INDEX["launches_per_s"]] == 3


def test_the_command_line_of_a_workload():
    work = Work("ethash", "pad", "gpu", "cupy", 30, ("pages=7",), ("share=40",), ("fft",), 3)
    words = work.arguments(Path("e"))[len(process_module.PROGRAM) :]
    assert words == [
        "ethash", "--json", "--events", "e", "--seconds", "30", "--engine", "cupy", "--seed", "3", "--size", "gpu",
        "--evasion", "pad", "--set", "pages=7", "--evasion-set", "share=40", "--with", "fft",
    ]  # fmt: skip


def test_live_runs_are_labelled_by_an_operator_or_not_at_all(plan, tmp_path):
    def live(path, naming):
        more = {"seconds": 0.35, "period_s": 0.1, "stop": plan.stop, "more": {}}
        record_live(plan.runner, plan.runner.devices, tmp_path / path, naming, **more)
        (run,) = read_runs(tmp_path / path)
        return run.label, run.family, run.info.labelled_by, run.info.share

    assert live("a.parquet", Naming("training", "llm", "plain", "operator:me")) == ("training", "llm", "operator:me", 0)
    label, _, by, share = live("b.parquet", Naming())
    assert (label, by, math.isnan(share)) == ("", "", True)
    with pytest.raises(UsageError, match="operator:NAME"):
        live("c.parquet", Naming("training"))
    with pytest.raises(UsageError, match="it exists"):
        live("a.parquet", Naming())
    assert not (tmp_path / "c.parquet").exists()


def test_silent_sources_leave_nothing(tmp_path):
    class Mute(Counting):
        def read(self):
            raise ValueError("mute")

    runner = Runner({"mute": Mute})
    with pytest.raises(DataError, match="not a single sample"):
        record_live(
            runner, [GPU], tmp_path / "t.parquet", Naming(), seconds=0.2, period_s=0.1, stop=threading.Event(), more={}
        )
    runner.close()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("period", [0.05, 61, float("nan")])
def test_periods_out_of_range(plan, tmp_path, period):
    with pytest.raises((UsageError, ValueError)):
        record_live(
            plan.runner, [GPU], tmp_path / "t.parquet", Naming(), seconds=1, period_s=period, stop=plan.stop, more={}
        )


def test_a_workload_needs_one_gpu_and_a_run_longer_than_what_is_cut():
    assert one_device([GPU]) == GPU
    with pytest.raises(UsageError, match="2 GPUs"):
        one_device([GPU, GPU])
    with pytest.raises(UsageError, match="cut off"):
        check_seconds(2.0, 2.0)


def test_a_source_that_was_asked_for_must_open():
    class Refusing(Counting):
        def open(self):
            raise UsageError("no", "yes", "Try.")

    runner = Runner({"good": Counting, "bad": Refusing})
    assert open_sources(runner, ()) == (GPU,)
    with pytest.raises(UsageError, match="no"):
        open_sources(runner, ("bad",))
    runner.close()


def test_a_workload_that_heeds_no_signal_is_killed(plan, tmp_path, monkeypatch):
    monkeypatch.setattr(process_module, "_END_S", 0.2)
    with process_module.WorkloadProcess(Work("endless"), GPU, tmp_path) as process:
        plan.owner.process = process
        own = Options(own_pids=plan.owner).own_pids(GPU.gpu)
        assert process._process.pid in own
        assert os.getpid() not in own
        os.kill(process._process.pid, signal.SIGSTOP)
        while " T " not in Path(f"/proc/{process._process.pid}/stat").read_text():
            time.sleep(0.01)
    assert process.over
    assert process._process.returncode == -signal.SIGKILL


def test_a_plan_of_workloads_goes_on_where_it_ended(nvml, tmp_path, monkeypatch):
    script = tmp_path / "workload.py"
    script.write_text(SCRIPT)
    monkeypatch.setattr(process_module, "PROGRAM", (sys.executable, str(script)))
    names = {field.name: None for field in fields(Request)}
    given = {
        "plan": None,
        "gpus": (),
        "sources": (),
        "settings": (),
        "evasion_settings": (),
        "company": (),
        "period_s": 0.1,
    }
    given |= {"label": "", "labelled_by": "", "family": "", "strategy": "plain", "workload": "", "evasion": ""}
    given |= {"output": tmp_path / "all", "everything": True, "recover": False, "engine": "cpu", "size": "small"}
    request = Request(
        **names | given | {"seconds": 0.7, "cut_s": 0.1, "seed": 0, "start_limit_s": 30, "within_s": 99.0}
    )
    for many in (2, 3):
        monkeypatch.setattr(run_record_module, "items_of", lambda *args, many=many: items_of(*args)[:many])
        run_record(request)
        plan = json.loads((tmp_path / "all" / "plan.json").read_text())
        before = ["recorded already"] * (many - 1 if many == 3 else 0)
        assert [entry["reason"] for entry in plan][: len(before)] == before
        assert plan[-1]["status"] == "recorded"
    name = plan[-1]["item"]["name"]
    (run,) = read_runs(tmp_path / "all" / f"{name}.parquet")
    assert (run.info.gpu, run.info.labelled_by) == ("Stand-in H100", "")
    assert run.info.parameters["workload"] == run.name == name
