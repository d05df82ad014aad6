"""From segments of time to a schedule: each segment is in one state, and ticks hold what of it falls into them.

M = states, N = segments, T = ticks, K = kernels.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import final

import numpy as np
import numpy.typing as npt

from hashwarden.training.synthesise.schedule import TICK_S, Schedule

__all__ = ["F64", "I64", "State", "events", "lay", "occupancy", "schedule_of", "trimmed"]

F64 = npt.NDArray[np.float64]
I64 = npt.NDArray[np.int64]


@final
@dataclass(frozen=True, slots=True)
class State:
    """What a job does at one moment.

    Attributes
    ----------
    busy : mapping of str to float
        Kernel to share of the time; they sum to 1 at most.
    host : mapping of str to float
        Some of `hashwarden.training.synthesise.schedule.HOST`.
    """

    busy: Mapping[str, float] = field(default_factory=dict)
    host: Mapping[str, float] = field(default_factory=dict)


def occupancy(durations: F64, which: I64, states: int, ticks: int) -> F64:
    """Share of each tick that is spent in each state.

    Parameters
    ----------
    durations : float64 array, shape (N,)
        Seconds.
    which : int64 array, shape (N,)
        State of each segment.
    states, ticks : int

    Returns
    -------
    float64 array, shape (T, M)
        Rows sum to 1 where there are segments.
    """
    ends = np.cumsum(durations)
    edges = np.arange(1, ticks + 1) * TICK_S
    cuts = np.union1d(ends[ends < edges[-1]], edges)
    starts = np.concatenate([[0.0], cuts[:-1]])
    middle = (starts + cuts) / 2
    segment = np.searchsorted(ends, middle, side="right")
    there = segment < len(ends)
    tick = np.minimum((middle / TICK_S).astype(np.int64), ticks - 1)
    place = tick[there] * states + which[segment[there]]
    shares = np.bincount(place, (cuts - starts)[there], ticks * states).reshape(ticks, states)
    return np.asarray(shares / TICK_S)


def trimmed(durations: F64, which: I64, seconds: float) -> tuple[F64, I64]:
    """Leave out the segments that begin after some time."""
    last = int(np.searchsorted(np.cumsum(durations), seconds, side="left")) + 1
    return durations[:last], which[:last]


def lay(  # noqa: PLR0913, PLR0917
    states: Sequence[State], durations: F64, which: I64, ticks: int, host: Mapping[str, F64] | None = None,
    sm_share: Mapping[str, float] | None = None,
) -> Schedule:  # fmt: skip
    """A schedule of segments that follow one another.

    Parameters
    ----------
    states : sequence of State
    durations : float64 array, shape (N,)
        Seconds.
    which : int64 array, shape (N,)
        State of each segment.
    ticks : int
    host : mapping of str to float64 array, shape (T,), optional
        Beside what the states say.
    sm_share : mapping of str to float, optional
        Kernel to share of the SMs that it occupies.
    """
    return schedule_of(states, occupancy(durations, which, len(states), ticks), host, sm_share)


def schedule_of(
    states: Sequence[State], shares: F64, host: Mapping[str, F64] | None = None,
    sm_share: Mapping[str, float] | None = None,
) -> Schedule:  # fmt: skip
    """A schedule from the share of each tick in each state, shape (T, M)."""
    parts = tuple(dict.fromkeys(kernel for state in states for kernel in state.busy))
    palette = np.array([[state.busy.get(kernel, 0.0) for kernel in parts] for state in states])
    busy = shares @ palette.reshape(len(states), len(parts))
    said = dict.fromkeys(name for state in states for name in state.host)
    quantities = {name: shares @ np.array([state.host.get(name, 0.0) for state in states]) for name in said}
    for name, more in (host or {}).items():
        quantities[name] = quantities[name] + more if name in quantities else more
    narrow = None
    if sm_share:
        row = np.array([sm_share.get(kernel, 1.0) for kernel in parts], np.float32)
        narrow = np.broadcast_to(row, busy.shape).copy()
    return Schedule(
        parts, _at_most_one(busy), narrow, {name: np.asarray(v, np.float32) for name, v in quantities.items()}
    )


def _at_most_one(busy: F64) -> npt.NDArray[np.float32]:
    total = busy.sum(1, keepdims=True)
    return np.asarray(busy / np.maximum(total, 1.0), np.float32)


def events(rng: np.random.Generator, every_s: float, seconds: float, jitter: float = 0.1) -> F64:
    """Times of something that comes about every so many seconds, the first at a random phase.

    Parameters
    ----------
    rng : Generator
    every_s : float
        Mean time between two.
    seconds : float
        Up to here.
    jitter : float
        Deviation over mean of the time between two; 1 and above: Poisson.
    """
    count = int(seconds / every_s * 1.5) + 4
    if jitter >= 1:
        gaps = rng.exponential(every_s, count)
    else:
        gaps = every_s * np.maximum(0.05, rng.normal(1, jitter, count))
        gaps[0] *= rng.random()
    times = np.cumsum(gaps)
    return np.asarray(times[times < seconds])
