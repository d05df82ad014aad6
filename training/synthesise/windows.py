"""When sensors look, and the means over the time that they look at."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, final

import numpy as np
import numpy.typing as npt

from hashwarden.training.synthesise.schedule import TICK_S

__all__ = ["Means", "bursts", "sample_times"]

F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]
I64 = npt.NDArray[np.int64]
MOST_LATE: Final = 0.45
"""Samples come at most this share of the period late, so that their order holds."""


def sample_times(length_s: float, period_s: float, jitter: float, missed: float, rng: np.random.Generator) -> F64:
    """Times of the samples of a run, shape (T',), strictly rising.

    Parameters
    ----------
    length_s, period_s : float
    jitter : float
        Mean lateness over the period; a tenth of the samples are late by more than twice that.
    missed : float
        Share of samples that never come.
    rng : Generator
    """
    planned = period_s * np.arange(1, int(length_s / period_s + 1e-6) + 1, dtype=np.float64)
    late = np.minimum(rng.exponential(jitter, len(planned)), MOST_LATE) * period_s
    times: F64 = np.minimum(planned + late, length_s)
    kept = rng.random(len(times)) >= missed
    if len(kept):
        kept[0] = True
    return times[kept & (np.diff(times, prepend=0.0) > 0)]


def bursts(times: F64, every_s: float, length_s: float, rng: np.random.Generator) -> tuple[I64, F64, F64]:
    """When a source that looks only now and then does so.

    Returns
    -------
    rows : int64 array, shape (B,)
        The sample that shows each burst: the first after its end.
    start, stop : float64 array, shape (B,)
        Seconds.
    """
    if not len(times):
        return np.zeros(0, np.int64), np.zeros(0), np.zeros(0)
    first = length_s + rng.uniform(0, max(every_s - length_s, 1e-9))
    stop = first + every_s * np.arange(int(times[-1] / every_s) + 1, dtype=np.float64)
    rows: I64 = np.searchsorted(times, stop).astype(np.int64)
    last = np.diff(rows, append=len(times)) > 0  # of several before one sample the latest counts
    last &= rows < len(times)
    return rows[last], (stop - length_s)[last], stop[last]


@final
class Means:
    """Means of series over any time, from their running sums.

    Parameters
    ----------
    series : mapping of str to float32 array, shape (T,)
        By tick.
    """

    def __init__(self, series: Mapping[str, F32]) -> None:
        self._place = {name: place for place, name in enumerate(series)}
        ticks = np.stack([np.asarray(each, np.float32) for each in series.values()])
        self._sums = np.zeros((len(ticks), ticks.shape[1] + 1))
        np.cumsum(ticks, axis=1, dtype=np.float64, out=self._sums[:, 1:])

    def over(self, start: F64, stop: F64) -> dict[str, F64]:
        """The mean of each series from ``start`` to ``stop`` (seconds, shape (N,)), by name, each of shape (N,)."""
        low, high = self._until(start), self._until(stop)
        ticks = np.maximum((stop - start) / TICK_S, 1e-9)
        means = (high - low) / ticks
        return {name: means[place] for name, place in self._place.items()}

    def _until(self, seconds: F64) -> F64:
        """The running sums at times that need not be whole ticks, shape (series, N)."""
        last = self._sums.shape[1] - 1
        at = np.clip(seconds / TICK_S, 0, last)
        tick = np.minimum(at.astype(np.int64), last - 1)
        before = self._sums[:, tick]
        sums: F64 = before + (at - tick) * (self._sums[:, tick + 1] - before)
        return sums
