"""The source ``pm``, on a collector that plays samples: channels of a burst."""

from __future__ import annotations

import importlib.util
import os
import sys
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from hashwarden.errors import NoDeviceError, PrivilegeError, UsageError
from hashwarden.kernels.streams import metric_sets
from hashwarden.kernels.streams.collector import SamplerBusyError
from hashwarden.kernels.streams.sampler import Sampler
from hashwarden.serve.sources import pm
from hashwarden.serve.sources.pm import PmSource
from hashwarden.serve.sources.source import Device, NoData, Options

PLACE = Path(__file__).parents[2] / "kernels" / "streams" / "fakes.py"
SPEC = importlib.util.spec_from_file_location("pm_source_fakes", PLACE)
fakes = importlib.util.module_from_spec(SPEC)
sys.modules["pm_source_fakes"] = fakes
SPEC.loader.exec_module(fakes)

GPU = Device("GPU-abc", 0, "Test")


class Clock:
    now = 10.0

    def __call__(self):
        return self.now


class Bench:
    """A collector that plays samples, and sources on it; waiting lets the clock pass."""

    def __init__(self, folder):
        self.folder, self.driver, self.clock = folder, fakes.FakeDriver(), Clock()
        self.parameters, self.status, self.hold = folder / "params", folder / "status", folder / "hold"
        self.parameters.write_text("RmProfilingAdminOnly: 0\n")
        self.status.write_text("CapEff:\t0000000000000000\n")
        self.waits = []
        self.made = []

    def sampler(self, number):
        return Sampler(
            number, driver=self.driver, parameters=self.parameters, status=self.status, locks=self.folder / "locks"
        )

    def wait(self, seconds):
        self.waits.append(seconds)
        self.clock.now += seconds

    def source(self, devices=((3, GPU),), **options):
        made = PmSource(
            Options(**options),
            lambda: list(devices),
            self.sampler,
            self.clock,
            lambda: 1e9,
            self.wait,
            self.hold,
            lambda: 0.5,
        )
        self.made.append(made)
        return made


@pytest.fixture
def bench(tmp_path):
    made = Bench(tmp_path)
    yield made
    for source in made.made:
        source.close()


@pytest.fixture
def source(bench):
    """One that samples all the time."""
    made = bench.source(burst_s=30.0, every_s=30.0)
    made.driver, made.clock, made.parameters = bench.driver, bench.clock, bench.parameters
    return made


def burst(names, rows, first=0):
    """Samples of 0.5 ms from number ``first`` on; the i-th is {name: percent}, all else 0."""
    made = fakes.samples(first, len(rows), len(names))
    return [replace(one, metric_values=[float(row.get(name, 0.0)) for name in names])
            for one, row in zip(made, rows, strict=True)]  # fmt: skip


def test_means_and_gaps_of_a_burst(source):
    source.open()
    names = source._open[0]._sampler.names
    busy = {"sm_active": 80, "inst": 40, "alu": 60, "fma": 10, "tensor": 5, "l2": 7, "dram_read": 20, "dram_write": 4}
    rows = [busy] * 6 + [{}] * 2  # eight samples: four intervals of 1 ms, one without work
    source.driver.made.decodings = [burst(names, rows)]
    (reading,) = source.read()
    assert (reading.gpu, reading.index, reading.time_s) == ("GPU-abc", 0, 10.0)
    share = {f"pm_{name}_ratio": value * 0.75 / 100 for name, value in busy.items() if name != "inst"}
    share["pm_issue_ratio"] = 0.30
    assert reading.values == {name: pytest.approx(value) for name, value in share.items()} | {
        "pm_idle_gap_ratio": 0.25
    }  # fmt: skip


def test_its_own_process_is_nobody_s_work_while_it_samples(bench):
    source = bench.source()
    assert source._options.helpers.pids == frozenset()
    source.open()
    assert source._options.helpers.pids == {os.getpid()}
    source.close()
    assert source._options.helpers.pids == frozenset()


def test_missing_samples_are_missing_not_0(source):
    source.open()
    names = source._open[0]._sampler.names
    nothing = dict.fromkeys(names, float("nan"))
    source.driver.made.decodings = [burst(names, [{**nothing, "alu": 50}, {**nothing, "alu": 50}])]
    assert source.read()[0].values == {"pm_alu_ratio": 0.5}


def test_a_rhythm_is_found_over_seconds(source):
    source.open()
    names = source._open[0]._sampler.names
    steps = np.arange(8000)
    tensor = np.where(steps % 200 < 120, 90.0, 2.0)  # a step of 0.1 s
    rows = [{"sm_active": 90.0, "tensor": value} for value in tensor]
    made = burst(names, rows)
    source.driver.made.decodings = [made[i : i + 400] for i in range(0, 8000, 400)]
    found = {}
    for _ in range(20):
        source.clock.now += 0.2
        found |= source.read()[0].values
    assert found["pm_rhythm_seconds"] == pytest.approx(0.1, rel=0.05)
    assert found["pm_rhythm_strength_ratio"] > 0.8


def test_nothing_yet_is_no_failure(source):
    source.open()
    with pytest.raises(NoData):
        source.read()


def test_without_the_right_nothing_stays_enabled(source):
    source.parameters.write_text("RmProfilingAdminOnly: 1\n")
    with pytest.raises(PrivilegeError):
        source.open()
    assert not source.driver.made.enabled


def test_closing_disables_the_collector(source):
    source.open()
    assert source.driver.made.started
    source.close()
    assert not source.driver.made.enabled


def test_a_gpu_that_is_not_there(source):
    source._options = Options(gpus=("9",))
    with pytest.raises(NoDeviceError, match="no GPU of CUDA is 9"):
        source.open()


