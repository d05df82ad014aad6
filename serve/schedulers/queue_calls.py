"""Calls of schedulers, each in a thread of its own: one that hangs holds up nobody but its own job."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, final

from hashwarden.serve.scan.text import printable, shorten
from hashwarden.serve.schedulers.scheduler import Action, Outcome, Result, Scheduler, SchedulerAway

__all__ = ["Answer", "Calls"]

_WORDS: Final = 500


@final
@dataclass(frozen=True, slots=True)
class Answer:
    """What came of a call.

    Attributes
    ----------
    outcome : Outcome or None
        None if the scheduler is away.
    away : str
        Its words then.
    """

    outcome: Outcome | None
    away: str = ""


@final
class Calls:
    """What is being asked.

    Parameters
    ----------
    parallel : int
        Calls of one scheduler at a time; one that hangs does not count.
    most : int
        Threads in all, with those that hang.
    hang_s : float
        After that a call counts as hanging.
    steady : callable
        A clock that nobody sets, in seconds.
    """

    def __init__(self, parallel: int, most: int, hang_s: float, steady: Callable[[], float]) -> None:
        self._parallel, self._most, self._hang_s, self._steady = parallel, most, hang_s, steady
        self._began: dict[str, tuple[str, float]] = {}
        self._answers: dict[str, Answer] = {}
        self._changed = threading.Condition()

    def has_room(self, kind: str) -> bool:
        """Whether another call of this kind of scheduler may begin."""
        with self._changed:
            now = self._steady()
            busy = sum(kind == one and now - began < self._hang_s for one, began in self._began.values())
            return busy < self._parallel and len(self._began) < self._most

    def begin(self, name: str, kind: str, scheduler: Scheduler, action: Action) -> None:
        """Ask, in a thread that ends with the process."""
        with self._changed:
            self._began[name] = (kind, self._steady())
        threading.Thread(target=self._call, args=(name, scheduler, action), name=f"ask-{kind}", daemon=True).start()

    def runs(self, name: str) -> bool:
        """Whether it is asked, and there is no answer."""
        with self._changed:
            return name in self._began

    def hangs(self, name: str) -> bool:
        """Whether it runs for too long."""
        with self._changed:
            return name in self._began and self._steady() - self._began[name][1] >= self._hang_s

    def take(self) -> dict[str, Answer]:
        """The answers since the last time, by name."""
        with self._changed:
            answers, self._answers = self._answers, {}
            return answers

    def wait(self, patience_s: float) -> None:
        """Wait until nothing is being asked, or for so long."""
        with self._changed:
            self._changed.wait_for(lambda: not self._began, patience_s)

    def _call(self, name: str, scheduler: Scheduler, action: Action) -> None:
        answer = _answer(scheduler, action)
        with self._changed:
            self._began.pop(name, None)
            self._answers[name] = answer
            self._changed.notify_all()


def _answer(scheduler: Scheduler, action: Action) -> Answer:
    try:
        if action.kind not in scheduler.kinds:
            return Answer(Outcome(action.id, Result.REFUSED, f"this scheduler has no {action.kind}"))
        outcome = scheduler.apply(action)
        return Answer(Outcome(action.id, outcome.result, _short(outcome.detail)))
    except SchedulerAway as away:
        return Answer(None, _short(str(away)))
    except Exception as error:  # a fault of ours: the same again tomorrow
        return Answer(Outcome(action.id, Result.REFUSED, _short(f"{type(error).__name__}: {error}")))


def _short(text: str) -> str:
    return shorten(printable(text), _WORDS)
