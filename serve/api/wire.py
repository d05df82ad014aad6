"""One connection: who is at its other end, and an end to clients that are slow on purpose.

What uvicorn leaves open: lines before a body that trickle or never end, an answer that nobody takes, a connection that
says nothing at all, thousands of requests in one packet. None of them can hold more than one connection for a while.
"""

from __future__ import annotations

import asyncio
import json
from enum import Enum
from typing import TYPE_CHECKING, Any, Final, cast, final

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

from hashwarden.serve.api.config import LimitsSection
from hashwarden.serve.api.meters import Meters
from hashwarden.serve.api.peers import PEER, Peer, peer_of

if TYPE_CHECKING:
    from uvicorn.config import Config
    from uvicorn.server import ServerState

__all__ = ["Joined", "Wire", "wire"]

_COPIED: Final = 16_384
"""Bytes up to which one copy and one write cost less than a list of two."""

_PIPELINED: Final = 16
"""Requests that a client may send before it has the answer to the first."""

_LINGER_S: Final = 2.0
"""Beyond the time for a body, within which the application answers 408."""

_WORDS: Final = {400: "this is no HTTP request", 431: "the lines before the body are too long; expected fewer cookies",
                 503: "too many connections; expected fewer"}  # fmt: skip


@final
class Joined:
    """A transport that sends the lines of an answer with its body: one call of the system, and the client wakes once.

    uvicorn writes them apart, and uvloop sends each at once. Lines whose body is not there yet go by themselves.
    """

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport, self._loop, self._held, self._begun = transport, loop, b"", False

    def write(self, data: bytes) -> None:
        """Send the first part with the second."""
        if self._begun:
            held, self._held = self._held, b""
            if not held:
                self._transport.write(data)
            elif len(data) <= _COPIED:
                self._transport.write(held + data)
            else:
                self._transport.writelines((held, data))
        else:
            self._begun, self._held = True, data
            self._loop.call_soon(self._flush)

    def close(self) -> None:
        """Close it when all is sent."""
        self._flush()
        self._transport.close()

    def _flush(self) -> None:
        held, self._held = self._held, b""
        if held and not self._transport.is_closing():
            self._transport.write(held)

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401  what else uvicorn asks of it
        return getattr(self._transport, name)


class _Part(Enum):
    """What comes next from the client."""

    REQUEST = "idle"
    LINES = "header"
    BODY = "body"


