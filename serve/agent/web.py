"""The agent's HTTP: a small WSGI server with bounds on threads, time and size, on TCP and on a Unix socket.

On the socket the kernel says who asks (SO_PEERCRED); on TCP nobody can do more than read /metrics and health.

A browser can come to the socket through ``ssh -L``. A page of somebody else must not use it then: requests under a
foreign name (DNS rebinding) and changes that another site asks for are refused.
"""

from __future__ import annotations

import ipaddress
import json
import os
import socket
import stat
import threading
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final, final
from urllib.parse import parse_qsl

from hashwarden.errors import MissingExtraError, UsageError
from hashwarden.serve.agent.logs import said

__all__ = ["BODY_BYTES", "Answer", "Handler", "Peer", "Request", "Server", "application", "foreign", "json_answer"]

BODY_BYTES: Final = 64 * 1024
_THREADS: Final = 16
_TIMEOUT_S: Final = 2
"""A client that says nothing for so long loses its thread."""
_IDLE_S: Final = 1.0
"""So often a server wakes up that nobody asks."""
_REQUEST_S: Final = 4.0
"""So long a request may take from its first byte to the last of its answer: one byte a second is no silence."""

_WAITING: Final = 32


@final
@dataclass(frozen=True, slots=True)
class Peer:
    """Who asks, as the kernel says; -1 where it does not."""

    uid: int = -1
    gid: int = -1
    pid: int = -1


@final
@dataclass(frozen=True, slots=True)
class Request:
    """What is asked.

    Attributes
    ----------
    method, path : str
        The path is decoded, without its query.
    query : mapping of str to str
        The first value of each name.
    headers : mapping of str to str
        By lower-case name.
    body : bytes
    peer : Peer
    """

    method: str
    path: str
    query: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    peer: Peer = Peer()


@final
@dataclass(frozen=True, slots=True)
class Answer:
    """What is answered; `headers` come on top of the usual ones, and win over them."""

    status: HTTPStatus
    body: bytes
    kind: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)


Handler = Callable[[Request], Answer]
"""From a request to an answer."""


def json_answer(status: HTTPStatus, value: object) -> Answer:
    """An answer in JSON."""
    return Answer(status, json.dumps(value, ensure_ascii=True, allow_nan=False).encode() + b"\n")


