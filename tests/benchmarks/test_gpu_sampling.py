"""What the script on PM sampling says, and from what: a collector that plays a GPU, processes that are real.

Here is no GPU: the collector makes samples by the clock, NVML is tests/serve/sources/nvml_stand_in.c, ncu a few lines
of shell, the loads compute on the CPU. What is tested is which sentence follows from which numbers.
"""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[2]
QUESTIONS = ROOT / "benchmarks" / "gpu" / "questions"
STAND_IN = ROOT / "tests" / "serve" / "sources" / "nvml_stand_in.c"
NOBODY = 65534
COUNTS = '"ID","sm__cycles_active.avg"\n"0","1234"'
REFUSED = "==ERROR== Profiling failed because a driver resource was unavailable."
RUN = """
import sys, time
from functools import partial
from pathlib import Path
sys.path[:0] = [{questions!r}, {fakes!r}]
import fakes
import answer
answer.gpu_count = lambda: 1
answer.describe = lambda: {{"gpu": "Stand-in", "compute_capability": "9.0"}}
import sampling, sampling_company, sampling_looks, telemetry_slowdown
from hashwarden.kernels.streams.sampler import Sampler

class Collector(fakes.FakeCollector):
    "Samples by the clock: busy for 14 ms of every 20."
    def start(self):
        super().start()
        self.interval = self.configured["interval"]
        self.next = time.monotonic_ns() // self.interval
    def decode(self, max_samples=10000):
        now = time.monotonic_ns() // self.interval
        last = min(now, self.next + max_samples)
        width, made = len(self.configured["metrics"]), []
        for number in range(self.next, last):
            busy = number * self.interval // 1_000_000 % 20 < 14
            made.append(fakes.FakeSample(number * self.interval, (number + 1) * self.interval,
                                         [90.0 if busy else 5.0] * width))
        self.next = last
        return fakes.FakeCounterData(made)

class Driver(fakes.FakeDriver):
    def collector(self, device):
        return Collector(device)

folder = Path({folder!r})
(folder / "params").write_text("RmProfilingAdminOnly: 0\\n")
made = partial(Sampler, parameters=folder / "params", locks=folder / "locks")
sampling.Watching = lambda: sampling_looks.Watching(Driver())
sampling.seen = partial(sampling_looks.look, made, sampling.Watching)
sampling.Sampler = partial(made, driver=Driver())
sampling.DEVICE, sampling.SETTLE_S = "cpu", 0.0
sampling.LOOK_S, sampling.CLOCK_S, sampling.RATE_S, sampling.RATES = 0.5, 3.0, 0.3, (1000, 5000)
sampling_company.WINDOWS = 2
telemetry_slowdown.WINDOW_S = telemetry_slowdown.SHORT_WINDOW_S = 0.3
telemetry_slowdown.MOST_ROUNDS = telemetry_slowdown.LEAST_ROUNDS
raise SystemExit(sampling.main())
"""


def module(name):
    sys.path.insert(0, str(QUESTIONS))
    try:
        return importlib.import_module(name)
    finally:
        sys.path.remove(str(QUESTIONS))


@pytest.fixture
def sentences():
    answer = SimpleNamespace(said=[], left=[], found={"results": {}})
    answer.say, answer.leave = answer.said.append, answer.left.append
    return answer


@pytest.fixture
def ncu(tmp_path):
    def make(*lines, code=0):
        path = tmp_path / "ncu"
        path.write_text("#!/bin/sh\ncat <<'X'\n" + "\n".join(lines) + f"\nX\nexit {code}\n")
        path.chmod(0o755)
        return str(path)

    return make


def looked(times, values, rate_hz=1000, names=("sm_active", "alu"), **loss):
    looks = module("sampling_looks")
    counted = SimpleNamespace(samples=len(times), lost=0, incomplete=0, overflows=0, odd=0) if not loss else None
    sampler = SimpleNamespace(
        names=names, rate_hz=rate_hz, interval_s=1 / rate_hz, loss=counted or SimpleNamespace(**loss)
    )
    found = looks.Look(sampler, SimpleNamespace(times=[times], values=[values], context=None))
    found.seconds, found.cpu_s, found.poll_s = 2.0, 0.1, [0.001, 0.004]
    return found


def nothing_seen():
    return SimpleNamespace(times=[], values=[], context=None)


def stamps(count, interval_ns=1_000_000):
    ends = np.arange(1, count + 1) * interval_ns
    return np.stack([ends - interval_ns, ends], axis=1)


