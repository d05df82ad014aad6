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
_MOST_KERNELS: Final = 16_384
"""Of one job."""
_MOST_OF_ALL: Final = 262_144
"""Of all jobs; 26 to 30 MiB if hostile ones fill it (8 jobs of 16,384 kernels, 1,024 of 128)."""

Part = tuple[Window, Sequence[bool], float]
"""A process: what it launched, which of it is new to the job, and the share of it that is this device's."""


@final
class Novelty:
    """Remembers which kernels jobs have launched; the job that was heard of least lately is forgotten."""

    def __init__(self, jobs: int = _MOST_JOBS) -> None:
        self._most = jobs
        self._jobs: OrderedDict[str, _Seen] = OrderedDict()
        self._total = 0

    def new(self, job: str, windows: Sequence[Window]) -> list[list[bool]]:
        """Which kernels of which process the job had not launched before the burst; from now on it has.

        A kernel is new too if the process, since it launched one of that name, loaded code and looked the name up:
        the name is old, the code is not.
        """
        seen = self._jobs.setdefault(job, _Seen())
        self._jobs.move_to_end(job)
        before = len(seen)
        found = [[seen.is_new(window, each) for each in window.handles] for window in windows]
        for window in windows:
            for each in window.handles:
                seen.add(window, each)
        self._total += len(seen) - before
        while len(self._jobs) > self._most or (self._total > _MOST_OF_ALL and len(self._jobs) > 1):
            self._total -= len(self._jobs.popitem(last=False)[1])
        return found


class _Seen:
    """What one job launched; by hashes, for names are long."""

    def __init__(self) -> None:
        self._kernels: set[int] = set()
        self._last_ns: dict[int, int] = {}

    def __len__(self) -> int:
        return len(self._kernels) + len(self._last_ns)

    def is_new(self, window: Window, each: Handle) -> bool:
        if _mark(window, each) not in self._kernels:
            return True
        last = self._last_ns.get(hash((window.process, each.name)))
        return last is not None and last < min(window.loaded_ns, each.looked_up_ns)

    def add(self, window: Window, each: Handle) -> None:
        if len(self._kernels) < _MOST_KERNELS:
            self._kernels.add(_mark(window, each))
        mine = hash((window.process, each.name))
        if mine in self._last_ns or len(self._last_ns) < _MOST_KERNELS:
            self._last_ns[mine] = max(each.last_ns, self._last_ns.get(mine, 0))


def _mark(window: Window, each: Handle) -> int:
    return hash(each.name or (window.process, each.handle))


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
