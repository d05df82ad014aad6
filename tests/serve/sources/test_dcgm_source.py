"""The source ``dcgm`` against a real HTTP server: what it believes of an exporter, and what it makes of its faults."""

from __future__ import annotations

import importlib.util
import math
from collections import Counter
from pathlib import Path

import pytest

from hashwarden.errors import DataError, NoDeviceError, UsageError
from hashwarden.model.channels import CHANNELS, INDEX
from hashwarden.serve.sources.dcgm import local_gpus
from hashwarden.serve.sources.dcgm_counters import counters_file
from hashwarden.serve.sources.dcgm_fields import NAMES, NUMBERS, channels
from hashwarden.serve.sources.source import NoData, SourceLost

ROOT = Path(__file__).parents[3]
SPEC = importlib.util.spec_from_file_location("dcgm_source_server", Path(__file__).with_name("dcgm_server.py"))
server = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(server)
FIRST, SECOND = server.GPUS
INSTANCE = 'GPU_I_PROFILE="1g.10gb",GPU_I_ID="7"'


exporter, make, opened, later = server.exporter, server.make, server.opened, server.later


def values(source, exporter, *lines):
    """Channels of the first device once these lines are there."""
    exporter.body = server.page(power=351.5) + "".join(lines)
    return later(source)[0].values


def test_devices_are_described_and_the_first_sample_is_not_yet_believed(exporter, make):
    exporter.body = server.page(gpus=2, more='DCGM_FI_DRIVER_VERSION="570.1"')
    source = make()
    first, second = source.open()
    assert (first.gpu, first.index, first.name, first.mig) == (FIRST, 0, "NVIDIA H100 80GB HBM3", None)
    assert (second.gpu, second.index) == (SECOND, 1)
    with pytest.raises(NoData, match="nothing is new"):
        later(source)
    exporter.body = server.page(power=351.5, gpus=2)
    readings = later(source)
    assert [(r.gpu, r.index, r.time_s, r.unix_s, r.pids) for r in readings] == [
        (FIRST, 0, 1060.0, 1e9 + 1060, None), (SECOND, 1, 1060.0, 1e9 + 1060, None)
    ]  # fmt: skip
    assert readings[0].values == {"power_watts": 351.5, "gpu_util_ratio": 0.97, "sm_active_ratio": 0.5}


def test_units_of_every_field(exporter, opened):
    fields = {
        100: 1410, 101: 2619, 113: 1980, 114: 2619, 112: 0x4, 140: 70, 150: 61, 164: 700, 204: 40, 206: 0, 207: 5,
        250: 81920, 251: 61340, 252: 20000, 253: 580, 1005: 0.25, 1009: 3 << 20, 1010: 5 << 20, 1011: 0, 1012: 7 << 20,
        1013: 0.5, 1016: 0.75,
    }  # fmt: skip
    found = values(opened(), exporter, *(server.line(NAMES[n][0], value) for n, value in fields.items()))
    expected = {
        "power_watts": 351.5, "power_ratio": 351.5 / 700, "temperature_celsius": 61, "memory_temperature_celsius": 70,
        "sm_clock_mhz": 1410, "sm_clock_ratio": 1410 / 1980, "memory_clock_ratio": 1.0, "power_capped_ratio": 1,
        "thermal_capped_ratio": 0, "gpu_util_ratio": 0.97, "memory_util_ratio": 0.4, "encoder_util_ratio": 0,
        "decoder_util_ratio": 0.05, "fb_used_mib": 20580, "fb_used_ratio": 20580 / 81920, "sm_active_ratio": 0.5,
        "dram_active_ratio": 0.25, "pcie_tx_mib_per_s": 3, "pcie_rx_mib_per_s": 5, "nvlink_tx_mib_per_s": 0,
        "nvlink_rx_mib_per_s": 7, "tensor_imma_active_ratio": 0.5, "integer_active_ratio": 0.75,
    }  # fmt: skip
    assert found == {name: pytest.approx(value) for name, value in expected.items()}


def test_what_cannot_be_told_is_left_out(exporter, opened):
    found = values(opened(), exporter, server.line("DCGM_FI_DEV_SM_CLOCK", 1410), server.line("DCGM_FI_DEV_FB_USED", 5))
    assert found["sm_clock_mhz"] == 1410
    assert {"sm_clock_ratio", "power_ratio", "fb_used_ratio", "integer_active_ratio"}.isdisjoint(found)


def test_every_field_of_the_table_is_known_under_both_names():
    named = {channel.dcgm for channel in CHANNELS if channel.dcgm is not None}
    assert named <= set(NAMES)
    assert NUMBERS["DCGM_FI_PROF_PIPE_INT_ACTIVE"] == NUMBERS["DCGM_FI_PROF_INT_UTIL_RATIO"] == 1016
    everything = channels(dict.fromkeys(NAMES, 1.0))
    assert set(everything) <= set(INDEX)
    assert {c.name for c in CHANNELS if c.dcgm is not None} - set(everything) == {"energy_power_ratio"}


