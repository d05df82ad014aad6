"""What calls of NVML take, and how often their answers change. Part of telemetry.py; not a command."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from telemetry_calls import CALLS, credible, entries, filled, numbers, words

from hashwarden.serve.sources.gpm import _NEW, _OLD, LEAST_S
from hashwarden.serve.sources.nvml import NvmlSource
from hashwarden.serve.sources.source import Options

__all__ = ["OURS", "changes", "changing", "gpm_changes", "gpm_latency", "plain_latency", "tick_latency", "timed"]

OURS = (*_OLD, *_NEW)
"""The metrics that the source nvml asks for."""
CALLS_TIMED, EACH_S, TICKS = 1000, 1.0, 50
SERIES = {0.02: 12, 0.05: 12, LEAST_S: 40}
"""Seconds between samples of GPM, and how many."""
STRIDES = {LEAST_S: (1, 2, 10)}
WATCHED = (1, 2, 4, 5, 10, 172)
Row = dict[str, Any]


def timed(call: Callable[[], object], calls: int = CALLS_TIMED, limit_s: float = EACH_S, pause_s: float = 0.0) -> Row:
    """Wall time and CPU time of a call, made again and again until either limit; 20 times at least.

    CPU time is that of this process, all threads. The first two calls do not count.
    """
    call()
    call()
    wall, cpu, until = list[float](), 0.0, time.monotonic() + limit_s
    while len(wall) < calls and (time.monotonic() < until or len(wall) < min(20, calls)):
        if pause_s:
            time.sleep(pause_s)
        used, start = time.process_time(), time.perf_counter()
        call()
        wall.append(time.perf_counter() - start)
        cpu += time.process_time() - used
    p50, p99 = np.percentile(wall, (50, 99))
    return {
        "calls": len(wall), "p50_us": 1e6 * float(p50), "p99_us": 1e6 * float(p99), "longest_us": 1e6 * max(wall),
        "cpu_us_per_call": 1e6 * cpu / len(wall),
    }  # fmt: skip


def gpm_latency(raw: Any) -> Row:
    """Of a sample, and of the metrics between two: those of the source nvml, and all that answer."""
    library, first = raw.library, raw.sample()
    time.sleep(2 * LEAST_S)
    second = raw.sample()
    try:
        found = {"nvmlGpmSampleGet": timed(lambda: library.nvmlGpmSampleGet(raw.handle, second))}
        for name, asked in ((f"{len(OURS)} metrics of the source nvml", OURS),
                            (f"all {len(raw.supported)} metrics that answer", tuple(raw.supported))):  # fmt: skip
            get = filled(asked, first, second)
            try:
                found[f"nvmlGpmMetricsGet, {name}"] = timed(lambda get=get: library.nvmlGpmMetricsGet(get))
            except library.NVMLError as error:
                found[f"nvmlGpmMetricsGet, {name}"] = {"refused": words(error)}
    finally:
        raw.free(first)
        raw.free(second)
    return found


def plain_latency(library: Any, handle: Any) -> Row:
    """Of each call of plain NVML that the source makes."""
    found: Row = {}
    for function, arguments in CALLS:
        name = f"{function}({', '.join(map(str, arguments))})"
        ask = getattr(library, function)
        try:
            found[name] = timed(lambda ask=ask, arguments=arguments: ask(handle, *arguments), 200, 0.2)
        except library.NVMLError as error:
            found[name] = {"refused": words(error)}
    return found


def tick_latency(ticks: int = TICKS) -> Row:
    """Of a whole reading of the source nvml, at 10 Hz, all GPUs."""
    source = NvmlSource(Options())
    devices = source.open()
    try:
        row = timed(source.read, ticks, 2 * ticks * LEAST_S, LEAST_S)
    finally:
        source.close()
    return row | {"gpus": len(devices)}


def changes(times: Sequence[float], values: Sequence[float]) -> Row:
    """How long a value stays as it is, from looks at it; the first and the last stretch, cut off, do not count."""
    moments = [at for (_, before), (at, value) in pairwise(zip(times, values, strict=True)) if value != before]
    row: Row = {"looks": len(times), "changes": len(moments), "look_ms": 1e3 * float(np.median(np.diff(times)))}
    if len(moments) > 2:
        lasted = 1e3 * np.diff(moments)
        p10, p50, p90 = np.percentile(lasted, (10, 50, 90)).tolist()
        row["between_changes_ms"] = {"p10": p10, "p50": p50, "p90": p90, "least": float(lasted.min())}
    return row


def changing(library: Any, handle: Any, seconds: float) -> Row:
    """Every value of NVML that changes with time, each looked at as often as can be."""
    asked = numbers(library, handle)
    times: dict[str, list[float]] = {name: [] for name in asked}
    values: dict[str, list[float]] = {name: [] for name in asked}
    refused: dict[str, str] = {}
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        for name, ask in asked.items():
            if name not in refused:
                try:
                    value = ask()
                except library.NVMLError as error:
                    refused[name] = words(error)
                    continue
                times[name].append(time.monotonic())
                values[name].append(value)
    found: Row = {name: changes(times[name], values[name]) for name in asked if len(times[name]) > 2}
    return found | {name: {"refused": why} for name, why in refused.items()}


def gpm_changes(raw: Any) -> Row:
    """Metrics over windows of some lengths, one after another: whether there is an answer, and whether it is new."""
    watched, found = [number for number in WATCHED if number in raw.supported], {}
    for apart, count in SERIES.items():
        taken = []
        try:
            for _ in range(count):
                taken.append(raw.sample())
                time.sleep(apart)
            for stride in STRIDES.get(apart, (1,)):
                found[f"{apart * stride:g} s"] = _windows(raw, watched, taken[::stride])
        finally:
            for sample in taken:
                raw.free(sample)
    return found


def _windows(raw: Any, watched: Sequence[int], taken: Sequence[Any]) -> Row:
    asked, values, refused = tuple(watched), {number: [] for number in watched}, set()
    for first, second in pairwise(taken):
        for number, (code, value) in entries(raw.library, asked, first, second).items():
            if code == 0 and credible(value) is not None:
                values[number].append(value)
            elif code:
                refused.add(code)
    row: Row = {"windows": len(taken) - 1, "codes_of_refusal": sorted(refused), "metrics": {}}
    for number, got in values.items():
        if got:
            row["metrics"][f"{number} {raw.names.get(number, 'unnamed')}"] = {
                "answers": len(got), "other_than_before": sum(b != a for a, b in pairwise(got)),
                "median": float(np.median(got)), "least": min(got), "most": max(got),
            }  # fmt: skip
    return row
