"""All jobs of this node: which processes and GPUs are whose, kept up to date once a second for little.

What is read of a process is kept for as long as that process lives, which a descriptor tells; its cgroups are read
again every half minute. So a second with nothing new costs some dictionary look-ups. `refresh` belongs to one thread,
all else may be called from any.
"""

from __future__ import annotations

import os
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, final

from hashwarden.serve.jobs.budget import Budget
from hashwarden.serve.jobs.job import Job, Owner, ProcessKey
from hashwarden.serve.jobs.membership import Membership
from hashwarden.serve.jobs.placement import Changes, Placement, compare
from hashwarden.serve.jobs.proc import Proc
from hashwarden.serve.jobs.processes import Process, Processes
from hashwarden.serve.jobs.provider import Provider
from hashwarden.serve.jobs.refresher import ProviderHealth, Refresher
from hashwarden.serve.jobs.sequences import CONTINUE_S, Sequences
from hashwarden.serve.sources.source import Device

__all__ = ["Changes", "JobTable"]

_FIRST_WAITS: Final = 40.0


@final
class JobTable:
    """See the module.

    Parameters
    ----------
    providers : sequence of Provider
        The most trusted first; see `hashwarden.serve.jobs.registry.providers`.
    proc : Path
        Where the processes are.
    clock : callable
        Seconds of a monotonic clock.
    wait_s : float or None
        How long a refresh waits for providers that learn; the first one waits 40 times as long. None: until all have
        learnt, for tests.
    linger_s : float
        How long a job that no scheduler knows outlives its last process on a GPU: a new process is the same job.
    continue_s : float
        How long after the end of a session the next one of its user is the same job.
    own : frozenset of int
        Our own processes: what they do on a GPU is nobody's job.

    Attributes
    ----------
    counts : Counter of str
        Since the start: ``began``, ``ended``; ``gone`` and ``refused``: processes that `owner` was asked about after
        they had ended, or too many in one second; ``hidden``: processes that the driver sees and /proc does not;
        ``continued`` and ``pooled``: see `hashwarden.serve.jobs.sequences.Sequences`.
    """

    def __init__(  # noqa: PLR0913
        self, providers: Sequence[Provider], proc: Path = Path("/proc"), clock: Callable[[], float] = time.monotonic, *,
        wait_s: float | None = 0.05, linger_s: float = 60.0, continue_s: float = CONTINUE_S,
        own: frozenset[int] | None = None,
    ) -> None:  # fmt: skip
        self._clock, self._wait_s = clock, wait_s
        self._proc = Proc(proc)
        self._own = frozenset({os.getpid()}) if own is None else own
        self._refreshers = [Refresher(provider, clock) for provider in providers]
        self.counts: Counter[str] = Counter()
        members = Membership(self._proc, [one.job_of for one in self._refreshers], self._job_of_key)
        sequences = Sequences(self.counts, continue_s)
        self._processes = Processes(self._proc, members, self.counts, sequences)
        self._placement = Placement(linger_s, self.counts)
        self._budget = Budget(clock)
        self._lock = threading.RLock()
        self._jobs: Mapping[str, Job] = {}
        self._on: Mapping[str, tuple[Job, ...]] = {}
        self._members: Mapping[str, list[Process]] | None = None
        self._told: tuple[Mapping[str, frozenset[int] | None], Mapping[int, list[str]]] | None = None

    @property
    def jobs(self) -> Mapping[str, Job]:
        """All jobs, by key, as of the last refresh."""
        return self._jobs

    @property
    def health(self) -> Mapping[str, ProviderHealth]:
        """How the providers fare, by name."""
        return {one.provider.name: one.health for one in self._refreshers}

    def refresh(
        self, pids_on: Mapping[str, frozenset[int] | None], devices: Sequence[Device], time_s: float, unix_s: float
    ) -> Changes:
        """Bring everything up to date.

        Parameters
        ----------
        pids_on : mapping of str to frozenset of int, optional
            Processes that the driver sees on each device, by UUID; None where it does not tell, or tells PIDs of
            another namespace.
        devices : sequence of Device
        time_s : float
            Seconds of the monotonic clock.
        unix_s : float
            Seconds since 1970; only told, never reckoned with: it may jump.

        Returns
        -------
        Changes
        """
        self._let_learn(devices)
        allotted = self._allotted()
        stale = frozenset(one.provider.name for one in self._refreshers if one.stale)
        with self._lock:
            told = any(pids is not None for pids in pids_on.values())
            if self._told is None or self._told[0] != pids_on:
                self._told = dict(pids_on), _places(pids_on, self._own)
            self._processes.renew(self._told[1], time_s, allotted, told=told)
            found = self._placement.place(pids_on, devices, allotted, self._processes, self._own, time_s, unix_s)
            jobs = self._placement.jobs(found, _kinds_of(stale))
            changes = compare(self._jobs, jobs)
            self._jobs, self._on, self._members = jobs, found.on(jobs), None
        self.counts["began"] += len(changes.began)
        self.counts["ended"] += len(changes.ended)
        return changes

    def owner(self, pid: int) -> Owner | None:
        """Whose a process is, and on which devices its work runs; looked up if it was not known.

        None if it has ended, is our own or the machine's, or if no provider knows; also if this was asked of too many
        unknown processes within a second.
        """
        stat = self._proc.stat(pid) if pid > 0 and pid not in self._own else None
        if stat is None:
            self.counts["gone"] += pid not in self._own
            return None
        with self._lock:
            process = self._processes.get(stat.key) or self._look_up(stat.key)
            if process is None or process.job is None:
                return None
            self._processes.ask(process)
            return Owner(process.job.key, self._gpus_of(process, process.job))

    def owner_of(self, key: ProcessKey) -> Owner | None:
        """As `owner`, of a process that is watched already, without a look at /proc; None if it is not watched."""
        with self._lock:
            process = self._processes.get(key)
            if process is None or process.job is None:
                return None
            self._processes.ask(process)
            return Owner(process.job.key, self._gpus_of(process, process.job))

    def watches(self, pid: int) -> bool:
        """Whether a process is known as some job's by now. Nothing is looked up, and nothing kept.

        For whoever goes through all processes of the machine: `owner` would make jobs of its daemons, and of all that
        they started.
        """
        with self._lock:
            process = self._processes.pid(pid)
            return process is not None and process.job is not None

    def own_pids(self, gpu: str) -> frozenset[int]:
        """Processes of the one job on a device; empty if there are several, or none is known."""
        with self._lock:
            jobs = self._on.get(gpu, ())
            if len(jobs) != 1:
                return frozenset()
            if self._members is None:  # once a refresh, not once a device
                self._members = self._processes.by_job()
            mine = self._members.get(jobs[0].key, ())
            return frozenset([one.facts.key.pid for one in mine if gpu in one.gpus or not one.gpus])

    def jobs_on(self, gpu: str) -> tuple[Job, ...]:
        """The jobs that were given a device or have a process on it; several if it is shared."""
        return self._on.get(gpu, ())

    def processes(self, job: str) -> tuple[ProcessKey, ...]:
        """The processes of a job that were seen on a device or asked about, and live."""
        with self._lock:
            return tuple(sorted(process.facts.key for process in self._processes.of(job)))

    def sever(self, job: str) -> None:
        """Let no further session go on with a job; those that it has stay.

        For a job that is to be ended, or that a person has spoken about: what was found out about it was not found out
        about whoever comes next.
        """
        with self._lock:
            self._processes.sequences.sever(job)

    def may_go_on(self, job: str) -> bool:
        """Whether another session may yet go on with a job that has ended."""
        with self._lock:
            return self._processes.sequences.may_go_on(job)

    def sessions(self) -> dict[str, Any]:
        """Which sessions are one job, as JSON, for a restart."""
        with self._lock:
            return {"boot": self._proc.boot_id(), "jobs": self._processes.sequences.saved()}

    def take_up(self, sessions: Mapping[str, Any]) -> None:
        """Keys of jobs are what they were before a restart, on the same boot; call it before the first refresh."""
        if sessions.get("boot") == self._proc.boot_id():
            with self._lock:
                self._processes.sequences.restore(sessions.get("jobs"), self._clock())

    def close(self) -> None:
        """Give back all threads and descriptors."""
        for one in self._refreshers:
            one.close()
        with self._lock:
            self._processes.close()

    def _let_learn(self, devices: Sequence[Device]) -> None:
        for one in self._refreshers:
            one.ask(devices)
        first = not any(one.health.refreshes or one.health.failures for one in self._refreshers)
        end = None if self._wait_s is None else self._wait_s * (_FIRST_WAITS if first else 1.0)
        start = time.monotonic()
        for one in self._refreshers:
            one.wait(None if end is None else max(0.0, start + end - time.monotonic()))

    def _allotted(self) -> dict[str, tuple[Job, ...]]:
        """Of all providers, each job once a device."""
        found: dict[str, tuple[Job, ...]] = {}
        for one in self._refreshers:
            for gpu, jobs in one.allotted().items():
                before = found.get(gpu, ())
                found[gpu] = (*before, *(job for job in jobs if job.key not in {b.key for b in before}))
        return found

    def _look_up(self, key: ProcessKey) -> Process | None:
        if self._processes.unknown(key, self._clock()):
            return None
        if not self._budget.take():
            self.counts["refused"] += 1
            return None
        self._members = None
        return self._processes.add(key.pid, self._clock())

    def _job_of_key(self, key: ProcessKey) -> Job | None:
        process = self._processes.get(key)
        return process.job if process is not None else None

    def _gpus_of(self, process: Process, job: Job) -> tuple[str, ...]:
        if process.gpus:
            return tuple(sorted(process.gpus))
        known = self._jobs.get(job.key)
        return known.gpus if known is not None else job.gpus


def _places(pids_on: Mapping[str, frozenset[int] | None], own: frozenset[int]) -> dict[int, list[str]]:
    """Where the driver sees each process."""
    found: dict[int, list[str]] = {}
    for gpu, pids in pids_on.items():
        for pid in pids or ():
            if pid not in own:
                found.setdefault(pid, []).append(gpu)
    return found


def _kinds_of(names: frozenset[str]) -> frozenset[str]:
    """Kinds of jobs whose provider is away: a scheduler's provider is called as its kind is."""
    return names & {"slurm", "kubernetes"}
