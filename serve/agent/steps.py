"""Start-up as a list of named steps: each is logged with its time, and what was opened is closed if one fails."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TypeVar, final

from hashwarden.serve.agent.logs import said

__all__ = ["Done", "Steps"]

T = TypeVar("T")


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
    closing : ExitStack
        What is to be closed at the end, last opened first.
    """

    def __init__(self) -> None:
        self.done: list[Done] = []
        self.closing = ExitStack()

    def run(self, name: str, step: Callable[[], T], close: Callable[[T], object] | None = None) -> T:
        """Take a step; whatever it raises ends the start, after what was opened was closed.

        Parameters
        ----------
        name : str
            What the log calls it.
        step : callable
            Gives what the step made.
        close : callable, optional
            Closes that.
        """
        start = time.monotonic()
        try:
            made = step()
        except BaseException as error:
            said("error", "a start-up step failed", step=name, error=str(error), kind=type(error).__name__)
            self.closing.close()
            raise
        if close is not None:
            self.closing.callback(close, made)
        self.done.append(Done(name, time.monotonic() - start))
        said("info", "start-up step done", step=name, seconds=round(self.done[-1].seconds, 3))
        return made
