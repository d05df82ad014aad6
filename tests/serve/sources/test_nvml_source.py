"""The source ``nvml``, through the real pynvml, on a stand-in for the driver's library."""

from __future__ import annotations

import math
import os

import pytest

from hashwarden.errors import MissingExtraError, NoDeviceError
from hashwarden.model.channels import CHANNELS, INDEX
from hashwarden.serve.sources import gpm as gpm_module
from hashwarden.serve.sources import nvml_calls, nvml_device
from hashwarden.serve.sources.gpm import LEAST_S
from hashwarden.serve.sources.health import Backoff
from hashwarden.serve.sources.nvml import EMPTY_READS, NvmlSource
from hashwarden.serve.sources.source import Options, SourceLost

FIRST = "GPU-00000000-stand-in"
SENTINEL = 9223372036854775794.0


@pytest.fixture
def opened(nvml):
    """Opens the source, on a clock that stands still."""
    nvml.tick(0)

    def make(**options):
        source = NvmlSource(Options(**options), nvml, backoff=Backoff(0.0, 0.0))
        source.open()
        return source

    return make


@pytest.fixture
def twice(nvml):
    """Two readings, just far enough apart for GPM; the second one."""

    def read(source):
        source.read()
        nvml.tick(LEAST_S + 0.001)
        return source.read()

    return read


@pytest.fixture
def values(twice):
    def read(source):
        (reading,) = twice(source)
        return reading.values

    return read


def test_every_channel_of_nvml_and_gpm_is_read_in_its_unit(nvml, opened, values):
    nvml.write("pid 41", "pid 42", "value process_sm 88", "metric 164 60", "metric 165 20", "metric 172 3")
    source = opened(own_pids=lambda _: frozenset({42}))
    found = values(source)
    expected = {
        "gpu_util_ratio": 0.97, "memory_util_ratio": 0.40, "power_watts": 350.0, "power_ratio": 0.5,
        "temperature_celsius": 61, "memory_temperature_celsius": 70, "sm_clock_mhz": 1410,
        "sm_clock_ratio": 1410 / 1980, "memory_clock_ratio": 1.0, "power_capped_ratio": 0, "thermal_capped_ratio": 0,
        "fb_used_mib": 20480, "fb_used_ratio": 0.25, "encoder_util_ratio": 0, "decoder_util_ratio": 0.05,
        "process_count": 2, "foreign_process_count": 1, "process_sm_util_ratio": 0.88,
        "pcie_tx_mib_per_s": 20, "pcie_rx_mib_per_s": 21, "nvlink_rx_mib_per_s": 60, "nvlink_tx_mib_per_s": 61,
        "sm_active_ratio": 0.02, "integer_active_ratio": 0.04, "tensor_imma_active_ratio": 0.09,
        "dram_active_ratio": 0.10, "dram_cache_miss_ratio": 0.25,
    }  # fmt: skip
    assert {name: pytest.approx(value) for name, value in expected.items()} == {n: found[n] for n in expected}
    assert found["energy_power_ratio"] == pytest.approx(0.5, rel=1e-4)
    requests = 3 + sum(number % 100 for number in range(177, 208, 5))
    assert found["context_switches_per_s"] == pytest.approx(requests / (LEAST_S + 0.001))
    assert set(found) == {channel.name for channel in CHANNELS if channel.group in {"nvml", "gpm"}}
    source.close()


def test_a_device_is_described(nvml):
    (device,) = NvmlSource(Options()).open()
    assert (device.gpu, device.index, device.name, device.architecture) == (FIRST, 0, "Stand-in H100", 90)
    assert (device.driver, device.cuda, device.mig) == ("570.00.stand-in", "12.8", None)


