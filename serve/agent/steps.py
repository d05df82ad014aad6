"""Start-up as a list of named steps: each is logged with its time, and what was opened is closed if one fails."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from typing import Final, TypeVar, final

from hashwarden.serve.agent.logs import said

__all__ = ["Done", "Steps"]

T = TypeVar("T")

_TOGETHER_S: Final = 2.5
"""For all that closes alongside: with what is closed in order the end takes less than 5 s."""


@final
@dataclass(frozen=True, slots=True)
class Done:
    """A step that was taken.

    Attributes
    ----------
    name : str
    seconds : float
    """

    name: str
    seconds: float


@final
class Steps:
    """Runs steps, in order.

    Attributes
    ----------
    done : list of Done
    """

    def __init__(self) -> None:
        self.done: list[Done] = []
        self._alongside: list[Callable[[], object]] = []
        self._closing = ExitStack()

    def alongside(self, close: Callable[[], object]) -> None:
        """Have something closed at the end that waits for others: all of these at once, before the rest."""
        self._alongside.append(close)

    def close(self) -> None:
        """Close everything: what may hang at the same time, then the rest in order, last opened first."""
        closing, self._alongside = self._alongside, []
        threads = [threading.Thread(target=close, name="closing", daemon=True) for close in closing]
        for thread in threads:
            thread.start()
        deadline = time.monotonic() + _TOGETHER_S
        for thread in threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        self._closing.close()

    def run(
        self, name: str, step: Callable[[], T], close: Callable[[T], object] | None = None, *, alongside: bool = False
    ) -> T:
        """Take a step; whatever it raises ends the start, after what was opened was closed.

        Parameters
        ----------
        name : str
            What the log calls it.
        step : callable
            Gives what the step made.
        close : callable, optional
            Closes that.
        alongside : bool
            Whether that may be done beside others, as it may have to wait.
        """
        start = time.monotonic()
        try:
            made = step()
        except BaseException as error:
            said("error", "a start-up step failed", step=name, error=str(error), kind=type(error).__name__)
            self.close()
            raise
        if close is not None and alongside:
            self.alongside(partial(close, made))
        elif close is not None:
            self._closing.callback(close, made)
        self.done.append(Done(name, time.monotonic() - start))
        said("info", "start-up step done", step=name, seconds=round(self.done[-1].seconds, 3))
        return made
