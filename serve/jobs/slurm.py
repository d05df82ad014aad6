"""Jobs of Slurm: by cgroup, by the step daemons, last by environment; names and GPUs by the controller and the prolog.

What a process says of itself (its environment) is believed only where nobody better speaks, and only if the job that
it names runs here, or ran here, and belongs to the same user: a forged number of another's job never counts. The
controller is asked seldom: when something is new here, or lives though its job is over, and once a minute.
"""

from __future__ import annotations

import math
import socket
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Final, TypeVar, final

from hashwarden.serve.jobs.device_names import DeviceNames, read_minors
from hashwarden.serve.jobs.gpustat import GpuStat, read_gpustat
from hashwarden.serve.jobs.job import Job, ProcessKey
from hashwarden.serve.jobs.options import JobOptions
from hashwarden.serve.jobs.proc import Proc
from hashwarden.serve.jobs.provider import ProcessFacts, ProviderAway
from hashwarden.serve.jobs.slurm_book import NO_DETAIL, RUNNING, UNDESCRIBED, Book, Run, describe
from hashwarden.serve.jobs.slurm_cgroups import MIXED, job_of_cgroups, local_jobs
from hashwarden.serve.jobs.slurm_claims import claimed_gpus, claimed_job, claimed_restarts
from hashwarden.serve.jobs.slurm_commands import SlurmCommands
from hashwarden.serve.jobs.slurm_text import Row
from hashwarden.serve.jobs.slurm_wanted import Voice, Wanted
from hashwarden.serve.sources.health import Backoff
from hashwarden.serve.sources.source import Device

__all__ = ["Slurm", "make"]

_Key = TypeVar("_Key")

_MOST_DETAILS: Final = 16  # new jobs that are asked about at once
_MOST_ASKED: Final = 64  # jobs that are asked about one by one
_MOST_ENDED: Final = 512
_MOST_COMPARED: Final = 4096


