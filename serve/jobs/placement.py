"""Which jobs are on which devices: what schedulers gave, and what the driver sees, put together."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, final

from hashwarden.serve.jobs.infrastructure import is_mps_server
from hashwarden.serve.jobs.job import Job
from hashwarden.serve.jobs.membership import ESCAPED, SCHEDULED
from hashwarden.serve.jobs.processes import Process, Processes
from hashwarden.serve.sources.source import Device

__all__ = ["BEYOND", "STALE", "Changes", "Placed", "Placement", "compare"]

STALE: Final = "stale"
"""Label of a job whose scheduler does not answer now."""

BEYOND: Final = "beyond_allotment"
"""Label of a job with processes on a device that its scheduler did not give it."""

_SILENCE_S: Final = 10.0
"""A driver that told which processes are on a device, and fails to, is taken to have meant the same for so long."""

_HIDDEN_S: Final = 3.0  # a process that has just ended is still in the driver's list


@final
@dataclass(frozen=True, slots=True)
class Changes:
    """What became of the jobs since the refresh before.

    Attributes
    ----------
    began, ended, changed : list of Job
        Those that changed in anything, labels included, as they are now; those that ended as they were.
    """

    began: list[Job]
    ended: list[Job]
    changed: list[Job]


def compare(before: Mapping[str, Job], now: Mapping[str, Job]) -> Changes:
    """What became of the jobs."""
    began = [job for key, job in now.items() if key not in before]
    ended = [job for key, job in before.items() if key not in now]
    both = ((before[key], job) for key, job in now.items() if key in before)
    changed = [job for old, job in both if job is not old and (job != old or job.labels != old.labels)]
    return Changes(began, ended, changed)


_Found = tuple[Job, tuple[str, ...], bool, dict[str, str]]
"""A job as its provider describes it, its devices, whether it has them for itself, and more labels."""


@final
@dataclass(slots=True)
class Placed:
    """Jobs as they are put together.

    Attributes
    ----------
    by_key : dict of str to Job
        As their provider describes them.
    keys : dict of str to dict
        Keys of the jobs on each device, in order.
    labels : dict of str to dict
        What was found out about jobs.
    given : set of tuple
        Devices and keys of jobs that a scheduler put together.
    """

    by_key: dict[str, Job] = field(default_factory=dict)
    keys: dict[str, dict[str, None]] = field(default_factory=dict)
    labels: dict[str, dict[str, str]] = field(default_factory=dict)
    given: set[tuple[str, str]] = field(default_factory=set)

    def put(self, gpu: str, job: Job) -> None:
        """There is a job on a device."""
        self.by_key.setdefault(job.key, job)
        self.keys.setdefault(gpu, {})[job.key] = None

    def found(self, stale: frozenset[str]) -> dict[str, _Found]:
        """What was found out about each job; `stale` are kinds of jobs."""
        gpus: dict[str, list[str]] = {key: [] for key in self.by_key}
        shared: set[str] = set()
        for gpu, keys in self.keys.items():
            for key in keys:
                gpus[key].append(gpu)
            shared |= keys.keys() if len(keys) > 1 else set()
        return {key: self._found(job, tuple(gpus[key]), key in shared, stale) for key, job in self.by_key.items()}

    def on(self, jobs: Mapping[str, Job]) -> dict[str, tuple[Job, ...]]:
        """The jobs on each device."""
        return {gpu: tuple(jobs[key] for key in keys) for gpu, keys in self.keys.items()}

    def _found(self, job: Job, gpus: tuple[str, ...], shared: bool, stale: frozenset[str]) -> _Found:
        labels = dict(self.labels.get(job.key, ()))
        if job.kind in stale:
            labels[STALE] = "1"
        given = sum((gpu, job.key) in self.given for gpu in gpus) if self.given else 0
        if 0 < given < len(gpus):
            labels[BEYOND] = "1"
        return job, gpus, job.allotted and not shared and BEYOND not in labels, labels


@final
class Placement:
    """See the module.

    Parameters
    ----------
    linger_s : float
        See `hashwarden.serve.jobs.table.JobTable`.
    counts : Counter of str
    """

    def __init__(self, linger_s: float, counts: Counter[str]) -> None:
        self._linger_s, self._counts = linger_s, counts
        self._last: dict[str, _Lingering] = {}
        self._made: dict[str, tuple[_Found, Job]] = {}
        self._hidden: dict[int, float] = {}
        self._told: dict[str, tuple[frozenset[int], float]] = {}
        self._before: tuple[tuple[object, ...], object, Placed] | None = None

    def place(  # noqa: PLR0913, PLR0917
        self, pids_on: Mapping[str, frozenset[int] | None], devices: Sequence[Device],
        allotted: Mapping[str, tuple[Job, ...]], processes: Processes, own: frozenset[int], time_s: float,
        unix_s: float,
    ) -> Placed:  # fmt: skip
        """Put together what is known now; where nothing is new, that is what was put together before."""
        labels = list(processes.sequences.labels())
        given = [(gpu, *map(id, jobs)) for gpu, jobs in allotted.items()]  # labels do not count when jobs are compared
        asked = (dict(pids_on), [device.gpu for device in devices], given, own, processes.version, labels)
        if self._before is not None and self._before[0] == asked and not processes.moved:
            for gpu, pids in pids_on.items():
                self._told[gpu] = (pids or frozenset(), time_s)
            for last in self._last.values():
                last.seen_s = time_s
            return self._before[2]
        placed = self._place(pids_on, devices, allotted, processes, own, time_s)
        for key, found in labels:
            placed.labels.setdefault(key, {}).update(found)
        self._linger(placed, time_s, unix_s)
        told = all(pids_on.get(device.gpu) is not None for device in devices) and None not in pids_on.values()
        calm = told and not self._hidden and all(last.seen_s == time_s for last in self._last.values())
        self._before = (asked, allotted, placed) if calm else None  # the jobs are kept: their ids are theirs alone
        return placed

    def _place(  # noqa: PLR0913, PLR0917
        self, pids_on: Mapping[str, frozenset[int] | None], devices: Sequence[Device],
        allotted: Mapping[str, tuple[Job, ...]], processes: Processes, own: frozenset[int], time_s: float,
    ) -> Placed:  # fmt: skip
        placed = Placed()
        for process in processes:
            process.gpus.clear()
        unseen: set[int] = set()
        for gpu in dict.fromkeys([*(device.gpu for device in devices), *pids_on]):
            pids = self._pids(gpu, pids_on.get(gpu), processes, time_s)
            for job in allotted.get(gpu, ()):
                placed.put(gpu, job)
                placed.given.add((gpu, job.key))
            there = None if pids is None else pids - own
            unseen |= self._place_seen(placed, gpu, there or frozenset(), processes)
            if there is None:
                _place_claimed(placed, gpu, processes)
            since = self._hidden.keys() & (there or ())
            hidden = any(time_s - self._hidden[pid] >= _HIDDEN_S for pid in since)
            if hidden or (gpu not in placed.keys and (pids is None or there)):
                placed.put(gpu, Job(f"gpu:{gpu}", "gpu", gpu, (gpu,)))
                placed.labels[f"gpu:{gpu}"] = {"hidden": "1"} if hidden else {}
        self._count_hidden(unseen, time_s)
        _place_asked(placed, processes)
        for key in processes.moved - placed.by_key.keys():
            self._last.pop(key, None)  # it was never a job of its own
        processes.moved.clear()
        return placed

    def _pids(
        self, gpu: str, pids: frozenset[int] | None, processes: Processes, time_s: float
    ) -> frozenset[int] | None:
        if pids is not None:
            self._told[gpu] = (pids, time_s)
            return pids
        before, told_s = self._told.get(gpu, (frozenset[int](), float("-inf")))
        if time_s - told_s > _SILENCE_S:
            self._told.pop(gpu, None)
            return None
        return frozenset(pid for pid in before if processes.pid(pid) is not None)

    @staticmethod
    def _place_seen(placed: Placed, gpu: str, pids: frozenset[int], processes: Processes) -> set[int]:
        """Returns the processes that the driver sees and /proc does not."""
        servers, unseen = [], set()
        for pid in sorted(pids):
            process = processes.pid(pid)
            if process is None:
                unseen.add(pid)
                continue
            job = process.job
            if job is None:
                continue
            process.gpus.add(gpu)
            if job.kind not in SCHEDULED and is_mps_server(process.facts):
                servers.append(process)
            elif ESCAPED in job.labels or job.key not in placed.keys.get(gpu, ()):  # one of many that change nothing
                _put(placed, gpu, process, job)
        for server in servers:
            _place_server(placed, gpu, server)
        return unseen

    def _count_hidden(self, unseen: set[int], time_s: float) -> None:
        self._hidden = {pid: self._hidden.get(pid, time_s) for pid in unseen}
        self._counts["hidden"] = sum(time_s - since >= _HIDDEN_S for since in self._hidden.values())

    def jobs(self, placed: Placed, stale: frozenset[str]) -> dict[str, Job]:
        """All jobs; one of which nothing new was found is the same object as before."""
        made: dict[str, tuple[_Found, Job]] = {}
        for key, found in placed.found(stale).items():
            before = self._made.get(key)
            same = before is not None and before[0][0] is found[0] and before[0][1:] == found[1:]
            made[key] = before if before is not None and same else (found, _make(*found))
        self._made = made
        return {key: job for key, (_, job) in made.items()}

    def _linger(self, placed: Placed, time_s: float, unix_s: float) -> None:
        """Jobs of no scheduler outlive their last process for a while, and keep the time of their start."""
        for key, job in placed.by_key.items():
            if job.kind in SCHEDULED or job.kind == "pushed":
                continue
            last = self._last.get(key)
            if last is None:
                last = self._last[key] = _Lingering(replace(job, started_unix_s=unix_s, gpus=()), time_s)
            placed.by_key[key] = last.job  # no new key: the dictionary may be walked through meanwhile
            last.seen_s = time_s
        for key, last in list(self._last.items()):
            if time_s - last.seen_s > self._linger_s:
                del self._last[key]
            elif last.job.kind == "process":
                placed.by_key.setdefault(key, last.job)


@final
@dataclass(slots=True)
class _Lingering:
    """A job of no scheduler, and when it was seen last."""

    job: Job
    seen_s: float


def _make(job: Job, gpus: tuple[str, ...], alone: bool, labels: dict[str, str]) -> Job:
    return replace(job, gpus=gpus or job.gpus, allotted=alone, labels={**job.labels, **labels})


def _put(placed: Placed, gpu: str, process: Process, job: Job) -> None:
    placed.put(gpu, job)
    if ESCAPED in job.labels:
        placed.labels.setdefault(job.key, {})[ESCAPED] = "1"
        process.asked = True  # it stays of interest when it leaves the device


def _place_server(placed: Placed, gpu: str, server: Process) -> None:
    """An MPS server is a part of the one job of its user on the device; else it is a tenant like any other."""
    jobs = [placed.by_key[key] for key in placed.keys.get(gpu, {})]
    mine = [job for job in jobs if job.uid == server.facts.uid and job.kind in SCHEDULED]
    if len(mine) != 1 and server.job is not None:
        placed.put(gpu, server.job)


def _place_claimed(placed: Placed, gpu: str, processes: Processes) -> None:
    """Where the driver tells no processes and no scheduler speaks: jobs that say they have the device."""
    if gpu in placed.keys:
        return
    for process in processes:
        job = process.job
        if job is not None and job.kind in SCHEDULED and gpu in job.gpus and ESCAPED not in job.labels:
            placed.put(gpu, job)


def _place_asked(placed: Placed, processes: Processes) -> None:
    """Jobs of processes that somebody asked about are jobs, though no device shows them."""
    for process in processes:
        job = process.job
        if not process.asked or job is None:
            continue
        if job.key not in placed.by_key:  # one copy a job, not one a process: that was half of what a tick cost
            placed.by_key[job.key] = replace(job, gpus=())
        if ESCAPED in job.labels:
            placed.labels.setdefault(job.key, {})[ESCAPED] = "1"
