"""What a new case takes over of an earlier one, on machines without a scheduler: its user was warned already.

There a job is but a session, which costs its user nothing: who ends it before the ladder does, or begins anew after
the ladder did, would be warned for the first time again. The grounds are never taken over: they are the new job's own.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from hashwarden.serve.policy.case import Case, StepState
from hashwarden.serve.policy.ladder import ENDS
from hashwarden.serve.schedulers.scheduler import ActionKind

__all__ = ["REMEMBER_S", "remembered"]

REMEMBER_S: Final = 3600.0
"""For so long after the end of a job its warnings count for the next one of its user."""

_OVER: Final = (StepState.DONE, StepState.REFUSED)


def remembered(case: Case, cases: Iterable[Case], unix_s: float) -> Case:
    """A case that is being opened, with the time and the warnings of the last one of the same kind and user.

    As it is if there is none, or if a person rejected one since: that speaks for the user.
    """
    if not _is_session(case) or case.job["uid"] < 0:
        return case
    mine = [
        one for one in cases
        if _is_session(one) and one.job["uid"] == case.job["uid"] and one.origin == case.origin
        and one.rule == case.rule and _has_ended(one, unix_s)
    ]  # fmt: skip
    before = max(mine, key=lambda one: one.seen_unix_s, default=None)
    if before is None or before.closed_for == "rejected":
        return case
    warned = {name: step for name, step in before.steps.items() if step.kind == ActionKind.WARN and step.state in _OVER}
    clocks = {"clock_s": before.clock_s, "act_clock_s": before.act_clock_s}
    words = f"its user's time in {before.id} counts: {before.clock_s:,.0f} s, {len(warned)} warnings"
    return case.having(steps=warned, linked=before.id, **clocks).noting(words, unix_s)


def _is_session(case: Case) -> bool:
    return case.job.get("kind") == "process" and case.job.get("labels", {}).get("anchor") == "session"


def _has_ended(case: Case, unix_s: float) -> bool:
    """Whether its job is gone, by itself or by us, or was let be."""
    if case.closed_unix_s is not None:
        return case.closed_for in {"ended", "rejected"} and 0 <= unix_s - case.closed_unix_s <= REMEMBER_S
    return any(step.kind in ENDS and step.state is StepState.DONE and not step.dry for step in case.steps.values())
