"""Whether an exporter has looked at its GPUs again since it was asked last: it gives its last sample to everyone.

dcgm-exporter looks every 30 s unless told otherwise, and goes on with what it saw last when the host engine is gone
(gpu-monitoring-tools issue 188) or hangs (dcgm-exporter issue 164). The same values twice are therefore one sample;
the same values for long are a frozen exporter, for energy and power move on an idle GPU too.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from itertools import pairwise
from typing import Final, final

from hashwarden.serve.sources.dcgm_fields import MOVING

__all__ = ["LEAST_STALE_S", "LONGEST_S", "Fresh"]

LEAST_STALE_S: Final = 90.0
"""Three of dcgm-exporter's default intervals."""

LONGEST_S: Final = 600.0
"""An interval that somebody may have set on purpose."""

_LONGEST_WAIT_S: Final = 60.0
"""Between two questions: what is asked for costs little, and who took a pause for the interval has to find out."""

_INTERVALS: Final = 3.0
_REMEMBERED: Final = 8
_EAGER: Final = 0.8


@final
class Fresh:
    """What each device said last, and when that was new.

    Parameters
    ----------
    least_stale_s : float
        Seconds without any change before which nothing is stale; more where the exporter's own interval is longer.
    """

    def __init__(self, least_stale_s: float = LEAST_STALE_S) -> None:
        self._least_s = least_stale_s
        self._raw: dict[str, dict[int, float]] = {}
        self._new_s: dict[str, float] = {}
        self._changes: deque[float] = deque(maxlen=_REMEMBERED)

    @property
    def interval_s(self) -> float:
        """Shortest time between two changes lately, which is the exporter's interval; 0 if it is not known.

        No more than `LONGEST_S`: a longer one was a pause, of an exporter that hung or was away.
        """
        return min((b - a for a, b in pairwise(self._changes) if b - a <= LONGEST_S), default=0.0)

    @property
    def stale_s(self) -> float:
        """Seconds without any change that mean it is frozen."""
        return max(self._least_s, _INTERVALS * self.interval_s)

    def new(self, seen: Mapping[str, Mapping[int, float]], now_s: float) -> set[str]:
        """Take what each device says; gives the devices that say something new."""
        changed = {gpu for gpu, raw in seen.items() if self._raw.get(gpu) != raw}
        moved = not changed.isdisjoint(self._raw)  # not what is merely seen for the first time
        for gpu in changed:
            self._raw[gpu], self._new_s[gpu] = dict(seen[gpu]), now_s
        if moved and (not self._changes or now_s > self._changes[-1]):
            self._changes.append(now_s)
        return changed

    def stale(self, now_s: float) -> dict[str, str]:
        """Devices that have not changed for too long, each with what is to be said of it."""
        found = {}
        for gpu, at in self._new_s.items():
            if now_s - at >= self.stale_s:
                cure = "" if MOVING & self._raw[gpu].keys() else "; none of its counters need move: add power or energy"
                found[gpu] = f"{gpu}: nothing has changed for {now_s - at:.0f} s{cure}"
        return found

    def due_s(self) -> float:
        """When it is worth asking again: shortly before the next change is expected; -inf if that is not known."""
        if not self._changes or not self.interval_s:
            return float("-inf")
        return self._changes[-1] + min(_EAGER * self.interval_s, _LONGEST_WAIT_S)
