"""Lets each provider learn in a thread of its own, so that one that hangs, or fails, stops neither table nor others."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from queue import SimpleQueue
from typing import Final, final

from hashwarden.serve.jobs.job import Job
from hashwarden.serve.jobs.provider import ProcessFacts, Provider, ProviderAway
from hashwarden.serve.scan.text import printable
from hashwarden.serve.sources.source import Device

__all__ = ["HANG_S", "KEEP_S", "ProviderHealth", "Refresher"]

HANG_S: Final = 60.0
"""A provider that learns for longer hangs: what it said last is stale."""

KEEP_S: Final = 3600.0
"""What a provider said last is forgotten after so long."""


@final
@dataclass(slots=True)
class ProviderHealth:
    """Of one provider; counts since the start.

    Attributes
    ----------
    refreshes, failures : int
        Times that it learnt; times that it could not, its scheduler being away or its code at fault.
    faults : int
        Answers about a process that were none, by its code's fault.
    away_s : float
        How long it has been away, or has hung; 0 if it answers.
    duration_s : float
        How long it learnt last.
    error : str
        What the last failure said.
    """

    refreshes: int = 0
    failures: int = 0
    faults: int = 0
    away_s: float = 0.0
    duration_s: float = 0.0
    error: str = ""


@final
class Refresher:
    """The thread of one provider. All methods are called from outside it.

    Parameters
    ----------
    provider : Provider
    clock : callable
        Seconds of a monotonic clock.
    """

    def __init__(self, provider: Provider, clock: Callable[[], float] = time.monotonic) -> None:
        self.provider, self._clock = provider, clock
        self.health = ProviderHealth()
        self._tasks: SimpleQueue[Sequence[Device] | None] = SimpleQueue()
        self._done = threading.Event()
        self._done.set()
        self._good_s = self._asked_s = clock()
        self._failed = False
        self._thread = threading.Thread(target=self._loop, name=f"jobs-{provider.name}", daemon=True)
        self._thread.start()

    @property
    def stale(self) -> bool:
        """Whether what it knows is old: it is away, or hangs."""
        return self._failed or (not self._done.is_set() and self._clock() - self._asked_s > HANG_S)

    def ask(self, devices: Sequence[Device]) -> None:
        """Let it learn, unless it is still at it."""
        now = self._clock()
        self.health.away_s = now - self._good_s if self.stale else 0.0
        if self._done.is_set():
            self._done.clear()
            self._asked_s = now
            self._tasks.put(tuple(devices))

    def wait(self, seconds: float | None) -> None:
        """Wait until it has learnt, but no longer than that."""
        self._done.wait(seconds)

    def allotted(self) -> Mapping[str, tuple[Job, ...]]:
        """What it says, if that is not too old."""
        if self.health.away_s > KEEP_S:
            return {}
        try:
            return self.provider.allotted()
        except Exception as error:  # whatever a provider raises must not stop the table
            self._fault(error)
            return {}

    def job_of(self, process: ProcessFacts) -> Job | None:
        """What it says of a process."""
        try:
            return self.provider.job_of(process)
        except Exception as error:
            self._fault(error)
            return None

    def close(self) -> None:
        """Let the thread end; one that hangs is left behind."""
        self._tasks.put(None)

    def _fault(self, error: Exception) -> None:
        self.health.faults += 1
        self.health.error = _said(error)

    def _loop(self) -> None:
        while (devices := self._tasks.get()) is not None:
            start = self._clock()
            try:
                self.provider.refresh(devices)
            except Exception as error:
                self._failed = True
                self.health.failures += 1
                self.health.error = _said(error)
            else:
                self._failed, self._good_s = False, self._clock()
                self.health.refreshes += 1
            self.health.duration_s = self._clock() - start
            self._done.set()


def _said(error: Exception) -> str:
    kind = "" if isinstance(error, ProviderAway) else f"{type(error).__name__}: "
    return printable(f"{kind}{error}")[:200]
