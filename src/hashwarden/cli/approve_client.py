"""Speaking with a running agent, through its Unix socket: HTTP, and the kernel tells the agent who asks."""

from __future__ import annotations

import http.client
import json
import os
import socket
from collections.abc import Mapping
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final, final

from hashwarden.errors import DataError, HashwardenError, PrivilegeError, UsageError
from hashwarden.serve.scan.text import printable, shorten

__all__ = ["LARGEST", "SOCKET", "ask", "default_socket"]

SOCKET: Final = Path("/run/hashwarden/agent.sock")
"""Where the agent listens if it was not told otherwise."""

LARGEST: Final = 64 << 20
_TIMEOUT_S: Final = 30.0
_STARTS: Final = "See 'systemctl status hashwarden-agent', or name another with --socket."


def default_socket() -> Path:
    """``$HASHWARDEN_SOCKET``, else `SOCKET`."""
    return Path(os.environ.get("HASHWARDEN_SOCKET") or SOCKET)


@final
class _Connection(http.client.HTTPConnection):
    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=_TIMEOUT_S)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(_TIMEOUT_S)
        self.sock.connect(str(self._path))


def ask(path: Path, method: str, page: str, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Ask the agent.

    Parameters
    ----------
    path : Path
        Of the socket.
    method, page : str
        Of HTTP.
    body : mapping, optional
        Sent as JSON.

    Returns
    -------
    dict
        The answer.

    Raises
    ------
    UsageError
        If no agent answers there, or it says that this cannot be meant.
    PrivilegeError
        If this user may not.
    DataError
        If the agent cannot do it now, or what answers is no agent.
    """
    connection = _Connection(path)
    try:
        content = None if body is None else json.dumps(body).encode()
        connection.request(method, page, content, {"Content-Type": "application/json"} if content else {})
        answer = connection.getresponse()
        status, text = answer.status, answer.read(LARGEST + 1)
    except PermissionError as error:
        raise PrivilegeError("this user may not open the agent's socket", "root, or its group",
                             "Ask as root, or as one of its approvers.", where=str(path)) from error  # fmt: skip
    except (http.client.HTTPException, TimeoutError) as error:
        raise DataError(f"no answer ({type(error).__name__})", "an agent of hashwarden", _STARTS,
                        where=str(path)) from error  # fmt: skip
    except OSError as error:
        raise UsageError(f"no agent answers ({error.strerror or error})", "a running agent", _STARTS,
                         where=str(path)) from error  # fmt: skip
    finally:
        connection.close()
    return _read(status, text, path)


def _read(status: int, text: bytes, path: Path) -> dict[str, Any]:
    try:
        found = json.loads(text) if len(text) <= LARGEST else None
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise DataError("an answer that is no JSON object", "an agent of hashwarden", _STARTS, where=str(path))
    if status == HTTPStatus.OK:
        return found
    raise _refused(status, shorten(printable(str(found.get("error", "no reason given"))), 500), path)


def _refused(status: int, words: str, path: Path) -> HashwardenError:
    if status == HTTPStatus.FORBIDDEN:
        return PrivilegeError(words, "a user who may", "Ask as root, or as one of the agent's approvers.",
                              where=str(path))  # fmt: skip
    if status in {HTTPStatus.CONFLICT, HTTPStatus.NOT_FOUND, HTTPStatus.BAD_REQUEST}:
        return UsageError(words, "what the agent can do", "'hashwarden cases' lists what is open.", where=str(path))
    return DataError(f"{words} (HTTP {status})", "an agent that can do it now", "See its log.", where=str(path))
