"""Samples: shape, ranges, averages, lags, what is missing between bursts, faults, two jobs on one GPU."""

import numpy as np
import pytest

from hashwarden.errors import UsageError
from hashwarden.model.channels import CHANNELS, GROUPS, INDEX
from hashwarden.model.validity import judge
from hashwarden.model.validity_rules import FIRST_FAULT, Reason
from hashwarden.training.synthesise.gpus import GPUS
from hashwarden.training.synthesise.physics import activity
from hashwarden.training.synthesise.schedule import Schedule
from hashwarden.training.synthesise.sensors import Sensors, observe
from hashwarden.training.synthesise.site import Site

LOW, HIGH = (np.array([getattr(c, end) for c in CHANNELS]) for end in ("low", "high"))
CLEAN = Sensors(faults=0, missed=0)


def job(parts, ticks=1200, busy=0.9, **host):
    series = {name: np.broadcast_to(np.float32(value), ticks) for name, value in {"fb_mib": 5000, **host}.items()}
    shares = np.full((ticks, len(parts)), busy / max(len(parts), 1), np.float32)
    return Schedule(tuple(parts), shares, None, series)


def see(schedule, gpu="H100 SXM", sensors=CLEAN, seed=0, **more):
    return observe(schedule, gpu, sensors, np.random.default_rng(seed), **more)


def of(values, name):
    return values[:, INDEX[name]].astype(np.float64)


@pytest.mark.parametrize("period", [0.1, 0.37, 1, 30, 60])
@pytest.mark.parametrize("gpu", GPUS)
def test_samples_are_in_order_and_within_range(period, gpu):
    for parts in ((), ("gemm-bf16", "elementwise"), ("progpow",)):
        times, values = see(job(parts), gpu, Sensors(period_s=period, faults=0))
        assert (np.diff(times) > 0).all()
        assert values.dtype == np.float32
        assert values.shape == (len(times), len(CHANNELS))
        outside = ((values < LOW) | (values > HIGH)).any(0)
        assert not outside.any(), [c.name for c, out in zip(CHANNELS, outside, strict=True) if out]


def test_too_short_a_job_has_no_samples():
    times, values = see(job(("ethash",), ticks=5))
    assert len(times) == len(values) == 0


def test_healthy_counters_are_believed():
    for part in ("ethash", "sha256d", "gemm-bf16"):
        for gpu in ("H100 SXM", "A100 SXM 80GB"):
            times, values = see(job((part,), 3000), gpu)
            found = judge(times, values).reasons
            assert not ((found >= FIRST_FAULT) & (found != Reason.MISSING)).any(), (part, gpu)


def test_faults_come_and_are_noticed():
    times, values = see(job(("gemm-bf16",), 36000), sensors=Sensors(faults=40))
    reasons = judge(times, values).reasons
    for reason in (Reason.SENTINEL, Reason.OUT_OF_RANGE):
        assert (reasons == reason).any(), reason


def test_a_sample_is_the_mean_of_its_interval():
    busy = np.zeros((600, 1), np.float32)
    busy[::2] = 1  # works in every other tick
    schedule = Schedule(("sha256d",), busy, None, {"fb_mib": np.full(600, 500, np.float32)})
    _, values = see(schedule, sensors=Sensors(faults=0, missed=0, jitter=0, noise=0, site=Site()))
    np.testing.assert_allclose(of(values, "graphics_active_ratio"), 0.5, atol=0.01)
    assert np.nanstd(of(values, "graphics_active_ratio")) < 1e-3


def test_ratios_of_cycles_weigh_fast_ticks_more():
    clock = np.repeat(np.float32([1.0, 0.5]), 5)
    busy = np.repeat(np.float32([1.0, 0.0]), 5)
    schedule = Schedule(("sha256d",), np.tile(busy, 60)[:, None], None,
                        {"clock_share": np.tile(clock, 60), "fb_mib": np.ones(600, np.float32)})  # fmt: skip
    _, values = see(schedule, sensors=Sensors(faults=0, missed=0, jitter=0, noise=0, site=Site()))
    assert np.nanmedian(of(values, "graphics_active_ratio")) == pytest.approx(2 / 3, abs=0.02)


def test_only_the_groups_asked_for_are_there():
    for groups in (("nvml",), ("nvml", "gpm"), ("launch", "code"), ("probe",)):
        _, values = see(job(("ethash",)), sensors=Sensors(groups=groups, faults=0))
        for channel in CHANNELS:
            if channel.group not in groups:
                assert np.isnan(of(values, channel.name)).all(), channel.name
        assert np.isfinite(values).any()


def test_launches_and_bursts_are_fresh_now_and_then_and_loads_always():
    _, values = see(job(("ethash",), 6000))
    for name in ("launches_per_s", "code_mining_ratio", "pm_sm_active_ratio"):
        assert 0.02 < np.isfinite(of(values, name)).mean() < 0.05, name
    assert np.isfinite(of(values, "module_loads_per_s")).all()
    _, slow = see(job(("ethash",), 6000), sensors=Sensors(period_s=60, faults=0, missed=0))
    assert np.isfinite(of(slow, "launches_per_s")).mean() > 0.8


