"""Fourier transforms of a reduction, for NumPy and CuPy alike: the spectrum, and correlation at many lags."""

# ruff: noqa: ANN401, PLR0913, PLR0917  arrays of NumPy or CuPy, and the module that they are of

from __future__ import annotations

from itertools import combinations
from typing import Any, Final

import numpy as np

from hashwarden.kernels.streams.reduced import CONSTANT, Plan

__all__ = ["TIE", "batches", "lag_correlations", "mean_power", "power"]

BATCH: Final = 256

TIE: Final = 1e-9
"""Correlations that differ by no more count as equal: then the smaller lag is taken."""


def power(xp: Any, tapered: Any, energy: Any, interval_s: float) -> Any:
    """Sum of the one-sided power spectral densities of some segments of one channel.

    Parameters
    ----------
    xp : module
        numpy or cupy.
    tapered : array of shape (segments, length)
        Each without its mean, times the taper; zero where missing.
    energy : array of shape (segments,)
        Sum of the squared taper over what is present; 0 for a segment to leave out.
    interval_s : float
        Seconds between samples.

    Returns
    -------
    array of shape (length // 2 + 2,)
        The sum and, as its last element, the number of segments in it.
    """
    used = energy > 0
    scale = xp.where(used, interval_s / xp.where(used, energy, 1.0), 0.0)
    spectrum = xp.fft.rfft(tapered, axis=1)
    total = ((spectrum.real**2 + spectrum.imag**2) * scale[:, None]).sum(axis=0)
    total[1:-1] *= 2
    return xp.concatenate([total, used.sum().astype(np.float64)[None]])


def batches(plan: Plan) -> list[tuple[int, int]]:
    """First segment and number of segments of the portions that a spectrum is computed in: memory stays small."""
    return [(first, min(BATCH, plan.segments - first)) for first in range(0, plan.segments, BATCH)]


def mean_power(xp: Any, sums: Any) -> Any:
    """Mean density from what `power` gave for each portion; NaN if every segment was left out."""
    total = xp.stack(sums).sum(axis=0)
    return total[:-1] / xp.where(total[-1] > 0, total[-1], np.nan)


def lag_correlations(xp: Any, bins: Any, plan: Plan) -> tuple[Any, Any]:
    """Autocorrelation of each channel, and the lag at which two channels are most alike, by FFT.

    Parameters
    ----------
    xp : module
        numpy or cupy.
    bins : array of shape (bins, channels)
        NaN is missing.
    plan : Plan
        Sizes of the reduction.

    Returns
    -------
    auto : array of shape (lags + 1, channels)
    lagged : array of shape (pairs, 2)
        As in `Reduced`.
    """
    z, mask, known = _standardised(xp, bins)
    size = _fast_size(len(bins) + max(plan.auto_lags, plan.cross_lags))
    whole = bool(mask.all())
    spectrum = xp.fft.rfft(z, size, axis=0)
    masks = spectrum if whole else xp.fft.rfft(mask, size, axis=0)
    lags = xp.arange(plan.auto_lags + 1)
    auto = xp.stack(
        [
            _at(xp, spectrum[:, c], spectrum[:, c], masks[:, c], masks[:, c], lags, (size, len(bins), whole, known[c]))
            for c in range(plan.channels)
        ],
        axis=1,
    )
    order = sorted(range(-plan.cross_lags, plan.cross_lags + 1), key=lambda lag: (abs(lag), lag))
    lags, best = xp.asarray(order), []
    for a, b in combinations(range(plan.channels), 2):
        what = (size, len(bins), whole, known[a] & known[b])
        found = _at(xp, spectrum[:, a], spectrum[:, b], masks[:, a], masks[:, b], lags, what)
        magnitude = xp.where(xp.isnan(found), -1.0, xp.abs(found))
        at = xp.argmax(magnitude >= magnitude.max() - TIE)
        best.append(xp.stack([found[at], xp.where(magnitude[at] < 0, np.nan, lags[at])]))
    return auto, xp.stack(best) if best else xp.empty((0, 2))


def _fast_size(least: int) -> int:
    """Smallest even number, of the prime factors 2, 3 and 5 alone, from ``least`` on: Fourier transforms like it."""
    powers = (3**i * 5**j for i in range(11) for j in range(8))
    return int(min(odd << max(1, (-(-least // odd) - 1).bit_length()) for odd in powers))


def _standardised(xp: Any, bins: Any) -> tuple[Any, Any, Any]:
    """Bins about their mean in units of their deviation, where they are present, and which channels vary."""
    present = xp.isfinite(bins)
    mask = present.astype(np.float64)
    count = xp.maximum(mask.sum(axis=0), 1)
    filled = xp.where(present, bins, 0.0)
    z = xp.where(present, filled - filled.sum(axis=0) / count, 0.0)
    deviation = xp.sqrt((z * z).sum(axis=0) / count)
    known = deviation > CONSTANT * xp.abs(filled).max(axis=0)
    return z / xp.where(known, deviation, 1.0), mask, known


def _at(xp: Any, a: Any, b: Any, mask_a: Any, mask_b: Any, lags: Any, what: tuple[int, int, bool, Any]) -> Any:
    """Correlation of a[i] and b[i + lag] at the given lags from their transforms; NaN where too few pairs are."""
    size, n, whole, known = what
    sums = xp.fft.irfft(xp.conj(a) * b, size)[lags]
    possible = n - xp.abs(lags)
    pairs = possible if whole else xp.rint(xp.fft.irfft(xp.conj(mask_a) * mask_b, size)[lags])
    enough = known & (pairs >= xp.maximum(8, possible / 2))
    return xp.where(enough, sums / xp.maximum(pairs, 1), np.nan)
