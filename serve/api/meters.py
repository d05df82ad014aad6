"""What the service counts of itself, for Prometheus; labels are routes, statuses and models, never clients' words."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Final, final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, Metric
from prometheus_client.registry import Collector

__all__ = ["Meters"]

_SECONDS: Final = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 20.0)


@final
class Meters:
    """The service's counters, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        self.requests = Counter("hashwarden_serve_requests", "Requests answered, by route and status.",
                                ("route", "status"), registry=registry)  # fmt: skip
        self.seconds = Histogram("hashwarden_serve_request_seconds", "From the first line of a request to its answer.",
                                 ("route",), registry=registry, buckets=_SECONDS)  # fmt: skip
        self.shed = Counter("hashwarden_serve_shed", "Requests refused to protect the others, by reason.", ("reason",),
                            registry=registry)  # fmt: skip
        self.refused = Counter("hashwarden_serve_access_refused", "Requests of unknown or unauthorised clients.",
                               ("status",), registry=registry)  # fmt: skip
        self.in_flight = Gauge("hashwarden_serve_in_flight", "Requests that are being answered.", registry=registry)
        self.waiting = Gauge("hashwarden_serve_waiting", "Requests that wait to be answered.", registry=registry)
        self.connections = Gauge("hashwarden_serve_connections", "Open connections.", registry=registry)
        self.cut = Counter("hashwarden_serve_connections_cut", "Connections closed on clients, by reason.", ("reason",),
                           registry=registry)  # fmt: skip
        self.reloads = Counter("hashwarden_serve_reloads", "Tokens and certificates read again, by result.",
                               ("result",), registry=registry)  # fmt: skip

    def follow(self, scored: Callable[[], Mapping[str, int]]) -> None:
        """Tell, from now on, how many samples each model scored."""
        self.registry.register(_Scored(scored))

    def exposition(self) -> bytes:
        """The text that Prometheus reads."""
        return generate_latest(_Plain(self.registry))


@final
class _Plain(CollectorRegistry):
    """The same without the time at which each counter was made: nobody asked for those."""

    def __init__(self, registry: CollectorRegistry) -> None:
        super().__init__()
        self._of = registry

    def collect(self) -> Iterator[Metric]:
        """All of them."""
        for metric in self._of.collect():
            metric.samples = [each for each in metric.samples if not each.name.endswith("_created")]
            yield metric


@final
class _Scored(Collector):
    """Asked when somebody wants to know."""

    def __init__(self, scored: Callable[[], Mapping[str, int]]) -> None:
        self._scored = scored

    def collect(self) -> Iterator[Metric]:
        """One counter."""
        found = CounterMetricFamily("hashwarden_serve_samples_scored", "Samples scored, by model.", labels=("model",))
        for model, rows in self._scored().items():
            found.add_metric([model], rows)
        yield found