def test_a_rate_that_is_held_and_one_that_is_not():
    row = module("sampling_looks").rate_row(looked(stamps(2000), np.zeros((2000, 2))))
    assert row["share_of_wanted"] == pytest.approx(1)
    assert row["between_ends_us"] == pytest.approx({"p1": 1000, "p50": 1000, "p99": 1000, "longest": 1000})
    assert (row["share_of_a_core"], row["longest_poll_ms"], row["channels"]) == (0.05, 4.0, 2)
    holed = np.delete(stamps(2000), slice(500, 1500), axis=0)
    row = module("sampling_looks").rate_row(looked(holed, np.zeros((1000, 2))))
    assert row["share_of_wanted"] == pytest.approx(0.5)
    assert row["between_ends_us"]["longest"] == pytest.approx(1_001_000)
    nothing = module("sampling_looks").rate_row(looked(np.empty((0, 2), np.int64), np.empty((0, 2))))
    assert "share_of_wanted" not in nothing


def test_values_that_cannot_be_are_counted():
    values = np.array([[10.0, np.nan], [30.0, -1.0], [100.5, 250.0], [20.0, 40.0]])
    row = module("sampling_looks").summary(looked(stamps(4), values))
    assert row["channels"]["sm_active"] == {"mean_percent": pytest.approx(40.125), "missing": 0, "cannot_be": 0}
    assert row["channels"]["alu"]["missing"] == 1
    assert row["channels"]["alu"]["cannot_be"] == 2


@pytest.mark.parametrize("ppm", [-200.0, 0.0, 80.0])
def test_a_drift_of_the_clock_is_found_under_late_polls(ppm):
    rng = np.random.default_rng(0)
    at = 1000 + np.arange(120) * 0.05
    end = 7e9 + (at - 1000) * 1e9 * (1 + ppm * 1e-6) - rng.exponential(2e-4, 120) * 1e9
    row = module("sampling_looks").clocks(list(zip(at.tolist(), end.astype(int).tolist(), strict=True)))
    assert row["drift_ppm"] == pytest.approx(ppm, abs=15)
    assert 0 < row["standard_error_ppm"] < 15
    assert module("sampling_looks").clocks([(0.0, 0)] * 5) is None


def test_sentences_on_other_processes_name_every_channel_and_each_condition(sentences):
    def seen(mean, **more):
        return {"samples": 10, "rhythm": {}, "channels": {
            "alu": {"mean_percent": mean, "missing": 0, "cannot_be": 0} | more}}  # fmt: skip

    rhythmic = seen(None, missing=10) | {
        "step_s": 0.02, "rhythm": {"tensor": {"period_s": 0.0201, "strength": 0.9}}
    }  # fmt: skip
    sentences.found["results"]["clock"] = {
        "span_s": 6.0, "drift_ppm": 12.0, "standard_error_ppm": 3.0, "unix_minus_stamp_s": 5.0,
        "monotonic_minus_stamp_s": 0.01,
    }  # fmt: skip
    module("sampling").tell_others(sentences, {"idle": seen(0.25), "gemm": rhythmic})
    assert sentences.said == [
        "others: alu, percent of its peak in the mean: idle 0.25, gemm no value.",
        "values: idle: of 10 samples, values that cannot be: none.",
        "values: gemm: of 10 samples, values that cannot be: alu (10 missing, 0 under 0 or over the peak).",
        "rhythm: gemm: a step took 20.00 ms in the median; periods found: tensor 20.10 ms (strength 0.90).",
        "clock: over 6.0 s stamps of samples run 12 ppm faster than the monotonic clock (standard error 3); the newest "
        "is 5.000 s behind the Unix clock, 0.010 s behind the monotonic one.",
    ]


def test_sentences_on_the_gpu_s_clocks_and_on_scopes(sentences):
    told = module("sampling_clocks")
    row = {"readings": 9, "reasons": {"0x4": 9}, "sm_mhz": 1980.0, "memory_mhz": 2619.0}
    told.tell_clocks(sentences.say, {"before": row, "while it is sampled": row | {"sm_mhz": 1095.0, "memory_mhz": None},
                                     "after": row | {"reasons": {}}})  # fmt: skip
    told.tell_scopes(sentences.say, {"sm__a": "DEVICE", "sm__b": "CONTEXT", "lts__c": "DEVICE"})
    assert sentences.said == [
        "clocks: SM clock beside matrix products, MHz in the median: before 1980, while it is sampled 1095, "
        "after 1980.",
        "clocks: memory clock beside matrix products, MHz in the median: before 2619, while it is sampled no value, "
        "after 2619.",
        "clocks: NVML's reasons for them: before 0x4; while it is sampled 0x4; after none read.",
        "others: CUPTI says that its counters are collected over, by scope: DEVICE: 2 (sm__a, lts__c); "
        "CONTEXT: 1 (sm__b).",
    ]


