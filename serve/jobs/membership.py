"""Whose a process is: what schedulers say of it, else what was known of it, of its parents and of its session before.

A process can leave its session, lose its parent and, on some clusters, its cgroup. It cannot undo that it was seen, nor
that the process which made it was. So what once was a scheduler's stays its job's, marked ``escaped``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final, final

from hashwarden.serve.jobs.job import Job, ProcessKey
from hashwarden.serve.jobs.proc import Proc
from hashwarden.serve.jobs.provider import ProcessFacts
from hashwarden.serve.jobs.session_memory import MOST_SESSIONS, SessionId, SessionMemory

__all__ = ["ESCAPED", "SCHEDULED", "Membership"]

SCHEDULED: Final = frozenset({"slurm", "kubernetes"})
"""Kinds of jobs that a scheduler knows of."""

ESCAPED: Final = "escaped"
"""Label of a job that has processes where its scheduler does not see them, or that outlived its end."""

_PARENT_TICKS: Final = 200
_MOST_PARENTS: Final = 1024
_DEEPEST: Final = 32  # parents that are looked at


@final
class Membership:
    """See the module. Not safe for several threads.

    Parameters
    ----------
    proc : Proc
    ask : sequence of callable
        What each provider says of a process, the most trusted first.
    known : callable
        The job of a process that is watched, by key.
    """

    def __init__(
        self, proc: Proc, ask: Sequence[Callable[[ProcessFacts], Job | None]],
        known: Callable[[ProcessKey], Job | None],
    ) -> None:  # fmt: skip
        self._proc, self._ask, self._known = proc, ask, known
        self._memory = SessionMemory(proc)
        self._sessions: dict[SessionId, Job] = {}
        self._parents: dict[ProcessKey, tuple[Job | None, int]] = {}

    def job_of(self, process: ProcessFacts, before: Job | None = None) -> Job | None:
        """The job of a process that is alive; `before` is what was found last."""
        told = self._told(process)
        if told is not None and told.kind in SCHEDULED:
            self._keep_session(process, told)
            return told
        if before is not None:
            return _escaped(before)
        found = self._of_session(process) or self._of_parents(process, told)
        if found is None or (told is not None and found.kind == "process" and told.labels.get("anchor") != "session"):
            return told  # a container or a login holds its processes better than a parent does
        return _escaped(found)

    def _told(self, process: ProcessFacts) -> Job | None:
        first = None
        for ask in self._ask:
            job = ask(process)
            if job is not None and job.kind in SCHEDULED:
                return job
            first = first or job
        return first

    def _keep_session(self, process: ProcessFacts, job: Job) -> None:
        if process.uid != job.uid or process.uid < 0:  # a daemon of the scheduler, or a session that others share
            return
        session = self._memory.identify(process)
        self._sessions.pop(session, None)
        self._sessions[session] = job
        while len(self._sessions) > MOST_SESSIONS:
            del self._sessions[next(iter(self._sessions))]

    def _of_session(self, process: ProcessFacts) -> Job | None:
        if not self._sessions:
            return None
        job = self._sessions.get(self._memory.identify(process))
        return job if job is not None and job.uid == process.uid else None

    def _of_parents(self, process: ProcessFacts, told: Job | None) -> Job | None:
        """Of the nearest parent that is watched, or that a scheduler knows, if it is of the same user or person."""
        parent, users = process.ppid, {process.uid, -1, process.uid if told is None else told.uid}
        for _ in range(_DEEPEST):
            stat = self._proc.stat(parent) if parent > 1 else None
            if stat is None:
                return None
            job = self._known(stat.key) or self._scheduled(stat.key)
            if job is not None:
                return job if job.uid in users else None
            parent = stat.ppid
        return None

    def _scheduled(self, parent: ProcessKey) -> Job | None:
        """What schedulers say of a parent, for two seconds: many processes have the same one."""
        if len(self._ask) < 2:  # sessions alone: parents have none but their own
            return None
        job, until = self._parents.get(parent, (None, 0))
        if self._proc.ticks() < until:
            return job
        facts = self._proc.facts(parent.pid)
        told = self._told(facts) if facts is not None and facts.key == parent else None
        job = told if told is not None and told.kind in SCHEDULED else None
        self._parents.pop(parent, None)
        self._parents[parent] = (job, self._proc.ticks() + _PARENT_TICKS)
        while len(self._parents) > _MOST_PARENTS:
            del self._parents[next(iter(self._parents))]
        return job


def _escaped(job: Job) -> Job:
    """Of a scheduler's job it is worth telling; sessions are left all the time."""
    return replace(job, labels={**job.labels, ESCAPED: "1"}) if job.kind in SCHEDULED else job
