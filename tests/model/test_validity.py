"""Each known fault of a counter, by name."""

import numpy as np
import pytest

from hashwarden.model.channels import CHANNELS, GROUPS, INDEX
from hashwarden.model.validity import Judged, Validity, judge
from hashwarden.model.validity_rules import DEAD, FIRST_FAULT, KEYS, NEVER_ZERO, REASON_TEXT, SENTINELS, Reason

C = len(CHANNELS)
GPM_RATIOS = [c.name for c in CHANNELS if c.group == "gpm" and c.unit == "ratio"]


def healthy(samples=100, period=1.0, seed=0, busy=True):
    """A believable GPU seen by NVML and GPM: noise on what is noisy, the rest at rest."""
    rng = np.random.default_rng(seed)
    times = np.arange(samples) * period
    values = np.full((samples, C), np.nan, np.float32)
    rest = {
        "gpu_util_ratio": 1.0, "memory_util_ratio": 0.5, "temperature_celsius": 60, "sm_clock_mhz": 1755,
        "sm_clock_ratio": 0.9, "memory_clock_ratio": 1, "power_capped_ratio": 0, "fb_used_mib": 30000,
        "fb_used_ratio": 0.4, "pcie_tx_mib_per_s": 10, "pcie_rx_mib_per_s": 20, "process_count": 1,
    }  # fmt: skip
    for name, value in rest.items():
        idle = name in {"gpu_util_ratio", "memory_util_ratio"} and not busy
        values[:, INDEX[name]] = 0 if idle else value
    level = 0.5 if busy else 0.0
    for name in GPM_RATIOS:
        values[:, INDEX[name]] = level * rng.uniform(0.9, 1, samples) if name != "fp64_active_ratio" else 0
    share = (0.8 if busy else 0.1) * rng.uniform(0.98, 1, samples)
    values[:, INDEX["power_ratio"]] = values[:, INDEX["energy_power_ratio"]] = share
    values[:, INDEX["power_watts"]] = 700 * share
    return times, values


def reasons(judged: Judged, name: str) -> np.ndarray:
    return judged.reasons[:, INDEX[name]]


def put(values, name, value, start=0):
    values[start:, INDEX[name]] = value


@pytest.mark.parametrize("busy", [True, False])
@pytest.mark.parametrize("period", [0.1, 1.0, 30.0, 60.0])
def test_a_healthy_gpu_has_no_faults(busy, period):
    times, values = healthy(1000, period, busy=busy)
    judged = judge(times, values)
    assert set(np.unique(judged.reasons)) == {Reason.OK, Reason.MISSING}
    np.testing.assert_array_equal(judged.values, values)
    np.testing.assert_array_equal(judged.mask, ~np.isnan(values))


def test_missing_is_nan_and_infinite():
    times, values = healthy(4)
    put(values, "gpu_util_ratio", [np.nan, np.inf, -np.inf, 1])
    assert reasons(judge(times, values), "gpu_util_ratio").tolist() == [Reason.MISSING] * 3 + [Reason.OK]


BLANKS = [9223372036854775792, 9223372036854775794, 140737488355328.0, 2**63 - 1, 0xFFFFFFFF, 0x7FFFFFF0, 2**64 - 1]


@pytest.mark.parametrize("divisor", [1, 100, 1e3, 1e6])
@pytest.mark.parametrize("blank", BLANKS)
@pytest.mark.parametrize("name", ["gpu_util_ratio", "power_watts", "fb_used_mib", "nvlink_rx_mib_per_s"])
def test_sentinels_of_dcgm_and_slurm_job_exporter_issue_30_are_seen(name, blank, divisor):
    """Also after the division by the source and the rounding to float32; not where that makes a normal value."""
    times, values = healthy(1)
    put(values, name, np.float32(blank) / np.float32(divisor))
    normal = blank / divisor < 1e6
    found = reasons(judge(times, values), name)[0]
    assert found == Reason.SENTINEL or (normal and found in {Reason.OUT_OF_RANGE, Reason.OK})
    if not normal:
        assert blank / divisor >= 1e6
        assert np.isnan(judge(times, values).values[0, INDEX[name]])


