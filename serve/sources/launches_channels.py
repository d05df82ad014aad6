"""The channels of launches, of a job on one device.

Meanings are those of `hashwarden.model.channels`, as synthesised runs have them. Where a live trace cannot agree:

- kernels inside a graph are not launched by the processor: they count in no channel but ``graph_launches_per_s``, while
  synthesised runs count them among the distinct kernels;
- a process that works on several devices does not say which of them a launch is for: each gets an equal share of its
  rates, and the same ratios;
- a launch that the driver refuses, and one that a graph captures, counts too;
- processes that were there before the tracer have no names: their handles stand for their kernels.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Final, final

from hashwarden.serve.jobs.job import Owner, ProcessKey
from hashwarden.serve.sources.launches_window import Handle, Window

__all__ = ["Novelty", "Part", "channels", "load_rates"]

_MOST_JOBS: Final = 1024
_MOST_KERNELS: Final = 65_536

Part = tuple[Window, Sequence[bool], float]
"""A process: what it launched, which of it is new to the job, and the share of it that is this device's."""


@final
class Novelty:
    """Remembers which kernels jobs have launched; the job that was heard of least lately is forgotten."""

    def __init__(self, jobs: int = _MOST_JOBS) -> None:
        self._most = jobs
        self._seen: OrderedDict[str, set[int]] = OrderedDict()

    def new(self, job: str, windows: Sequence[Window]) -> list[list[bool]]:
        """Which kernels of which process the job had not launched before the burst; from now on it has.

        A kernel is new too if a process looked it up in code that it loaded since the burst before: the name is old,
        the code is not.
        """
        seen = self._seen.setdefault(job, set())
        self._seen.move_to_end(job)
        marks = [[hash(each.name or (window.process, each.handle)) for each in window.handles] for window in windows]
        found = [
            [mark not in seen or _renewed(window, each) for mark, each in zip(mine, window.handles, strict=True)]
            for mine, window in zip(marks, windows, strict=True)
        ]
        for mine in marks:
            seen.update(mine[: max(_MOST_KERNELS - len(seen), 0)])
        while len(self._seen) > self._most:
            self._seen.popitem(last=False)
        return found


def _renewed(window: Window, each: Handle) -> bool:
    return window.loads > 0 and each.looked_up_ns > window.since_ns > 0


def channels(parts: Sequence[Part]) -> dict[str, float]:
    """What the processes of one job launched on one device; what cannot be told is left out."""
    rate = sum(share * window.launches / window.seconds for window, _, share in parts)
    graphs = sum(share * window.graphs / window.seconds for window, _, share in parts)
    launches: dict[object, float] = {}
    threads = fresh = 0.0
    for window, new, share in parts:
        for each, is_new in zip(window.handles, new, strict=True):
            kernel = each.name or (window.process, each.handle)
            launches[kernel] = launches.get(kernel, 0.0) + share * each.launches
            threads += share * each.threads
            fresh += share * each.launches * is_new
    found = {"launches_per_s": rate, "graph_launches_per_s": graphs, "distinct_kernels": float(len(launches))}
    total = sum(launches.values())
    if total > 0:
        found["top_kernel_ratio"] = max(launches.values()) / total
        found["new_kernel_ratio"] = min(fresh / total, 1.0)
        found["threads_per_launch"] = threads / total
    elif rate > 0:
        del found["distinct_kernels"]  # all of them were dropped
    variation = _variation(parts)
    if not math.isnan(variation):
        found["launch_interval_variation"] = variation
    return found


def _variation(parts: Sequence[Part]) -> float:
    """Of the commonest kernel of the process that launched it most."""
    tops = [(window.handles[0].launches, window.handles[0].variation) for window, _, _ in parts if window.handles]
    return max(tops)[1] if tops else math.nan


def load_rates(
    loads: Mapping[ProcessKey, int], owners: Mapping[ProcessKey, Owner], seconds: float
) -> dict[tuple[str, str], float]:
    """Modules loaded a second, by job and device, of all processes that are known to use CUDA."""
    found: dict[tuple[str, str], float] = {}
    for process, owner in owners.items():
        for gpu in owner.gpus:
            share = loads.get(process, 0) / len(owner.gpus) / seconds
            found[owner.job, gpu] = found.get((owner.job, gpu), 0.0) + share
    return found
