"""The dashboard of one user: the pages on his loopback, agents and services behind it, policies tried on traces."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final, final

from hashwarden.errors import HashwardenError, UsageError
from hashwarden.serve.agent.web import Answer, Request, foreign, json_answer
from hashwarden.serve.agent_client import Peer
from hashwarden.serve.pages.forward import Forward, split
from hashwarden.serve.pages.gate import Gate
from hashwarden.serve.pages.mount import to_answer
from hashwarden.serve.pages.pages import Pages
from hashwarden.serve.pages.policies import Policies

__all__ = ["Dashboard"]


@final
class Dashboard:
    """A handler for `hashwarden.serve.agent.web.Server`.

    Parameters
    ----------
    peers : sequence of Peer
        Agents and services, each a node of the pages; may be empty.
    traces : sequence of Path
        What policies can be tried on, besides jobs that run.
    told : callable
        Is given each new secret of the link.
    example : str
        The policy that the page begins with; the built-in one if empty.
    cookie : str
        Name of the cookie.
    """

    def __init__(
        self, peers: Sequence[Peer], traces: Sequence[Path], told: Callable[[str], None], example: str = "",
        cookie: str = "hashwarden",
    ) -> None:  # fmt: skip
        self._gate, self._pages = Gate(told, cookie), Pages()
        self._forward = Forward(peers)
        self._policies = Policies(traces, example)
        self._named: list[dict[str, str]] = []

    def close(self) -> None:
        """End what runs."""
        self._policies.close()

    def __call__(self, request: Request) -> Answer:
        """Answer."""
        if refusal := foreign(request):
            return json_answer(HTTPStatus.FORBIDDEN, {"error": refusal, "expected": "the dashboard's own pages"})
        if (closed := self._gate.refusal(request)) is not None:
            return closed
        node, path = split(request.path)
        if path == "/hosted.json":  # what this host has, in place of the file that says: nothing beside the API
            return json_answer(HTTPStatus.OK, {"nodes": self._nodes(), "policies": True})
        if path.startswith("/v1/policy/"):
            return self._policy(node, request, path)
        if path.startswith(_FORWARDED):
            return self._forward.answer(node, request, path)
        asked = request.query.get("node", "0")
        ask = self._forward.ask(int(asked) if asked.isdecimal() and len(asked) < 4 else -1)
        return to_answer(self._pages.answer(request.method, request.path, request.query, request.headers,
                                            request.body, ask))  # fmt: skip

    def _nodes(self) -> list[dict[str, str]]:
        if not self._named or any(one["name"] == one["where"] for one in self._named):
            self._named = self._forward.nodes()
        return self._named

    def _policy(self, node: int, request: Request, path: str) -> Answer:
        try:
            status, found = self._tried(node, request, path)
            return json_answer(status, found)
        except UsageError as error:
            return json_answer(HTTPStatus.BAD_REQUEST, {"error": str(error)})
        except (HashwardenError, OSError) as error:
            return json_answer(HTTPStatus.SERVICE_UNAVAILABLE, {"error": str(error)})

    def _tried(self, node: int, request: Request, path: str) -> tuple[HTTPStatus, Mapping[str, Any]]:
        if request.method in ("GET", "HEAD"):
            found = self._policies.page() if path == "/v1/policy/replay" else self._policies.result(path)
            return (HTTPStatus.OK, found) if found is not None else (HTTPStatus.NOT_FOUND, {"error": "no such trial"})
        if path == "/v1/policy/check":
            return HTTPStatus.OK, self._policies.check(_object(request))
        if path == "/v1/policy/replay":
            return HTTPStatus.ACCEPTED, self._policies.begin(_object(request), self._forward.ask(node))
        return HTTPStatus.NOT_FOUND, {"error": "there is no such page"}


_FORWARDED: Final = ("/v1/", "/healthz", "/readyz")


def _object(request: Request) -> Mapping[str, Any]:
    if not request.headers.get("content-type", "").startswith("application/json"):
        raise UsageError("another type than JSON", "application/json", "Send JSON.")
    try:
        found = json.loads(request.body)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise UsageError("no JSON object", '{"policy": "…"}', "Send one; at most 64 KiB.")
    return found
