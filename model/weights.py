"""Means over time of channels, some of which are ratios of clock cycles.

GPM's and DCGM's ratios count cycles: of an interval at half the clock, half as many. A mean over time that treats all
samples alike gives slow intervals too much weight, so such channels are weighed by the SM clock
(open-gpu-kernel-modules issue 1122). One sample needs no correction: the clock is a channel of its own.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from hashwarden.model.channels import CHANNELS, INDEX

__all__ = ["time_mean", "time_weights"]

F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]

_PER_CYCLE: Final = np.array([c.per_cycle for c in CHANNELS])
_CLOCK: Final = INDEX["sm_clock_ratio"]


def time_weights(times: F64, values: F32) -> F64:
    """Weight of each value in a mean over time.

    Parameters
    ----------
    times : float64 array, shape (T,)
        Seconds, rising; a sample stands for the interval that ends with it, the first for one like the second.
    values : float32 array, shape (T, len(CHANNELS))
        Judged; NaN where missing.

    Returns
    -------
    float64 array, shape (T, len(CHANNELS))
        Seconds, times the SM clock over the highest for channels that count cycles (where it is not known, its mean
        over the samples that have it, or 1); 0 where the value is missing.
    """
    seconds = np.diff(times, prepend=2 * times[:1] - times[1:2] if len(times) > 1 else times[:1] - 1)
    clock = values[:, _CLOCK].astype(np.float64)
    known = ~np.isnan(clock)
    clock = np.where(known, clock, clock[known].mean() if known.any() else 1.0)
    weights = seconds[:, None] * np.where(_PER_CYCLE, clock[:, None], 1.0)
    return np.where(np.isnan(values), 0.0, weights)


def time_mean(times: F64, values: F32) -> F64:
    """Mean over time of each channel, shape (len(CHANNELS),); NaN where nothing was seen.

    Parameters and weights as `time_weights`.
    """
    weights = time_weights(times, values)
    total = weights.sum(axis=0)
    sums = (np.nan_to_num(values.astype(np.float64)) * weights).sum(axis=0)
    mean: F64 = np.divide(sums, total, out=np.full(len(CHANNELS), np.nan), where=total > 0)
    return mean
