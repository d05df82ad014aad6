"""What the transformations share: the parts of a disguise, pulses, and how much hash work a schedule does.

T = ticks.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, final

import numpy as np

from hashwarden.training.synthesise.blend import level
from hashwarden.training.synthesise.kinds import KINDS, kind_named
from hashwarden.training.synthesise.miners import Miner
from hashwarden.training.synthesise.physics import Activity
from hashwarden.training.synthesise.scene import Scene, Values
from hashwarden.training.synthesise.schedule import TICK_S, Schedule
from hashwarden.training.synthesise.track import F64

__all__ = ["Disguise", "Hidden", "Hide", "cover_of", "full_speed", "hash_work", "pulses", "started", "with_host"]


@final
@dataclass(frozen=True, slots=True)
class Disguise:
    """What a strategy works with.

    Attributes
    ----------
    scene : Scene
        Of the strategy.
    values : mapping
        Of its parameters.
    miner : Miner
    mine : callable
        Makes the schedule of the miner at full speed; told whether it begins with its start, and how long that takes.
    """

    scene: Scene
    values: Values
    miner: Miner
    mine: Callable[[bool, float], Schedule]


@final
@dataclass(frozen=True, slots=True)
class Hidden:
    """A hidden miner.

    Attributes
    ----------
    schedule : Schedule
        Of the GPU: miner and cover.
    full : Schedule
        Of the same miner without disguise, for the share.
    mining : bool array, shape (T,), or None
        Ticks that mine; None is all of them.
    """

    schedule: Schedule
    full: Schedule
    mining: np.ndarray | None = None


Hide = Callable[[Disguise], Hidden]
"""A strategy."""

_FULL: Final = 0.97
_LEAST: Final = 0.03
"""Most of the device memory that a cover and a miner hold together, least that the cover holds."""

_COVERS: Final = tuple(
    f"{kind.label}/{kind.family}"
    for kind in KINDS
    if kind.label in {"training", "inference"} and kind.family not in {"waiting", "video"}
)


def cover_of(disguise: Disguise, miner: Schedule, labels: tuple[str, ...] = ("training", "inference")) -> Schedule:
    """Draw an honest job that runs on the same GPU, and fits into its memory beside the miner."""
    scene = disguise.scene.part("cover")
    options = [name for name in _COVERS if name.split("/")[0] in labels]
    label, _, family = scene.choose("family", options).partition("/")
    made = kind_named(label, family).schedule(scene)
    room = max(_FULL * scene.memory_mib - float(level(miner, "fb_mib").max()), _LEAST * scene.memory_mib)
    return with_host(made, {"fb_mib": np.minimum(level(made, "fb_mib"), room)})


def full_speed(disguise: Disguise) -> Schedule:
    """The miner without disguise; with its start if the recording begins with the job."""
    return disguise.mine(disguise.scene.fresh, np.inf)


def started(disguise: Disguise, part: F64) -> F64:
    """The part of each tick that the miner has; all of it while it starts: nobody slows down the making of tables."""
    if disguise.scene.fresh:
        part = part.copy()
        part[: round(float(disguise.scene.notes["work.started_s"]) / TICK_S)] = 1.0
    return part


def pulses(duty: F64, period_s: float, phase: float = 0.0) -> F64:
    """Part of each tick in which something is on that comes in turns.

    Parameters
    ----------
    duty : float64 array, shape (T,)
        Share of a turn that is on, 0 to 1.
    period_s : float
        Length of a turn.
    phase : float
        Part of the first turn that is past.

    Returns
    -------
    float64 array, shape (T,)
        Its mean is that of ``duty``.
    """
    turns: F64 = np.arange(len(duty) + 1, dtype=np.float64) * TICK_S / period_s + phase

    def on(x: F64) -> F64:
        whole: F64 = np.floor(x)
        return whole * duty + np.minimum(x - whole, duty)

    return np.asarray(np.clip((on(turns[1:]) - on(turns[:-1])) * period_s / TICK_S, 0, 1))


def hash_work(schedule: Schedule, hashes: Sequence[str], kernels: Activity) -> float:
    """Hash work that a schedule does: seconds of the whole GPU at its highest clocks.

    Parameters
    ----------
    schedule : Schedule
    hashes : sequence of str
        The kernels whose time is hash work.
    kernels : Activity
        Of kernels, these among them: what a kernel loses on fewer SMs or at lower clocks follows from what bounds it.
    """
    narrow = np.ones_like(schedule.busy) if schedule.sm_share is None else schedule.sm_share
    clock = np.maximum(level(schedule, "clock_share"), 0.05)
    memory_clock = np.maximum(level(schedule, "memory_clock_share"), 0.05)
    total = 0.0
    for place, name in enumerate(schedule.parts):
        if name in hashes:
            k = kernels.names.index(name)
            sms = kernels.sm_time[k] / (np.clip(narrow[:, place], 1e-3, 1) * clock)
            pace = 1 / np.maximum(np.maximum(sms, kernels.dram_time[k] / memory_clock), 1e-6)
            total += float((schedule.busy[:, place] * pace).sum()) * TICK_S
    return total


def with_host(schedule: Schedule, more: Mapping[str, F64 | float]) -> Schedule:
    """A schedule with some host quantities replaced."""
    ticks = len(schedule.busy)
    host = dict(schedule.host)
    for name, value in more.items():
        host[name] = np.broadcast_to(np.asarray(value, np.float32), (ticks,)).copy()
    return replace(schedule, host=host)