@final
class Slurm:
    """Provider of Slurm's jobs. See the module.

    Parameters
    ----------
    options : JobOptions
    clock : callable
        Seconds of a monotonic clock.

    Attributes
    ----------
    counts : Counter of str
        ``questions`` to the controller, ``unseen_jobs`` that began and ended between two of them, and what did not
        agree: ``forged_environments``, ``mixed_cgroups``, ``hostile_names``, ``gpus_disagree``.
    """

    name = "slurm"

    def __init__(self, options: JobOptions, clock: Callable[[], float] = time.monotonic) -> None:
        self._options, self._clock = options, clock
        self._proc = Proc(options.proc)
        node = options.node or socket.gethostname().partition(".")[0]
        self._commands = SlurmCommands(node, options.timeout_s)
        self._backoff = Backoff(options.soonest_s, options.every_s)
        self._book = Book()
        self._asked_s = self._every_s = self._whole_s = self._asked_pids_s = self._named_s = -math.inf
        self._away = ""
        self._wants_pids = False
        self._wanted = Wanted(options.soonest_s, options.every_s)
        self._local: frozenset[int] | None = None
        self._seen: dict[tuple[int, int], None] = {}
        self._compared: dict[ProcessKey, None] = {}
        self.counts: Counter[str] = Counter()

    def refresh(self, devices: Sequence[Device]) -> None:
        """Look at this node, and ask the controller if it is time.

        Raises
        ------
        ProviderAway
            As long as the controller does not answer; what this node tells was learnt all the same.
        """
        now = self._clock()
        names = self._names(devices, now)
        stat = read_gpustat(self._options.gpustat, names, self._options.gpustat_uids)
        before, self._local = self._local, local_jobs(self._options.cgroups)
        here = (self._local or frozenset()) | {e.job for found in stat.entries.values() for e in found}
        here |= set(self._book.pids.values())
        for number in (here - self._book.runs.keys()) | ((before or frozenset()) - here):
            self._wanted.want(number, Voice.TOLD, now)
        if self._due(now) and self._backoff.ready(now):
            self._ask(now, told=self._local is not None or bool(stat.entries))
        if self._wants_pids and now - self._asked_pids_s >= self._options.soonest_s:
            self._ask_pids(now)
        self._write(names, stat, here)
        if self._away:
            raise ProviderAway(self._away)

    def job_of(self, process: ProcessFacts) -> Job | None:
        """See the module. A job that ended has the label ``escaped``, as one whose process left its cgroup has."""
        by_cgroup = job_of_cgroups(process)
        if by_cgroup is None:
            return self._by_pid(process) or self._by_environment(process)
        if by_cgroup == MIXED:
            self.counts["mixed_cgroups"] += 1
            return None
        self._compare(process, by_cgroup)
        return self._known(by_cgroup, process, "cgroup")

    def allotted(self) -> Mapping[str, tuple[Job, ...]]:
        """By UUID; several jobs where Slurm shares GPUs."""
        found: dict[str, tuple[Job, ...]] = {}
        for job in self._book.jobs.values():
            for gpu in job.gpus:
                found[gpu] = (*found.get(gpu, ()), job)
        return found

    def _names(self, devices: Sequence[Device], now: float) -> DeviceNames:
        """The driver is not asked for the minor numbers every second."""
        names = self._book.names
        if names.devices != tuple(devices) or now - self._named_s >= self._options.every_s:
            self._named_s = now
            return DeviceNames(devices, read_minors(self._options.driver))
        return names

    def _due(self, now: float) -> bool:
        wanted = now - self._asked_s >= self._options.soonest_s and self._wanted.due(now)
        return bool(self._away) or wanted or now - self._every_s >= self._options.every_s

    def _ask(self, now: float, told: bool) -> None:
        """About all jobs of the node, all that are known, or what is new; `told`: whether the node tells its jobs."""
        self._asked_s, wanted = now, self._wanted.take(now)
        self.counts["questions"] += 1
        again = bool(self._away) or now - self._every_s >= self._options.every_s
        known = sorted(self._book.runs.keys() - set(wanted))[len(wanted) - _MOST_ASKED :] if again else []
        numbers = {*wanted, *known}
        due = now - self._whole_s >= (self._options.whole_s if told else self._options.every_s)
        whole = (again and due) or (bool(self._away) and not numbers)  # one that was away is not back unless it answers
        try:
            rows = self._commands.rows() if whole else [row for n in sorted(numbers) for row in self._commands.row(n)]
        except ProviderAway as error:
            self._away = str(error)
            self._wanted.put_back(wanted)
            self._backoff.failed(self._clock())
            return
        self._away = ""
        self._backoff.succeeded()
        self._wanted.answered(wanted, {row.job for row in rows if row.state in RUNNING}, now)
        self._learn(rows, None if whole else numbers, now)
        self._every_s = now if again else self._every_s
        self._whole_s = now if whole else self._whole_s

    def _ask_pids(self, now: float) -> None:
        """The step daemons of this node answer without the controller."""
        self._asked_pids_s, self._wants_pids = now, False
        ticks = self._proc.ticks()
        try:
            self._book = replace(self._book, pids=self._commands.pids(), pids_ticks=ticks)
        except ProviderAway:
            self.counts["listpids_failures"] += 1

    def _learn(self, rows: list[Row], about: set[int] | None, now: float) -> None:
        """`about`: the jobs that were asked about; None for all."""
        known = self._book.runs
        runs = {} if about is None else {number: run for number, run in known.items() if number not in about}
        asked = 0
        for row in rows:
            if row.state not in RUNNING:
                self._count_unseen(row)
                continue
            run = known[row.job].succeeded_by(row) if row.job in known else self._new_run(row)
            if run.detail is NO_DETAIL:
                asked += 1
                run = self._with_detail(run) if asked <= _MOST_DETAILS else run
                if asked > _MOST_DETAILS:
                    self._wanted.want(row.job, Voice.TOLD, now)
            runs[row.job] = run
            self._see(row)
        self._book = replace(self._book, runs=runs)

    def _new_run(self, row: Row) -> Run:
        """A job that ended under this key and comes again with another start is another job."""
        run, before = Run(row), self._book.ended.get(row.job)
        same = before is not None and before.key.partition("-n")[0] == run.key
        if before is None or not same or not abs(before.started_unix_s - row.started_unix_s) > 1:
            return run
        return replace(run, again=int(before.key.partition("-n")[2] or 0) + 1)

    def _with_detail(self, run: Run) -> Run:
        try:
            detail = self._commands.detail(run.row.job, run.row.het)
        except ProviderAway:  # it ended meanwhile, or the next question will show that the controller is away
            self.counts["detail_failures"] += 1
            return run
        self.counts["hostile_names"] += detail.forged
        return replace(run, detail=detail)

    def _see(self, row: Row) -> None:
        _remember(self._seen, (row.job, row.restarts), _MOST_COMPARED)

    def _count_unseen(self, row: Row) -> None:
        """A job that is over and was never seen to run; not at the first question, which tells of the past."""
        if (row.job, row.restarts) not in self._seen and math.isfinite(row.started_unix_s):
            self.counts["unseen_jobs"] += self.counts["questions"] > 1
            self._see(row)

    def _write(self, names: DeviceNames, stat: GpuStat, here: frozenset[int]) -> None:
        """What the controller does not know is not running, whatever lies about here, unless it is away."""
        book = self._book
        numbers = book.runs.keys() | here if self._away else book.runs.keys()
        jobs = {n: describe(n, book.runs.get(n), stat.entries, names) for n in sorted(numbers)}
        over = {n: job for n, job in book.jobs.items() if n not in jobs or jobs[n].key != job.key}
        ended = dict(list({**book.ended, **over}.items())[-_MOST_ENDED:]) if over else book.ended
        self.counts["gpus_disagree"] = sum("gpus_disagree" in job.labels for job in jobs.values())
        uids = (
            frozenset(job.uid for job in (*jobs.values(), *ended.values())) if over or jobs != book.jobs else book.uids
        )
        self._book = replace(book, jobs=jobs, ended=ended, names=names, uids=uids)

    def _known(self, number: int, process: ProcessFacts, source: str, *, escaped: bool = False) -> Job:
        book = self._book
        job, running = book.job(number), number in book.jobs
        if not running:  # it may have been put back into the queue, and run again
            told = source != "environment"
            self._wanted.want(number, Voice.TOLD if told else Voice.ENDED, self._clock())
        if job is None:
            job = Job(f"slurm:{number}", "slurm", str(number), labels={UNDESCRIBED: "1"})
            running = True  # new here, as far as is known
        labels = {**job.labels, "source": source, **({"escaped": "1"} if escaped or not running else {})}
        if not running:
            return replace(job, gpus=(), allotted=False, labels=labels)
        return replace(job, gpus=job.gpus or self._said(process, number), labels=labels)

    def _said(self, process: ProcessFacts, number: int) -> tuple[str, ...]:
        """The GPUs that a process says its job has, less those of others: nobody shares by claiming."""
        others = {gpu for n, job in self._book.jobs.items() if n != number for gpu in job.gpus}
        return tuple(gpu for gpu in claimed_gpus(process.environment, self._book.names) if gpu not in others)

    def _by_pid(self, process: ProcessFacts) -> Job | None:
        """A process that began before the list was made is the one that the list means."""
        book = self._book
        listed = process.key.started < book.pids_ticks
        if listed and process.pid in book.pids:
            return self._known(book.pids[process.pid], process, "listpids")
        old = self._clock() - self._asked_pids_s >= self._options.every_s
        if self._local is None and (old or not listed):
            self._wants_pids |= process.uid in book.uids or (old and process.uid > 0)
        return None

    def _by_environment(self, process: ProcessFacts) -> Job | None:
        """Of the same user only. Where Slurm makes cgroups, such a process has left that of its job."""
        environment = process.environment
        claimed = claimed_job(environment)
        if claimed is None:
            return None
        number = self._book.part_here(claimed)
        job = self._book.job(number)
        if job is None:
            self._wanted.want(number, Voice.CLAIMED, self._clock())
            return None
        if job.uid != process.uid or job.uid < 0:
            self._count_forged(process, job.uid >= 0)
            return None
        run = self._book.runs.get(number)
        if run is not None and claimed_restarts(environment) > run.row.restarts:  # it is the next run already
            self._wanted.want(number, Voice.ENDED, self._clock())
        return self._known(number, process, "environment", escaped=self._local is not None)

    def _compare(self, process: ProcessFacts, number: int) -> None:
        """Its environment is read once."""
        if process.key not in self._compared:
            claimed = claimed_job(process.environment)
            self._count_forged(process, claimed is not None and self._book.part_here(claimed) != number)

    def _count_forged(self, process: ProcessFacts, forged: bool = True) -> None:
        """Once for each process."""
        self.counts["forged_environments"] += forged and process.key not in self._compared
        _remember(self._compared, process.key, _MOST_COMPARED)


def _remember(among: dict[_Key, None], one: _Key, most: int) -> None:
    """At the end, as the newest; the oldest go. Two threads may do this at once: then one of them leaves them."""
    among.pop(one, None)
    among[one] = None
    with suppress(RuntimeError, StopIteration):
        while len(among) > most:
            among.pop(next(iter(among)), None)


def make(options: JobOptions) -> Slurm:
    """For the registry."""
    return Slurm(options)
