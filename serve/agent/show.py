"""What the agent shows of itself: made at each tick, read by the threads that answer requests."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, final

from hashwarden.errors import UsageError
from hashwarden.model.channels import INDEX
from hashwarden.model.sequential_state import State
from hashwarden.serve.agent.ended import Ended
from hashwarden.serve.agent.history import History
from hashwarden.serve.agent.job_pages import channels_page, job_row, kernels_page, known, latest
from hashwarden.serve.agent.metrics import GpuView, exposition, samples
from hashwarden.serve.policy.case import Case
from hashwarden.serve.policy.coming import coming
from hashwarden.serve.policy.observation import Observation
from hashwarden.serve.sources.source import NO_INDEX
from hashwarden.version import __version__

if TYPE_CHECKING:
    from hashwarden.serve.agent.agent import Agent
    from hashwarden.serve.agent.judge import Watched

__all__ = ["Show"]

_MOST_CLOSED: Final = 500
"""Closed cases in one answer; thousands may be kept."""

_DEVICE: Final = ("gpu", "index", "name", "mig", "alias", "architecture", "driver")
_LATELY: Final = 180
"""Samples among which the newest word of the code tier is looked for: it speaks every half minute."""

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
        self._history, self._ended = History(), Ended()

    def update(self, seen: Sequence[Observation], time_s: float) -> None:
        """Take what is known now."""
        self._seen = seen
        agent, metrics = self._agent, self._agent.metrics
        parts = agent.parts
        watched = list(parts.judge.watched.values())
        self._history.step(watched, parts.clocks.unix())
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
            "start_time_seconds": agent.started_unix_s, "model_outdated": float(bool(agent.outdated)),
        }  # fmt: skip

    def ended(self, job: str, unix_s: float) -> None:
        """A job has ended, and is about to be forgotten; one of which nothing was ever seen is."""
        seen = self._observed(job)
        page = self._page(job) if seen is not None and seen.verdicts else None
        if page is not None:
            self._ended.put(page, unix_s)

    def began(self, job: str) -> None:
        """A job is there, perhaps again."""
        self._ended.back(job)

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
            "node": parts.node, "version": __version__, "unix_s": parts.clocks.unix(),
            "model": dict(parts.scorer.identity), "model_outdated": self._agent.outdated,
            "policy": dict(self._agent.metrics.policy), "alpha": parts.config.alpha,
            "period_s": parts.config.period_s, "ready": self.ready(),
            "blind": [{"kind": b.kind.value, "subject": b.subject, "detail": b.detail,
                       "began_unix_s": b.since_unix_s} for b in self._agent.blinds],
            "sources": [{"name": name, "ok": health.success and not health.hanging, "error": health.error}
                        for name, health in parts.runner.health.items()],
            "gpus": len(parts.runner.devices), "jobs": len(self._seen),
            "steps": [{"name": step.name, "seconds": round(step.seconds, 3)} for step in parts.steps.done],
            "cases": len(parts.engine.cases.open_cases()),
            "actions_waiting": [{"id": a.id, "kind": a.kind.value, "why": parts.queue.away.get(a.id, "")}
                                for a in parts.queue.pending],
            "damaged": [*parts.queue.damaged, *parts.engine.cases.damaged],
        }  # fmt: skip

    def gpus(self) -> Sequence[Mapping[str, Any]]:
        """Of each GPU or MIG instance what is known."""
        parts, found = self._agent.parts, []
        for device in parts.runner.devices:
            jobs = [job.key for job in parts.table.jobs_on(device.gpu)]
            rows = [row for job in jobs if (row := parts.window.newest(job, device.gpu)) is not None]
            fields = {name: getattr(device, name) for name in _DEVICE}
            fields["index"] = None if device.index == NO_INDEX else device.index
            found.append({**fields, "jobs": jobs, "now": latest(max(rows, key=lambda row: row[0], default=None))})
        return found

    def jobs(self) -> Sequence[Mapping[str, Any]]:
        """Of each job what is known."""
        cases = self._open_cases()
        return [job_row(one, self._history, self._agent.parts.window.newest, cases) for one in self._seen]

    def ended_jobs(self, gpu: str = "", user: str = "") -> Sequence[Mapping[str, Any]]:
        """Jobs that ended lately, on this GPU and of this user if one is named."""
        return self._ended.rows(gpu, user)

    def job(self, key: str) -> Mapping[str, Any] | None:
        """One job, also one that ended lately; None if none is called so."""
        return self._page(key) or self._ended.get(key)

    def channels(self, key: str, gpu: str, names: Sequence[str] = ()) -> Mapping[str, Any] | None:
        """The raw samples of a job on a GPU; None if there is no such job.

        Raises
        ------
        UsageError
            If there is no such channel.
        """
        unknown = [name for name in names if name not in INDEX]
        if unknown:
            raise UsageError(f"the channel {unknown[0]!r}", "a name of docs/channels.md", "Correct it.")
        one = self._observed(key)
        if one is None:
            return None
        verdict = one.verdicts.get(gpu)
        return channels_page(key, gpu, self._agent.parts.window.rows_of(key, gpu), names, verdict)

    def kernels(self, key: str) -> Mapping[str, Any] | None:
        """What a job launched, as far as its machine code is known; None if there is no such job."""
        one, parts = self._observed(key), self._agent.parts
        if one is None:
            return None
        rows = [parts.window.rows_of(key, gpu) for gpu in one.verdicts]
        ratios = [known(float(row[2][INDEX["code_known_ratio"]])) for each in rows for row in reversed(each[-_LATELY:])]
        return kernels_page(key, parts.runner.evidence(key), next((r for r in ratios if r is not None), None))

    def _observed(self, key: str) -> Observation | None:
        return next((one for one in self._seen if one.job.key == key), None)

    def _page(self, key: str) -> dict[str, Any] | None:
        one, parts = self._observed(key), self._agent.parts
        if one is None:
            return None
        return {
            **job_row(one, self._history, parts.window.newest, self._open_cases()),
            "verdicts_full": {gpu: verdict.model_dump(mode="json") for gpu, verdict in one.verdicts.items()},
            "history": self._history.of(key, one.verdicts),
            "cases": [case.id for case in parts.engine.cases.of(key)], "ended_unix_s": None,
        }  # fmt: skip

    def _open_cases(self) -> dict[str, Case]:
        """By job; the one that weighs most."""
        cases = sorted(self._agent.parts.engine.cases.open_cases(), key=lambda case: case.standing.rank)
        return {case.job["key"]: case for case in cases}

    def cases(self) -> Sequence[Mapping[str, Any]]:
        """All that are open, and the newest of the closed ones; newest last."""
        every = list(self._agent.parts.engine.cases)
        closed = [case.id for case in every if not case.is_open]
        left_out = frozenset(closed[:-_MOST_CLOSED])
        return [case.model_dump(mode="json") for case in every if case.id not in left_out]

    def case(self, id_: str) -> Mapping[str, Any] | None:
        """One case, however old, with the steps that are before it; None if none is called so."""
        parts = self._agent.parts
        case = parts.engine.cases.get(id_)
        return None if case is None else {**case.model_dump(mode="json"), "coming": coming(case, parts.policy)}

    def decide(self, case: str, word: str, by: str, reason: str) -> Mapping[str, Any]:
        """Approve or reject.

        Raises
        ------
        ForbiddenError
            If this user may not.
        UsageError
            If there is no such open case.
        StorageError
            If it cannot be written down.
        """
        engine, unix_s = self._agent.parts.engine, self._agent.parts.clocks.unix()
        if word not in ("approve", "reject"):
            raise UsageError(repr(word), "approve or reject", "Choose one.")
        decided = engine.approve if word == "approve" else engine.reject
        return decided(case, by, reason, unix_s).model_dump(mode="json")


def _gpus(watched: Sequence[Watched], time_s: float) -> dict[str, GpuView]:
    """The worst job of each GPU."""
    found: dict[str, GpuView] = {}
    for one in watched:
        view = GpuView(one.evidence.strength, max(0.0, time_s - one.heard_s), one.verdict.probabilities)
        known = found.get(one.gpu)
        if known is None or view.strength > known.strength:
            found[one.gpu] = view
    return found
