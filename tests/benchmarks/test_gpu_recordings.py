"""The leg of ``make gpu`` that records the reference set: what it asks for, one trace, a summary that hides nothing."""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from hashwarden.cli.run_record_plan import candidates, planned
from hashwarden.model.channels import CHANNELS
from hashwarden.model.trace import Run, RunInfo
from hashwarden.model.trace_read import read_runs
from hashwarden.model.trace_write import write_runs

FOLDER = Path(__file__).resolve().parents[2] / "benchmarks" / "gpu"
STAND_IN = Path(__file__).resolve().parents[1] / "serve" / "sources" / "nvml_stand_in.c"


def loaded(name):
    spec = importlib.util.spec_from_file_location(f"gpu_{name}", FOLDER / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def script():
    return loaded("recordings")


@pytest.fixture(scope="module")
def reference():
    return loaded("reference_plan")


@pytest.fixture(scope="module")
def environment(tmp_path_factory):
    """NVML's stand-in with an H100 that computes."""
    folder = tmp_path_factory.mktemp("nvml")
    subprocess.run(["gcc", "-shared", "-fPIC", "-O2", "-o", folder / "libnvidia-ml.so.1", STAND_IN], check=True)
    (folder / "control").write_text("gpus 1\ngpm 1\nmetric 2 81.5\nmetric 4 40\n")
    return os.environ | {"LD_LIBRARY_PATH": str(folder), "HASHWARDEN_STAND_IN": str(folder / "control")}


def entry(name, status, reason="", evasion="", variant="", samples=0, label="mining", family="ethash"):
    item = {"name": name, "label": label, "family": family, "evasion": evasion, "variant": variant, "engine": "auto"}
    return {
        "item": item, "status": status, "reason": reason, "samples": samples, "seconds": 6.04, "began_unix_s": 17.0,
    }  # fmt: skip


PLAN = [
    entry("idle", "recorded", samples=40, label="idle", family="idle"),
    entry("ethash", "recorded", samples=40, evasion="pad", variant="usual"),
    entry("sha256d", "recorded", reason="the workload ran on 'cpu'", samples=40, family="sha256d"),
    entry("llm", "skipped", "torch is not installed", label="inference", family="llm"),
    entry("late", "skipped", "no time: 1 s left, about 9 s needed"),
]


def write_trace(path, *names):
    values = np.full((3, len(CHANNELS)), np.nan, np.float32)
    values[:, 0] = 0.5
    info = RunInfo(origin="recorded", gpu="Test", period_s=0.1)
    write_runs(path, [Run(name, np.arange(3.0), values, info=info) for name in names])


@pytest.fixture
def played(script, monkeypatch, tmp_path):
    """Runs the script, with a recorder that leaves this plan and its traces; gives what was asked of it."""

    def play(entries, code=0, *words):
        asked = []

        def record(folder, wanted, options):
            asked.extend(json.loads(wanted.read_text()))
            folder.mkdir()
            (folder / "plan.json").write_text(json.dumps(entries))
            for done in entries:
                if done["status"] == "recorded":
                    write_trace(folder / f"{script._name(done)}.parquet", script._name(done))
            return code, "said"

        monkeypatch.setattr(sys, "argv", ["recordings.py", "--out", str(tmp_path / "out"), *words])
        monkeypatch.setattr(script, "record", record)
        monkeypatch.setattr(script, "raw_log", lambda path: contextlib.nullcontext({"exit_code": 6}))
        return script.main(), asked

    return play


def test_everything_recorded_is_in_one_trace_and_the_rest_is_named(played, tmp_path, capsys):
    code, _ = played(PLAN)
    assert code == 0
    assert "3 ran, 0 failed, 1 left out" in capsys.readouterr().out
    names = {run.name for run in read_runs(tmp_path / "out" / "recordings-counters.parquet")}
    assert names == {"idle", "ethash+pad@usual", "sha256d"}
    found = json.loads((tmp_path / "out" / "recordings-counters.json").read_text())
    assert found["by_family"] == {"idle idle": 1, "mining ethash": 1, "mining sha256d": 1}
    assert (found["samples"], found["unlabelled"], found["left_out_for_time"]) == (120, ["sha256d"], 1)
    assert found["cannot"] == {"llm": "torch is not installed"}
    assert found["took_s"] == {"idle": 6.0, "ethash+pad@usual": 6.0, "sha256d": 6.0}
    assert found["began_unix_s"]["idle"] == 17.0
    assert found["raw_gpm"] == {"exit_code": 6}


@pytest.mark.parametrize(
    ("plan", "code"), [([], 5), ([*PLAN, entry("bad", "failed", "wrong result")], 0), (PLAN, 70), (PLAN[-1:], 5)]
)
def test_nothing_recorded_or_something_wrong_is_a_failure(played, tmp_path, plan, code):
    assert played(plan, code)[0] == 1
    assert json.loads((tmp_path / "out" / "recordings-counters.json").read_text())["exit_code"] == code


def test_what_was_recorded_before_is_not_asked_for_again(script, reference, played, tmp_path):
    everything = reference.plan("counters")
    have = tmp_path / "have" / "2026-01-02-h100"
    have.mkdir(parents=True)
    write_trace(have / "recordings-counters.parquet", *(script.stem(one) for one in everything[:-2]))
    write_trace(have / "recordings-pm.parquet", script.stem(everything[-1]))
    (have / "recordings-counters-2.parquet").write_bytes(b"cut off")
    assert played(PLAN, 0, "--have", str(tmp_path / "have"))[1] == everything[-2:]
    assert played(PLAN, 0, "--have", str(tmp_path / "have"), "--again")[1] == everything
    assert played(PLAN, 0, "--have", str(tmp_path / "none"))[1] == everything


def test_what_it_asks_of_the_recorder(script, monkeypatch, tmp_path):
    asked = []

    class Recorder:
        def __init__(self, words, **_):
            asked.extend(words)

        def wait(self, _):
            return 0

    monkeypatch.setattr(script.subprocess, "Popen", Recorder)
    options = argparse.Namespace(set="pm", limit=100, seconds=30, more=["size=small"], out=tmp_path)
    assert script.record(tmp_path, tmp_path / "wanted.json", options) == (0, "")
    words = " ".join(asked[len(script.PROGRAM) :])
    assert words.startswith(f"--all --plan {tmp_path}/wanted.json --output {tmp_path} --gpu 0 --period 0.1 ")
    assert "--source nvml --source pm --within 100s --seconds 32 --cut 2 " in words, "what is cut off comes on top"
    assert words.endswith(" --size=small")


@pytest.mark.parametrize("name", ["counters", "pm", "probe"])
def test_the_reference_set_can_be_run_and_has_names_of_its_own(script, reference, tmp_path, name):
    wanted = reference.plan(name)
    (tmp_path / "plan.json").write_text(json.dumps(wanted))
    items = planned(tmp_path / "plan.json", candidates(), "auto")
    assert [item.stem for item in items] == [script.stem(one) for one in wanted]
    assert len({item.family for item in items}) == len({candidate.family for candidate in candidates()}) + 1


def test_the_reference_set_is_what_was_asked_for(reference):
    wanted = reference.plan("counters")
    assert len(wanted) >= 200
    assert {one["workload"] for one in wanted} == {"idle", *(candidate.name for candidate in candidates())}
    evasions = Counter(one.get("evasion", "") for one in wanted)
    assert set(evasions) == {"", "throttle", "duty-cycle", "interleave", "pad", "dual", "few-sms"}
    assert min(evasions.values()) > 10
    assert sum("beside" in one for one in wanted) == 10
    assert all(one["seconds"] >= 90 for one in wanted if one.get("evasion") == "duty-cycle")
    labels = {candidate.name: candidate.label for candidate in candidates()}
    first = Counter(labels.get(one["workload"], "idle") for one in wanted[:20])
    assert len(first) == 6, "a plan that is cut short has seen every label"


def test_the_page_tells_its_size(reference):
    page = (FOLDER.parents[1] / "docs" / "measuring.md").read_text()
    plans = {name: reference.plan(name) for name in ("counters", "pm", "probe")}
    seconds = sum(one.get("seconds") or 30 for plan in plans.values() for one in plan)
    assert f"{len(plans['counters'])} recordings of the counters" in page
    assert f"and {len(plans['pm'])} each with PM sampling and with probes" in page
    assert len(plans["pm"]) == len(plans["probe"])
    assert f"last {seconds:,.0f} s" in page


def test_a_real_recorder_and_a_real_log_on_a_stand_in_for_the_driver(script, reference, environment, tmp_path):
    have, out = tmp_path / "have", tmp_path / "out"
    have.mkdir()
    names = [script.stem(one) for one in reference.plan("counters")]
    write_trace(have / "recordings-counters.parquet", *(name for name in names if name not in {"idle", "cuckatoo"}))
    words = ["--out", out, "--seconds", "1", "--limit", "120", "--have", have, "--more", "size=small", "engine=cpu"]
    done = subprocess.run(
        [sys.executable, FOLDER / "recordings.py", *words], env=environment, capture_output=True, text=True, check=False
    )
    assert "2 ran, 0 failed" in done.stdout, done.stdout + done.stderr
    idle, cuckatoo = read_runs(out / "recordings-counters.parquet")[::-1]
    assert (idle.name, cuckatoo.name, cuckatoo.info.labelled_by) == ("idle", "cuckatoo", "")
    found = json.loads((out / "recordings-counters.json").read_text())
    assert found["raw_gpm"]["exit_code"] == 0, found["raw_gpm"]
    assert found["recorded_before"] == len(names) - 2
    raw = pq.read_table(out / "raw-gpm-counters.parquet")
    assert json.loads(raw.schema.metadata[b"names"])["gpm_4"] == "INTEGER_UTIL"
    assert set(raw["gpm_4"].to_pylist()) == {40.0}
    began = found["began_unix_s"]["cuckatoo"]
    during = [row for row in raw["unix_s"].to_pylist() if began <= row <= began + found["took_s"]["cuckatoo"]]
    assert len(during) > 10, "ten a second while it was recorded"
    assert min(raw["over_s"].to_pylist()) >= 0.099


def test_a_trace_that_is_not_whole_yet_waits_for_the_next_time(script, tmp_path):
    folder, path = tmp_path / "r", tmp_path / "recordings-counters.parquet"
    folder.mkdir()
    assert script.gather(folder, path) == 0
    assert not path.exists()
    write_trace(folder / "a.parquet", "a")
    (folder / "b.parquet").write_bytes((folder / "a.parquet").read_bytes()[:-9])
    assert script.gather(folder, path) == 1
    write_trace(folder / "b.parquet", "b")
    assert script.gather(folder, path) == 2
    assert [run.name for run in read_runs(path)] == ["a", "b"]


def test_ended_by_ctrl_c_it_keeps_what_was_recorded(script, reference, environment, tmp_path):
    have, out = tmp_path / "have", tmp_path / "out"
    have.mkdir()
    names = [script.stem(one) for one in reference.plan("counters")]
    write_trace(have / "recordings-counters.parquet", *(name for name in names if name != "cuckatoo"))
    words = ["--out", out, "--seconds", "300", "--limit", "900", "--have", have, "--more", "size=small", "engine=cpu"]
    process = subprocess.Popen(
        [sys.executable, FOLDER / "recordings.py", *words], env=environment, stdout=subprocess.PIPE, text=True,
        start_new_session=True,
    )  # fmt: skip
    until, folders = time.monotonic() + 120, Path(tempfile.gettempdir())
    while not any(path.stat().st_size > 20_000 for path in folders.glob("hashwarden-*/recordings/cuckatoo*.journal")):
        assert time.monotonic() < until
        assert process.poll() is None
        time.sleep(0.1)
    os.killpg(process.pid, signal.SIGINT)
    assert "1 ran, 0 failed" in process.communicate(timeout=60)[0]
    (run,) = read_runs(out / "recordings-counters.parquet")
    assert (run.name, run.info.parameters["interrupted"]) == ("cuckatoo", True)
    assert json.loads((out / "recordings-counters.json").read_text())["raw_gpm"]["exit_code"] == 0


def test_without_gpm_there_is_no_log_and_the_reason(script, tmp_path):
    with script.raw_log(tmp_path / "raw.parquet") as said:
        said["process"].wait(60)
    assert said["exit_code"] == 6
    assert "no log: " in said["said"]