def test_a_sentinel_inside_the_range_is_seen_only_where_a_driver_may_give_it():
    times, values = healthy(1)
    put(values, "nvlink_rx_mib_per_s", np.float32((2**31 - 1) / 1000))
    put(values, "threads_per_launch", 2**32)
    judged = judge(times, values)
    assert reasons(judged, "nvlink_rx_mib_per_s")[0] == Reason.SENTINEL
    assert reasons(judged, "threads_per_launch")[0] == Reason.OK


def test_sentinels_are_sorted_and_never_small():
    assert (np.diff(SENTINELS) > 0).all()
    assert SENTINELS[0] >= 999_999


def test_vgpu_error_codes_passed_on_as_values_are_seen():
    """dcgm-exporter issue 661: -14 instead of a ratio."""
    times, values = healthy(1)
    put(values, "sm_active_ratio", -14)
    assert reasons(judge(times, values), "sm_active_ratio")[0] == Reason.OUT_OF_RANGE


def test_garbage_utilisation_of_nvtop_issue_110_is_seen_and_rounding_is_forgiven():
    times, values = healthy(4)
    put(values, "gpu_util_ratio", [1.0000001, 1.05, 1.06, 655.35])
    judged = judge(times, values)
    assert reasons(judged, "gpu_util_ratio").tolist() == [
        Reason.CLAMPED, Reason.CLAMPED, Reason.OUT_OF_RANGE, Reason.OUT_OF_RANGE,
    ]  # fmt: skip
    assert judged.values[:2, INDEX["gpu_util_ratio"]].tolist() == [1, 1]


@pytest.mark.parametrize("value", [-40.0, 2.5, 6135.7])
def test_energy_counter_reset_or_wrapped(value):
    """A reset gives a negative difference, a 32-bit wrap that was added up wrongly a huge one."""
    times, values = healthy(1)
    put(values, "energy_power_ratio", value)
    assert reasons(judge(times, values), "energy_power_ratio")[0] == Reason.OUT_OF_RANGE


@pytest.mark.parametrize("name", NEVER_ZERO)
def test_what_is_never_zero(name):
    times, values = healthy(1)
    put(values, name, 0)
    assert reasons(judge(times, values), name)[0] == Reason.DEAD


@pytest.mark.parametrize("value", [-1.0, 5e5, 1.8e13])
def test_pcie_garbage(value):
    times, values = healthy(1)
    put(values, "pcie_rx_mib_per_s", value)
    assert reasons(judge(times, values), "pcie_rx_mib_per_s")[0] in {Reason.OUT_OF_RANGE, Reason.SENTINEL}


@pytest.mark.parametrize(("period", "first"), [(0.1, 300), (1.0, 30), (30.0, 7), (60.0, 7)])
def test_a_frozen_counter_is_seen_after_30_s_and_8_samples(period, first):
    times, values = healthy(400, period)
    put(values, "integer_active_ratio", 0.4321, 10)
    found = reasons(judge(times, values), "integer_active_ratio")
    assert (found[: 10 + first] == Reason.OK).all()
    assert (found[10 + first :] == Reason.FROZEN).all()


def test_a_counter_that_thaws_is_believed_again():
    times, values = healthy(100)
    values[10:60, INDEX["sm_active_ratio"]] = 0.77
    found = reasons(judge(times, values), "sm_active_ratio")
    assert np.flatnonzero(found == Reason.FROZEN).tolist() == list(range(40, 60))


def test_a_frozen_counter_of_an_idle_gpu_is_seen_where_others_move():
    times, values = healthy(100, busy=False)
    put(values, "sm_occupancy_ratio", 0.0777)
    values[10:60:10, INDEX["gpu_util_ratio"]] = 0.05
    assert (reasons(judge(times, values), "sm_occupancy_ratio")[60:] == Reason.FROZEN).all()


def test_rest_on_an_idle_gpu_is_no_fault():
    times, values = healthy(200, busy=False)
    values[:] = values[0]
    assert reasons(judge(times, values), "power_watts").max() == Reason.OK


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_saturated_counters_are_believed_while_others_agree(value):
    times, values = healthy(200)
    put(values, "fp16_active_ratio", value)
    put(values, "sm_active_ratio", 1)
    put(values, "sm_occupancy_ratio", 40 / 64)
    judged = judge(times, values)
    for name in ("fp16_active_ratio", "sm_active_ratio", "sm_occupancy_ratio"):
        assert (reasons(judged, name) == Reason.OK).all()


