"""Who asks: nothing but health is answered before that is known, and browsers cannot be used by other sites.

Middleware of the application itself, so that it holds under every server. A bearer token, where one was sent, decides
alone; else the client's certificate; else what the kernel says of the other end of a Unix socket.
"""

from __future__ import annotations

import base64
import binascii
import re
import time
from collections.abc import Mapping
from typing import Any, Final, final
from urllib.parse import urlsplit

from starlette.types import ASGIApp, Receive, Scope, Send

from hashwarden.serve.api.answers import refusal
from hashwarden.serve.api.config import AccessSection
from hashwarden.serve.api.peers import PEER, Peer, Users, certified
from hashwarden.serve.api.roles import IDENTITY, Identity, Role, widened
from hashwarden.serve.api.tokens import Token, TokenFile, known_token

__all__ = ["Access", "Browsers", "Keeper", "is_health", "path_of", "peer_in"]

Headers = Mapping[bytes, bytes]

_LOOPBACK: Final = frozenset({"127.0.0.1", "::1", "localhost"})
_MADE_UP: Final = re.compile(r"[a-z0-9_-]*|%2f.*")
"""Hosts that clients of Unix sockets write for want of one: words, and the path of the socket."""

_SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS"})
_READING: Final = ("/v2", "/metrics", "/openapi.json")
"""What takes the role read; the routes of the job API say themselves what they take."""

_CHALLENGE: Final = (
    'Bearer realm="hashwarden", Basic realm="hashwarden, any name, a token as password", charset="UTF-8"'
)


def path_of(scope: Scope) -> str:
    """The path as routes know it: a server may have put the application under a prefix."""
    path, prefix = str(scope["path"]), str(scope.get("root_path", ""))
    return path[len(prefix) :] if prefix and path.startswith(f"{prefix}/") else path


def is_health(scope: Scope) -> bool:
    """Whether this is answered to anybody."""
    path = path_of(scope)
    return path in ("/healthz", "/readyz") or path.startswith("/v2/health/")


@final
class Keeper:
    """Knows identities; its tokens can be read again while it is in use.

    Parameters
    ----------
    section : AccessSection

    Raises
    ------
    UsageError
        If the file of tokens cannot be used.
    """

    def __init__(self, section: AccessSection) -> None:
        self._section = section
        self._users = Users(section.users)
        self._tokens: Mapping[str, Token] = {}
        self.reload()

    def reload(self) -> int:
        """Read the tokens again; gives how many there are. What cannot be read changes nothing."""
        if self._section.tokens is not None:
            self._tokens = {token.id: token for token in TokenFile(self._section.tokens).tokens}
        return len(self._tokens)

    def bearer(self, text: str) -> Identity | None:
        """Whose token this is; None if it is nobody's, or over. From any thread."""
        token = known_token(self._tokens, text, time.time())
        return None if token is None else Identity(f"token:{token.name}", widened(token.roles))

    async def identity(self, headers: Headers, peer: Peer) -> Identity | None:
        """Who asks; None if that is not known."""
        sent = headers.get(b"authorization")
        if sent is not None:
            return self.bearer(_credential(sent))
        if peer.names:
            return certified(peer.names, self._section.certificates)
        return await self._users.identity(peer) if peer.local else None


def _credential(sent: bytes) -> str:
    """The token of a header: as Bearer, or, for browsers, as the password of Basic."""
    kind, _, value = sent.partition(b" ")
    value = value.strip()
    try:
        if kind.lower() == b"basic":
            value = base64.b64decode(value, validate=True).partition(b":")[2]
        elif kind.lower() != b"bearer":
            return ""
        return value.decode("ascii")
    except (binascii.Error, ValueError):
        return ""


@final
class Access:
    """Lets through whom the keeper knows."""

    def __init__(self, app: ASGIApp, keeper: Keeper) -> None:
        self._app, self._keeper = app, keeper

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer 401 or 403, or pass it on with the identity in its scope."""
        if scope["type"] == "websocket":  # there are none
            await send({"type": "websocket.close", "code": 1008})
            return
        if scope["type"] != "http" or is_health(scope):
            await self._app(scope, receive, send)
            return
        identity = await self._keeper.identity(dict(scope["headers"]), peer_in(scope))
        if identity is None:
            answer = refusal(401, "who asks is not known; expected a token: Authorization: Bearer …",
                             {"WWW-Authenticate": _CHALLENGE})  # fmt: skip
            await answer(scope, receive, send)
            return
        if path_of(scope).startswith(_READING) and Role.READ not in identity.roles:
            await refusal(403, f"{identity.name} may not: this takes the role 'read'")(scope, receive, send)
            return
        scope[IDENTITY] = identity
        await self._app(scope, receive, send)


def peer_in(scope: Mapping[str, Any]) -> Peer:
    """What the server left of the other end."""
    found = scope.get("extensions", {}).get(PEER)
    return found if isinstance(found, Peer) else Peer()


@final
class Browsers:
    """Refuses what a page of another site makes a browser send.

    Parameters
    ----------
    app : ASGI application
    hosts : sequence of str
        Names by which browsers may call it on loopback, where another site's name may be made to lead (DNS rebinding).
    """

    def __init__(self, app: ASGIApp, hosts: tuple[str, ...]) -> None:
        self._app, self._hosts = app, _LOOPBACK | {host.lower() for host in hosts}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer 403 or 421, or pass it on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = dict(scope["headers"])
        host = headers.get(b"host", b"").decode("latin-1").lower()
        if not self._is_ours(scope, host):
            words = f"the host {host[:100]!r}; expected one of {', '.join(sorted(self._hosts))}"
            await refusal(421, words)(scope, receive, send)
        elif scope["method"] not in _SAFE and _foreign(headers, host):
            await refusal(403, "a browser sent this for another site")(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    def _is_ours(self, scope: Scope, host: str) -> bool:
        server = scope.get("server")
        near = server is None or server[1] is None or server[0] in _LOOPBACK
        name = _name(host)
        local = server is not None and server[1] is None and _is_made_up(name)
        return not near or not host or name in self._hosts or local


def _is_made_up(name: str) -> bool:
    """Whether a name only fills the place of a host, as clients of Unix sockets do, and nobody can make it lead here.

    No browser speaks to a Unix socket, but it may reach one through ``ssh -L`` under any name that has an address.
    """
    return _MADE_UP.fullmatch(name) is not None


def _foreign(headers: Headers, host: str) -> bool:
    """Whether a browser says that the page is not of this host; what is no browser says nothing."""
    if headers.get(b"sec-fetch-site", b"none") not in (b"none", b"same-origin"):
        return True
    origin = headers.get(b"origin")
    return origin is not None and urlsplit(origin.decode("latin-1").lower()).netloc != host


def _name(host: str) -> str:
    """The host without its port."""
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return "?"
