"""The provider ``pushed``: jobs as those say who push their samples (`hashwarden.serve.inbox`); they have no processes.

Such jobs are of the kind ``pushed``, which nothing here can act on; but for those of the one cluster whose scheduler
answers on this host, if one is named.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import final

from hashwarden.errors import UsageError
from hashwarden.serve.inbox.inbox import Inbox
from hashwarden.serve.jobs.job import Job
from hashwarden.serve.jobs.options import JobOptions
from hashwarden.serve.jobs.provider import ProcessFacts
from hashwarden.serve.sources.source import Device

__all__ = ["PushedJobs", "make"]


def make(options: JobOptions) -> PushedJobs:
    """The provider.

    Raises
    ------
    UsageError
        Outside of `hashwarden serve`, where nobody could push.
    """
    if not isinstance(options.inbox, Inbox):
        raise UsageError("the provider 'pushed' of an agent", "one that knows jobs", "Run: hashwarden serve")
    return PushedJobs(options.inbox)


@final
class PushedJobs:
    """See the module.

    Parameters
    ----------
    inbox : Inbox
    """

    name = "pushed"

    def __init__(self, inbox: Inbox) -> None:
        self._inbox = inbox

    def refresh(self, devices: Sequence[Device]) -> None:
        """Nothing has to be learnt: it is told."""

    def job_of(self, process: ProcessFacts) -> Job | None:
        """None: such jobs run elsewhere."""
        del process
        return None

    def allotted(self) -> Mapping[str, tuple[Job, ...]]:
        """Where the jobs are said to be."""
        return self._inbox.ledger.on
