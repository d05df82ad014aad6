"""Every workload on every engine at its size for a GPU: right, how fast, and how near to what bounds it.

One command, with a limit on time::

    python benchmarks/gpu/workloads.py --out results [--limit 200] [--seconds 0.5] [--size gpu]

Writes workloads.json. What the time did not suffice for is named there; a wrong result is a failure, and
the exit code is 1. With ``--engines cpu --size small`` it runs without a GPU, and its rates mean nothing.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

from hashwarden.errors import HashwardenError
from hashwarden.kernels.workloads.prepare import prepare
from hashwarden.kernels.workloads.registry import workloads
from hashwarden.kernels.workloads.workload import Workload

sys.path.insert(0, str(Path(__file__).parent))
from ceilings import ceilings

BOUNDS = {"memory": "dram_bytes", "integer": "int_ops", "float": "float_ops", "tensor": "tensor_ops"}


def measured(workload: Workload, engine: str, size: str, seconds: float, limits: dict[str, float]) -> dict[str, Any]:
    """Check one workload on one engine, and let it run."""
    settings, start = workload.settings(size), time.monotonic()
    prepared = prepare(workload, settings, engine, seed=0)
    try:
        prepared.check()
        checked, steps = time.monotonic(), 0
        prepared.run.step()
        prepared.run.wait()
        begin = time.monotonic()
        while steps == 0 or time.monotonic() - begin < seconds:
            prepared.run.step()
            prepared.run.wait()
            steps += 1
        step_s = (time.monotonic() - begin) / steps
    finally:
        prepared.close()
    found = {
        "check_s": checked - start,
        "step_s": step_s,
        "units_per_s": prepared.run.units / step_s,
        "unit": workload.unit,
        "memory_bytes": prepared.memory_bytes,
    }
    return found | _share(workload, engine, settings, step_s, limits)


def _share(
    workload: Workload, engine: str, settings: dict[str, int], step_s: float, limits: dict[str, float]
) -> dict[str, Any]:
    """Share of the bound that the workload claims, where its plan counts that and the ceiling was measured."""
    build = workload.native if engine == "cupy" else workload.build
    channel = BOUNDS.get(workload.bound)
    if build is None or engine == "torch" or channel not in limits:
        return {}
    done = getattr(build(settings, 0).work, channel)
    return {"bound": workload.bound, "share_of_bound": done / step_s / limits[channel]} if done else {}


def run(size: str, engines: list[str], seconds: float, limit: float) -> dict[str, Any]:
    """Measure all, within a limit on time."""
    deadline, results, left_out = time.monotonic() + limit, {}, []
    limits = ceilings() if set(engines) - {"cpu"} else {}
    for workload in workloads():
        for engine in (name for name in engines if name in workload.engines()):
            key = f"{workload.name} on {engine}"
            if time.monotonic() > deadline:
                left_out.append(key)
                continue
            try:
                results[key] = measured(workload, engine, size, seconds, limits)
            except HashwardenError as error:
                results[key] = {"error": f"{type(error).__name__}: {error}"}
            except Exception as error:  # one workload that fails must not hide the others
                results[key] = {"error": f"{type(error).__name__}: {error}"[:400]}
    failed = [key for key, result in results.items() if "error" in result]
    return {"ceilings": limits, "size": size, "results": results, "failed": failed, "left_out_for_time": left_out}


def main() -> int:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("gpu-results"))
    parser.add_argument("--limit", type=float, default=200, help="seconds after which nothing new is begun")
    parser.add_argument("--seconds", type=float, default=0.5, help="how long each runs")
    parser.add_argument("--size", default="gpu")
    parser.add_argument("--engines", default="cupy,torch,numba")
    options = parser.parse_args()
    found = run(options.size, options.engines.split(","), options.seconds, options.limit)
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "workloads.json").write_text(json.dumps(found, indent=1) + "\n")
    print(f"{len(found['results'])} ran, {len(found['failed'])} failed, {len(found['left_out_for_time'])} left out")
    for key in found["failed"]:
        print(f"  {key}: {found['results'][key]['error']}")
    return 1 if found["failed"] or not found["results"] else 0


if __name__ == "__main__":
    raise SystemExit(main())
