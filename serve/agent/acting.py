"""Asks schedulers, in a thread of its own: one that takes its time must not hold up the watching."""

from __future__ import annotations

import threading
from collections.abc import Callable
from queue import Empty, SimpleQueue
from typing import Final, Protocol, final

from hashwarden.errors import HashwardenError
from hashwarden.serve.agent.logs import said
from hashwarden.serve.schedulers.scheduler import Action, Outcome

__all__ = ["Acting", "Queue"]

_EVERY_S: Final = 1.0
_CLOSE_S: Final = 2.0


class Queue(Protocol):
    """What `hashwarden.serve.schedulers.queue.ActionQueue` is, as far as it matters here."""

    def put(self, action: Action) -> None: ...  # noqa: D102
    def step(self, now_unix_s: float) -> list[Outcome]: ...  # noqa: D102


@final
class Acting:
    """See the module.

    Parameters
    ----------
    queue : Queue
        Durable; `put` may be called while `step` runs.
    unix : callable
        Seconds since 1970.
    """

    def __init__(self, queue: Queue, unix: Callable[[], float]) -> None:
        self._queue, self._unix = queue, unix
        self._outcomes: SimpleQueue[Outcome] = SimpleQueue()
        self._stop = threading.Event()
        self._wake = threading.Event()
        self.error = ""
        self._thread = threading.Thread(target=self._loop, name="acting", daemon=True)
        self._thread.start()

    def put(self, action: Action) -> None:
        """Hand an action over; StorageError if it cannot be kept, then nothing is done."""
        self._queue.put(action)
        self._wake.set()

    def outcomes(self) -> list[Outcome]:
        """What ended since the last call."""
        found: list[Outcome] = []
        while True:
            try:
                found.append(self._outcomes.get_nowait())
            except Empty:
                return found

    def close(self) -> None:
        """Stop asking; what was not done yet is asked for after the next start."""
        self._stop.set()
        self._wake.set()
        self._thread.join(_CLOSE_S)

    def _loop(self) -> None:
        while not self._stop.is_set():
            self._wake.wait(_EVERY_S)
            self._wake.clear()
            if not self._stop.is_set():
                self._step()

    def _step(self) -> None:
        try:
            for outcome in self._queue.step(self._unix()):
                self._outcomes.put(outcome)
            self.error = ""
        except HashwardenError as error:  # no room for the audit: nothing is done, and that is told
            self.error = str(error)
        except Exception as error:  # a fault of ours must not end the thread
            self.error = repr(error)
            said("error", "asking a scheduler failed", error=self.error)
