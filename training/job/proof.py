"""The evidence path of evaluations: `hashwarden.model.sequential`, many runs side by side.

Nothing is computed here that the agent does not compute: the same class takes the same samples in the same order.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import final

import numpy as np
import numpy.typing as npt

from hashwarden.model.job.taxonomy import CLASSES, MINING
from hashwarden.model.sequential import Evidence
from hashwarden.model.sequential_calibration import EvidenceCalibration
from hashwarden.training.job.calibrate import ScoredRun, calibrate, choose_payoff
from hashwarden.training.job.measures import records
from hashwarden.training.job.trial import Course

__all__ = ["Calibrated", "Panel", "Proof", "follow"]

F64 = npt.NDArray[np.float64]
_CONFIRMED = 2


def follow(
    calibration: EvidenceCalibration, alpha: float, tiers: Sequence[str], runs: Sequence[tuple[F64, F64]]
) -> list[Course]:
    """Follow the evidence of runs from their beginning.

    Parameters
    ----------
    calibration : EvidenceCalibration
    alpha : float
        Share of honest jobs that may ever be confirmed.
    tiers : sequence of str
        Of each run.
    runs : sequence of (times, chance)
        Seconds and P(mining) at each sample.

    Returns
    -------
    list of Course
        Heights are of the logarithm of evidence over threshold: 0 is confirmed.
    """
    names = list(calibration.names)
    index = np.array([names.index(tier) for tier in tiers], np.int64)
    evidence = Evidence(calibration, alpha, len(runs))
    lengths = np.array([len(times) for times, _ in runs])
    longest = int(lengths.max(initial=0))
    chance, dt = np.zeros((2, longest, len(runs)))
    for place, (times, said) in enumerate(runs):
        chance[: len(said), place] = said
        dt[: len(times), place] = np.diff(times, prepend=times[:1])
    height = np.full((longest, len(runs)), -np.inf)
    for step in range(longest):
        rows = np.flatnonzero(lengths > step)
        state = evidence.update(chance[step, rows], dt[step, rows], index[rows], rows=rows)
        ratio = state.evidence[:, _CONFIRMED] / state.thresholds[:, _CONFIRMED]
        height[step, rows] = np.where(state.closed, np.log(ratio), -np.inf)
    return [_course(times, height[: len(times), place]) for place, (times, _) in enumerate(runs)]


def _course(times: F64, height: F64) -> Course:
    over = np.flatnonzero(height >= 0)
    return Course(records(times, height), float(times[over[0]] - times[0]) if len(over) else np.inf)


@final
@dataclass(frozen=True, slots=True)
class Proof:
    """The evidence of one tier."""

    calibration: EvidenceCalibration
    alpha: float
    tier: str

    def judge(self, runs: Sequence[tuple[F64, F64]]) -> list[Course]:
        """Follow the evidence over runs of times and chances."""
        return follow(self.calibration, self.alpha, [self.tier] * len(runs), runs)


@final
@dataclass(frozen=True, slots=True)
class Calibrated:
    """Calibrates the evidence of a tier; another process can unpickle it.

    Attributes
    ----------
    alpha : float
        Share of honest jobs that may ever be confirmed.
    """

    alpha: float

    def __call__(self, tier: str, honest: Sequence[ScoredRun], choosing: Sequence[ScoredRun]) -> Proof:
        """Calibrate on ``honest``, after ``choosing`` has decided how probabilities pay.

        Where the honest runs are too few to answer for so little, alpha is the least that they can answer for.
        """
        mining = [run for run in choosing if run.label == CLASSES[MINING]]
        others = [run for run in choosing if run.label != CLASSES[MINING]]
        pays = choose_payoff(others, mining, self.alpha, math.inf) if mining and others else None
        found = calibrate({tier: honest}, payoffs={tier: pays})
        return Proof(found, max(self.alpha, found.tiers[tier].attainable_alpha), tier)


@final
@dataclass(frozen=True, slots=True)
class Panel:
    """The evidence of jobs that are seen in several tiers at once.

    Attributes
    ----------
    calibration : EvidenceCalibration
    alpha : float
    tiers : tuple of str
    least : mapping of str to float
        For some tiers, a log evidence over its threshold that has to be reached too before anything counts.
    """

    calibration: EvidenceCalibration
    alpha: float
    tiers: tuple[str, ...]
    least: Mapping[str, float] = field(default_factory=dict)

    def judge(self, runs: Sequence[tuple[F64, Mapping[str, F64]]]) -> list[dict[str, Course]]:
        """Follow the evidence over runs of times and P(mining) by tier."""
        flat = [(times, said[tier]) for times, said in runs for tier in self.tiers]
        courses = iter(follow(self.calibration, self.alpha, self.tiers * len(runs), flat))
        return [{tier: self._raised(tier, next(courses)) for tier in self.tiers} for _ in runs]

    def raised(self, least: Mapping[str, float]) -> Panel:
        """Ask for more evidence."""
        return replace(self, least=dict(least))

    def only(self, tiers: Sequence[str]) -> Panel:
        """Look at some tiers only."""
        return replace(self, tiers=tuple(tiers))

    def _raised(self, tier: str, course: Course) -> Course:
        over = np.flatnonzero(course.rises[:, 1] >= self.least.get(tier, -np.inf))
        at = float(course.rises[over[0], 0]) if len(over) else np.inf
        return Course(course.rises, max(course.alarm_s, at))