def test_what_is_not_supported_is_missing_and_not_asked_for_again(nvml, monkeypatch, opened, values):
    nvml.write("fail nvmlDeviceGetPowerUsage 3", "fail nvmlDeviceGetMemoryInfo 3", "value field_result 3", "gpm 0")
    source = opened()
    assert "nvmlDeviceGetCurrentClocksEventReasons" in dir(source._nvml.library)
    found = values(source)
    gone = {"power_watts", "power_ratio", "fb_used_mib", "fb_used_ratio", "memory_temperature_celsius"}
    assert gone.isdisjoint(found)
    assert {channel.name for channel in CHANNELS if channel.group == "gpm"}.isdisjoint(found)
    asked = []
    usual = source._nvml.library.nvmlDeviceGetPowerUsage
    monkeypatch.setattr(source._nvml.library, "nvmlDeviceGetPowerUsage", lambda h: (asked.append(h), usual(h)))
    source.read()
    assert asked == []
    assert source.faults == {}
    source.close()
    assert "power_watts" not in values(opened())
    assert len(asked) == 1, "a source that is opened anew asks once more"


def test_a_call_that_fails_for_now_is_asked_again_and_counted(nvml, opened, values):
    nvml.write("fail nvmlDeviceGetPowerUsage 999")
    source = opened()
    assert "power_watts" not in values(source)
    assert source.faults == {"nvmlDeviceGetPowerUsage": 2}
    nvml.write()
    assert values(source)["power_watts"] == 350


def test_faults_of_counters_are_given_on_as_they_are(nvml, opened, values):
    nvml.write("value gpu 4711", f"metric 4 {SENTINEL:.0f}", f"metric 20 {SENTINEL:.0f}", "metric 2 131")
    found = values(opened())
    assert found["gpu_util_ratio"] == 47.11
    assert found["integer_active_ratio"] == SENTINEL
    assert found["pcie_tx_mib_per_s"] == SENTINEL
    assert found["sm_active_ratio"] == 1.31


def test_without_gpm_pcie_comes_from_nvml_once_a_second_in_turns(nvml, opened):
    nvml.write("gpm 0", "gpus 2")
    source, seen = opened(), []
    for tick in range(20):
        first, second = (reading.values for reading in source.read())
        seen += [(tick, gpu) for gpu, found in ((0, first), (1, second)) if "pcie_tx_mib_per_s" in found]
        if tick == 0:
            assert (first["pcie_tx_mib_per_s"], first["pcie_rx_mib_per_s"]) == (2.0, 4.0)
        nvml.tick(0.1)
    assert [tick for tick, gpu in seen if gpu == 0] == [0, 10]
    assert [tick for tick, gpu in seen if gpu == 1] == [2, 12], "not in the tick of the other"


def test_gpm_needs_time_between_two_samples(nvml, opened):
    source = opened()
    gpm = {channel.name for channel in CHANNELS if channel.group == "gpm"}
    assert gpm.isdisjoint(source.read()[0].values)
    nvml.tick(LEAST_S - 0.03)
    assert gpm.isdisjoint(source.read()[0].values), "too soon"
    for _ in range(9):  # ticks that come early look back over two
        nvml.tick(LEAST_S - 0.03)
        assert gpm <= set(source.read()[0].values)


def test_a_metric_that_the_gpu_refuses_is_missing(nvml, opened, values):
    nvml.write("refuse 9 3", "refuse 165 3", *(f"refuse {n} 3" for n in range(172, 208, 5)))
    found = values(opened())
    assert {"tensor_imma_active_ratio", "dram_cache_miss_ratio", "context_switches_per_s"}.isdisjoint(found)
    assert "integer_active_ratio" in found


def test_an_older_driver_is_asked_for_what_it_knows(nvml, opened, values):
    nvml.write("unknown 98")
    source = opened()
    assert "integer_active_ratio" not in values(source)
    found = values(source)
    assert "integer_active_ratio" in found
    assert "dram_cache_miss_ratio" not in found


def test_a_struct_of_another_version_gives_nothing_rather_than_garbage(nvml, opened, values):
    nvml.write("shift 40")
    source = opened()
    for _ in range(4):
        found = values(source)
        assert {channel.name for channel in CHANNELS if channel.group == "gpm"}.isdisjoint(found)
    assert source.faults["nvmlGpmMetricsGet: the library's struct is another"] >= 1
    assert found["power_watts"] == 350


