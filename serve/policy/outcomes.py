"""What a scheduler answers, entered into the case that asked."""

from __future__ import annotations

from hashwarden.serve.policy.alerts import one_line
from hashwarden.serve.policy.case import Case, StepState
from hashwarden.serve.policy.cases import CaseStore
from hashwarden.serve.policy.ladder import MOST_ATTEMPTS
from hashwarden.serve.schedulers.scheduler import Outcome, Result

__all__ = ["after_outcome", "case_of"]


def case_of(cases: CaseStore, action: str) -> tuple[Case | None, str]:
    """The case and the name of the step that an action's id is made of; None if it is none of ours."""
    parts = action.split("-")
    if len(parts) not in {3, 4}:
        return None, ""
    case = cases.get("-".join(parts[:2]))
    return (case, parts[2]) if case is not None and parts[2] in case.steps else (None, "")


def after_outcome(case: Case, name: str, outcome: Outcome, unix_s: float) -> tuple[Case, str, str]:
    """The case, what changed, and words for it; the same case if this was known or is out of date.

    A step that was asked for twice, since nothing had come of the first time, is done when either is.
    """
    step = case.steps[name]
    done = outcome.result in {Result.DONE, Result.ALREADY}
    late = step.action != outcome.action or step.state is not StepState.ASKED  # or told again after a restart
    if step.state is StepState.DONE or step.dry or (late and not done):
        return case, "", ""
    words = f"{name}: {step.kind} {outcome.result}" + (f" ({one_line(outcome.detail, 200)})" if outcome.detail else "")
    if done:
        state, change = StepState.DONE, "done"
    elif outcome.result is Result.EXPIRED and step.attempt < MOST_ATTEMPTS:
        state, change = StepState.AGAIN, "again"
    else:
        state, change = StepState.REFUSED, "refused"
    after = step.model_copy(update={"state": state, "detail": one_line(outcome.detail, 200)})
    return case.stepping(name, after).noting(words, unix_s), change, words
