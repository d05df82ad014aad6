"""What the script on telemetry says, and from what: a stand-in for the driver, real processes, a real nobody.

Here are no NVIDIA driver and no GPU: NVML is tests/serve/sources/nvml_stand_in.c, the loads compute on the CPU. What is
tested is what is asked of whom, and which sentence follows from which numbers; not what a GPU would answer.
"""

from __future__ import annotations

import importlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from types import SimpleNamespace

import pytest

ROOT = Path(__file__).resolve().parents[2]
QUESTIONS = ROOT / "benchmarks" / "gpu" / "questions"
STAND_IN = ROOT / "tests" / "serve" / "sources" / "nvml_stand_in.c"
NOBODY = 65534
RUN = """
import sys
sys.path.insert(0, {folder!r})
import answer
answer.gpu_count = lambda: 1
answer.describe = lambda: {{"gpu": "Stand-in", "compute_capability": "9.0"}}
import telemetry, telemetry_cost, telemetry_metrics, telemetry_slowdown
telemetry.DEVICE, telemetry.FRESH_S, telemetry.SETTLE_S = {device!r}, 0.2, 0.0
telemetry_cost.timed.__defaults__ = (30, 0.2, 0.0)
telemetry_cost.tick_latency.__defaults__ = (4,)
telemetry_cost.SERIES = {{0.02: 3, telemetry_cost.LEAST_S: 11}}
telemetry_metrics.LATEST_S, telemetry_metrics.IN_LONG, telemetry_metrics.LONG = 0.3, 3, 1
telemetry_slowdown.WINDOW_S = telemetry_slowdown.SHORT_WINDOW_S = 0.3
telemetry_slowdown.MOST_ROUNDS = telemetry_slowdown.LEAST_ROUNDS
raise SystemExit(telemetry.main())
"""


def module(name):
    sys.path.insert(0, str(QUESTIONS))
    try:
        return importlib.import_module(name)
    finally:
        sys.path.remove(str(QUESTIONS))


@pytest.fixture(scope="module")
def driver():
    """A folder that everybody may read, with the stand-in; pytest's own are closed to nobody."""
    folder = Path(tempfile.mkdtemp(prefix="hashwarden-test-"))
    folder.chmod(0o755)
    subprocess.run(["gcc", "-shared", "-fPIC", "-O2", "-o", folder / "libnvidia-ml.so.1", STAND_IN], check=True)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def stand_in(driver):
    def told(*lines):
        control = driver / "control"
        control.write_text("".join(f"{line}\n" for line in lines))
        control.chmod(0o644)
        path = os.pathsep.join([str(ROOT / "benchmarks" / "gpu"), os.environ.get("PYTHONPATH", "")])
        return os.environ | {
            "LD_LIBRARY_PATH": str(driver), "HASHWARDEN_STAND_IN": str(control), "PYTHONPATH": path
        }  # fmt: skip

    return told


@pytest.fixture
def measured(stand_in, tmp_path):
    def run(*lines, device="cpu", limit=100):
        done = subprocess.run(
            [sys.executable, "-c", RUN.format(folder=str(QUESTIONS), device=device),
             "--out", str(tmp_path / "out"), "--limit", str(limit)],
            env=stand_in(*lines), capture_output=True, text=True, check=False,
        )  # fmt: skip
        return done, json.loads((tmp_path / "out" / "telemetry.json").read_text())

    return run


