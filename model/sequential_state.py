"""The states of a job, and why one abstains."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from types import MappingProxyType
from typing import Any, Final, Literal, final

import numpy as np
import numpy.typing as npt

__all__ = ["BLIND_TEXT", "Blind", "EvidenceState", "JobEvidence", "State"]

F64 = npt.NDArray[np.float64]
I8 = npt.NDArray[np.int8]
Bools = npt.NDArray[np.bool_]


class State(IntEnum):
    """What the evidence amounts to, from least to most."""

    ABSTAIN = 0
    CLEAR = 1
    WATCHING = 2
    SUSPECT = 3
    CONFIRMED = 4

    @property
    def word(self) -> Literal["abstain", "clear", "watching", "suspect", "confirmed"]:
        """As it stands in reports."""
        return _WORDS[self]


_WORDS: Final = ("abstain", "clear", "watching", "suspect", "confirmed")


class Blind(IntEnum):
    """Why nothing can be said."""

    NO = 0
    STARTING = 1
    STALE = 2
    DEAD = 3
    FEW = 4
    SHARED = 5
    NO_CALIBRATION = 6
    NO_SCORE = 7
    UNKNOWN_WORK = 8


BLIND_TEXT: Final[Mapping[Blind, str]] = MappingProxyType(
    {
        Blind.NO: "",
        Blind.STARTING: "not watched for long enough",
        Blind.STALE: "no new samples come",
        Blind.DEAD: "its counters are dead",
        Blind.FEW: "too few channels are valid",
        Blind.SHARED: "shared: other processes use its GPU, and nothing says whose work the counters count",
        Blind.NO_CALIBRATION: "the model has no calibrated evidence for the channels that are there",
        Blind.NO_SCORE: "the model gave no finite score",
        Blind.UNKNOWN_WORK: "unknown work: unlike all that the model was trained on",
    }
)


_STATES: Final = {int(state): state for state in State}
_BLINDS: Final = {int(blind): blind for blind in Blind}


@final
@dataclass(frozen=True, slots=True)
class JobEvidence:
    """The evidence on one job.

    Attributes
    ----------
    state : State
    blind : Blind
        Why nothing new can be said now, whatever the state.
    evidence, thresholds : tuple of float
        For watching, suspect and confirmed: the evidence, and what it has to reach. Evidence of 1 is none.
    blocks : int
        Bets so far.
    watched_s : float
        Seconds that the bets cover.
    blind_s : float
        Seconds since the last sample that could be judged.
    confirmed_s : float
        Watched seconds at which it was confirmed; NaN if it was not.
    beyond : bool
        Whether it was watched for longer than the calibration runs, so that the bound rests on more than
        exchangeability (docs/evidence.md).
    attainable : bool
        Whether the calibration has runs enough for ``confirmed`` in the tier seen last.
    """

    state: State
    blind: Blind
    evidence: tuple[float, float, float]
    thresholds: tuple[float, float, float]
    blocks: int
    watched_s: float
    blind_s: float
    confirmed_s: float
    beyond: bool
    attainable: bool

    @property
    def margin(self) -> float:
        """Natural logarithm of evidence over threshold of ``confirmed``: 0 is confirmed."""
        return float(np.log(self.evidence[2]) - np.log(self.thresholds[2]))

    @property
    def strength(self) -> float:
        """0 with no evidence, 1 at the threshold of ``confirmed``, on a logarithmic scale; at most 1."""
        return min(max(float(np.log(self.evidence[2]) / np.log(self.thresholds[2])), 0.0), 1.0)

    def record(self) -> dict[str, Any]:
        """As JSON."""
        names = ("watching", "suspect", "confirmed")
        return {
            "evidence": dict(zip(names, (float(f"{e:.4g}") for e in self.evidence), strict=True)),
            "thresholds": dict(zip(names, (float(f"{t:.4g}") for t in self.thresholds), strict=True)),
            "strength": round(self.strength, 4),
            "blocks": self.blocks,
            "watched_s": round(self.watched_s, 3),
            "blind_s": round(self.blind_s, 3),
            "confirmed_s": None if np.isnan(self.confirmed_s) else round(self.confirmed_s, 3),
            "beyond_calibration": self.beyond,
            "attainable": self.attainable,
        }


@final
@dataclass(frozen=True, slots=True)
class EvidenceState:
    """The evidence on N jobs; fields as in `JobEvidence`, ``evidence`` and ``thresholds`` of shape (N, 3).

    Attributes
    ----------
    closed : bool array, shape (N,)
        Whether a block was bet on in this update.
    """

    state: I8
    blind: I8
    evidence: F64
    thresholds: F64
    blocks: npt.NDArray[np.int64]
    watched_s: F64
    blind_s: F64
    confirmed_s: F64
    beyond: Bools
    attainable: Bools
    closed: Bools

    def __len__(self) -> int:
        return len(self.state)

    def one(self, row: int) -> JobEvidence:
        """One of the jobs."""
        return EvidenceState(*(getattr(self, name)[row : row + 1] for name in self.__slots__)).each()[0]

    def each(self) -> list[JobEvidence]:
        """All of them; the numbers of a column become Python's in one go, which is most of the work."""
        columns = (self.blocks, self.watched_s, self.blind_s, self.confirmed_s, self.beyond, self.attainable)
        plain = zip(*(column.tolist() for column in columns), strict=True)
        bounds = zip(self.state.tolist(), self.blind.tolist(), self.evidence.tolist(), self.thresholds.tolist(),
                     strict=True)  # fmt: skip
        return [
            JobEvidence(_STATES[state], _BLINDS[blind], (e[0], e[1], e[2]), (t[0], t[1], t[2]), *rest)
            for (state, blind, e, t), rest in zip(bounds, plain, strict=True)
        ]
