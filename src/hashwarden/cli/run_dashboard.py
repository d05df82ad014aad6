"""What ``hashwarden dashboard`` does."""

from __future__ import annotations

import ipaddress
import os
import signal
import tempfile
import threading
import webbrowser
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import IO, final

import typer

from hashwarden.cli.extras import needs_extra
from hashwarden.errors import UsageError

__all__ = ["Request", "run_dashboard"]


@final
@dataclass(frozen=True, slots=True)
class Request:
    """The flags of ``hashwarden dashboard``, by their names there."""

    sockets: tuple[Path, ...]
    urls: tuple[str, ...]
    token_file: Path | None
    ca_file: Path | None
    listen: str
    traces: tuple[Path, ...]
    policy: Path | None
    browser: bool
    replay: Path | None
    speed: float


def run_dashboard(request: Request) -> None:
    """Serve until SIGINT or SIGTERM."""
    _check(request)
    with needs_extra("node"), ExitStack() as open_:
        stop = threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stop.set())
        _serve(request, open_)
        while not stop.wait(1.0):
            pass


def _serve(request: Request, open_: ExitStack) -> None:
    from hashwarden.serve.agent.web import Server
    from hashwarden.serve.agent_client import Peer, default_socket, url_peer
    from hashwarden.serve.pages.dashboard import Dashboard
    from hashwarden.serve.pages.drill import POLICY, Drill

    sockets, traces, example = request.sockets, request.traces, _text(request.policy)
    if request.replay is not None:
        typer.echo(f"starting an agent that watches {request.replay} …", err=True)
        drill = Drill(request.replay, request.speed)
        open_.callback(drill.close)
        sockets, traces, example = (drill.socket, *sockets), (request.replay, *traces), example or POLICY
    elif not sockets and not request.urls:
        sockets = (default_socket(),)
    peers = [Peer(path) for path in sockets]
    peers += [url_peer(each, request.token_file, request.ca_file) for each in request.urls]
    links = _Links(browser=request.browser)
    cookie = f"hashwarden_{request.listen.rpartition(':')[2]}_{os.getpid()}"
    dashboard = Dashboard(peers, traces, links.told, example, cookie)
    open_.callback(dashboard.close)
    server = Server(request.listen, dashboard)
    open_.callback(server.close)
    links.begin(f"http://{request.listen.rpartition(':')[0]}:{server.port}")


@final
class _Links:
    """Prints each link, once it is known where the pages are; opens the first one."""

    def __init__(self, *, browser: bool) -> None:
        self._browser, self._base, self._key = browser, "", ""
        self._file: IO[str] | None = None

    def told(self, key: str) -> None:
        """Take a new secret."""
        if not self._base:
            self._key = key
            return
        typer.echo(f"the link was used; for another browser: {self._base}/?key={key}")

    def begin(self, base: str) -> None:
        """Say where the pages are."""
        self._base = base
        typer.echo(
            f"dashboard: {base}/?key={self._key}\nCtrl-C ends it. Without scripts: {base}/plain, after the link."
        )
        if self._browser:
            self._file = _page(f"{base}/?key={self._key}")
            webbrowser.open(Path(self._file.name).as_uri())


def _page(link: str) -> IO[str]:
    """A file of this user alone that leads to the link: others can read the command line of a browser."""
    file = tempfile.NamedTemporaryFile("w", prefix="hashwarden-", suffix=".html")  # noqa: SIM115  until the end
    file.write(
        f'<!doctype html><meta http-equiv="refresh" content="0;url={link}"><a href="{link}">To the dashboard</a>'
    )
    file.flush()
    return file


def _check(request: Request) -> None:
    host = request.listen.rpartition(":")[0].strip("[]")
    try:
        near = host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        near = False
    if not near:
        raise UsageError(f"--listen {request.listen}", "an address of the loopback, as 127.0.0.1:9476",
                         "From elsewhere: ssh -L 9476:127.0.0.1:9476 NODE.")  # fmt: skip
    for trace in request.traces:
        if not trace.is_file():
            raise UsageError("no such file", "a trace", "Correct --trace.", where=str(trace))


def _text(policy: Path | None) -> str:
    if policy is None:
        return ""
    try:
        return policy.read_text()[:60_000]
    except (OSError, ValueError) as error:
        raise UsageError(f"the policy cannot be read ({type(error).__name__})", "a readable file", "Correct --policy.",
                         where=str(policy)) from None  # fmt: skip
