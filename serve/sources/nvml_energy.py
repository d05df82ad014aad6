"""Mean power from the energy counter, which never skips, against its own faults."""

from __future__ import annotations

from typing import Final, final

__all__ = ["Energy"]

_WRAP: Final = 2**32
_MOST_WATTS: Final = 3000.0


@final
class Energy:
    """Power between two states of the energy counter.

    The counter moves in steps of its own (tens of ms), so that between two close readings it may stand still: the
    time then counts to the next reading that sees it move. A counter of 32 bits that wrapped is told from one that a
    loading driver set back by the power that either would mean.
    """

    def __init__(self) -> None:
        self._last: tuple[float, int] | None = None

    def watts(self, now_s: float, millijoules: int | None) -> float | None:
        """Mean power since the counter last moved.

        Parameters
        ----------
        now_s : float
            Seconds of the monotonic clock.
        millijoules : int or None
            The counter; None if it cannot be read.

        Returns
        -------
        float or None
            None if nothing can be said: the first reading, no movement, the counter was set back.
        """
        last = self._last
        if millijoules is None or (last is not None and millijoules == last[1]):
            return None
        self._last = (now_s, millijoules)
        if last is None or now_s <= last[0]:
            return None
        used = millijoules - last[1]
        if used < 0 and last[1] < _WRAP:
            used += _WRAP
        watts = used / 1000 / (now_s - last[0])
        return watts if 0 <= watts <= _MOST_WATTS else None
