"""What the policy decided, carried out: evidence packed, actions handed over, people told."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, final

from hashwarden.errors import HashwardenError
from hashwarden.serve.agent.build import Parts
from hashwarden.serve.agent.logs import said
from hashwarden.serve.agent.metrics import Snapshot
from hashwarden.serve.audit.event import EventKind
from hashwarden.serve.jobs.job import Job
from hashwarden.serve.policy.case import Case
from hashwarden.serve.policy.observation import Observation
from hashwarden.serve.schedulers.scheduler import Action, Outcome

__all__ = ["Decisions"]

_STEPS: Final = frozenset({"opened", "standing", "asked", "told"})
"""What is worth a bundle, if the case has none since it came to this."""


@final
class Decisions:
    """See the module.

    Parameters
    ----------
    parts : Parts
    metrics : Snapshot
    """

    def __init__(self, parts: Parts, metrics: Snapshot) -> None:
        self._parts, self._metrics = parts, metrics
        self._packed: dict[str, str] = {}
        self._waiting: list[Action] = []

    @staticmethod
    def fields_of(job: Job) -> dict[str, Any]:
        """A job as records have it."""
        return Case.fields_of(job)

    def step(self, seen: Sequence[Observation], time_s: float, unix_s: float) -> None:
        """Let the policy decide on what is known now, and carry that out."""
        engine = self._parts.engine
        for outcome in self._parts.acting.outcomes():
            self._count(outcome)
            engine.report(outcome, unix_s)
        step = engine.step(seen, time_s, unix_s)
        for outcome in step.outcomes:
            self._count(outcome)
        for decision in step.decisions:
            if decision.change in _STEPS:
                self._pack(decision.case, unix_s)
        for alert in step.alerts:
            self._metrics.totals["alerts", (("kind", alert.kind.value),)] += 1
            said("warning", alert.text, alert=alert.kind.value, subject=alert.subject, count=alert.count,
                 job=", ".join(alert.jobs))  # fmt: skip
        self._waiting += step.actions
        self._hand_over()

    def _hand_over(self) -> None:
        """Put actions in the queue, in order; what the disk refuses waits here, and is dropped when it expires."""
        now = self._parts.clocks.unix()
        while self._waiting:
            action = self._waiting[0]
            if now < action.expires_unix_s:
                try:
                    self._parts.acting.put(action)
                except HashwardenError as error:
                    said("error", "an action could not be kept", action=action.id, error=str(error))
                    return
            del self._waiting[0]

    def _pack(self, case_id: str, unix_s: float) -> None:
        """Pack the evidence of a case, once for each standing that it came to."""
        case = self._parts.engine.cases.get(case_id)
        if case is None or not case.is_open or self._packed.get(case_id) == case.standing:
            return
        try:
            path, sha256 = self._write_bundle(case)
            self._parts.audit.append(EventKind.CASE, {
                "case": case.id, "event": "bundle", "job": case.job, "standing": case.standing.value,
                "file": path, "sha256": sha256, "unix_s": unix_s,
            })  # fmt: skip
        except (HashwardenError, OSError) as error:
            said("error", "the evidence of a case could not be packed", case=case_id, error=str(error))
            return
        self._packed[case_id] = case.standing
        said("info", "evidence packed", case=case_id, file=path)

    def _write_bundle(self, case: Case) -> tuple[str, str]:
        from hashwarden.serve.audit.bundle import write_bundle

        parts, key = self._parts, case.job["key"]
        job = parts.table.jobs.get(key)
        verdicts = [one.verdict for one in parts.judge.watched.values() if one.job.key == key]
        bundle = write_bundle(
            parts.folder.part("evidence"), case=case.model_dump(mode="json"),
            job=job if job is not None else Job(key, case.job["kind"], case.job["id"]),
            verdicts=verdicts, runs=parts.window.runs(key, {d.gpu: d for d in parts.runner.devices},
                                                      period_s=parts.config.period_s),
            launches=parts.board.of(parts.table.processes(key)), code={}, model=dict(parts.scorer.identity),
            policy={"sha256": parts.policy.sha256, "mode": parts.policy.mode},
        )  # fmt: skip
        return str(bundle.path), bundle.sha256

    def _count(self, outcome: Outcome) -> None:
        self._metrics.totals["actions", (("result", outcome.result.value),)] += 1
        said("warning", "an action ended", action=outcome.action, result=outcome.result.value, detail=outcome.detail)
