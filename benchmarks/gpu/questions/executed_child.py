"""Runs workloads so that a profiler sees each of their kernels once. Started by executed.py under Nsight Compute.

    python executed_child.py ORDER LIMIT WORKLOAD [WORKLOAD ...]

Each workload is set up and takes a step at its size for a GPU; of the next step the first launch of each kernel lies
between cudaProfilerStart and cudaProfilerStop. To the file ORDER a line of JSON is added for each of these launches,
in order, before it is made. After LIMIT seconds no further workload is begun, and a while later it ends in any case:
who kills the profiler does not kill it.
"""

from __future__ import annotations

import json
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hashwarden.errors import HashwardenError
from hashwarden.kernels.workloads.engines.cupy import CupyEngine
from hashwarden.kernels.workloads.native.launches import Fill, Store
from hashwarden.kernels.workloads.registry import find

__all__ = ["profiled"]

SIZE = "gpu"
LONGER_S = 10
Told = Callable[[dict[str, Any]], None]


def profiled(name: str, engine: Any, step: Any, told: Told, switch: tuple[Callable[[], None], ...]) -> None:
    """Carry one step out with each kernel's first launch between two switches.

    Parameters
    ----------
    name : str
        Of the workload.
    engine : Engine
        Set up.
    step : sequence of launches
    told : callable
        Takes what is about to be profiled.
    switch : pair of callables
        Turn the profiler on and off.
    """
    on, off = switch
    seen = set()
    for launch in step:
        key = (launch.source, launch.kernel, launch.variant)
        if isinstance(launch, (Fill, Store)) or key in seen:
            engine.launch(launch)
            continue
        seen.add(key)
        engine.wait()
        told({"workload": name, "source": launch.source, "kernel": launch.kernel, "variant": launch.variant})
        on()
        engine.launch(launch)
        engine.wait()
        off()
    engine.wait()


def main() -> None:
    """Run from the command line."""
    import cupy

    order, until, names = Path(sys.argv[1]), time.monotonic() + float(sys.argv[2]), sys.argv[3:]
    signal.alarm(int(float(sys.argv[2])) + LONGER_S)
    runtime = cupy.cuda.runtime

    def told(row: dict[str, Any]) -> None:
        with order.open("a") as file:
            file.write(json.dumps(row) + "\n")

    for name in names:
        if time.monotonic() > until:
            break
        try:
            plan = find(name).native(find(name).settings(SIZE), 0)
            engine = CupyEngine(plan)
            try:
                engine.setup()
                engine.step()
                profiled(name, engine, plan.step(1), told, (runtime.profilerStart, runtime.profilerStop))
            finally:
                engine.close()
        except HashwardenError as error:
            told({"workload": name, "failed": f"{type(error).__name__}: {error}"[:300]})


if __name__ == "__main__":
    main()