def test_ncu_that_counts_is_refused_hangs_or_is_missing(ncu, monkeypatch):
    company = module("sampling_company")
    assert company.beside_ncu(ncu(COUNTS))["answers"]
    got = company.beside_ncu(ncu(COUNTS, REFUSED))
    assert not got["answers"]
    assert got["said"] == REFUSED
    assert not company.beside_ncu(ncu(COUNTS, code=1))["answers"]
    assert not company.beside_ncu(ncu("No kernels were profiled."))["answers"]
    assert not company.beside_ncu("/nowhere/ncu")["answers"]
    monkeypatch.setattr(company, "NCU_S", 0.2)
    path = ncu(COUNTS)
    Path(path).write_text("#!/bin/sh\nexec sleep 60\n")
    assert "no end within" in company.beside_ncu(path)["said"]


def test_sentences_on_ncu(sentences):
    company = module("sampling_company")
    look = {"samples": 100, "seconds": 2.0, "rate_hz": 1000, "lost": 7, "overflows": 1}
    yes, no = {"answers": True, "said": ""}, {"answers": False, "said": REFUSED}
    company.tell_ncu(sentences.say, sentences.leave, no, no, look)
    assert sentences.said == []
    assert sentences.left == [f"company: Nsight Compute does not count by itself: {REFUSED}"]
    company.tell_ncu(sentences.say, sentences.leave, yes, no, look)
    assert sentences.said[0].endswith(f"and does not count ({REFUSED}) while PM sampling runs.")
    assert "100 samples of 2000 wanted, with 7 lost and 1 overflows" in sentences.said[1]
    company.tell_ncu(sentences.say, sentences.leave, yes, yes, look)
    assert sentences.said[2] == "company: Nsight Compute counts alone, and counts while PM sampling runs."


def test_sentences_on_one_that_asks_too(sentences):
    company, fine = module("sampling_company"), {"answers": True, "said": None}
    busy = {"answers": False, "kind": "SamplerBusyError", "said": "GPU 0: BUSY"}
    row = {"cupti_python": fine, "own_look": fine, "cupti": busy}
    company.tell_second(sentences.say, sentences.leave, "a second", row)
    assert sentences.said == [
        "company: a second is refused as SamplerBusyError: GPU 0: BUSY",
        "company: this project's own look at privileges tells a second: no objection.",
    ]
    refused = {"answers": False, "kind": "PrivilegeError", "said": "no"}
    company.tell_second(sentences.say, sentences.leave, "nobody", row | {
        "own_look": refused, "cupti": {"answers": True, "said": 480}})  # fmt: skip
    assert sentences.said[2:] == [
        "company: nobody gets 480 samples in half a second.",
        "company: this project's own look at privileges tells nobody: PrivilegeError.",
    ]
    company.tell_second(sentences.say, sentences.leave, "x", row | {"cupti": {"answers": True, "said": 0}})
    company.tell_second(sentences.say, sentences.leave, "y", row | {
        "cupti_python": {"answers": False, "said": "cupti-python is not installed"}})  # fmt: skip
    assert sentences.left == [
        "company: x gets 0 samples in half a second.", "company: y: cupti-python is not installed"
    ]  # fmt: skip


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become nobody")
def test_nobody_really_asks_as_nobody(monkeypatch):
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(QUESTIONS.parent), os.environ.get("PYTHONPATH", "")]))
    row = module("sampling_company").second(NOBODY)
    assert row["uids"] == [NOBODY] * 3
    assert int(row["capabilities"], 16) == 0
    assert not row["cupti"]["answers"]
    assert row["own_look"]["kind"] in {"NoDeviceError", "PrivilegeError"}


def test_refusals_of_gpm_are_counted_and_told(sentences):
    company = module("sampling_company")

    class Gpm:
        supported, names, calls = [2, 5], {2: "SM_UTIL", 5: "ANY_TENSOR_UTIL"}, 0

        def sample(self):
            self.calls += 1
            if self.calls == 1:
                raise RuntimeError("In use")
            return object()

        def between(self, *_):
            return {2: 98.0, 5: float("nan")}

        def free(self, _):
            pass

    company.WINDOW_S = 0.0
    row = company.gpm_windows(Gpm())
    assert row["refused"] == {"In use": 1}
    assert row["metrics"]["2 SM_UTIL"] == {"answers": company.WINDOWS - 1, "median": 98.0}
    company.tell_gpm(sentences.say, {"while there is": row})
    assert sentences.said == [
        "company: GPM while there is PM sampling: 2 SM_UTIL 98; metrics without an answer in some of 5 windows: "
        "2 SM_UTIL, 5 ANY_TENSOR_UTIL; refused: In use (1 times)."
    ]


class Clocked:
    """A sampler that counts how often it is polled."""

    names, rate_hz, interval_s = ("sm_active",), 1000, 0.001

    def __init__(self, *_, **__):
        self.loss, self.polls, Clocked.last = SimpleNamespace(), 0, self

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def poll(self):
        self.polls += 1