@pytest.mark.parametrize(("said", "meant"), [(0, 0.0), (0.5, 0.5), (1, None), (40, 0.4), (100, 1.0)])
def test_a_percentage_that_was_renamed_a_ratio(exporter, opened, said, meant):
    exporter.body = server.page().replace("GPU_UTIL{", "GPU_UTIL_RATIO{")
    source = opened()
    exporter.body = server.page(power=351.5).replace("GPU_UTIL{", "GPU_UTIL_RATIO{").replace("} 97", f"}} {said}")
    assert later(source)[0].values.get("gpu_util_ratio") == meant


@pytest.mark.parametrize(
    "sentinel", ["140737488355328.000000", "140737488355330", "9223372036854775792", "9223372036854775794", "NaN",
                 "2147483632", "2147483635"],
)  # fmt: skip
def test_sentinels_are_missing(exporter, opened, sentinel):
    assert "integer_active_ratio" not in values(
        opened(), exporter, server.line("DCGM_FI_PROF_PIPE_INT_ACTIVE", sentinel)
    )


@pytest.mark.parametrize(("lie", "given"), [("-3", -3.0), ("1e300", 1e300), ("+Inf", math.inf)])
def test_what_cannot_be_true_is_given_on_for_others_to_judge(exporter, opened, lie, given):
    assert values(opened(), exporter, server.line("DCGM_FI_PROF_PIPE_INT_ACTIVE", lie))["integer_active_ratio"] == given


@pytest.mark.parametrize("wrong", ["on", "0x10", "1_0", "", "NULL", "1 2 3", "\u06f5"])
def test_a_value_that_is_no_number_costs_itself(exporter, opened, wrong):
    source = opened()
    found = values(source, exporter, server.line("DCGM_FI_PROF_PIPE_INT_ACTIVE", wrong))
    assert found == {"power_watts": 351.5, "gpu_util_ratio": 0.97, "sm_active_ratio": 0.5}
    assert source.faults["lines that are no samples"] == 1


def test_energy_is_power_over_ten_seconds_or_more(exporter, opened):
    def body(millijoules):
        more = server.line("DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION", millijoules)
        return server.page() + more + server.line("DCGM_FI_DEV_ENFORCED_POWER_LIMIT", 700)

    source, found = opened(), []
    for step in range(1, 25):
        exporter.body = body(1e9 + step * 350_000)
        found.append(later(source, 1.0)[0].values.get("energy_power_ratio"))
    told = [(place, value) for place, value in enumerate(found) if value is not None]
    assert told == [(10, pytest.approx(0.5)), (20, pytest.approx(0.5))]


def test_mig_instances_have_only_what_is_their_own(exporter, make):
    whole = server.page()
    lines = server.line("DCGM_FI_DEV_POWER_USAGE", 400, more=INSTANCE) + server.line(
        "DCGM_FI_PROF_SM_ACTIVE", 0.25, more=INSTANCE
    )
    exporter.body = whole + lines
    source = make()
    (device,) = source.open()
    assert (device.gpu, device.index, device.mig) == (f"{FIRST}/7", 0, 7)
    assert device.name == "NVIDIA H100 80GB HBM3 MIG 1g.10gb"
    exporter.body = whole + lines.replace("0.25", "0.75")
    (reading,) = later(source)
    assert (reading.gpu, reading.values) == (f"{FIRST}/7", {"sm_active_ratio": 0.75})


def test_labels_say_whose_work_it_is(exporter, opened):
    more = 'namespace="team-a",pod="train-0",container="main",hpc_job="4711"'
    exporter.body = server.page(more="", gpus=1).replace("} ", f",{more}}} ")
    expected = {"hostname": "n1", "namespace": "team-a", "pod": "train-0", "container": "main", "hpc_job": "4711"}
    assert opened().labels == {FIRST: expected}


def test_a_gpu_that_pods_share_is_nobodys_and_its_values_count_once(exporter, opened):
    def shared(power):
        lines = server.page(power).splitlines(keepends=True)
        return "".join(
            line.replace("} ", f',namespace="a",pod="{pod}",container="c"}} ')
            for line in lines for pod in ("one", "two") if not line.startswith("#")
        )  # fmt: skip

    exporter.body = shared(350.5)
    source = opened()
    assert source.labels == {FIRST: {"hostname": "n1"}}
    exporter.body = shared(351.5)
    assert later(source)[0].values["power_watts"] == 351.5


def test_contradictory_series_are_left_out(exporter, opened):
    source = opened()
    name = "DCGM_FI_PROF_PIPE_INT_ACTIVE"
    found = values(source, exporter, server.line(name, 0.1), server.line(name, 0.9))
    assert "integer_active_ratio" not in found
    assert source.faults["field 1016 has several values for one device"] == 1