def test_frozen_power_takes_its_ratio_with_it_but_not_a_utilisation_at_1():
    times, values = healthy(100)
    for name in ("power_watts", "power_ratio"):
        put(values, name, values[0, INDEX[name]])
    judged = judge(times, values)
    assert (reasons(judged, "power_ratio")[30:] == Reason.FROZEN).all()
    assert (reasons(judged, "gpu_util_ratio") == Reason.OK).all()


def test_an_exporter_that_serves_its_last_scrape_for_ever():
    """New times, old values: the whole row is frozen, what rests at 1 included."""
    times, values = healthy(100)
    values[20:] = values[20]
    judged = judge(times, values)
    there = ~np.isnan(values[0])
    assert (judged.reasons[50:, there] == Reason.FROZEN).all()
    assert not judged.mask[50:].any()
    validity = Validity()
    validity.block(times, values)
    assert [(b.group, b.since_s, b.reason) for b in validity.blind(["nvml", "gpm"])] == [
        ("nvml", 50.0, Reason.FROZEN), ("gpm", 50.0, Reason.FROZEN),
    ]  # fmt: skip


def test_graphics_active_at_0_for_good_of_dcgm_exporter_issue_662():
    times, values = healthy(100)
    put(values, "graphics_active_ratio", 0, 20)
    judged = judge(times, values)
    found = reasons(judged, "graphics_active_ratio")
    assert np.flatnonzero(found == Reason.DEAD).tolist() == list(range(29, 100))
    assert (reasons(judged, "sm_active_ratio") == Reason.OK).all()


