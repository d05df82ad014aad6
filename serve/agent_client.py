"""Speaking with a running agent by its Unix socket, or with a service by its URL: the same JSON pages.

On the socket the kernel tells the agent who asks; to a service a token says it.
"""

from __future__ import annotations

import http.client
import json
import os
import socket
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final, final
from urllib.parse import urlsplit

from hashwarden.errors import DataError, HashwardenError, PrivilegeError, UsageError
from hashwarden.serve.scan.text import printable, shorten

__all__ = ["LARGEST", "SOCKET", "TIMEOUT_S", "Peer", "answered", "ask", "default_socket", "url_peer"]

SOCKET: Final = Path("/run/hashwarden/agent.sock")
"""Where the agent listens if it was not told otherwise."""

LARGEST: Final = 64 << 20
TIMEOUT_S: Final = 30.0
_TOKEN_BYTES: Final = 4096
_STARTS: Final = "See 'systemctl status hashwarden-agent', or name another with --socket."
_LOCAL: Final = frozenset({"localhost", "127.0.0.1", "::1"})


def default_socket() -> Path:
    """``$HASHWARDEN_SOCKET``, else `SOCKET`."""
    return Path(os.environ.get("HASHWARDEN_SOCKET") or SOCKET)


@final
@dataclass(frozen=True, slots=True)
class Peer:
    """Who is asked: an agent's socket, or a service.

    Attributes
    ----------
    socket : Path or None
        Of an agent; None for a service.
    url : str
        Of a service.
    token : str
        Of a service; empty for none. Not in the representation.
    ca_file : Path or None
        Certificates that the service's has to be signed by, instead of the system's.
    """

    socket: Path | None = None
    url: str = ""
    token: str = field(default="", repr=False)
    ca_file: Path | None = None

    @property
    def where(self) -> str:
        """For people."""
        return str(self.socket) if self.socket is not None else self.url


def url_peer(url: str, token_file: Path | None = None, ca_file: Path | None = None) -> Peer:
    """A service by its URL.

    Raises
    ------
    UsageError
        If the URL cannot be meant, the token would go over the network in clear, or a file cannot be read.
    """
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.username or parts.query or parts.fragment:
        raise UsageError(f"the URL {printable(url)[:80]!r}", "http:// or https://, a host, a port", "Correct --url.")
    token = "" if token_file is None else _token(token_file)
    if token and parts.scheme == "http" and parts.hostname not in _LOCAL:
        raise UsageError("a token for http", "https, or a service of this machine",
                         "Whoever listens would have the token; use https.", where=printable(url)[:80])  # fmt: skip
    return Peer(url=url.rstrip("/"), token=token, ca_file=ca_file)


def _token(path: Path) -> str:
    try:
        with path.open("rb") as file:
            token = file.read(_TOKEN_BYTES).decode("ascii").strip()
    except (OSError, ValueError) as error:
        raise UsageError(f"no token ({type(error).__name__})", "a file with one token", "Correct --token-file.",
                         where=str(path)) from None  # fmt: skip
    if not token or not token.isprintable() or " " in token:
        raise UsageError("a file that holds no single token", "one token", "Correct --token-file.", where=str(path))
    return token


@final
class _Connection(http.client.HTTPConnection):
    def __init__(self, path: Path, timeout_s: float) -> None:
        super().__init__("localhost", timeout=timeout_s)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


def _connection(peer: Peer, timeout_s: float) -> tuple[http.client.HTTPConnection, str]:
    """A connection, and what stands before the path of each page."""
    if peer.socket is not None:
        return _Connection(peer.socket, timeout_s), ""
    parts = urlsplit(peer.url)
    if parts.scheme == "http":
        return http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=timeout_s), parts.path
    trust = ssl.create_default_context(cafile=peer.ca_file)
    return http.client.HTTPSConnection(parts.hostname or "", parts.port, timeout=timeout_s, context=trust), parts.path


