"""From a dashboard to the agents and services it shows: only what pages need, and errors in words."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any, Final, final
from urllib.parse import urlencode

from hashwarden.errors import HashwardenError, PrivilegeError
from hashwarden.serve.agent.web import Answer, Request, json_answer
from hashwarden.serve.agent_client import Peer, answered
from hashwarden.serve.pages.pages import Ask

__all__ = ["Forward", "split"]

_PAGES: Final = re.compile(
    r"/v1/(?:status|gpus|jobs|ended|job|job/channels|job/kernels|cases(?:/[A-Za-z0-9._-]{1,64})?)|/healthz|/readyz"
)
_DECISIONS: Final = re.compile(r"/v1/cases/[A-Za-z0-9._-]{1,64}/(?:approve|reject)")
_NODE: Final = re.compile(r"/nodes/(\d{1,3})(/.*)")
_PATIENCE_S: Final = 3.0
"""Less than our own server gives a request."""


def split(path: str) -> tuple[int, str]:
    """Which node, and the path there: ``/nodes/2/v1/jobs``; the first one if none is named."""
    match = _NODE.fullmatch(path)
    return (int(match[1]), match[2]) if match else (0, path)


@final
class Forward:
    """Asks for others.

    Parameters
    ----------
    peers : sequence of Peer
        By number; may be empty.
    """

    def __init__(self, peers: Sequence[Peer]) -> None:
        self._peers = peers

    def nodes(self) -> list[dict[str, str]]:
        """All of them, for the switch between them."""
        return [{"name": _called(peer), "where": peer.where} for peer in self._peers]

    def answer(self, node: int, request: Request, path: str) -> Answer:
        """The answer to a request of the browser, with its status."""
        reads = request.method in ("GET", "HEAD") and _PAGES.fullmatch(path)
        decides = request.method == "POST" and _DECISIONS.fullmatch(path)
        if not reads and not decides:
            return json_answer(HTTPStatus.NOT_FOUND, {"error": "the dashboard hands no such page on"})
        if decides and not request.headers.get("content-type", "").startswith("application/json"):
            return json_answer(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, {"error": "JSON only"})
        try:
            body = json.loads(request.body) if decides else None
        except ValueError:
            return json_answer(HTTPStatus.BAD_REQUEST, {"error": "no JSON"})
        query = "?" + urlencode(request.query) if request.query else ""
        status, found = self._asked(node, request.method if decides else "GET", path + query, body)
        return json_answer(HTTPStatus(status), found)

    def ask(self, node: int) -> Ask:
        """How the plain pages ask this node."""
        return lambda method, page, body: self._asked(node, method, page, body)

    def _asked(
        self, node: int, method: str, page: str, body: Mapping[str, Any] | None
    ) -> tuple[int, Mapping[str, Any]]:
        if not 0 <= node < len(self._peers):
            return HTTPStatus.BAD_GATEWAY, {"error": "this dashboard was given no agent and no service", "lost": True}
        try:
            status, found = answered(self._peers[node], method, page, body, _PATIENCE_S)
            return (status, found) if status in _STATUSES else (HTTPStatus.BAD_GATEWAY, {**found, "lost": True})
        except PrivilegeError as error:
            return HTTPStatus.FORBIDDEN, {"error": str(error)}
        except HashwardenError as error:
            return HTTPStatus.BAD_GATEWAY, {"error": str(error), "lost": True}


_STATUSES: Final = frozenset(int(status) for status in HTTPStatus if status >= 200)


def _called(peer: Peer) -> str:
    """Its node's name if it answers at once, else where it is."""
    try:
        status, found = answered(peer, "GET", "/v1/status", None, _PATIENCE_S / 3)
        return str(found["node"])[:100] if status == HTTPStatus.OK else peer.where
    except (HashwardenError, KeyError):
        return peer.where
