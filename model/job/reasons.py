"""Why the model says so: what the score loses when a theme of channels is not shown to it.

Each theme is hidden over the last minutes (its mask set to 0, which the network knows from training), the same samples
are scored again, and what the log-odds of mining lose is what the theme was worth. Nothing is assumed of the network:
any function that scores sequences will do.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import cache
from types import MappingProxyType
from typing import Final

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict

from hashwarden.model.channels import CHANNELS, INDEX

__all__ = ["THEMES", "Deciding", "deciding", "theme_columns"]

F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

LEAST_WORTH: Final = 0.3
"""Log-odds that a theme must be worth to be named."""
MOST: Final = 4
SHOWN: Final = 3

THEMES: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "machine code of its kernels": ("code_",),
        "launches": (
            "launches_per_s", "graph_launches_per_s", "module_loads", "distinct_kernels", "top_kernel", "new_kernel",
            "threads_per_launch", "launch_interval_variation",
        ),
        "integer work": ("integer_active", "pm_alu"),
        "tensor cores": ("tensor_", "pm_tensor"),
        "floating-point work": ("fp64_", "fp32_", "fp16_", "pm_fma"),
        "traffic of device memory": ("dram_", "memory_util", "pm_l2", "pm_dram"),
        "how busy the GPU is": (
            "graphics_active", "gpu_util", "sm_active", "sm_occupancy", "process_sm_util", "pm_sm_active", "pm_issue",
            "pm_idle_gap",
        ),
        "rhythm of the work": ("pm_rhythm",),
        "power": ("power_ratio", "power_capped", "energy_power", "thermal_capped"),
        "clocks": ("sm_clock_ratio", "memory_clock_ratio"),
        "traffic with host and other GPUs": ("pcie_", "nvlink_"),
        "video engines": ("encoder_", "decoder_"),
        "device memory held": ("fb_used_ratio",),
        "processes": ("process_count", "context_switches"),
        "probes": ("probe_",),
    }
)  # fmt: skip
"""Sets of channels by the beginnings of their names; every channel that the network reads is in exactly one. The ones
to be quoted come first."""


class Deciding(BaseModel):
    """A theme that decided.

    Attributes
    ----------
    theme : str
    worth : float
        Log-odds of mining that the score loses without it.
    values : mapping of str to float
        Means of its channels over the samples looked at, by name.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    theme: str
    worth: float
    values: Mapping[str, float]

    @property
    def words(self) -> str:
        """In words, with what was measured."""
        quoted = ", ".join(_quoted(name, value) for name, value in list(self.values.items())[:SHOWN])
        return f"{self.theme} ({quoted})"


_UNITS: Final = {"mib/s": " MiB/s", "1/s": "/s", "seconds": " s"}


def _quoted(name: str, value: float) -> str:
    """A channel and its value as a person reads them."""
    channel = CHANNELS[INDEX[name]]
    words = name.removesuffix("_ratio").removesuffix("_per_s").removesuffix("_mib").replace("_", " ")
    if channel.unit == "ratio" and channel.high <= 2:
        return f"{words} {value:.0%}"
    number = f"{value:.2g}" if abs(value) < 10 else f"{value:,.0f}"
    return f"{words} {number}{_UNITS.get(channel.unit, '')}"


@cache
def theme_columns() -> Mapping[str, npt.NDArray[np.int64]]:
    """Columns of each theme, in the order of its beginnings; worked out once."""
    return {
        theme: np.array([INDEX[c.name] for start in starts for c in CHANNELS if c.network and c.name.startswith(start)])
        for theme, starts in THEMES.items()
    }


def deciding(samples: F32, masks: Bools, log_odds: Callable[[Bools], F64]) -> tuple[Deciding, ...]:
    """The themes that speak most for mining, strongest first; none where nothing is worth `LEAST_WORTH`.

    Parameters
    ----------
    samples : float32 array, shape (T, C)
        What was seen last.
    masks : bool array, shape (T, C)
    log_odds : callable
        Log-odds of mining, shape (M,), of the same samples under other masks, shape (M, T, C); called once.
    """
    columns = theme_columns()
    there = [theme for theme, at in columns.items() if masks[:, at].any()]
    if not there:
        return ()
    hidden = np.repeat(masks[None], len(there) + 1, axis=0)
    for row, theme in zip(hidden[1:], there, strict=True):
        row[:, columns[theme]] = False
    found = log_odds(hidden)
    worths = {theme: float(found[0] - found[i]) for i, theme in enumerate(there, 1)}
    best = sorted((t for t in there if worths[t] >= LEAST_WORTH), key=lambda t: -worths[t])[:MOST]
    return tuple(Deciding(theme=t, worth=round(worths[t], 3), values=_means(samples, masks, columns[t])) for t in best)


def _means(samples: F32, masks: Bools, columns: npt.NDArray[np.int64]) -> dict[str, float]:
    shown = [int(c) for c in columns if masks[:, c].any()]
    means = {CHANNELS[c].name: float(samples[masks[:, c], c].mean(dtype=np.float64)) for c in shown}
    return {name: float(f"{mean:.4g}") for name, mean in means.items() if math.isfinite(mean)}
