"""The time that the agent goes by: the machine's, or in a drill one that runs faster and waits for the agent."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final, final

from hashwarden.errors import UsageError

__all__ = ["FASTEST", "Clocks"]

FASTEST: Final = 1000.0

_LATE_S: Final = 10.0
"""For so long a drill waits for the samples of a tick."""


@final
class Clocks:
    """Two clocks that belong together.

    A drill's clocks go on by one period a tick, however long the tick took: a machine that is busy makes the drill
    longer, and changes nothing of what comes out.

    Parameters
    ----------
    rate : float
        1 for the machine's own time; n for a drill of about n times its speed, so that a recorded hour takes minutes
        and every time in rules and evidence stays what it is.
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
        self._start_s, self._start_unix_s, self._passed_s = monotonic(), unix(), 0.0

    @property
    def is_drill(self) -> bool:
        """Whether these clocks are moved on by `tick` alone."""
        return self.rate > 1

    def tick(self, period_s: float) -> None:
        """A tick begins: a drill's clocks go on by one period."""
        self._passed_s += period_s

    def patience_s(self, period_s: float) -> float:
        """How long, in the machine's time, a tick may wait for samples."""
        return _LATE_S if self.is_drill else 0.9 * period_s

    def monotonic(self) -> float:
        """Seconds that never run backwards."""
        return self._start_s + self._passed_s if self.is_drill else self._monotonic()

    def unix(self) -> float:
        """Seconds since 1970; of a drill, since it began at its own pace."""
        return self._start_unix_s + self._passed_s if self.is_drill else self._unix()
