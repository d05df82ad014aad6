"""What PM sampling does to the GPU's clocks, and what CUPTI collects its counters over. Part of sampling.py.

PyTorch's developers found that the clocks are locked while PM sampling is enabled (pytorch/pytorch pull request
188849); CUPTI 13.4 has calls of its own for locking, and its documentation says that without them nothing is locked.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import numpy as np

from hashwarden.serve.sources.nvml_calls import Nvml

__all__ = ["machine_clocks", "tell_clocks", "tell_scopes"]

APART_S = 0.05
SM, MEMORY = 1, 2
"""Numbers of NVML's clock domains."""
Row = dict[str, Any]


def machine_clocks(seconds: float, index: int = 0) -> Row:
    """Clocks of a GPU for a while: medians, and the bits of why they are held down, with how often each was seen."""
    nvml = Nvml()
    try:
        library: Any = nvml.library
        handle = library.nvmlDeviceGetHandleByIndex(index)
        found: dict[str, list[float]] = {"sm_mhz": [], "memory_mhz": []}
        reasons: Counter[str] = Counter()
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            for name, domain in (("sm_mhz", SM), ("memory_mhz", MEMORY)):
                with suppress(library.NVMLError):
                    found[name].append(float(library.nvmlDeviceGetClockInfo(handle, domain)))
            with suppress(library.NVMLError):
                reasons[f"{library.nvmlDeviceGetCurrentClocksThrottleReasons(handle):#x}"] += 1
            time.sleep(APART_S)
    finally:
        nvml.close()
    row: Row = {"readings": max(map(len, found.values())), "reasons": dict(reasons)}
    for name, values in found.items():
        row[name] = float(np.median(values)) if values else None
    return row


def tell_clocks(say: Callable[[str], None], found: dict[str, Row]) -> None:
    """A sentence for each clock, and one for the reasons."""
    for name, words in (("sm_mhz", "SM clock"), ("memory_mhz", "memory clock")):
        values = {when: row[name] for when, row in found.items()}
        told = ", ".join(f"{when} {'no value' if at is None else format(at, '.0f')}" for when, at in values.items())
        say(f"clocks: {words} beside matrix products, MHz in the median: {told}.")
    told = "; ".join(f"{when} {', '.join(row['reasons']) or 'none read'}" for when, row in found.items())
    say(f"clocks: NVML's reasons for them: {told}.")


def tell_scopes(say: Callable[[str], None], scopes: dict[str, str]) -> None:
    """A sentence on what CUPTI says that the counters are collected over."""
    by: dict[str, list[str]] = {}
    for metric, scope in scopes.items():
        by.setdefault(scope, []).append(metric)
    told = "; ".join(f"{scope}: {len(names)} ({', '.join(names)})" for scope, names in by.items())
    say(f"others: CUPTI says that its counters are collected over, by scope: {told}.")
