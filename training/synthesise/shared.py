"""Two jobs on one GPU: what the counters of the GPU see is both."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any, Final

import numpy as np

from hashwarden.errors import UsageError
from hashwarden.training.synthesise.gpus import Gpu
from hashwarden.training.synthesise.physics import Activity, activity
from hashwarden.training.synthesise.schedule import HOST, Schedule
from hashwarden.training.synthesise.truth import host_of

__all__ = ["together"]

_LEAST: Final = ("clock_share", "memory_clock_share", "power_share")
_OWN: Final = ("graph_share", "launch_jitter", "module_loads", "processes")


def together(
    schedule: Schedule, kernels: Activity, beside: Schedule | None, gpu: Gpu, rng: np.random.Generator
) -> tuple[Schedule, Activity]:
    """One schedule of two jobs, the first one's parts first.

    Contexts take turns: where both want the GPU, each gets a part of the tick in proportion to what it wants.

    Parameters
    ----------
    schedule : Schedule
    kernels : Activity
        Of its parts.
    beside : Schedule or None
        None returns the first alone.
    gpu : Gpu
    rng : Generator

    Raises
    ------
    UsageError
        If the two are of different length.
    """
    if beside is None:
        return schedule, kernels
    if len(beside.busy) != len(schedule.busy):
        raise UsageError(
            f"a job of {len(beside.busy)} ticks beside one of {len(schedule.busy)}", "the same length",
            "Make both for the same time.",
        )  # fmt: skip
    busy = np.concatenate([schedule.busy, beside.busy], 1)
    busy = busy / np.maximum(busy.sum(1, keepdims=True), 1.0)
    narrow = np.concatenate([_sm_share(schedule), _sm_share(beside)], 1)
    host = {name: host_of(schedule, name) for name in HOST}
    for name in HOST:
        other = host_of(beside, name)
        if name in _LEAST:
            host[name] = np.minimum(host[name], other)
        elif name not in _OWN:
            host[name] = host[name] + other
    host["foreign_processes"] = host["foreign_processes"] + host_of(beside, "processes")
    both = replace(schedule, parts=(*schedule.parts, *beside.parts), busy=busy, sm_share=narrow, host=host)
    return both, _joined(kernels, activity(beside.parts, gpu, rng))


def _sm_share(schedule: Schedule) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    return np.ones_like(schedule.busy) if schedule.sm_share is None else schedule.sm_share


def _joined(first: Activity, second: Activity) -> Activity:
    pairs = {field.name: (getattr(first, field.name), getattr(second, field.name)) for field in fields(Activity)}
    columns: dict[str, Any] = {
        name: one + other if isinstance(one, tuple) else np.concatenate([one, other])
        for name, (one, other) in pairs.items()
    }
    return Activity(**columns)
