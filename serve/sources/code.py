"""The source ``code``: what the machine code says of the kernels that the jobs launch.

The source ``launches`` leaves on the board what each process launched; here the code of those processes is read, in a
process of its own (`hashwarden.serve.sources.code_child`), and joined with the launches by the names of the kernels.
A reading of each job and GPU comes with every window of launches, and again when new code was read.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Final, final

from hashwarden.serve.launch_board import LaunchProfile
from hashwarden.serve.scan.cache import default_folder
from hashwarden.serve.scorer import shipped_model
from hashwarden.serve.sources.code_child import Child, Outcome
from hashwarden.serve.sources.code_join import Joined, Joiner, LaunchedKernel
from hashwarden.serve.sources.code_plan import CpuBudget, Plan, Watched
from hashwarden.serve.sources.code_store import CodeStore, model_hash
from hashwarden.serve.sources.code_wire import Question
from hashwarden.serve.sources.source import NO_INDEX, Device, NoData, Options, Reading

__all__ = ["CodeSource", "make"]

SAVED_S: Final = 120.0
"""Processor time that can be saved up: enough for a gigabyte of kernels."""
LEAST_S: Final = 3.0
"""Processor time below which no reading is begun: starting one takes most of it."""
_MOST_EVIDENCE: Final = 1024


def make(options: Options) -> CodeSource:
    """The source, not open yet."""
    return CodeSource(options, clock=options.clock, unix=options.unix)


@final
class CodeSource:
    """See the module.

    Parameters
    ----------
    options : Options
        Its board, and whose a process is.
    folder : Path, optional
        What was read is kept there; ``code`` in `default_folder` by default.
    child : Child, optional
        Sends out the process that reads.
    clock, unix : callable
        Seconds of the monotonic clock, and since 1970.

    Attributes
    ----------
    counts : Counter
        Since the source was opened, for metrics: ``launches_…`` joined, unnamed, unknown, dropped and graph;
        ``processes_read``, ``_later``, ``_gone``, ``_refused``; ``readings``, ``readings_failed``; and what the
        reading of code counted: files, kernels, problems, pages.
    cpu_seconds : float
        Processor time of all readings of code.
    """

    def __init__(
        self,
        options: Options,
        folder: Path | None = None,
        child: Child | None = None,
        clock: Callable[[], float] = time.monotonic,
        unix: Callable[[], float] = time.time,
    ) -> None:
        self._options, self._clock, self._unix = options, clock, unix
        self._folder = folder or default_folder() / "code"
        self._child = child or Child()
        self._plan, self._budget = Plan(), CpuBudget(options.code_cpu_ratio, SAVED_S)
        self._store: CodeStore | None = None
        self._joiner: Joiner | None = None
        self._evidence: dict[str, tuple[LaunchedKernel, ...]] = {}
        self.counts: Counter[str] = Counter()
        self.cpu_seconds = 0.0

    def open(self) -> Sequence[Device]:
        """Open the store; it speaks of the devices of other sources.

        Raises
        ------
        UsageError
            If the folder for what was read is not the agent's own.
        """
        self._folder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._store = CodeStore(self._folder, model_hash(shipped_model()))
        self._store.forget_processes()
        self._joiner = Joiner(self._store)
        return ()

    def read(self) -> Sequence[Reading]:
        """Readings of the jobs that have a new window of launches or newly read code; never waits."""
        if self._joiner is None or self._store is None:
            raise NoData
        now = self._clock()
        self._joiner.begin()
        jobs = self._take(self._options.board.fresh(), self._joiner, now)
        outcome = self._child.poll()
        jobs |= self._heard(outcome, self._joiner, now) if outcome is not None else set()
        for process in self._plan.forget(now):
            self._store.forget(process)
        self._ask(now)
        readings = [reading for job in sorted(jobs) for reading in self._readings(job, self._joiner, now)]
        if not readings:
            raise NoData
        return readings

    def close(self) -> None:
        """End the reading that is under way."""
        self._child.close()

    def evidence(self, job: str) -> tuple[LaunchedKernel, ...]:
        """The heaviest kernels of a job with the hashes of their code, from its newest reading."""
        return self._evidence.get(job, ())

    # What comes in

    def _take(self, profiles: Iterable[LaunchProfile], joiner: Joiner, now: float) -> set[str]:
        jobs = set()
        for profile in profiles:
            owner = self._options.owner(profile.process.pid)
            if owner is None:
                self.counts["processes_of_nobody"] += 1
                continue
            one = self._plan.saw(profile, owner.job, now)
            launches = joiner.count(profile, one.keys, self._architecture(owner.gpus))
            one.wanted |= launches["unknown"] > 0
            self.counts.update({f"launches_{kind}": count for kind, count in launches.items()})
            jobs.add(owner.job)
        return jobs

    def _heard(self, outcome: Outcome, joiner: Joiner, now: float) -> set[str]:
        """Take what a reading of code brought; says whose processes were read."""
        self.cpu_seconds += outcome.seconds
        self._budget.spend(outcome.seconds)
        if outcome.answer is None:
            self.counts["readings_failed"] += 1
            self._plan.failed(outcome.question.processes, now)
            return set()
        self.counts["readings"] += 1
        self.counts.update(outcome.answer.counts)
        joiner.forget()
        jobs = set()
        for told in outcome.answer.told:
            self.counts[f"processes_{told.state}"] += 1
            one = self._plan.took(told, now)
            if one is not None:
                jobs.add(one.job)
            elif self._store is not None:
                self._store.forget(told.process)
        return jobs

    def _ask(self, now: float) -> None:
        left = self._budget.left(now)
        if left < LEAST_S or not self._child.ready:
            return
        due = self._plan.due(now)
        if due:
            try:
                self._child.ask(Question(tuple(due), max(left / 2, LEAST_S), str(self._folder)))
            except OSError:
                self.counts["readings_failed"] += 1
                self._plan.failed(due, now)

    # What comes out

    def _readings(self, job: str, joiner: Joiner, now: float) -> list[Reading]:
        """One reading for each GPU on which processes of the job launched lately."""
        parts: dict[str, list[tuple[LaunchProfile, tuple[str, ...]]]] = {}
        for one in self._plan.of(job):
            if self._is_fresh(one, now):
                owner = self._options.owner(one.profile.process.pid)
                for gpu in owner.gpus if owner is not None and owner.job == job else ():
                    parts.setdefault(gpu, []).append((one.profile, one.keys))
        readings, whole = [], Joined()
        for gpu, processes in parts.items():
            joined = joiner.join(processes, self._architecture((gpu,)))
            if joined.values:
                readings.append(Reading(gpu, NO_INDEX, now, self._unix(), joined.values, job))
            if sum(joined.launches.values()) > sum(whole.launches.values()):
                whole = joined
        self._note(job, joiner.top(whole))
        return readings

    def _note(self, job: str, kernels: tuple[LaunchedKernel, ...]) -> None:
        """Keep the evidence of the GPU with most launches."""
        if kernels:
            self._evidence.pop(job, None)
            self._evidence[job] = kernels
            if len(self._evidence) > _MOST_EVIDENCE:
                del self._evidence[next(iter(self._evidence))]

    def _is_fresh(self, one: Watched, now: float) -> bool:
        return now - one.seen_s <= 1.5 * self._options.every_s

    def _architecture(self, gpus: Iterable[str]) -> int:
        return next((found for gpu in gpus if (found := self._options.architecture(gpu))), 0)
