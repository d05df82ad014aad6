"""The desk: an agent that watches what others push. It ticks as soon as something comes, in a thread of the service.

It is the agent itself, so policy, cases, audit log, evidence bundles and metrics are those of a node. It has no GPU,
and asks no scheduler unless one is configured.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from concurrent.futures import InvalidStateError
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, final

from hashwarden.errors import HashwardenError
from hashwarden.serve.agent.agent import Agent
from hashwarden.serve.agent.build import build
from hashwarden.serve.agent.clocks import Clocks
from hashwarden.serve.agent.config import (
    Config,
    LogSection,
)
from hashwarden.serve.agent.folder import EVIDENCE
from hashwarden.serve.agent.joining import watched_name
from hashwarden.serve.agent.logs import said
from hashwarden.serve.agent.show import Show
from hashwarden.serve.api.config import DeskSection
from hashwarden.serve.inbox.batch import InboxClosedError, Limits, Ticket
from hashwarden.serve.inbox.inbox import Inbox
from hashwarden.serve.inbox.kept import InboxKept

__all__ = ["Desk", "desk_config"]

_WINDOW_MIB: Final = 256
"""For the raw samples of the last minutes: some 800 GPUs at one sample a second."""

_DRAIN_S: Final = 5.0
_FAULT_S: Final = 1.0
_JOIN_S: Final = 10.0


def desk_config(section: DeskSection, model: Path | None = None, log: LogSection | None = None) -> Config:
    """The configuration of the agent that the desk is."""
    return Config.model_validate({
        "period_s": section.period_s, "jitter": 0.0, "alpha": section.alpha, "state_dir": section.state_dir,
        "run_dir": section.state_dir, "policy": section.policy, "model": model, "log": log or LogSection(),
        "sources": {"names": ("pushed",)}, "jobs": {"providers": ("pushed",)}, "http": {"listen": "", "socket": ""},
        "schedulers": {"names": section.schedulers}, "evidence": {"memory_mib": _WINDOW_MIB},
    })  # fmt: skip


@final
class Desk:
    """See the module; `start` it after it was made, `stop` it at the end.

    Parameters
    ----------
    config : Config
        See `desk_config`.
    limits : Limits, optional
        Of its inbox.
    home : str or None
        The cluster whose Slurm answers on this host, if schedulers are configured: "" for the one without a name. None:
        nobody's jobs can be acted on.

    Attributes
    ----------
    agent : Agent
    inbox : Inbox

    Raises
    ------
    HashwardenError
        What the first start-up step that failed said.
    """

    def __init__(self, config: Config, limits: Limits | None = None, home: str | None = None) -> None:
        clocks = Clocks()
        self.inbox = Inbox(limits, home, clocks.monotonic, clocks.unix)
        parts = build(config, clocks, self.inbox)
        try:
            self.agent = Agent(parts)
            self._kept = InboxKept(parts.folder.part("inbox"))
            self.agent.start()
            self._take_up()
        except BaseException:
            parts.steps.close()
            raise
        self._evidence = parts.folder.path / EVIDENCE
        self._kept_ns = self._mark()
        self._is_kept = True
        self._stop, self._reload = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run, name="desk", daemon=True)

    @property
    def view(self) -> Show:
        """What it shows."""
        return self.agent.show

    def ready(self) -> Mapping[str, Any]:
        """Whether it can do what it was asked to, and ticks."""
        found, alive = self.view.ready(), self._thread.is_alive() and self.view.alive()
        stands = [] if alive else [{"kind": "desk", "subject": "", "detail": "it does not tick: see its log"}]
        return {"ready": found["ready"] and alive, "blind": [*found["blind"], *stands]}

    def start(self) -> None:
        """Begin to tick."""
        self._thread.start()

    def reload(self) -> None:
        """Read the policy anew, at the next tick."""
        self._reload.set()
        self.inbox.wake()

    def stop(self) -> None:
        """Take nothing more, work off what waits, for some seconds, and keep the evidence."""
        self.inbox.close("the desk ends")
        self._stop.set()
        self.inbox.wake()
        if self._thread.ident is not None:
            self._thread.join(_JOIN_S)
        if not self._thread.is_alive():
            self.agent.close()
            self._keep()
            self._kept.close()
        for ticket in self.inbox.left_over():
            self._tell(ticket, InboxClosedError("the desk ended before all was judged", "a desk that runs",
                                                "Send it again later."))  # fmt: skip

    def _run(self) -> None:
        drained = 0.0
        while not self._stop.is_set() or (self.inbox.waiting and time.monotonic() < drained):
            self.inbox.wait(self.agent.parts.config.period_s)
            if self._stop.is_set() and not drained:
                drained = time.monotonic() + _DRAIN_S
            try:
                self._step()
            except Exception as error:  # a fault of ours must not end the watching; what was not judged waits
                said("error", "a tick of the desk failed", error=repr(error))
                self._stop.wait(_FAULT_S)

    def _step(self) -> None:
        start = time.monotonic()
        if self._reload.is_set():
            self._reload.clear()
            self.agent.reload()
        count = self.inbox.take()
        self.agent.tick()
        finished = self.inbox.settle(self._judged)
        seconds = time.monotonic() - start
        self.agent.metrics.ticks.add(seconds)
        self.inbox.pace(count, seconds)
        if self._mark() != self._kept_ns:
            self._keep()
        else:
            self._write()
        for ticket in finished:
            self._tell(ticket, None)

    def _judged(self, key: str, gpu: str, time_s: float) -> bool:
        one = self.agent.parts.judge.watched.get(watched_name(key, gpu))
        return one is not None and not one.anew and one.last_s >= time_s

    # Keeping

    def _take_up(self) -> None:
        """The jobs as they were, and what was pushed since the evidence was kept."""
        self.inbox.take_up(self._kept.jobs())
        for batch in self._kept.batches():
            try:
                self.inbox.put(batch)
            except HashwardenError as error:
                said("warning", "what was pushed before a restart is refused now", error=str(error))
        self._kept.begin(*self.inbox.kept())

    def _mark(self) -> int:
        with suppress(OSError):
            return self._evidence.stat().st_mtime_ns
        return 0

    def _keep(self) -> None:
        """The agent has kept its evidence: begin a new journal."""
        self._kept_ns = self._mark()
        try:
            self._kept.begin(*self.inbox.kept())
            self._is_kept = True
        except HashwardenError as error:
            self._lose(error)

    def _write(self) -> None:
        try:
            self._kept.append(self.inbox.unwritten())
        except HashwardenError as error:
            self._lose(error)

    def _lose(self, error: HashwardenError) -> None:
        """Something is neither in the journal nor in the evidence; it will be when that is kept the next time."""
        if self._is_kept:
            said("error", "what is pushed is not kept", error=str(error))
        self._is_kept = False

    # Telling

    def _tell(self, ticket: Ticket, error: HashwardenError | None) -> None:
        with suppress(InvalidStateError):
            if error is not None:
                ticket.done.set_exception(error)
            else:
                ticket.done.set_result({"kept": self._is_kept, "verdicts": self._verdicts(ticket)})

    def _verdicts(self, ticket: Ticket) -> list[Mapping[str, Any]]:
        watched = self.agent.parts.judge.watched
        found = ((key, gpu, watched.get(watched_name(key, gpu))) for key, gpu in ticket.names)
        return [
            {"job": key, "gpu": gpu, "state": one.evidence.state.word, "likeliest": one.verdict.likeliest,
             "family": one.verdict.family, "strength": round(one.evidence.strength, 4), "tier": one.verdict.tier,
             "abstains_for": one.verdict.abstains_for, "watched_s": round(one.evidence.watched_s, 1)}
            for key, gpu, one in found if one is not None
        ]  # fmt: skip
