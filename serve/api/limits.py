"""What clients may ask for at most: bodies by size and time, requests at one time and a second. No client can do more.

Middleware of the application itself, so that it holds under every server; what only a connection can tell (lines before
a body that trickle, answers that nobody takes) is in `hashwarden.serve.api.wire`.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from typing import Final, final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from hashwarden.serve.api.access import is_health
from hashwarden.serve.api.answers import refusal
from hashwarden.serve.api.config import LimitsSection
from hashwarden.serve.api.meters import Meters
from hashwarden.serve.api.roles import IDENTITY

__all__ = ["Bodies", "Gate", "Rates", "only_waits"]

_LEAVE: Final = "hashwarden.leave"

_MIB: Final = 1 << 20
_IDENTITIES: Final = 4096


def only_waits(scope: Scope) -> None:
    """Say that the rest of a request is waiting, on which nobody else should have to wait: its place is free."""
    leave = scope.get(_LEAVE)
    if leave is not None:
        leave()


@final
class Rates:
    """A bucket of requests for each identity: 429 where it is empty.

    Parameters
    ----------
    app : ASGI application
    limits : LimitsSection
    meters : Meters
    """

    def __init__(self, app: ASGIApp, limits: LimitsSection, meters: Meters) -> None:
        self._app, self._limits, self._meters = app, limits, meters
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer 429, or pass it on."""
        identity = scope.get(IDENTITY)
        wait_s = 0.0 if identity is None or not self._limits.rate_per_s else self._take(identity.name)
        if wait_s > 0:
            self._meters.shed.labels("rate").inc()
            words = f"more than {self._limits.rate_per_s:g} requests a second; expected fewer, or larger batches"
            await refusal(429, words, {"Retry-After": str(int(wait_s) + 1)})(scope, receive, send)
            return
        await self._app(scope, receive, send)

    def _take(self, name: str) -> float:
        """Take one request; gives the seconds until there is one, 0 if there was."""
        rate, most, now = self._limits.rate_per_s, float(self._limits.burst), time.monotonic()
        left, then = self._buckets.pop(name, (most, now))
        left = min(most, left + (now - then) * rate)
        self._buckets[name] = (left - 1 if left >= 1 else left), now
        if len(self._buckets) > _IDENTITIES:
            self._buckets.popitem(last=False)
        return 0.0 if left >= 1 else (1 - left) / rate


@final
class Gate:
    """Lets so many requests be answered at one time, so many wait, and refuses the rest at once: 503.

    Parameters
    ----------
    limits : LimitsSection
    meters : Meters
    """

    def __init__(self, limits: LimitsSection, meters: Meters) -> None:
        self._limits, self._meters = limits, meters
        self._inside = self._waiting = 0
        self._slots = asyncio.Semaphore(limits.in_flight)
        self._most = limits.in_flight + limits.waiting

    @property
    def full(self) -> bool:
        """Whether one more would be refused."""
        return self._inside >= self._most

    async def refuse(self, scope: Scope, receive: Receive, send: Send, reason: str) -> None:
        """Answer 503."""
        self._meters.shed.labels(reason).inc()
        await refusal(503, "too much to do; expected fewer requests at one time", {"Retry-After": "1"})(
            scope, receive, send
        )

    async def enter(self) -> bool:
        """Wait for a slot; gives whether there was one in time. Then `leave` has to be called, once."""
        self._inside += 1
        try:
            await asyncio.sleep(0)  # all that arrived together are counted before the first is answered
            if self._slots.locked():
                self._meters.waiting.inc()
                try:
                    async with asyncio.timeout(self._limits.wait_s):
                        await self._slots.acquire()
                finally:
                    self._meters.waiting.dec()
            else:
                await self._slots.acquire()
        except TimeoutError:
            self._inside -= 1
            return False
        except BaseException:
            self._inside -= 1
            raise
        return True

    def leave(self) -> None:
        """Give the slot to the next."""
        self._inside -= 1
        self._slots.release()


