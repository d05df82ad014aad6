"""Synthetic streams whose features are known beforehand: for tests, pictures, and a first try without a GPU.

Every function gives one channel as float64 of shape (samples,), in percent of a peak of 100, and takes
a seed where chance is involved. None of them was recorded on a GPU.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

__all__ = ["chirp", "duty_cycle", "levels", "noise", "plateau", "requests", "sine", "training"]

Array = npt.NDArray[np.float64]


def noise(samples: int, deviation: float, seed: int = 0) -> Array:
    """White Gaussian noise."""
    return np.random.default_rng(seed).normal(0.0, deviation, samples)


def sine(samples: int, period: float, level: float = 50.0, swing: float = 30.0) -> Array:
    """Sine of a period in samples."""
    wave: Array = level + swing * np.sin(2 * np.pi * np.arange(samples) / period)
    return wave


def chirp(samples: int, first: float, last: float) -> Array:
    """Sine whose frequency, in cycles per sample, rises evenly from ``first`` to ``last``."""
    t = np.arange(samples)
    wave: Array = 50.0 + 30.0 * np.sin(2 * np.pi * (first * t + (last - first) * t * t / (2 * samples)))
    return wave


def duty_cycle(samples: int, period: int, share: float, level: float = 90.0) -> Array:
    """Square wave: ``level`` for a share of each period, from its beginning, and 0 for the rest."""
    return np.where(np.arange(samples) % period < round(share * period), level, 0.0)


def levels(samples: int, at: tuple[int, ...], values: tuple[float, ...]) -> Array:
    """One level after another; ``at`` says where each but the first begins."""
    phase = np.searchsorted(np.array(at), np.arange(samples), side="right")
    return np.array(values, np.float64)[phase]


def training(samples: int, step: float, jitter: float, seed: int = 0) -> Array:
    """Training steps: forward and backward pass at 85, a dip to 65 between them, then a wait at 15.

    Parameters
    ----------
    samples : int
        Samples.
    step : float
        Mean length of a step, in samples.
    jitter : float
        Coefficient of variation of the lengths of the steps.
    seed : int, default 0
        Seed.
    """
    rng = np.random.default_rng(seed)
    lengths = np.maximum(step * (1 + jitter * rng.standard_normal(2 * int(samples / step) + 8)), 4.0)
    starts = np.concatenate([[0.0], np.cumsum(lengths)])
    t = np.arange(samples)
    now = np.searchsorted(starts, t, side="right") - 1
    phase = (t - starts[now]) / lengths[now]
    return np.where(phase < 0.3, 85.0, np.where(phase < 0.35, 65.0, np.where(phase < 0.8, 85.0, 15.0)))


def requests(samples: int, rate: float, length: int, seed: int = 0, level: float = 70.0) -> Array:
    """Requests that come by a Poisson process, each of a length in samples; overlapping ones do not add up.

    Parameters
    ----------
    samples : int
        Samples.
    rate : float
        Requests per sample.
    length : int
        Samples for which a request keeps the channel at its level.
    seed : int, default 0
        Seed.
    level : float, default 70
        Level of a busy channel.
    """
    rng = np.random.default_rng(seed)
    busy = np.zeros(samples + 1)
    starts = np.flatnonzero(rng.random(samples) < rate)
    np.add.at(busy, starts, 1)
    np.add.at(busy, np.minimum(starts + length, samples), -1)
    return np.where(np.cumsum(busy[:-1]) > 0, level, 0.0)


def plateau(samples: int, blips: tuple[int, ...] = (), width: int = 200, seed: int = 0) -> Array:
    """A miner: 95 with little noise, and a rare dip to 30 while it builds its tables anew."""
    level = 95.0 + noise(samples, 1.0, seed)
    for at in blips:
        level[at : at + width] = 30.0
    return level