def test_without_a_driver_it_says_so(monkeypatch):
    def refuse(name):
        raise OSError(name)

    monkeypatch.setattr(pm.ctypes, "CDLL", refuse)
    with pytest.raises(NoDeviceError, match="libcuda"):
        pm.cuda_devices()


def samples(bench, first=0, **percent):
    return burst(list(metric_sets.METRIC_SETS["sm_90"]), [percent] * 4, first)


def test_by_default_it_samples_a_second_in_thirty_and_lets_go_in_between(bench):
    source = bench.source()
    source.open()
    assert not bench.driver.made.enabled, "opening only sees whether it may"
    given, enabled = [], []
    for second in range(61):
        bench.clock.now = 10.0 + second
        bench.driver.made.decodings = [samples(bench, alu=50)] * 10
        with suppress(NoData):
            given.append((second, source.read()[0].values["pm_alu_ratio"]))
        enabled.append(bench.driver.made.enabled)
    assert given == [(0, 0.5), (30, 0.5), (60, 0.5)]
    assert not any(enabled), "whoever profiles a job finds the counters free"
    assert sum(bench.waits) == pytest.approx(3.0), "of 61 s"
    assert bench.driver.made.calls.count("enable") == 4


def test_a_burst_is_polled_while_it_lasts_and_is_one_reading(bench):
    source = bench.source(burst_s=0.5)
    source.open()
    bench.driver.made.decodings = [samples(bench, 2 * value, alu=value) for value in (0, 20, 40, 60, 80)]
    (reading,) = source.read()
    assert reading.values["pm_alu_ratio"] == pytest.approx(0.4)
    assert reading.time_s == pytest.approx(10.5)
    assert len(bench.waits) == 5


def test_another_reader_goes_first_and_is_told_of_if_it_stays(bench):
    source = bench.source()
    source.open()
    busy = RuntimeError("PM sampling is already enabled on this device.")
    tries = []
    for second in range(601):
        bench.clock.now = 10.0 + second
        bench.driver.made.fails = {"enable": [busy]}
        before = bench.driver.made.calls.count("enable")
        with suppress(NoData, SamplerBusyError):
            source.read()
        tries += [second] * (bench.driver.made.calls.count("enable") - before)
    assert tries == [0, 60, 180, 420], "later and later"
    assert source.aside == 4
    with pytest.raises(SamplerBusyError, match="already enabled"):
        source.read()
    bench.clock.now += 3600
    bench.driver.made.fails = {}
    bench.driver.made.decodings = [samples(bench, alu=50)]
    assert source.read()[0].values["pm_alu_ratio"] == 0.5
    with pytest.raises(NoData):
        source.read()


def test_while_a_file_is_there_it_does_not_sample(bench):
    source = bench.source()
    bench.hold.touch()
    source.open()
    before = len(bench.driver.made.calls)
    for _ in range(20):
        with pytest.raises(NoData):
            source.read()
        bench.clock.now += 1
    assert len(bench.driver.made.calls) == before
    assert source.aside == 4
    bench.hold.unlink()
    bench.driver.made.decodings = [samples(bench, alu=50)]
    assert source.read()[0].values["pm_alu_ratio"] == 0.5


def test_one_gpu_that_is_busy_costs_the_others_nothing(bench):
    other = Device("GPU-def", 1, "Test")
    with Sampler(3, driver=fakes.FakeDriver(), parameters=bench.parameters, locks=bench.folder / "locks"):
        source = bench.source(devices=[(3, GPU), (4, other)])
        source.open()
        bench.driver.made.decodings = [samples(bench, alu=50)]
        assert [reading.gpu for reading in source.read()] == ["GPU-def"]


def test_a_gpu_that_goes_away_in_a_burst_is_an_error_until_the_next(bench):
    source = bench.source()
    source.open()
    bench.driver.made.fails = {"decode": [OSError("ERROR_UNKNOWN")]}
    for _ in range(2):
        with pytest.raises(NoDeviceError, match="ERROR_UNKNOWN"):
            source.read()
    assert not bench.driver.made.enabled
    bench.clock.now += 31
    bench.driver.made.decodings = [samples(bench, alu=50)]
    assert len(source.read()) == 1


@pytest.mark.parametrize("burst_s", [0.0, 0.05, 5.0, float("nan")])
def test_bursts_that_cannot_be_meant(bench, burst_s):
    with pytest.raises(UsageError, match="bursts of"):
        bench.source(burst_s=burst_s)


def test_the_hold_file_is_roots(monkeypatch):
    monkeypatch.setattr("os.geteuid", lambda: 0)
    assert pm.hold_file() == Path("/run/hashwarden/pm.hold")


class FakeCuda:
    """Two GPUs, CUDA's first one on the later PCI address."""

    def cuInit(self, flags):  # noqa: N802
        return 0

    def cuDeviceGetCount(self, count):  # noqa: N802
        count._obj.value = 2
        return 0

    def cuDeviceGetUuid(self, uuid, number):  # noqa: N802
        uuid[:] = [number + 1] * 16
        return 0

    def cuDeviceGetPCIBusId(self, bus, size, number):  # noqa: N802
        bus.value = (b"0000:81:00.0", b"0000:01:00.0")[number]
        return 0

    def cuDeviceGetName(self, name, size, number):  # noqa: N802
        name.value = b"Test"
        return 0


def test_cudas_numbers_are_not_nvmls(monkeypatch):
    monkeypatch.setattr(pm.ctypes, "CDLL", lambda name: FakeCuda())
    first, second = pm.cuda_devices()
    assert (first[0], first[1].index, first[1].gpu) == (1, 0, "GPU-02020202-0202-0202-0202-020202020202")
    assert (second[0], second[1].index) == (0, 1)
