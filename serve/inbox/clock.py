"""The time of one stream of samples: a client's clock, which may jump, made into one that only goes forward.

Evidence runs by the differences of the client's own times: a backlog of an hour is an hour, however fast it comes. The
client's clock is believed as long as it goes forward. Told apart and counted:

========== =================================================== ============================================
word       a sample whose time                                  becomes of it
========== =================================================== ============================================
duplicate  was seen before, with the same values; or is older   nothing: it was sent again
           than all that is remembered, among such
late       lies before the newest, in a request that goes on    nothing: evidence does not run backwards
           or that was sent before in part
jump       is of a request that lies wholly before the newest   it is taken; time goes on by our own clock
jump       runs ahead of our clock, after a jump                the same
========== =================================================== ============================================
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Final, NamedTuple, final

import numpy as np
import numpy.typing as npt

__all__ = ["AHEAD_S", "RECENT", "Placed", "StreamClock"]

F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]

AHEAD_S: Final = 60.0
"""By so much a client's clock may be ahead of ours; what is later is refused."""

RECENT: Final = 128
"""Samples of a stream that are remembered, so that they are known when they are sent again; some 15 KiB."""

_SPACING_S: Final = 1.0
_LEAST_S: Final = 1e-3


class Placed(NamedTuple):
    """What becomes of the samples of one request.

    Attributes
    ----------
    rows : list of int
        Those that are taken, in order.
    times : list of float
        Theirs, in seconds of our monotonic clock; strictly rising.
    duplicates, late, jumps : int
    clock : StreamClock
        As it is when they are taken.
    """

    rows: list[int]
    times: list[float]
    duplicates: int
    late: int
    jumps: int
    clock: StreamClock


@final
@dataclass(slots=True)
class StreamClock:
    """See the module.

    Attributes
    ----------
    unix_s : float
        The client's time of the newest sample that was taken.
    time_s : float
        The same on our monotonic clock, as far as it is known; never runs backwards.
    spacing_s : float
        Between the last two.
    heard_s : float
        When the last request came.
    every_s : float
        Between the last two requests; of the first, what it spans.
    recent : dict of float to int
        Client's time to a checksum of the values, oldest first.
    floor_unix_s : float
        All up to this time was seen before a restart; until the first sample after it.
    """

    unix_s: float = -math.inf
    time_s: float = -math.inf
    spacing_s: float = _SPACING_S
    heard_s: float = math.nan
    every_s: float = 0.0
    recent: dict[float, int] = field(default_factory=dict)
    floor_unix_s: float = -math.inf

    @classmethod
    def taken_up(cls, unix_s: float) -> StreamClock:
        """The clock of a stream that was known before a restart, by the time of its newest sample then."""
        return cls(unix_s=unix_s, floor_unix_s=unix_s)

    def place(self, unix: F64, values: F32, now_s: float, now_unix_s: float) -> Placed:
        """Say what becomes of samples; nothing of this clock is changed.

        Parameters
        ----------
        unix : float64 array, shape (n,)
            The client's times, not falling.
        values : float32 array, shape (n, C)
        now_s, now_unix_s : float
            Our monotonic clock, and ours since 1970.
        """
        sums = [zlib.crc32(row.tobytes()) for row in values]
        fresh, duplicates = self._unseen(unix.tolist(), sums)
        on = [row for row in fresh if unix[row] > self.unix_s]
        back = not on and bool(fresh) and not duplicates  # before all that came: the client's clock was set back
        old = [] if back else [row for row in fresh if unix[row] <= self.unix_s]
        oldest = next(iter(self.recent), -math.inf) if duplicates else -math.inf
        forgotten = sum(float(unix[row]) < oldest for row in old)
        duplicates, late = duplicates + forgotten, len(old) - forgotten
        taken = fresh if back else on
        times, jumps = self._times(unix[taken], now_s, now_unix_s, back=back)
        clock = self._after(unix[taken], [sums[row] for row in taken], times, now_s)
        return Placed(taken, times, duplicates, late, jumps, clock)

    def _unseen(self, unix: Sequence[float], sums: Sequence[int]) -> tuple[list[int], int]:
        """Rows that were not seen before, each time once, and how many were."""
        rows: list[int] = []
        for row, (at, checksum) in enumerate(zip(unix, sums, strict=True)):
            again = at <= self.floor_unix_s or self.recent.get(at) == checksum or (rows and unix[rows[-1]] == at)
            if not again:
                rows.append(row)
        return rows, len(unix) - len(rows)

    def _times(self, unix: F64, now_s: float, now_unix_s: float, *, back: bool) -> tuple[list[float], int]:
        if not len(unix):
            return [], 0
        if math.isinf(self.time_s):
            return (now_s + (unix - now_unix_s)).tolist(), 0
        begin = self.time_s + (float(unix[0]) - self.unix_s)
        span = float(unix[-1] - unix[0])
        jumped = back or begin + span > max(now_s, self.time_s) + AHEAD_S
        if jumped:
            begin = self.time_s + max(now_s - self.heard_s - span, self.spacing_s)
        begin = max(begin, self.time_s + _LEAST_S)
        return (begin + (unix - unix[0])).tolist(), int(jumped)

    def _after(self, unix: F64, sums: Sequence[int], times: Sequence[float], now_s: float) -> StreamClock:
        if not times:
            return replace(self, heard_s=now_s)
        recent = {**self.recent, **dict(zip(unix.tolist(), sums, strict=True))}
        for old in list(recent)[: max(0, len(recent) - RECENT)]:
            del recent[old]
        spacing = times[-1] - times[-2] if len(times) > 1 else times[0] - self.time_s
        every = times[-1] - times[0] if math.isnan(self.heard_s) else now_s - self.heard_s
        known = self.spacing_s if math.isinf(spacing) else max(spacing, _LEAST_S)
        return StreamClock(float(unix[-1]), times[-1], known, now_s, every, recent)
