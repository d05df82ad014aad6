"""The ladder: which steps it has for a job, and which is due now. Nothing here has a clock of its own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, final

from hashwarden.serve.jobs.job import JobKind
from hashwarden.serve.policy.case import Case, StepRecord, StepState
from hashwarden.serve.policy.schema import Act, Ladder
from hashwarden.serve.schedulers.scheduler import ActionKind

__all__ = [
    "ENDS", "GOES_ON_S", "MARGIN_S", "MOST_ATTEMPTS", "Rung", "action_kind", "for_repeat", "goes_on", "next_rung",
    "rungs_of",
]  # fmt: skip

MOST_ATTEMPTS: Final = 5
"""How often a step is asked for anew after it expired; then a person has to look."""

MARGIN_S: Final = 60.0
"""After an action has expired, so long is waited for what came of it."""

GOES_ON_S: Final = 600.0
"""After a job was ended, and is still seen to do it for so long, it is ended anew: somebody started its work again."""

ENDS: Final = frozenset({ActionKind.CANCEL, ActionKind.EVICT, ActionKind.TERMINATE, ActionKind.REQUEUE_HOLD})
"""After these nothing of a job goes on."""

_CANCEL: Final[Mapping[JobKind, ActionKind]] = {
    "slurm": ActionKind.CANCEL, "kubernetes": ActionKind.EVICT, "process": ActionKind.TERMINATE,
}  # fmt: skip
_SLURM: Final[Mapping[Act, ActionKind]] = {
    Act.HOLD: ActionKind.HOLD, Act.REQUEUE_HOLD: ActionKind.REQUEUE_HOLD, Act.DRAIN: ActionKind.DRAIN,
}  # fmt: skip


@final
@dataclass(frozen=True, slots=True)
class Rung:
    """One step of a ladder.

    Attributes
    ----------
    name : str
        ``warn1``, ``warn2``, ``throttle`` or ``act``.
    act : Act
        ``none`` for a warning.
    after_s : float
        Counted seconds from which it is due.
    """

    name: str
    act: Act
    after_s: float

    @property
    def warns(self) -> bool:
        """Whether it is a warning."""
        return self.act is Act.NONE


def action_kind(act: Act, kind: JobKind) -> ActionKind | None:
    """What an act is for the scheduler of a job; None if it has no such thing."""
    if act is Act.NONE:
        return ActionKind.WARN
    if act is Act.CANCEL:
        return _CANCEL.get(kind)
    if act is Act.THROTTLE:
        return ActionKind.THROTTLE
    return _SLURM.get(act) if kind == "slurm" else None


def rungs_of(ladder: Ladder) -> tuple[Rung, ...]:
    """The steps, in the order of their times."""
    found = [Rung("warn1", Act.NONE, ladder.first_warning_minutes * 60)]
    if ladder.second_warning_minutes is not None:
        found.append(Rung("warn2", Act.NONE, ladder.second_warning_minutes * 60))
    if ladder.throttle_minutes is not None:
        found.append(Rung("throttle", Act.THROTTLE, ladder.throttle_minutes * 60))
    if ladder.action is not Act.NONE:
        found.append(Rung("act", ladder.action, ladder.cancel_minutes * 60))
    return tuple(sorted(found, key=lambda rung: (rung.after_s, not rung.warns)))


def for_repeat(ladder: Ladder) -> Ladder:
    """The ladder of a user who was acted on before: one warning, at once, then the act. As it is if it says nothing."""
    if ladder.repeat_cancel_minutes is None:
        return ladder
    cancel = min(ladder.repeat_cancel_minutes, ladder.cancel_minutes)
    shorter = {"first_warning_minutes": 0.0, "second_warning_minutes": None, "throttle_minutes": None}
    return ladder.model_copy(update={**shorter, "cancel_minutes": cancel})


def next_rung(case: Case, ladder: Ladder, unix_s: float, *, dry: bool) -> Rung | None:
    """The one step that is due now; None if none is, or one that was asked for has no answer yet.

    A step is due when its time has been counted, every step before it is over, and each warning before it has
    reached the owner at least as long ago as the times of the policy are apart. What was only told of in a dry run is
    not done, once it is none.
    """
    warned: list[tuple[Rung, StepRecord]] = []
    for rung in rungs_of(ladder):
        done = case.steps.get(rung.name)
        told = done is not None and done.dry and not (dry or (ladder.do_not_cancel and not rung.warns))
        if done is None or done.state is StepState.AGAIN or told:
            counted = case.clock_s if rung.warns else case.act_clock_s
            late = counted >= rung.after_s and all(_long_ago(case, w, s, rung) for w, s in warned)
            return rung if late else None
        if done.state is StepState.ASKED and unix_s < done.expires_unix_s + MARGIN_S:
            return None
        if done.state is StepState.ASKED:
            return None if done.attempt >= MOST_ATTEMPTS else rung
        if goes_on(case, done) and done.attempt < MOST_ATTEMPTS:
            return rung
        if rung.warns and done.state is StepState.REFUSED and not ladder.act_if_warning_refused:
            return None
        if rung.warns and done.state is StepState.DONE:
            warned.append((rung, done))
    return None


def goes_on(case: Case, done: StepRecord) -> bool:
    """Whether a job does what it was ended for."""
    ended = done.state is StepState.DONE and not done.dry and done.kind in ENDS
    return ended and done.at_clock_s is not None and case.clock_s - done.at_clock_s >= GOES_ON_S


def _long_ago(case: Case, warning: Rung, done: StepRecord, rung: Rung) -> bool:
    """Whether a warning was delivered long enough before this step."""
    return done.at_clock_s is not None and case.clock_s - done.at_clock_s >= rung.after_s - warning.after_s
