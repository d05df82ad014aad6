"""What recording memory accesses costs: a matrix product with the recorder at several rates, against without.

One command::

    python benchmarks/recorder.py [--seconds 3] [--out benchmarks/results]

The peer is the same kernel compiled without the recorder, in the same run; the ratio is of whole steps,
emptying the ring included. Where there is no GPU, the Numba program runs on the CPU, one thread after the
other, and its ratios say nothing about a GPU.
Writes recorder.json and recorder.md.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from hashwarden.kernels.memory.log import LIVE, Recorder, Sampling
from hashwarden.kernels.workloads.learning.gemm import gemm, gemm_nn
from hashwarden.kernels.workloads.plan import Arrays, Empty, Plan, Work
from hashwarden.kernels.workloads.prepare import gpu_name

RATES = (1 << 20, 4096, 512, 128, 64, 16, 1)
"""One warp in so many; the first samples none, so that only the recorder's branches are left."""


def product(size: int) -> Plan:
    """A square matrix product of this size."""
    random = np.random.default_rng(0)
    arrays: Arrays = {
        "a": random.standard_normal(size * size).astype(np.float32),
        "b": random.standard_normal(size * size).astype(np.float32),
        "c": Empty((size * size,), np.float32),
    }
    launches = (gemm(gemm_nn, ("a", "b", "c"), size, size, size),)
    return Plan(arrays, step=lambda _: launches, work=Work(1), check=lambda _: None)


def engine_of(plan: Plan, sampling: Sampling | None, on_gpu: bool) -> Any:
    """The engine at hand, with or without a recorder."""
    if on_gpu:
        from hashwarden.kernels.workloads.engines.numba_cuda import NumbaEngine, recorder_for_gpu

        ring = None if sampling is None else recorder_for_gpu(sampling=sampling, capacity=1 << 22)
        return NumbaEngine(plan, ring), ring
    from hashwarden.kernels.workloads.engines.cpu import CpuEngine

    ring = None if sampling is None else Recorder(sampling, capacity=1 << 22)
    return CpuEngine(plan, ring), ring


def one_step(engine: Any, ring: Recorder | None) -> float:
    """Seconds of a step; what was recorded is thrown away."""
    start = time.perf_counter()
    engine.step()
    engine.wait()
    seconds = time.perf_counter() - start
    if ring is not None:
        ring.log()
        ring.forget()
    return seconds


def measure(size: int, seconds: float, on_gpu: bool) -> list[dict[str, Any]]:
    """Times of all rates, taken in turns so that the machine's moods fall on all."""
    plan = product(size)
    samplings = {"none": None} | {f"one warp in {rate:,}": Sampling(every_warp=rate, seed=1) for rate in RATES}
    engines = {name: engine_of(plan, sampling, on_gpu) for name, sampling in samplings.items()}
    kept = {}
    for name, (engine, ring) in engines.items():
        engine.step()
        engine.wait()
        log = None if ring is None else ring.log()
        kept[name] = (0, 0) if log is None else (len(log), log.lost)
        if ring is not None:
            ring.forget()
    times: dict[str, list[float]] = {name: [] for name in engines}
    deadline = time.monotonic() + seconds * len(engines)
    while time.monotonic() < deadline or len(times["none"]) < 3:
        for name, (engine, ring) in engines.items():
            times[name].append(one_step(engine, ring))
    base = statistics.median(times["none"])
    return [
        {
            "recorder": name,
            "step_s": statistics.median(taken),
            "ratio": statistics.median(taken) / base,
            "entries_a_step": kept[name][0],
            "lost_a_step": kept[name][1],
        }
        for name, taken in times.items()
    ]


def markdown(found: dict[str, Any]) -> str:
    """The results as a page."""
    lines = [f"# What recording costs: {found['machine']}, {found['date'][:10]}", ""]
    lines += [f"Matrix product of {found['size']} squared, engine {found['engine']}. {found['note']}", ""]
    lines += ["| recorder | step, ms | against none | entries a step | lost a step |"]
    lines += ["| --- | ---: | ---: | ---: | ---: |"]
    for row in found["rows"]:
        numbers = f"{row['step_s'] * 1e3:.2f} | {row['ratio']:.3f} | {row['entries_a_step']:,} | {row['lost_a_step']:,}"
        lines.append(f"| {row['recorder']} | {numbers} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=3, help="time for each rate")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results"))
    options = parser.parse_args()
    name = gpu_name()
    size = 2048 if name else 512
    note = f"The default where workloads run at speed is one warp in {LIVE.every_warp}."
    found = {
        "machine": name or f"{platform.machine()} CPU, no GPU",
        "engine": "numba" if name else "cpu",
        "size": size,
        "note": note if name else f"{note} On the CPU only: what it costs on a GPU is open.",
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "rows": measure(size, options.seconds, name is not None),
    }
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "recorder.json").write_text(json.dumps(found, indent=1) + "\n")
    (options.out / "recorder.md").write_text(markdown(found))
    print(markdown(found))


if __name__ == "__main__":
    main()
