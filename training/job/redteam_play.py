"""One try of the red team: a day of mining, synthesised, scored and judged in every tier, in whatever process.

The first hour is tried alone: what is confirmed within it in every tier asked for needs no day. Strategies that wait
(bursts, a slow start) have their whole day at once, for their first hour is not that of their day.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Final, Protocol, final

import numpy as np
import numpy.typing as npt

from hashwarden.model.channels import CHANNELS, TIERS
from hashwarden.model.trace import Run
from hashwarden.model.validity import judge
from hashwarden.training.job.measures import DAY_S
from hashwarden.training.job.redteam_search import Candidate, Tried
from hashwarden.training.job.trial import Course
from hashwarden.training.synthesise.run import make_run

__all__ = ["PATIENT", "Place", "Result", "Score", "ScoreMaker", "Watchers", "attempt", "chances", "gather", "watch"]

F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]

PATIENT: Final = frozenset({"burst", "slow-start"})
"""Strategies whose first hour says nothing of their day."""

_GROUPS: Final = {tier: np.array([c.group in groups for c in CHANNELS]) for tier, groups in TIERS.items()}


class Score(Protocol):
    """P(mining) after each sample of sequences."""

    def __call__(self, samples: F32, masks: F32, dts: F32) -> F64:
        """Score arrays of shape (N, T, C), (N, T, C), (N, T) into shape (N, T)."""


ScoreMaker = Callable[[], Score]
"""Loads a model; hashable and equal by value, so that each process loads it once."""


@final
@dataclass(frozen=True, slots=True)
class Place:
    """Where a try happens.

    Attributes
    ----------
    gpu : str
    period_s : float
        Between samples.
    horizon_s : float
        How long it has to stay unconfirmed.
    screen_s : float
        Length of the run that is tried first; 0 for none.
    """

    gpu: str = "H100 SXM"
    period_s: float = 10.0
    horizon_s: float = DAY_S
    screen_s: float = 3600.0


@final
@dataclass(frozen=True, slots=True)
class Result:
    """One seed of one candidate: the hash share kept, and seconds until confirmed by tier (infinite: never)."""

    share: float
    alarm_s: Mapping[str, float]


class Watchers(Protocol):
    """The evidence path in several tiers at once, as `hashwarden.training.job.proof.Panel`."""

    @property
    def tiers(self) -> tuple[str, ...]: ...  # noqa: D102
    def judge(self, runs: Sequence[tuple[F64, Mapping[str, F64]]]) -> list[dict[str, Course]]:
        """Follow the evidence over runs of times and P(mining) by tier."""

    def raised(self, least: Mapping[str, float]) -> Watchers:
        """Ask for more log evidence in some tiers."""

    def only(self, tiers: Sequence[str]) -> Watchers:
        """Look at some tiers only."""


@lru_cache(maxsize=2)
def _loaded(maker: ScoreMaker) -> Score:
    return maker()


def chances(run: Run, maker: ScoreMaker, tiers: Sequence[str]) -> dict[str, F64]:
    """P(mining) over a run as each tier sees it, by tier."""
    judged = judge(run.times, run.values)
    seen = np.stack([judged.mask & _GROUPS[tier] for tier in tiers])
    samples = np.where(seen, np.nan_to_num(judged.values)[None], 0).astype(np.float32)
    dts = np.diff(run.times, prepend=run.times[:1]).astype(np.float32)
    said = _loaded(maker)(samples, seen.astype(np.float32), np.tile(dts, (len(tiers), 1)))
    return dict(zip(tiers, said, strict=True))


def attempt(
    tasks: Sequence[tuple[Candidate, int]], place: Place, maker: ScoreMaker, panel: Watchers
) -> list[Result]:  # fmt: skip
    """Mine as candidates do, each with its seed, and see when they are confirmed in each tier of the panel."""
    short = [i for i, (candidate, _) in enumerate(tasks) if candidate.strategy not in PATIENT]
    done: dict[int, Result] = {}
    if 0 < place.screen_s < place.horizon_s:
        first = _mine([tasks[i] for i in short], replace(place, horizon_s=place.screen_s), maker, panel)
        caught = [all(math.isfinite(at) for at in result.alarm_s.values()) for result in first]
        done = {i: result for i, result, all_tiers in zip(short, first, caught, strict=True) if all_tiers}
    rest = [i for i in range(len(tasks)) if i not in done]
    done |= dict(zip(rest, _mine([tasks[i] for i in rest], place, maker, panel), strict=True))
    return [done[i] for i in range(len(tasks))]


def _mine(
    tasks: Sequence[tuple[Candidate, int]], place: Place, maker: ScoreMaker, panel: Watchers
) -> list[Result]:  # fmt: skip
    shares, seen = [], []
    for candidate, seed in tasks:
        run = make_run(
            "mining", candidate.family, candidate.strategy, place.gpu, place.horizon_s, place.period_s, seed=seed,
            changes=candidate.changes,
        )  # fmt: skip
        shares.append(run.info.share)
        seen.append((run.times, chances(run, maker, panel.tiers)))
    courses = panel.judge(seen)
    alarms = [{tier: course.alarm_s for tier, course in of.items()} for of in courses]
    return [Result(share, alarm) for share, alarm in zip(shares, alarms, strict=True)]


def watch(
    tasks: Sequence[tuple[tuple[str, str], int, str]], place: Place, maker: ScoreMaker, panel: Watchers
) -> list[dict[str, Course]]:  # fmt: skip
    """Follow the evidence of honest jobs, each a kind, a seed and a GPU, by tier."""
    seen = []
    for kind, seed, gpu in tasks:
        run = make_run(*kind, "plain", gpu, place.horizon_s, place.period_s, seed=seed)
        seen.append((run.times, chances(run, maker, panel.tiers)))
    return panel.judge(seen)


def gather(candidate: Candidate, results: Sequence[Result], place: Place) -> Tried:
    """Join the seeds of a candidate."""
    alarms = {tier: tuple(result.alarm_s[tier] for result in results) for tier in results[0].alarm_s}
    return Tried(candidate, float(np.mean([result.share for result in results])), alarms, place.horizon_s)
