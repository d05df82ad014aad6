"""``hashwarden record`` as a process, on the stand-in for NVML: what it writes, and what a bad end leaves."""

from __future__ import annotations

import importlib.util
import itertools
import json
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from hashwarden.model.channels import INDEX
from hashwarden.model.trace_read import read_runs
from hashwarden.serve.journal import journal_of
from hashwarden.version import __version__

PROGRAM = [sys.executable, "-c", "from hashwarden.cli import main; main()", "record"]
SPEC = importlib.util.spec_from_file_location(
    "record_dcgm_server", Path(__file__).parent / "sources" / "dcgm_server.py"
)
server = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(server)
OPERATOR = ["--label", "training", "--labelled-by", "operator:jane"]


def record(environment, *arguments, timeout=120):
    command = [*PROGRAM, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, env=environment, timeout=timeout, check=False)


@pytest.fixture
def started(environment):
    """Starts a recording; gives it when its journal grows."""
    made = []

    def start(path, *arguments):
        process = subprocess.Popen(
            [*PROGRAM, "--output", str(path), *arguments], env=environment, stderr=subprocess.PIPE, text=True
        )
        made.append(process)
        wait_for(lambda: size(path) > 5000 or process.poll() is not None)
        return process

    yield start
    for process in made:
        if process.poll() is None:
            process.kill()
        process.communicate()


def size(path):
    journal = journal_of(path)
    return journal.stat().st_size if journal.exists() else 0


def wait_for(condition, limit=60.0):
    deadline = time.monotonic() + limit
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def column(run, name):
    return run.values[:, INDEX[name]]


