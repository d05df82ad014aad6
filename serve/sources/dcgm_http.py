"""One bounded HTTP request, for counters: so many bytes, so many seconds, and never to another address.

The deadline holds for the whole exchange: who answers one byte a second is cut off like who never answers. There are
no redirects, no proxies and no compression, and a token is sent to nobody in the clear but this machine itself.
"""

from __future__ import annotations

import http.client
import io
import os
import re
import socket
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, cast, final
from urllib.parse import SplitResult, parse_qsl, urlsplit

from hashwarden.errors import DataError, NoDeviceError, UsageError
from hashwarden.serve.scan.text import printable, shorten

__all__ = ["CA_FILE", "TOKEN_FILE", "Address", "fetch"]

TOKEN_FILE: Final = "HASHWARDEN_DCGM_TOKEN_FILE"  # noqa: S105  a name
"""Environment: a file with a bearer token, read again for each request."""

CA_FILE: Final = "HASHWARDEN_DCGM_CA_FILE"
"""Environment: certificates to trust in place of the system's."""

_MOST_ADDRESSES: Final = 8
_MOST_TOKEN: Final = 16_384
_CHUNK: Final = 65_536
_SECRET: Final = re.compile(r"token|secret|passw|credential|auth|api[-_]?key|signature", re.IGNORECASE)
"""In a URL, where process lists, configuration files and errors would show it."""

_LOCAL: Final = ("localhost", "127.0.0.1", "::1")


@final
@dataclass(frozen=True, slots=True)
class Address:
    """Where to ask.

    Attributes
    ----------
    text : str
        The whole, fit for an error.
    parts : SplitResult
        Its parts; scheme http or https, with a host, without user or password.
    """

    text: str
    parts: SplitResult

    @classmethod
    def of(cls, url: str) -> Address:
        """Check a URL.

        Raises
        ------
        UsageError
            If it is none that can be asked.
        """
        remedy = "Correct it: http://HOST:PORT/PATH or https://…; a token goes in a file named by " + TOKEN_FILE + "."
        try:
            parts = urlsplit(url)
            _ = parts.port
        except ValueError as error:
            raise UsageError(f"a URL that cannot be read ({error})", "http:// or https://", remedy) from error
        if parts.username is not None or parts.password is not None:
            raise UsageError("a URL with a user or a password", "one without", remedy)
        if any(_SECRET.search(name) for name, _ in parse_qsl(parts.query, keep_blank_values=True)):
            raise UsageError("a URL with what looks like a secret after its '?'", "one without", remedy)
        if parts.scheme not in {"http", "https"} or not parts.hostname or not url.isascii() or not url.isprintable():
            raise UsageError(f"the URL {shorten(printable(url), 100)!r}", "http://HOST or https://HOST", remedy)
        return cls(url, parts)

    def target(self, path: str = "") -> str:
        """What follows the host in a request."""
        return (path or self.parts.path or "/") + (f"?{self.parts.query}" if self.parts.query and not path else "")


class _Timed(io.RawIOBase):
    """Reads from a socket until a deadline."""

    def __init__(self, sock: socket.socket, deadline: float) -> None:
        self._socket, self._deadline = sock, deadline

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: object) -> int:
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError("the answer took too long")
        self._socket.settimeout(left)
        return self._socket.recv_into(cast(memoryview, buffer))


class _Socket:
    """What http.client needs of a socket, with one deadline for everything."""

    def __init__(self, sock: socket.socket, deadline: float) -> None:
        self._socket, self._deadline = sock, deadline

    def makefile(self, _mode: str) -> io.BufferedReader:
        return io.BufferedReader(_Timed(self._socket, self._deadline), _CHUNK)

    def sendall(self, data: bytes) -> None:
        self._socket.settimeout(max(self._deadline - time.monotonic(), 0.001))
        self._socket.sendall(data)

    def close(self) -> None:
        """Nothing: http.client closes it before the body is read; `fetch` closes it after."""


