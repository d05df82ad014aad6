"""A case: what is held against one job, how far its ladder has been climbed, and who said what about it."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from dataclasses import asdict
from enum import StrEnum
from typing import Any, Final, Self, final

from pydantic import BaseModel, ConfigDict, Field

from hashwarden.serve.jobs.job import Job
from hashwarden.serve.policy.alerts import one_line

__all__ = ["EVIDENCE", "RELEASED", "Approval", "Case", "Standing", "StepRecord", "StepState", "case_id"]

EVIDENCE: Final = "evidence"
"""Origin of a case that rests on a verdict; others are ``quota:NAME``."""

RELEASED: Final = "release_"
"""Begins the names of steps that take a step back."""

_ALPHABET: Final = "23456789ABCDEFGHJKMNPQRSTVWXYZ"
"""No letters that can be taken for another or for a digit."""

_LETTERS: Final = 7
_FIRST, _LAST = 20, 180


def case_id(*of: str) -> str:
    """An id made of what the case is about."""
    value = int.from_bytes(hashlib.sha256("\n".join(of).encode(errors="replace")).digest()[:8])
    letters = []
    for _ in range(_LETTERS):
        value, rest = divmod(value, len(_ALPHABET))
        letters.append(_ALPHABET[rest])
    return "HW-" + "".join(letters)


class Standing(StrEnum):
    """What is held against a job now, from least to most."""

    NONE = "none"
    OTHER = "other"
    """Work of a class other than mining that a rule names; warned about at most."""
    SUSPECT = "suspect"
    CONFIRMED = "confirmed"
    QUOTA = "quota"

    @property
    def rank(self) -> int:
        """Its place, 0 for none."""
        return list(Standing).index(self)


class StepState(StrEnum):
    """How far a step of the ladder is."""

    DUE = "due"
    """Decided, not yet asked for: a release that waits for the next step of the engine."""
    ASKED = "asked"
    DONE = "done"
    REFUSED = "refused"
    AGAIN = "again"
    """It expired, and may be asked for anew."""


class _Record(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, ser_json_inf_nan="constants")


@final
class StepRecord(_Record):
    """One step of the ladder.

    Attributes
    ----------
    state : StepState
    action : str
        Id of the action that was asked for last.
    kind : str
        Of that action.
    attempt : int
        How often it was asked for, from 1.
    asked_unix_s, expires_unix_s : float
    at_clock_s : float or None
        `Case.clock_s` when it is known to be done.
    dry : bool
        Only told, not asked for.
    detail : str
        What the scheduler said.
    """

    state: StepState
    action: str = ""
    kind: str = ""
    attempt: int = 0
    asked_unix_s: float = 0.0
    expires_unix_s: float = 0.0
    at_clock_s: float | None = None
    dry: bool = False
    detail: str = ""


@final
class Approval(_Record):
    """Who approved: `by` as the system knows him, `unix_s` when, `expires_unix_s` until when it holds, of which `acts`.

    Another act that a later policy asks for was not approved.
    """

    by: str
    reason: str
    unix_s: float
    expires_unix_s: float
    acts: tuple[str, ...] = ()


class Case(_Record):
    """A case; changed by making another.

    Attributes
    ----------
    id : str
        ``HW-`` and seven letters.
    origin : str
        `EVIDENCE`, or ``quota:NAME``.
    job : mapping
        Fields of the `Job`, as it was seen last.
    rule : str
        Rule or quota that fits now, empty for none: then it is only recorded.
    opened_unix_s, seen_unix_s : float
    closed_unix_s : float or None
    closed_for : str
        ``ended``, ``clear``, ``rejected``, ``exempt``, ``lost``.
    standing : Standing
    blind : bool
        Whether it could be seen at the last look.
    clock_s, act_clock_s, quiet_s : float
        Seconds that count for warnings, for acts, and towards closing it.
    look_s : float
        Monotonic time of the last look.
    beyond : bool or None
        Whether it was confirmed beyond the calibrated horizon; None before.
    steps : mapping of str to StepRecord
    approval : Approval or None
    waiting : str
        What the next step waits for, in words.
    linked : str
        The case before of the same user, empty if there is none.
    repeat : str
        The case for which a job of the same user was ended before, as far as is remembered; empty if there is none.
    evidence : mapping
        The verdict that it rests on, shortened.
    history : tuple of str
        What happened, oldest first; the middle of a long one is left out.
    """

    id: str
    origin: str = EVIDENCE
    job: Mapping[str, Any]
    rule: str = ""
    opened_unix_s: float
    seen_unix_s: float
    closed_unix_s: float | None = None
    closed_for: str = ""
    standing: Standing = Standing.NONE
    blind: bool = False
    clock_s: float = 0.0
    act_clock_s: float = 0.0
    quiet_s: float = 0.0
    look_s: float = 0.0
    beyond: bool | None = None
    steps: Mapping[str, StepRecord] = Field(default_factory=dict)
    approval: Approval | None = None
    waiting: str = ""
    linked: str = ""
    repeat: str = ""
    evidence: Mapping[str, Any] = Field(default_factory=dict)
    history: tuple[str, ...] = ()

    @property
    def is_open(self) -> bool:
        """Whether it is not closed."""
        return self.closed_unix_s is None

    @property
    def unreleased(self) -> list[str]:
        """Names of the steps whose release is not over."""
        over = (StepState.DONE, StepState.REFUSED)
        return [name.removeprefix(RELEASED) for name, step in self.steps.items()
                if name.startswith(RELEASED) and step.state not in over]  # fmt: skip

    @property
    def holds_power(self) -> bool:
        """Whether GPUs may have less power for it now."""
        step, back = self.steps.get("throttle"), self.steps.get(RELEASED + "throttle")
        asked = step is not None and not step.dry and step.state in {StepState.ASKED, StepState.DONE}
        return asked and (back is None or back.state is not StepState.DONE)

    @property
    def is_settled(self) -> bool:
        """Whether it is closed, and nothing is left to be taken back."""
        return not self.is_open and not self.unreleased and not self.holds_power

    @property
    def job_key(self) -> str:
        """`Job.key`."""
        return str(self.job["key"])

    def as_job(self) -> Job:
        """Its job."""
        started = self.job.get("started_unix_s")
        known = {"gpus": tuple(self.job.get("gpus", ())), "started_unix_s": math.nan if started is None else started}
        return Job(**{**self.job, **known})

    def having(self, **changes: object) -> Self:
        """The same with other values."""
        return self.model_copy(update=changes)

    def noting(self, words: str, unix_s: float) -> Self:
        """The same with one more line of history."""
        history = (*self.history, f"{unix_s:.0f} {one_line(words, 300)}")
        if len(history) > _FIRST + _LAST:
            history = (*history[:_FIRST], *history[-_LAST:])
        return self.having(history=history)

    def stepping(self, name: str, step: StepRecord) -> Self:
        """The same with one step changed."""
        return self.having(steps={**self.steps, name: step})

    @staticmethod
    def fields_of(job: Job) -> dict[str, Any]:
        """A job for `job`; JSON has no NaN."""
        found = asdict(job)
        if math.isnan(job.started_unix_s):
            found["started_unix_s"] = None
        return found
