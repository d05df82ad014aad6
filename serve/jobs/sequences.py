"""Sessions of one user on a plain machine: one after the other they are one job, and too many at once share one.

A session costs its user nothing. If each were a job, ten thousand short ones would be ten thousand jobs, and who
starts his program anew every minute would have no past. So a session that begins on a GPU where an earlier one of the
same user has just ended goes on with its job, under the same key; sessions that are there at the same time stay apart.
Only beyond `MOST_YOUNG` that have just begun, or `MOST_APART` in all, the further ones of a user are one job together.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, final

from hashwarden.serve.jobs.job import Job
from hashwarden.serve.jobs.sequence import Sequence
from hashwarden.serve.jobs.session_memory import MOST_SESSIONS

if TYPE_CHECKING:
    from hashwarden.serve.jobs.processes import Process

__all__ = ["CONTINUE_S", "LONG_S", "MOST_APART", "MOST_YOUNG", "YOUNG_S", "Sequences"]

CONTINUE_S: Final = 300.0
"""A session goes on with the job of one that ended so short a time ago."""

LONG_S: Final = 3600.0
"""Who was there for so long was judged by that: the next session is a job of its own, with its own time and hours."""

MOST_YOUNG: Final = 8
MOST_APART: Final = 64
YOUNG_S: Final = 20.0

_AWAY_S: Final = 10.0  # off all devices: it waits, or hides behind a process that sleeps


@final
class Sequences:
    """See the module. Not safe for several threads: the table holds its lock.

    Parameters
    ----------
    counts : Counter of str
        ``continued``: sessions that went on with the job of another; ``pooled``: those that were too many.
    continue_s : float
        See `CONTINUE_S`; 0 lets each session be a job, for comparison.
    """

    def __init__(self, counts: Counter[str], continue_s: float = CONTINUE_S) -> None:
        self._counts, self._continue_s = counts, continue_s
        self._by_key: dict[str, Sequence] = {}
        self._of_user: dict[int, dict[str, Sequence]] = {}
        self._bound: dict[str, Sequence] = {}
        self._told_s = float("-inf")

    def __len__(self) -> int:
        return len(self._by_key)

    def take(self, process: Process, job: Job, time_s: float, age_s: float) -> Job:
        """The job of a process that was found to be of `job`.

        Parameters
        ----------
        process : Process
            New, or one of which something new was found out.
        job : Job
            Its own session, or, if it is its parent's, what this gave for that one.
        time_s : float
            Monotonic clock.
        age_s : float
            Seconds since the process began.
        """
        self.leave(process)
        if self._continue_s <= 0 or job.uid < 0 or job.labels.get("anchor") != "session":
            return job
        known = self._by_key.get(job.key)
        if known is None or job is not known.job:  # else it was given by us: its parent's
            known = self._of_session(process, job, time_s, age_s)
        known.members[process.facts.key] = process
        known.gpus = frozenset(process.gpus) or known.gpus
        known.last_s = time_s
        return known.job

    def leave(self, process: Process) -> None:
        """A process has ended, or is another job's."""
        known = self._by_key.get(process.job.key) if process.job is not None else None
        if known is not None:
            known.members.pop(process.facts.key, None)

    def is_pooled(self, key: str) -> bool:
        """Whether this is the common job of a user's sessions that are too many."""
        known = self._by_key.get(key)
        return known is not None and known.pooled

    def pooled(self) -> Iterator[Process]:
        """The processes of all such jobs."""
        return (one for known in self._by_key.values() if known.pooled for one in known.members.values())

    def has_room(self, uid: int) -> bool:
        """Whether one more session of a user may be a job of its own."""
        return len(self._here(uid)) < MOST_APART

    def sever(self, key: str) -> None:
        """No other session goes on with this job: it is about to be ended, or a person has spoken about it."""
        known = self._by_key.get(key)
        if known is not None:
            known.severed = True

    def may_go_on(self, key: str) -> bool:
        """Whether another session may go on with a job that has ended."""
        known = self._by_key.get(key)
        return known is not None and not (known.pooled or known.severed) and known.last_s - known.began_s < LONG_S

    def saved(self) -> list[dict[str, Any]]:
        """All, as JSON, for a restart on the same boot."""
        return [known.record() for known in self._by_key.values()]

    def restore(self, saved: object, time_s: float) -> None:
        """Take up what was saved; what does not fit is left out."""
        for record in saved if isinstance(saved, list) else ():
            with suppress(TypeError, KeyError, ValueError, AttributeError):
                known = Sequence.read(record, time_s)
                if known.job.key not in self._by_key:
                    self._bind(known.session, self._keep(known))

    def labels(self) -> Iterator[tuple[str, dict[str, str]]]:
        """What jobs are labelled with, by key."""
        return ((key, known.labels) for key, known in self._by_key.items() if known.labels)

    def tidy(self, time_s: float, *, told: bool) -> None:
        """Once a second: note who is there, and forget what ended long ago.

        Parameters
        ----------
        time_s : float
        told : bool
            Whether a driver told its processes: silence makes nobody leave a device.
        """
        self._told_s = time_s if told else self._told_s
        for key, known in list(self._by_key.items()):
            if self._is_here(known):
                known.last_s = time_s
                known.gpus = frozenset[str]().union(*(one.gpus for one in known.members.values())) or known.gpus
            elif not known.members and (time_s - known.last_s > self._continue_s or len(self) > MOST_SESSIONS):
                self._drop(key, known)

    def _of_session(self, process: Process, job: Job, time_s: float, age_s: float) -> Sequence:
        mine = self._of_user.get(job.uid, {})
        known = next((one for one in mine.values() if one.session == job.key and not one.pooled), None)
        if known is not None:
            if known.severed and not known.members:
                known.turn = f"+{process.facts.key.pid}.{process.facts.key.started}"
            return known
        bound = known = self._bound.get(job.key)
        if known is not None and (known.gone or known.severed or (not known.pooled and self._is_here(known))):
            known = None
        if known is None or (known.pooled and age_s >= YOUNG_S):
            known = self._new(process, job, time_s, age_s)
        if known is not bound or not known.pooled:
            known.join(job.key, time_s)
            self._counts["pooled" if known.pooled else "continued"] += known.pooled or known.count > 1
        self._bind(job.key, known)
        return known

    def _new(self, process: Process, job: Job, time_s: float, age_s: float) -> Sequence:
        """What a session that is seen for the first time goes on with, or begins."""
        here = self._here(job.uid)
        young = sum(time_s - one.began_s < YOUNG_S for one in here)
        if len(here) >= MOST_APART or (age_s < YOUNG_S and young >= MOST_YOUNG):
            return self._pool(process, job, time_s)
        return self._ended(process, job, time_s) or self._begin(process, job, time_s)

    def _ended(self, process: Process, job: Job, time_s: float) -> Sequence | None:
        """The one that ended last, where this one is; anywhere, if it is not known yet where it is."""
        ended = [
            one for one in self._of_user.get(job.uid, {}).values()
            if not (one.pooled or one.severed or self._is_here(one))
            and time_s - one.last_s <= self._continue_s and one.last_s - one.began_s < LONG_S
            and (not process.gpus or not one.gpus or process.gpus & one.gpus)
        ]  # fmt: skip
        return max(ended, key=lambda one: one.last_s, default=None)

    def _begin(self, process: Process, job: Job, time_s: float) -> Sequence:
        key = job.key
        if key in self._by_key:  # another session goes on under its name
            key += f"-{process.facts.key.pid}.{process.facts.key.started}"
        return self._keep(Sequence(replace(job, key=key), "", time_s, time_s))

    def _pool(self, process: Process, job: Job, time_s: float) -> Sequence:
        pools = (one for one in self._of_user.get(job.uid, {}).values() if one.pooled and not one.severed)
        found = next(pools, None)
        if found is not None:
            return found
        boot = job.key.split(":")[1]
        key = f"user:{boot}:{job.uid}:{process.facts.key.started}"
        while key in self._by_key:
            key += "+"
        name = f"sessions of {job.user}"
        return self._keep(Sequence(replace(job, key=key, id=name), "", time_s, time_s, pooled=True))

    def _keep(self, one: Sequence) -> Sequence:
        self._by_key[one.job.key] = one
        self._of_user.setdefault(one.job.uid, {})[one.job.key] = one
        return one

    def _drop(self, key: str, known: Sequence) -> None:
        known.gone = True
        del self._by_key[key]
        mine = self._of_user[known.job.uid]
        del mine[key]
        if not mine:
            del self._of_user[known.job.uid]

    def _bind(self, session: str, known: Sequence) -> None:
        self._bound.pop(session, None)
        self._bound[session] = known
        while len(self._bound) > MOST_SESSIONS:
            del self._bound[next(iter(self._bound))]

    def _here(self, uid: int) -> list[Sequence]:
        """Those of a user that stand for themselves and have a process there."""
        return [one for one in self._of_user.get(uid, {}).values() if not one.pooled and self._is_here(one)]

    def _is_here(self, known: Sequence) -> bool:
        """Whether it has a process that is on a device, was a moment ago, or was taken up a moment ago.

        Where no driver tells who is on a device, all that live are there.
        """
        return any(self._told_s - process.seen_s <= _AWAY_S for process in known.members.values())