def application(handler: Handler) -> Callable[..., Iterable[bytes]]:
    """The WSGI application around a handler; what the handler raises becomes a 500 without details."""

    def answer(environ: Mapping[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        try:
            found = handler(_request(environ))
        except Exception as error:  # a fault of ours must not end the thread that answers
            said("error", "a request failed", path=environ.get("PATH_INFO", ""), error=repr(error))
            found = json_answer(HTTPStatus.INTERNAL_SERVER_ERROR, {"error": "a fault of the agent; see its log"})
        head = {"Content-Type": found.kind, "Content-Length": str(len(found.body)), "Cache-Control": "no-store",
                "X-Content-Type-Options": "nosniff", **found.headers}  # fmt: skip
        start(f"{found.status.value} {found.status.phrase}", list(head.items()))
        return [b"" if environ["REQUEST_METHOD"] == "HEAD" else found.body]

    return answer


def _request(environ: Mapping[str, Any]) -> Request:
    query = dict(reversed(parse_qsl(environ.get("QUERY_STRING", ""), keep_blank_values=True, max_num_fields=100)))
    headers = {name[5:].lower().replace("_", "-"): value for name, value in environ.items() if name[:5] == "HTTP_"}
    headers["content-type"] = environ.get("CONTENT_TYPE", "")
    path = environ["PATH_INFO"].encode("latin-1").decode("utf-8", "replace")
    return Request(environ["REQUEST_METHOD"], path, query, headers, _body(environ), _peer(environ))


def foreign(request: Request) -> str:
    """Why a browser must not be answered, in words; empty if it may, or if it is none.

    Names with a dot in them, but for addresses of the loopback, can be made to lead here by anybody.
    """
    host = request.headers.get("host", "")
    if not _is_near(host.rpartition("]")[0].strip("[") or host.partition(":")[0]):
        return f"a request to {host!r}"
    if request.method in ("GET", "HEAD"):
        return ""
    origin, site = request.headers.get("origin"), request.headers.get("sec-fetch-site", "none")
    if origin is not None and origin.partition("://")[2] != host:
        return f"a request that a page of {origin!r} made"
    return "" if site in ("same-origin", "none") else "a request that another site made"


def _is_near(name: str) -> bool:
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return "." not in name or name.endswith(".localhost")


def _body(environ: Mapping[str, Any]) -> bytes:
    if environ["REQUEST_METHOD"] not in ("POST", "PUT"):
        return b""
    body: bytes = environ["wsgi.input"].read(BODY_BYTES)
    return body


def _peer(environ: Mapping[str, Any]) -> Peer:
    if "X_REMOTE_UID" not in environ:
        return Peer()
    return Peer(int(environ["X_REMOTE_UID"]), int(environ["X_REMOTE_GID"]), int(environ["X_REMOTE_PID"]))


@final
class Server:
    """A server in threads of its own.

    Parameters
    ----------
    where : str or Path
        ``HOST:PORT``, ``[V6]:PORT``, or the path of a Unix socket.
    handler : Handler
    mode : int
        Of the socket's file: who may connect at all. What they may do is decided by who they are.
    group : int
        Of the socket's file; -1 for that of this process.

    Raises
    ------
    MissingExtraError
        If cheroot is not installed.
    UsageError
        If the address cannot be used.
    """

    def __init__(self, where: str | Path, handler: Handler, mode: int = 0o600, group: int = -1) -> None:
        try:
            from cheroot.wsgi import Server as Wsgi
        except ImportError:
            raise MissingExtraError.of("cheroot", "node") from None
        connection = _bounded()
        self._path = where if isinstance(where, Path) else None
        if self._path is not None:
            _make_way(self._path)
        bind: Any = str(where) if self._path else _address(str(where))
        self._server = Wsgi(
            bind, application(handler), numthreads=_THREADS, max=_THREADS, request_queue_size=_WAITING,
            timeout=_TIMEOUT_S, shutdown_timeout=1, server_name="hashwarden", peercreds_enabled=self._path is not None,
            accepted_queue_size=_WAITING, accepted_queue_timeout=_TIMEOUT_S,
        )  # fmt: skip
        self._server.ConnectionClass = connection
        self._server.max_request_body_size = BODY_BYTES
        self._server.max_request_header_size = 16 * 1024
        vars(self._server)["error_log"] = _told
        self._server.expiration_interval = _IDLE_S
        self._server.prepare()
        if self._path is not None:
            os.chown(self._path, -1, group)
            self._path.chmod(mode)
        self._thread = threading.Thread(target=self._serve, name=f"http {where}", daemon=True)
        self._thread.start()

    @property
    def port(self) -> int:
        """The TCP port; 0 of a Unix socket."""
        address = self._server.bind_addr
        return int(address[1]) if isinstance(address, tuple) else 0

    def close(self) -> None:
        """Answer what is being answered, for a second, and end."""
        self._server.stop()
        self._thread.join(2.0)
        if self._path is not None:
            with suppress(OSError):
                self._path.unlink()

    def _serve(self) -> None:
        with suppress(KeyboardInterrupt, SystemExit):
            self._server.serve()


def _bounded() -> Any:  # noqa: ANN401
    """The class of a connection whose requests end in time, whatever the client does."""
    from cheroot.server import HTTPConnection

    class Bounded(HTTPConnection):
        def communicate(self) -> Any:  # noqa: ANN401
            timer = threading.Timer(_REQUEST_S, self.give_up)
            timer.daemon = True
            timer.start()
            try:
                return super().communicate()  # type: ignore[no-untyped-call]
            finally:
                timer.cancel()

        def give_up(self) -> None:
            with suppress(OSError):
                self.socket.shutdown(socket.SHUT_RDWR)

    return Bounded


def _told(message: str = "", level: int = 20, traceback: bool = False) -> None:
    del level, traceback  # what clients send is no error of ours
    said("debug", "http", detail=message)


def _address(where: str) -> tuple[str, int]:
    host, _, port = where.rpartition(":")
    if not host or not port.isdigit() or not int(port) < 65536:
        raise UsageError(f"the address {where!r}", "HOST:PORT", "Correct http.listen, or leave it empty.")
    address = host.strip("[]"), int(port)
    try:  # cheroot would leave its socket open if this failed
        family = socket.getaddrinfo(*address, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0][0]
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as error:
        raise UsageError(str(error), "an address that is free", "Change http.listen.", where=where) from None
    return address


def _make_way(path: Path) -> None:
    """Remove the socket of an agent that was killed; anything else there is no business of ours."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with suppress(FileNotFoundError):
        if not stat.S_ISSOCK(os.lstat(path).st_mode):
            raise UsageError("it is no socket", "a socket, or nothing", "Remove it.", where=str(path))
        path.unlink()
