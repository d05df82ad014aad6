"""What is counted of a detector's outcomes: ranks, false alarms per GPU-day, time to detect, hash rate that is left.

An outcome is one run through the whole way from samples to evidence. Nothing here knows how it was scored.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, final

import numpy as np
import numpy.typing as npt
from scipy import stats

__all__ = [
    "DAY_S",
    "PER_DAYS",
    "Alarms",
    "Found",
    "Outcome",
    "alarms",
    "at_rate",
    "auroc",
    "by",
    "found",
    "other_hash",
    "poisson_interval",
    "records",
    "share_interval",
]

F64 = npt.NDArray[np.float64]
DAY_S: Final = 86_400.0
PER_DAYS: Final = 1_000.0


@final
@dataclass(frozen=True, slots=True)
class Outcome:
    """One run, judged.

    Attributes
    ----------
    name, label, family, strategy, gpu, origin : str
        As in the trace.
    share : float
        Part of the full hash rate that a mining run kept; 0 for what does not mine.
    seconds : float
        Length of the run.
    score : float
        Mean P(mining) over the run.
    alarm_s : float
        Seconds until `confirmed`; infinite if never.
    rises : float64 array, shape (K, 2)
        Time and log evidence of each new height that the evidence reached: what any other threshold would have said.
    unseen : bool
        Whether the fit saw nothing of its kind (a held-out family, strategy, GPU or kind of honest work).
    called : str
        Class of the highest mean probability; empty where a detector knows mining only.
    """

    name: str
    label: str
    family: str
    strategy: str
    gpu: str
    origin: str
    share: float
    seconds: float
    score: float
    alarm_s: float
    rises: F64
    unseen: bool = False
    called: str = ""

    @property
    def mining(self) -> bool:
        """Whether it mines."""
        return self.label == "mining"

    @property
    def honest(self) -> bool:
        """Whether confirming it is a false alarm that the bound covers: it neither mines nor hashes otherwise."""
        return self.label not in {"mining", "hash-other"}

    def alarm_at(self, threshold: float) -> float:
        """Seconds until the log evidence reached a threshold; infinite if never."""
        over = np.flatnonzero(self.rises[:, 1] >= threshold)
        return float(self.rises[over[0], 0]) if len(over) else math.inf


def records(times: F64, log_evidence: F64) -> F64:
    """Keep the times at which evidence was higher than ever before, shape (K, 2)."""
    highest = np.maximum.accumulate(log_evidence)
    new = np.append(True, highest[1:] > highest[:-1])
    return np.stack((times[new], highest[new]), axis=1)


def auroc(mining: F64, honest: F64) -> float:
    """Chance that a mining score is above an honest one, ties half; NaN if either is empty."""
    if not len(mining) or not len(honest):
        return math.nan
    ranks = stats.rankdata(np.concatenate((mining, honest)))[: len(mining)].sum()
    return float((ranks - len(mining) * (len(mining) + 1) / 2) / (len(mining) * len(honest)))


def poisson_interval(count: float, exposure: float, level: float = 0.95) -> tuple[float, float]:
    """Exact interval of the rate of a Poisson count (Garwood 1936), per unit of exposure.

    At a count of 0 the lower end is 0 and all of the error goes to the upper end (the rule of three).
    """
    if exposure <= 0:
        return 0.0, math.inf
    tail = (1 - level) / 2 if count else 1 - level
    low = stats.chi2.ppf(tail, 2 * count) / 2 if count else 0.0
    return float(low / exposure), float(stats.chi2.ppf(1 - tail, 2 * count + 2) / 2 / exposure)


def share_interval(count: int, total: int, level: float = 0.95) -> tuple[float, float]:
    """Exact interval of a share (Clopper and Pearson 1934); 0 to 1 where there is nothing to count."""
    if not total:
        return 0.0, 1.0
    tail = (1 - level) / 2
    low = stats.beta.ppf(tail, count, total - count + 1) if count else 0.0
    high = stats.beta.ppf(1 - tail, count + 1, total - count) if count < total else 1.0
    return float(low), float(high)


@final
@dataclass(frozen=True, slots=True)
class Alarms:
    """False alarms: their count, the GPU-days watched, and the rate per 1,000 GPU-days with its 95 % interval.

    A run that several folds test is watched several times by different fits, but is one run: the interval is that of
    the ``distinct_days`` alone.
    """

    count: int
    gpu_days: float
    distinct_days: float
    rate: float
    low: float
    high: float


def alarms(outcomes: Sequence[Outcome], threshold: float | None = None) -> Alarms:
    """Count the honest runs that were confirmed as mining; one run raises one alarm at most. Other hash work is apart.

    Days after an alarm do not count as watched. ``threshold`` on the log evidence takes the place of the states.
    """
    honest = [o for o in outcomes if o.honest]
    at = [o.alarm_s if threshold is None else o.alarm_at(threshold) for o in honest]
    days = sum(min(o.seconds, when) for o, when in zip(honest, at, strict=True)) / DAY_S
    count = sum(math.isfinite(when) for when in at)
    distinct = min(days, _distinct_days(honest))
    low, high = poisson_interval(count * distinct / days if days else 0, distinct / PER_DAYS)
    return Alarms(count, days, distinct, count / days * PER_DAYS if days else math.nan, low, high)


def other_hash(outcomes: Sequence[Outcome]) -> tuple[int, int]:
    """Runs of hash work that is no mining: how many were confirmed as mining, and how many there are."""
    runs = [o for o in outcomes if o.label == "hash-other"]
    return sum(math.isfinite(o.alarm_s) for o in runs), len(runs)


def _distinct_days(outcomes: Sequence[Outcome]) -> float:
    return sum({o.name: o.seconds for o in outcomes}.values()) / DAY_S


@final
@dataclass(frozen=True, slots=True)
class Found:
    """Mining that was confirmed.

    Attributes
    ----------
    runs, found : int
        Mining runs, and those confirmed before they ended.
    share, low, high : float
        Share found and its 95 % interval.
    median_s, ninety_s : float
        Seconds within which half and nine tenths of the runs were confirmed; infinite if fewer ever were.
    residual : float
        Mean over runs of the hash share kept by those never confirmed.
    worst : float
        Largest hash share of a run that was never confirmed.
    """

    runs: int
    found: int
    share: float
    low: float
    high: float
    median_s: float
    ninety_s: float
    residual: float
    worst: float


def found(outcomes: Sequence[Outcome], threshold: float | None = None) -> Found:
    """Measure how much of the mining was confirmed, and when."""
    mining = [o for o in outcomes if o.mining]
    at = np.array([o.alarm_s if threshold is None else o.alarm_at(threshold) for o in mining])
    kept = np.array([o.share if math.isfinite(o.share) else 1.0 for o in mining])
    caught = np.isfinite(at)
    count, total = int(caught.sum()), len(mining)
    if not total:
        return Found(0, 0, math.nan, 0.0, 1.0, math.nan, math.nan, math.nan, math.nan)
    low, high = share_interval(count, total)
    lost = np.where(caught, 0.0, kept)
    return Found(total, count, count / total, low, high, _within(at, 0.5), _within(at, 0.9),
                 float(lost.mean()), float(lost.max()))  # fmt: skip


def _within(seconds: F64, share: float) -> float:
    """Give the time within which at least this share was done: no interpolation towards what never was."""
    return float(np.sort(seconds)[math.ceil(share * len(seconds)) - 1])


def by(outcomes: Sequence[Outcome], key: Callable[[Outcome], str]) -> dict[str, list[Outcome]]:
    """Group outcomes, sorted by key."""
    groups: dict[str, list[Outcome]] = {}
    for outcome in outcomes:
        groups.setdefault(key(outcome), []).append(outcome)
    return dict(sorted(groups.items()))


def at_rate(outcomes: Sequence[Outcome], per_1000_days: float) -> tuple[float, float]:
    """Choose the lowest threshold on the log evidence whose false alarms stay at a rate, and say the rate it has.

    Where the honest runs are too few to show so low a rate, it is the least threshold that none of them reaches, and
    the rate that comes back is what they could have shown: one alarm in the days watched.
    """
    honest = [o for o in outcomes if o.honest]
    days = sum(o.seconds for o in honest) / DAY_S
    allowed = int(per_1000_days / PER_DAYS * days)
    tops = np.sort([o.rises[-1, 1] for o in honest])[::-1]
    threshold = float(np.nextafter(tops[allowed], np.inf)) if allowed < len(tops) else -math.inf
    distinct = _distinct_days(honest)
    return threshold, max(per_1000_days, PER_DAYS / distinct if distinct else math.inf)
