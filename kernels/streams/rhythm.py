"""Rhythm of one channel: the dominant period in its autocorrelation, and the steps that it is made of."""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

__all__ = ["SMOOTHNESS", "Period", "dominant_period", "smooth", "step_lengths"]

Array = npt.NDArray[np.float64]

PROMINENCE: Final = 0.1
"""A peak of the autocorrelation stands at least this high over the lowest value at any smaller lag."""

FUNDAMENTAL: Final = 0.9
"""The first peak of at least this share of the highest is the period; higher ones are its multiples."""

LEAST_STRENGTH: Final = 0.1
"""A period is never claimed for less."""

CONTRAST: Final = 0.2
"""There are no steps in a channel whose range is under this share of its level."""

SMOOTHNESS: Final = 0.3
"""Nor in one whose neighbouring bins are less alike than this autocorrelation: that is noise."""

RISE, FALL = 0.6, 0.4
"""A step starts where the channel rises over 60 % of its range after having been under 40 %."""


class Period(NamedTuple):
    """The dominant period of a channel.

    Attributes
    ----------
    lag : float
        In bins; NaN if there is none.
    strength : float
        Autocorrelation at that lag, 0 to 1; 0 where it has no peak, NaN where nothing is known.
    """

    lag: float
    strength: float


def dominant_period(auto: Array, bins: int) -> Period:
    """Find the period that the highest peak of the autocorrelation is a multiple of.

    A signal of period P is like itself after P, 2 P, 3 P and so on, nearly equally so: the first of these
    is the period. A peak at P / 2 is lower, as long as the two halves of a period differ.

    Parameters
    ----------
    auto : ndarray of shape (lags + 1,)
        Autocorrelation from lag 0 on; NaN where unknown.
    bins : int
        Length of the series that it was taken from.

    Returns
    -------
    Period
    """
    if len(auto) < 4 or np.isnan(auto[0]):
        return Period(np.nan, np.nan)
    known = np.where(np.isnan(auto), -1.0, auto)
    lowest = np.minimum.accumulate(np.where(np.isnan(auto), 1.0, auto))
    middle = known[1:-1]
    peaks = (middle >= known[:-2]) & (middle > known[2:]) & (middle - lowest[1:-1] >= PROMINENCE) & (middle > 0)
    at = np.flatnonzero(peaks) + 1
    if not len(at):
        return Period(np.nan, 0.0)
    first = at[known[at] >= FUNDAMENTAL * known[at].max()][0]
    best = int(first + np.argmax(known[first : int(1.2 * first) + 2]))
    strength = float(min(known[best], 1.0))
    if strength < max(LEAST_STRENGTH, _chance(known, bins - best)):
        return Period(np.nan, strength)
    return Period(_vertex(auto, best), strength)


def _chance(auto: Array, pairs: int) -> float:
    """How high the autocorrelation of a series without a period gets by chance, as a mean over so many pairs.

    Its deviation at a large lag follows from its short-range part (Bartlett 1946): a series of long pulses
    has fewer independent bins than bins. The highest of n independent values lies near sqrt(2 ln n) deviations.
    """
    short = auto[1 : 1 + int(np.argmax(auto[1:] <= 0))] if (auto[1:] <= 0).any() else auto[1:]
    spread = 1.0 + 2.0 * float((short * short).sum())
    independent = max(2.0, (len(auto) - 1) / spread)
    return float(np.sqrt(spread / pairs) * (np.sqrt(2 * np.log(independent)) + 1))


def _vertex(auto: Array, at: int) -> float:
    """The top of the parabola through the surroundings of a peak: finer than a bin, and steadied against noise."""
    reach = min(max(1, at // 32), len(auto) - 1 - at)
    around = np.arange(-reach, reach + 1)
    values = auto[at - reach : at + reach + 1]
    if reach < 1 or np.isnan(values).any():
        return float(at)
    bend, slope, _ = np.polyfit(around, values, 2)
    top = -slope / (2 * bend) if bend < 0 else 0.0
    return float(at + np.clip(top, -reach, reach))


def smooth(series: Array, width: int) -> Array:
    """Mean over ``width`` bins up to and including each; NaN where under half of them are present."""
    present = np.isfinite(series)
    sums = np.concatenate([[0.0], np.cumsum(np.where(present, series, 0.0))])
    counts = np.concatenate([[0], np.cumsum(present)])
    ends = np.arange(1, len(series) + 1)
    starts = np.maximum(ends - width, 0)
    n = counts[ends] - counts[starts]
    return np.where(2 * n >= ends - starts, (sums[ends] - sums[starts]) / np.maximum(n, 1), np.nan)


def step_lengths(series: Array, period: float) -> Array:
    """Lengths of the steps in a series.

    A step goes from one rise through the upper threshold to the next (hysteresis as in a Schmitt trigger).
    What is shorter than a quarter of the dominant period is smoothed away, so that the phases inside
    of a step do not count as steps.

    Parameters
    ----------
    series : ndarray of shape (bins,)
        NaN is missing; a step with a gap inside is left out.
    period : float
        Dominant period in bins, or NaN.

    Returns
    -------
    ndarray of shape (steps,)
        In bins, interpolated.
    """
    width = max(1, round(period / 4)) if np.isfinite(period) else 1
    level = smooth(series, width)
    present = np.isfinite(level)
    if present.sum() < 4:
        return np.empty(0)
    low, high = np.quantile(level[present], (0.05, 0.95))
    if high - low < CONTRAST * max(abs(high), abs(low)) or high <= low:
        return np.empty(0)
    rise, fall = low + RISE * (high - low), low + FALL * (high - low)
    state = np.where(level >= rise, 1, np.where(level <= fall, -1, 0))
    decided = np.flatnonzero(state)
    ups = np.flatnonzero(np.diff(state[decided]) > 0) + 1
    starts = decided[ups]
    gaps = np.concatenate([[0], np.cumsum(~np.isfinite(series))])
    whole = gaps[starts[:-1]] == gaps[starts[1:]]
    lengths: Array = np.diff(_crossings(level, starts, rise))[whole]
    return lengths


def _crossings(level: Array, starts: npt.NDArray[np.int64], rise: float) -> Array:
    """Where, between a bin and the one before it, the threshold is reached."""
    before, after = level[starts - 1], level[starts]
    steep = np.isfinite(before) & (after > before)
    back = np.where(steep, (after - rise) / np.where(steep, after - before, 1.0), 0.0)
    crossings: Array = starts - np.clip(back, 0.0, 1.0)
    return crossings
