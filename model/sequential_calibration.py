"""What the evidence knows of honest jobs: null levels by tier, from whole runs that no fit has seen.

Travels inside the model's metadata as JSON. ``hashwarden.training.job.calibrate`` makes it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, Final, final

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field, model_validator

from hashwarden.model.channels import Group
from hashwarden.model.sequential_math import FRACTIONS, LEVEL

__all__ = ["BEYOND", "BLOCK_S", "FLOOR", "WITHIN", "EvidenceCalibration", "Payoff", "TierCalibration", "ladder"]

F64 = npt.NDArray[np.float64]

BLOCK_S: Final = 10.0
"""Seconds whose samples make one bet."""

WITHIN: Final = 0.75
"""Share of alpha that is spent on the runs' levels, which is the whole bound within the horizon."""

BEYOND: Final = 1.0 - WITHIN
"""Share of alpha that is spent on all time after it."""

FLOOR: Final = 0.02
"""Lowest null level: honest runs that were never doubted do not make one doubtful block a proof."""

_WATCHING: Final = 0.1

Unit = Annotated[float, Field(gt=0, le=1)]


def ladder(alpha: float) -> tuple[float, float, float]:
    """How many honest jobs may ever be ``watching``, ``suspect``, ``confirmed``: one in 10, between, and alpha."""
    first = max(_WATCHING, alpha)
    return first, math.sqrt(first * alpha), alpha


class _Record(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


@final
class Payoff(_Record):
    """What a probability of mining pays: a straight line in its log-odds, cut off at 0 and 1.

    A network that is sure of its miners and half sure of its worst honest jobs tells them apart by log-odds of 7 and
    of 1, not by 0.999 and 0.73. Any fixed function into 0 to 1 keeps the bounds; it must not be chosen on the
    calibration runs.

    Attributes
    ----------
    low, high : float
        Log-odds that pay 0 and 1.
    """

    low: float = Field(ge=-40, le=40)
    high: float = Field(ge=-40, le=40)

    @model_validator(mode="after")
    def _rises(self) -> Payoff:
        if self.high <= self.low:
            raise ValueError("a payoff has to rise: high above low")
        return self

    def __call__(self, probability: F64) -> F64:
        """Pay for probabilities, 0 to 1, elementwise."""
        inner = np.clip(probability, 1e-17, 1.0 - 1e-16)
        log_odds = np.log(inner) - np.log1p(-inner)
        return np.clip((log_odds - self.low) / (self.high - self.low), 0.0, 1.0)


@final
class TierCalibration(_Record):
    """The honest runs of one tier.

    Attributes
    ----------
    groups : tuple of Group
        What the network was shown.
    levels : tuple of float
        The highest levels of runs, highest first; as many as ``watching`` needs.
    runs : int
        All of them.
    hours : float
        Time watched, all runs together.
    longest_s : float
        The longest run.
    origins : mapping of str to int
        Runs by where they come from: recorded, synthesised.
    payoff : Payoff or None
        None: the probability itself.
    """

    groups: tuple[Group, ...]
    levels: tuple[Unit, ...] = Field(min_length=1)
    runs: int = Field(ge=1)
    hours: float = Field(ge=0)
    longest_s: float = Field(ge=0)
    origins: Mapping[str, int]
    payoff: Payoff | None = None

    @model_validator(mode="after")
    def _ordered(self) -> TierCalibration:
        if list(self.levels) != sorted(self.levels, reverse=True) or len(self.levels) > self.runs:
            raise ValueError("levels have to fall, and there cannot be more of them than runs")
        return self

    @property
    def attainable_alpha(self) -> float:
        """The smallest alpha that so many runs can answer for."""
        return 1.0 / (WITHIN * (self.runs + 1))

    def null(self, alpha: float) -> float:
        """Conformal quantile of the levels: a new honest run is above it with probability alpha * WITHIN at most.

        Rank ceil((1 - a) (n + 1)) of n (Vovk, Gammerman, Shafer 2005; Lei et al. 2018). 1, against which nothing can
        be won, where there are too few runs; never under `FLOOR`.
        """
        above = math.floor(alpha * WITHIN * (self.runs + 1) * (1.0 + 1e-12))
        return max(self.levels[min(above, len(self.levels)) - 1], FLOOR) if above else 1.0

    def pays(self, probability: F64) -> F64:
        """What these probabilities of mining pay, 0 to 1."""
        return self.payoff(probability) if self.payoff else np.clip(probability, 0.0, 1.0)


@final
class EvidenceCalibration(_Record):
    """All tiers.

    Attributes
    ----------
    tiers : mapping of str to TierCalibration
        From least to most that is seen.
    horizon_s : float
        Seconds of a job for which the bound needs no assumption but exchangeability: every calibration run was
        watched for so long.
    block_s : float
    fractions : tuple of float
    level : float
        Evidence that no run reaches at its own level.
    made_by : str
    uncalibrated : mapping of str to Payoff or None
        Tiers that the network knows and no calibration run shows, with what a score of theirs would pay once some do:
        nothing is judged in them.
    """

    tiers: Mapping[str, TierCalibration]
    horizon_s: float = Field(gt=0)
    block_s: float = Field(default=BLOCK_S, gt=0)
    fractions: tuple[Unit, ...] = Field(default=FRACTIONS, min_length=1)
    level: float = Field(default=LEVEL, gt=1)
    made_by: str = ""
    uncalibrated: Mapping[str, Payoff | None] = Field(default_factory=dict)

    @property
    def names(self) -> tuple[str, ...]:
        """Tiers, in order."""
        return tuple(self.tiers)

    def tier_of(self, groups: frozenset[Group]) -> int:
        """The tier that needs most of what is there and nothing that is not; -1 if there is none."""
        fits = [i for i, tier in enumerate(self.tiers.values()) if set(tier.groups) <= groups]
        sizes = [len(tier.groups) for tier in self.tiers.values()]
        return max(fits, key=lambda i: sizes[i], default=-1)

    def nulls(self, alpha: float) -> F64:
        """Null level of each tier at each step of `ladder`, shape (tiers, 3)."""
        return np.array([[tier.null(step) for step in ladder(alpha)] for tier in self.tiers.values()]).reshape(-1, 3)

    def thresholds(self, alpha: float, beyond: bool) -> F64:
        """Evidence at which each step of `ladder` is reached, within the horizon or beyond it, shape (3,)."""
        return np.array([self.level / (BEYOND * step) if beyond else self.level for step in ladder(alpha)])
