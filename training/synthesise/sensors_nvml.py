"""Plain NVML: utilisation of the driver's period, power of a sensor that looks a part of the time, clocks, memory.

N = samples.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from hashwarden.training.synthesise.gpus import Gpu
from hashwarden.training.synthesise.schedule import TICK_S
from hashwarden.training.synthesise.site import Site
from hashwarden.training.synthesise.truth import Truth
from hashwarden.training.synthesise.windows import Means

__all__ = ["read_nvml"]

F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]
I64 = npt.NDArray[np.int64]

CLOCK_STEP_MHZ: Final = 15.0
CONTEXT_MIB: Final = (250.0, 700.0)
RESERVED_MIB: Final = (300.0, 900.0)
HOT_CELSIUS: Final = 88.0
LOOK_S: Final = 0.02
"""NVML's PCIe counter looks at 20 ms (nvml.h)."""


def read_nvml(  # noqa: PLR0913, PLR0917
    true: Truth, times: F64, gpu: Gpu, site: Site, rng: np.random.Generator, noise: float
) -> dict[str, F64]:
    """The channels of plain NVML by name, each of shape (N,)."""
    tick = np.clip((times / TICK_S).astype(np.int64) - 1, 0, len(true.busy) - 1)
    before = np.concatenate([[0.0], times[:-1]])
    means = Means(
        {
            "util": 1 - (1 - np.clip(true.busy, 0, 1)) ** np.float32(site.saturation),
            "memory": np.minimum(true.rates["dram"] * rng.uniform(0.95, 1.15), 1),
            "watts": true.watts,
            "swing": true.swing,
            "decoder": true.host["decoder_util"],
        }
    )
    return {
        **_utilisation(means, times, tick, true, site),
        **_power(means, before, times, gpu, site, true, tick, rng, noise),
        **_clocks(true, tick, gpu, rng, noise),
        **_memory(true, tick, gpu, rng),
        **_links(true, tick, gpu, rng),
        "temperature_celsius": np.rint(_wide(true.celsius[tick])),
        "memory_temperature_celsius": np.rint(_wide(true.memory_celsius[tick])) if gpu.hbm
        else np.full(len(times), np.nan),
        "process_count": _wide(true.host["processes"][tick] + true.host["foreign_processes"][tick]),
        "foreign_process_count": true.host["foreign_processes"][tick].astype(np.float64),
    }  # fmt: skip


def _wide(values: F32 | F64) -> F64:
    return values.astype(np.float64)


def _percent(share: F64) -> F64:
    steps: F64 = np.rint(100 * np.clip(share, 0, 1)) / 100
    return steps


def _utilisation(means: Means, times: F64, tick: I64, true: Truth, site: Site) -> dict[str, F64]:
    """Of the last period of the driver that was over when it was asked."""
    stop = np.floor(times / site.driver_period_s) * site.driver_period_s
    shown = means.over(np.maximum(stop - site.driver_period_s, 0), np.maximum(stop, TICK_S))
    stale = means.over(np.maximum(stop - 1.2, 0), np.maximum(stop - 0.2, TICK_S))
    return {
        "gpu_util_ratio": _percent(shown["util"]),
        "memory_util_ratio": _percent(shown["memory"]),
        "decoder_util_ratio": _percent(shown["decoder"]),
        "encoder_util_ratio": np.zeros(len(times)),
        # of one process: with several the largest has about an even part
        "process_sm_util_ratio": _percent(stale["util"] / np.maximum(1, true.host["foreign_processes"][tick] + 1)),
    }


def _power(  # noqa: PLR0913, PLR0917
    means: Means, before: F64, times: F64, gpu: Gpu, site: Site, true: Truth, tick: I64, rng: np.random.Generator,
    noise: float,
) -> dict[str, F64]:  # fmt: skip
    window = max(gpu.power_window_s, TICK_S)
    seen = means.over(np.maximum(times - window, 0), times)
    # what the sensor does not look at differs from what it looks at by the swing between work and gaps
    blind = np.sqrt((1 - gpu.power_seen) * TICK_S / window) * seen["swing"]
    rough = noise * (blind + 0.003 * seen["watts"] + 0.3) * rng.standard_normal(len(times))
    watts: F64 = np.rint(1e3 * np.maximum(site.power_gain * seen["watts"] + rough, 1)) / 1e3
    drawn = means.over(before, times)["watts"] * site.power_gain
    energy = drawn * (1 + noise * 0.003 * rng.standard_normal(len(times)))
    limit = gpu.limit_watts * np.clip(true.host["power_share"][tick].astype(np.float64), 0.1, 1)
    return {"power_watts": watts, "power_ratio": np.clip(watts / limit, 0, 2),
            "energy_power_ratio": np.clip(energy / limit, 0, 2)}  # fmt: skip


def _clocks(true: Truth, tick: I64, gpu: Gpu, rng: np.random.Generator, noise: float) -> dict[str, F64]:
    capped, clock = true.capped[tick], true.clock[tick].astype(np.float64)
    dither = noise * capped * rng.normal(0, 20.0, len(tick))
    mhz = np.clip(np.round((clock * gpu.clock_mhz + dither) / CLOCK_STEP_MHZ) * CLOCK_STEP_MHZ, 15, gpu.clock_mhz)
    resting = clock <= gpu.idle_clock_mhz / gpu.clock_mhz + 1e-3
    memory = true.host["memory_clock_share"][tick].astype(np.float64)
    return {
        "sm_clock_mhz": mhz,
        "sm_clock_ratio": mhz / gpu.clock_mhz,
        "memory_clock_ratio": memory if gpu.hbm else np.where(resting, 0.05, memory),
        "power_capped_ratio": capped.astype(np.float64),
        "thermal_capped_ratio": (true.celsius[tick] > HOT_CELSIUS).astype(np.float64),
    }


def _memory(true: Truth, tick: I64, gpu: Gpu, rng: np.random.Generator) -> dict[str, F64]:
    processes = true.host["processes"] + true.host["foreign_processes"]
    held = true.host["fb_mib"] + processes * rng.uniform(*CONTEXT_MIB) + rng.uniform(*RESERVED_MIB)
    used: F64 = np.rint(np.minimum(_wide(held[tick]), gpu.dram_mib))
    return {"fb_used_mib": used, "fb_used_ratio": used / gpu.dram_mib}


def _links(true: Truth, tick: I64, gpu: Gpu, rng: np.random.Generator) -> dict[str, F64]:
    """PCIe as a look of 20 ms sees it: traffic comes in bursts, and a look hits one or none."""
    shown = {}
    for way in ("tx", "rx"):
        mean = true.host[f"pcie_{way}_mib_per_s"][tick].astype(np.float64)
        chance = np.clip(mean / (0.3 * gpu.pcie_mib_per_s) + LOOK_S / TICK_S, 0, 1)
        hit = rng.random(len(tick)) < chance
        burst = mean / chance * rng.lognormal(0, 0.3, len(tick))
        quiet = rng.exponential(0.4, len(tick))
        shown[f"pcie_{way}_mib_per_s"] = np.minimum(np.where(hit, burst, 0) + quiet, gpu.pcie_mib_per_s)
    return shown
