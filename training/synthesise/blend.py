"""Two schedules on one GPU: which part of each tick belongs to the hidden one, and how the other is stretched by it.

T = ticks. A schedule that has the GPU for a part of the time goes on at its own pace in that part and stands still in
the rest: nothing of its work is lost, it only takes longer.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np
import numpy.typing as npt

from hashwarden.training.synthesise.schedule import Schedule
from hashwarden.training.synthesise.track import F64

__all__ = ["FLOWS", "beside", "blend", "joined", "level", "stretched"]

F32 = npt.NDArray[np.float32]

FLOWS: Final = ("pcie_rx_mib_per_s", "pcie_tx_mib_per_s", "nvlink_mib_per_s", "decoder_util", "module_loads")
"""Host quantities that stand still with the work; the others are levels that hold on."""

_USUAL: Final[Mapping[str, float]] = {
    "processes": 1.0, "clock_share": 1.0, "memory_clock_share": 1.0, "power_share": 1.0,
}  # fmt: skip


def level(schedule: Schedule, name: str) -> F32:
    """A host quantity of a schedule, or its usual value where the schedule is silent, shape (T,)."""
    if name in schedule.host:
        return schedule.host[name]
    return np.full(len(schedule.busy), _USUAL.get(name, 0.0), np.float32)


def stretched(schedule: Schedule, part: F64) -> Schedule:
    """A schedule that has the GPU only for a part of each tick.

    Parameters
    ----------
    schedule : Schedule
    part : float64 array, shape (T,)
        0 to 1.

    Returns
    -------
    Schedule
        Busy shares sum to ``part`` at most.
    """
    own = np.concatenate([[0.0], np.cumsum(part)])  # its own time at the edges of the ticks
    whole = np.minimum(own.astype(np.int64), len(part) - 1)
    past = (own - whole)[:, None]
    now = np.minimum(own[:-1] + 0.5 * part, len(part) - 1).astype(np.int64)

    def passed(values: F64) -> F64:
        sums = np.concatenate([np.zeros((1, values.shape[1])), np.cumsum(values, 0)])
        return np.asarray(np.diff(sums[whole] + past * values[whole], axis=0))

    host = {}
    for name, values in schedule.host.items():
        flows = name in FLOWS
        host[name] = (passed(values[:, None].astype(np.float64))[:, 0] if flows else values[now]).astype(np.float32)
    if "fb_mib" in host:
        host["fb_mib"] = np.where(own[1:] > 0, host["fb_mib"], 0).astype(np.float32)  # nothing is held before it began
    narrow = None if schedule.sm_share is None else schedule.sm_share[now]
    busy = np.maximum(passed(schedule.busy.astype(np.float64)), 0).astype(np.float32)
    return Schedule(schedule.parts, busy, narrow, host)


def blend(hidden: Schedule, cover: Schedule | None, part: F64, processes: int = 1) -> Schedule:
    """The hidden schedule has a part of each tick, the cover the rest.

    Parameters
    ----------
    hidden : Schedule
    cover : Schedule or None
        None idles.
    part : float64 array, shape (T,)
        Share of each tick that the hidden one has, 0 to 1.
    processes : int
        How many processes the two are.

    Returns
    -------
    Schedule
        Its memory is that of both; where limits were pinned, the lower one holds.
    """
    mine = stretched(hidden, part)
    if cover is None:
        return mine
    return joined(mine, stretched(cover, 1 - part), part, processes)


def beside(hidden: Schedule, cover: Schedule, weight: float = 1.0) -> tuple[Schedule, F64]:
    """Two processes that both want the GPU: its time slices go round while both have work.

    Parameters
    ----------
    hidden : Schedule
        Always has work.
    cover : Schedule
    weight : float
        Time slices of the hidden one for each of the cover's.

    Returns
    -------
    schedule : Schedule
    part : float64 array, shape (T,)
        Share of each tick that the hidden one has.
    """
    wants = np.minimum(cover.busy.sum(1, dtype=np.float64), 1.0)
    later = np.cumsum(1 + weight * wants)  # when the cover has done each tick of its own time
    edges = np.arange(len(wants) + 1, dtype=np.float64)
    own = np.interp(edges, np.concatenate([[0.0], later]), edges)
    pace = np.clip(np.diff(own), 1e-6, 1.0)
    slowed = stretched(cover, pace)
    free = 1 - np.minimum(slowed.busy.sum(1, dtype=np.float64), 1.0)
    mine = stretched(hidden, free)
    return joined(mine, slowed, free, 2), free


def joined(mine: Schedule, other: Schedule, part: F64, processes: int = 1) -> Schedule:
    """Two schedules as one, where each already keeps to its own time; levels are weighted by the part of the first."""
    host = _both(mine, other, part)
    host["processes"] = np.where(np.cumsum(part) > 0, processes, 1).astype(np.float32)
    parts = tuple(dict.fromkeys((*mine.parts, *other.parts)))
    busy = np.zeros((len(mine.busy), len(parts)), np.float32)
    wide = np.zeros_like(busy)
    for schedule in (mine, other):
        at = [parts.index(name) for name in schedule.parts]
        busy[:, at] += schedule.busy
        wide[:, at] += schedule.busy * (1 if schedule.sm_share is None else schedule.sm_share)
    total = busy.sum(1, keepdims=True)
    narrow = None
    if mine.sm_share is not None or other.sm_share is not None:
        narrow = np.divide(wide, busy, out=np.ones_like(busy), where=busy > 0)
    return Schedule(parts, busy / np.maximum(total, 1.0), narrow, host)


def _both(mine: Schedule, other: Schedule, part: F64) -> dict[str, F32]:
    host = {}
    share = part.astype(np.float32)
    for name in dict.fromkeys((*mine.host, *other.host)):
        a, b = level(mine, name), level(other, name)
        if name in FLOWS or name == "fb_mib":
            host[name] = a + b
        elif name.endswith("_share") and name != "graph_share":
            host[name] = np.minimum(a, b)
        else:
            host[name] = a * share + b * (1 - share)
    return host
