"""What the benchmarks of scoring share: calls that take turns, sessions of one thread, and where it was measured."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort


def session(model: bytes) -> ort.InferenceSession:
    """One thread, as the scorers have it."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    return ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def interleaved(
    calls: dict[str, Callable[[], Any]], rounds: int, times: int, clock: Callable[[], float] = time.perf_counter
) -> dict[str, float]:
    """Median seconds of a call by the clock; all contenders in each round, so that a busy moment hits all."""
    for call in calls.values():
        call()
        call()
    seen: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(rounds):
        for name, call in calls.items():
            for _ in range(times):
                start = clock()
                call()
                seen[name].append(clock() - start)
    return {name: float(np.median(values)) for name, values in seen.items()}


def machine(packages: Sequence[str]) -> dict[str, Any]:
    """Where and with what it was measured."""
    info = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
    model = next((line.split(":", 1)[1].strip() for line in info.splitlines() if line.startswith("model name")), "")
    return {
        "cpu": model or platform.processor(),
        "cores": os.cpu_count(),
        "load": os.getloadavg()[0],
        "date": time.strftime("%Y-%m-%d"),
        "python": platform.python_version(),
        "versions": {name: importlib.metadata.version(name) for name in packages},
    }
