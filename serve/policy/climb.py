"""The next step of a case's ladder: asked for, told of in a dry run, or waiting, and for what."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, final

from hashwarden.serve.policy.alerts import one_line
from hashwarden.serve.policy.case import RELEASED, Case, Standing, StepRecord, StepState
from hashwarden.serve.policy.guards import act_objections
from hashwarden.serve.policy.judge import Grounds
from hashwarden.serve.policy.ladder import Rung, action_kind, goes_on, next_rung, rungs_of
from hashwarden.serve.policy.look import may_act, may_warn
from hashwarden.serve.policy.observation import Observation
from hashwarden.serve.policy.schema import Act, Ladder, Policy
from hashwarden.serve.schedulers.scheduler import Action, ActionKind

__all__ = ["Move", "climbed", "release_names", "released"]

_HELD: Final = {ActionKind.THROTTLE, ActionKind.HOLD, ActionKind.REQUEUE_HOLD}

_SAID: Final[Mapping[Act, str]] = {
    Act.CANCEL: "cancelled", Act.REQUEUE_HOLD: "ended and held", Act.HOLD: "held", Act.DRAIN: "ended",
    Act.THROTTLE: "slowed down",
}  # fmt: skip


@final
@dataclass(frozen=True, slots=True)
class Move:
    """What became of a case at one step.

    Attributes
    ----------
    case : Case
        As it is now.
    change : str
        ``asked``, ``told`` (in a dry run), ``waiting``, or empty if nothing is to be told.
    action : Action or None
        What is asked for, or would be.
    words : str
    """

    case: Case
    change: str = ""
    action: Action | None = None
    words: str = ""


def climbed(case: Case, seen: Observation, grounds: Grounds, policy: Policy, unix_s: float) -> Move:
    """Take the step that is due, if there is one."""
    ladder = grounds.ladder
    if case.blind:
        return Move(case)
    if ladder is None or not may_warn(grounds.standing, ladder):
        return _waits(case, "", unix_s)
    rung = next_rung(case, ladder, unix_s, dry=policy.mode != "enforce")
    if rung is None:
        return _waits(case, _pending(case, ladder), unix_s)
    if not rung.warns:
        why = _held_up(case, rung, seen, grounds, policy, unix_s)
        if why:
            return _waits(case, why, unix_s)
    return _asked(case, rung, seen, grounds, policy, unix_s)


def _pending(case: Case, ladder: Ladder) -> str:
    names = {rung.name for rung in rungs_of(ladder)}
    mine = {name: step for name, step in case.steps.items() if name in names}
    if any(goes_on(case, step) for step in mine.values()):
        return "it was ended again and again, and goes on: a person has to look"
    if any(s.state is StepState.REFUSED and s.kind == ActionKind.WARN for s in mine.values()):
        return "" if ladder.act_if_warning_refused else "the warning could not be delivered: a person has to look"
    return ""


def _held_up(  # noqa: PLR0913, PLR0917
    case: Case, rung: Rung, seen: Observation, grounds: Grounds, policy: Policy, unix_s: float
) -> str:
    """What an act waits for, in words; empty if it need not."""
    ladder = grounds.ladder
    if ladder is None or not may_act(grounds.standing):
        return f"{grounds.standing} is good for warnings only"
    if grounds.verdict is not None:
        against = act_objections(seen, grounds.verdict, ladder, beyond=bool(case.beyond))
        if against:
            return "; ".join(one.words for one in against)
    if action_kind(rung.act, seen.job.kind) is None:
        return f"{seen.job.kind} jobs cannot be acted on by {rung.act}"
    if policy.needs_approval(ladder, rung.act):
        if case.approval is None or rung.act not in case.approval.acts:
            return f"approval of {rung.act}"
        if unix_s >= case.approval.expires_unix_s:
            return f"approval of {rung.act}: that of {case.approval.by} has expired"
    return ""


def _waits(case: Case, words: str, unix_s: float) -> Move:
    if words == case.waiting:
        return Move(case)
    if not words:
        return Move(case.having(waiting=""))
    return Move(case.having(waiting=words).noting(f"waits for: {words}", unix_s), "waiting", None, words)


def _asked(  # noqa: PLR0913, PLR0917
    case: Case, rung: Rung, seen: Observation, grounds: Grounds, policy: Policy, unix_s: float
) -> Move:
    ladder, kind = grounds.ladder or Ladder(), action_kind(rung.act, seen.job.kind) or ActionKind.WARN
    before = case.steps.get(rung.name)
    attempt = 1 + (before.attempt if before else 0)
    expires = unix_s + policy.action_expires_minutes * 60
    parameters = {"rule": grounds.name, "step": rung.name} | _parameters(kind, ladder)
    action = Action(
        _action_id(case.id, rung.name, attempt), kind, seen.job, case.id,
        _to_owner(case, rung, grounds, policy), unix_s, expires, parameters,
    )  # fmt: skip
    dry = policy.mode != "enforce" or (ladder.do_not_cancel and not rung.warns)
    step = StepRecord(
        state=StepState.DONE if dry else StepState.ASKED, action=action.id, kind=str(kind), attempt=attempt,
        asked_unix_s=unix_s, expires_unix_s=expires, at_clock_s=case.clock_s if dry else None, dry=dry,
    )  # fmt: skip
    words = f"{rung.name}: {kind} {'would be asked for (dry run)' if dry else 'is asked for'}"
    case = case.stepping(rung.name, step).having(waiting="").noting(words, unix_s)
    return Move(case, "told" if dry else "asked", action, words)


def _parameters(kind: ActionKind, ladder: Ladder) -> dict[str, str]:
    """What the scheduler has to know of the ladder."""
    if kind is ActionKind.THROTTLE:
        return {"watts_ratio": f"{ladder.throttle_watts_ratio:g}"}
    if kind is ActionKind.EVICT and ladder.despite_budgets != "none":
        return {"despite_budgets": ladder.despite_budgets, "evict_wait_s": f"{ladder.evict_wait_minutes * 60:g}"}
    return {}


def _action_id(case: str, step: str, attempt: int) -> str:
    return f"{case}-{step}" + (f"-{attempt}" if attempt > 1 else "")


def _to_owner(case: Case, rung: Rung, grounds: Grounds, policy: Policy) -> str:
    """One line for the owner of the job."""
    what = "; ".join(grounds.reasons[:1])
    if grounds.standing is not Standing.QUOTA:
        what = f"its GPU work is judged as {what}"
    next_ = ""
    if rung.warns and grounds.ladder is not None:
        later = [r for r in rungs_of(grounds.ladder) if not r.warns and r.after_s > rung.after_s]
        if later:
            minutes = (later[0].after_s - rung.after_s) / 60
            next_ = f" It will be {_SAID[later[0].act]} after {minutes:,.0f} more minutes of it."
    elif not rung.warns:
        next_ = f" It is {_SAID[rung.act]}."
    ask = f" If this is wrong, ask {policy.contact}." if policy.contact else ""
    return one_line(f"hashwarden {case.id}: {what}.{next_}{ask}")


def release_names(case: Case) -> list[str]:
    """Steps that have to be taken back when this case, which is closed, is left alone."""
    kinds = {ActionKind.THROTTLE} if case.closed_for in {"ended", "lost"} else _HELD
    done = (StepState.DONE, StepState.ASKED, StepState.AGAIN)
    return [name for name, step in case.steps.items()
            if step.kind in kinds and step.state in done and not step.dry
            and not name.startswith(RELEASED)]  # fmt: skip


def released(case: Case, name: str, policy: Policy, unix_s: float) -> Move:
    """Ask for a step to be taken back."""
    step = case.steps[RELEASED + name]
    attempt = step.attempt + 1
    expires = unix_s + policy.action_expires_minutes * 60
    action = Action(
        _action_id(case.id, RELEASED + name, attempt), ActionKind.RELEASE, case.as_job(), case.id,
        one_line(f"hashwarden {case.id}: closed ({case.closed_for}); what was done is taken back"), unix_s, expires,
        {"of": case.steps[name].kind, "step": RELEASED + name},
    )  # fmt: skip
    asked = StepRecord(
        state=StepState.ASKED, action=action.id, kind=str(ActionKind.RELEASE), attempt=attempt, asked_unix_s=unix_s,
        expires_unix_s=expires,
    )  # fmt: skip
    words = f"release of {case.steps[name].kind} is asked for"
    return Move(case.stepping(RELEASED + name, asked).noting(words, unix_s), "asked", action, words)
