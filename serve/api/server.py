"""The service as a process: uvicorn on all its sockets, signals, systemd, and an end that loses no accepted request."""

from __future__ import annotations

import asyncio
import logging
import resource
import signal
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, Final, cast, final

import uvicorn
from starlette.types import ASGIApp

from hashwarden.errors import HashwardenError
from hashwarden.serve.agent.logs import said
from hashwarden.serve.agent.notify import notify, reloading, watchdog_s
from hashwarden.serve.api.access import Keeper
from hashwarden.serve.api.config import ServeConfig
from hashwarden.serve.api.listeners import Listener, listeners, tls_of
from hashwarden.serve.api.meters import Meters
from hashwarden.serve.api.wire import wire

__all__ = ["ApiServer"]

_UVICORN: Final = "uvicorn.error"
_FILES: Final = 512
"""Open files beside connections."""


@final
class ApiServer:
    """One application on all its places.

    Parameters
    ----------
    config : ServeConfig
    app : ASGI application
    keeper : Keeper
        Whose tokens are read again at SIGHUP.
    meters : Meters
    reloaded : callable, optional
        Called when tokens and certificates were read again.

    Attributes
    ----------
    places : list of Listener
    loop : asyncio.AbstractEventLoop or None
        That it runs in, while it runs.

    Raises
    ------
    UsageError
        If a place or a certificate cannot be used.
    """

    def __init__(
        self, config: ServeConfig, app: ASGIApp, keeper: Keeper, meters: Meters,
        reloaded: Callable[[], None] | None = None,
    ) -> None:  # fmt: skip
        self._config, self._keeper, self._meters, self._reloaded = config, keeper, meters, reloaded
        self.loop: asyncio.AbstractEventLoop | None = None
        self._tls = tls_of(config.tls)
        self.places = listeners(config)
        logging.getLogger(_UVICORN).setLevel(logging.CRITICAL)  # it logs what clients send; ours does not
        self._server = _Server(_uvicorn(config, app, meters), self.places, self._tls, config.limits.header_s)

    def run(self, started: Callable[[], None] | None = None) -> None:
        """Answer until `stop`, SIGTERM or SIGINT.

        Parameters
        ----------
        started : callable, optional
            Called when it does.
        """
        _raise_files(self._config.limits.connections + _FILES)
        try:
            _run_loop(self._run(started or (lambda: None)))
        finally:
            for place in self.places:
                place.close()

    def stop(self) -> None:
        """Take no more connections, answer what was accepted, and end. From any thread."""
        self._server.should_exit = True

    async def _run(self, started: Callable[[], None]) -> None:
        self.loop = loop = asyncio.get_running_loop()
        with suppress(ValueError, RuntimeError):  # not in the main thread
            loop.add_signal_handler(signal.SIGHUP, lambda: loop.create_task(self.reload()))
            for number in (signal.SIGTERM, signal.SIGINT):
                loop.add_signal_handler(number, self.stop)
        alive = asyncio.create_task(self._alive(started))
        try:
            await self._server.serve()
        finally:
            alive.cancel()
            notify("STOPPING=1")

    async def _alive(self, started: Callable[[], None]) -> None:
        """Tell systemd, and whoever waits, that it answers; then, as often as systemd wants, that it still does."""
        while not self._server.started:
            await asyncio.sleep(0.01)
        notify("READY=1")
        started()
        every = watchdog_s()
        while every:
            notify("WATCHDOG=1")
            await asyncio.sleep(every / 2)

    async def reload(self) -> bool:
        """Read tokens and certificates again; what cannot be used leaves everything as it was."""
        reloading()
        try:
            tls = tls_of(self._config.tls)
            count = self._keeper.reload()
            await self._server.renew(tls)
            if self._reloaded is not None:
                self._reloaded()
        except HashwardenError as error:
            said("error", "tokens and certificates stay as they were", error=str(error))
            self._meters.reloads.labels("failed").inc()
            return False
        finally:
            notify("READY=1")
        said("info", "tokens and certificates read again", tokens=count)
        self._meters.reloads.labels("done").inc()
        return True


def _raise_files(wanted: int) -> None:
    """Open files that this process may have: the usual 1,024 are fewer than its connections."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    if soft != resource.RLIM_INFINITY and soft < most:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))


def _run_loop(main: Any) -> None:  # noqa: ANN401  a coroutine
    """Run in uvloop."""
    import uvloop

    uvloop.run(main)


def _uvicorn(config: ServeConfig, app: ASGIApp, meters: Meters) -> uvicorn.Config:
    return uvicorn.Config(
        app, http=wire(config.limits, meters), ws="none", lifespan="off", log_config=None, access_log=False,
        server_header=False, proxy_headers=False, timeout_keep_alive=cast("int", config.limits.idle_s),
        timeout_graceful_shutdown=int(config.limits.drain_s),
    )  # fmt: skip


@final
class _Server(uvicorn.Server):
    """uvicorn on several places, each with or without TLS."""

    def __init__(
        self, config: uvicorn.Config, places: list[Listener], tls: ssl.SSLContext | None, handshake_s: float
    ) -> None:
        super().__init__(config)
        self._places, self._tls, self._handshake_s = places, tls, handshake_s
        self.servers = []

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Signals are ours: uvicorn would send itself the one that ended it a second time."""
        yield

    async def startup(self, sockets: Any = None) -> None:  # noqa: ANN401, ARG002
        """Take connections everywhere."""
        await self.renew(self._tls)
        self.started = True

    async def renew(self, tls: ssl.SSLContext | None) -> None:
        """The same with another certificate."""
        self._tls = tls
        for place in self._places:
            await place.open(self._protocol, tls, self._handshake_s)

    async def shutdown(self, sockets: Any = None) -> None:  # noqa: ANN401
        """Take none, answer what came before, end."""
        for place in self._places:
            place.close()
        await super().shutdown(sockets)

    def _protocol(self) -> asyncio.Protocol:
        make: Any = self.config.http_protocol_class
        protocol: asyncio.Protocol = make(config=self.config, server_state=self.server_state, app_state={})
        return protocol
