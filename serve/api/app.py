"""The service as one ASGI application: routes, errors, access and limits, whatever server runs it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any, Final

from fastapi import APIRouter, FastAPI, Response
from fastapi.telemetry import TelemetryConfig
from pydantic import BaseModel, Field
from starlette.middleware import Middleware

from hashwarden.serve.api.access import Access, Browsers, Keeper
from hashwarden.serve.api.answers import EVERYWHERE, handle_errors
from hashwarden.serve.api.config import ServeConfig
from hashwarden.serve.api.limits import Bodies, Gate, Rates
from hashwarden.serve.api.measured import Measured
from hashwarden.serve.api.meters import Meters
from hashwarden.serve.api.straight import PlainRoute, Straight
from hashwarden.version import __version__

__all__ = ["Alive", "Ready", "create_app", "document"]

_ABOUT: Final = "Scores samples of GPU jobs and kernels: mining, other hash work, or neither."
_UNTOLD: Final[TelemetryConfig] = {"tracing": False, "metrics": False, "logs": False, "auto_configure": False}
"""Nothing of what is asked goes to whom an environment variable names: our metrics are asked for, with a token."""

_TEXT: Final = "text/plain; version=0.0.4; charset=utf-8"


class Alive(BaseModel):
    """Whether it answers."""

    alive: bool


class Ready(BaseModel):
    """Whether it can do its work."""

    ready: bool
    blind: list[dict[str, str]] = Field(default=[], description="What it cannot do: kind, subject, detail.")


def create_app(  # noqa: PLR0913
    config: ServeConfig, inference: APIRouter | None = None, desk: APIRouter | None = None, *,
    pages: APIRouter | None = None, ready: Callable[[], Mapping[str, Any]] | None = None,
    meters: Meters | None = None, keeper: Keeper | None = None,
) -> FastAPI:  # fmt: skip
    """Make the application.

    Parameters
    ----------
    config : ServeConfig
    inference : APIRouter, optional
        The Open Inference Protocol, under /v2; all of it takes the role read, but for its health.
    desk : APIRouter, optional
        The job API, under /v1; each of its routes says which role it takes (`hashwarden.serve.api.roles.needs`).
    pages : APIRouter, optional
        The pages for people: files that hold no data; for anybody who was recognised.
    ready : callable, optional
        What a `Ready` holds; always ready if None.
    meters : Meters, optional
        Counters that the server has a part in.
    keeper : Keeper, optional
        Who knows identities; made from the configuration if None.

    Raises
    ------
    UsageError
        If the file of tokens cannot be used.
    """
    meters, keeper = meters or Meters(), keeper or Keeper(config.access)
    layers = _layers(config, meters, keeper, inference)
    app = FastAPI(title="hashwarden", description=_ABOUT, version=__version__, docs_url=None, redoc_url=None,
                  telemetry=_UNTOLD, responses=EVERYWHERE, middleware=layers)  # fmt: skip
    handle_errors(app)
    own = _own(meters, ready or (lambda: {"ready": True}))
    for router in (inference, desk, own, pages):  # tried in this order: what is asked most comes first
        if router is not None:
            app.include_router(router)
    document(app)
    return app


def _layers(config: ServeConfig, meters: Meters, keeper: Keeper, inference: APIRouter | None) -> list[Middleware]:
    """Outermost first: what is cheapest to refuse is refused first."""
    gate = Gate(config.limits, meters)
    plain = [route for route in inference.routes if isinstance(route, PlainRoute)] if inference is not None else []
    return [
        Middleware(Measured, meters, gate),
        Middleware(Browsers, config.http.hosts),
        Middleware(Access, keeper),
        Middleware(Rates, config.limits, meters),
        Middleware(Bodies, config.limits, meters, gate),
        Middleware(Straight, plain),
    ]


def _own(meters: Meters, ready: Callable[[], Mapping[str, Any]]) -> APIRouter:
    router = APIRouter(tags=["service"])
    not_ready: dict[int | str, dict[str, Any]] = {503: {"model": Ready, "description": "Not now."}}

    @router.get("/healthz")
    async def alive() -> Alive:
        """Whether it answers."""
        return Alive(alive=True)

    @router.get("/readyz", responses=not_ready)
    async def is_ready(response: Response) -> Ready:
        """Whether it can do its work; 503 if not."""
        found = Ready(**ready())
        response.status_code = HTTPStatus.OK if found.ready else HTTPStatus.SERVICE_UNAVAILABLE
        return found

    @router.get("/metrics", response_class=Response, responses={200: {"content": {"text/plain": {}}}})
    async def metrics() -> Response:
        """Counters for Prometheus."""
        return Response(meters.exposition(), media_type=_TEXT)

    return router


def document(app: FastAPI) -> None:
    """Have the OpenAPI document tell what is answered: who is asked for a token, and 400 where FastAPI says 422."""
    make = app.openapi

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            found = make()
            found["components"].setdefault("securitySchemes", {})["token"] = {"type": "http", "scheme": "bearer"}
            for path, item in found["paths"].items():
                for operation in item.values():
                    operation["responses"].pop("422", None)
                    operation["security"] = [] if "health" in path or path == "/readyz" else [{"token": []}]
            for name in ("HTTPValidationError", "ValidationError"):
                found["components"]["schemas"].pop(name, None)
            app.openapi_schema = found
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]
