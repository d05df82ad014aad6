"""The reference engine: NumPy, channel by channel, and the definition of each sum. Slow."""

from __future__ import annotations

from itertools import combinations, pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from hashwarden.kernels.streams import reduced as sizes
from hashwarden.kernels.streams.reduced import Plan, Reduced, hann
from hashwarden.kernels.streams.spectra import TIE

__all__ = ["reduce"]

Array = npt.NDArray[np.float64]

MISSING = float("nan")


def reduce(window: npt.NDArray[np.floating[Any]], plan: Plan) -> Reduced:
    """Compute the sums of a window.

    Parameters
    ----------
    window : ndarray of shape (samples, channels)
        Oldest sample first; NaN is missing.
    plan : Plan
        Sizes that fit the window.
    """
    channels = [np.asarray(window[:, c], np.float64) for c in range(plan.channels)]
    levels = np.array([_level(x) for x in channels])
    quantiles = np.array([_quantiles(x) for x in channels])
    peaks = quantiles[:, -1]
    bins = np.stack([_bins(x, plan) for x in channels], axis=1)
    activity = channels[plan.activity]
    active = activity > sizes.ACTIVE_SHARE * peaks[plan.activity]
    pairs = list(combinations(range(plan.channels), 2))
    present = int(np.isfinite(activity).sum())
    return Reduced(
        count=levels[:, 0],
        mean=levels[:, 1],
        std=levels[:, 2],
        largest=levels[:, 3],
        magnitude=levels[:, 4],
        quantiles=quantiles,
        shares=np.array([_shares(x, peak) for x, peak in zip(channels, peaks, strict=True)]),
        active=np.array([_level(x[active])[:3] for x in channels]),
        active_share=float(active.sum()) / present if present and peaks[plan.activity] > 0 else MISSING,
        fano=np.array([_fano(x) for x in channels]),
        bins=bins,
        bursts=np.array([_bursts(x, peak) for x, peak in zip(channels, peaks, strict=True)], np.int64),
        psd=np.stack([_welch(x, plan) for x in channels], axis=1),
        correlation=np.array([_pearson(channels[a], channels[b]) for a, b in pairs]),
        auto=np.stack([_correlations(y, y, range(plan.auto_lags + 1)) for y in bins.T], axis=1),
        lagged=np.array([_lagged(bins[:, a], bins[:, b], plan) for a, b in pairs]).reshape(-1, 2),
    )


def _level(x: Array) -> tuple[float, ...]:
    """Count, mean, standard deviation, maximum and maximum magnitude of what is present."""
    x = x[np.isfinite(x)]
    if not len(x):
        return 0.0, MISSING, MISSING, MISSING, MISSING
    return len(x), float(x.mean()), float(x.std()), float(x.max()), float(np.abs(x).max())


def _quantiles(x: Array) -> Array:
    x = x[np.isfinite(x)]
    return np.quantile(x, sizes.QUANTILES) if len(x) else np.full(len(sizes.QUANTILES), MISSING)


def _shares(x: Array, peak: float) -> tuple[float, float]:
    """Share of time near zero, and near the peak (of a channel that was ever above zero)."""
    x = x[np.isfinite(x)]
    if not len(x):
        return MISSING, MISSING
    near_peak = float((x >= sizes.NEAR_PEAK * peak).mean()) if peak > 0 else MISSING
    return float((x <= sizes.NEAR_ZERO * peak).mean()), near_peak