def answered(
    peer: Peer, method: str, page: str, body: Mapping[str, Any] | None = None, timeout_s: float = TIMEOUT_S
) -> tuple[int, dict[str, Any]]:
    """Ask, and give the HTTP status and the answer, whatever they are.

    Raises
    ------
    UsageError
        If nobody answers there.
    PrivilegeError
        If this user may not open the socket.
    DataError
        If what answers is no agent or service.
    """
    content = None if body is None else json.dumps(body).encode()
    head = {"Content-Type": "application/json"} if content else {}
    head |= {"Authorization": f"Bearer {peer.token}"} if peer.token else {}
    connection: http.client.HTTPConnection | None = None
    try:
        connection, prefix = _connection(peer, timeout_s)
        connection.request(method, prefix + page, content, head)
        answer = connection.getresponse()
        status, text = answer.status, answer.read(LARGEST + 1)
    except (http.client.HTTPException, OSError) as error:
        raise _silent(error, peer) from error
    finally:
        if connection is not None:
            connection.close()
    return status, _read(text, peer)


def ask(path: Path | Peer, method: str, page: str, body: Mapping[str, Any] | None = None,
        timeout_s: float = TIMEOUT_S) -> dict[str, Any]:  # fmt: skip
    """Ask the agent or the service.

    Parameters
    ----------
    path : Path or Peer
        Of the socket, or whom.
    method, page : str
        Of HTTP.
    body : mapping, optional
        Sent as JSON.
    timeout_s : float
        How long one read or write may take, in seconds.

    Returns
    -------
    dict
        The answer.

    Raises
    ------
    UsageError
        If nobody answers there, or it says that this cannot be meant.
    PrivilegeError
        If this user may not.
    DataError
        If it cannot be done now, or what answers is neither agent nor service.
    """
    peer = Peer(path) if isinstance(path, Path) else path
    status, found = answered(peer, method, page, body, timeout_s)
    if status == HTTPStatus.OK:
        return found
    raise _refused(status, shorten(printable(str(found.get("error", "no reason given"))), 500), peer)


def _silent(error: Exception, peer: Peer) -> HashwardenError:
    """Why there was no answer."""
    if isinstance(error, PermissionError):
        return PrivilegeError("this user may not open the agent's socket", "root, or its group",
                              "Ask as root, or as one of its approvers.", where=peer.where)  # fmt: skip
    if isinstance(error, http.client.HTTPException | TimeoutError):
        return DataError(f"no answer ({type(error).__name__})", "an agent of hashwarden", _STARTS, where=peer.where)
    words = printable(str(getattr(error, "strerror", None) or error))
    if peer.socket is None:
        return UsageError(f"no service answers ({words})", "a running service", "Correct --url, or start it.",
                          where=peer.where)  # fmt: skip
    return UsageError(f"no agent answers ({words})", "a running agent", _STARTS, where=peer.where)


def _read(text: bytes, peer: Peer) -> dict[str, Any]:
    try:
        found = json.loads(text) if len(text) <= LARGEST else None
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise DataError("an answer that is no JSON object", "an agent of hashwarden", _STARTS, where=peer.where)
    return found


def _refused(status: int, words: str, peer: Peer) -> HashwardenError:
    if status in {HTTPStatus.FORBIDDEN, HTTPStatus.UNAUTHORIZED}:
        remedy = "Ask as root, or as one of the agent's approvers." if peer.socket else "Give another --token-file."
        return PrivilegeError(words, "a user who may", remedy, where=peer.where)
    if status in {HTTPStatus.CONFLICT, HTTPStatus.NOT_FOUND, HTTPStatus.BAD_REQUEST}:
        return UsageError(words, "what the agent can do", "'hashwarden cases' lists what is open.", where=peer.where)
    return DataError(f"{words} (HTTP {status})", "an agent that can do it now", "See its log.", where=peer.where)
