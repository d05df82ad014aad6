"""The short way to pages that take a request and nothing else: past what routes of FastAPI do for those that take more.

The innermost layer. The routes stay where they are, for the OpenAPI document and for whatever does not fit here; what
is reached on this way is the same page, and errors are answered by the same words.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, final

from fastapi.routing import APIRoute
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Match
from starlette.types import ASGIApp, Receive, Scope, Send

from hashwarden.serve.api.access import path_of
from hashwarden.serve.api.answers import answer_to

__all__ = ["PlainRoute", "Straight"]

_KEPT: Final = 256
"""Paths that are remembered; clients choose them."""


class PlainRoute(APIRoute):
    """A route whose endpoint takes the request and gives the answer: no parameters, no dependencies."""

    def get_route_handler(self) -> Callable[[Request], Any]:
        """The endpoint itself."""
        endpoint: Callable[[Request], Awaitable[Response]] = self.endpoint
        return endpoint


@final
@dataclass(frozen=True, slots=True)
class _Way:
    route: PlainRoute
    page: Callable[[Request], Awaitable[Response]]
    parameters: dict[str, str]


@final
class Straight:
    """Answers what fits one of the routes; hands all else on.

    Parameters
    ----------
    app : ASGI application
    routes : sequence of PlainRoute
        Tried in this order, before those of the application.
    """

    def __init__(self, app: ASGIApp, routes: Sequence[PlainRoute]) -> None:
        self._app, self._routes = app, [(route, route.get_route_handler()) for route in routes]
        self._ways: dict[tuple[str, str], _Way] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or pass it on."""
        way = self._way(scope) if scope["type"] == "http" else None
        if way is None:
            await self._app(scope, receive, send)
            return
        scope["route"], scope["path_params"] = way.route, dict(way.parameters)
        request = Request(scope, receive)
        try:
            answer = await way.page(request)
        except Exception as error:
            told = answer_to(error, scope["path"])
            if told is None:
                raise
            answer = told
        await answer(scope, receive, send)

    def _way(self, scope: Scope) -> _Way | None:
        key = scope["method"], path_of(scope)
        found = self._ways.get(key)
        return found if found is not None else self._look(scope, key)

    def _look(self, scope: Scope, key: tuple[str, str]) -> _Way | None:
        for route, page in self._routes:
            match, child = route.matches(scope)
            if match is Match.FULL:
                if len(self._ways) >= _KEPT:
                    self._ways.clear()
                self._ways[key] = found = _Way(route, page, dict(child["path_params"]))
                return found
        return None
