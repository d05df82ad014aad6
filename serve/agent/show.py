"""What the agent shows of itself: made at each tick, read by the threads that answer requests."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, final

from hashwarden.errors import UsageError
from hashwarden.model.sequential_state import State
from hashwarden.serve.agent.metrics import GpuView, exposition, samples
from hashwarden.serve.policy.observation import Observation

if TYPE_CHECKING:
    from hashwarden.serve.agent.agent import Agent
    from hashwarden.serve.agent.judge import Watched

__all__ = ["Show"]

_MOST_CLOSED: Final = 500
"""Closed cases in one answer; thousands may be kept."""

_DEAD_S: Final = 30.0
"""Without a tick for so long the agent hangs."""


@final
class Show:
    """See `hashwarden.serve.agent.api.View`.

    Parameters
    ----------
    agent : Agent
    """

    def __init__(self, agent: Agent) -> None:
        self._agent = agent
        self._seen: Sequence[Observation] = ()

    def update(self, seen: Sequence[Observation], time_s: float) -> None:
        """Take what is known now."""
        self._seen = seen
        agent, metrics = self._agent, self._agent.metrics
        parts = agent.parts
        watched = list(parts.judge.watched.values())
        metrics.model = {"name": "", "version": "", "sha256": ""} | dict(parts.scorer.identity)
        metrics.policy = {"sha256": parts.policy.sha256, "mode": parts.policy.mode}
        metrics.sources = parts.runner.health
        metrics.gpus = _gpus(watched, time_s)
        states = Counter(one.evidence.state for one in watched)
        metrics.states = {state.word: states[state] for state in State}
        metrics.cases = Counter(case.standing.value for case in parts.engine.cases.open_cases())
        blind = Counter(one.kind for one in agent.blinds)
        metrics.blind = {kind.value: blind[kind] for kind in agent.blinds.begun}
        metrics.values = {
            "jobs": float(len(seen)), "ready": float(self.ready()["ready"]),
            "actions_pending": float(len(parts.queue.pending)), "window_samples": float(parts.window.rows),
            "start_time_seconds": agent.started_unix_s,
        }  # fmt: skip

    def alive(self) -> bool:
        """Whether it ticks."""
        return time.monotonic() - self._agent.ticked_s < _DEAD_S + self._agent.parts.config.period_s

    def ready(self) -> Mapping[str, Any]:
        """Whether it can do what it was asked to; if not, what it cannot see."""
        blind = [{"kind": b.kind.value, "subject": b.subject, "detail": b.detail} for b in self._agent.blinds
                 if b.subject in ("", *self._agent.parts.runner.health)]  # fmt: skip
        return {"ready": not blind and self._agent.ticked_s > 0, "blind": blind}

    def metrics(self) -> bytes:
        """For Prometheus."""
        self._count()
        return exposition(self._agent.metrics)

    def samples(self) -> Iterator[Any]:
        """The same, one by one."""
        self._count()
        return samples(self._agent.metrics)

    def _count(self) -> None:
        """What others count, asked when somebody wants to know: some of it has to be fetched from the kernel."""
        totals, parts = self._agent.metrics.totals, self._agent.parts
        for name, counts in parts.runner.counts.items():
            for event, count in counts.items():
                totals["source_events", (("source", name), ("event", event))] = count
        for event, count in list(parts.table.counts.items()):
            totals["job_events", (("event", event),)] = count

    def status(self) -> Mapping[str, Any]:
        """Everything in short."""
        parts = self._agent.parts
        return {
            "node": parts.node, "model": dict(parts.scorer.identity), "policy": dict(self._agent.metrics.policy),
            "model_outdated": self._agent.outdated, "ready": self.ready(), "gpus": len(parts.runner.devices),
            "jobs": len(self._seen),
            "steps": [{"name": step.name, "seconds": round(step.seconds, 3)} for step in parts.steps.done],
            "cases": len(parts.engine.cases.open_cases()),
            "actions_waiting": [{"id": a.id, "kind": a.kind.value, "why": parts.queue.away.get(a.id, "")}
                                for a in parts.queue.pending],
            "damaged": [*parts.queue.damaged, *parts.engine.cases.damaged],
        }  # fmt: skip

    def jobs(self) -> Sequence[Mapping[str, Any]]:
        """Of each job what is known."""
        return [_row(one) for one in self._seen]

    def cases(self) -> Sequence[Mapping[str, Any]]:
        """All that are open, and the newest of the closed ones; newest last."""
        every = list(self._agent.parts.engine.cases)
        closed = [case.id for case in every if not case.is_open]
        left_out = frozenset(closed[:-_MOST_CLOSED])
        return [case.model_dump(mode="json") for case in every if case.id not in left_out]

    def case(self, id_: str) -> Mapping[str, Any] | None:
        """One case, however old; None if none is called so."""
        case = self._agent.parts.engine.cases.get(id_)
        return None if case is None else case.model_dump(mode="json")

    def decide(self, case: str, word: str, by: str, reason: str) -> Mapping[str, Any]:
        """Approve or reject.

        Raises
        ------
        UsageError
            If there is no such open case, or this user may not.
        StorageError
            If it cannot be written down.
        """
        engine, unix_s = self._agent.parts.engine, self._agent.parts.clocks.unix()
        if word not in ("approve", "reject"):
            raise UsageError(repr(word), "approve or reject", "Choose one.")
        decided = engine.approve if word == "approve" else engine.reject
        return decided(case, by, reason, unix_s).model_dump(mode="json")


def _row(seen: Observation) -> dict[str, Any]:
    job = seen.job
    return {
        "job": job.key, "kind": job.kind, "user": job.user, "tenant": job.tenant, "gpus": list(job.gpus),
        "blind": sorted(kind.value for kind in seen.blind), "shared": seen.shared,
        "verdicts": {
            gpu: {"state": v.state, "likeliest": v.likeliest, "family": v.family, "strength": v.evidence.strength,
                  "tier": v.tier, "reasons": list(v.reasons)}
            for gpu, v in seen.verdicts.items()
        },
        "gpu_seconds": {name: round(seconds, 1) for name, seconds in seen.gpu_seconds.items()},
    }  # fmt: skip


def _gpus(watched: Sequence[Watched], time_s: float) -> dict[str, GpuView]:
    """The worst job of each GPU."""
    found: dict[str, GpuView] = {}
    for one in watched:
        view = GpuView(one.evidence.strength, max(0.0, time_s - one.last_s), one.verdict.probabilities)
        known = found.get(one.gpu)
        if known is None or view.strength > known.strength:
            found[one.gpu] = view
    return found
