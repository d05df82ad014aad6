"""The default engine: loops compiled by Numba, NumPy for quantiles, products and Fourier transforms."""

# ruff: noqa: ANN401, PLR0913, PLR0917  compiled code takes arrays, and many of them

from __future__ import annotations

from typing import Any

import numba
import numpy as np
import numpy.typing as npt

from hashwarden.kernels.streams import reduced as sizes
from hashwarden.kernels.streams import spectra
from hashwarden.kernels.streams.reduced import Plan, Reduced, hann

__all__ = ["reduce"]

_compile = numba.njit(cache=True, nogil=True)

_FANO = sizes.FANO_SAMPLES
_ACTIVE, _IDLE = sizes.ACTIVE_SHARE, sizes.IDLE_SHARE
_NEAR_ZERO, _NEAR_PEAK = sizes.NEAR_ZERO, sizes.NEAR_PEAK


@_compile
def _means(x: Any, levels: Any) -> None:
    """Count, mean, maximum and maximum magnitude of each channel into columns 0, 1, 3 and 4."""
    levels[:, :3] = 0.0
    levels[:, 3], levels[:, 4] = -np.inf, 0.0
    for t in range(x.shape[0]):
        for c in range(x.shape[1]):
            value = np.float64(x[t, c])
            if np.isfinite(value):
                levels[c, 0] += 1
                levels[c, 1] += value
                levels[c, 3] = max(levels[c, 3], value)
                levels[c, 4] = max(levels[c, 4], abs(value))
    for c in range(x.shape[1]):
        if levels[c, 0] == 0:
            levels[c, 1:] = np.nan
        else:
            levels[c, 1] /= levels[c, 0]


@_compile
def _deviations(x: Any, levels: Any) -> None:
    """Standard deviation of each channel into column 2."""
    for t in range(x.shape[0]):
        for c in range(x.shape[1]):
            value = np.float64(x[t, c])
            if np.isfinite(value):
                levels[c, 2] += (value - levels[c, 1]) ** 2
    for c in range(x.shape[1]):
        if levels[c, 0] > 0:
            levels[c, 2] = np.sqrt(levels[c, 2] / levels[c, 0])


@_compile
def _by_peak(x: Any, levels: Any, peaks: Any, activity: int, shares: Any, active: Any, bursts: Any) -> float:
    """Everything that is measured against the peaks; returns the share of active samples."""
    channels = x.shape[1]
    moments = np.zeros((3, channels))
    state = np.zeros(channels, np.int8)
    start = np.full(channels, -1, np.int64)
    gap = np.full(channels, -1, np.int64)  # the last missing sample
    chosen, threshold = 0, _ACTIVE * peaks[activity]
    for t in range(x.shape[0]):
        on = x[t, activity] > threshold
        chosen += on
        for c in range(channels):
            value = np.float64(x[t, c])
            if not np.isfinite(value):
                gap[c] = t
                continue
            shares[c, 0] += value <= _NEAR_ZERO * peaks[c]
            shares[c, 1] += value >= _NEAR_PEAK * peaks[c]
            if on:
                moments[0, c] += 1
                away = value - moments[1, c]
                moments[1, c] += away / moments[0, c]  # Welford's update
                moments[2, c] += away * (value - moments[1, c])
            if peaks[c] > 0:
                now = 1 if value > _ACTIVE * peaks[c] else (-1 if value <= _IDLE * peaks[c] else 0)
                if now != 0:
                    if state[c] != 0 and now != state[c]:
                        _turn(bursts[c], now, t, start, gap, c)
                    state[c] = now
    for c in range(channels):
        n = moments[0, c]
        active[c, 0], active[c, 1] = n, moments[1, c] if n else np.nan
        active[c, 2] = np.sqrt(moments[2, c] / n) if n else np.nan
        shares[c, 0] = shares[c, 0] / levels[c, 0] if levels[c, 0] else np.nan
        shares[c, 1] = shares[c, 1] / levels[c, 0] if levels[c, 0] and peaks[c] > 0 else np.nan
    return chosen / levels[activity, 0] if levels[activity, 0] and peaks[activity] > 0 else np.nan


@_compile
def _turn(bursts: Any, now: int, t: int, start: Any, gap: Any, c: int) -> None:
    """Count what ends at sample ``t``, where the channel becomes active (1) or idle (-1)."""
    length = t - start[c]
    if start[c] >= 0 and gap[c] < start[c]:
        at = 0 if now > 0 else 3
        bursts[at] += 1
        bursts[at + 1] += length
        bursts[at + 2] += length * length
    if now > 0:
        start[c] = t


@_compile
def _sums(x: Any, width: int, sums: Any, counts: Any) -> None:
    """Sum and number of what is present in each run of ``width`` samples."""
    for i in range(sums.shape[0]):
        for t in range(i * width, (i + 1) * width):
            for c in range(x.shape[1]):
                value = np.float64(x[t, c])
                if np.isfinite(value):
                    sums[i, c] += value
                    counts[i, c] += 1


@_compile
def _products(x: Any, means: Any, pairs: Any, whole: Any) -> float:
    """Sums for the correlation of each pair of channels, about the means of all samples.

    pairs[a, b] of samples in both channels: number, sums of a and of b, of a a, b b and a b. Rows without a
    gap, which most are, need the products alone; their sums, whole[a], are the same for all pairs. Returns
    how many there are.
    """
    channels = x.shape[1]
    row, rows = np.empty(channels), 0
    for t in range(x.shape[0]):
        missing = False
        for c in range(channels):
            row[c] = np.float64(x[t, c]) - means[c]
            missing |= not np.isfinite(row[c])
        if not missing:
            rows += 1
            for a in range(channels):
                whole[a] += row[a]
                for b in range(a, channels):
                    pairs[5, a, b] += row[a] * row[b]
            continue
        for a in range(channels):
            for b in range(a, channels):
                if np.isfinite(row[a]) and np.isfinite(row[b]):
                    pairs[0, a, b] += 1
                    pairs[1, a, b] += row[a]
                    pairs[2, a, b] += row[b]
                    pairs[3, a, b] += row[a] * row[a]
                    pairs[4, a, b] += row[b] * row[b]
                    pairs[5, a, b] += row[a] * row[b]
                    pairs[6, a, b] += row[a] * row[b]
    return rows


