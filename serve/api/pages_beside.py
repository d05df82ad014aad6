"""The pages for people beside the job API: what a page shows is asked of the application, as whoever asks for it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final, final

from anyio import from_thread, to_thread
from fastapi import APIRouter, FastAPI
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Message

from hashwarden.serve.api.answers import handle_errors
from hashwarden.serve.api.roles import IDENTITY
from hashwarden.serve.pages.files import files
from hashwarden.serve.pages.pages import HEADERS, Ask, Pages

__all__ = ["PagesBeside"]

_KEPT: Final = (
    "type",
    "asgi",
    "http_version",
    "scheme",
    "server",
    "client",
    "extensions",
    "root_path",
    "app",
    IDENTITY,
)


@final
class PagesBeside:
    """Serves `Pages`.

    Parameters
    ----------
    jobs : APIRouter
        The job API: asked without the layers around it, for who asks was let in already.

    Attributes
    ----------
    router : APIRouter
    """

    def __init__(self, jobs: APIRouter) -> None:
        self._inner = FastAPI(openapi_url=None)
        self._inner.include_router(jobs)
        handle_errors(self._inner)
        self.router = APIRouter(include_in_schema=False)
        self._pages = Pages()
        for path in (*files(), "/plain", "/plain/{path:path}"):
            methods = ["GET", "HEAD", "POST"] if path.startswith("/plain") else ["GET", "HEAD"]
            self.router.add_api_route(path, self._page, methods=methods, response_class=Response)

    async def _page(self, request: Request) -> Response:
        body = await request.body()
        given = dict(request.query_params), dict(request.headers), body, self._ask(request)
        reply = await to_thread.run_sync(lambda: self._pages.answer(request.method, request.url.path, *given))
        return Response(reply.body, reply.status, {**HEADERS, **reply.headers})

    def _ask(self, request: Request) -> Ask:
        def ask(method: str, page: str, body: Mapping[str, Any] | None) -> tuple[int, Mapping[str, Any]]:
            content = b"" if body is None else json.dumps(body).encode()
            return from_thread.run(self._answer, request, method, page, content)

        return ask

    async def _answer(self, request: Request, method: str, page: str, body: bytes) -> tuple[int, Mapping[str, Any]]:
        path, _, query = page.partition("?")
        scope = {name: request.scope[name] for name in _KEPT if name in request.scope}
        scope |= {"method": method, "path": path, "raw_path": path.encode(), "query_string": query.encode(),
                  "headers": [(b"content-type", b"application/json")]}  # fmt: skip
        status, parts = 0, []

        async def receive() -> Message:
            return {"type": "http.request", "body": body, "more_body": False}

        async def send(message: Message) -> None:
            nonlocal status
            status = message.get("status", status)
            parts.append(message.get("body", b""))

        await self._inner(scope, receive, send)
        return status, json.loads(b"".join(parts))
