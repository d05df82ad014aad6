"""Counters that show the same bits again and again while the GPU works."""

from __future__ import annotations

from typing import Final, final

import numpy as np
import numpy.typing as npt

from hashwarden.model.channels import CHANNELS, INDEX
from hashwarden.model.validity_rules import FROZEN_S, FROZEN_SAMPLES

__all__ = ["STEP", "WATCHED", "Frozen", "frozen_values", "latest"]

F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

WATCHED: Final = sum(c.group in {"nvml", "gpm"} for c in CHANNELS)
"""The first channels of the table, those of NVML and GPM or DCGM, are watched: W of them."""

_SEEN: Final = CHANNELS[:WATCHED]
_GROUPS: Final = tuple(np.array([c.group == group for c in _SEEN]) for group in ("nvml", "gpm"))
# Power in watts is noisy, and so is what is computed of it. Whether misses of the cache repeat themselves on a steady
# job is not known, so they are never called frozen.
_OF_POWER: Final = frozenset({"power_ratio", "energy_power_ratio"})
_NOISY: Final = np.array([(c.noisy and c.name != "dram_cache_miss_ratio") or c.name in _OF_POWER for c in _SEEN])
_WORK: Final = np.array(
    [c.unit == "ratio" and (c.group == "gpm" or "util" in c.name or "power_r" in c.name) for c in _SEEN]
)
STEP: Final = np.where(_WORK, 0.02, np.inf).astype(np.float32)
"""By how much a channel that tells of work has to change for the GPU to have moved, shape (W,)."""
_POWER: Final = np.array(["power_r" in c.name for c in _SEEN])
_BUSY: Final = np.where(_WORK, np.where(_POWER, 0.6, 0.1), np.inf).astype(np.float32)
_OCCUPANCY: Final = INDEX["sm_occupancy_ratio"]
_WARPS: Final = np.array([48, 64], np.float32)  # an SM holds at most, by architecture
_MOVES: Final = 3
_LONG_S: Final = FROZEN_S - 1e-6


def latest(event: Bools, now: F64, carried: F64) -> F64:
    """What each ``now`` was at the latest event of each column, this row included.

    Parameters
    ----------
    event : bool array, shape (T, W)
    now : float64 array, shape (K, T, W) or (K, T, 1)
    carried : float64 array, shape (K, W)
        The answer of the row before the first.

    Returns
    -------
    float64 array, shape (K, T, W)
    """
    rows = np.where(event, np.arange(len(event), dtype=np.int32)[:, None], np.int32(-1))
    np.maximum.accumulate(rows, axis=0, out=rows)
    columns = np.arange(event.shape[1]) if now.shape[2] > 1 else 0
    return np.where(rows >= 0, now[:, rows, columns], carried[:, None])


@final
class Frozen:
    """The streaks of equal values of one stream; only the past is used."""

    __slots__ = ("_before", "_moves", "_rows", "_start")

    def __init__(self) -> None:
        self._before: F32 = np.full(WATCHED, np.nan, np.float32)
        self._start: F64 = np.zeros((3, WATCHED))  # time, row and moves when the value of each channel was new
        self._rows = 0
        self._moves = 0.0

    def advance(self, times: F64, values: F32) -> Bools | None:
        """Take T samples and say which values are frozen.

        Parameters
        ----------
        times : float64 array, shape (T,)
            Seconds, strictly rising, also from one call to the next.
        values : float32 array, shape (T, len(CHANNELS))
            NaN where missing or not credible; breaks a streak.

        Returns
        -------
        bool array, shape (T, W), or None for none at all
        """
        now = values[:, :WATCHED]
        before = np.concatenate([self._before[None], now[:-1]])
        new = now != before  # always true for NaN
        moves = self._moves + np.cumsum((np.abs(now - before) > STEP).any(axis=1))
        rows = np.arange(self._rows, self._rows + len(now), dtype=np.float64)
        clocks = np.stack([times, rows, moves])
        since = latest(new, clocks[:, :, None], self._start)
        self._before, self._rows, self._moves = now[-1].copy(), self._rows + len(now), float(moves[-1])
        self._start = since[:, -1].copy()
        return frozen_values(now, clocks[:, :, None] - since)

    def one(self, time: float, values: F32) -> Bools | None:
        """`advance` by one sample, shape (len(CHANNELS),), in less time."""
        now = values[:WATCHED]
        if np.count_nonzero(np.abs(now - self._before) > STEP):
            self._moves += 1
        clocks = np.array([[time], [self._rows], [self._moves]])
        self._start = np.where(now != self._before, clocks, self._start)
        self._before = now.copy()
        self._rows += 1
        frozen = frozen_values(now[None], (clocks - self._start)[:, None])
        return None if frozen is None else frozen[0]


def frozen_values(now: F32, age: F64) -> Bools | None:
    """Which values are frozen: noisy channels that last, and with one of them its group where nothing in it changes.

    Parameters
    ----------
    now : float32 array, shape (T, W)
        Rows may be moments of one stream, or streams at one moment.
    age : float64 array, shape (3, T, W)
        Seconds, samples and moves since each value was new.

    Returns
    -------
    bool array, shape (T, W), or None for none at all
    """
    lasting: Bools = (age[0] >= _LONG_S) & (age[1] >= FROZEN_SAMPLES - 1)
    frozen: Bools = lasting & _NOISY
    if not np.count_nonzero(frozen):
        return None
    frozen &= (now != 0) & (now != 1)  # a healthy counter can rest there
    if not np.count_nonzero(frozen):
        return None
    frozen[:, _OCCUPANCY] &= ~_whole_warps(now[:, _OCCUPANCY])
    busy: Bools = np.any(now >= _BUSY, axis=1)
    frozen &= (age[2] >= _MOVES) | busy[:, None]
    there = ~np.isnan(now)
    for group in _GROUPS:
        stuck = (lasting | ~there | ~group).all(axis=1) & (frozen & group).any(axis=1)
        frozen |= stuck[:, None] & group & there
    return frozen


def _whole_warps(occupancy: F32) -> Bools:
    """Whether it is that of a whole number of warps on each SM, at which it can rest while a kernel stays."""
    warps = occupancy[:, None] * _WARPS
    whole: Bools = np.any(np.abs(warps - np.round(warps)) < 1e-4, axis=1)
    return whole
