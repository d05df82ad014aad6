"""From scored honest runs to the null levels of the evidence.

Only whole runs count, each once, of work that somebody answers for not being mining, and none that the network was
fitted on: the caller sees to that, for a run does not show it.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, final

import numpy as np
import numpy.typing as npt

from hashwarden.errors import DataError
from hashwarden.model.channels import TIERS, Group
from hashwarden.model.job.taxonomy import CLASSES, HASH_OTHER, MINING
from hashwarden.model.sequential_calibration import (
    BLOCK_S,
    FLOOR,
    WITHIN,
    EvidenceCalibration,
    Payoff,
    TierCalibration,
    ladder,
)  # fmt: skip
from hashwarden.model.sequential_math import FRACTIONS, LEVEL, levels
from hashwarden.model.sequential_rules import LONGEST_S, block_ends, block_sums, full_s
from hashwarden.version import __version__

__all__ = ["LEAST_S", "MINES", "ScoredRun", "block_scores", "calibrate", "choose_payoff", "unfit", "usual_s"]

F64 = npt.NDArray[np.float64]

LEAST_S: Final = 120.0
"""A horizon under this is refused: nothing about a job is known after two minutes."""

MINES: Final = "a mining run among the honest ones"
"""What is wrong with it."""

_SHORT: Final = 0.05

_KEPT: Final = ladder(1e-3)[0]
_PAYOFFS: Final = (
    None,
    *(Payoff(low=low, high=low + width) for low in (-4.0, -2.0, 0.0, 1.0, 2.0, 3.0, 4.0) for width in (4.0, 8.0)),
)


@final
@dataclass(frozen=True, slots=True)
class ScoredRun:
    """One run as the network scored it in one tier.

    Attributes
    ----------
    name : str
        Unique.
    times : float64 array, shape (T,)
        Seconds, rising.
    p_mining : float64 array, shape (T,)
        0 to 1; NaN where the sample could not be judged, which counts for nothing.
    label, labelled_by, origin : str
        As in `Run` and `RunInfo`.
    """

    name: str
    times: F64
    p_mining: F64
    label: str
    labelled_by: str = "construction"
    origin: str = "synthesised"

    @property
    def dt(self) -> F64:
        """Seconds since the sample before, 0 for the first, shape (T,)."""
        return np.diff(self.times, prepend=self.times[:1])

    @property
    def watched_s(self) -> float:
        """Seconds that were watched and could be judged."""
        return float(np.minimum(self.dt, LONGEST_S)[np.isfinite(self.p_mining)].sum())

    @property
    def covered(self) -> bool:
        """Whether the bound covers such work: it does not cover other hash work (`HASH_OTHER`)."""
        return self.label != CLASSES[HASH_OTHER]


def block_scores(runs: Sequence[ScoredRun], pays: Payoff | None, horizon_s: float, block_s: float = BLOCK_S) -> F64:
    """Mean payoff of each block of each run up to the horizon, exactly as the live evidence forms blocks.

    Returns
    -------
    float64 array, shape (R, B)
        NaN after a run's last full block.
    """
    rows = [_blocks(run, pays, horizon_s, block_s) for run in runs]
    table = np.full((len(rows), max(map(len, rows), default=0)), np.nan)
    for row, values in zip(table, rows, strict=True):
        row[: len(values)] = values
    return table


def _blocks(run: ScoredRun, pays: Payoff | None, horizon_s: float, block_s: float) -> F64:
    there = np.isfinite(run.p_mining)
    paid = run.p_mining[there] if pays is None else pays(run.p_mining[there])
    age = np.cumsum(np.minimum(run.dt[there], LONGEST_S))
    ends = block_ends(age, full_s(block_s))
    ends = ends[age[ends] <= horizon_s * (1 + 1e-9)]
    return block_sums(np.clip(paid, 0.0, 1.0), ends) / np.diff(ends, prepend=-1)


def calibrate(
    honest: Mapping[str, Sequence[ScoredRun]],
    horizon_s: float | None = None,
    payoffs: Mapping[str, Payoff | None] | None = None,
    groups: Mapping[str, tuple[Group, ...]] = TIERS,
) -> EvidenceCalibration:
    """Calibrate the evidence of each tier.

    Parameters
    ----------
    honest : mapping of str to sequence of ScoredRun
        By tier. Runs that stand for the work of the place where the model is used, and that no fit saw. Other hash
        work is set aside: the bound does not cover it (`hashwarden.model.job.taxonomy.HASH_OTHER`).
    horizon_s : float, optional
        Seconds that the bound covers without further assumptions; runs that were watched for less are left out. By
        default what 19 of 20 runs have.
    payoffs : mapping of str to Payoff or None, optional
        By tier, chosen on other runs (`choose_payoff`); the probability itself where none is named.
    groups : mapping of str to tuple of Group
        What each tier shows.

    Returns
    -------
    EvidenceCalibration

    Raises
    ------
    DataError
        For mining runs, unlabelled ones, the same name twice, a tier without runs, broken scores, or a horizon that
        no run reaches.
    """
    for tier, runs in honest.items():
        _check(tier, runs, groups)
    honest = {tier: _covered(runs) for tier, runs in honest.items()}
    for tier, runs in honest.items():
        _check(tier, runs, groups)
    if not honest:
        raise DataError("no tier at all", "honest runs in at least one tier", "Score some.")
    horizon = min(usual_s(runs) for runs in honest.values()) if horizon_s is None else horizon_s
    if horizon < LEAST_S:
        raise DataError(
            f"a horizon of {horizon:g} s", f"at least {LEAST_S:g} s", "Leave short runs out by naming a horizon."
        )
    tiers = {
        tier: _tier([run for run in runs if run.watched_s >= horizon], (payoffs or {}).get(tier), horizon, groups[tier])
        for tier, runs in honest.items()
    }
    return EvidenceCalibration(tiers=tiers, horizon_s=horizon, made_by=f"hashwarden {__version__}")


def _covered(runs: Sequence[ScoredRun]) -> list[ScoredRun]:
    return [run for run in runs if run.covered]


def usual_s(runs: Sequence[ScoredRun]) -> float:
    """Seconds for which 19 of 20 runs were watched."""
    return float(np.quantile([run.watched_s for run in runs], _SHORT, method="lower"))


def _check(tier: str, runs: Sequence[ScoredRun], groups: Mapping[str, tuple[Group, ...]]) -> None:
    if tier not in groups or not runs:
        raise DataError(f"tier {tier!r} with {len(runs)} runs", f"runs in one of {', '.join(groups)}", "Score some.")
    names = Counter(run.name for run in runs)
    for run in runs:
        wrong = _wrong(run) or (f"named {names[run.name]} times" if names[run.name] > 1 else "")
        if wrong:
            raise unfit(wrong, f"run {run.name!r}")


def unfit(got: str, where: str) -> DataError:
    """The error for a run that must not calibrate."""
    return DataError(got, "whole honest runs with a label that somebody answers for, each once",
                     "Leave it out, or have an operator sign its label.", where=where)  # fmt: skip


def _wrong(run: ScoredRun) -> str:
    if run.label not in CLASSES or not run.labelled_by:
        return f"a run with the label {run.label!r}, given by {run.labelled_by or 'nobody'}"
    if run.label == CLASSES[MINING]:
        return MINES
    if len(run.times) != len(run.p_mining) or not (np.diff(run.times) > 0).all() or not np.isfinite(run.times).all():
        return "times that do not rise, or not one for each score"
    known = run.p_mining[~np.isnan(run.p_mining)]
    return "probabilities outside 0 to 1" if ((known < 0) | (known > 1 + 1e-6)).any() else ""


def _tier(
    runs: Sequence[ScoredRun], pays: Payoff | None, horizon_s: float, groups: tuple[Group, ...]
) -> TierCalibration:
    if not runs:
        raise DataError(f"no run of {horizon_s:g} s", "at least one in each tier", "Name a shorter horizon.")
    found = np.sort(levels(block_scores(runs, pays, horizon_s), FRACTIONS, LEVEL))[::-1]
    kept = found[: math.floor(_KEPT * WITHIN * (len(runs) + 1)) + 1]
    lengths = [float(run.times[-1] - run.times[0]) for run in runs]
    return TierCalibration(
        groups=groups,
        levels=tuple(min(1.0, math.ceil(level * 1e6) / 1e6) for level in kept.tolist()),
        runs=len(runs),
        hours=round(sum(lengths) / 3600, 3),
        longest_s=max(lengths),
        origins=dict(Counter(run.origin for run in runs)),
        payoff=pays,
    )


def choose_payoff(
    honest: Sequence[ScoredRun], mining: Sequence[ScoredRun], alpha: float, horizon_s: float
) -> Payoff | None:
    """Choose what pays best: the most mining runs found within the horizon, and of equals the fastest.

    The runs must be others than those that calibrate: held-out runs of the fit's own early stopping will do.

    Parameters
    ----------
    honest, mining : sequence of ScoredRun
        Of one tier; other hash work is set aside.
    alpha : float
        The bound that is meant; with too few honest runs the highest level of all stands in.
    horizon_s : float
        Seconds of each run to look at.

    Returns
    -------
    Payoff or None
        None: the probability itself, also where nothing is better.
    """
    honest = _covered(honest)
    if not honest or not mining:
        return None
    above = max(1, math.floor(alpha * WITHIN * (len(honest) + 1)))
    best, chosen = -math.inf, None
    for pays in _PAYOFFS:
        level = float(np.sort(levels(block_scores(honest, pays, horizon_s)))[-above])
        worth = _worth(block_scores(mining, pays, horizon_s), max(level, FLOOR))
        if worth > best + 1e-3:
            best, chosen = worth, pays
    return chosen


def _worth(scores: F64, null: float) -> float:
    """Share of mining runs that this null level lets be found, and a little for how fast; scores of shape (R, B)."""
    found = float((levels(scores, FRACTIONS, LEVEL) > null).mean())
    fractions = np.array(FRACTIONS)
    growth = np.nanmean(np.log1p(fractions * (scores[..., None] / null - 1.0)), axis=1).max(axis=1)
    return found + _SPEED * float(np.minimum(growth, _ENOUGH).mean()) / _ENOUGH


_SPEED: Final = 0.1
_ENOUGH: Final = 1.5
"""Growth in nats a block beyond which nothing is gained: two blocks are enough already."""
