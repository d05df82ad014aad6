"""What is held against a job now, and what speaks against going on: observations become grounds for cases."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final, final

from hashwarden.model.job.taxonomy import CLASSES, MINING
from hashwarden.model.job.verdict import JobVerdict
from hashwarden.serve.policy.case import EVIDENCE, Standing
from hashwarden.serve.policy.exemptions import exemption_of
from hashwarden.serve.policy.guards import Objection, job_objections, verdict_objections
from hashwarden.serve.policy.observation import Blindness, Observation
from hashwarden.serve.policy.quotas import Ledger, is_charged, subject_of
from hashwarden.serve.policy.schema import ANY, Exemption, Ladder, Policy, Quota
from hashwarden.serve.policy.selectors import Work

__all__ = ["LIKELY", "Grounds", "grounds_of", "quota_grounds"]

LIKELY: Final = 0.8
"""Probability from which a job counts as of a class that has no bound on false alarms; it is warned about at most."""

_MINING: Final = CLASSES[MINING]
_STATES: Final = {"suspect": Standing.SUSPECT, "confirmed": Standing.CONFIRMED}


@final
@dataclass(frozen=True, slots=True)
class Grounds:
    """What is held against a job.

    Attributes
    ----------
    origin : str
        See `Case.origin`.
    name : str
        Rule or quota, empty if none fits.
    ladder : Ladder or None
        Of that; None if none fits: then it is only recorded.
    standing : Standing
    work : Work
    verdict : JobVerdict or None
        The one that it rests on.
    objections : tuple of Objection
        Why nothing may go out.
    exempt : Exemption or None
    reasons : tuple of str
        In words.
    blind : frozenset of Blindness
        What could not be seen of the job, on any of its GPUs.
    """

    origin: str
    name: str
    ladder: Ladder | None
    standing: Standing
    work: Work
    verdict: JobVerdict | None
    objections: tuple[Objection, ...]
    exempt: Exemption | None
    reasons: tuple[str, ...]
    blind: frozenset[Blindness] = frozenset()


def grounds_of(seen: Observation, policy: Policy, model_sha256: str, unix_s: float) -> Grounds:
    """What the verdicts on a job amount to: the worst one that nothing speaks against, else the worst."""
    always = job_objections(seen)
    blind = {one.kind for one in always if one.kind is not None}
    best: tuple[tuple[bool, int, float], Grounds] | None = None
    for gpu in sorted(seen.verdicts):
        verdict = seen.verdicts[gpu]
        against = (*always, *verdict_objections(seen, verdict, model_sha256, policy.stale_seconds))
        blind |= {one.kind for one in against if one.kind is not None}
        one = _of_verdict(seen, verdict, policy, against, unix_s)
        rank = (not one.objections, one.standing.rank, verdict.evidence.strength + (gpu not in seen.borrowed))
        if one.standing is Standing.NONE:
            rank = (False, 0, verdict.evidence.strength)
        if best is None or rank > best[0]:
            best = rank, one
    if best is not None:
        return replace(best[1], blind=frozenset(blind))
    against = always or (Objection(None, "no verdict yet"),)
    return Grounds(EVIDENCE, "", None, Standing.NONE, Work(), None, against, None, (), frozenset(blind))


def _of_verdict(
    seen: Observation, verdict: JobVerdict, policy: Policy, against: tuple[Objection, ...], unix_s: float
) -> Grounds:
    standing = _STATES.get(verdict.state, Standing.NONE)
    class_ = _MINING if standing is not Standing.NONE else verdict.likeliest
    work = Work(class_, verdict.family, verdict.tier)
    likely = class_ != _MINING and verdict.probabilities.get(class_, 0.0) >= LIKELY and verdict.state != "abstain"
    rules = policy.rules if likely or standing is not Standing.NONE else ()
    rule = next((rule for rule in rules if rule.is_for(seen.job, work)), None)
    if standing is Standing.NONE and rule is not None and likely:
        standing = Standing.OTHER
    exempt = exemption_of(policy.exemptions, seen.job, work, unix_s) if standing is not Standing.NONE else None
    named = rule if standing is not Standing.NONE else None
    why = (f"{verdict.state}: {class_}" + (f", family {verdict.family}" if verdict.family else ""), *verdict.reasons)
    return Grounds(EVIDENCE, named.name if named else "", named, standing, work, verdict, against, exempt, why)


def quota_grounds(
    seen: Observation, policy: Policy, ledger: Ledger, of_verdict: Grounds, unix_s: float
) -> Iterator[Grounds]:
    """What the quotas say of a job; one for each that is for it."""
    for quota in policy.quotas:
        if not is_charged(quota, policy, seen.job, unix_s):
            continue
        subject = subject_of(quota, seen.job)
        used = ledger.used_hours(quota, subject, unix_s)
        standing = Standing.QUOTA if used > quota.gpu_hours else Standing.NONE
        exempt = exemption_of(policy.exemptions, seen.job, of_verdict.work, unix_s)
        why = (f"{quota.per} {subject} used {used:,.2f} GPU-hours ({', '.join(quota.classes)}) in a {quota.window}; "
               f"{quota.gpu_hours:g} are free",)  # fmt: skip
        against = job_objections(seen) if _any(quota) else of_verdict.objections
        verdict = None if _any(quota) else of_verdict.verdict
        origin = f"quota:{quota.name}"
        yield Grounds(origin, quota.name, quota, standing, of_verdict.work, verdict, against, exempt, why)


def _any(quota: Quota) -> bool:
    """Whether it counts hours whatever they were spent on, so that no verdict is needed."""
    return ANY in quota.classes
