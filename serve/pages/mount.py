"""The pages beside the agent's API on one address: requests for either find theirs."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import parse_qsl, urlsplit

from hashwarden.serve.agent.web import Answer, Handler, Request, foreign, json_answer
from hashwarden.serve.pages.pages import HEADERS, Ask, Pages, Reply

__all__ = ["ask_of", "mounted", "to_answer"]

_OF_THE_API: Final = ("/v1/", "/metrics", "/healthz", "/readyz")


def mounted(api: Handler) -> Handler:
    """A handler for both.

    Parameters
    ----------
    api : Handler
        Answers ``/v1/``, metrics and health; who may see what is decided there, for the plain pages too.
    """
    made = cache(Pages)

    def handler(request: Request) -> Answer:
        if request.path.startswith(_OF_THE_API):
            return api(request)
        if refusal := foreign(request):
            return json_answer(HTTPStatus.FORBIDDEN, {"error": refusal, "expected": "the agent's own pages"})
        return to_answer(made().answer(request.method, request.path, request.query, request.headers, request.body,
                                       ask_of(api, request)))  # fmt: skip

    return handler


def ask_of(api: Handler, request: Request) -> Ask:
    """Ask the API as whoever made this request."""

    def ask(method: str, page: str, body: Mapping[str, Any] | None) -> tuple[int, Mapping[str, Any]]:
        parts = urlsplit(page)
        query = dict(parse_qsl(parts.query, keep_blank_values=True))
        content = b"" if body is None else json.dumps(body).encode()
        answer = api(Request(method, parts.path, query, request.headers, content, request.peer))
        return answer.status.value, json.loads(answer.body)

    return ask


def to_answer(reply: Reply) -> Answer:
    """The same for the agent's server."""
    kind = reply.headers.get("Content-Type", "text/plain; charset=utf-8")
    head = {name: value for name, value in {**HEADERS, **reply.headers}.items() if name != "Content-Type"}
    return Answer(HTTPStatus(reply.status), reply.body, kind, head)
