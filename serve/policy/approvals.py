"""Who may approve or reject a case, and what is kept of it. Pure: the engine writes it down."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, final

from hashwarden.errors import UsageError
from hashwarden.serve.policy.alerts import one_line
from hashwarden.serve.policy.case import EVIDENCE, Approval, Case
from hashwarden.serve.policy.ladder import rungs_of
from hashwarden.serve.policy.schema import Ladder, Policy, Quota, Rule
from hashwarden.serve.policy.selectors import fits

__all__ = ["ForbiddenError", "Saying", "approved", "ladder_of", "rejected"]


@final
class ForbiddenError(UsageError):
    """The policy does not let this user decide on this case."""


@final
@dataclass(frozen=True, slots=True)
class Saying:
    """What somebody says of a case: id as it was given, user as the system knows him, why."""

    case: str
    by: str
    reason: str


def approved(case: Case | None, said: Saying, policy: Policy, unix_s: float) -> tuple[Case, dict[str, Any]]:
    """The case with an approval, and the record of it.

    Raises
    ------
    ForbiddenError
        If the user may not.
    UsageError
        If there is no such open case, or there is no reason.
    """
    found, reason = _checked(case, said, policy), one_line(said.reason)
    expires = unix_s + policy.approval_hours * 3600
    acts = _acts(found, policy)
    approval = Approval(by=said.by, reason=reason, unix_s=unix_s, expires_unix_s=expires, acts=acts)
    after = found.having(approval=approval).noting(f"approved by {said.by}: {reason}", unix_s)
    return after, _event(found, "approved", said) | {"expires_unix_s": expires, "acts": list(acts)}


def _acts(case: Case, policy: Policy) -> tuple[str, ...]:
    """What the ladder of the case would do now."""
    ladder = ladder_of(case, policy)
    return tuple(str(rung.act) for rung in rungs_of(ladder) if not rung.warns) if ladder else ()


def ladder_of(case: Case, policy: Policy) -> Ladder | None:
    """The rule or quota that a case is under; None if there is none of that name."""
    ladders: list[Rule] | list[Quota] = list(policy.rules) if case.origin == EVIDENCE else list(policy.quotas)
    return next((one for one in ladders if one.name == case.rule), None)


def rejected(case: Case | None, said: Saying, policy: Policy) -> tuple[Case, dict[str, Any]]:
    """The case, and the record of its rejection; errors as `approved`. It may have been closed by no person."""
    found = _checked(case, said, policy, closed=frozenset({"ended", "clear", "lost"}))
    return found, _event(found, "rejected", said)


def _event(case: Case, what: str, said: Saying) -> dict[str, Any]:
    return {
        "case": case.id, "job": case.job_key, "rule": case.rule, "what": what, "by": said.by,
        "reason": one_line(said.reason), "waiting": case.waiting,
    }  # fmt: skip


def _checked(case: Case | None, said: Saying, policy: Policy, closed: frozenset[str] = frozenset()) -> Case:
    by = said.by
    if case is None:
        raise UsageError(f"no case is called {one_line(said.case, 40)!r}", "the id of an open case",
                         "'hashwarden cases' lists them.")  # fmt: skip
    if not case.is_open and case.closed_for not in closed:
        raise UsageError(f"the case {case.id} is closed ({case.closed_for})", "an open case",
                         "'hashwarden cases' lists them.")  # fmt: skip
    if len(said.reason.strip()) < 3:
        raise UsageError("no reason", "a few words", "Say why, with --reason: it goes into the audit log.")
    if not by.strip() or (policy.approvers and not fits(policy.approvers, by)):
        raise ForbiddenError(f"the user {one_line(by, 40)!r}", "one of the policy's approvers",
                         "Ask one of them, or add the name to 'approvers'.")  # fmt: skip
    own = {str(case.job.get("user", "")), str(case.job.get("uid", -1)), f"uid {case.job.get('uid', -1)}"} - {"", "-1"}
    if policy.four_eyes and by in own:
        raise ForbiddenError(f"{one_line(by, 40)} is the user of the job", "somebody else (four_eyes)",
                         "Ask a second person.")  # fmt: skip
    return case
