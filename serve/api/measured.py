"""The outermost layer: counts every request, and answers what went wrong inside without telling how."""

from __future__ import annotations

import logging
import time
import traceback
from typing import Final, final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from hashwarden.serve.agent.logs import LOGGER, said
from hashwarden.serve.api.access import is_health
from hashwarden.serve.api.answers import refusal
from hashwarden.serve.api.limits import Gate
from hashwarden.serve.api.meters import Meters
from hashwarden.serve.api.roles import IDENTITY, Identity

__all__ = ["Measured", "route_of"]

_HEADERS: Final = ((b"cache-control", b"no-store"), (b"x-content-type-options", b"nosniff"))
_FRAMES: Final = 3


@final
class Measured:
    """Counts, times and guards an application.

    Parameters
    ----------
    app : ASGI application
    meters : Meters
    gate : Gate
        If it is full, nothing further is asked: neither who it is, nor what.
    """

    def __init__(self, app: ASGIApp, meters: Meters, gate: Gate) -> None:
        self._app, self._meters, self._gate = app, meters, gate

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass it on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        start, status = time.perf_counter(), 0

        async def told(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                known = {name for name, _ in message["headers"]}
                message["headers"] = [*message["headers"], *(each for each in _HEADERS if each[0] not in known)]
            await send(message)

        self._meters.in_flight.inc()
        try:
            if self._gate.full and not is_health(scope):
                await self._gate.refuse(scope, receive, told, "busy")
            else:
                await self._app(scope, receive, told)
        except Exception as error:
            frames = traceback.extract_tb(error.__traceback__)[-_FRAMES:]
            where = " < ".join(f"{frame.filename}:{frame.lineno}" for frame in reversed(frames))
            said("error", "a request failed", path=scope["path"], error=type(error).__name__, where=where)
            if status:
                raise  # half an answer is out: the server closes the connection
            await refusal(500, "a fault of the service; see its log")(scope, receive, told)
        finally:
            self._meters.in_flight.dec()
            self._count(scope, status, time.perf_counter() - start)

    def _count(self, scope: Scope, status: int, seconds: float) -> None:
        route = route_of(scope)
        self._meters.requests.labels(route, str(status or "gone")).inc()
        self._meters.seconds.labels(route).observe(seconds)
        if status in (401, 403):
            self._meters.refused.labels(str(status)).inc()
        if not LOGGER.isEnabledFor(logging.DEBUG):
            return
        identity = scope.get(IDENTITY)
        said("debug", "request", method=scope["method"], route=route, status=status, ms=round(1e3 * seconds, 2),
             by=identity.name if isinstance(identity, Identity) else "")  # fmt: skip


def route_of(scope: Scope) -> str:
    """The pattern of the route, never the path that a client chose."""
    path = getattr(scope.get("route"), "path", None)
    return path if isinstance(path, str) else "other"