def _fano(x: Array) -> tuple[float, float, float]:
    """Number of whole windows, mean and variance of the sums over them."""
    windows = x[: len(x) // sizes.FANO_SAMPLES * sizes.FANO_SAMPLES].reshape(-1, sizes.FANO_SAMPLES)
    sums = windows[np.isfinite(windows).all(axis=1)].sum(axis=1)
    return (len(sums), float(sums.mean()), float(sums.var())) if len(sums) else (0.0, MISSING, MISSING)


def _bins(x: Array, plan: Plan) -> Array:
    """Mean of each bin of which half is present."""
    blocks = x[: plan.bins * plan.bin_width].reshape(plan.bins, plan.bin_width)
    present = np.isfinite(blocks)
    known = 2 * present.sum(axis=1) >= plan.bin_width
    means = np.full(plan.bins, MISSING)
    means[known] = np.where(present, blocks, 0.0)[known].sum(axis=1) / present[known].sum(axis=1)
    return means


def _bursts(x: Array, peak: float) -> list[int]:
    """Lengths between starts of activity, and of activity itself, as number, sum and sum of squares."""
    if not peak > 0:
        return [0] * 6
    state = np.where(x > sizes.ACTIVE_SHARE * peak, 1, np.where(x <= sizes.IDLE_SHARE * peak, -1, 0))
    decided = np.flatnonzero(state)
    turns = np.flatnonzero(np.diff(state[decided])) + 1
    turns_at = decided[turns]
    up = state[turns_at] > 0
    gaps = np.concatenate([[0], np.cumsum(~np.isfinite(x))])
    starts = turns_at[up]
    ends = [(a, b) for (a, rises), (b, _) in pairwise(zip(turns_at, up, strict=True)) if rises]
    found = []
    for spans in (list(pairwise(starts)), ends):
        lengths = [int(b - a) for a, b in spans if gaps[a] == gaps[b]]
        found += [len(lengths), sum(lengths), sum(length * length for length in lengths)]
    return found


def _welch(x: Array, plan: Plan) -> Array:
    """Power spectral density: Hann-tapered segments, half overlapping, each without its mean (Welch 1967)."""
    if not plan.segment:
        return np.empty(0)
    taper, rate, found = hann(plan.segment), 1 / plan.interval_s, []
    for start in range(0, plan.segments * plan.segment // 2, plan.segment // 2):
        part = x[start : start + plan.segment]
        present = np.isfinite(part)
        if present.sum() < sizes.SEGMENT_PRESENT * plan.segment:
            continue
        centred = np.where(present, part - part[present].mean(), 0.0)
        power = np.abs(np.fft.rfft(taper * centred)) ** 2 / (rate * (taper**2 * present).sum())
        power[1:-1] *= 2  # one-sided: what lies at negative frequencies is added
        found.append(power)
    return np.mean(found, axis=0) if found else np.full(plan.segment // 2 + 1, MISSING)


def _pearson(a: Array, b: Array) -> float:
    """Correlation over the samples present in both."""
    both = np.isfinite(a) & np.isfinite(b)
    a, b = a[both], b[both]
    if len(a) < 3 or _constant(a) or _constant(b):
        return MISSING
    a, b = a - a.mean(), b - b.mean()
    return float((a * b).sum() / np.sqrt((a * a).sum() * (b * b).sum()))


def _constant(x: Array) -> bool:
    return bool(x.std() <= sizes.CONSTANT * np.abs(x).max())


def _correlations(a: Array, b: Array, lags: range) -> Array:
    """Correlation of a[i] and b[i + lag], each about its mean over the window and by its own deviation.

    Unbiased: the mean over the pairs present, of which at least half of those possible, and eight.
    """
    found = np.full(len(lags), MISSING)
    present_a, present_b = np.isfinite(a), np.isfinite(b)
    if not present_a.any() or not present_b.any() or _constant(a[present_a]) or _constant(b[present_b]):
        return found
    za = np.where(present_a, (a - a[present_a].mean()) / a[present_a].std(), 0.0)
    zb = np.where(present_b, (b - b[present_b].mean()) / b[present_b].std(), 0.0)
    n = len(a)
    for i, lag in enumerate(lags):
        left, right = slice(max(0, -lag), n - max(0, lag)), slice(max(0, lag), n - max(0, -lag))
        pairs = int((present_a[left] & present_b[right]).sum())
        if pairs >= max(8, (n - abs(lag)) / 2):
            found[i] = (za[left] * zb[right]).sum() / pairs
    return found


def _lagged(a: Array, b: Array, plan: Plan) -> tuple[float, float]:
    """Largest correlation in magnitude over the lags, and where; the smallest such lag, negative before positive."""
    lags = sorted(range(-plan.cross_lags, plan.cross_lags + 1), key=lambda lag: (abs(lag), lag))
    by_lag = _correlations(a, b, range(-plan.cross_lags, plan.cross_lags + 1))
    ordered = by_lag[np.array(lags) + plan.cross_lags]
    if np.isnan(ordered).all():
        return MISSING, MISSING
    magnitude = np.abs(ordered)
    best = int(np.argmax(magnitude >= np.nanmax(magnitude) - TIE))
    return float(ordered[best]), float(lags[best])
