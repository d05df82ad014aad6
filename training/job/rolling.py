"""Rolling statistics of channels over a window of time: what the baselines read.

The window of a row is ``(t - window, t]``: only the past and the present, so that a stream can be judged as it comes
(a ring buffer of one window holds all that is needed). All windows of a run are computed at once: sums by differences
of running sums, extremes by a table of doubling spans.
T = samples, C = channels, R = rows asked for.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

__all__ = ["EVERY_S", "STATISTICS", "WINDOW_S", "rolling", "rows_of"]

F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]
Places = npt.NDArray[np.int64]

WINDOW_S: Final = 60.0
"""Length of the window in seconds: the longer end of what work on NVML counters uses (30 to 60 s)."""

EVERY_S: Final = 10.0
"""A row every so many seconds: one for each block of the evidence."""

STATISTICS: Final = ("mean", "std", "min", "max", "slope", "step")
"""Of a channel in a window: mean, deviation, extremes, slope per second (least squares), mean size of the change from
one sample to the next. NaN where the window holds too little to say."""


def rows_of(times: F64, every_s: float = EVERY_S) -> Places:
    """Find the last sample of each block of ``every_s`` seconds, shape (R,); all of them where samples are rarer."""
    block = np.floor((times - times[0]) / every_s + 1e-6).astype(np.int64)
    return np.flatnonzero(np.append(block[1:] != block[:-1], True))


def rolling(times: F64, values: F32, rows: Places, window_s: float = WINDOW_S) -> F32:
    """Compute the statistics of every channel at every row.

    Parameters
    ----------
    times : float64 array, shape (T,)
        Seconds, strictly rising.
    values : float32 array, shape (T, C)
        NaN is missing: it counts neither as a value nor as a zero.
    rows : int64 array, shape (R,)
        Samples at whose time the window ends.
    window_s : float
        Length of the window in seconds.

    Returns
    -------
    float32 array, shape (R, C * len(STATISTICS))
        Statistic after statistic, each over all channels.
    """
    first = np.searchsorted(times, times[rows] - window_s + 1e-9, side="right")
    seen = np.isfinite(values)
    centre = np.nanmean(np.where(seen.any(axis=0), values, 0), axis=0, dtype=np.float64)
    x = np.where(seen, values - centre, 0.0)
    with np.errstate(invalid="ignore", divide="ignore"):
        moments = _moments(times, x, seen, first, rows)
        low, high = _extremes(values, first, rows)
        parts = (moments[0] + centre, moments[1], low, high, moments[2], _step(values, first, rows))
        return np.concatenate(parts, axis=1).astype(np.float32)


def _moments(
    times: F64, x: F64, seen: npt.NDArray[np.bool_], first: Places, rows: Places
) -> tuple[F64, F64, F64]:  # fmt: skip
    """Mean, deviation and slope, each of shape (R, C), from running sums of the powers."""
    t = ((times - times.mean()) / max(float(np.ptp(times)), 1.0))[:, None]
    there: F64 = seen.astype(np.float64)
    n, sx, sxx, st, stt, stx = (_sums(a, first, rows) for a in (there, x, x * x, there * t, there * t * t, x * t))
    n[n == 0] = np.nan
    mean = sx / n
    square = sxx / n - mean**2
    square[square < 1e-12 * (sxx / n) + 1e-14] = 0.0  # what rounding leaves of a constant
    spread = stt / n - (st / n) ** 2
    spread[spread < 1e-15] = np.nan
    slope = (stx / n - mean * st / n) / spread / max(float(np.ptp(times)), 1.0)
    return mean, np.sqrt(square), slope


def _sums(x: F64, first: Places, rows: Places) -> F64:
    total = np.concatenate((np.zeros((1, x.shape[1])), np.cumsum(x, axis=0)))
    differences: F64 = total[rows + 1] - total[first]
    return differences


def _step(values: F32, first: Places, rows: Places) -> F64:
    """Mean size of the change between neighbours that were both seen."""
    change = np.abs(np.diff(values.astype(np.float64), axis=0, prepend=np.nan))
    known = np.isfinite(change)
    inside = np.minimum(first + 1, rows + 1)  # the change into the first sample of a window lies outside of it
    n = _sums(known * 1.0, inside, rows)
    n[n == 0] = np.nan
    return _sums(np.where(known, change, 0.0), inside, rows) / n


def _extremes(values: F32, first: Places, rows: Places) -> tuple[F64, F64]:
    """Lowest and highest value of each window: two spans of a power of two cover any window."""
    length = rows + 1 - first
    level = np.floor(np.log2(length)).astype(np.int64)
    low = np.full((len(rows), values.shape[1]), np.nan)
    high = low.copy()
    least, most = values.astype(np.float64), values.astype(np.float64)
    for power in range(int(level.max()) + 1):
        here = level == power
        a, b = first[here], rows[here] + 1 - 2**power
        low[here], high[here] = np.fmin(least[a], least[b]), np.fmax(most[a], most[b])
        if 2**power < len(least):
            least = np.fmin(least[: -(2**power)], least[2**power :])
            most = np.fmax(most[: -(2**power)], most[2**power :])
    return low, high
