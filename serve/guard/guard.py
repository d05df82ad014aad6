"""Watches one command from its start, and ends it when the evidence says so.

The command begins only when the model passed its self-test and the sources are open. What cannot be seen is told, never
taken for innocence; whether it ends the command is the caller's choice.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from threading import Event
from typing import Final, final

from hashwarden.errors import HashwardenError
from hashwarden.model.job.verdict import JobVerdict
from hashwarden.model.sequential_state import State
from hashwarden.serve.agent.clocks import Clocks
from hashwarden.serve.agent.coverage import Coverage
from hashwarden.serve.agent.joining import joined
from hashwarden.serve.agent.judge import Judge
from hashwarden.serve.agent.window import RawWindow
from hashwarden.serve.calibrated import calibration_of, novelty_limit_of
from hashwarden.serve.guard.child import Child
from hashwarden.serve.guard.order import BLIND, ENDED, Order, Why
from hashwarden.serve.guard.report import Report
from hashwarden.serve.job_scorer import JobScorer
from hashwarden.serve.jobs.job import Job, Owner
from hashwarden.serve.launch_board import LaunchBoard
from hashwarden.serve.model_store import ModelStore, default_store
from hashwarden.serve.policy.guards import job_objections, verdict_objections
from hashwarden.serve.policy.observation import Observation
from hashwarden.serve.sources.registry import makers
from hashwarden.serve.sources.runner import Runner
from hashwarden.serve.sources.source import Options, Reading
from hashwarden.serve.ticker import Ticker
from hashwarden.serve.watch import JobWatch

__all__ = ["Guard"]

_WINDOW_S: Final = 600.0
_WINDOW_BYTES: Final = 16 << 20
_OPEN_S: Final = 30.0
_STALE_S: Final = 60.0
_ABSENT_S: Final = 1.5
"""A look that comes later by more than this was not only late."""

_LAST_S: Final = 1.0
"""For the supervisor to tell how the command ended."""


@final
class Guard:
    """Guards one command.

    Parameters
    ----------
    order : Order
    child : Child
        Not begun yet.
    told : callable
        Is told, in words, what people should know at once.

    Raises
    ------
    ModelError, CheckError
        If the model cannot be trusted; the command is not begun then.
    """

    def __init__(self, order: Order, child: Child, told: Callable[[str], None] = lambda _: None) -> None:
        self._order, self._child, self._told = order, child, told
        self._clocks = Clocks(order.speed)
        self._scorer = JobScorer(order.model or ModelStore(default_store()).current())
        self._scorer.self_test()
        watch = JobWatch(
            self._scorer, calibration_of(self._scorer), order.alpha, novelty_limit_of(self._scorer),
            self._scorer.identity,
        )  # fmt: skip
        self._window, self._coverage = RawWindow(_WINDOW_S, _WINDOW_BYTES), Coverage(self._clocks.unix())
        self._judge = Judge(watch, self._window, self._coverage)
        self._board = LaunchBoard()
        self._job = Job(f"guard:{os.getpid()}", "process", str(os.getpid()), name=Path(order.command[0]).name)
        self._gpus: tuple[str, ...] = ()
        self._pids: frozenset[int] = frozenset()
        self._runner = Runner(makers(order.sources, self._options()))
        self._verdict: JobVerdict | None = None
        self._told_states: set[str] = set()
        self._down: set[str] = set()
        self._sightless_s = self._away_s = 0.0
        self._ticked_s = math.inf
        self._looked_s = self._clocks.monotonic()

    def run(self, stop: Event) -> Report:
        """Begin the command, and watch it to its end.

        Parameters
        ----------
        stop : Event
            Ends the watching and the command, as when this program is told to end.

        Raises
        ------
        UsageError
            If the command cannot be started.
        """
        self._runner.open(_OPEN_S)
        self._looked_s = self._clocks.monotonic()
        for name, error in self._runner.errors.items():
            self._down.add(name)
            self._told(f"the source {name} cannot be read: {error}")
        self._child.go()
        try:
            return self._watch(stop)
        finally:
            self._runner.close()

    def _watch(self, stop: Event) -> Report:
        ticker = Ticker(self._order.period_s / self._order.speed, stop, jitter=0.1)
        done: Why | None = None
        while not done and ticker.wait():
            done = self._tick()
        return self._finish(done or "command", stopped=done is None)

    def _tick(self) -> Why | None:
        """One look; gives why the watching is over, if it is."""
        self._count_absence()
        family = self._child.family()
        self._pids = frozenset(key.pid for key in family)
        self._clocks.tick(self._order.period_s)
        time_s, unix_s = self._clocks.monotonic(), self._clocks.unix()
        readings = self._runner.read(self._clocks.patience_s(self._order.period_s))
        self._gpus = self._used(readings)
        if not any(health.success for health in self._runner.health.values()):
            self._sightless_s += time_s - self._looked_s
        self._looked_s = time_s
        on = {self._job.key: self._gpus} if self._gpus else {}
        self._judge.step(joined(readings, self._jobs_on, self._order.period_s), time_s, on)
        [seen] = self._judge.observe([self._with_gpus()], (time_s, unix_s), on)
        if self._is_over(seen):
            return "verdict"
        if self._order.blind_s and self._unseen() >= self._order.blind_s:
            return "blind"
        return "command" if self._child.poll() is not None else None

    def _count_absence(self) -> None:
        """Count the time in which this process did not run: stopped, or on a machine that slept."""
        now = time.monotonic()
        gone = now - self._ticked_s - self._order.period_s / self._order.speed
        if gone > _ABSENT_S:
            self._away_s += gone * self._order.speed
        self._ticked_s = now

    def _is_over(self, seen: Observation) -> bool:
        """Whether a verdict ends the command: what an objection stands against is told, not acted on."""
        for verdict in seen.verdicts.values():
            if self._verdict is None or State[verdict.state.upper()] >= State[self._verdict.state.upper()]:
                self._verdict = verdict
            if State[verdict.state.upper()] < State[self._order.on.upper()]:
                continue
            sha256 = self._scorer.identity["sha256"]
            against = (*job_objections(seen), *verdict_objections(seen, verdict, sha256, _STALE_S))
            if not against and not self._order.dry_run:
                return True
            words = "; ".join(each.words for each in against) or "a dry run"
            text = f"{verdict.state}: {verdict.family or 'mining'}, but nothing is done ({words})"
            self._tell_once(f"{verdict.state} {words}", text)  # the likeliest family may change every second
        return False

    def _tell_once(self, what: str, text: str) -> None:
        if what not in self._told_states:
            self._told_states.add(what)
            self._told(text)

    def _finish(self, why: Why, *, stopped: bool) -> Report:
        """Write the evidence, end what is to be ended, and say how it went."""
        bundle, problems = self._bundle() if self._is_evidence(why) else (None, [])
        code = self._child.poll()
        if why == "command" and code is not None and self._child.supervisor_is_gone():
            why = "lost"
        left = len(self._child.family()) if code is not None else 0
        ends = why != "command" or stopped or (left > 0 and not self._order.leave)
        ended = self._child.end(self._order.grace_s) if ends else None
        problems += [f"{name}: {health.error}" for name, health in self._runner.health.items()
                     if health.error and name not in self._down]  # fmt: skip
        return Report(
            code=self._code(why), why=why, verdict=self._verdict, bundle=bundle, ended=ended,
            watched_s=self._coverage.total_of(self._job.key) - self._coverage.blind_of(self._job.key),
            blind_s=self._unseen(), sightless=self._sightless_s > 0,
            problems=tuple(problems), left=left,
        )  # fmt: skip

    def _code(self, why: Why) -> int:
        if why != "command":
            return ENDED if why == "verdict" else BLIND
        code = self._child.poll(_LAST_S)
        return 1 if code is None else code if code >= 0 else 128 - code

    def _is_evidence(self, why: Why) -> bool:
        state = State.ABSTAIN if self._verdict is None else State[self._verdict.state.upper()]
        return why in ("verdict", "blind") or state >= State[self._order.on.upper()]

    def _bundle(self) -> tuple[Path | None, list[str]]:
        """Write what was seen before anything is ended; if it cannot be written, that is told and nothing else."""
        from hashwarden.serve.audit.bundle import write_bundle

        worst = [self._verdict] if self._verdict is not None else []
        try:
            folder = self._order.evidence
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
            bundle = write_bundle(
                folder, case={"id": f"guard-{stamp}-{os.getpid()}", "command": list(self._order.command)},
                job=self._with_gpus(), verdicts=worst,
                runs=self._window.runs(self._job.key, {d.gpu: d for d in self._runner.devices}),
                launches=self._board.of(self._child.family()), code={}, model=dict(self._scorer.identity), policy={},
            )  # fmt: skip
        except (HashwardenError, OSError) as error:
            return None, [f"the evidence could not be written: {error}"]
        return bundle.path, []

    def _options(self) -> Options:
        order = self._order
        return Options(
            gpus=order.gpus, period_s=order.period_s, trace=order.trace, speed=1.0,
            own_pids=lambda _: self._pids, owner=self._owner, board=self._board,
            clock=self._clocks.monotonic, unix=self._clocks.unix,
        )  # fmt: skip

    def _owner(self, pid: int) -> Owner | None:
        return Owner(self._job.key, self._gpus) if pid in self._pids else None

    def _jobs_on(self, gpu: str) -> Sequence[Job]:
        return (self._with_gpus(),) if gpu in self._gpus else ()

    def _with_gpus(self) -> Job:
        job = self._job
        return Job(job.key, job.kind, job.id, self._gpus, uid=os.geteuid(), name=job.name, allotted=True)

    def _used(self, readings: Sequence[Reading]) -> tuple[str, ...]:
        """The GPUs that the command works on, and those of which nobody can tell; once used is used."""
        found = dict.fromkeys(self._gpus)
        for reading in readings:
            if not reading.job and (reading.pids is None or reading.pids & self._pids):
                found[reading.gpu] = None
        return tuple(found)

    def _unseen(self) -> float:
        """Seconds in which a GPU was used unseen, no source could say whether one is, or nobody looked."""
        return max(self._sightless_s, self._coverage.blind_of(self._job.key)) + self._away_s
