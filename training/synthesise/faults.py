"""Faults of counters, at low rates: signs for nothing that pass for numbers, frozen and dead counters, gaps.

Each kind was seen in the field (docs/channels.md lists the reports); the rates are assumed.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

import numpy as np
import numpy.typing as npt

from hashwarden.model.channels import CHANNELS, INDEX

__all__ = ["RATES", "add_faults"]

F32 = npt.NDArray[np.float32]

RATES: Final[Mapping[str, float]] = MappingProxyType(
    {"sentinel": 2e-4, "garbage": 1e-4, "gap": 5e-4, "frozen": 0.01, "dead": 0.01, "silent": 0.005}
)
"""Chance of a sample to hold a sentinel, a garbage utilisation, or nothing of one source; chance of a run to have a
frozen counter, a dead one, or a source that falls silent for a while."""

_SENTINELS: Final = (9223372036854775792.0, 9223372036854775794.0, 140737488355328.0, 2147483632.0)
_READ: Final = [i for i, channel in enumerate(CHANNELS) if channel.group in {"nvml", "gpm"}]
_GPM: Final = [i for i, channel in enumerate(CHANNELS) if channel.group == "gpm"]
_NOISY: Final = [i for i, channel in enumerate(CHANNELS) if channel.noisy]


def add_faults(values: F32, factor: float, rng: np.random.Generator) -> None:
    """Put faults into the samples of a run, in place.

    Parameters
    ----------
    values : float32 array, shape (T, C)
    factor : float
        On all rates; 0 for none.
    rng : Generator
    """
    if factor <= 0 or not len(values):
        return
    samples = len(values)
    for row in np.flatnonzero(rng.random(samples) < factor * RATES["sentinel"]):
        columns = rng.choice(_READ, int(rng.integers(1, 4)), replace=False)
        seen = columns[np.isfinite(values[row, columns])]
        values[row, seen] = rng.choice(_SENTINELS)
    util = INDEX["gpu_util_ratio"]
    for row in np.flatnonzero(rng.random(samples) < factor * RATES["garbage"]):
        values[row, util] = values[row, util] * 0 + np.float32(rng.uniform(1.5, 4e7))
    for row in np.flatnonzero(rng.random(samples) < factor * RATES["gap"]):
        values[row, _GPM if rng.random() < 0.5 else _READ] = np.nan
    if rng.random() < factor * RATES["frozen"]:
        _frozen(values, rng)
    if rng.random() < factor * RATES["dead"]:
        _dead(values, rng)
    if rng.random() < factor * RATES["silent"]:
        start = rng.integers(samples)
        values[start : start + rng.integers(1, max(samples // 3, 2)), _GPM] = np.nan


def _frozen(values: F32, rng: np.random.Generator) -> None:
    """One counter, or all of GPM, stays as it was."""
    start = int(rng.integers(len(values)))
    columns = _GPM if rng.random() < 0.4 else [int(rng.choice(_NOISY))]
    held = values[start:, columns]
    values[start:, columns] = np.where(np.isfinite(held), held[:1], held)


def _dead(values: F32, rng: np.random.Generator) -> None:
    """One counter (GR_ENGINE_ACTIVE: dcgm-exporter issue 662), or all of GPM, is 0 from then on."""
    start = int(rng.integers(len(values)))
    columns = _GPM if rng.random() < 0.3 else [INDEX["graphics_active_ratio"]]
    values[start:, columns] *= 0
