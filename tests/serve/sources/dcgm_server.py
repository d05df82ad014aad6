"""A real HTTP server on loopback that answers as a test tells it, and the text of a dcgm-exporter."""

from __future__ import annotations

import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from hashwarden.serve.sources import dcgm
from hashwarden.serve.sources.dcgm import DcgmSource
from hashwarden.serve.sources.health import Backoff
from hashwarden.serve.sources.source import Options

GPUS = ("GPU-6d4b8c1e-0000-4b00-8000-000000000001", "GPU-6d4b8c1e-0000-4b00-8000-000000000002")
LABELS = 'pci_bus_id="00000000:04:00.0",device="nvidia{gpu}",modelName="NVIDIA H100 80GB HBM3"'


def line(name: str, value: object, gpu: int = 0, uuid: str = "", host: str = "n1", more: str = "") -> str:
    """One line as dcgm-exporter writes it."""
    labels = f'gpu="{gpu}",UUID="{uuid or GPUS[gpu]}",{LABELS.format(gpu=gpu)},Hostname="{host}"'
    return f"{name}{{{labels}{',' + more if more else ''}}} {value}\n"


def page(power: float = 350.5, gpus: int = 1, more: str = "", **options: str) -> str:
    """A scrape of the default counters; power makes it another one."""
    text = ""
    values = {"DCGM_FI_DEV_POWER_USAGE": power, "DCGM_FI_DEV_GPU_UTIL": 97, "DCGM_FI_PROF_SM_ACTIVE": 0.5}
    for name, value in values.items():
        text += f"# HELP {name} help\n# TYPE {name} gauge\n"
        text += "".join(line(name, value, gpu, **options) for gpu in range(gpus))
    return text + more


class Exporter:
    """What the server does: `body`, `status` and `headers`, or whatever `act` does with the request."""

    def __init__(self) -> None:
        self.body: str | bytes = page()
        self.status, self.headers = 200, {"Content-Type": "text/plain; version=0.0.4"}
        self.act: Callable[[BaseHTTPRequestHandler], None] | None = None
        self.asked: list[tuple[str, dict[str, str], bytes]] = []
        self.url, self.port = "", 0
        self.over = threading.Event()

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        length = int(handler.headers.get("Content-Length", 0))
        self.asked.append((handler.path, dict(handler.headers), handler.rfile.read(length)))
        if self.act is not None:
            self.act(handler)
            return
        body = self.body.encode() if isinstance(self.body, str) else self.body
        handler.send_response(self.status)
        for name, value in {**self.headers, "Content-Length": str(len(body))}.items():
            handler.send_header(name, value)
        handler.end_headers()
        handler.wfile.write(body)

    def drip(self, handler: BaseHTTPRequestHandler) -> None:
        """A byte now and then, for ever: each comes in time, the whole never does."""
        handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\n")
        while not self.over.wait(0.02):
            handler.wfile.write(b"#")
            handler.wfile.flush()

    def hang(self, handler: BaseHTTPRequestHandler) -> None:
        """Nothing."""
        self.over.wait(30)


@contextmanager
def serving(secure: ssl.SSLContext | None = None, make: Callable[[], Exporter] = Exporter) -> Iterator[Exporter]:
    """A server in a thread; what hangs in it ends with it."""
    exporter = make()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            try:
                exporter.answer(self)
            except (BrokenPipeError, ConnectionResetError):
                self.close_connection = True

        do_POST = do_GET  # noqa: N815

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    if secure is not None:
        server.socket = secure.wrap_socket(server.socket, server_side=True)
    exporter.port = server.server_address[1]
    exporter.url = f"http://127.0.0.1:{exporter.port}/metrics"
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield exporter
    finally:
        exporter.over.set()
        server.shutdown()
        server.server_close()
        thread.join()


class Clock:
    """Stands still until it is told."""

    def __init__(self, now: float = 1000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


def wait_until(true: Callable[[], bool], seconds: float = 10.0) -> bool:
    """Look every 50 ms whether something is true."""
    until = time.monotonic() + seconds
    while not (found := true()) and time.monotonic() < until:
        time.sleep(0.05)
    return found


@pytest.fixture
def exporter():
    with serving() as found:
        yield found


@pytest.fixture
def make(exporter, monkeypatch):
    """A source on the exporter, on a clock that stands still."""
    monkeypatch.setattr(dcgm, "ANSWER_S", 0.5)
    clock = Clock()

    def build(local=frozenset(), **options):
        options = {"dcgm_url": exporter.url, **options}
        source = DcgmSource(
            Options(**options), clock=clock, unix=lambda: 1e9 + clock.now, local=lambda: local,
            backoff=Backoff(0.0, 0.0), environment={},
        )  # fmt: skip
        source.clock = clock
        return source

    return build


@pytest.fixture
def opened(make):
    def build(**options):
        source = make(**options)
        source.open()
        return source

    return build


def later(source, seconds=30.0):
    source.clock.now += seconds
    return source.read()
