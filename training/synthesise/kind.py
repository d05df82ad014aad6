"""A kind of job: its class and family, what is drawn for it, and how it begins."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final, final

import numpy as np

from hashwarden.training.synthesise.blend import level, stretched
from hashwarden.training.synthesise.scene import Parameter, Scene, Values
from hashwarden.training.synthesise.schedule import TICK_S, Schedule
from hashwarden.training.synthesise.track import F64

__all__ = ["MEMORY", "Build", "Kind", "begun", "mebibytes"]

Build = Callable[[Scene, Values], Schedule]
"""From a scene and the drawn values to what the job does once it is going."""

MEMORY: Final = Parameter("memory", 0.08, 0.95, 0.6, meaning="device memory that the job holds, of all there is")

_LONGEST_START: Final = 0.25
"""A start takes at most this part of a recording, whatever the class, so that each run shows its work."""
_CONTEXT_MIB: Final = 420.0
"""A CUDA context with its modules; hundreds of MiB (onnxruntime issue 5801)."""


@final
@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of job.

    Attributes
    ----------
    label : str
        One of `hashwarden.model.job.taxonomy.CLASSES`.
    family : str
        Unique within the class.
    summary : str
        One line.
    parameters : tuple of Parameter
        What is drawn for it.
    build : callable
        Makes the schedule.
    start_s : (float, float)
        Least and most seconds from the first context to the first real work.
    start_kernels : mapping of str to float
        What runs in the second half of the start, shares of the time.
    modules : (float, float)
        Least and most modules that are loaded meanwhile.
    loads : float
        Part of the memory that comes over PCIe meanwhile: weights, tables.
    """

    label: str
    family: str
    summary: str
    parameters: tuple[Parameter, ...]
    build: Build
    start_s: tuple[float, float] = (3.0, 60.0)
    start_kernels: Mapping[str, float] = field(default_factory=dict)
    modules: tuple[float, float] = (20, 400)
    loads: float = 0.3

    def schedule(self, scene: Scene) -> Schedule:
        """Draw what is to be drawn and make the schedule; a fresh scene begins with the start of the job."""
        made = self.build(scene, scene.values(self.parameters))
        return begun(self, scene, made) if scene.fresh else made


def mebibytes(scene: Scene, part: float) -> F64:
    """A part of the device memory, constant, shape (T,)."""
    return np.full(scene.ticks, min(part, 0.985) * scene.memory_mib)


def begun(kind: Kind, scene: Scene, schedule: Schedule) -> Schedule:
    """The schedule with the start of the job before it: imports, loading, compiling, building of tables.

    Parameters
    ----------
    kind : Kind
    scene : Scene
    schedule : Schedule

    Returns
    -------
    Schedule
        As long as before.
    """
    low, high = kind.start_s
    drawn = scene.value(Parameter("start_s", low, high, low, log=True, unit="s", meaning="from context to work"))
    length = max(1, round(min(drawn, _LONGEST_START * scene.seconds, scene.most_start_s) / TICK_S))
    scene.note("started_s", length * TICK_S)
    time = np.arange(scene.ticks)
    part = (time >= length).astype(np.float64)
    body = stretched(schedule, part)
    building = (time >= length // 2) & (time < length)
    starting = time < length
    rise = np.clip(time / length, 0, 1) ** 0.7
    host = {name: np.array(values) for name, values in body.host.items()}
    full = level(body, "fb_mib")
    host["fb_mib"] = np.where(starting, np.minimum(full, _CONTEXT_MIB + rise * full), full).astype(np.float32)
    host["pcie_rx_mib_per_s"] = (
        level(body, "pcie_rx_mib_per_s") + starting * kind.loads * float(full[-1]) / (length * TICK_S)
    ).astype(np.float32)
    modules = scene.rng.poisson(scene.rng.uniform(*kind.modules) / length, scene.ticks) * starting
    host["module_loads"] = (level(body, "module_loads") + modules).astype(np.float32)
    return _with_kernels(body, host, kind.start_kernels, building.astype(np.float32))


def _with_kernels(
    schedule: Schedule, host: dict[str, np.ndarray], kernels: Mapping[str, float], when: np.ndarray
) -> Schedule:
    parts = tuple(dict.fromkeys((*schedule.parts, *kernels)))
    busy = np.zeros((len(schedule.busy), len(parts)), np.float32)
    narrow = None if schedule.sm_share is None else np.ones_like(busy)
    at = [parts.index(name) for name in schedule.parts]
    busy[:, at] = schedule.busy
    if narrow is not None:
        narrow[:, at] = schedule.sm_share
    for name, share in kernels.items():
        busy[:, parts.index(name)] += share * when
    return Schedule(parts, busy, narrow, host)