def test_polling_goes_on_while_something_else_is_asked():
    looks, seen = module("sampling_looks"), []

    def meanwhile():
        before = Clocked.last.polls
        while Clocked.last.polls < before + 5:
            time.sleep(0.01)
        seen.append(Clocked.last.polls - before)

    found = looks.look(Clocked, nothing_seen, 1000, 0.1, meanwhile=meanwhile)
    assert seen
    assert seen[0] >= 5
    assert len(found.poll_s) == Clocked.last.polls
    with pytest.raises(ZeroDivisionError):
        looks.look(Clocked, nothing_seen, 1000, 0.1, meanwhile=lambda: 1 // 0)


@pytest.fixture
def measured(tmp_path, ncu):
    def run(*, counts=True, limit=100):
        ncu(COUNTS if counts else REFUSED)
        library = tmp_path / "libnvidia-ml.so.1"
        subprocess.run(["gcc", "-shared", "-fPIC", "-O2", "-o", library, STAND_IN], check=True)
        (tmp_path / "control").write_text("gpus 1\n")
        path = os.pathsep.join([str(QUESTIONS.parent), os.environ.get("PYTHONPATH", "")])
        environment = os.environ | {
            "PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}", "PYTHONPATH": path,
            "LD_LIBRARY_PATH": str(tmp_path), "HASHWARDEN_STAND_IN": str(tmp_path / "control"),
        }  # fmt: skip
        fakes = ROOT / "tests" / "kernels" / "streams"
        code = RUN.format(questions=str(QUESTIONS), fakes=str(fakes), folder=str(tmp_path))
        done = subprocess.run(
            [sys.executable, "-c", code, "--out", str(tmp_path / "out"), "--limit", str(limit)],
            env=environment, capture_output=True, text=True, check=False,
        )  # fmt: skip
        return done, json.loads((tmp_path / "out" / "sampling.json").read_text())

    return run


def test_the_whole_of_it(measured):
    done, found = measured()
    assert done.returncode == 0, done.stdout + done.stderr
    assert {one.partition(":")[0] for one in found["answers"]} == {
        "others", "values", "rhythm", "clock", "clocks", "company", "rates", "cost"
    }  # fmt: skip
    results = found["results"]
    means = {name: row["mean_percent"] for name, row in results["others, gemm"]["channels"].items()}
    assert means["sm_active"] == pytest.approx(0.7 * 90 + 0.3 * 5, abs=3)
    assert results["others, gemm"]["rhythm"]["sm_active"]["period_s"] == pytest.approx(0.02, rel=0.05)
    assert abs(results["clock"]["monotonic_minus_stamp_s"]) < 1
    assert {(row["rate_hz"], row["width"]) for row in results["rates"]} == {
        (rate, width) for rate in (1000, 5000) for width in ("wide", "core")
    }  # fmt: skip
    assert all(row["share_of_wanted"] == pytest.approx(1, abs=0.02) for row in results["rates"])
    assert results["GPM while sampled"]["gpm"]["windows"] == 2
    assert {results[f"clocks {when}"]["sm_mhz"] for when in ("before", "after")} == {1410.0}
    assert results["clocks while sampled"]["clocks"]["readings"] > 1
    assert set(results["scopes"]["scopes"].values()) == {"DEVICE"}
    assert {row["period_s"] for row in results["cost"]["windows"]} == {0, 1000, 2000, 10_000}
    said = "\n".join(found["answers"])
    assert "company: Nsight Compute counts alone, and counts while PM sampling runs." in said
    assert "cost: mean time of a step of torch on cpu" in said
    assert found["open"] == ["company: DCGM: it is not installed"]


def test_what_ncu_refuses_alone_and_what_the_time_is_too_short_for_is_open(measured):
    done, found = measured(counts=False, limit=12)
    assert "Traceback" not in done.stderr
    assert any("Nsight Compute" in why for why in found["open"])
    assert any(why.startswith("cost: ") for why in found["open"])
    assert not any(one.startswith("cost") for one in found["answers"])


def test_without_cupti_everything_is_open(tmp_path):
    (tmp_path / "cupti.py").write_text("raise ImportError('not here')\n")
    code = RUN.format(questions=str(QUESTIONS), fakes=str(ROOT / "tests" / "kernels" / "streams"), folder=str(tmp_path))
    code = "\n".join(line for line in code.splitlines() if not line.startswith(("sampling.Watching", "sampling.seen")))
    done = subprocess.run(
        [sys.executable, "-c", code, "--out", str(tmp_path / "out")],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(
            [str(tmp_path), str(QUESTIONS.parent), os.environ.get("PYTHONPATH", "")])},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 1, done.stderr
    found = json.loads((tmp_path / "out" / "sampling.json").read_text())
    assert found["answers"] == []
    assert "cupti-python" in found["open"][0]
