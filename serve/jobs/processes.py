"""The processes that are watched: those that the driver sees on a GPU, and those that somebody asked about."""

from __future__ import annotations

import math
import os
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final, final

from hashwarden.serve.jobs.infrastructure import is_infrastructure
from hashwarden.serve.jobs.job import Job, ProcessKey
from hashwarden.serve.jobs.lives import Lives
from hashwarden.serve.jobs.membership import SCHEDULED, Membership
from hashwarden.serve.jobs.proc import Proc
from hashwarden.serve.jobs.provider import ProcessFacts
from hashwarden.serve.jobs.sequences import YOUNG_S, Sequences

__all__ = ["MOST_PROCESSES", "RECHECK_S", "Process", "Processes"]

MOST_PROCESSES: Final = 4096
"""That are kept; the oldest that nobody sees go first."""

RECHECK_S: Final = 30.0
"""After so long, the cgroups of a process are read again, and it is asked anew whose it is."""

_YOUNG_S: Final = 2.0
_YOUNG: Final = 5  # times that a new process is asked about soon: its scheduler may not know it yet
_UNKNOWN_S: Final = 2.0
_AT_ONCE: Final = 32


@final
@dataclass(slots=True)
class Process:
    """One process.

    Attributes
    ----------
    facts : ProcessFacts
    job : Job, optional
        None if it is nobody's, see `machine`.
    machine : bool
        Whether it serves the machine.
    gpus : set of str
        Where the driver saw it last.
    seen_s : float
        When that was, or when it was taken up.
    asked : bool
        Whether somebody asked about it.
    next_s : float
        When it is checked again.
    checks : int
    """

    facts: ProcessFacts
    job: Job | None
    machine: bool
    next_s: float
    gpus: set[str] = field(default_factory=set)
    seen_s: float = -math.inf
    asked: bool = False
    checks: int = 0


