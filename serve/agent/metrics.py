"""The agent's metrics in Prometheus' form: made anew from what the agent knows whenever somebody asks.

Names follow prometheus.io/docs/practices/naming; labels are bounded: GPUs of the node, names from our own tables.
Jobs, users and pods are no labels: they are in the log and in the cases.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, final

from hashwarden.errors import MissingExtraError
from hashwarden.serve.sources.health import Health
from hashwarden.version import __version__

if TYPE_CHECKING:
    from prometheus_client.core import Metric

__all__ = ["BUCKETS_S", "GpuView", "Histogram", "Snapshot", "exposition", "samples"]

BUCKETS_S: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)


@final
class Histogram:
    """Counts of durations below bounds."""

    def __init__(self) -> None:
        self.counts = [0] * (len(BUCKETS_S) + 1)
        self.sum = 0.0

    def add(self, seconds: float) -> None:
        """Count one."""
        self.counts[next((i for i, most in enumerate(BUCKETS_S) if seconds <= most), len(BUCKETS_S))] += 1
        self.sum += seconds


@final
@dataclass(frozen=True, slots=True)
class GpuView:
    """One GPU, if exactly one job is on it; of several, the worst."""

    strength: float
    age_s: float
    probabilities: Mapping[str, float]


@final
@dataclass(slots=True)
class Snapshot:
    """Everything that metrics are made of.

    Attributes
    ----------
    model, policy : mapping of str to str
        Labels of their info metrics.
    sources : mapping of str to Health
    gpus : mapping of str to GpuView
        By UUID.
    states : mapping of str to int
        Jobs on GPUs by state.
    cases, blind : mapping of str to int
        Open cases by step, blindness now by kind.
    totals : mapping of (metric, labels) to float
        Counters: the name without prefix and ``_total``; labels as a tuple of pairs.
    ticks : Histogram
    values : mapping of str to float
        Gauges without labels.
    """

    model: Mapping[str, str] = field(default_factory=dict)
    policy: Mapping[str, str] = field(default_factory=dict)
    sources: Mapping[str, Health] = field(default_factory=dict)
    gpus: Mapping[str, GpuView] = field(default_factory=dict)
    states: Mapping[str, int] = field(default_factory=dict)
    cases: Mapping[str, int] = field(default_factory=dict)
    blind: Mapping[str, int] = field(default_factory=dict)
    totals: Counter[tuple[str, tuple[tuple[str, str], ...]]] = field(default_factory=Counter)
    ticks: Histogram = field(default_factory=Histogram)
    values: Mapping[str, float] = field(default_factory=dict)


_HELP: Final[Mapping[str, str]] = {
    "verdicts": "Verdicts that changed state, by the new state.",
    "actions": "Actions that ended, by result.",
    "alerts": "Alerts of the policy, by kind.",
    "blind": "Times that something could not be seen, by kind.",
    "gpu_seconds": "GPU time that was watched, by class.",
    "blind_gpu_seconds": "GPU time that could not be seen, by reason.",
    "ticks_missed": "Ticks that passed while another took too long.",
    "clock_jumps": "Jumps of the wall clock.",
    "audit_records": "Records written to the audit log.",
    "audit_errors": "Records that could not be written.",
    "audit_lost": "Records that were lost because too many could not be written.",
    "jobs_begun": "Jobs that were seen to begin.",
    "job_events": "What the mapping from processes to jobs counted.",
    "source_events": "What a source counted beside its readings: what was lost, what could not be joined.",
    "samples": "Samples of jobs.",
    "reloads": "Reloads of the policy, by result.",
    "jobs": "Jobs known now.",
    "ready": "Whether every start-up step is done and no source that was asked for is away.",
    "actions_pending": "Actions that wait for a scheduler.",
    "window_samples": "Raw samples in memory.",
    "model_outdated": "Whether another model is in service than the one that this agent scores with.",
    "start_time_seconds": "When the agent started, seconds since 1970.",
}


def exposition(snapshot: Snapshot) -> bytes:
    """The text that Prometheus scrapes.

    Raises
    ------
    MissingExtraError
        If prometheus_client is not installed.
    """
    try:
        from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
    except ImportError:
        raise MissingExtraError.of("prometheus-client", "node") from None
    registry = CollectorRegistry()
    registry.register(_Collector(snapshot))
    ProcessCollector(namespace="hashwarden", registry=registry)
    return generate_latest(registry)


def samples(snapshot: Snapshot) -> Iterator[Any]:
    """The same as `prometheus_client.samples.Sample`, for those that send them elsewhere."""
    for family in _Collector(snapshot).collect():
        yield from family.samples


class _Collector:
    def __init__(self, snapshot: Snapshot) -> None:
        self._now = snapshot

    def collect(self) -> Iterator[Metric]:
        yield from _infos(self._now)
        yield from _sources(self._now.sources)
        yield from _gpus(self._now.gpus)
        yield from _groups(self._now)
        yield from _totals(self._now.totals)
        yield from _ticks(self._now.ticks)
        for name, value in self._now.values.items():
            yield _gauge(name, _HELP[name], (), [((), value)])

    describe = collect


def _gauge(name: str, text: str, labels: Iterable[str], rows: Iterable[tuple[tuple[str, ...], float]]) -> Metric:
    from prometheus_client.core import GaugeMetricFamily

    family = GaugeMetricFamily(f"hashwarden_{name}", text, labels=tuple(labels))
    for values, value in rows:
        family.add_metric(values, value)
    return family


def _counter(name: str, text: str, labels: Iterable[str], rows: Iterable[tuple[tuple[str, ...], float]]) -> Metric:
    from prometheus_client.core import CounterMetricFamily

    family = CounterMetricFamily(f"hashwarden_{name}", text, labels=tuple(labels))
    for values, value in rows:
        family.add_metric(values, value)
    return family


def _infos(now: Snapshot) -> Iterator[Metric]:
    for name, text, labels in (
        ("build_info", "Version of hashwarden.", {"version": __version__}),
        ("model_info", "The job model that scores.", dict(now.model)),
        ("policy_info", "The policy in force.", dict(now.policy)),
    ):
        if labels:
            yield _gauge(name, text, labels, [(tuple(labels.values()), 1.0)])


def _sources(sources: Mapping[str, Health]) -> Iterator[Metric]:
    def of(pick: Any) -> list[tuple[tuple[str, ...], float]]:  # noqa: ANN401
        return [((name,), float(pick(health))) for name, health in sources.items()]

    label = ("source",)
    yield _gauge("source_success", "Whether the last reading that ended was one.", label, of(lambda h: h.success))
    yield _gauge("source_duration_seconds", "How long it took.", label, of(lambda h: h.duration_s))
    yield _counter("source_busy_seconds", "All readings together.", label, of(lambda h: h.busy_s))
    yield _counter("source_reads", "Readings.", label, of(lambda h: h.reads))
    yield _counter("source_failures", "Readings and openings that failed.", label, of(lambda h: h.failures))
    yield _counter("source_hangs", "Times that a source did not come back.", label, of(lambda h: h.hangs))
    yield _counter("source_opens", "Times that a source was opened.", label, of(lambda h: h.opens))


def _gpus(gpus: Mapping[str, GpuView]) -> Iterator[Metric]:
    label = ("gpu_uuid",)
    yield _gauge("evidence_ratio", "Evidence of mining: 0 none, 1 confirmed, on a logarithmic scale.", label,
                 [((gpu,), view.strength) for gpu, view in gpus.items()])  # fmt: skip
    yield _gauge("sample_age_seconds", "Since the newest sample.", label,
                 [((gpu,), view.age_s) for gpu, view in gpus.items()])  # fmt: skip
    rows = [((gpu, name), p) for gpu, view in gpus.items() for name, p in view.probabilities.items()]
    text = "Probability of a class of work, mean of about a minute."
    yield _gauge("class_probability_ratio", text, ("gpu_uuid", "class"), rows)


def _groups(now: Snapshot) -> Iterator[Metric]:
    for name, text, label, counts in (
        ("watched_state", "Jobs on GPUs by state of the evidence.", "state", now.states),
        ("cases", "Open cases by step.", "step", now.cases),
        ("blind_now", "What cannot be seen now, by kind.", "kind", now.blind),
    ):
        yield _gauge(name, text, (label,), [((key,), float(count)) for key, count in counts.items()])


def _totals(totals: Mapping[tuple[str, tuple[tuple[str, str], ...]], float]) -> Iterator[Metric]:
    names: dict[str, list[tuple[tuple[tuple[str, str], ...], float]]] = {}
    for (name, labels), value in sorted(totals.items()):
        names.setdefault(name, []).append((labels, value))
    for name, rows in names.items():
        keys = [key for key, _ in rows[0][0]]
        yield _counter(name, _HELP[name], keys, [(tuple(v for _, v in labels), value) for labels, value in rows])


def _ticks(ticks: Histogram) -> Iterator[Metric]:
    from prometheus_client.core import HistogramMetricFamily

    family = HistogramMetricFamily(
        "hashwarden_tick_duration_seconds", "Work of one tick, waiting for sources included."
    )
    below, buckets = 0, []
    for bound, count in zip([*map(str, BUCKETS_S), "+Inf"], ticks.counts, strict=True):
        below += count
        buckets.append((bound, float(below)))
    family.add_metric((), buckets, ticks.sum)
    yield family