def test_a_small_workload_is_recorded(environment, control, tmp_path):
    path = tmp_path / "t.parquet"
    done = record(
        environment, "--output", path, "--workload", "cuckatoo", "--engine", "cpu", "--size", "small", "--seconds", 2.2,
        "--cut", 0.5, "--evasion", "throttle", "--evasion-set", "share=40",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "the workload ran on 'cpu'" in done.stderr
    (run,) = read_runs(path)
    assert (run.name, run.label, run.family, run.strategy) == ("t", "mining", "cuckoo", "throttle")
    assert run.info.labelled_by == "", "counters of a GPU on which the workload did not run"
    assert 4 <= len(run) <= 18
    assert (np.diff(run.times) > 0).all()
    assert run.times[-1] <= 1.75
    info, parameters = run.info, run.info.parameters
    assert (info.origin, info.gpu, info.driver, info.architecture) == (
        "recorded",
        "Stand-in H100",
        "570.00.stand-in",
        90,
    )
    assert (info.made_by, info.period_s, parameters["cuda"]) == (f"hashwarden {__version__}", 0.1, "12.8")
    assert abs(info.start_unix_s - time.time()) < 120
    assert 0 < info.share < 0.9
    assert (parameters["workload"], parameters["engine"], parameters["settings"]["edge_bits"]) == (
        "cuckatoo",
        "cpu",
        10,
    )
    np.testing.assert_allclose(column(run, "power_ratio"), 0.5)
    integer = column(run, "integer_active_ratio")
    np.testing.assert_allclose(integer[np.isfinite(integer)], 0.04, rtol=1e-6)
    assert np.isfinite(integer).sum() >= 3
    assert np.nanmax(column(run, "launches_per_s")) > 10
    names = pq.read_schema(path).names
    assert "pm_alu_ratio" not in names, "channels that nothing was seen of are no columns"
    assert not journal_of(path).exists()


def test_a_live_job_is_recorded_on_every_device(environment, control, tmp_path):
    control.write("gpus 2", "mig 1 2")
    path = tmp_path / "live.parquet"
    done = record(environment, "--output", path, "--seconds", 0.5, *OPERATOR, "--family", "llm")
    assert done.returncode == 0, done.stderr
    runs = {run.name: run for run in read_runs(path)}
    assert set(runs) == {"live-0", "live-1-mig7", "live-1-mig8"}
    assert {(r.label, r.family, r.info.labelled_by) for r in runs.values()} == {("training", "llm", "operator:jane")}
    assert runs["live-1-mig7"].info.parameters["gpu_uuid"] == "MIG-1-0-stand-in"
    assert np.isnan(column(runs["live-1-mig7"], "power_watts")).all()


def test_without_a_label_it_is_marked_so(environment, control, tmp_path):
    done = record(environment, "--output", tmp_path / "t.parquet", "--seconds", 0.3, "--gpu", "0")
    assert done.returncode == 0
    assert "unlabelled" in done.stderr
    (run,) = read_runs(tmp_path / "t.parquet")
    assert (run.label, run.info.labelled_by) == ("", "")


@pytest.mark.parametrize("name", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_seals_the_trace(started, control, tmp_path, name):
    path = tmp_path / "t.parquet"
    process = started(path, "--seconds", "0", *OPERATOR)
    process.send_signal(name)
    assert process.wait(30) == 0
    (run,) = read_runs(path)
    assert len(run) > 5
    assert run.info.labelled_by == "operator:jane"
    assert not journal_of(path).exists()


def test_killed_it_loses_next_to_nothing(started, environment, control, tmp_path):
    path = tmp_path / "t.parquet"
    process = started(path, "--seconds", "0", *OPERATOR)
    time.sleep(0.5)
    begun = size(path)
    process.kill()
    process.wait()
    assert not path.exists()
    again = record(environment, "--output", path, "--seconds", 1)
    assert again.returncode == 2
    assert "--recover" in again.stderr
    done = record(environment, "--recover", "--output", path)
    assert done.returncode == 0, done.stderr
    (run,) = read_runs(path)
    assert len(run) >= begun // 400, "all that the journal held when it was killed"
    assert (run.label, run.info.labelled_by) == ("training", "operator:jane")
    assert not journal_of(path).exists()


def test_a_killed_recorder_takes_its_workload_with_it(environment, control, tmp_path):
    path = tmp_path / "t.parquet"
    words = ["--workload", "cuckatoo", "--engine", "cpu", "--size", "small", "--seconds", "60", "--cut", "0"]
    recorder = subprocess.Popen([*PROGRAM, "--output", str(path), *words], env=environment, stderr=subprocess.DEVNULL)
    wait_for(lambda: size(path) > 3000)
    (child,) = children(recorder.pid)
    recorder.kill()
    recorder.wait()
    wait_for(lambda: not alive(child), limit=20)
    done = record(environment, "--recover", "--output", path)
    assert done.returncode == 0, done.stderr
    (run,) = read_runs(path)
    assert (run.label, run.family, run.info.labelled_by) == ("mining", "cuckoo", "")


def children(pid):
    with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as file:  # noqa: PTH123
        return [int(word) for word in file.read().split()]


def alive(pid):
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii") as file:  # noqa: PTH123
            return file.read().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


@pytest.fixture
def tiny_disk(small_disk):
    return small_disk("16k")


def test_a_full_disk_is_one_error_and_keeps_what_was_written(environment, control, tiny_disk, tmp_path):
    path = tiny_disk / "t.parquet"
    done = record(environment, "--output", path, "--seconds", 20, *OPERATOR)
    assert done.returncode == 5
    assert "No space left on device" in done.stderr
    assert "Traceback" not in done.stderr
    assert len([line for line in done.stderr.splitlines() if line.startswith("hashwarden:")]) == 1
    if not path.exists():  # no room for the trace beside its journal
        moved = journal_of(tmp_path / "t.parquet")
        shutil.copy(journal_of(path), moved)
        assert record(environment, "--recover", "--output", tmp_path / "t.parquet").returncode == 0
        path = tmp_path / "t.parquet"
    (run,) = read_runs(path)
    assert len(run) > 10
    assert run.info.labelled_by == "operator:jane"


def test_a_gpu_that_is_lost_in_the_middle_leaves_a_gap_and_comes_back(started, control, tmp_path):
    path = tmp_path / "t.parquet"
    control.write("gpus 2")
    process = started(path, "--seconds", "0")
    control.write("gpus 2", "lost 1")
    time.sleep(0.6)
    control.write("gpus 2")
    time.sleep(1.6)
    process.send_signal(signal.SIGINT)
    assert process.wait(30) == 0, process.stderr.read()
    whole, lost = sorted(read_runs(path), key=lambda run: run.name)
    assert np.diff(lost.times).max() > 0.9, "NVML is opened anew after a second, and it was found again"
    assert np.diff(whole.times).max() < np.diff(lost.times).max()


def test_a_driver_that_hangs_costs_samples_and_is_an_alert(started, control, tmp_path):
    path = tmp_path / "t.parquet"
    process = started(path, "--seconds", "0")
    control.write("hang nvmlDeviceGetPowerUsage 6500")
    time.sleep(0.3)
    control.write()
    time.sleep(8.0)
    process.send_signal(signal.SIGINT)
    assert process.wait(30) == 0
    assert "1 hangs" in process.stderr.read()
    (run,) = read_runs(path)
    gaps = np.diff(run.times)
    assert 6.0 < gaps.max() < 12.0
    assert (np.sort(gaps)[:-1] < 4.0).all()


def test_a_recording_can_be_recorded_again(environment, control, tmp_path):
    first, second = tmp_path / "a.parquet", tmp_path / "b.parquet"
    assert record(environment, "--output", first, "--seconds", 0.6).returncode == 0
    done = record(environment, "--output", second, "--source", "replay", "--replay", first, "--seconds", 0.5)
    assert done.returncode == 0, done.stderr
    (run,) = read_runs(second)
    assert run.info.gpu == "Stand-in H100"
    np.testing.assert_allclose(column(run, "power_watts"), 350.0)


def test_all_workloads_as_far_as_time_goes(environment, control, tmp_path):
    words = ["--all", "--engine", "cpu", "--size", "small", "--seconds", "0.6", "--cut", "0.1", "--within", "16s"]
    done = record(environment, "--output", tmp_path / "all", *words)
    assert done.returncode == 0, done.stderr
    noted = json.loads((tmp_path / "all" / "plan.json").read_text())
    assert [entry["item"]["name"] for entry in noted if entry["status"] == "recorded"] == ["idle"]
    assert all(entry["reason"].startswith("no time") for entry in noted[1:])
    assert len(noted) > 60
    (idle,) = read_runs(tmp_path / "all" / "idle.parquet")
    assert (idle.label, idle.info.labelled_by) == ("idle", "construction")


def test_a_plan_of_ones_own_with_one_beside_another(environment, control, tmp_path):
    entry = {"workload": "cuckatoo", "engine": "cpu", "variant": "a", "size": "small", "seconds": 1.4}
    plan = [entry, {**entry, "variant": "b", "beside": ["sha256d"]}]
    (tmp_path / "mine.json").write_text(json.dumps(plan))
    words = ["--all", "--plan", tmp_path / "mine.json", "--cut", "0.1", "--within", "5min"]
    done = record(environment, "--output", tmp_path / "own", *words, "--size", "small", timeout=300)
    assert done.returncode == 0, done.stderr
    assert "2 recorded, 0 failed, 0 skipped" in done.stderr
    (alone,), (beside,) = (read_runs(tmp_path / "own" / f"cuckatoo@{name}.parquet") for name in "ab")
    assert "beside" not in alone.info.parameters
    assert (beside.info.parameters["beside"], beside.info.labelled_by) == (["sha256d"], "")


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["--label", "training"], 2, "operator:NAME"),
        (["--workload", "ethash", "--label", "mining"], 2, "the workload has its own"),
        (["--workload", "no-such"], 2, "no workload is called"),
        (["--workload", "ethash", "--seconds", "1"], 2, "cut off"),
        (["--period", "0.01"], 2, "0.1 to 60 s"),
        (["--gpu", "5"], 6, "no GPU of NVML is 5"),
        (["--source", "nope"], 2, "no source is called"),
        (["--plan", "none.json"], 2, "Add --all"),
        (["--all", "--plan", "none.json"], 5, "No such file"),
        (["--all", "--plan", "none.json", "--evasion", "pad"], 2, "Write it into the plan"),
        (["--workload", "ethash", "--source", "pm", "--source", "probe"], 2, "Record twice"),
        (["--source", "replay"], 2, "without a trace"),
        (["--recover"], 5, "no journal"),
    ],
)
def test_what_cannot_be_meant(environment, control, tmp_path, words, code, said):
    done = record(environment, "--output", tmp_path / "t.parquet", *words)
    assert (done.returncode, said in done.stderr) == (code, True), done.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["control"]


