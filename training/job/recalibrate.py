"""A model's evidence calibrated again, on an operator's own honest runs; the network stays as it is.

What a score pays stays too, since it was chosen on other runs than these. Each tier that enough of the runs show gets
null levels of its own. A tier that they do not show is judged in no more: its levels are those of other places, and a
bound that they gave would not be about this one. A job that shows it is judged in the tier below.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, final

import numpy as np
import numpy.typing as npt

from hashwarden.errors import DataError
from hashwarden.model.channels import TIERS
from hashwarden.model.job.own_run import OwnRun
from hashwarden.model.job.taxonomy import CLASSES, HASH_OTHER
from hashwarden.model.sequential_calibration import FLOOR, WITHIN, EvidenceCalibration, Payoff, TierCalibration, ladder
from hashwarden.model.sequential_math import FRACTIONS, LEVEL, levels
from hashwarden.training.job.calibrate import LEAST_S, ScoredRun, block_scores, calibrate, usual_s
from hashwarden.training.job.own import LEAST_HONEST
from hashwarden.version import __version__

__all__ = ["ALPHA", "Change", "Recalibration", "payoffs_of", "recalibrated", "runs_for"]

F64 = npt.NDArray[np.float64]
Counts = tuple[int, int, int]

ALPHA: Final = 1e-3
"""The share of honest jobs that may be confirmed, of which reports speak."""

_USUAL: Final = 0.999
_SETTLED_S: Final = 60.0


@final
@dataclass(frozen=True, slots=True)
class Change:
    """What becomes of one tier.

    Attributes
    ----------
    tier : str
    runs : int
        Own runs that show it and are long enough.
    before, after : TierCalibration or None
        None: nothing is judged in it.
    reached_before, reached_after : tuple of int
        Own runs that reach each step of `ladder` within both horizons, against the null levels before and after.
    highest : str
        The run that looks most like mining; empty if none does, or the tier is left out.
    usual_s : float
        What 19 of 20 of its runs were watched for: the tier with the least sets the horizon, unless one is named.
    """

    tier: str
    runs: int
    before: TierCalibration | None
    after: TierCalibration | None
    reached_before: Counts = (0, 0, 0)
    reached_after: Counts = (0, 0, 0)
    highest: str = ""
    usual_s: float = 0.0


@final
@dataclass(frozen=True, slots=True)
class Recalibration:
    """A calibration, and how it differs from the one before.

    Attributes
    ----------
    evidence : EvidenceCalibration
    changes : tuple of Change
    horizon_before_s : float
    novelty : float
        The limit that one sample in 1,000 of the runs exceeds, after the first minute.
    runs, hashing, short : int
        All runs; those of other hash work, which calibrate nothing; those that are in no tier long enough.
    """

    evidence: EvidenceCalibration
    changes: tuple[Change, ...]
    horizon_before_s: float
    novelty: float
    runs: int
    hashing: int
    short: int


def runs_for(alpha: float) -> int:
    """How many runs an alpha takes.

    >>> runs_for(1e-3), runs_for(1e-2)
    (1333, 133)
    """
    return math.ceil(1 / (WITHIN * alpha) - 1 - 1e-9)


def payoffs_of(evidence: EvidenceCalibration) -> dict[str, Payoff | None]:
    """What a score pays in each tier that the network knows, from least to most that is seen."""
    known = {name: tier.payoff for name, tier in evidence.tiers.items()} | dict(evidence.uncalibrated)
    return {tier: known[tier] for tier in TIERS if tier in known}


def recalibrated(before: EvidenceCalibration, runs: Sequence[OwnRun], horizon_s: float | None = None) -> Recalibration:
    """Calibrate the evidence of a model again.

    Parameters
    ----------
    before : EvidenceCalibration
        The model's.
    runs : sequence of OwnRun
        Honest runs of the place where the model is used, which no fit saw.
    horizon_s : float, optional
        Seconds that the bound covers without further assumptions; shorter runs are left out. By default what 19 of 20
        runs have that are two minutes long.

    Raises
    ------
    DataError
        For a run that must not calibrate (`hashwarden.training.job.calibrate`), or if no tier has runs enough for even
        the lowest state.
    """
    payoffs, least = payoffs_of(before), LEAST_S if horizon_s is None else horizon_s
    scored = {tier: [_scored(run, tier) for run in runs if tier in run.p_mining] for tier in payoffs}
    able = {tier: [run for run in some if run.covered and run.watched_s >= least] for tier, some in scored.items()}
    after = _calibrated(able, horizon_s, payoffs)
    changes = (_change(tier, some, before, after, payoffs[tier]) for tier, some in able.items())
    hashing = sum(run.label == CLASSES[HASH_OTHER] for run in runs)
    used = {run.name for some in able.values() for run in some}
    return Recalibration(
        after, tuple(changes), before.horizon_s, _novelty_limit(runs, tuple(after.tiers)), len(runs), hashing,
        len(runs) - hashing - len(used),
    )  # fmt: skip


def _scored(run: OwnRun, tier: str) -> ScoredRun:
    return ScoredRun(run.name, run.times, run.p_mining[tier], run.label, run.labelled_by, run.origin)


def _calibrated(
    able: Mapping[str, Sequence[ScoredRun]], horizon_s: float | None, payoffs: Mapping[str, Payoff | None]
) -> EvidenceCalibration:
    """Calibrate the tiers that have runs enough."""
    enough = {tier: some for tier, some in able.items() if len(some) >= LEAST_HONEST}
    if not enough:
        counts = ", ".join(f"{len(some)} in {tier}" for tier, some in able.items())
        raise DataError(
            f"too few honest runs for any state ({counts} of {horizon_s or LEAST_S:g} s)",
            f"{LEAST_HONEST} in a tier at least: 'watching' takes so many, 'suspect' {runs_for(ladder(ALPHA)[1])}, "
            f"'confirmed' {runs_for(ALPHA)}",
            "Record more, or longer ones; the model is as it was.",
        )
    found = calibrate(enough, horizon_s, payoffs)
    left = {tier: pays for tier, pays in payoffs.items() if tier not in found.tiers}
    made_by = f"hashwarden {__version__} model calibrate"
    return found.model_copy(update={"uncalibrated": left, "made_by": made_by})


def _change(
    tier: str, runs: Sequence[ScoredRun], before: EvidenceCalibration, after: EvidenceCalibration, pays: Payoff | None
) -> Change:
    was, now = before.tiers.get(tier), after.tiers.get(tier)
    if now is None:
        return Change(tier, len(runs), was, None)
    watched = [run for run in runs if run.watched_s >= after.horizon_s]
    found = levels(block_scores(watched, pays, min(before.horizon_s, after.horizon_s)), FRACTIONS, LEVEL)
    highest = watched[int(found.argmax())].name if found.max() > FLOOR else ""
    return Change(tier, len(watched), was, now, _reached(found, was), _reached(found, now), highest, usual_s(runs))


def _reached(found: F64, tier: TierCalibration | None) -> Counts:
    """How many runs of these levels reach each step: those whose level is above its null level."""
    first, second, third = (int((found > tier.null(step)).sum()) if tier else 0 for step in ladder(ALPHA))
    return first, second, third


def _novelty_limit(runs: Sequence[OwnRun], tiers: Sequence[str]) -> float:
    """The novelty that one sample in 1,000 exceeds, each run as the highest tier shows it that it is judged in."""
    found = []
    for run in runs:
        shown = [tier for tier in tiers if tier in run.p_mining]
        if shown:
            age = run.times - run.times[0]
            settled = age >= min(_SETTLED_S, age[-1] / 2)
            found.append(run.novelty[shown[-1]][settled & np.isfinite(run.p_mining[shown[-1]])])
    return float(np.quantile(np.concatenate(found), _USUAL))