def test_hostile_labels_are_harmless(exporter, opened):
    evil = 'pod="\\u202e\x1b[2J\x07",namespace="' + "x" * 5000 + '",container="a\\"b\\\\c\\nd"'
    exporter.body = server.page().replace("} ", f",{evil}}} ")
    (labels,) = opened().labels.values()
    assert all(text.isprintable() and len(text) <= 253 for text in labels.values())
    assert labels["container"] == 'a"b\\c\\x0ad'


@pytest.mark.parametrize("uuid", ["", "GPU-../../etc", "GPU-\x1b[2J", "GPU-" + "a" * 65, "nvidia0"])
def test_a_device_without_a_usable_name_is_none(exporter, make, uuid):
    exporter.body = server.page() + server.page(uuid=uuid or " ")
    source = make()
    assert [device.gpu for device in source.open()] == [FIRST]
    assert source.faults["a series without a usable UUID"] == 3


def test_bad_utf8_and_half_a_line_cost_themselves(exporter, opened):
    source = opened()
    text = server.page(power=351.5).encode() + b'DCGM_FI_PROF_PIPE_INT_ACTIVE{UUID="\xff\xfe"} 1\n'
    exporter.body = text + server.line("DCGM_FI_DEV_GPU_TEMP", 61).encode()[:-2]
    assert later(source)[0].values == {"power_watts": 351.5, "gpu_util_ratio": 0.97, "sm_active_ratio": 0.5}


def test_gpus_of_another_node_are_nobodys_here(exporter, make):
    source = make(local=frozenset({"GPU-other"}))
    with pytest.raises(DataError, match=r"only GPUs of another node \(n1\)"):
        source.open()
    exporter.body = server.page(gpus=2)
    assert [device.gpu for device in make(local=frozenset({SECOND})).open()] == [SECOND]


def test_a_service_in_front_of_several_exporters_is_noticed(exporter, opened):
    source = opened()
    exporter.body = server.page(uuid=SECOND, host="n2")
    with pytest.raises(SourceLost, match="those of another node"):
        later(source)


def test_the_drivers_own_list_of_gpus(tmp_path):
    assert local_gpus(tmp_path) == frozenset()
    for number, uuid in enumerate((FIRST, "GPU-????????-????-????-????-????????????")):
        (tmp_path / f"0000:0{number}:00.0").mkdir()
        text = f"Model: \t\t NVIDIA H100\nIRQ:   \t\t 16\nGPU UUID: \t {uuid}\n"
        (tmp_path / f"0000:0{number}:00.0" / "information").write_text(text)
    assert local_gpus(tmp_path) == {FIRST}


def test_gpus_are_chosen(exporter, make):
    exporter.body = server.page(gpus=2)
    assert [d.gpu for d in make(gpus=("1",)).open()] == [SECOND]
    assert [d.gpu for d in make(gpus=(FIRST,)).open()] == [FIRST]
    with pytest.raises(NoDeviceError, match="no GPU of 2 there is 5"):
        make(gpus=("5",)).open()


@pytest.mark.parametrize(
    "url", ["file:///etc/passwd", "http://u:p@h/", "h:9400", "http://", "http://h:x/", "http://a\n/"]
)
def test_addresses_that_cannot_be_meant(make, url):
    with pytest.raises(UsageError) as caught:
        make(dcgm_url=url).open()
    assert ":p@" not in str(caught.value)


def test_lines_with_times_of_their_own_are_believed_only_if_they_are_of_now(exporter, opened):
    source = opened()

    def stamped(power, unix_s):
        exporter.body = server.line("DCGM_FI_DEV_POWER_USAGE", f"{power} {unix_s * 1000:.0f}")
        return later(source)

    (reading,) = stamped(1, 1e9 + 1025)
    assert (reading.time_s, reading.unix_s) == (1025.0, 1e9 + 1025)
    for wrong in (1e9 - 5000, 1e9 + 9000):
        with pytest.raises(DataError, match="samples of another time only"):
            stamped(wrong, wrong)
    assert source.faults["samples of another time: old ones, or a clock that is wrong"] == 2


def test_the_counters_file_is_what_the_table_says():
    shipped = (ROOT / "deploy/dcgm/hashwarden-counters.csv").read_text()
    remedy = "run python -m hashwarden.serve.sources.dcgm_counters deploy/dcgm/hashwarden-counters.csv"
    assert shipped == counters_file(), remedy
    lines = [line for line in shipped.splitlines() if line and not line.startswith("#")]
    assert Counter(line.count(",") for line in lines) == {2: len(lines)}, "the exporter wants three columns"
    fields = {NUMBERS[line.split(",")[0]] for line in lines}
    assert fields >= {channel.dcgm for channel in CHANNELS if channel.dcgm is not None}
    told = channels(dict.fromkeys(fields, 1.0))
    assert {"sm_clock_ratio", "memory_clock_ratio", "power_ratio", "fb_used_ratio", "power_capped_ratio"} <= set(told)
    before = shipped[: shipped.index("\nDCGM_FI_PROF_DRAM_ACTIVE,")]
    assert "A40" in before[-200:]
    assert "Xid 119" in before[-200:]
