"""Whether the wall clock can be trusted: expiry dates and the times in the audit log rest on it."""

from __future__ import annotations

from typing import Final, final

__all__ = ["JUMP_S", "ClockWatch"]

JUMP_S: Final = 2.0
"""A change of the wall clock against the monotonic one that is no slewing: NTP slews by 0.5 ms a second at most."""

_STEADY_S: Final = 60.0


@final
class ClockWatch:
    """Compares the clocks at every tick.

    Attributes
    ----------
    jumps : int
        Times that the wall clock jumped.
    last_jump_s : float
        Seconds by which it did last; positive is forward.
    """

    def __init__(self) -> None:
        self.jumps, self.last_jump_s = 0, 0.0
        self._offset: float | None = None
        self._trusted_from = float("-inf")

    def step(self, time_s: float, unix_s: float) -> bool:
        """Take both clocks; gives whether the wall clock has been steady for a minute.

        Parameters
        ----------
        time_s, unix_s : float
            Monotonic clock, and seconds since 1970, read one after the other.
        """
        offset = unix_s - time_s
        if self._offset is not None and abs(offset - self._offset) > JUMP_S:
            self.jumps += 1
            self.last_jump_s = offset - self._offset
            self._trusted_from = time_s + _STEADY_S
        self._offset = offset
        return time_s >= self._trusted_from