def test_module_loads_make_launches_new():
    loads = np.zeros(6000, np.float32)
    loads[3050] = 1
    _, values = see(job(("progpow",), 6000, module_loads=loads))
    new = of(values, "new_kernel_ratio")
    fresh = np.flatnonzero(np.isfinite(new))
    assert new[fresh[0]] == 1  # all is new at first
    later = fresh[(fresh > 305) & (fresh < 340)]
    assert new[later].max() == 1
    assert new[fresh[(fresh > 60) & (fresh < 300)]].max() == 0
    assert of(values, "module_loads_per_s").sum() == pytest.approx(1, rel=0.05)


def test_graphs_hide_launches():
    _, plain = see(job(("elementwise",), 3000))
    _, graphs = see(job(("elementwise",), 3000, graph_share=1.0))
    assert np.nanmedian(of(plain, "launches_per_s")) > 100
    assert np.nanmax(of(graphs, "launches_per_s")) == 0
    assert np.nanmedian(of(graphs, "graph_launches_per_s")) > 0


def test_without_gpm_dcgm_answers_later_and_holds():
    site = Site(source="dcgm")
    times, values = see(job(("gemm-bf16",), 600), "A100 SXM 80GB", Sensors(0.1, faults=0, missed=0, site=site))
    seen = of(values, "sm_active_ratio")
    assert len(np.unique(seen[np.isfinite(seen)].round(2))) <= len(times)
    busy = np.zeros((600, 1), np.float32)
    busy[300:] = 1
    times, values = see(Schedule(("sha256d",), busy), "A100 SXM 80GB", Sensors(0.1, faults=0, missed=0, site=site))
    rise = times[np.flatnonzero(of(values, "sm_active_ratio") > 0.5)[0]]
    assert 30.2 < rise < 32.5


def test_utilisation_saturates_for_mining_and_training_alike():
    for part in ("ethash", "gemm-bf16"):
        _, values = see(job((part,), busy=1.0))
        assert np.nanmin(of(values, "gpu_util_ratio")[2:]) == 1


def test_power_scatters_where_the_sensor_looks_a_quarter_of_the_time():
    def scatter(gpu: str) -> float:
        _, values = see(job(("sha256d",), 6000, 0.5), gpu, Sensors(faults=0, missed=0, site=Site()))
        return float(np.nanstd(of(values, "power_ratio")))

    assert scatter("A100 SXM 80GB") > 3 * scatter("L40S")


def test_site_settles_what_counters_count():
    def seen(name, part, **site):
        kernels = activity((part,), GPUS["H100 SXM"], np.random.default_rng(3))
        _, values = see(job((part,)), sensors=Sensors(faults=0, site=Site(**site)), kernels=kernels)
        return float(np.nanmedian(of(values, name)))

    assert seen("tensor_imma_active_ratio", "matmul-pow", int8_counted=False) == 0
    assert seen("tensor_imma_active_ratio", "matmul-pow", int8_counted=True) > 0.3
    assert seen("tensor_active_ratio", "matmul-pow", int8_counted=False) > 0.3
    logic, products = (seen("integer_active_ratio", "sha256d", integer_counts=c) for c in ("logic", "products"))
    assert logic > products
    assert seen("fp32_active_ratio", "heavyhash", products_in_fp32=False) < 0.05


def test_two_jobs_share_the_counters_but_not_the_launches():
    train, mine = job(("gemm-bf16",), busy=0.5), job(("ethash",), busy=0.5)
    alone, both = (see(train, beside=beside, sensors=Sensors(faults=0, site=Site()))[1] for beside in (None, mine))
    assert np.nanmedian(of(both, "dram_active_ratio")) > 1.3 * np.nanmedian(of(alone, "dram_active_ratio"))
    assert np.nanmin(of(both, "foreign_process_count")) == 1
    assert np.nanmax(of(alone, "foreign_process_count")) == 0
    assert np.nanmax(of(both, "code_mining_ratio")) < 0.2
    assert np.nanmedian(of(both, "context_switches_per_s")) > 50


def test_probes_feel_the_unit_that_is_busy():
    _, values = see(job(("sha256d",), 6000))
    assert np.nanmedian(of(values, "probe_lop3_ratio")) > 1.3 * np.nanmedian(of(values, "probe_dram_ratio"))
    _, none = see(job(("sha256d",)), sensors=Sensors(groups=GROUPS, probe_hz=0, faults=0))
    assert np.isnan(of(none, "probe_dram_ratio")).all()


def test_the_same_seed_gives_the_same_samples():
    one, two, other = (see(job(("heavyhash",)), seed=seed)[1] for seed in (5, 5, 6))
    np.testing.assert_array_equal(one, two)
    assert not np.array_equal(one, other, equal_nan=True)


@pytest.mark.parametrize("changes", [{"period_s": 0.01}, {"period_s": float("nan")}, {"groups": ("nvml", "no-such")}])
def test_settings_that_cannot_be_meant_are_refused(changes):
    with pytest.raises(UsageError):
        see(job(("ethash",)), sensors=Sensors(**changes))


def test_jobs_of_different_length_cannot_share_a_gpu():
    with pytest.raises(UsageError, match="same length"):
        see(job(("ethash",)), beside=job(("gemm-bf16",), ticks=10))
