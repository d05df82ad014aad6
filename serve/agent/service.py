"""The agent as a service: what answers requests, what signals do, and an end within seconds."""

from __future__ import annotations

import signal
from pathlib import Path
from threading import Event
from typing import final

from hashwarden.serve.agent.agent import Agent
from hashwarden.serve.agent.api import Api, Probes, socket_access
from hashwarden.serve.agent.build import build
from hashwarden.serve.agent.config import Config
from hashwarden.serve.agent.logs import set_up
from hashwarden.serve.agent.telemetry import Telemetry
from hashwarden.serve.agent.web import Handler, Server
from hashwarden.serve.pages.mount import mounted

__all__ = ["Service"]


@final
class Service:
    """One agent with its servers.

    Parameters
    ----------
    config : Config

    Raises
    ------
    HashwardenError
        What the first start-up step that failed said.
    """

    def __init__(self, config: Config) -> None:
        set_up(config.log)
        self.stop, self.reload = Event(), Event()
        parts = build(config)
        try:
            self.agent = Agent(parts)
            show = self.agent.show
            http = config.http
            self.probes = self._serve(http.listen, Probes(show))
            where = config.run_dir / http.socket if http.socket else ""
            self.api = self._serve(where, mounted(Api(show, http.approvers)), *socket_access(http.approvers))
            self.telemetry = Telemetry(config.telemetry, show)
            parts.steps.alongside(self.telemetry.close)
            self.agent.start()
        except BaseException:
            parts.steps.close()
            raise

    def run(self) -> None:
        """Tick until `stop` is set."""
        try:
            self.agent.run(self.stop, self.reload)
        finally:
            self.agent.close()

    def heed_signals(self) -> None:
        """SIGTERM and SIGINT stop it, SIGHUP reloads. Only in the main thread."""
        signal.signal(signal.SIGHUP, lambda *_: self.reload.set())
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: self.stop.set())

    def _serve(self, where: str | Path, handler: Handler, mode: int = 0, group: int = -1) -> Server | None:
        if not where:
            return None
        steps = self.agent.parts.steps
        return steps.run(f"answer on {where}", lambda: Server(where, handler, mode, group), Server.close,
                         alongside=True)  # fmt: skip
