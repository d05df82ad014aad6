"""The short way to plain pages: what it answers is what the routes answer, and paths of clients cost no memory."""

from __future__ import annotations

import asyncio
import json

import pytest
from fastapi import APIRouter, FastAPI, HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response

from hashwarden.errors import DataError, MemoryShortError
from hashwarden.serve.api.answers import handle_errors
from hashwarden.serve.api.straight import PlainRoute, Straight


async def _page(request: Request) -> Response:
    body = await request.body()
    if body == b"data":
        raise DataError("one", "another", "Mend it.")
    if body == b"memory":
        raise MemoryShortError("one", "another", "Wait.")
    if body == b"deep":
        raise RecursionError
    if body == b"http":
        raise HTTPException(418, "tea", {"X-Leaf": "green"})
    if body == b"fault":
        raise ZeroDivisionError
    told = {"path": dict(request.path_params), "body": body.decode(), "query": str(request.url.query)}
    return Response(json.dumps(told), 200, {"X-Mine": "yes"}, media_type="application/json")


def _router() -> APIRouter:
    router = APIRouter(route_class=PlainRoute)
    router.add_api_route("/m/{model}/infer", _page, methods=["POST"], response_class=Response)
    router.add_api_route("/m/{model}/{rest:path}", _page, methods=["GET"], response_class=Response)
    router.add_api_route("/plain", _page, methods=["GET"], response_class=Response)
    return router


def _app(straight: bool) -> FastAPI:
    router = _router()
    routes = [route for route in router.routes if isinstance(route, PlainRoute)] if straight else []
    app = FastAPI(middleware=[Middleware(Straight, routes)])
    handle_errors(app)
    app.include_router(router)

    @app.get("/typed/{number}")
    async def typed(number: int) -> int:
        return number

    return app


def _ask(app, method: str, path: str, body: bytes = b"", root: str = ""):
    sent, scope = [], {
        "type": "http", "http_version": "1.1", "method": method, "path": path, "raw_path": path.encode(),
        "root_path": root, "scheme": "http", "query_string": b"a=1", "headers": [(b"host", b"x")], "client": None,
        "server": ("x", 80), "asgi": {"version": "3.0"},
    }  # fmt: skip

    async def receive():
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message):
        sent.append(message)

    asyncio.run(app(scope, receive, send))
    start = sent[0]
    route = getattr(scope.get("route"), "path", None)
    return start["status"], sorted(start["headers"]), b"".join(m.get("body", b"") for m in sent[1:]), route


@pytest.mark.parametrize(("method", "path", "body"), [
    ("POST", "/m/job/infer", b"x"), ("POST", "/m/%6Aob/infer", b""), ("GET", "/m/job/a/b", b""), ("GET", "/plain", b""),
    ("GET", "/m/job/infer", b""), ("PUT", "/m/job/infer", b""), ("DELETE", "/plain", b""), ("HEAD", "/plain", b""),
    ("GET", "/plain/", b""), ("GET", "/nothing", b""), ("POST", "/m//infer", b""), ("GET", "/typed/3", b""),
    ("GET", "/typed/x", b""), ("POST", "/m/job/infer", b"data"), ("POST", "/m/job/infer", b"memory"),
    ("POST", "/m/job/infer", b"deep"), ("POST", "/m/job/infer", b"http"),
])  # fmt: skip
def test_it_answers_as_the_routes_do(method, path, body):
    straight, routed = _app(True), _app(False)
    first = _ask(straight, method, path, body)
    assert first == _ask(routed, method, path, body)
    assert _ask(straight, method, path, body) == first, "and the second time, when the path is known"


def test_a_fault_is_left_to_those_outside():
    with pytest.raises(ZeroDivisionError):
        _ask(_app(True), "POST", "/m/job/infer", b"fault")


def test_it_stands_under_a_prefix_as_the_routes_do():
    found = _ask(_app(True), "POST", "/under/m/job/infer", b"x", root="/under")
    assert found == _ask(_app(False), "POST", "/under/m/job/infer", b"x", root="/under")
    assert found[0] == 200


def test_paths_that_clients_make_up_are_forgotten():
    router, seen = _router(), []

    async def rest(scope, receive, send):
        seen.append(scope["path"])

    straight = Straight(rest, [route for route in router.routes if isinstance(route, PlainRoute)])
    for number in range(1000):
        assert _ask(straight, "POST", f"/m/{number}/infer")[0] == 200
    assert 0 < len(straight._ways) <= 256
    assert seen == []


def test_the_way_is_taken_and_not_the_routes():
    taken = []

    async def rest(scope, receive, send):
        taken.append(scope["path"])
        await send({"type": "http.response.start", "status": 204, "headers": []})

    straight = Straight(rest, [route for route in _router().routes if isinstance(route, PlainRoute)])
    assert _ask(straight, "POST", "/m/job/infer")[0] == 200
    assert _ask(straight, "GET", "/other")[0] == 204
    assert taken == ["/other"]
