"""What a case has before it: the whole ladder of its rule or quota, for whoever decides on it. Pure."""

from __future__ import annotations

from typing import Any

from hashwarden.serve.policy.approvals import ladder_of
from hashwarden.serve.policy.case import Case
from hashwarden.serve.policy.ladder import action_kind, for_repeat, rungs_of
from hashwarden.serve.policy.schema import Policy

__all__ = ["coming"]


def coming(case: Case, policy: Policy) -> list[dict[str, Any]]:
    """The steps that were not asked for yet, in the order of their times; none once the case is closed.

    Parameters
    ----------
    case : Case
    policy : Policy
        As it stands now; another may say otherwise by the time that a step is due.

    Returns
    -------
    list of dict
        Of each step its ``name``, what is asked of the scheduler in ``kind`` (empty if it has no such thing), counted
        seconds from which it is due in ``after_s``, and how many of them are left in ``left_s``, 0 or more.
    """
    ladder = ladder_of(case, policy)
    if ladder is None or not case.is_open:
        return []
    ladder = for_repeat(ladder) if case.repeat else ladder
    found = []
    for rung in rungs_of(ladder):
        if rung.name in case.steps:
            continue
        kind = action_kind(rung.act, case.job.get("kind", "process"))
        left = rung.after_s - (case.clock_s if rung.warns else case.act_clock_s)
        found.append({"name": rung.name, "kind": kind.value if kind else "", "after_s": rung.after_s,
                      "left_s": max(0.0, left)})  # fmt: skip
    return found
