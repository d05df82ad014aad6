"""When a source with a duty cycle looks again: once in so many seconds on average, at moments that nobody can foretell.

A job that pauses while it is looked at would need to know when that is. With a fixed period, whoever has noticed three
looks knows all later ones.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Final, final

__all__ = ["Duty"]

_SPREAD: Final = 0.5
"""The wait lies this much below or above its mean, evenly."""

_uniform: Final = random.SystemRandom().random


@final
class Duty:
    """Moments at which to look.

    Parameters
    ----------
    every_s : float
        Mean seconds from one to the next.
    uniform : callable
        A number from 0 to 1; by default one that nobody else can work out.
    """

    def __init__(self, every_s: float, uniform: Callable[[], float] = _uniform) -> None:
        self._every_s, self._uniform = every_s, uniform
        self._next_s = float("-inf")

    def due(self, now_s: float) -> bool:
        """Whether it is time; before the first look it is."""
        return now_s >= self._next_s

    def looked(self, now_s: float) -> None:
        """A look began now: draw when the next one does."""
        self._next_s = now_s + self._every_s * (1 - _SPREAD + 2 * _SPREAD * self._uniform())

    def wait(self, now_s: float, seconds: float) -> None:
        """Look no sooner than after so many seconds."""
        self._next_s = now_s + seconds
