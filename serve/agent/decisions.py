"""What the policy decided, carried out: evidence packed, actions handed over, people told."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, is_dataclass
from typing import Any, Final, final

from hashwarden.errors import HashwardenError
from hashwarden.serve.agent.build import Parts
from hashwarden.serve.agent.logs import said
from hashwarden.serve.agent.metrics import Snapshot
from hashwarden.serve.agent.packing import Package, Packing
from hashwarden.serve.agent.post import Post
from hashwarden.serve.jobs.job import Job
from hashwarden.serve.policy.case import Case
from hashwarden.serve.policy.ladder import ENDS
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
        kept = parts.config.evidence
        self._packing = Packing(parts.folder.part("evidence"), parts.audit, kept.keep_days, kept.disk_mib << 20)
        parts.steps.alongside(self._packing.close)
        section = parts.config.schedulers
        self._post = Post(section.mail_command, section.timeout_s, parts.node)
        parts.steps.alongside(self._post.close)

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
                self._pack(decision.case)
            elif decision.change == "closed":
                self._packed.pop(decision.case, None)
                self._leave_alone(decision.case)
        for alert in step.alerts:
            self._metrics.totals["alerts", (("kind", alert.kind.value),)] += 1
            self._post.put(alert)
            said("warning", alert.text, alert=alert.kind.value, subject=alert.subject, count=alert.count,
                 job=", ".join(alert.jobs))  # fmt: skip
        self._waiting += step.actions
        for action in (*self._waiting, *self._parts.queue.pending):
            if action.kind in ENDS:  # whoever comes from now on has not done what this job is ended for
                self._parts.table.sever(action.job.key)
        self._hand_over()

    def _leave_alone(self, case_id: str) -> None:
        """What a person said of a job was said of its sessions so far."""
        case = self._parts.engine.cases.get(case_id)
        if case is not None and case.closed_for == "rejected":
            self._parts.table.sever(case.job_key)

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

    def _pack(self, case_id: str) -> None:
        """Have the evidence of a case packed, once for each standing that it came to."""
        parts = self._parts
        case = parts.engine.cases.get(case_id)
        if case is None or not case.is_open or self._packed.get(case_id) == case.standing:
            return
        self._packed[case_id] = case.standing
        key = case.job["key"]
        job = parts.table.jobs.get(key) or Job(key, case.job["kind"], case.job["id"])
        self._packing.put(Package(
            case=case.model_dump(mode="json"), job=job,
            verdicts=[one.verdict for one in parts.judge.watched.values() if one.job.key == key],
            runs=parts.window.runs(key, {d.gpu: d for d in parts.runner.devices}, period_s=parts.config.period_s),
            launches=parts.board.of(parts.table.processes(key)), code=self._code_of(key),
            model=dict(parts.scorer.identity),
            policy={"sha256": parts.policy.sha256, "mode": parts.policy.mode},
        ))  # fmt: skip

    def _code_of(self, job: str) -> dict[str, Any]:
        """The kernels that weigh most, with the hashes of their code; a list, for jobs choose their names."""
        found = self._parts.runner.evidence(job)
        return {"kernels": [asdict(each) for each in found if is_dataclass(each) and not isinstance(each, type)]}

    def _count(self, outcome: Outcome) -> None:
        self._metrics.totals["actions", (("result", outcome.result.value),)] += 1
        said("warning", "an action ended", action=outcome.action, result=outcome.result.value, detail=outcome.detail)