@_compile
def _taper(x: Any, c: int, window: Any, out: Any, energy: Any) -> None:
    """Segments of one channel without their means, times the window."""
    length = len(window)
    for s in range(len(energy)):
        at, n, total, weight = s * (length // 2), 0, 0.0, 0.0
        for i in range(length):
            value = np.float64(x[at + i, c])
            if np.isfinite(value):
                n += 1
                total += value
                weight += window[i] * window[i]
        used = n >= sizes.SEGMENT_PRESENT * length
        mean = total / n if n else 0.0
        energy[s] = weight if used else 0.0
        for i in range(length):
            value = np.float64(x[at + i, c])
            out[s, i] = (value - mean) * window[i] if used and np.isfinite(value) else 0.0


def reduce(window: npt.NDArray[np.floating[Any]], plan: Plan) -> Reduced:
    """Compute the sums of a window.

    Parameters
    ----------
    window : ndarray of shape (samples, channels)
        Oldest sample first; NaN is missing.
    plan : Plan
        Sizes that fit the window.
    """
    channels = plan.channels
    levels, shares = np.empty((channels, 5)), np.zeros((channels, 2))
    active, bursts = np.empty((channels, 3)), np.zeros((channels, 6), np.int64)
    _means(window, levels)
    _deviations(window, levels)
    quantiles = np.array([_quantiles(window[:, c]) for c in range(channels)])
    share = _by_peak(window, levels, quantiles[:, -1].copy(), plan.activity, shares, active, bursts)
    bins = _bins(window, plan)
    auto, lagged = spectra.lag_correlations(np, bins, plan)
    return Reduced(
        count=levels[:, 0],
        mean=levels[:, 1],
        std=levels[:, 2],
        largest=levels[:, 3],
        magnitude=levels[:, 4],
        quantiles=quantiles,
        shares=shares,
        active=active,
        active_share=share,
        fano=_fano(window),
        bins=bins,
        bursts=bursts,
        psd=_psd(window, plan),
        correlation=_correlation(window, levels),
        auto=auto,
        lagged=lagged,
    )


def _correlation(window: npt.NDArray[Any], levels: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    channels = window.shape[1]
    pairs, whole = np.zeros((7, channels, channels)), np.zeros(channels)
    rows = _products(window, levels[:, 1], pairs, whole)
    squares = np.diag(pairs[5] - pairs[6])  # of the rows without a gap
    n = np.maximum(pairs[0] + rows, 1)
    a, b = (pairs[1] + whole[:, None]) / n, (pairs[2] + whole) / n
    var_a = np.maximum((pairs[3] + squares[:, None]) / n - a * a, 0.0)
    var_b = np.maximum((pairs[4] + squares) / n - b * b, 0.0)
    tiny = sizes.CONSTANT * levels[:, 4]
    known = (pairs[0] + rows >= 3) & (np.sqrt(var_a) > tiny[:, None]) & (np.sqrt(var_b) > tiny)
    matrix = np.where(known, (pairs[5] / n - a * b) / np.sqrt(np.where(known, var_a * var_b, 1.0)), np.nan)
    return matrix[np.triu_indices(channels, 1)]


def _quantiles(x: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """As `numpy.quantile`, by one partition, of what was given rather than of doubles."""
    present = x[np.isfinite(x)]
    if not len(present):
        return np.full(len(sizes.QUANTILES), np.nan)
    at = np.array(sizes.QUANTILES) * (len(present) - 1)
    low = np.floor(at).astype(np.int64)
    high = np.minimum(low + 1, len(present) - 1)
    present.partition(np.unique([low, high]))
    below, above = present[low].astype(np.float64), present[high].astype(np.float64)
    quantiles: npt.NDArray[np.float64] = below + (above - below) * (at - low)
    return quantiles


def _bins(window: npt.NDArray[Any], plan: Plan) -> npt.NDArray[np.float64]:
    sums, counts = np.zeros((plan.bins, plan.channels)), np.zeros((plan.bins, plan.channels))
    _sums(window, plan.bin_width, sums, counts)
    return np.where(2 * counts >= plan.bin_width, sums / np.maximum(counts, 1), np.nan)


def _fano(window: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    sums = np.zeros((len(window) // _FANO, window.shape[1]))
    counts = np.zeros_like(sums)
    _sums(window, _FANO, sums, counts)
    found = np.full((window.shape[1], 3), np.nan)
    for c in range(window.shape[1]):
        whole = sums[counts[:, c] == _FANO, c]
        found[c, 0] = len(whole)
        if len(whole):
            found[c, 1:] = whole.mean(), whole.var()
    return found


def _psd(window: npt.NDArray[Any], plan: Plan) -> npt.NDArray[np.float64]:
    if not plan.segment:
        return np.empty((0, plan.channels))
    taper, found = hann(plan.segment), []
    for c in range(plan.channels):
        sums = []
        for first, count in spectra.batches(plan):
            tapered, energy = np.empty((count, plan.segment)), np.empty(count)
            _taper(window[first * plan.segment // 2 :], c, taper, tapered, energy)
            sums.append(spectra.power(np, tapered, energy, plan.interval_s))
        found.append(spectra.mean_power(np, sums))
    return np.stack(found, axis=1)
