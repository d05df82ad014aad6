"""The source ``pm``, on a collector that plays samples: channels of a burst."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest

from hashwarden.errors import NoDeviceError, PrivilegeError
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


@pytest.fixture
def source(tmp_path):
    parameters, status = tmp_path / "params", tmp_path / "status"
    parameters.write_text("RmProfilingAdminOnly: 0\n")
    status.write_text("CapEff:\t0000000000000000\n")
    driver, clock = fakes.FakeDriver(), Clock()

    def sampler(number):
        return Sampler(number, driver=driver, parameters=parameters, status=status, locks=tmp_path)

    made = PmSource(Options(), lambda: [(3, GPU)], sampler, clock, lambda: 1e9)
    made.driver, made.clock, made.parameters = driver, clock, parameters
    yield made
    made.close()


def burst(names, rows):
    """Samples of 0.5 ms; the i-th is {name: percent}, all else 0."""
    made = []
    for i, row in enumerate(rows):
        values = [float(row.get(name, 0.0)) for name in names]
        made.append(fakes.FakeSample(i * 500_000, (i + 1) * 500_000, values))
    return made


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