def fetch(  # noqa: PLR0913  each is a limit of its own
    address: Address, *, deadline: float, most: int, path: str = "", form: bytes = b"",
    environment: Mapping[str, str] = os.environ,
) -> bytes:  # fmt: skip
    """Ask once.

    Parameters
    ----------
    address : Address
        Whom.
    deadline : float
        Time of the monotonic clock at which it is given up.
    most : int
        Bytes of an answer at most.
    path : str
        In place of the address's own path and query.
    form : bytes
        What to post; empty to get.
    environment : mapping
        Where `TOKEN_FILE` and `CA_FILE` are looked up.

    Returns
    -------
    bytes
        The body of an answer 200, whole.

    Raises
    ------
    NoDeviceError
        If nobody answers in time.
    DataError
        If the answer is another one, too long or cut off.
    UsageError
        If token or certificates cannot be used.
    """
    where = shorten(address.text, 120)
    headers = _headers(address, environment, form)
    try:
        sock = _connected(address, deadline, environment)
    except OSError as error:
        raise NoDeviceError(
            f"no connection ({_said(error)})", "an exporter that listens", "Start it.", where=where
        ) from error
    connection = http.client.HTTPConnection(str(address.parts.hostname), address.parts.port)
    connection.sock = cast(socket.socket, _Socket(sock, deadline))
    try:
        connection.request("POST" if form else "GET", address.target(path), form or None, headers)
        return _body(connection.getresponse(), most, where)
    except TimeoutError as error:
        raise NoDeviceError(
            "no whole answer in time", "one within seconds", "See whether it hangs.", where=where
        ) from error
    except (OSError, http.client.HTTPException) as error:
        raise DataError(f"a broken answer ({_said(error)})", "HTTP", "See what listens there.", where=where) from error
    finally:
        connection.close()
        sock.close()


def _said(error: Exception) -> str:
    return shorten(printable(f"{type(error).__name__}: {error}"), 120)


def _connected(address: Address, deadline: float, environment: Mapping[str, str]) -> socket.socket:
    parts = address.parts
    host, secure = str(parts.hostname), parts.scheme == "https"
    context = _context(environment) if secure else None
    sock = _reached(host, parts.port or (443 if secure else 80), deadline)
    if context is None:
        return sock
    try:
        sock.settimeout(max(deadline - time.monotonic(), 0.001))
        return context.wrap_socket(sock, server_hostname=host)
    except BaseException:
        sock.close()
        raise


def _reached(host: str, port: int, deadline: float) -> socket.socket:
    """The first address of a host that answers; all of them have one deadline, and none takes more than its share."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[:_MOST_ADDRESSES]
    failure: OSError = TimeoutError("timed out")
    for number, (family, kind, protocol, _, address) in enumerate(found):
        left = deadline - time.monotonic()
        if left <= 0:
            break
        sock = socket.socket(family, kind, protocol)
        try:
            sock.settimeout(left / (len(found) - number))
            sock.connect(address)
            return sock
        except OSError as error:
            sock.close()
            failure = error
    raise failure


def _context(environment: Mapping[str, str]) -> ssl.SSLContext:
    file = environment.get(CA_FILE)
    try:
        return ssl.create_default_context(cafile=file or None)
    except (OSError, ssl.SSLError) as error:
        raise UsageError(f"certificates that cannot be read ({_said(error)})", "PEM", f"Correct {CA_FILE}.") from error


def _headers(address: Address, environment: Mapping[str, str], form: bytes) -> dict[str, str]:
    headers = {"Accept": "text/plain, application/json", "Accept-Encoding": "identity", "Connection": "close"}
    if form:
        headers["Content-Type"] = "application/x-www-form-urlencoded"
    file = environment.get(TOKEN_FILE)
    if not file:
        return headers
    if address.parts.scheme != "https" and address.parts.hostname not in _LOCAL:
        raise UsageError(
            "a token, and a connection that anybody can read", "https", f"Use https, or unset {TOKEN_FILE}."
        )
    return headers | {"Authorization": f"Bearer {_token(Path(file))}"}


def _token(file: Path) -> str:
    try:
        with file.open("rb") as opened:
            token = opened.read(_MOST_TOKEN).strip().decode("ascii")
    except (OSError, ValueError) as error:
        raise UsageError(
            f"a token that cannot be read ({type(error).__name__})", "a file", f"See {TOKEN_FILE}."
        ) from error
    if not token or not token.isprintable() or " " in token:
        raise UsageError("a file without a token", "one line", f"Correct the file that {TOKEN_FILE} names.")
    return token


def _body(response: http.client.HTTPResponse, most: int, where: str) -> bytes:
    if response.status != 200:
        to = response.getheader("Location", "")
        got = f"status {response.status}" + (f", to {shorten(printable(to), 80)}" if to else "")
        raise DataError(got, "status 200; redirects are not followed", "Give the address itself.", where=where)
    if response.getheader("Content-Encoding", "identity").lower() != "identity":
        raise DataError("a compressed answer, not asked for", "a plain one", "See what listens there.", where=where)
    body = bytearray()
    while len(body) <= most and (chunk := response.read1(_CHUNK)):
        body += chunk
    if len(body) > most:
        raise DataError(f"more than {most:,} bytes", f"{most:,} at most", "See what listens there.", where=where)
    if response.length:
        raise DataError("an answer that was cut off", "a whole one", "See what listens there.", where=where)
    return bytes(body)
