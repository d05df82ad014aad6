"""Metrics by OpenTelemetry, for sites that push: the same numbers as /metrics, sent from time to time by OTLP."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Final, final

from hashwarden.errors import MissingExtraError
from hashwarden.version import __version__

if TYPE_CHECKING:
    from hashwarden.serve.agent.config import TelemetrySection
    from hashwarden.serve.agent.show import Show

__all__ = ["Telemetry"]

_GAUGES: Final = ("evidence_ratio", "sample_age_seconds", "class_probability_ratio", "watched_state", "cases",
                  "blind_now", "source_success", "jobs", "ready", "actions_pending")  # fmt: skip
_COUNTERS: Final = ("verdicts", "actions", "alerts", "blind", "gpu_seconds", "blind_gpu_seconds", "audit_errors")


@final
class Telemetry:
    """Sends, if the configuration names where.

    Parameters
    ----------
    section : TelemetrySection
    show : Show

    Raises
    ------
    MissingExtraError
        If it is wanted and OpenTelemetry is not installed.
    """

    def __init__(self, section: TelemetrySection, show: Show) -> None:
        self._provider: Any = None
        self._show = show
        if not section.otlp_endpoint:
            return
        try:
            from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
            from opentelemetry.sdk.metrics import MeterProvider
            from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
            from opentelemetry.sdk.resources import Resource
        except ImportError:
            raise MissingExtraError.of("opentelemetry-exporter-otlp-proto-http", "otel") from None
        reader = PeriodicExportingMetricReader(
            OTLPMetricExporter(endpoint=section.otlp_endpoint), export_interval_millis=1000 * section.interval_s
        )
        resource = Resource.create({"service.name": "hashwarden-agent", "service.version": __version__})
        self._provider = MeterProvider(metric_readers=[reader], resource=resource)
        self._observe(self._provider.get_meter("hashwarden", __version__))

    def close(self) -> None:
        """Send the last numbers, for a second at most."""
        if self._provider is not None:
            self._provider.shutdown(timeout_millis=1000)

    def _observe(self, meter: Any) -> None:  # noqa: ANN401
        for name in _GAUGES:
            meter.create_observable_gauge(f"hashwarden.{name}", [self._reader(name)])
        for name in _COUNTERS:
            meter.create_observable_counter(f"hashwarden.{name}", [self._reader(f"{name}_total")])

    def _reader(self, name: str) -> Any:  # noqa: ANN401
        from opentelemetry.metrics import Observation

        def read(_: object) -> Iterable[Any]:
            for sample in self._show.samples():
                if sample.name == f"hashwarden_{name}":
                    yield Observation(sample.value, dict(sample.labels))

        return read
