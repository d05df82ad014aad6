"""Counters of the SMs: NVML's GPM or DCGM's profiling fields, and bursts of CUPTI PM sampling.

N = samples, B = bursts.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from hashwarden.training.synthesise.gpus import Gpu
from hashwarden.training.synthesise.physics import Activity
from hashwarden.training.synthesise.rhythms import rhythm
from hashwarden.training.synthesise.schedule import TICK_S
from hashwarden.training.synthesise.site import Site
from hashwarden.training.synthesise.truth import Truth
from hashwarden.training.synthesise.windows import Means, bursts

__all__ = ["read_counters", "read_pm"]

F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]

_PASSES: Final = (
    ("graphics_active", "sm_active", "sm_occupancy", "dram_active"),
    ("tensor_active", "fp64_active", "fp32_active", "fp16_active"),
    ("integer_active", "tensor_dfma_active", "tensor_hmma_active", "tensor_imma_active"),
)
"""Before Hopper not all fields fit into the hardware's counters: DCGM reads such groups in turns."""

_DEFAULT: Final = ("graphics_active", "tensor_active", "dram_active")
"""Profiling fields that dcgm-exporter reads by default, links aside (its default-counters.csv)."""


DCGM_S: Final = 1.0
"""DCGM's watch interval: values are held in between."""
NOISE: Final = 0.004
"""Relative, of an interval of a second. Assumed."""


def _series(true: Truth, gpu: Gpu, site: Site) -> dict[str, F32]:
    """What the counters count, by the channel's name where there is one; shape (T,) each."""
    r = true.rates
    integer = {"all": r["alu"] + r["product"], "logic": r["alu"], "products": r["product"]}[site.integer_counts]
    products = r["product"] * np.float32(gpu.product / gpu.fp32 if site.products_in_fp32 else 0)
    half, fp8, int8, fp64 = (r[f"tensor_{kind}"] for kind in ("half", "fp8", "int8", "fp64"))
    return {
        "graphics_active": true.busy,
        "sm_active": r["sm_active"],
        "sm_occupancy": r["occupancy"],
        "integer_active": np.minimum(integer, 1),
        "tensor_active": np.minimum(half + fp8 + int8 + fp64, 1),
        "tensor_dfma_active": fp64,
        "tensor_hmma_active": half + fp8 if site.fp8_in_half else half,
        "tensor_imma_active": int8 if site.int8_counted else np.zeros_like(int8),
        "fp64_active": r["fp64"],
        "fp32_active": np.minimum(r["fp32"] + products, 1),
        "fp16_active": r["fp16"],
        "dram_active": r["dram"],
        "pm_issue": r["issue"],
        "pm_alu": r["alu"],
        "pm_fma": np.minimum(r["fp32"] + products, 1),
        "pm_l2": r["l2"],
    }


def _cycle_means(series: dict[str, F32], true: Truth) -> Means:
    """Sums of cycles: a counter of cycles knows no time, so fast ticks weigh more."""
    weighted = {name: each if name == "dram_active" else each * true.clock for name, each in series.items()}
    extra = {"clock": true.clock, "dram_read": true.rates["dram_read"], "nvlink": true.host["nvlink_mib_per_s"],
             "traffic": true.rates["l2"], "misses": true.rates["l2"] * true.rates["miss"]}  # fmt: skip
    return Means({**weighted, **extra})


def _over_cycles(means: Means, start: F64, stop: F64) -> dict[str, F64]:
    shown = means.over(start, stop)
    timed = {"clock", "dram_read", "nvlink", "traffic", "misses", "dram_active"}
    cycles = np.maximum(shown["clock"], 1e-6)
    return {name: each if name in timed else each / cycles for name, each in shown.items()}


def read_counters(  # noqa: PLR0913, PLR0917
    true: Truth, times: F64, gpu: Gpu, site: Site, rng: np.random.Generator, noise: float, shared: bool
) -> dict[str, F64]:
    """The channels of GPM, or of DCGM where the site has that, by name, each of shape (N,)."""
    means = _cycle_means(_series(true, gpu, site), true)
    start, stop = _intervals(times, site)
    shown = _over_cycles(means, start, stop)
    if not gpu.gpm and site.fields == "all":
        shown |= _in_turns(means, start, stop)
    length = np.maximum(stop - start, TICK_S)
    names = [name for group in _PASSES for name in group if site.fields == "all" or name in _DEFAULT]
    rough = {name: 1 + noise * NOISE / np.sqrt(length) * rng.standard_normal(len(times)) for name in names}
    out = {f"{name}_ratio": np.clip(shown[name] * rough[name], 0, 1) for name in names}
    if site.cache:
        out["dram_cache_miss_ratio"] = np.clip(shown["misses"] / np.maximum(shown["traffic"], 1e-6), 0, 1)
    if site.switches:
        both = np.minimum(shown["graphics_active"], 1) * (rng.uniform(200, 900) if shared else 0.0)
        out["context_switches_per_s"] = both + rng.exponential(0.05, len(times))
    if gpu.nvlink_mib_per_s:
        for way in ("rx", "tx"):
            uneven = 1 + noise * 0.01 * rng.standard_normal(len(times))
            out[f"nvlink_{way}_mib_per_s"] = np.clip(shown["nvlink"] * uneven, 0, gpu.nvlink_mib_per_s)
    return out


def _intervals(times: F64, site: Site) -> tuple[F64, F64]:
    """What each sample is a mean over: since the one before (GPM), or the last whole second some time ago (DCGM)."""
    before = np.concatenate([[0.0], times[:-1]])
    if site.source == "gpm":
        return before, times
    period = max(DCGM_S, float(np.median(np.diff(times))) if len(times) > 1 else DCGM_S)
    stop = np.maximum(np.floor((times - site.lag_s) / DCGM_S) * DCGM_S, TICK_S)
    return np.maximum(stop - period, 0), stop


def _in_turns(means: Means, start: F64, stop: F64) -> dict[str, F64]:
    """Each pass sees its own third of the interval."""
    third = (stop - start) / len(_PASSES)
    shown: dict[str, F64] = {}
    for place, names in enumerate(_PASSES):
        seen = _over_cycles(means, start + place * third, start + (place + 1) * third)
        shown |= {name: seen[name] for name in names}
    return shown


def read_pm(  # noqa: PLR0913, PLR0917
    true: Truth, kernels: Activity, times: F64, gpu: Gpu, duty: tuple[float, float], rng: np.random.Generator,
    noise: float,
) -> dict[str, F64]:  # fmt: skip
    """The channels of PM sampling by name, each of shape (N,), missing between the bursts."""
    rows, start, stop = bursts(times, *duty, rng)
    shown = _over_cycles(_cycle_means(_series(true, gpu, Site()), true), start, stop)
    values = {
        "pm_sm_active_ratio": shown["sm_active"],
        "pm_issue_ratio": shown["pm_issue"],
        "pm_alu_ratio": shown["pm_alu"],
        "pm_fma_ratio": shown["pm_fma"],
        "pm_tensor_ratio": shown["tensor_active"],
        "pm_l2_ratio": shown["pm_l2"],
        "pm_dram_read_ratio": shown["dram_read"],
        "pm_dram_write_ratio": np.maximum(shown["dram_active"] - shown["dram_read"], 0),
    }
    rough = {
        name: np.clip(v * (1 + noise * NOISE * rng.standard_normal(len(rows))), 0, 1) for name, v in values.items()
    }
    rough |= rhythm(true, kernels, start, stop, rng)
    out = {}
    for name, value in rough.items():
        out[name] = np.full(len(times), np.nan)
        out[name][rows] = value
    return out