def test_our_struct_has_nvidias_layout():
    import pynvml

    ours, theirs = gpm_module._Get, pynvml.c_nvmlGpmMetricsGet_t
    assert ours.metrics.offset == theirs.metrics.offset
    assert gpm_module._ROOM > pynvml.NVML_GPM_METRIC_MAX
    for mine, name in (("id", "metricId"), ("result", "nvmlReturn"), ("value", "value")):
        assert getattr(gpm_module._Metric, mine).offset == getattr(pynvml.c_nvmlGpmMetric_t, name).offset


def test_a_lost_gpu_costs_only_itself_and_comes_back(nvml, opened):
    nvml.write("gpus 2")
    source = opened()
    assert len(source.read()) == 2
    nvml.write("gpus 2", "lost 1")
    assert [reading.index for reading in source.read()] == [0]
    assert source.lost == ("GPU-00000001-stand-in",)
    assert [reading.index for reading in source.read()] == [0], "opened anew, it is still lost"
    assert source.lost == ("GPU-00000001-stand-in",)
    nvml.write("gpus 2")
    assert [reading.index for reading in source.read()] == [0, 1]
    assert source.lost == ()


def test_when_all_is_lost_or_the_driver_goes_the_source_says_so(nvml, opened):
    source = opened()
    nvml.write("lost 0")
    with pytest.raises(SourceLost, match="GPU 0"):
        source.read()
    source.close()
    nvml.write()
    source = opened()
    nvml.write("gone 1")
    with pytest.raises(SourceLost, match="Driver Not Loaded"):
        source.read()
    source.close()


def test_a_handle_that_went_stale_counts_as_lost(nvml, opened):
    source = opened()
    source.read()
    nvml.write(*(f"fail {name} 2" for name in READ))
    for _ in range(EMPTY_READS - 1):
        assert [reading.values for reading in source.read()] == [{}]
    with pytest.raises(SourceLost, match="answers nothing"):
        source.read()


READ = [
    "nvmlDeviceGetUtilizationRates", "nvmlDeviceGetPowerUsage", "nvmlDeviceGetTotalEnergyConsumption",
    "nvmlDeviceGetTemperature", "nvmlDeviceGetFieldValues", "nvmlDeviceGetClockInfo", "nvmlDeviceGetMemoryInfo",
    "nvmlDeviceGetCurrentClocksThrottleReasons", "nvmlDeviceGetEncoderUtilization", "nvmlDeviceGetDecoderUtilization",
    "nvmlDeviceGetComputeRunningProcesses_v3", "nvmlDeviceGetProcessUtilization", "nvmlDeviceGetPcieThroughput",
    "nvmlGpmSampleGet", "nvmlGpmMetricsGet",
]  # fmt: skip


def test_mig_instances_are_devices_with_gpm_and_memory_of_their_own(nvml, opened, twice):
    nvml.write("gpus 2", "mig 0 2", "pid 41")
    source = opened()
    readings = twice(source)
    assert [(r.gpu, r.index) for r in readings] == [
        ("MIG-0-0-stand-in", 0), ("MIG-0-1-stand-in", 0), ("GPU-00000001-stand-in", 1)
    ]  # fmt: skip
    part = readings[0].values
    assert part["integer_active_ratio"] == 0.04
    assert part["fb_used_ratio"] == 0.25
    assert part["process_count"] == 1
    assert {"gpu_util_ratio", "power_watts", "power_ratio", "sm_clock_mhz"}.isdisjoint(part)


@pytest.mark.parametrize(("wanted", "indices"), [(("1",), [1]), (("GPU-00000001-stand-in",), [1]), ((), [0, 1])])
def test_gpus_are_chosen_by_number_or_uuid(nvml, wanted, indices, opened):
    nvml.write("gpus 2")
    source = opened(gpus=wanted)
    assert [reading.index for reading in source.read()] == indices


def test_a_gpu_that_is_not_there_is_an_error(nvml):
    with pytest.raises(NoDeviceError, match="no GPU of NVML is 7"):
        NvmlSource(Options(gpus=("7",))).open()