class Wire(HttpToolsProtocol):
    """A connection of uvicorn's with bounds.

    Attributes
    ----------
    limits : LimitsSection
    meters : Meters
    """

    limits: LimitsSection
    meters: Meters

    def __init__(
        self, config: Config, server_state: ServerState, app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:  # fmt: skip
        super().__init__(config, server_state, app_state, _loop)
        self._peer = Peer()
        self._part, self._number, self._bytes = _Part.REQUEST, 0, 0
        self._waits_for: tuple[_Part, int] | None = None
        self._reading: asyncio.TimerHandle | None = None
        self._writing: asyncio.TimerHandle | None = None
        self._over = False
        self._running: RequestResponseCycle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Learn who it is."""
        super().connection_made(transport)
        self._peer = peer_of(transport)
        self.meters.connections.inc()
        if len(self.connections) > self.limits.connections:
            self._end(503, "connections")
        else:
            self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget it."""
        self.meters.connections.dec()
        self._over = True
        self._stop_waiting()
        self._taken()
        self._forsake()  # uvicorn tells only the last of those that wait their turn
        self.pipeline.clear()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Read on, and see that what has begun comes to an end."""
        if self._over:
            return
        number = self._number
        super().data_received(data)
        if self._over:
            return
        if self._part is _Part.LINES:
            self._bytes = self._bytes + len(data) if self._number == number else len(data)
            if self._bytes > self.limits.header_kib * 1024:
                self._end(431, "header")
                return
        answering = self.cycle is not None and not self.cycle.response_complete
        if self._part is _Part.REQUEST and answering:
            self._stop_waiting()
        elif self._waits_for != (self._part, self._number):
            self._wait()

    def on_message_begin(self) -> None:
        """Begin a request; the application is told who asks."""
        super().on_message_begin()
        self._part = _Part.LINES
        self._number += 1
        self.scope["extensions"] = cast("Any", {PEER: self._peer})

    def on_headers_complete(self) -> None:
        """Have the request answered, if there are not too many before it."""
        if self._over:
            return
        self._part = _Part.BODY
        if len(self.pipeline) >= _PIPELINED:
            self._cut("pipeline")
        elif sum(len(name) + len(value) for name, value in self.headers) > self.limits.header_kib * 1024:
            self._end(431, "header")
        else:
            super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Hand on a part of a body."""
        if not self._over:
            super().on_body(body)

    def on_message_complete(self) -> None:
        """The request is whole."""
        if not self._over:
            super().on_message_complete()
            self._part = _Part.REQUEST

    def send_400_response(self, msg: str) -> None:
        """Answer what is no HTTP."""
        del msg
        self._end(400, "malformed")

    def pause_writing(self) -> None:
        """Wait until the client takes its answer, not for ever."""
        super().pause_writing()
        if self._writing is None:
            self._writing = self.loop.call_later(self.limits.answer_s, self._cut, "answer")

    def resume_writing(self) -> None:
        """It took it."""
        super().resume_writing()
        self._taken()

    def on_response_complete(self) -> None:
        """What is left of the answer may be in our buffers for a while, the connection open or not."""
        super().on_response_complete()
        if self._writing is None and self.transport.get_write_buffer_size():
            self._writing = self.loop.call_later(self.limits.answer_s, self._unread)

    def _unread(self) -> None:
        self._writing = None
        if self.transport.get_write_buffer_size():
            self._cut("answer")

    def _taken(self) -> None:
        if self._writing is not None:
            self._writing.cancel()
            self._writing = None

    def _wait(self) -> None:
        """Cut the connection off if what has begun has not come to its end in time."""
        self._stop_waiting()
        self._waits_for = self._part, self._number
        seconds = {_Part.REQUEST: self.limits.idle_s, _Part.LINES: self.limits.header_s,
                   _Part.BODY: self.limits.body_s + _LINGER_S}[self._part]  # fmt: skip
        self._reading = self.loop.call_later(seconds, self._cut, self._part.value)

    def _stop_waiting(self) -> None:
        self._waits_for = None
        if self._reading is not None:
            self._reading.cancel()
            self._reading = None

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:  # noqa: ANN401
        self._running = cycle
        cycle.transport = cast("asyncio.Transport", Joined(cycle.transport, self.loop))
        super()._start_asgi_task(cycle, app)

    def _forsake(self) -> None:
        """Have requests that are being answered know at once that nobody takes their answers."""
        for each in (self._running, self.cycle, *(cycle for cycle, _ in self.pipeline)):
            if each is not None and not each.response_complete:
                each.disconnected = True
                each.message_event.set()

    def _cut(self, reason: str) -> None:
        self._over = True
        self.meters.cut.labels(reason).inc()
        self._forsake()
        self.transport.abort()

    def _end(self, status: int, reason: str) -> None:
        """Say why, and close; but first answer what came before, if it came whole."""
        self._over = True
        self._stop_waiting()
        self.meters.cut.labels(reason).inc()
        busy = self.cycle is not None and not self.cycle.response_complete
        if busy and not self.cycle.more_body:
            self.cycle.keep_alive = False  # uvicorn closes after the last answer
            return
        if not busy or (self._running is self.cycle and not self.cycle.response_started):
            self.transport.write(_refusal(status))
        self._forsake()
        self.transport.close()


def _refusal(status: int) -> bytes:
    body = json.dumps({"error": _WORDS[status]}).encode()
    head = f"content-type: application/json\r\ncontent-length: {len(body)}\r\nconnection: close\r\n"
    again = "retry-after: 1\r\n" if status == 503 else ""
    return STATUS_LINE[status] + f"{head}{again}\r\n".encode() + body


def wire(limits: LimitsSection, meters: Meters) -> type[Wire]:
    """The class of connections with these limits, for uvicorn's ``http``."""

    @final
    class Bounded(Wire):
        pass

    Bounded.limits, Bounded.meters = limits, meters
    return Bounded
