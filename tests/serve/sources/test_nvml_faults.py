"""NVML call errors, lost GPUs and a driver that is reloaded: over every call, and through the runner where it matters.

On the stand-in for the driver's library. What fails is missing and never 0, and costs nobody else anything.
"""

from __future__ import annotations

import time

import pytest

from hashwarden.serve.sources.gpm import LEAST_S
from hashwarden.serve.sources.health import Backoff
from hashwarden.serve.sources.nvml import NvmlSource
from hashwarden.serve.sources.runner import Runner
from hashwarden.serve.sources.source import Options, SourceLost

CALLS = {
    "nvmlDeviceGetUtilizationRates": {"gpu_util_ratio", "memory_util_ratio"},
    "nvmlDeviceGetPowerUsage": {"power_watts", "power_ratio"},
    "nvmlDeviceGetEnforcedPowerLimit": {"power_ratio", "energy_power_ratio"},
    "nvmlDeviceGetTotalEnergyConsumption": {"energy_power_ratio"},
    "nvmlDeviceGetTemperature": {"temperature_celsius"},
    "nvmlDeviceGetFieldValues": {"memory_temperature_celsius"},
    "nvmlDeviceGetClockInfo": {"sm_clock_mhz", "sm_clock_ratio", "memory_clock_ratio"},
    "nvmlDeviceGetMaxClockInfo": {"sm_clock_ratio", "memory_clock_ratio"},
    "nvmlDeviceGetCurrentClocksThrottleReasons": {"power_capped_ratio", "thermal_capped_ratio"},
    "nvmlDeviceGetMemoryInfo": {"fb_used_mib", "fb_used_ratio"},
    "nvmlDeviceGetEncoderUtilization": {"encoder_util_ratio"},
    "nvmlDeviceGetDecoderUtilization": {"decoder_util_ratio"},
    "nvmlDeviceGetComputeRunningProcesses_v3": {"process_count", "foreign_process_count"},
    "nvmlDeviceGetProcessUtilization": {"process_sm_util_ratio"},
}
"""What is lost with each call; GPM's are apart."""

PASSING = {8: "insufficient power", 10: "timeout", 11: "interrupt", 14: "inforom", 17: "operating system", 19: "in use",
           20: "memory", 999: "unknown"}  # fmt: skip
FOR_GOOD = {2: "argument", 3: "not supported", 4: "no permission", 13: "no function", 25: "version"}
LOST = {15: "lost", 16: "reset required", 28: "not found"}
GONE = {1: "uninitialised", 9: "not loaded", 18: "version mismatch"}
PLAIN = ("gpm 0", "pid 41", "pid 42", "value process_sm 88")


@pytest.fixture
def source(nvml):
    nvml.tick(0)
    nvml.write(*PLAIN)
    made = NvmlSource(Options(own_pids=lambda _: frozenset({42})), nvml, backoff=Backoff(0.0, 0.0))
    yield made
    nvml.write()
    made.close()


def twice(nvml, source, *lines):
    """The second of two readings; the energy counter needs two."""
    nvml.write(*PLAIN, *lines)
    source.open()
    source.read()
    nvml.tick(LEAST_S)
    return source.read()[0].values


@pytest.mark.parametrize("call", CALLS)
def test_a_call_that_fails_costs_its_own_channels_and_is_never_0(nvml, source, call):
    good = twice(nvml, source)
    source.close()
    assert set(good) >= CALLS[call]
    for code in {**PASSING, **FOR_GOOD}:
        found = twice(nvml, source, f"fail {call} {code}")
        assert set(good) - set(found) == CALLS[call], code
        assert {name: value for name, value in found.items() if name != "energy_power_ratio"}.items() <= good.items()
        assert bool(source.faults[call.removesuffix("_v3")]) == (code in PASSING), code
        source.close()


def test_how_many_errors_were_tried():
    assert len(CALLS) * len({**PASSING, **FOR_GOOD}) == 182
    assert len({**LOST, **GONE}) * 2 == 12


@pytest.mark.parametrize("call", ["nvmlDeviceGetPowerUsage", "nvmlDeviceGetMemoryInfo"])
@pytest.mark.parametrize("code", {**LOST, **GONE})
def test_what_is_lost_or_gone_ends_the_source_until_it_is_opened_anew(nvml, source, call, code):
    source.open()
    source.read()
    nvml.write(*PLAIN, f"fail {call} {code}")
    with pytest.raises(SourceLost):
        source.read()
    source.close()
    nvml.write(*PLAIN)
    source.open()
    assert source.read()[0].values["power_watts"] == 350


@pytest.fixture
def run():
    made = []

    def make(hang_s=5.0):
        options = Options(period_s=0.1)
        runner = Runner(
            {"nvml": lambda: NvmlSource(options, backoff=Backoff(0.0, 0.0))}, hang_s=hang_s,
            backoff=lambda: Backoff(0.0, 0.0),
        )  # fmt: skip
        made.append(runner)
        runner.open(5.0)
        return runner

    yield make
    for runner in made:
        runner.close()


def test_a_driver_that_is_unloaded_and_loaded_again(nvml, run):
    nvml.write("gpus 2", "value energy 4000000000")
    runner = run()
    assert len(runner.read(5.0)) == 2
    nvml.write("gone 1")
    for _ in range(7):
        assert runner.read(5.0) == []
    health = runner.health["nvml"]
    assert (health.success, health.failures, health.hangs) == (False, 7, 0)
    assert "Driver Not Loaded" in health.error or "driver loaded" in health.error
    nvml.write("gpus 2", "value energy 5")  # a new driver counts from 0
    values = [reading.values for _ in range(3) for reading in runner.read(5.0)]
    assert len(values) == 6
    assert not any("energy_power_ratio" in found for found in values), "the counter went back: nothing is said of it"
    assert (health.success, health.opens, health.failures) == (True, 2, 7)


def test_a_driver_that_was_replaced_says_what_helps(nvml, run):
    runner = run()
    nvml.write("fail nvmlDeviceGetPowerUsage 18", "fail nvmlInitWithFlags 18")
    for _ in range(3):
        assert runner.read(5.0) == []
    assert "start both anew" in runner.health["nvml"].error


def test_one_lost_gpu_of_eight_costs_the_seven_nothing(nvml, run):
    nvml.write("gpus 8")
    runner = run()
    assert len(runner.read(5.0)) == 8
    nvml.write("gpus 8", "lost 3")
    for _ in range(20):
        assert {reading.index for reading in runner.read(5.0)} == {0, 1, 2, 4, 5, 6, 7}
    health = runner.health["nvml"]
    assert (health.failures, health.hangs) == (0, 0)
    nvml.write("gpus 8")
    assert len(runner.read(5.0)) == 8


def test_a_call_that_hangs_is_one_alert_and_the_driver_is_heard_again(nvml, run):
    runner = run(hang_s=0.05)
    nvml.write("hang nvmlDeviceGetPowerUsage 400")
    for _ in range(4):
        assert runner.read(0.04) == []
    health = runner.health["nvml"]
    assert (health.hangs, health.hanging) == (1, True)
    nvml.write()
    until = time.monotonic() + 10
    while not (found := runner.read(0.05)) and time.monotonic() < until:
        pass
    assert found[0].values["power_watts"] == 350
    assert (health.hangs, health.hanging) == (1, False)
