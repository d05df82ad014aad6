"""The verdict on a job, and its JSON form (docs/job-verdict.schema.json)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal, final

from pydantic import BaseModel, ConfigDict, Field

from hashwarden.model.job.reasons import Deciding
from hashwarden.model.sequential_calibration import ladder
from hashwarden.model.sequential_state import BLIND_TEXT, Blind, JobEvidence, State

__all__ = ["SCHEMA", "EvidenceRecord", "JobVerdict", "reasons_of"]

SCHEMA: Final = "hashwarden.job-verdict/1"
"""Name and version of the format; the number changes when a field changes its meaning or goes."""

Word = Literal["abstain", "clear", "watching", "suspect", "confirmed"]


class EvidenceRecord(BaseModel):
    """`JobEvidence` as JSON.

    Attributes
    ----------
    evidence, thresholds : mapping of str to float
        For ``watching``, ``suspect`` and ``confirmed``: evidence, of which 1 is none, and what it has to reach.
    strength : float
        0 with no evidence, 1 at the threshold of ``confirmed``, on a logarithmic scale.
    blocks : int
        Bets so far.
    watched_s, blind_s : float
        Seconds that count, and seconds since the last sample that did.
    confirmed_s : float or None
        Watched seconds at which it was confirmed.
    beyond_calibration : bool
        Whether it was watched for longer than the calibration runs.
    attainable : bool
        Whether there are honest runs enough to confirm at this alpha.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    evidence: Mapping[str, float]
    thresholds: Mapping[str, float]
    strength: float = Field(ge=0, le=1)
    blocks: int
    watched_s: float
    blind_s: float
    confirmed_s: float | None
    beyond_calibration: bool
    attainable: bool


@final
class JobVerdict(BaseModel):
    """What is said of a job at one time.

    Attributes
    ----------
    job : str
        Its name.
    time_s : float
        Of the sample that it rests on, on the clock of the samples.
    state : str
        `State`, as a word.
    abstains_for : str
        Why nothing new can be said; may stand beside any state. Empty if all is well.
    probabilities : mapping of str to float
        Of the classes, mean over about the last minute.
    family : str
        The likeliest family of mining; empty under the state ``watching``.
    family_probability : float
        Given that it mines.
    evidence : EvidenceRecord
    alpha : float
        Share of honest jobs that may ever be confirmed.
    reasons : tuple of str
        In words, strongest first.
    deciding : tuple of Deciding
        What decided the score; looked at when the state rises, and kept.
    decided_s : tuple of float, optional
        Begin and end of the samples that `deciding` was found in, on the clock of the samples; None if there are none.
    tier : str
        What was seen; empty if that is calibrated for nothing.
    novelty : float
        Distance to all that training saw; about 1 for what is known.
    model : mapping of str to str
        Name, version and hash of the model.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    schema_name: str = SCHEMA
    job: str
    time_s: float
    state: Word
    abstains_for: str
    probabilities: Mapping[str, float]
    family: str
    family_probability: float
    evidence: EvidenceRecord
    alpha: float
    reasons: tuple[str, ...]
    deciding: tuple[Deciding, ...]
    decided_s: tuple[float, float] | None = None
    tier: str
    novelty: float
    model: Mapping[str, str]

    @property
    def likeliest(self) -> str:
        """The class of the highest probability; empty before any score."""
        return max(self.probabilities, key=lambda name: self.probabilities[name], default="")


def reasons_of(now: JobEvidence, deciding: tuple[Deciding, ...], alpha: float, likeliest: str) -> tuple[str, ...]:
    """What the state rests on, in words."""
    words: list[str] = []
    minutes = now.watched_s / 60
    if now.state is State.CLEAR:
        words.append(f"{minutes:,.1f} minutes of samples without evidence of mining; most like {likeliest}")
    elif now.state >= State.WATCHING:
        step = dict(zip((State.WATCHING, State.SUSPECT, State.CONFIRMED), ladder(alpha), strict=True))[now.state]
        words.append(f"at most one honest job in {1 / step:,.0f} ever shows such evidence")
    if now.state is State.CONFIRMED:
        words.append(f"confirmed after {now.confirmed_s:,.0f} s of samples")
    if now.blind is not Blind.NO:
        words.append(BLIND_TEXT[now.blind])
    if not now.attainable and now.blind is not Blind.NO_CALIBRATION and now.blocks:
        words.append(f"too few honest runs calibrate this tier to confirm at {alpha:g}: the state ends at suspect")
    if now.state >= State.WATCHING:
        words += [item.words for item in deciding]
    return tuple(words)
