"""Phase changes of one channel: where the level before differs from the level after.

A two-sample test slides over the binned window: the means of the stretches on either side of each bin
boundary, in units of their standard error (Welch's t). Its local maxima over a threshold are the changes;
the cost is linear and the memory that of the bins. It is the sliding-window kind of change detection
(Truong, Oudre and Vayatis 2020).
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

__all__ = ["COARSE_BINS", "Changes", "find_changes"]

Array = npt.NDArray[np.float64]

COARSE_BINS: Final = 512
"""The window is averaged into this many bins or fewer."""

SIDE_SHARE: Final = 32
"""A side of the test is the window divided by this: shorter phases are not seen."""

THRESHOLD: Final = 6.0
"""Standard errors between the two sides: 13 of 15,000 windows of white noise had any (counted, without `EFFECT`)."""

EFFECT: Final = 0.1
"""Share of the level that a change has to move."""


class Changes(NamedTuple):
    """The phase changes of a window.

    Attributes
    ----------
    at : ndarray of shape (changes,)
        Where, in bins of the given series.
    shift : ndarray of shape (changes,)
        Level after minus level before, in the unit of the channel.
    """

    at: Array
    shift: Array


def find_changes(series: Array) -> Changes | None:
    """Find the phase changes.

    Parameters
    ----------
    series : ndarray of shape (bins,)
        NaN is missing.

    Returns
    -------
    Changes or None
        None if the series is too short or empty to tell.
    """
    factor = max(1, -(-len(series) // COARSE_BINS))
    coarse = _coarse(series, factor)
    side = max(8, len(coarse) // SIDE_SHARE)
    present = np.isfinite(coarse)
    if len(coarse) < 4 * side or not present.any():
        return None
    level = float(np.quantile(np.abs(coarse[present]), 0.95))
    score, shift = _scores(coarse, side, level)
    at = [int(b) for b in np.flatnonzero(score > THRESHOLD) if _is_top(score, int(b), side)]
    return Changes(np.array(at, np.float64) * factor, shift[at])


def _coarse(series: Array, factor: int) -> Array:
    blocks = series[: len(series) // factor * factor].reshape(-1, factor)
    present = np.isfinite(blocks)
    n = present.sum(axis=1)
    sums = np.where(present, blocks, 0.0).sum(axis=1)
    return np.where(2 * n >= factor, sums / np.maximum(n, 1), np.nan)


def _scores(coarse: Array, side: int, level: float) -> tuple[Array, Array]:
    """Score and shift at each boundary; the score is 0 where the shift is small or the data too few."""
    present = np.isfinite(coarse)
    centred = np.where(present, coarse - coarse[present].mean(), 0.0)
    before = np.arange(side, len(coarse) - side + 1)
    moments = []
    for power in (present.astype(np.float64), centred, centred * centred):
        sums = np.concatenate([[0.0], np.cumsum(power)])
        moments.append((sums[before] - sums[before - side], sums[before + side] - sums[before]))
    (n0, n1), (s0, s1), (q0, q1) = moments
    m0, m1 = s0 / np.maximum(n0, 1), s1 / np.maximum(n1, 1)
    v0 = np.maximum(q0 / np.maximum(n0, 1) - m0 * m0, 0.0)
    v1 = np.maximum(q1 / np.maximum(n1, 1) - m1 * m1, 0.0)
    # The floor stands for the noise of a counter that happens to be constant on both sides.
    error = np.sqrt(v0 / np.maximum(n0 - 1, 1) + v1 / np.maximum(n1 - 1, 1) + (1e-3 * level) ** 2)
    counts = (np.minimum(n0, n1) >= side / 2) & (np.abs(m1 - m0) >= EFFECT * level) & (level > 0)
    score, shift = np.zeros(len(coarse) + 1), np.zeros(len(coarse) + 1)
    score[before] = np.where(counts, np.abs(m1 - m0) / np.where(error > 0, error, 1.0), 0.0)
    shift[before] = m1 - m0
    return score, shift


def _is_top(score: Array, at: int, side: int) -> bool:
    """Whether no score within a side is larger, and none before it equal."""
    left, right = max(0, at - side), at + side + 1
    return bool(at == left + int(np.argmax(score[left:right])))
