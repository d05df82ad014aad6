"""What every engine computes from the samples of a window, and the sizes that this is done with.

An engine reads each sample; all that comes after it is small and is done once, in `finish`, for all of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

__all__ = [
    "ACTIVE_SHARE",
    "CONSTANT",
    "FANO_SAMPLES",
    "IDLE_SHARE",
    "MAX_BINS",
    "NEAR_PEAK",
    "NEAR_ZERO",
    "QUANTILES",
    "SEGMENT_PRESENT",
    "Plan",
    "Reduced",
    "hann",
]

Array = npt.NDArray[np.float64]

QUANTILES: Final = (0.05, 0.5, 0.95, 0.99)
"""Quantiles of the level; the last one is what is called the peak below."""

NEAR_ZERO: Final = 0.05
"""A sample is near zero at or under this share of the peak."""

NEAR_PEAK: Final = 0.9
"""A sample is near the peak at or over this share of it."""

ACTIVE_SHARE: Final = 0.1
"""A channel is active from over this share of its peak on ..."""

IDLE_SHARE: Final = 0.05
"""... until it is at or under this share of it."""

FANO_SAMPLES: Final = 64
"""Samples of a window of the Fano factor."""

MAX_BINS: Final = 16384
"""Most bins that the window is averaged into for rhythms, lags and phases."""

MAX_SEGMENT: Final = 8192
MIN_SEGMENT: Final = 16

SEGMENT_PRESENT: Final = 0.75
"""Share of a spectral segment that must be present; others are left out."""

CONSTANT: Final = 1e-6
"""A channel whose standard deviation is at most this share of its largest magnitude has no rhythm: it is constant."""


@dataclass(frozen=True)
class Plan:
    """Sizes of one reduction; all follow from the window.

    Attributes
    ----------
    samples : int
        Samples in the window, one or more.
    channels : int
        Channels, one or more.
    interval_s : float
        Seconds between samples.
    activity : int
        The channel whose activity conditions the levels of all.
    """

    samples: int
    channels: int
    interval_s: float
    activity: int

    @property
    def bin_width(self) -> int:
        """Samples in a bin."""
        return max(1, -(-self.samples // MAX_BINS))

    @property
    def bins(self) -> int:
        """Whole bins; the newest samples may fall short of another."""
        return self.samples // self.bin_width

    @property
    def segment(self) -> int:
        """Samples in a segment of the spectrum, a power of two: the largest of which four fit; 0 for too few."""
        fits = 1 << max(0, (self.samples // 4).bit_length() - 1)
        return min(fits, MAX_SEGMENT) if fits >= MIN_SEGMENT else 0

    @property
    def segments(self) -> int:
        """Segments of the spectrum; each shares half of its samples with the next."""
        return (self.samples - self.segment) // (self.segment // 2) + 1 if self.segment else 0

    @property
    def auto_lags(self) -> int:
        """Largest lag of the autocorrelation, in bins: three periods have to fit."""
        return self.bins // 3

    @property
    def cross_lags(self) -> int:
        """Largest lag of the correlation between channels, in bins."""
        return self.bins // 8


@dataclass(frozen=True)
class Reduced:
    """Sums over a window; NaN where nothing is known. C channels, N bins, P pairs of channels (a before b).

    Attributes
    ----------
    count, mean, std, largest, magnitude : ndarray of shape (C,)
        Samples present, their mean, standard deviation (of the population), maximum, and maximum magnitude.
    quantiles : ndarray of shape (C, 4)
        At `QUANTILES`, between samples linearly.
    shares : ndarray of shape (C, 2)
        Share of samples near zero, and near the peak.
    active : ndarray of shape (C, 3)
        Count, mean and standard deviation of the samples taken while the activity channel was active.
    active_share : float
        Share of the activity channel's samples that are active.
    fano : ndarray of shape (C, 3)
        Whole windows of `FANO_SAMPLES` without a gap, mean and variance of their sums.
    bins : ndarray of shape (N, C)
        Means of the bins; NaN where under half of a bin is present.
    bursts : ndarray of int64, shape (C, 6)
        Number, sum and sum of squares of the samples from one start of activity to the next, and the same
        of the samples that an activity lasts; those with a gap inside are left out.
    psd : ndarray of shape (F, C)
        Welch's power spectral density at F frequencies from 0 to half the sampling rate.
    correlation : ndarray of shape (P,)
        Pearson's correlation over samples present in both channels.
    auto : ndarray of shape (K + 1, C)
        Autocorrelation of the bins at lags 0 to K.
    lagged : ndarray of shape (P, 2)
        Correlation of the bins at the lag where its magnitude is largest, and that lag (positive: b follows a).
    """

    count: Array
    mean: Array
    std: Array
    largest: Array
    magnitude: Array
    quantiles: Array
    shares: Array
    active: Array
    active_share: float
    fano: Array
    bins: Array
    bursts: npt.NDArray[np.int64]
    psd: Array
    correlation: Array
    auto: Array
    lagged: Array


def hann(length: int) -> Array:
    """Periodic Hann window, as Welch's method wants it (Harris 1978)."""
    window: Any = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(length) / length)
    return np.asarray(window, np.float64)
