"""The time that the agent goes by: the machine's, or in a drill one that runs faster."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import final

from hashwarden.errors import UsageError

__all__ = ["FASTEST", "Clocks"]

FASTEST = 1000.0


@final
class Clocks:
    """Two clocks that belong together.

    Parameters
    ----------
    rate : float
        1 for the machine's own; n for n times as fast from now on, so that a recorded hour takes minutes and every
        time in rules and evidence stays what it is.
    monotonic, unix : callable
        What they are made of.

    Raises
    ------
    UsageError
        If the rate is below 1 or above `FASTEST`.
    """

    def __init__(
        self, rate: float = 1.0, monotonic: Callable[[], float] = time.monotonic, unix: Callable[[], float] = time.time
    ) -> None:
        if not 1 <= rate <= FASTEST:
            raise UsageError(f"a speed of {rate:g}", f"1 to {FASTEST:g}", "Choose 1 for real time.")
        self.rate, self._monotonic, self._unix = rate, monotonic, unix
        self._start_s = monotonic()

    def monotonic(self) -> float:
        """Seconds that never run backwards."""
        return self._start_s + (self._monotonic() - self._start_s) * self.rate

    def unix(self) -> float:
        """Seconds since 1970, ahead of the machine's by as much as this clock ran ahead."""
        now = self._monotonic()
        return self._unix() + (now - self._start_s) * (self.rate - 1)
