"""A policy on recorded traces, by the agent's own path: what it would have done, when, to which run."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import count, islice
from typing import Any, Final, final

import numpy as np

from hashwarden.errors import UsageError
from hashwarden.model.channels import INDEX
from hashwarden.model.job.verdict import JobVerdict
from hashwarden.model.sequential_state import State
from hashwarden.model.trace import Run
from hashwarden.serve.agent.coverage import Coverage
from hashwarden.serve.agent.joining import JobSample
from hashwarden.serve.agent.judge import Judge
from hashwarden.serve.agent.window import RawWindow
from hashwarden.serve.audit.event import EventKind
from hashwarden.serve.calibrated import calibration_of, novelty_limit_of
from hashwarden.serve.job_scorer import JobScorer
from hashwarden.serve.jobs.job import Job
from hashwarden.serve.policy.alerts import Alert, AlertKind
from hashwarden.serve.policy.cases import CaseStore
from hashwarden.serve.policy.engine import Engine
from hashwarden.serve.policy.look import GAP_S
from hashwarden.serve.policy.observation import Observation
from hashwarden.serve.policy.outbox import Decision
from hashwarden.serve.policy.schema import Policy
from hashwarden.serve.schedulers.scheduler import ActionKind, Outcome, Result
from hashwarden.serve.watch import JobWatch

__all__ = ["ATTRIBUTES", "Rehearsal", "Rehearsed", "rehearse"]

ATTRIBUTES: Final = ("kind", "user", "account", "partition", "qos", "namespace")
"""What can be said of the jobs that traces are taken for."""

_TOGETHER: Final = 64
"""Runs that begin at the same time on one node."""

_LEAST_S: Final = 0.1
"""Seconds between two ticks at least."""

_ENDS: Final = {ActionKind.CANCEL, ActionKind.EVICT, ActionKind.TERMINATE, ActionKind.REQUEUE_HOLD}
_FOREIGN: Final = INDEX["foreign_process_count"]


@final
@dataclass(frozen=True, slots=True)
class Rehearsal:
    """How it is rehearsed.

    Attributes
    ----------
    policy : Policy
        Whatever its mode, it is rehearsed as if it were in force, with schedulers that do what they are asked for.
    alpha : float
        Share of honest jobs that may ever be confirmed.
    speed : float
        The policy's clock runs so many times as fast as the trace: a long ladder on a short trace.
    unix_s : float
        When the runs begin, for exemptions.
    approve : bool
        Whether a person approves at once whatever waits for it.
    attributes : mapping of str to str
        Of all jobs, see `ATTRIBUTES`; a run's own, ``parameters["job"]`` of its information, go before.
    """

    policy: Policy
    alpha: float = 1e-3
    speed: float = 1.0
    unix_s: float = 0.0
    approve: bool = False
    attributes: Mapping[str, str] = field(default_factory=dict)


@final
@dataclass(slots=True)
class Rehearsed:
    """What would have become of one run.

    Attributes
    ----------
    run : Run
        Without its values.
    job : Job
        What it was taken for.
    worst : State
    decisions : list of tuple
        Seconds of the run, and what was decided.
    alerts : list of tuple
        Seconds, and alerts about what could not be seen.
    ended_s : float or None
        When the job would have been ended.
    """

    run: Run
    job: Job
    worst: State = State.ABSTAIN
    decisions: list[tuple[float, Decision]] = field(default_factory=list)
    alerts: list[tuple[float, Alert]] = field(default_factory=list)
    ended_s: float | None = None

    @property
    def acts(self) -> list[tuple[float, Decision]]:
        """What would have been asked for, warnings left out."""
        return [(at, one) for at, one in self.decisions
                if one.action is not None and one.action.kind not in {ActionKind.WARN, ActionKind.RELEASE}]  # fmt: skip


class _NoAudit:
    """A rehearsal leaves no records."""

    def append(self, kind: EventKind, body: Mapping[str, Any], *, sync: bool = True) -> int:
        del kind, body, sync
        return 0


def rehearse(runs: Iterable[Run], scorer: JobScorer, how: Rehearsal) -> Iterator[Rehearsed]:
    """Rehearse runs in their order; all of a group begin at the same time on one node.

    Yields
    ------
    Rehearsed

    Raises
    ------
    UsageError
        If at this speed nobody would look for minutes between two samples.
    """
    calibration, source, numbers = calibration_of(scorer), iter(runs), count(1)
    while part := list(islice(source, _TOGETHER)):
        watch = JobWatch(scorer, calibration, how.alpha, novelty_limit_of(scorer), scorer.identity)
        jobs = [_job_of(run, next(numbers), how.attributes) for run in part]
        yield from _Stage(part, jobs, watch, how, scorer.identity["sha256"]).play()


def _job_of(run: Run, number: int, attributes: Mapping[str, str]) -> Job:
    own = run.info.parameters.get("job", {})
    own = {name: str(own[name]) for name in ATTRIBUTES if isinstance(own, dict) and name in own}
    chosen: dict[str, Any] = {"kind": "slurm", "user": f"rehearsal-{number}", **attributes, **own}
    key = f"{chosen['kind']}:rehearsal-{number}"
    return Job(key=key, id=f"rehearsal-{number}", gpus=(f"GPU-rehearsal-{number}",), name=run.name, **chosen)


class _Stage:
    """One group of runs."""

    def __init__(self, runs: list[Run], jobs: list[Job], watch: JobWatch, how: Rehearsal, model: str) -> None:
        self._how, self._runs = how, runs
        policy = how.policy.model_copy(update={"mode": "enforce", "approvers": ()})
        self._engine = Engine(policy, CaseStore(None), _NoAudit(), {"model": model})
        self._judge = Judge(watch, RawWindow(1.0, 1), Coverage(how.unix_s))
        self._left = dict(zip((job.key for job in jobs), zip(runs, jobs, strict=True), strict=True))
        self._done = {job.key: Rehearsed(_bare(run), job) for run, job in zip(runs, jobs, strict=True)}
        self._next = dict.fromkeys(self._left, 0)
        self._period = max(min((gap for gap in map(_spacing, runs) if gap > 0), default=1.0), _LEAST_S)

    def play(self) -> Iterator[Rehearsed]:
        self._check()
        first, last = min(self._ends(0)), max(self._ends(-1))
        for n in range(int((last - first) / self._period) + 2):
            self._tick(min(first + n * self._period, last))
        yield from self._done.values()

    def _ends(self, place: int) -> list[float]:
        return [float(run.times[place]) for run in self._runs if len(run)] or [0.0]

    def _check(self) -> None:
        for run in self._runs:
            gap = _spacing(run)
            if gap * self._how.speed > GAP_S:
                raise UsageError(
                    f"samples {gap:g} s apart at speed {self._how.speed:g}",
                    f"at most {GAP_S:g} s of the policy's time between two samples", "Choose a lower --speed.",
                    where=run.name,
                )  # fmt: skip

    def _tick(self, at: float) -> None:
        while samples := [sample for key in self._left if (sample := self._sample(key, at)) is not None]:
            self._judge.step(samples, at, self._places())
        self._judge.step([], at, self._places())
        jobs = [job for _, job in self._left.values()]
        time_s, unix_s = at * self._how.speed, self._how.unix_s + at * self._how.speed
        observed = self._judge.observe(jobs, (at, unix_s), self._places())
        seen = [self._in_time(one, at, time_s, unix_s) for one in observed]
        for one in seen:
            states = [State[verdict.state.upper()] for verdict in one.verdicts.values()]
            done = self._done[one.job.key]
            done.worst = max([done.worst, *states])
        self._let_out(seen, at, time_s, unix_s)
        for key in [key for key, (run, _) in self._left.items() if self._next[key] >= len(run)]:
            self._end(key, unix_s)

    def _places(self) -> dict[str, tuple[str, ...]]:
        return {key: job.gpus for key, (_, job) in self._left.items()}

    def _sample(self, key: str, at: float) -> JobSample | None:
        (run, job), place = self._left[key], self._next[key]
        if place >= len(run) or run.times[place] > at:
            return None
        self._next[key] = place + 1
        foreign, time_s = float(run.values[place, _FOREIGN]), float(run.times[place])
        return JobSample(job, job.gpus[0], time_s, self._how.unix_s + time_s, run.values[place], foreign > 0)

    def _in_time(self, one: Observation, at: float, time_s: float, unix_s: float) -> Observation:
        """The same on the policy's clock; a verdict stays as old as it is."""
        verdicts: dict[str, JobVerdict] = {
            gpu: verdict.model_copy(update={"time_s": time_s - (at - verdict.time_s)})
            for gpu, verdict in one.verdicts.items()
        }
        hours = {name: seconds * self._how.speed for name, seconds in one.gpu_seconds.items()}
        return replace(one, time_s=time_s, unix_s=unix_s, verdicts=verdicts, gpu_seconds=hours)

    def _let_out(self, seen: list[Observation], at: float, time_s: float, unix_s: float) -> None:
        found = self._engine.step(seen, time_s, unix_s)
        for decision in found.decisions:
            self._done[decision.job].decisions.append((at, decision))
            if self._how.approve and decision.change == "waiting" and decision.words.startswith("approval of"):
                self._engine.approve(decision.case, "rehearsal", "assumed for a rehearsal", unix_s)
        for alert in found.alerts:
            for key in alert.jobs if alert.kind is AlertKind.BLIND else ():
                self._done[key].alerts.append((at, alert))
        for action in found.actions:
            self._engine.report(Outcome(action.id, Result.DONE), unix_s)
            if action.kind in _ENDS:
                self._done[action.job.key].ended_s = at
                self._end(action.job.key, unix_s)

    def _end(self, key: str, unix_s: float) -> None:
        if self._left.pop(key, None) is not None:
            self._engine.ended(key, unix_s)
            self._judge.end(key)


def _spacing(run: Run) -> float:
    """Seconds between two samples, as a rule; 0 if there are no two."""
    return float(np.median(np.diff(run.times))) if len(run) > 1 else 0.0


def _bare(run: Run) -> Run:
    return Run(run.name, run.times, run.values[:0], run.label, run.family, run.strategy, run.info)
