"""How many things may be done in a second, so that whoever makes processes fast costs us no more than that."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final, final

__all__ = ["LOOK_UPS", "Budget"]

LOOK_UPS: Final = 250
"""Unknown processes that are looked up in a second."""


@final
class Budget:
    """Gives out so many in each second.

    Parameters
    ----------
    clock : callable
        Seconds of a monotonic clock.
    a_second : int
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic, a_second: int = LOOK_UPS) -> None:
        self._clock, self._most = clock, a_second
        self._left, self._since_s = a_second, clock()

    def take(self) -> bool:
        """Whether there is one left."""
        now = self._clock()
        if now - self._since_s >= 1.0:
            self._left, self._since_s = self._most, now
        self._left -= 1
        return self._left >= 0