def test_without_a_driver_it_says_so(environment, control, tmp_path):
    control.write("gone 1")
    done = record(environment, "--output", tmp_path / "t.parquet")
    assert done.returncode == 6
    assert "Install NVIDIA's driver" in done.stderr


def test_an_exporter_elsewhere_is_recorded_by_its_address(environment, tmp_path):
    path, watts = tmp_path / "t.parquet", itertools.count(300)

    class Growing(server.Exporter):
        @property
        def body(self):
            return server.page(power=next(watts))

        @body.setter
        def body(self, _):
            pass

    with server.serving(make=Growing) as exporter:
        done = record(environment, "--output", path, "--source", "dcgm", "--dcgm-url", exporter.url, "--period", 0.5,
                      "--seconds", 4)  # fmt: skip
    assert done.returncode == 0, done.stderr
    (run,) = read_runs(path)
    assert (run.info.parameters["gpu_uuid"], run.info.parameters["sources"]) == (server.GPUS[0], ["dcgm"])
    power = column(run, "power_watts")
    assert np.isfinite(power).any()
    assert (np.diff(power[np.isfinite(power)]) > 0).all()
    assert exporter.asked[0][0] == "/metrics"


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--dcgm-url", "http://127.0.0.1:1/metrics"], "an address without the source 'dcgm'"),
        (["--source", "dcgm", "--dcgm-url", "http://h/", "--prometheus-url", "http://p/"], "one of them"),
        (["--source", "dcgm", "--dcgm-url", "http://jane:hunter2@h/metrics"], "a URL with a user or a password"),
        (["--source", "dcgm", "--dcgm-url", "http://h/metrics?access_token=hunter2"], "looks like a secret"),
        (["--source", "dcgm", "--prometheus-url", "http://h/?API-Key=hunter2"], "looks like a secret"),
    ],
)
def test_addresses_that_cannot_be_meant_are_refused_and_secrets_not_repeated(environment, tmp_path, flags, words):
    done = record(environment, "--output", tmp_path / "t.parquet", *flags)
    assert done.returncode == 2
    assert words in done.stderr
    assert "hunter2" not in done.stdout + done.stderr