def asked_as(uid, environment, folder=QUESTIONS):
    done = subprocess.run(
        [sys.executable, str(folder / "telemetry_child.py"), "user", str(uid)],
        env=environment, input="go\n", capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become nobody")
def test_nobody_asks_as_nobody_with_scripts_that_only_root_may_read(stand_in, tmp_path):
    folder = tmp_path / "questions"
    shutil.copytree(QUESTIONS, folder)
    folder.chmod(0o700)
    found = asked_as(NOBODY, stand_in("gpus 1", "refuse 4 3"), folder)
    assert found["uids"] == [NOBODY] * 3
    assert int(found["capabilities"], 16) == 0
    asked = found["asked"]
    assert asked["nvmlGpmSampleGet"] == {"answers": True, "said": None}
    assert asked["nvmlGpmMetricsGet"]["said"] > 100
    assert {"power_watts", "sm_active_ratio"} <= set(asked["source nvml"]["said"]["channels"])


def test_what_is_refused_is_told_in_nvmls_words(stand_in):
    asked = asked_as(0, stand_in("gpus 1", "fail nvmlGpmSampleGet 4", "fail nvmlDeviceGetPowerUsage 4"))["asked"]
    for name in ("nvmlGpmSampleGet", "nvmlDeviceGetPowerUsage()"):
        assert asked[name] == {"answers": False, "said": "Insufficient Permissions (code 4)"}
    assert not asked["nvmlGpmMetricsGet"]["answers"]
    assert asked["nvmlDeviceGetClockInfo(1)"]["answers"]


def user(uid, **answers):
    names = {
        "nvmlInit": True, "nvmlDeviceGetPowerUsage()": True, "nvmlGpmSampleGet": True, "nvmlGpmMetricsGet": 100,
        "source nvml": {"channels": ["a", "b"], "faults": {}},
    }  # fmt: skip
    asked = {}
    for name, said in (names | answers).items():
        refused = isinstance(said, str)
        asked[name] = {"answers": not refused, "said": None if said is True else said}
    return {"uid": uid, "capabilities": "0", "asked": asked}


def told(root, other):
    answer = SimpleNamespace(said=[], left=[])
    answer.say, answer.leave = answer.said.append, answer.left.append
    module("telemetry").tell_privilege(answer, root, other)
    return answer.said, answer.left


def test_a_refusal_to_nobody_alone_is_an_answer():
    said, left = told(user(0), user(9, nvmlGpmSampleGet="Insufficient Permissions (code 4)", nvmlGpmMetricsGet="no"))
    assert said[0] == "privilege: 2 of 2 calls of plain NVML answer uid 9 (capabilities 0), 2 answer uid 0."
    assert "privilege: nvmlGpmSampleGet does not answer uid 9 (capabilities 0): Insufficient Permissions (code 4); " \
        "for uid 0 it answers." in said  # fmt: skip
    assert any(one.endswith("for uid 0 it answers with 100.") for one in said)
    assert left == []


def test_a_refusal_to_both_or_a_fault_of_the_script_leaves_it_open():
    refused = "Not Supported (code 3)"
    said, left = told(
        user(0, nvmlGpmSampleGet=refused), user(9, nvmlGpmSampleGet=refused, nvmlGpmMetricsGet="ImportError: no")
    )
    assert not any("SampleGet" in one or "MetricsGet" in one for one in said)
    assert [one.split()[1] for one in left] == ["nvmlGpmSampleGet", "nvmlGpmMetricsGet"]


def test_channels_that_root_alone_has_are_named():
    said, _ = told(user(0), user(9, **{"source nvml": {"channels": ["b"], "faults": {}}}))
    assert said[-1] == (
        "privilege: the source nvml gives uid 9 (capabilities 0) 1 channels, uid 0 2; "
        "those that only the latter has: a."
    )


def test_the_whole_of_it(measured):
    done, found = measured("gpus 1", "refuse 4 3", "refuse 170 3", "unknown 300", "metric 172 40", "metric 164 0.75",
                           "process_sm 3", "value process_sm 60")  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert found["open"] == [  # the stand-in's stamps are those of the monotonic clock
        "processes: how old samples are: their time stamps are not those of the Unix clock"
    ]
    assert {one.partition(":")[0] for one in found["answers"]} == {
        "privilege", "metrics", "processes", "cost", "slowdown", "freshness"
    }  # fmt: skip
    results, said = found["results"], "\n".join(found["answers"])
    assert results["metrics"]["ids_by_code"]["idle"]["3"] == "4 170"
    assert results["metrics"]["ids_by_code"]["two processes"]["2"].startswith("300-")
    assert "metrics: 164 DRAM_CACHE_HIT: idle 0.75, one process 0.75, two processes 0.75." in said
    assert "switches (170 to 209) 171-209 have a value (idle); codes of the others: Not Supported" in said
    assert results["context switches"]["172"]["long_window_over_short"] == {
        "idle": 1.0, "one process": 1.0, "two processes": 1.0
    }  # fmt: skip
    assert "named both busy processes" in said
    assert "processes: 0 of the two are named by the PIDs" in said
    assert results["latency of a tick"]["a reading of the source nvml at 10 Hz (1 GPUs)"]["calls"] == 4
    assert "refused: Invalid Argument (code 2)." in said  # windows of 20 ms
    rows = results["slowdown"]["windows"]
    assert sorted({row["period_s"] for row in rows}) == [0.0, 0.1, 0.2, 1.0]
    assert all((row["ticks"] > 0) == (row["period_s"] > 0) for row in rows)
    assert set(results["slowdown"]["recorder"]) == {"1", "0.2", "0.1"}
    assert results["loads"]["train"].startswith("torch on cpu, transformer")


def test_without_gpm_the_rest_is_measured(measured):
    done, found = measured("gpus 1", "gpm 0")
    assert "Traceback" not in done.stderr
    assert any(why.startswith("metrics, processes, cost of calls, freshness:") and "no GPM" in why
               for why in found["open"])  # fmt: skip
    assert {one.partition(":")[0] for one in found["answers"]} == {"privilege", "cost", "slowdown"}


def test_loads_that_do_not_start_are_named_and_hide_nothing_else(measured):
    done, found = measured("gpus 1", device="cuda")
    assert "Traceback" not in done.stderr
    for kind in ("integer", "gemm", "pulse", "train"):
        assert any(f"the load {kind} did not start" in why for why in found["open"])
    assert {one.partition(":")[0] for one in found["answers"]} == {"privilege", "metrics", "cost", "processes"}
    assert not any("one process" in one for one in found["answers"] if one.startswith("metrics: 2"))


def test_without_a_gpu_it_ends_with_six(tmp_path):
    done = subprocess.run(
        [sys.executable, str(QUESTIONS / "telemetry.py"), "--out", str(tmp_path)],
        env=os.environ | {"PYTHONPATH": os.pathsep.join([str(QUESTIONS.parent), os.environ.get("PYTHONPATH", "")])},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 6, done.stderr
    assert done.stdout.splitlines()[-1].startswith("0 ran")


def test_how_long_a_value_lasts():
    cost = module("telemetry_cost")
    times = [0.01 * n for n in range(100)]
    row = cost.changes(times, [n // 10 for n in range(100)])
    assert (row["looks"], row["changes"]) == (100, 9)
    assert row["look_ms"] == pytest.approx(10)
    assert row["between_changes_ms"] == pytest.approx({"p10": 100, "p50": 100, "p90": 100, "least": 100})
    assert "between_changes_ms" not in cost.changes(times, [1.0] * 100)


def rows_of(rounds, slow, noise=(0.0,)):
    """Rounds in which recording at 10 Hz makes steps longer by ``slow``, and each round is slower than the last."""
    found = []
    for number in range(rounds):
        base = 10.0 / (1 + 0.05 * number)
        for period in (0.1, 0.0, 1.0, 0.2):
            rate = base / (1 + slow + noise[number % len(noise)]) if period == 0.1 else base
            row = {"period_s": period, "steps_per_s": rate, "median_step_s": 1 / rate, "start": 0.0, "stop": 2.0}
            found.append(row | {"ticks": int(2 / period) if period else 0, "cpu_s": 0.01 if period else 0.0})
    return found


def test_a_slowdown_is_found_under_a_drift_and_none_is_none():
    slowdown = module("telemetry_slowdown")
    for by in ("mean", "median"):
        row = slowdown.slower(rows_of(6, 0.03), 0.1, by)
        assert row["slower_percent"] == pytest.approx(3)
        assert row["interval_95_percent"] == pytest.approx([3, 3])
        assert slowdown.slower(rows_of(6, 0.0), 1.0, by)["slower_percent"] == pytest.approx(0)
        assert slowdown.slower(rows_of(3, 0.03), 0.1, by) is None
    low, high = slowdown.slower(rows_of(6, 0.0, (-0.02, 0.02)), 0.1, "mean")["interval_95_percent"]
    assert low < 0 < high


def test_sentences_on_slowdown_say_where_nothing_is_not_ruled_out():
    slowdown, said, left = module("telemetry_slowdown"), [], []
    result = slowdown.tell(said.append, left.append, rows_of(6, 0.03, (-0.001, 0.001)), "a training")
    ten = [one for one in said if "10 Hz" in one]
    assert all("3." in one or "2.9" in one for one in ten)
    assert not any("not ruled out" in one for one in ten)
    assert all("not ruled out" in one for one in said if one.startswith("slowdown") and "10 Hz" not in one)
    assert result["recorder"]["0.1"] == pytest.approx(
        {"ticks_per_s": 10, "share_of_a_core": 0.005, "cpu_ms_per_tick": 0.5}
    )
    assert left == []
    slowdown.tell(said.append, left.append, rows_of(2, 0.03), "a training")
    assert len(left) == 6


@pytest.mark.parametrize(
    ("left_s", "rounds", "window_s"), [(500, 10, 2.95), (74, 6, 2.95), (40, 4, 1.95), (20, 0, 1.95)]
)
def test_the_time_that_is_left_decides_on_rounds(left_s, rounds, window_s):
    assert module("telemetry_slowdown").plan(left_s) == (rounds, window_s)


def test_ids_are_written_short():
    ranges = module("telemetry_metrics").ranges
    assert ranges([7, 1, 2, 3, 9, 10]) == "1-3 7 9-10"
    assert ranges([]) == ""


def test_a_second_process_that_shows_is_told():
    metrics, said = module("telemetry_metrics"), []
    seconds = {"short": 0.2, "long": 1.0}

    def row(rate):
        return {key: {"seconds": s, "values": {172: rate * s}} for key, s in seconds.items()}

    result = metrics.tell_switches(said.append, {"idle": row(0.0), "two processes": row(1000.0)})
    assert result["172"]["per_s"] == {"idle": 0.0, "two processes": 1000.0}
    assert result["172"]["long_window_over_short"] == {"two processes": pytest.approx(5.0)}
    assert "idle 0, two processes 1000" in said[0]
    assert metrics.tell_switches(said.append, {"idle": row(0.0)}) == {}
    assert said[-1].endswith("are 0 under every condition.")
