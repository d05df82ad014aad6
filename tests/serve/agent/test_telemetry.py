"""Metrics pushed by OTLP: a real collector over real HTTP gets the numbers of /metrics, and none holds the agent up."""

from __future__ import annotations

import gzip
import socket
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

from hashwarden.serve.agent.config import TelemetrySection
from hashwarden.serve.agent.telemetry import Telemetry

MINER = "mining-progpow-plain"
GPU = "GPU-00000000-stand-in"
CLOSE_S = 2.0
LABELS = {"gpu_uuid", "class", "state", "step", "kind", "source", "result"}


class Collector:
    """Takes what is sent to it; answers with `status`."""

    def __init__(self, status: int = 200) -> None:
        self.requests: list[ExportMetricsServiceRequest] = []
        self.heard = threading.Event()
        collector = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                body = gzip.decompress(body) if self.headers.get("Content-Encoding") == "gzip" else body
                collector.requests.append(ExportMetricsServiceRequest.FromString(body))
                collector.heard.set()
                self.send_response(status)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/v1/metrics"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def numbers(self) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
        """The newest of each, by name and labels."""
        found = {}
        for request in self.requests:
            for metric in (m for r in request.resource_metrics for s in r.scope_metrics for m in s.metrics):
                for point in (*metric.gauge.data_points, *metric.sum.data_points):
                    labels = tuple(sorted((pair.key, pair.value.string_value) for pair in point.attributes))
                    value = point.as_double if point.HasField("as_double") else float(point.as_int)
                    found[metric.name, labels] = value
        return found


@pytest.fixture
def collector() -> Iterator[Collector]:
    made = Collector()
    yield made
    made.close()


def section(url: str, interval_s: float = 3600.0) -> TelemetrySection:
    return TelemetrySection.model_construct(otlp_endpoint=url, interval_s=interval_s)


def closing(telemetry: Telemetry) -> float:
    start = time.monotonic()
    telemetry.close()
    return time.monotonic() - start


def test_the_numbers_of_the_metrics_arrive_with_bounded_labels(rig, worker, demo, collector):
    one = rig()
    one.more = [f"pid {worker.pid}"]
    one.play(demo[MINER], 120)
    telemetry = Telemetry(section(collector.url), one.agent.show)
    assert closing(telemetry) < CLOSE_S
    sent = {key: value for key, value in collector.numbers().items() if key[0].startswith("hashwarden.")}
    shown = {
        (sample.name.replace("_", ".", 1).removesuffix("_total"), tuple(sorted(sample.labels.items()))):
        sample.value for sample in one.agent.show.samples()
    }  # fmt: skip
    assert sent == {key: value for key, value in shown.items() if key[0] in {name for name, _ in sent}}
    assert sent["hashwarden.evidence_ratio", (("gpu_uuid", GPU),)] > 0.5
    assert sent["hashwarden.jobs", ()] == 1
    assert sent["hashwarden.verdicts", (("state", "confirmed"),)] == 1
    assert {name for _, labels in sent for name, _ in labels} <= LABELS
    assert not any(str(worker.pid) in value for _, labels in sent for _, value in labels)
    [resource] = collector.requests[-1].resource_metrics
    assert {pair.key: pair.value.string_value for pair in resource.resource.attributes}["service.name"] == (
        "hashwarden-agent"
    )


def test_they_are_sent_from_time_to_time(rig, collector):
    one = rig()
    one.idle(2)
    telemetry = Telemetry(section(collector.url, 0.1), one.agent.show)
    assert collector.heard.wait(20)
    one.idle(2)
    closing(telemetry)
    assert ("hashwarden.jobs", ()) in collector.numbers()


def test_a_collector_that_refuses_or_is_down_costs_nothing(rig):
    one = rig()
    refusing = Collector(503)
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        for url in (refusing.url, f"http://127.0.0.1:{unused.getsockname()[1]}/v1/metrics"):
            telemetry = Telemetry(section(url, 0.05), one.agent.show)
            one.idle(20)
            assert one.agent.show.alive()
            assert closing(telemetry) < CLOSE_S, url
    assert refusing.requests
    refusing.close()


def test_a_collector_that_hangs_holds_up_neither_the_watching_nor_the_end(rig):
    one = rig()
    one.idle(2)
    with socket.create_server(("127.0.0.1", 0)) as silent:  # takes connections, and never answers
        silent.settimeout(20)
        telemetry = Telemetry(section(f"http://127.0.0.1:{silent.getsockname()[1]}/v1/metrics", 0.05), one.agent.show)
        link, _ = silent.accept()
        one.idle(20)
        assert closing(telemetry) < CLOSE_S
        link.close()


def test_nothing_is_sent_unless_it_is_asked_for(rig):
    before = threading.active_count()
    telemetry: Any = Telemetry(TelemetrySection(), rig().agent.show)
    names = [thread.name for thread in threading.enumerate()[before:]]
    assert not any("Otel" in name for name in names)
    telemetry.close()
