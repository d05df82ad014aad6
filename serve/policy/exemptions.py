"""Exemptions: who is left alone, until when, and which of them have run out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from hashwarden.serve.jobs.job import Job
from hashwarden.serve.policy.schema import Agents, Exemption, Policy
from hashwarden.serve.policy.selectors import Work

__all__ = ["SOON_S", "approved_agent", "exemption_of", "run_out"]

SOON_S: Final = 7 * 86400.0
"""So long before its end an exemption is told of."""


def exemption_of(exemptions: Iterable[Exemption], job: Job, work: Work, unix_s: float) -> Exemption | None:
    """The first exemption in force for this work of this job."""
    in_force = (one for one in exemptions if unix_s < one.expires.timestamp())
    return next((one for one in in_force if one.is_work(job, work)), None)


def approved_agent(agents: Agents, job: Job, unix_s: float) -> bool:
    """Whether an agent has an approval in force."""
    return any(unix_s < one.expires.timestamp() and one.is_job(job) for one in agents.approved)


def run_out(policy: Policy, unix_s: float, soon_s: float = SOON_S) -> Iterator[tuple[str, str]]:
    """Exemptions and approvals of agents that have ended, or will soon.

    Yields
    ------
    tuple of str
        What it is, and what is to be said of it.
    """
    for part, entries in (("exemptions", policy.exemptions), ("agents.approved", policy.agents.approved)):
        for place, one in enumerate(entries):
            left = one.expires.timestamp() - unix_s
            if left < soon_s:
                days = abs(left) / 86400
                when = f"ended {days:,.1f} days ago" if left <= 0 else f"ends in {days:,.1f} days"
                yield f"{part}.{place}", f"{part}.{place} ({one.reason}) {when}: renew it, or take it out"
