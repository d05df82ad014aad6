"""Whether a sample can be believed: missing values, sentinels, impossible, frozen and dead counters, stale samples.

The same judgement for a whole run (`judge`), for blocks of one (`Validity.block`) and live (`Validity.step`): only the
past is used, and all three give the same answers to the last bit. The rules and their levels are tables in
`hashwarden.model.validity_rules`; docs/channels.md lists each known fault of a counter and who notices it.

T = samples, C = len(CHANNELS).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, final

import numpy as np
import numpy.typing as npt

from hashwarden.model.channels import CHANNELS, GROUPS, INDEX, Group
from hashwarden.model.validity_blind import Blindness
from hashwarden.model.validity_dead import DeadCounters
from hashwarden.model.validity_frozen import WATCHED, Frozen
from hashwarden.model.validity_result import Blind, Judged, Summary
from hashwarden.model.validity_rules import CLOCK_STEP, FIRST_FAULT, KEYS, Reason
from hashwarden.model.validity_values import look_at_values

__all__ = ["BLOCK", "Blind", "Judged", "Summary", "Validity", "judge"]

F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]
I8 = npt.NDArray[np.int8]
I64 = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

BLOCK: Final = 2048
"""Samples that `judge` works on at a time: its scratch memory is about 15 MB, however long the run is."""

_C: Final = len(CHANNELS)
_CODES: Final = max(Reason) + 1
_CLOCK: Final = INDEX["sm_clock_ratio"]
_PER_CYCLE: Final = np.array([c.per_cycle for c in CHANNELS])
_FAULT: Final = np.int8(FIRST_FAULT)
_FRESH: Final = np.array(True)
_STALE: Final = np.array(False)
_PLACES: Final = np.arange(_C) * _CODES
_OF_GROUP: Final = np.array([[c.group == group for c in CHANNELS] for group in GROUPS])


@final
class Validity:
    """The judge of one stream: one job on one GPU. One instance for each, fed in order of time."""

    def __init__(self) -> None:
        self._frozen, self._dead, self._blindness = Frozen(), DeadCounters(), Blindness()
        self._time = -np.inf
        self._clock = np.nan
        self._counts: I64 = np.zeros(_C * _CODES, np.int64)
        self._uncounted: I8 = np.zeros((256, _C), np.int8)
        self._waiting = 0
        self._samples = 0
        self._reasons: I8 = np.full(_C, Reason.MISSING, np.int8)
        self._since: F64 = np.full(len(GROUPS), np.nan)

    def step(self, time: float, values: F32) -> Judged:
        """Judge the next sample.

        Parameters
        ----------
        time : float
            Seconds since the start of the run.
        values : float32 array, shape (C,)
            As the source gave them.

        Returns
        -------
        Judged
            Without the axis T.

        Raises
        ------
        ValueError
            For another shape.
        """
        row = _as_float32(values, (_C,))
        self._samples += 1
        if not self._time < time < np.inf:
            return self._skip()
        self._time = time
        out, reasons = look_at_values(row)
        frozen = self._frozen.one(time, out)
        if frozen is not None:
            out[:WATCHED][frozen], reasons[:WATCHED][frozen] = np.nan, Reason.FROZEN
        dead = self._dead.one(time, out)
        if dead is not None:
            out[dead], reasons[dead] = np.nan, Reason.DEAD
        clock = float(out[_CLOCK])
        if abs(clock - self._clock) >= CLOCK_STEP:
            reasons[_PER_CYCLE & (reasons == 0)] = Reason.CLOCK_MOVED
        self._clock = clock
        mask = reasons < _FAULT
        self._later(reasons)
        self._reasons, self._since = reasons, self._blindness.one(time, mask)
        return Judged(out, mask, reasons, self._since, _FRESH)

    def block(self, times: F64, values: F32) -> Judged:
        """Judge the next T samples.

        Parameters
        ----------
        times : float64 array, shape (T,)
            Seconds since the start of the run. A sample whose time is not finite or not after all before is stale.
        values : float32 array, shape (T, C)

        Raises
        ------
        ValueError
            For another shape.
        """
        values = _as_float32(values, (len(times), _C))
        fresh = self._fresh(times)
        self._samples += len(times)
        if len(times) and fresh.all():
            judged = self._judge(times, values, fresh)
        else:
            judged = self._with_stale(times, values, fresh)
        if len(times):
            self._reasons, self._since = judged.reasons[-1].copy(), judged.blind_since[-1].copy()
        return judged

    def blind(self, groups: Sequence[Group]) -> list[Blind]:
        """Those of the groups that are blind as of the last sample; all of them before any sample."""
        found = []
        for group in groups:
            since = float(self._since[GROUPS.index(group)])
            if self._samples == 0 or not np.isnan(since):
                codes = self._reasons[list(KEYS[group])]
                worst = np.bincount(codes[codes >= FIRST_FAULT], minlength=_CODES)
                found.append(Blind(group, since, Reason(int(worst.argmax()))))
        return found

    def summary(self) -> Summary:
        """Count what was seen so far."""
        self._count(self._uncounted[: self._waiting])
        self._waiting = 0
        counts = self._counts.reshape(_C, _CODES)
        given = counts.sum(axis=1) > counts[:, Reason.MISSING] + counts[:, Reason.STALE]
        good, everything = counts[:, :FIRST_FAULT].sum(axis=1), counts.sum(axis=1)
        of = [members & given for members in _OF_GROUP]
        share = {
            group: float(good[m].sum() / everything[m].sum()) if m.any() else float("nan")
            for group, m in zip(GROUPS, of, strict=True)
        }
        reasons = {
            CHANNELS[c].name: {Reason(int(k)): int(counts[c, k]) for k in np.flatnonzero(counts[c])}
            for c in np.flatnonzero(given)
        }
        return Summary(self._samples, share, reasons)

    def _fresh(self, times: F64) -> Bools:
        finite = np.where(np.isfinite(times), times, -np.inf)
        latest = np.maximum.accumulate(np.concatenate([[self._time], finite]))
        self._time = float(latest[-1])
        return finite > latest[:-1]

    def _judge(self, times: F64, values: F32, fresh: Bools) -> Judged:
        """Judge samples that are all fresh."""
        out, reasons = look_at_values(values)
        frozen = self._frozen.advance(times, out)
        if frozen is not None:
            out[:, :WATCHED][frozen], reasons[:, :WATCHED][frozen] = np.nan, Reason.FROZEN
        dead = self._dead.advance(times, out)
        if dead is not None:
            out[dead], reasons[dead] = np.nan, Reason.DEAD
        self._mark_clock(out[:, _CLOCK].astype(np.float64), reasons)
        mask = reasons < _FAULT
        self._count(reasons)
        return Judged(out, mask, reasons, self._blindness.advance(times, mask), fresh)

    def _mark_clock(self, clock: F64, reasons: I8) -> None:
        """Mark ratios of cycles of intervals at whose two ends the clock differs."""
        moved = np.abs(clock - np.concatenate([[self._clock], clock[:-1]])) >= CLOCK_STEP
        self._clock = float(clock[-1])
        if moved.any():
            reasons[moved[:, None] & _PER_CYCLE & (reasons == Reason.OK)] = Reason.CLOCK_MOVED

    def _later(self, reasons: I8) -> None:
        """Keep the reasons of one sample until there are enough to be counted at once."""
        self._uncounted[self._waiting] = reasons
        self._waiting += 1
        if self._waiting == len(self._uncounted):
            self._count(self._uncounted)
            self._waiting = 0

    def _count(self, reasons: I8) -> None:
        self._counts += np.bincount((_PLACES + reasons).ravel(), minlength=_C * _CODES)

    def _skip(self) -> Judged:
        """One stale sample."""
        self._reasons = np.full(_C, Reason.STALE, np.int8)
        self._counts[_PLACES + Reason.STALE] += 1
        values, mask = np.full(_C, np.nan, np.float32), np.zeros(_C, bool)
        return Judged(values, mask, self._reasons, self._since.copy(), _STALE)

    def _with_stale(self, times: F64, values: F32, fresh: Bools) -> Judged:
        """Judge the fresh samples as if the others had not come, and put them back among them."""
        size = len(times)
        out = np.full((size, _C), np.nan, np.float32)
        reasons = np.full((size, _C), Reason.STALE, np.int8)
        since = np.concatenate([self._since[None], np.empty((size, len(GROUPS)))])
        if fresh.any():
            inner = self._judge(times[fresh], values[fresh], fresh[fresh])
            out[fresh], reasons[fresh], since[1:][fresh] = inner.values, inner.reasons, inner.blind_since
        self._counts[_PLACES + Reason.STALE] += int(np.count_nonzero(~fresh))
        last = np.maximum.accumulate(np.where(fresh, np.arange(1, size + 1), 0))
        return Judged(out, reasons < _FAULT, reasons, since[last], fresh)


def _as_float32(values: npt.NDArray[np.floating], shape: tuple[int, ...]) -> F32:
    """Check the shape; what float32 cannot hold becomes infinite, which is missing."""
    if values.shape != shape:
        message = f"got values of shape {values.shape}; expected {shape}"
        raise ValueError(message)
    if values.dtype == np.float32:
        return values
    with np.errstate(over="ignore"):
        return values.astype(np.float32)


def judge(times: F64, values: F32) -> Judged:
    """Judge a whole run.

    Parameters
    ----------
    times : float64 array, shape (T,)
        Seconds since the start of the run.
    values : float32 array, shape (T, C)
        As the source gave them. Not changed.

    Returns
    -------
    Judged
        Takes about 2 times the memory of ``values``; for a run that is too long for that, feed its blocks to a
        `Validity`.
    """
    judge_of_run, size = Validity(), len(times)
    whole = Judged(
        np.empty((size, _C), np.float32),
        np.empty((size, _C), bool),
        np.empty((size, _C), np.int8),
        np.empty((size, len(GROUPS))),
        np.empty(size, bool),
    )
    for start in range(0, max(size, 1), BLOCK):
        part = slice(start, start + BLOCK)
        judged = judge_of_run.block(times[part], values[part])
        for name in Judged.__slots__:
            getattr(whole, name)[part] = getattr(judged, name)
    return whole
