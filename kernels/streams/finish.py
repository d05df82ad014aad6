"""From the sums of a reduction to the features: the part that is the same for every engine."""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from hashwarden.kernels.streams import table
from hashwarden.kernels.streams.changes import find_changes
from hashwarden.kernels.streams.reduced import CONSTANT, Plan, Reduced
from hashwarden.kernels.streams.rhythm import SMOOTHNESS, dominant_period, step_lengths

__all__ = ["finish"]

Array = npt.NDArray[np.float64]
Row = dict[str, float]

NAN: Final = float("nan")
_FEWEST_FANO: Final = 8
_FEWEST_BURSTS: Final = 4
_FEWEST_STEPS: Final = 3


def finish(reduced: Reduced, plan: Plan) -> Array:
    """Compute the features.

    Parameters
    ----------
    reduced : Reduced
        What an engine computed.
    plan : Plan
        With these sizes.

    Returns
    -------
    ndarray of shape (features,)
        In the order of `table.feature_names`.
    """
    rows = [_channel(reduced, plan, c) for c in range(plan.channels)]
    single = [row[name] for row in rows for name in table.CHANNEL]
    lags = reduced.lagged[:, 1] * plan.bin_width * plan.interval_s
    pairs = np.stack([reduced.correlation, reduced.lagged[:, 0], lags], axis=1)
    pairs[:, :2] = np.clip(pairs[:, :2], -1, 1)
    stream = [reduced.active_share, plan.samples * plan.interval_s]
    return np.concatenate([single, pairs.ravel(), stream])


def _channel(reduced: Reduced, plan: Plan, c: int) -> Row:
    constant = not reduced.std[c] > CONSTANT * reduced.magnitude[c]
    return {
        "coverage": float(reduced.count[c]) / plan.samples,
        **_levels(reduced, c),
        **_bursts(reduced, plan, c),
        **_spectrum(np.full_like(reduced.psd[:, c], NAN) if constant else reduced.psd[:, c], plan),
        **_rhythm(reduced, plan, c),
        **_changes(reduced, plan, c),
        "active_mean": float(reduced.active[c, 1]),
        "active_std": float(reduced.active[c, 2]),
    }


def _levels(reduced: Reduced, c: int) -> Row:
    q05, q50, q95, peak = (float(q) for q in reduced.quantiles[c])
    mean, std, largest = float(reduced.mean[c]), float(reduced.std[c]), float(reduced.largest[c])
    windows, level, variance = (float(v) for v in reduced.fano[c])
    return {
        "mean": mean, "std": std, "q05": q05, "q50": q50, "q95": q95, "peak": peak, "max": largest,
        "cv": std / mean if mean > 0 else NAN,
        "fano": variance / level if windows >= _FEWEST_FANO and level > 0 else NAN,
        "peak_to_mean": max(largest / mean, 1.0) if mean > 0 else NAN,
        "near_zero": float(reduced.shares[c, 0]),
        "near_peak": float(reduced.shares[c, 1]),
    }  # fmt: skip


def _bursts(reduced: Reduced, plan: Plan, c: int) -> Row:
    """Burstiness from the number, sum and sum of squares of lengths: integers, so that nothing is lost."""
    known = reduced.count[c] > 0
    n, total, squares, runs, active, _ = (int(v) for v in reduced.bursts[c])
    burstiness = NAN
    if n >= _FEWEST_BURSTS:
        mean, deviation = total / n, float(np.sqrt(max(n * squares - total * total, 0))) / n
        burstiness = (deviation - mean) / (deviation + mean)
    return {
        "burstiness": burstiness,
        "burst_rate": n / (plan.samples * plan.interval_s) if known else NAN,
        "burst_length": active / runs * plan.interval_s if runs else NAN,
    }


def _spectrum(psd: Array, plan: Plan) -> Row:
    names = [f"band{i}" for i in range(table.BANDS)] + ["spectral_entropy", "flatness", "centroid"]
    power = psd[1:]
    if not len(power) or not power.sum() > 0:
        return dict.fromkeys(names, NAN)
    # A share of what rounding leaves behind is no information, but its logarithm would be.
    share = np.maximum(power / power.sum(), 1e-12 / len(power))
    share /= share.sum()
    at = np.arange(1, len(psd))
    edges = [len(power) / 2.0**i for i in range(table.BANDS)] + [0.0]
    bands = [float(share[(at > edges[i + 1]) & (at <= edges[i])].sum()) for i in range(table.BANDS)]
    entropy = float(-(share * np.log(share)).sum() / np.log(len(share)))
    flatness = float(np.exp(np.log(share).mean()) * len(share))
    centroid = float((share * at).sum()) / (plan.segment * plan.interval_s)
    return dict(zip(names, [*bands, min(entropy, 1.0), min(flatness, 1.0), centroid], strict=True))


def _rhythm(reduced: Reduced, plan: Plan, c: int) -> Row:
    unit = plan.bin_width * plan.interval_s
    period = dominant_period(reduced.auto[:, c], plan.bins)
    known = bool(np.isfinite(reduced.bins[:, c]).any())
    rough = np.isnan(period.lag) and not reduced.auto[1:2, c].sum() >= SMOOTHNESS
    steps = np.empty(0) if rough else step_lengths(reduced.bins[:, c], period.lag)
    enough = len(steps) >= _FEWEST_STEPS
    return {
        "period": period.lag * unit,
        "period_strength": period.strength,
        "step_rate": len(steps) / (plan.bins * unit) if known else NAN,
        "step_length": float(np.median(steps)) * unit if enough else NAN,
        "step_jitter": float(steps.std() / steps.mean()) if enough else NAN,
    }


def _changes(reduced: Reduced, plan: Plan, c: int) -> Row:
    found = find_changes(reduced.bins[:, c])
    if found is None:
        return dict.fromkeys(("changes", "change_spacing", "change_spacing_cv", "change_size"), NAN)
    gaps = np.diff(found.at) * plan.bin_width * plan.interval_s
    peak = abs(float(reduced.quantiles[c, -1]))
    largest = float(np.abs(found.shift).max(initial=0.0))
    return {
        "changes": float(len(found.at)),
        "change_spacing": float(gaps.mean()) if len(gaps) else NAN,
        "change_spacing_cv": float(gaps.std() / gaps.mean()) if len(gaps) > 1 else NAN,
        "change_size": largest / peak if peak > 0 else (0.0 if largest == 0 else NAN),
    }
