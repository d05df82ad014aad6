"""One look at a case: what has been counted since the last, and what is known of it now."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, final

from hashwarden.model.job.verdict import JobVerdict
from hashwarden.serve.jobs.job import Job
from hashwarden.serve.policy.case import Case, Standing, StepState
from hashwarden.serve.policy.judge import Grounds
from hashwarden.serve.policy.schema import Ladder

__all__ = ["GAP_S", "Steady", "evidence_of", "looked", "may_act", "may_warn"]

GAP_S: Final = 120.0
"""Seconds counted at most between two looks: nobody saw what was in a longer gap."""


@final
@dataclass(frozen=True, slots=True)
class Steady:
    """That nothing had changed since a look: until when (monotonic), and the ladder by which that time counts."""

    time_s: float
    ladder: Ladder | None


def may_warn(standing: Standing, ladder: Ladder | None) -> bool:
    """Whether the owner may be warned of it."""
    if ladder is None or standing is Standing.NONE:
        return False
    return standing is not Standing.SUSPECT or ladder.warn_on_suspect


def may_act(standing: Standing) -> bool:
    """Whether it is good enough for an act: confirmed within a bound on false alarms, or hours that were counted."""
    return standing in {Standing.CONFIRMED, Standing.QUOTA}


def looked(  # noqa: PLR0913, PLR0917
    case: Case, job: Job, grounds: Grounds, time_s: float, unix_s: float, steady: Steady | None = None
) -> Case:
    """The case after a look; the same one if it is too early, and nothing has changed.

    What was steady before a change counts: who blinds us for a second in each minute must not stop the clock.
    """
    blind = bool(grounds.objections)
    standing = case.standing if blind else grounds.standing
    rule = case.rule if blind or standing is Standing.NONE else grounds.name
    changed = (blind, standing, rule) != (case.blind, case.standing, case.rule)
    period = (grounds.ladder or Ladder()).sampling_period_minutes * 60
    elapsed = time_s - case.look_s
    if not changed and 0 <= elapsed < period:
        return case
    if changed and steady is not None and not case.blind and elapsed > 0:
        until = min(max(steady.time_s - case.look_s, 0.0), elapsed)
        case, elapsed = _counted(case, case.standing, min(until, max(period, GAP_S)), steady.ladder), elapsed - until
    counted = min(max(elapsed, 0.0), max(period, GAP_S)) if not blind and not case.blind else 0.0
    case = _counted(case, standing, counted, grounds.ladder)
    for name, step in case.steps.items():
        if step.state is StepState.DONE and step.at_clock_s is None:
            case = case.stepping(name, step.model_copy(update={"at_clock_s": case.clock_s}))
    changes: dict[str, Any] = {
        "blind": blind, "standing": standing, "rule": rule, "look_s": time_s, "seen_unix_s": unix_s,
        "job": Case.fields_of(job),
    }  # fmt: skip
    if not blind and grounds.verdict is not None and standing is not Standing.NONE:
        changes["evidence"] = evidence_of(grounds.verdict)
    if case.beyond is None and standing is Standing.CONFIRMED and grounds.verdict is not None and not blind:
        changes["beyond"] = grounds.verdict.evidence.beyond_calibration
    return case.having(**changes)


def _counted(case: Case, standing: Standing, seconds: float, ladder: Ladder | None) -> Case:
    """What counts held at both ends of the interval."""
    both = (case.standing, standing)
    warns = all(may_warn(one, ladder) for one in both)
    acts = all(may_act(one) for one in both)
    quiet = case.quiet_s + seconds if both == (Standing.NONE, Standing.NONE) else case.quiet_s
    return case.having(
        clock_s=case.clock_s + seconds * warns, act_clock_s=case.act_clock_s + seconds * (warns and acts),
        quiet_s=0.0 if standing is not Standing.NONE else quiet,
    )  # fmt: skip


def evidence_of(verdict: JobVerdict) -> dict[str, Any]:
    """What a case keeps of a verdict."""
    return {
        "state": verdict.state, "tier": verdict.tier, "family": verdict.family, "time_s": verdict.time_s,
        "strength": verdict.evidence.strength, "watched_s": verdict.evidence.watched_s, "alpha": verdict.alpha,
        "probabilities": dict(verdict.probabilities), "reasons": list(verdict.reasons), "model": dict(verdict.model),
    }  # fmt: skip
