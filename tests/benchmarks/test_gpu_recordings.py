"""The leg of ``make gpu`` that records a reference set: one trace, and a summary that hides nothing."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from hashwarden.model.channels import CHANNELS
from hashwarden.model.trace import Run, RunInfo
from hashwarden.model.trace_read import read_runs
from hashwarden.model.trace_write import write_runs

SCRIPT = Path(__file__).resolve().parents[2] / "benchmarks" / "gpu" / "recordings.py"


@pytest.fixture(scope="module")
def script():
    spec = importlib.util.spec_from_file_location("gpu_recordings", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def entry(name, status, reason="", evasion="", samples=0, label="mining", family="ethash"):
    item = {"name": name, "label": label, "family": family, "evasion": evasion, "engine": "auto"}
    return {"item": item, "status": status, "reason": reason, "samples": samples, "seconds": 6.0}


PLAN = [
    entry("idle", "recorded", samples=40, label="idle", family="idle"),
    entry("ethash", "recorded", samples=40, evasion="pad"),
    entry("sha256d", "recorded", reason="the workload ran on 'cpu'", samples=40, family="sha256d"),
    entry("llm", "skipped", "torch is not installed", label="inference", family="llm"),
    entry("late", "skipped", "no time: 1 s left, about 9 s needed"),
]


def played(script, monkeypatch, plan, code=0):
    """The script, with a recorder that leaves this plan and its traces."""

    def record(folder, limit, seconds, more):
        folder.mkdir()
        (folder / "plan.json").write_text(json.dumps(plan))
        for number, done in enumerate(one for one in plan if one["status"] == "recorded"):
            values = np.full((3, len(CHANNELS)), np.nan, np.float32)
            values[:, 0] = 0.5
            info = RunInfo(origin="recorded", gpu="Test", period_s=0.1)
            name = script._stem(done)
            write_runs(folder / f"{name}.parquet", [Run(name, np.arange(3.0) + number, values, info=info)])
        return subprocess.CompletedProcess([], code, "", "said")

    monkeypatch.setattr(script, "record", record)
    return script.main()


def test_everything_recorded_is_in_one_trace_and_the_rest_is_named(script, monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(sys, "argv", ["recordings.py", "--out", str(tmp_path)])
    assert played(script, monkeypatch, PLAN) == 0
    assert "3 ran, 0 failed, 1 left out" in capsys.readouterr().out
    assert {run.name for run in read_runs(tmp_path / "recordings.parquet")} == {"idle", "ethash+pad", "sha256d"}
    found = json.loads((tmp_path / "recordings.json").read_text())
    assert found["by_family"] == {"idle idle": 1, "mining ethash": 1, "mining sha256d": 1}
    assert (found["samples"], found["unlabelled"], found["left_out_for_time"]) == (120, ["sha256d"], 1)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["recordings.json", "recordings.parquet"]


@pytest.mark.parametrize(
    ("plan", "code"), [([], 5), ([*PLAN, entry("bad", "failed", "wrong result")], 0), (PLAN, 70), (PLAN[-1:], 5)]
)
def test_nothing_recorded_or_something_wrong_is_a_failure(script, monkeypatch, tmp_path, plan, code):
    monkeypatch.setattr(sys, "argv", ["recordings.py", "--out", str(tmp_path)])
    assert played(script, monkeypatch, plan, code) == 1
    assert json.loads((tmp_path / "recordings.json").read_text())["exit_code"] == code


def test_what_it_asks_of_the_recorder(script, monkeypatch, tmp_path):
    asked = []
    monkeypatch.setattr(script.subprocess, "run", lambda words, **_: asked.extend(words))
    script.record(tmp_path, 100, 4, ["size", "small"])
    words = " ".join(asked[len(script.PROGRAM) :])
    assert words.startswith(f"--all --output {tmp_path} --gpu 0 --within 100s --period 0.1 ")
    assert words.endswith(" --seconds 6 --cut 2 --start-limit 20 size small"), "2 s more than are asked for are cut off"