def test_foreign_processes_are_not_counted_where_pids_mean_nothing(nvml, monkeypatch, opened, values):
    monkeypatch.setattr("hashwarden.serve.sources.nvml.sees_host_pids", lambda: False)
    nvml.write("pid 41", "pid 42")
    assert "foreign_process_count" not in values(opened(own_pids=lambda _: frozenset({os.getpid()})))
    assert values(opened(own_pids=lambda _: frozenset({41})))["foreign_process_count"] == 1
    assert "foreign_process_count" not in values(opened())
    monkeypatch.setattr("hashwarden.serve.sources.nvml.sees_host_pids", lambda: True)
    assert values(opened(own_pids=lambda _: frozenset({os.getpid()})))["foreign_process_count"] == 2


def test_a_reading_names_the_processes_on_the_device(nvml, monkeypatch, opened):
    nvml.write("pid 41", "pid 42")
    (reading,) = opened().read()
    assert reading.pids == {41, 42}
    nvml.write()
    assert opened().read()[0].pids == frozenset(), "none is not unknown"
    nvml.write("fail nvmlDeviceGetComputeRunningProcesses_v3 3")
    assert opened().read()[0].pids is None
    monkeypatch.setattr("hashwarden.serve.sources.nvml.sees_host_pids", lambda: False)
    nvml.write("pid 41")
    assert opened().read()[0].pids is None, "numbers of another namespace are nobody's"
    assert opened(own_pids=lambda _: frozenset({41})).read()[0].pids == {41}


def test_whose_processes_are_ones_own_is_asked_for_each_device(nvml, opened, twice):
    nvml.write("gpus 2", "pid 41", "pid 42", "pid 43")
    own = {FIRST: frozenset({41, 42}), "GPU-00000001-stand-in": frozenset({43})}
    first, second = twice(opened(own_pids=lambda gpu: own[gpu]))
    assert (first.values["foreign_process_count"], second.values["foreign_process_count"]) == (1, 2)


def test_the_namespace_of_pids_is_told(tmp_path):
    link = tmp_path / "pid"
    assert not nvml_device.sees_host_pids(link)
    link.symlink_to("pid:[4026531836]")
    assert nvml_device.sees_host_pids(link)
    other = tmp_path / "other"
    other.symlink_to("pid:[4026532999]")
    assert not nvml_device.sees_host_pids(other)


@pytest.mark.parametrize(
    ("bits", "power", "thermal"), [(0x4, 1, 0), (0x80, 1, 0), (0x20, 0, 1), (0x40, 0, 1), (0xB, 0, 0)]
)
def test_reasons_for_low_clocks(nvml, bits, power, thermal, opened, values):
    nvml.write(f"value reasons {bits}")
    found = values(opened())
    assert (found["power_capped_ratio"], found["thermal_capped_ratio"]) == (power, thermal)


def test_without_a_driver_the_error_says_what_to_do(nvml):
    nvml.write("gone 1")
    with pytest.raises(NoDeviceError, match="Install NVIDIA's driver"):
        NvmlSource(Options()).open()
    nvml.write("fail nvmlInitWithFlags 18")
    with pytest.raises(NoDeviceError, match="start both anew"):
        NvmlSource(Options()).open()


def test_without_the_package_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "pynvml", None)
    with pytest.raises(MissingExtraError, match=r"hashwarden\[node\]"):
        NvmlSource(Options()).open()


def test_an_older_package_without_a_function_is_no_error(nvml, monkeypatch, opened, values):
    import pynvml

    monkeypatch.delattr(pynvml, "nvmlDeviceGetFieldValues")
    monkeypatch.delattr(pynvml, "NVML_ERROR_DEPRECATED")
    found = values(opened())
    assert "memory_temperature_celsius" not in found
    assert found["power_watts"] == 350


def test_closing_a_source_leaves_nothing_open(nvml, opened, twice):
    source = opened()
    twice(source)
    source.close()
    source.close()
    with pytest.raises(nvml_calls._load().NVMLError):
        nvml_calls._load().nvmlDeviceGetCount()


def test_names_of_channels_are_the_tables(nvml, opened, twice, values):
    (reading,) = twice(opened())
    assert set(reading.values) <= set(INDEX)
    assert not any(math.isnan(value) for value in reading.values.values())
