"""Ticks that do not drift: the n-th comes n periods after the start, however long the work between them takes."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from random import SystemRandom
from threading import Event
from typing import final

__all__ = ["Ticker"]


@final
class Ticker:
    """See the module.

    Parameters
    ----------
    period_s : float
        Seconds from tick to tick.
    stop : Event
        Ends the waiting.
    clock : callable
        Seconds of a monotonic clock.
    jitter : float
        Share of the period by which a tick may come late, at random: who knows the phase of the ticks can rest at
        each. The n-th still comes within the n-th period.

    Attributes
    ----------
    ticks : int
        Ticks that came.
    missed : int
        Ticks that passed while something else took too long; they are not made up for.
    """

    def __init__(
        self, period_s: float, stop: Event, clock: Callable[[], float] = time.monotonic, jitter: float = 0.0
    ) -> None:
        self.period_s, self._stop, self._clock, self._jitter = period_s, stop, clock, jitter
        self._random = SystemRandom()
        self.ticks = self.missed = 0
        self._start_s: float | None = None
        self._next = 0

    def wait(self) -> bool:
        """Wait for the next tick; False if it was stopped."""
        if self._start_s is None:
            self._start_s = self._clock()
        late = math.floor((self._clock() - self._start_s) / self.period_s) - self._next
        if late > 0:  # whole periods went by: go on with the one that is due
            self.missed += late
            self._next += late
        late_s = self._random.uniform(0.0, self._jitter * self.period_s) if self._jitter else 0.0
        wait_s = self._start_s + self._next * self.period_s + late_s - self._clock()
        if self._stop.wait(max(0.0, wait_s)):
            return False
        self._next += 1
        self.ticks += 1
        return True
