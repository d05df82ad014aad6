"""The table of channels: names, units, ranges, and numbers as NVIDIA's own headers have them."""

import ast
import math
import re
from collections import Counter
from itertools import pairwise
from pathlib import Path

import pynvml
import pytest

from hashwarden.model import channels as module
from hashwarden.model.channel_page import page
from hashwarden.model.channels import CHANNELS, GROUPS, INDEX, NETWORK, TIERS, schema_hash
from hashwarden.model.known_faults import FAULTS

ROOT = Path(__file__).parents[2]
UNITS = ("ratio", "watts", "celsius", "mhz", "mib", "mib/s", "1/s", "count", "seconds")
GPM = {
    "graphics_active_ratio": "GRAPHICS_UTIL", "sm_active_ratio": "SM_UTIL", "sm_occupancy_ratio": "SM_OCCUPANCY",
    "integer_active_ratio": "INTEGER_UTIL", "tensor_active_ratio": "ANY_TENSOR_UTIL",
    "tensor_dfma_active_ratio": "DFMA_TENSOR_UTIL", "tensor_hmma_active_ratio": "HMMA_TENSOR_UTIL",
    "tensor_imma_active_ratio": "IMMA_TENSOR_UTIL", "dram_active_ratio": "DRAM_BW_UTIL",
    "fp64_active_ratio": "FP64_UTIL", "fp32_active_ratio": "FP32_UTIL", "fp16_active_ratio": "FP16_UTIL",
    "pcie_tx_mib_per_s": "PCIE_TX_PER_SEC",
    "pcie_rx_mib_per_s": "PCIE_RX_PER_SEC", "nvlink_rx_mib_per_s": "NVLINK_TOTAL_RX_PER_SEC",
    "nvlink_tx_mib_per_s": "NVLINK_TOTAL_TX_PER_SEC", "dram_cache_miss_ratio": "DRAM_CACHE_MISS",
    "context_switches_per_s": "GR0_CTXSW_CYCLES_ELAPSED",
}  # fmt: skip
DCGM = {
    "gpu_util_ratio": 203, "memory_util_ratio": 204, "encoder_util_ratio": 206, "decoder_util_ratio": 207,
    "power_watts": 155, "energy_power_ratio": 156, "temperature_celsius": 150, "memory_temperature_celsius": 140,
    "sm_clock_mhz": 100, "memory_clock_ratio": 101, "fb_used_mib": 252, "graphics_active_ratio": 1001,
    "sm_active_ratio": 1002, "sm_occupancy_ratio": 1003, "tensor_active_ratio": 1004, "dram_active_ratio": 1005,
    "fp64_active_ratio": 1006, "fp32_active_ratio": 1007, "fp16_active_ratio": 1008, "pcie_tx_mib_per_s": 1009,
    "pcie_rx_mib_per_s": 1010, "nvlink_tx_mib_per_s": 1011, "nvlink_rx_mib_per_s": 1012,
    "tensor_imma_active_ratio": 1013, "tensor_hmma_active_ratio": 1014, "tensor_dfma_active_ratio": 1015,
    "integer_active_ratio": 1016,
}  # fmt: skip
"""As ``dcgm_fields.h`` of NVIDIA/DCGM has them."""


def test_names_are_unique_and_plain():
    assert [name for name, count in Counter(c.name for c in CHANNELS).items() if count > 1] == []
    assert [c.name for c in CHANNELS if not re.fullmatch(r"[a-z][a-z0-9_]{2,40}", c.name)] == []
    assert [CHANNELS[i].name for i in INDEX.values()] == list(INDEX)


def test_units_are_of_the_list_and_end_the_name():
    assert {c.unit for c in CHANNELS} == set(UNITS)
    ends = {"ratio": ("_ratio", "_variation", "_novelty"), "mib/s": ("_mib_per_s",), "1/s": ("_per_s",),
            "count": ("_count", "_kernels", "_per_launch")}  # fmt: skip
    wrong = [c.name for c in CHANNELS if not c.name.endswith(ends.get(c.unit, (f"_{c.unit}",)))]
    assert wrong == []


def test_ranges_and_scales_can_be():
    for channel in CHANNELS:
        assert channel.low == 0
        assert 0 < channel.high < math.inf
        assert 0 <= channel.scale < channel.high
        assert channel.meaning
        assert channel.group in GROUPS
        assert not channel.scale or channel.network


def test_only_ratios_of_gpm_count_cycles():
    assert {c.name for c in CHANNELS if c.per_cycle} == {
        c.name for c in CHANNELS if c.group == "gpm" and c.unit == "ratio"
    }
    assert {c.group for c in CHANNELS if c.noisy} == {"nvml", "gpm"}


def test_gpm_numbers_are_those_of_nvml():
    ours = {c.name: c.gpm for c in CHANNELS if c.gpm is not None}
    assert ours == {name: getattr(pynvml, f"NVML_GPM_METRIC_{metric}") for name, metric in GPM.items()}


def test_dcgm_numbers_are_those_of_its_header():
    assert {c.name: c.dcgm for c in CHANNELS if c.dcgm is not None} == DCGM


def test_groups_lie_together_and_tiers_grow():
    order = [c.group for c in CHANNELS]
    assert order == sorted(order, key=GROUPS.index)
    sizes = [set(groups) for groups in TIERS.values()]
    assert all(a < b for a, b in pairwise(sizes))
    assert sizes[-1] == set(GROUPS)


def test_the_network_reads_a_part_in_order():
    assert list(NETWORK) == [c.name for c in CHANNELS if c.name in set(NETWORK)]
    assert 0 < len(NETWORK) < len(CHANNELS)
    assert {"power_watts", "fb_used_mib", "sm_clock_mhz"}.isdisjoint(NETWORK)


def test_the_hash_changes_with_what_a_trace_or_a_model_relies_on(monkeypatch):
    before = schema_hash()
    assert re.fullmatch("[0-9a-f]{64}", before)
    assert schema_hash() == before
    changed = {before}
    for field, value in (
        ("name", "x"),
        ("unit", "x"),
        ("high", 7),
        ("scale", 0.7),
        ("network", False),
        ("group", "pm"),
    ):
        first = CHANNELS[0]
        values = {name: getattr(first, name) for name in first.__slots__} | {field: value}
        monkeypatch.setattr(module, "CHANNELS", (type(first)(**values), *CHANNELS[1:]))
        changed.add(schema_hash())
    monkeypatch.setattr(module, "CHANNELS", CHANNELS[::-1])
    changed.add(schema_hash())
    assert len(changed) == 8


def test_the_hash_does_not_change_by_itself():
    """Traces and models carry it: a change of the table is meant, and then this line changes with it."""
    assert schema_hash() == "75b44c459bf227f56dbb92fbeb3b92ce1a99a0a53bf5f580f9f18b9f282313f2"


def test_the_page_is_up_to_date():
    remedy = "run python -m hashwarden.model.channel_page docs/channels.md"
    assert (ROOT / "docs/channels.md").read_text() == page(), remedy


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.report[:40])
def test_each_known_fault_has_a_test_or_says_who_else_deals_with_it(fault):
    tree = ast.parse((ROOT / "tests/model/test_validity.py").read_text())
    tests = {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
    assert fault.test in {"", *tests}
    assert fault.effect
    assert len(fault.answer) > 10 or fault.test