def test_a_dead_counter_stays_dead_while_the_gpu_rests_and_short_bursts_do_not_hide_it():
    times, values = healthy(200)
    _, rest = healthy(200, busy=False)
    pause = (np.arange(200) // 5) % 2 == 1
    values[pause] = rest[pause]
    put(values, "graphics_active_ratio", 0)
    found = reasons(judge(times, values), "graphics_active_ratio")
    assert (found[25:] == Reason.DEAD).all()
    assert found[10] == Reason.OK


def test_all_of_gpm_at_0_while_power_and_utilisation_say_busy():
    times, values = healthy(60)
    for name in GPM_RATIOS:
        put(values, name, 0, 10)
    validity = Validity()
    judged = validity.block(times, values)
    assert (judged.reasons[25:, list(KEYS["gpm"])] == Reason.DEAD).all()
    (blind,) = validity.blind(GROUPS[:2])
    assert (blind.group, blind.since_s, blind.reason) == ("gpm", 19.0, Reason.DEAD)


def test_an_idle_mig_instance_on_a_busy_board_is_no_fault():
    """NVML gives no utilisation for an instance, and the power of the whole board."""
    times, values = healthy(200)
    _, rest = healthy(200, busy=False)
    values[:, list(KEYS["gpm"])] = rest[:, list(KEYS["gpm"])]
    for name in ("gpu_util_ratio", "memory_util_ratio", "process_sm_util_ratio"):
        put(values, name, np.nan)
    validity = Validity()
    judged = validity.block(times, values)
    assert judged.reasons.max() == Reason.MISSING
    assert validity.blind(["nvml", "gpm"]) == []


@pytest.mark.parametrize(
    ("dead", "witness", "level"),
    [
        ("sm_active_ratio", "gpu_util_ratio", 0.9), ("sm_occupancy_ratio", "sm_active_ratio", 0.3),
        ("integer_active_ratio", "tensor_active_ratio", 0.4), ("tensor_active_ratio", "tensor_imma_active_ratio", 0.4),
        ("dram_active_ratio", "memory_util_ratio", 0.5), ("gpu_util_ratio", "sm_active_ratio", 0.9),
        ("memory_util_ratio", "dram_active_ratio", 0.8), ("process_sm_util_ratio", "sm_active_ratio", 0.9),
        ("fb_used_mib", "gpu_util_ratio", 1.0), ("sm_clock_mhz", "gpu_util_ratio", 1.0),
        ("pm_sm_active_ratio", "gpu_util_ratio", 1.0), ("memory_clock_ratio", "sm_active_ratio", 0.5),
    ],
)  # fmt: skip
def test_each_dead_counter_by_its_witness(dead, witness, level):
    times = np.arange(40.0)
    values = np.full((40, C), np.nan, np.float32)
    put(values, dead, 0)
    put(values, witness, level + 0.001 * np.arange(40) % 0.01)
    judged = judge(times, values)
    assert (reasons(judged, dead)[:4] == Reason.OK).all()
    assert (reasons(judged, dead)[12:] == Reason.DEAD).all()
    put(values, witness, 0.01)
    assert (reasons(judge(times, values), dead) == Reason.OK).all()


def test_fp8_that_counts_as_no_kind_of_tensor_work_is_no_fault():
    times, values = healthy(100)
    for kind in ("dfma", "hmma", "imma"):
        put(values, f"tensor_{kind}_active_ratio", 0)
    assert judge(times, values).reasons.max() == Reason.MISSING


def test_ratios_of_cycles_are_marked_where_the_clock_moves_and_kept():
    """open-gpu-kernel-modules issue 1122."""
    times, values = healthy(4)
    put(values, "sm_clock_ratio", [0.9, 0.9, 0.5, 0.45])
    judged = judge(times, values)
    assert reasons(judged, "integer_active_ratio").tolist() == [0, 0, Reason.CLOCK_MOVED, 0]
    assert judged.mask[:, INDEX["integer_active_ratio"]].all()
    assert reasons(judged, "gpu_util_ratio").tolist() == [0] * 4


def test_stale_samples_are_skipped_as_if_they_had_not_come():
    times, values = healthy(30)
    order = np.array([0, 1, 1, 2, 3, 3, 3, 2, *range(4, 30)])
    shown = times[order]
    shown[6] = np.nan
    judged = judge(shown, values[order])
    assert np.flatnonzero(~judged.fresh).tolist() == [2, 5, 6, 7]
    assert (judged.reasons[~judged.fresh] == Reason.STALE).all()
    plain = judge(times, values)
    np.testing.assert_array_equal(judged.values[judged.fresh], plain.values)
    np.testing.assert_array_equal(judged.blind_since[judged.fresh], plain.blind_since)


def test_profiling_that_another_tool_takes_away_blinds_the_group_until_it_is_back():
    """Before Hopper Nsight and DCGM exclude each other (DCGM issue 56)."""
    times, values = healthy(60)
    values[20:40, list(KEYS["gpm"])] = np.nan
    since = judge(times, values).blind_since[:, GROUPS.index("gpm")]
    assert np.flatnonzero(~np.isnan(since)).tolist() == list(range(20, 40))
    assert set(since[20:40]) == {20.0}


def test_blind_before_any_sample_and_where_a_group_never_came():
    validity = Validity()
    (blind,) = validity.blind(["gpm"])
    assert (blind.group, blind.reason) == ("gpm", Reason.MISSING)
    assert np.isnan(blind.since_s)
    times, values = healthy(3)
    validity.block(times, values)
    (blind,) = validity.blind(["nvml", "gpm", "code"])
    assert (blind.group, blind.since_s, blind.reason) == ("code", 0.0, Reason.MISSING)


def test_the_summary_counts_every_value():
    times, values = healthy(50)
    put(values, "gpu_util_ratio", 7, 40)
    validity = Validity()
    validity.block(times[:20], values[:20])
    for time, row in zip(times[20:], values[20:], strict=True):
        validity.step(time, row)
    validity.step(times[-1], values[-1])
    summary = validity.summary()
    assert summary.samples == 51
    assert summary.reasons["gpu_util_ratio"] == {Reason.OK: 40, Reason.OUT_OF_RANGE: 10, Reason.STALE: 1}
    given = [c for c in CHANNELS if c.group == "nvml" and c.name in summary.reasons]
    assert summary.valid["nvml"] == pytest.approx((50 * len(given) - 10) / (51 * len(given)))
    assert np.isnan(summary.valid["probe"])
    assert set(summary.reasons) == {c.name for i, c in enumerate(CHANNELS) if not np.isnan(values[0, i])}


def test_every_reason_has_words_and_every_rule_known_channels():
    assert set(REASON_TEXT) == set(Reason)
    assert tuple(KEYS) == GROUPS
    assert {name for rule in DEAD for name in (*rule.zeros, *rule.witnesses, *rule.kills)} <= set(INDEX)
    assert Reason.CLOCK_MOVED < FIRST_FAULT <= Reason.MISSING
