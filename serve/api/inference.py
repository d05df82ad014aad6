"""The Open Inference Protocol over HTTP: a router with the pages that Triton's and KServe's clients call.

The protocol: https://github.com/kserve/open-inference-protocol; what Triton's clients call besides:
https://github.com/triton-inference-server/server/tree/main/docs/protocol
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Any, Final

import orjson
from anyio import CapacityLimiter, to_thread
from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from hashwarden.serve.api import inference_docs as docs
from hashwarden.serve.api.bodies import body_of, json_length_of, unpacked
from hashwarden.serve.api.engine import Engine
from hashwarden.serve.api.models import Served
from hashwarden.serve.api.refusal import RefusedError
from hashwarden.serve.api.replies import Reply
from hashwarden.serve.api.straight import PlainRoute

__all__ = ["inference_router"]

_Page = Callable[[Request], Awaitable[Response]]

_ABSENT: Final = (
    ("GET", "/v2/systemsharedmemory/{rest:path}"), ("POST", "/v2/systemsharedmemory/{rest:path}"),
    ("GET", "/v2/cudasharedmemory/{rest:path}"), ("POST", "/v2/cudasharedmemory/{rest:path}"),
    ("POST", "/v2/repository/models/{name}/load"), ("POST", "/v2/repository/models/{name}/unload"),
    ("GET", "/v2/trace/setting"), ("POST", "/v2/trace/setting"), ("GET", "/v2/logging"), ("POST", "/v2/logging"),
    ("GET", "/v2/models/{model}/trace/setting"), ("POST", "/v2/models/{model}/trace/setting"),
)  # fmt: skip
"""Extensions of Triton's that this service does not have: its models and its log are the operator's to change."""


class _Route(PlainRoute):
    """A page of the protocol; a refusal is answered in its own form."""

    def get_route_handler(self) -> Callable[[Request], Any]:
        page = super().get_route_handler()

        async def answered(request: Request) -> Response:
            try:
                found: Response = await page(request)
            except RefusedError as error:
                headers = {"Retry-After": "1"} if error.status == HTTPStatus.SERVICE_UNAVAILABLE else None
                return _json({"error": str(error)}, error.status, headers)
            return found

        return answered


def inference_router(engine: Engine) -> APIRouter:
    """The pages under ``/v2``.

    Parameters
    ----------
    engine : Engine

    Returns
    -------
    APIRouter
        For ``app.include_router``. Health needs no right, all else that of reading.
    """
    router = APIRouter(route_class=_Route, tags=["inference"])
    limiter = CapacityLimiter(engine.limits.threads)

    def add(method: str, path: str, page: _Page, described: dict[str, Any]) -> None:
        for each in docs.paths_of(path):
            router.add_api_route(each, page, methods=[method], response_class=Response, include_in_schema=True,
                                 **docs.route(engine, each, described))  # fmt: skip

    for method, path, page, described in _pages(engine, limiter):
        add(method, path, page, described)
    for method, path in _ABSENT:
        router.add_api_route(path, _absent, methods=[method], include_in_schema=False)
    return router


def _pages(engine: Engine, limiter: CapacityLimiter) -> list[tuple[str, str, _Page, dict[str, Any]]]:
    return [  # routes are tried in this order
        ("POST", "/v2/models/{model}/infer", _infer(engine, limiter), docs.infer(engine)),
        ("GET", "/v2/health/live", _live, docs.LIVE),
        ("GET", "/v2/health/ready", _ready(engine), docs.READY),
        ("GET", "/v2", _of_server(engine.metadata), docs.SERVER),
        ("POST", "/v2/repository/index", _index(engine), docs.INDEX),
        ("GET", "/v2/models/stats", _of_server(lambda: engine.statistics([*engine.models.values()])), docs.STATISTICS),
        ("GET", "/v2/models/{model}", _of_model(engine, Served.metadata), docs.MODEL),
        ("GET", "/v2/models/{model}/ready", _model_ready(engine), docs.MODEL_READY),
        ("GET", "/v2/models/{model}/config", _of_model(engine, engine.config), docs.CONFIG),
        ("GET", "/v2/models/{model}/stats", _of_model(engine, lambda each: engine.statistics([each])), docs.STATISTICS),
    ]


def _infer(engine: Engine, limiter: CapacityLimiter) -> _Page:
    limits = engine.limits

    async def page(request: Request) -> Response:
        model = _model(engine, request)
        length = json_length_of(request)
        body = await body_of(request, limits.body_bytes)
        coding = request.headers.get("content-encoding", "")

        def work() -> Reply:
            return engine.answer(model, memoryview(unpacked(body, coding, limits.body_bytes)), length)

        if len(body) <= limits.inline_bytes and not coding:
            return _replied(work())
        if limiter.statistics().tasks_waiting >= limits.waiting:
            raise RefusedError("more large requests than can wait", f"at most {limits.waiting}", "Try again later.",
                               status=HTTPStatus.SERVICE_UNAVAILABLE)  # fmt: skip
        return _replied(await to_thread.run_sync(work, limiter=limiter))

    return page


def _replied(reply: Reply) -> Response:
    if reply.json_length is None:
        return Response(reply.body, media_type="application/json")
    headers = {"Inference-Header-Content-Length": str(reply.json_length)}
    return Response(reply.body, media_type="application/octet-stream", headers=headers)


async def _live(request: Request) -> Response:  # noqa: ARG001
    return _json({"live": True})


def _ready(engine: Engine) -> _Page:
    async def page(request: Request) -> Response:  # noqa: ARG001
        return _json({"ready": engine.ready}, HTTPStatus.OK if engine.ready else HTTPStatus.SERVICE_UNAVAILABLE)

    return page


def _model_ready(engine: Engine) -> _Page:
    async def page(request: Request) -> Response:
        model = _model(engine, request)
        status = HTTPStatus.SERVICE_UNAVAILABLE if model.fault else HTTPStatus.OK
        return _json({"name": model.name, "ready": not model.fault}, status)

    return page


def _index(engine: Engine) -> _Page:
    async def page(request: Request) -> Response:
        body = await body_of(request, engine.limits.inline_bytes)
        try:
            asked = orjson.loads(body) if body else {}
        except orjson.JSONDecodeError:
            asked = None
        ready = asked.get("ready", False) if isinstance(asked, dict) else None
        if not isinstance(ready, bool):
            raise RefusedError("a request that is no object", '{"ready": true} or nothing', "Leave the body out.")
        return _json(engine.index(ready))

    return page


def _of_server(told: Callable[[], object]) -> _Page:
    async def page(request: Request) -> Response:  # noqa: ARG001
        return _json(told())

    return page


def _of_model(engine: Engine, told: Callable[[Served], object]) -> _Page:
    async def page(request: Request) -> Response:
        return _json(told(_model(engine, request)))

    return page


async def _absent(request: Request) -> Response:  # noqa: ARG001
    raise RefusedError("an extension that is not served", "health, metadata, infer, index, config or stats",
                       "Models, log and traces are set by the operator of this service.",
                       status=HTTPStatus.NOT_IMPLEMENTED)  # fmt: skip


def _model(engine: Engine, request: Request) -> Served:
    return engine.find(request.path_params["model"], request.path_params.get("version", ""))


def _json(value: object, status: HTTPStatus = HTTPStatus.OK, headers: dict[str, str] | None = None) -> Response:
    return Response(orjson.dumps(value), status, headers, media_type="application/json")