@final
class Processes:
    """See the module. Not safe for several threads: the table holds its lock.

    Attributes
    ----------
    sequences : Sequences
        Which sessions are one job.
    version : int
        Grows whenever a process comes, goes, is asked about for the first time, or turns out to be something else.
    moved : set of str
        Keys of jobs that processes left, because a scheduler turned out to know them; whoever reads it empties it.
    """

    def __init__(self, proc: Proc, members: Membership, counts: Counter[str], sequences: Sequences) -> None:
        self._proc, self._members, self._counts, self.sequences = proc, members, counts, sequences
        self._hertz = os.sysconf("SC_CLK_TCK")
        self._lives = Lives(proc)
        self.moved: set[str] = set()
        self._by_pid: dict[int, Process] = {}
        self._unknown: dict[ProcessKey, float] = {}
        self.version = 0
        self._allotted: Mapping[str, tuple[Job, ...]] = {}

    def __len__(self) -> int:
        return len(self._by_pid)

    def __iter__(self) -> Iterator[Process]:
        return iter(self._by_pid.values())

    def pid(self, pid: int) -> Process | None:
        """The process that had this number when `renew` was called."""
        return self._by_pid.get(pid)

    def get(self, key: ProcessKey) -> Process | None:
        """A process that is watched."""
        process = self._by_pid.get(key.pid)
        return process if process is not None and process.facts.key == key else None

    def ask(self, process: Process) -> None:
        """Somebody asked about a process."""
        self.version += not process.asked
        process.asked = True

    def of(self, job: str, gpu: str = "") -> list[Process]:
        """Those of a job; with a device, those that the driver saw there, or saw nowhere."""
        return [
            process for process in self._by_pid.values()
            if process.job is not None and process.job.key == job
            and (not gpu or gpu in process.gpus or not process.gpus)
        ]  # fmt: skip

    def by_job(self) -> dict[str, list[Process]]:
        """Those that are some job's, by its key."""
        found: dict[str, list[Process]] = {}
        for process in self._by_pid.values():
            if process.job is not None:
                found.setdefault(process.job.key, []).append(process)
        return found

    def renew(
        self, on: Mapping[int, Collection[str]], time_s: float, allotted: Mapping[str, tuple[Job, ...]], *, told: bool
    ) -> None:
        """Drop what ended, take up what is new on a device, and check again what is due.

        Parameters
        ----------
        on : mapping of int to collection of str
            Processes that the driver sees, and the devices of each.
        time_s : float
        allotted : mapping of str to tuple of Job
        told : bool
            Whether the driver told of any device which processes are on it.
        """
        self.sequences.tidy(time_s, told=told)
        self._drop(self._lives.ended())
        for pid, gpus in on.items():
            process = self._by_pid.get(pid) or self.add(pid, time_s, gpus)
            if process is not None:
                process.seen_s = time_s
        news = allotted != self._allotted
        self._allotted = dict(allotted)
        for process in list(self._by_pid.values()):
            if time_s >= process.next_s:
                self._check(process, time_s)
            elif news and process.job is not None:
                self._decide(process, time_s)
        self._graduate(time_s)
        self._trim(on)

    def add(self, pid: int, time_s: float, gpus: Collection[str] = ()) -> Process | None:
        """Take up a process; None if it is gone, or nobody's for certain."""
        facts = self._proc.facts(pid)
        if facts is None or not self._lives.watch(facts.key):
            return None
        self._drop(self._lives.ended(held=True))  # who begins when another has just ended goes on with its job
        old = self._by_pid.pop(pid, None)
        if old is not None:
            self._lives.forget(old.facts.key)
            self.sequences.leave(old)
        process = Process(facts, None, machine=False, next_s=time_s + _YOUNG_S, gpus=set(gpus), seen_s=time_s)
        self._by_pid[pid] = process  # kept, whose ever it is: it is on a device
        self.version += 1
        self._decide(process, time_s)
        if process.job is None:
            self._remember_unknown(facts.key, time_s)
        return process

    def unknown(self, key: ProcessKey, time_s: float) -> bool:
        """Whether it was looked up a moment ago and is nobody's."""
        return time_s - self._unknown.get(key, float("-inf")) < _UNKNOWN_S

    def close(self) -> None:
        """Give back what is held."""
        self._lives.close()

    def _drop(self, keys: Iterable[ProcessKey]) -> None:
        for key in keys:
            if self.get(key) is not None:
                self.sequences.leave(self._by_pid.pop(key.pid))
                self.version += 1

    def _check(self, process: Process, time_s: float) -> None:
        facts = self._proc.facts(process.facts.pid, process.facts.key)
        if facts is None:
            return  # it has just ended, which the next refresh will hear of
        self.version += (facts.comm, facts.uid) != (process.facts.comm, process.facts.uid)
        process.facts = facts
        process.checks += 1
        spread = RECHECK_S * (0.75 + (facts.pid % 64) / 128)  # not all in the same second
        process.next_s = time_s + (_YOUNG_S if process.checks < _YOUNG else spread)
        self._decide(process, time_s)

    def _decide(self, process: Process, time_s: float) -> None:
        self._settle(process, self._members.job_of(process.facts, process.job), time_s)

    def _settle(self, process: Process, job: Job | None, time_s: float) -> None:
        """A process was found to be of a job."""
        process.machine = (job is None or job.kind not in SCHEDULED) and is_infrastructure(process.facts)
        job, before = None if process.machine else job, process.job
        if job is None:
            self.sequences.leave(process)
        elif before is None or job.key != before.key:
            job = self.sequences.take(process, job, time_s, self._age_s(process))
        if before is not None and (job is None or job.key != before.key):
            self.moved.add(before.key)
        self.version += not _alike(job, before)
        process.job = job

    def _age_s(self, process: Process) -> float:
        return (self._proc.ticks() - process.facts.key.started) / self._hertz

    def _graduate(self, time_s: float) -> None:
        """Sessions that were too many, and lasted, become jobs of their own, as far as there is room."""
        for process in [one for one in self.sequences.pooled() if self._age_s(one) >= YOUNG_S][:_AT_ONCE]:
            if self.sequences.has_room(process.facts.uid):
                self._settle(process, self._members.job_of(process.facts), time_s)

    def _remember_unknown(self, key: ProcessKey, time_s: float) -> None:
        self._unknown.pop(key, None)
        self._unknown[key] = time_s
        while len(self._unknown) > MOST_PROCESSES:
            del self._unknown[next(iter(self._unknown))]

    def _trim(self, pids: Collection[int]) -> None:
        """A storm of short processes that somebody asked about fills no memory."""
        surplus = len(self._by_pid) - MOST_PROCESSES
        if surplus > 0:
            for pid in [pid for pid in self._by_pid if pid not in pids][:surplus]:
                self.sequences.leave(process := self._by_pid.pop(pid))
                self.version += 1
                self._lives.forget(process.facts.key)
                self._counts["forgotten"] += 1


def _alike(one: Job | None, other: Job | None) -> bool:
    """Whether two jobs are the same in everything, labels too, which do not count when jobs are compared."""
    if one is None or other is None:
        return one is other
    return one is other or (one == other and one.labels == other.labels)
