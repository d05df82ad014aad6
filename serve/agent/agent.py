"""The agent: at every tick it reads, maps, judges, decides, writes down, and hands on; it never waits for a scheduler.

What cannot be written down is not done. What cannot be seen is told, and is no ground for an action.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Mapping, Sequence
from threading import Event
from typing import Any, Final, final

from hashwarden.errors import HashwardenError
from hashwarden.model.job.verdict import JobVerdict
from hashwarden.serve.agent.blinds import Blind, Blinds
from hashwarden.serve.agent.build import Parts, data_sha256, digest_of, outdated, policy_of, tested
from hashwarden.serve.agent.clock import ClockWatch
from hashwarden.serve.agent.decisions import Decisions
from hashwarden.serve.agent.joining import joined, split
from hashwarden.serve.agent.kept import Kept
from hashwarden.serve.agent.logs import said
from hashwarden.serve.agent.metrics import Snapshot
from hashwarden.serve.agent.notify import notify, watchdog_s
from hashwarden.serve.agent.show import Show
from hashwarden.serve.audit.event import EventKind
from hashwarden.serve.jobs.job import Job
from hashwarden.serve.jobs.sequences import CONTINUE_S
from hashwarden.serve.journal import StorageError
from hashwarden.serve.policy.case import Standing
from hashwarden.serve.policy.observation import Blindness, Observation
from hashwarden.serve.schedulers.slurm_cases import OpenCase, write_open_cases
from hashwarden.serve.sources.source import Reading
from hashwarden.serve.ticker import Ticker
from hashwarden.version import __version__

__all__ = ["Agent"]

EVIDENCE_EVERY_S: Final = 30.0
COVERAGE_EVERY_S: Final = 300.0
OPEN_CASES_EVERY_S: Final = 60.0
SELF_TEST_EVERY_S: Final = 3600.0
BLIND_AFTER_S: Final = 15.0
"""For so long a job may be unseen before that is told: every job begins so."""

KEPT_S: Final = 600.0
"""For so long after the start a job that appears may be one that the last agent knew."""

AWAY_S: Final = 30.0
"""For so long a scheduler may be away before it is told that its jobs are no longer known for certain."""

CODE_AFTER_S: Final = 120.0
"""For so long the code of a job may be unknown before that is told: it is read some time after it was launched."""

_MOST_OWED: Final = 1000
_COMPLAIN_S: Final = 10.0


@final
class Agent:
    """Runs until it is stopped.

    Parameters
    ----------
    parts : Parts
        See `hashwarden.serve.agent.build.build`.
    """

    def __init__(self, parts: Parts) -> None:
        self.parts = parts
        self.metrics = Snapshot()
        self.blinds = Blinds(self._told_of_blindness)
        self.show = Show(self)
        self._clock = ClockWatch()
        self._decisions = Decisions(parts, self.metrics)
        self._owed: deque[tuple[EventKind, dict[str, Any]]] = deque(maxlen=_MOST_OWED)
        self._due = dict.fromkeys(("evidence", "coverage", "self-test", "open-cases", "watchdog"), 0.0)
        self.self_test, self.ticked_s, self.started_unix_s = parts.self_test, 0.0, parts.clocks.unix()
        self.outdated = ""
        self._kept: dict[str, Any] = {}
        self._left = Kept(CONTINUE_S)
        self._began_s = 0.0
        self._closed, self._complained_s = False, float("-inf")

    def start(self) -> None:
        """Write down that it begins, and take up what the last one left."""
        parts, now = self.parts, self.parts.clocks.monotonic()
        self._began_s = now
        self._due |= {"coverage": now + COVERAGE_EVERY_S, "self-test": now + SELF_TEST_EVERY_S}
        self._write(EventKind.START, {
            "version": __version__, "node": parts.node, "config": digest_of(parts.config),
            "model": {**parts.scorer.identity, "data_sha256": data_sha256(parts.scorer)},
            "policy": {"sha256": parts.policy.sha256, "mode": parts.policy.mode},
            "self_test": self.self_test or "passed", "sources": list(parts.config.sources.names),
        })  # fmt: skip
        self._kept = parts.folder.evidence(parts.scorer.identity["sha256"])
        parts.table.take_up(parts.folder.sessions())
        self._map(())
        said("info", "the agent begins", version=__version__, evidence_of=len(self._kept))
        notify("READY=1", f"STATUS=watching {len(parts.runner.devices)} GPUs")

    def run(self, stop: Event, reload: Event) -> None:
        """Tick until `stop`; read policy, model and self-test anew when `reload` is set."""
        config, rate = self.parts.config, self.parts.clocks.rate
        ticker = Ticker(config.period_s / rate, stop, jitter=config.jitter)
        while ticker.wait():
            if reload.is_set():
                reload.clear()
                self.reload()
            start = time.monotonic()
            self.tick()
            self.metrics.ticks.add(time.monotonic() - start)
            self.metrics.totals["ticks_missed", ()] = ticker.missed

    def tick(self) -> None:
        """One look at everything."""
        parts, config = self.parts, self.parts.config
        parts.clocks.tick(config.period_s)
        time_s, unix_s = parts.clocks.monotonic(), parts.clocks.unix()
        steady = self._clock.step(time_s, unix_s)
        readings = parts.runner.read(parts.clocks.patience_s(config.period_s))
        self._map(readings)
        samples = joined(readings, parts.table.jobs_on, config.period_s)
        on: dict[str, set[str]] = {}
        for device in parts.runner.devices:
            for job in parts.table.jobs_on(device.gpu):
                on.setdefault(job.key, set()).add(device.gpu)
        for sample in samples:
            if sample.code_hidden:
                self.blinds.see(Blindness.CODE, sample.job.key, "", time_s, unix_s, CODE_AFTER_S)
        for process in parts.board.hidden():
            owner, what = parts.table.owner_of(process), f"process {process.pid}"
            detail = f"{what} has other code where launches are traced"
            self.blinds.see(Blindness.LAUNCHES, owner.job if owner else what, detail, time_s, unix_s)
        told = parts.judge.step(samples, time_s, on)
        self.metrics.totals["samples", ()] += len(samples)
        self._write_verdicts(told, unix_s)
        self._pay()
        node = self._node_blindness(time_s, unix_s, steady=steady)
        seen = parts.judge.observe(parts.table.jobs.values(), (time_s, unix_s), on, node)
        self._job_blindness(seen, node, time_s, unix_s)
        self._decisions.step(seen, time_s, unix_s)
        self.blinds.settle(time_s)
        self._now_and_then(time_s, unix_s)
        self.show.update(seen, time_s)
        self.ticked_s = time.monotonic()

    def reload(self) -> None:
        """Read the policy anew and test the model again; what cannot be read changes nothing."""
        notify("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}")
        parts, result = self.parts, "done"
        try:
            policy = policy_of(parts.config.policy)
            parts.engine.reload(policy, parts.clocks.unix())
            parts.policy = policy
        except HashwardenError as error:
            result = "refused"
            said("error", "the policy was not read anew", error=str(error))
        self._test()
        self.metrics.totals["reloads", (("result", result),)] += 1
        said("info", "reloaded", result=result, policy=parts.policy.sha256)
        notify("READY=1")

    def close(self) -> None:
        """Keep the evidence, write down that it ends, and close everything."""
        if self._closed:
            return
        self._closed = True
        notify("STOPPING=1")
        unix_s = self.parts.clocks.unix()
        self._keep_evidence(unix_s)
        self._cover(unix_s)
        self._write(EventKind.STOP, {"reason": "asked to"})
        self.parts.steps.close()
        said("info", "the agent ends")

    # Mapping

    def _map(self, readings: Sequence[Reading]) -> None:
        parts = self.parts
        pids_on: dict[str, frozenset[int] | None] = {}
        for reading in readings:
            if not reading.job and pids_on.get(reading.gpu) is None:  # of two sources one may not know
                pids_on[reading.gpu] = reading.pids
        changes = parts.table.refresh(
            pids_on, parts.runner.devices, parts.clocks.monotonic(), parts.clocks.unix()
        )  # fmt: skip
        self.metrics.totals["jobs_begun", ()] += len(changes.began)
        for job in changes.began:
            self._take_up(job)
            self.show.began(job.key)
            said("info", "a job began", job=job.key, user=job.user, account=job.account, gpus=len(job.gpus))
        if self.parts.clocks.monotonic() - self._began_s > KEPT_S:
            self._kept = {}
        self._left.tidy(parts.clocks.monotonic())
        for job in changes.ended:
            self.show.ended(job.key, parts.clocks.unix())
            held = parts.judge.end(job.key)
            if parts.table.may_go_on(job.key):
                self._left.put(held, parts.clocks.monotonic())
            parts.engine.ended(job.key, parts.clocks.unix())
            self.blinds.forget(job.key)
            said("info", "a job ended", job=job.key, user=job.user)

    def _take_up(self, job: Job) -> None:
        """Put the evidence that was kept on a job to it, once; not on nobody's work: that may be another's by now."""
        mine = {name: record for name, record in self._kept.items() if split(name)[0] == job.key}
        mine |= self._left.take(job.key)
        self._kept = {name: record for name, record in self._kept.items() if name not in mine}
        if job.kind != "gpu":
            self.parts.judge.restore(mine, {job.key: job}, self.parts.clocks.monotonic())

    # Blindness

    def _node_blindness(self, time_s: float, unix_s: float, *, steady: bool) -> frozenset[Blindness]:
        """What blinds every job; sources that are down are told, and blind those jobs whose samples they were."""
        found: dict[Blindness, str] = {}
        if self.self_test:
            found[Blindness.SELF_TEST] = self.self_test
        if not steady:
            found[Blindness.CLOCK] = f"the wall clock jumped by {self._clock.last_jump_s:+.1f} s"
        if self._owed or self.parts.acting.error:
            found[Blindness.STORAGE] = self.parts.acting.error or "the audit log takes no records"
        for kind, detail in found.items():
            self.blinds.see(kind, "", detail, time_s, unix_s)
        for name, health in self.parts.runner.health.items():
            if health.hanging or (not health.success and health.failures):
                self.blinds.see(Blindness.SOURCE_DOWN, name, health.error, time_s, unix_s)
        for name, told in self.parts.table.health.items():
            if told.away_s >= AWAY_S:
                self.blinds.see(Blindness.SOURCE_DOWN, f"jobs of {name}", told.error, time_s, unix_s)
        if self.parts.audit.low:
            self.blinds.see(Blindness.STORAGE, "audit", "the disk has no room left to keep back", time_s, unix_s)
        if self.parts.audit.unanchored:
            self.blinds.see(Blindness.STORAGE, "audit anchor", self.parts.audit.unanchored, time_s, unix_s)
        self.metrics.totals["clock_jumps", ()] = self._clock.jumps
        return frozenset(found)

    def _job_blindness(
        self, seen: Sequence[Observation], node: frozenset[Blindness], time_s: float, unix_s: float
    ) -> None:
        for one in seen:
            for kind in one.blind - node:
                self.blinds.see(kind, one.job.key, "", time_s, unix_s, BLIND_AFTER_S)

    def _told_of_blindness(self, blind: Blind, began: bool) -> None:
        body = {"kind": blind.kind.value, "subject": blind.subject, "detail": blind.detail, "began": began}
        self._write(EventKind.BLIND, body)
        self.metrics.totals["blind", (("kind", blind.kind.value),)] += began
        word = "something cannot be seen" if began else "it can be seen again"
        said("warning" if began else "info", word, kind=blind.kind.value, subject=blind.subject, detail=blind.detail)

    # Writing down

    def _write_verdicts(self, told: Sequence[JobVerdict], unix_s: float) -> None:
        for verdict in told:
            key, gpu = split(verdict.job)
            job = self.parts.table.jobs.get(key)
            named = {"key": key} if job is None else self._decisions.fields_of(job)
            self._write(EventKind.VERDICT, {"job": named, "gpu": gpu, "verdict": verdict.model_dump(mode="json"),
                                            "unix_s": unix_s})  # fmt: skip
            self.metrics.totals["verdicts", (("state", verdict.state),)] += 1
            level = "warning" if verdict.state in ("suspect", "confirmed") else "info"
            said(level, "verdict", job=key, gpu=gpu, state=verdict.state, family=verdict.family,
                 why="; ".join(verdict.reasons))  # fmt: skip

    def _write(self, kind: EventKind, body: Mapping[str, Any]) -> None:
        """Write a record; what the disk refuses is owed, and blinds everything until it is written."""
        if len(self._owed) == _MOST_OWED:
            self.metrics.totals["audit_lost", ()] += 1
        self._owed.append((kind, dict(body)))
        self._pay()

    def _pay(self) -> None:
        """Write what is owed."""
        while self._owed:
            try:
                self.parts.audit.append(*self._owed[0], sync=len(self._owed) == 1)
            except StorageError as error:
                self.metrics.totals["audit_errors", ()] += 1
                if self._complained_s + _COMPLAIN_S <= time.monotonic():
                    self._complained_s = time.monotonic()
                    said("error", "the audit log takes no records", error=str(error), owed=len(self._owed))
                return
            self.metrics.totals["audit_records", ()] += 1
            self._owed.popleft()

    # From time to time

    def _now_and_then(self, time_s: float, unix_s: float) -> None:
        if self._is_due("evidence", time_s, EVIDENCE_EVERY_S):
            self._keep_evidence(unix_s)
        if self._is_due("coverage", time_s, COVERAGE_EVERY_S):
            self._cover(unix_s)
        if self._is_due("open-cases", time_s, OPEN_CASES_EVERY_S):
            self._list_open_cases(unix_s)
        if self._is_due("self-test", time_s, SELF_TEST_EVERY_S):
            self._test()
        every_s = watchdog_s()
        if every_s and self._is_due("watchdog", time.monotonic(), every_s):
            notify("WATCHDOG=1")

    def _test(self) -> None:
        """Test the model again, and whether it is still the one in service."""
        self.self_test = tested(self.parts.scorer)
        before, self.outdated = self.outdated, outdated(self.parts.config, self.parts.scorer)
        if self.outdated and self.outdated != before:
            said("warning", "another model is in service", detail=self.outdated)

    def _is_due(self, what: str, time_s: float, every_s: float) -> bool:
        due = time_s >= self._due[what]
        if due:
            self._due[what] = time_s + every_s
        return due

    def _keep_evidence(self, unix_s: float) -> None:
        try:
            held = {**self._kept, **self._left.saved(), **self.parts.judge.saved()}
            self.parts.folder.keep_evidence(self.parts.scorer.identity["sha256"], held, unix_s)
            self.parts.folder.keep_sessions(self.parts.table.sessions())
        except StorageError as error:
            said("error", "the evidence was not kept", error=str(error))

    def _list_open_cases(self, unix_s: float) -> None:
        """Tell job_submit.lua whose new jobs are to be held; nobody's in a dry run."""
        section, parts = self.parts.config.schedulers, self.parts
        if section.open_cases is None:
            return
        confirmed = [case for case in parts.engine.cases.open_cases() if case.standing is Standing.CONFIRMED]
        listed = [
            OpenCase(int(case.job["uid"]), case.id, unix_s + 10 * OPEN_CASES_EVERY_S, section.open_cases_do)
            for case in confirmed
            if int(case.job["uid"]) > 0 and parts.policy.mode == "enforce"
        ]
        try:
            write_open_cases(listed, section.open_cases)
        except HashwardenError as error:
            said("error", "the list of open cases was not written", error=str(error))

    def _cover(self, unix_s: float) -> None:
        body = self.parts.coverage.close(unix_s)
        for row in body["watched"]:
            self.metrics.totals["gpu_seconds", (("class", row["class"]),)] += row["gpu_seconds"]
        for row in body["blind"]:
            self.metrics.totals["blind_gpu_seconds", (("reason", row["reason"]),)] += row["gpu_seconds"]
        self._write(EventKind.COVERAGE, body)  # also of nothing: a node without work is not one without an agent
        try:
            self.parts.audit.checkpoint()
        except StorageError as error:
            said("error", "no checkpoint", error=str(error))