@final
class Bodies:
    """Reads bodies whole, within bounds, before the application is asked; then asks it, through the gate.

    A slow client so takes no slot from others: neither while it sends, nor while it takes its answer.

    Parameters
    ----------
    app : ASGI application
    limits : LimitsSection
    meters : Meters
    gate : Gate
    """

    def __init__(self, app: ASGIApp, limits: LimitsSection, meters: Meters, gate: Gate) -> None:
        self._app, self._limits, self._meters, self._gate = app, limits, meters, gate
        self._most, self._memory = limits.body_mib * _MIB, limits.memory_mib * _MIB
        self._held = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer 408, 413 or 503, or pass it on."""
        if scope["type"] != "http" or is_health(scope):
            await self._app(scope, receive, send)
            return
        held = _Held(self)
        try:
            await self._answer(scope, receive, send, held)
        finally:
            self._held -= held.bytes

    async def _answer(self, scope: Scope, receive: Receive, send: Send, held: _Held) -> None:
        try:
            async with asyncio.timeout(self._limits.body_s):
                body = await self._read(scope, receive, held)
        except TimeoutError:
            self._meters.cut.labels("body").inc()
            words = f"a body that takes more than {self._limits.body_s:g} s; expected all of it by then"
            await refusal(408, words, {"Connection": "close"})(scope, receive, send)
            return
        except _TooLarge as error:
            self._meters.shed.labels("size" if error.status == 413 else "memory").inc()
            headers = {"Retry-After": "1"} if error.status == 503 else None
            await refusal(error.status, str(error), headers)(scope, receive, send)
            return
        if body is None:
            return  # the client is gone
        if self._gate.full or not await self._gate.enter():
            await self._gate.refuse(scope, receive, send, "busy")
            return
        inside = _Inside(self._gate, body, receive, send, held)
        scope[_LEAVE] = inside.leave
        try:
            await self._app(scope, inside.receive, inside.send)
        finally:
            inside.leave()

    async def _read(self, scope: Scope, receive: Receive, held: _Held) -> bytes | None:
        """All of the body; None if the client went."""
        length = next((value for name, value in scope["headers"] if name == b"content-length"), b"0")
        if length.isdigit() and int(length) > self._most:  # before any of it is read
            raise self._too_large()
        parts, size = [], 0
        while True:
            message = await receive()
            if message["type"] != "http.request":
                return None
            part = message.get("body", b"")
            size += len(part)
            if size > self._most:
                raise self._too_large()
            held.take(len(part))
            parts.append(part)
            if not message.get("more_body", False):
                return parts[0] if len(parts) == 1 else b"".join(parts)

    def _too_large(self) -> _TooLarge:
        return _TooLarge(413, f"a body of more than {self._limits.body_mib} MiB; expected several requests")

    def hold(self, size: int, *, strict: bool) -> None:
        """Count bytes in; refuse those that would be too many, if there is somebody to refuse."""
        if strict and self._held + size > self._memory:
            raise _TooLarge(503, "too many large bodies at one time; expected fewer")
        self._held += size


class _TooLarge(Exception):  # noqa: N818
    def __init__(self, status: int, words: str) -> None:
        super().__init__(words)
        self.status = status


@final
class _Held:
    """What one request takes of the memory for bodies."""

    def __init__(self, bodies: Bodies) -> None:
        self._bodies, self.bytes = bodies, 0

    def take(self, size: int, *, strict: bool = True) -> None:
        self._bodies.hold(size, strict=strict)
        self.bytes += size


@final
class _Inside:
    """A request with its slot, which it gives back when its answer begins: computing is over by then."""

    def __init__(self, gate: Gate, body: bytes, receive: Receive, send: Send, held: _Held) -> None:
        self._gate, self._body, self._receive, self._send, self._held = gate, body, receive, send, held
        self._read = self._left = False

    async def receive(self) -> Message:
        if self._read:
            return await self._receive()
        self._read = True
        body, self._body = self._body, b""
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(self, message: Message) -> None:
        self.leave()
        self._held.take(len(message.get("body", b"")), strict=False)
        await self._send(message)

    def leave(self) -> None:
        if not self._left:
            self._left = True
            self._gate.leave()
