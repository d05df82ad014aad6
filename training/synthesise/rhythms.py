"""The rhythm that a burst of kHz samples shows: the cadence of launches, or the steps of a schedule.

Ticks are 0.1 s, bursts sample every millisecond or faster; what happens within a tick follows from the lengths of
launches: kernels take turns, and activity swings between them as often as the rarest of them comes. Assumed, and the
coarsest part of the model.

B = bursts, K = kernels.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from hashwarden.training.synthesise.physics import Activity
from hashwarden.training.synthesise.schedule import TICK_S
from hashwarden.training.synthesise.truth import Truth

__all__ = ["rhythm"]

F64 = npt.NDArray[np.float64]

FINEST_S: Final = 5e-5
"""Shortest period that a burst can show."""
MATTERS: Final = 0.03
"""Share of the time from which a kernel is part of the rhythm."""
EDGE: Final = 0.03
"""Swing of activity at the edges of launches of one and the same kernel, over its activity."""


def rhythm(true: Truth, kernels: Activity, start: F64, stop: F64, rng: np.random.Generator) -> dict[str, F64]:
    """Strongest period, its strength and the share of idle milliseconds of each burst, by channel, shape (B,)."""
    ticks = max(round(float((stop - start)[0]) / TICK_S), 1) if len(start) else 1
    at = np.clip((start / TICK_S).astype(np.int64)[:, None] + np.arange(ticks), 0, len(true.busy) - 1)
    shares = true.ran[at].mean(1, dtype=np.float64)  # (B, K)
    level = kernels.rate("alu") + sum(kernels.rate(f"tensor_{kind}") for kind in ("half", "fp8", "int8"))
    idle = 1 - np.minimum(true.busy[at].mean(1), 1)
    mean = shares @ level
    swing = (shares * (level - mean[:, None]) ** 2).sum(1) + idle * mean**2 + (EDGE * mean) ** 2
    often = shares / kernels.launch_s
    period = 1 / np.maximum(np.where(shares > MATTERS, often, np.inf).min(1, initial=np.inf), 1e-9)
    period = np.where(np.isfinite(period) & (period > 0), period, FINEST_S)
    jitter = true.host["launch_jitter"][at].mean(1)
    inside = swing * np.exp(-3 * jitter)
    slow, slow_period = _steps(np.asarray(true.ran[at] @ level), ticks)
    strength = np.maximum(inside, slow) / (swing + slow + 0.02**2)
    gaps = idle / np.maximum(often.sum(1), 1e-6)  # mean idle time after a launch
    return {
        "pm_rhythm_seconds": np.clip(np.where(slow > inside, slow_period, np.clip(period, FINEST_S, 1.0)), 0, 60)
        * rng.lognormal(0, 0.02, len(start)),
        "pm_rhythm_strength_ratio": np.clip(strength * rng.uniform(0.75, 1.0, len(start)), 0, 1),
        "pm_idle_gap_ratio": np.clip(idle * np.exp(-1e-3 / np.maximum(gaps, 1e-6)), 0, 1),
    }


def _steps(series: F64, ticks: int) -> tuple[F64, F64]:
    """Variance of the strongest Fourier component over the ticks of each burst, and its period in seconds."""
    if ticks < 4 or not len(series):
        return np.zeros(len(series)), np.full(len(series), 1.0)
    power = np.abs(np.fft.rfft(series - series.mean(1, keepdims=True), axis=1))[:, 1:] ** 2 * 2 / ticks**2
    best = power.argmax(1)
    return power.max(1), ticks * TICK_S / (best + 1.0)
