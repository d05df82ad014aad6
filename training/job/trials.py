"""Runs on which exported graphs are tried: made up ones, and known ones with things taken away."""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from hashwarden.model.channels import CHANNELS

__all__ = ["known_runs", "random_runs"]

F32 = npt.NDArray[np.float32]

RUNS: Final = 8
STEPS: Final = 24
LONG_GAP_S: Final = 3600.0


def random_runs(runs: int = 6, steps: int = 300, seed: int = 0) -> tuple[F32, F32, F32]:
    """Samples within and at the limits of their channels, at 0.1 to 60 s, with groups and samples missing.

    Returns
    -------
    samples, masks : float32 array, shape (runs, steps, C)
    dts : float32 array, shape (runs, steps)
    """
    rng = np.random.default_rng(seed)
    high = np.array([channel.high for channel in CHANNELS])
    typical = np.array([min(channel.high, (channel.scale or 1.0) * 30) for channel in CHANNELS])
    samples = rng.random((runs, steps, len(CHANNELS))) * typical
    samples = np.where(rng.random(samples.shape) < 0.01, high, samples)
    masks = (rng.random(samples.shape) > 0.1).astype(np.float32)
    groups = np.array([channel.group for channel in CHANNELS])
    for run in range(runs):
        missing = rng.choice(np.unique(groups), rng.integers(0, 5), replace=False)
        masks[run][:, np.isin(groups, missing)] = 0
        masks[run, rng.integers(0, steps, steps // 20)] = 0
    dts = np.exp(rng.uniform(np.log(0.1), np.log(60), (runs, 1))) * rng.uniform(0.9, 1.1, (runs, steps))
    dts[:, 0] = 0
    dts[0, steps // 2] = LONG_GAP_S
    return (samples * masks).astype(np.float32), masks, dts.astype(np.float32)


def known_runs(samples: F32, masks: F32, dts: F32) -> tuple[F32, F32, F32]:
    """The first runs, short; every second lacks something.

    The second has nothing but plain NVML, the fourth a long gap, the sixth samples of which nothing is there, the
    eighth single channels that are not there.
    """
    samples, masks, dts = (each[:RUNS, :STEPS].copy() for each in (samples, masks, dts))
    for run in range(1, len(dts), 2):
        _take_away(run, masks[run], dts[run])
    return samples * masks, masks, dts


def _take_away(run: int, mask: F32, dts: F32) -> None:
    """Change a mask (T, C) and times (T,) in place."""
    middle = len(dts) // 2
    if run % 8 == 1:
        mask[:, [channel.group != "nvml" for channel in CHANNELS]] = 0
    elif run % 8 == 3:
        dts[middle] = LONG_GAP_S
    elif run % 8 == 5:
        mask[middle : middle + 3] = 0
    else:
        mask[:, ::3] = 0
