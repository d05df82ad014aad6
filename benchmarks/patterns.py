"""How fast an address log is turned into features, against sorting it and against pandas in the same run.

One command, one core::

    python benchmarks/patterns.py [--seconds 4] [--out benchmarks/results]

It records a hash join on the CPU, makes two logs more (a matrix product, a random gather), and measures in
megabytes of log (24 bytes an access, as recorded) per second of processor time: every engine at hand, and
peers: NumPy's sorts of the same log, and pandas for the sectors per request alone. Engines on the GPU are timed by
the clock, copies included, beside a copy of the same bytes on the device. Writes patterns.json and patterns.md.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import platform
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # before NumPy: one core is what is measured

import numpy as np
import pandas as pd
from memory_logs import gather, gemm

from hashwarden.errors import MissingExtraError, NoDeviceError
from hashwarden.kernels.memory.log import AddressLog, Recorder
from hashwarden.kernels.memory.patterns import NAMES, patterns, warm_up
from hashwarden.kernels.memory.recorder import ENTRY_WORDS
from hashwarden.kernels.workloads.engines.cpu import CpuEngine
from hashwarden.kernels.workloads.others.hash_join import WORKLOADS

ROOT = Path(__file__).resolve().parent.parent
ENTRY_BYTES = 8 * ENTRY_WORDS


def hash_join() -> AddressLog:
    """A real execution, each access recorded."""
    recorder = Recorder(capacity=1 << 22)
    settings = WORKLOADS[0].settings("trace", {"build_rows": 1 << 17, "probe_rows": 1 << 16})
    engine = CpuEngine(WORKLOADS[0].build(settings, 0), recorder)
    engine.setup()
    engine.step()
    log = recorder.log()
    if log.lost:
        raise SystemExit("the ring is too small for this log")
    return log


def rate(function: Callable[[], Any], bytes_: int, seconds: float, clock: Callable[[], float]) -> dict[str, float]:
    """Median and best MB per second by a clock, over about ``seconds``."""
    speeds: list[float] = []
    until = time.perf_counter() + seconds
    while not speeds or time.perf_counter() < until:
        start = clock()
        function()
        speeds.append(bytes_ / 1e6 / max(clock() - start, 1e-9))
    return {"median_mb_s": float(np.median(speeds)), "best_mb_s": max(speeds), "runs": len(speeds)}


def frame(log: AddressLog) -> pd.DataFrame:
    """The log as a table of pandas."""
    table = pd.DataFrame(log.columns())
    return table.assign(warp=table.thread // 32, sector=table.address // 32)


def with_pandas(table: pd.DataFrame) -> pd.Series:
    """Sectors per request, one of the features, as one would ask pandas for them."""
    return table.groupby(["launch", "warp", "order", "site", "kind"], sort=False)["sector"].nunique()


def on_the_cpu(log: AddressLog, seconds: float) -> dict[str, Any]:
    """The engines of the CPU and their peers."""
    size, clock = len(log) * ENTRY_BYTES, time.process_time
    key = (log.launch << 48) | (log.order << 24) | log.thread
    table = frame(log)
    return {
        "Numba, all features": rate(lambda: patterns(log), size, seconds, clock),
        "reference (NumPy), all features": rate(lambda: patterns(log, "reference"), size, 0, clock),
        "NumPy: sort the rows (lexsort by launch, order, thread)": rate(log.canonical, size, seconds, clock),
        "NumPy: argsort of one 64-bit key": rate(lambda: np.argsort(key, kind="stable"), size, seconds, clock),
        "NumPy: distinct lines (unique with counts)": rate(
            lambda: np.unique(log.address >> 7, return_counts=True), size, seconds, clock
        ),
        "pandas: sectors per request alone (groupby, nunique)": rate(lambda: with_pandas(table), size, 0, clock),
    }


def on_the_gpu(log: AddressLog, seconds: float) -> dict[str, Any]:
    """The engines of the GPU by the clock, copies included, and a copy of the same bytes on the device."""
    found: dict[str, Any] = {}
    size, clock = len(log) * ENTRY_BYTES, time.perf_counter
    for engine, name in (("numba_cuda", "Numba CUDA"), ("cupy", "CuPy")):
        try:
            patterns(log, engine)
            found[f"{name}, all features"] = rate(lambda e=engine: patterns(log, e), size, seconds, clock)
        except (MissingExtraError, NoDeviceError):
            found[f"{name}, all features"] = "no GPU"
    try:
        import cupy

        source = cupy.zeros(size // 8, np.int64)
        target = cupy.empty_like(source)

        def copy() -> None:
            target[:] = source
            cupy.cuda.Device().synchronize()

        copy()
        found["copy on the device"] = rate(copy, size, seconds, clock)
    except Exception:  # whatever CuPy makes of a driver that is missing or too old
        found["copy on the device"] = "no GPU"
    return found


def measure(seconds: float) -> dict[str, Any]:
    """All measurements of one run."""
    warm_up()
    logs = {
        "hash join, recorded": hash_join(),
        "matrix product, 4,096 threads of it": _as_recorded(gemm(), 1 << 12),
        "random gather in 16 MiB": _as_recorded(gather(threads=1 << 14), 1 << 14),
    }
    results = {}
    for name, log in logs.items():
        speeds = on_the_cpu(log, seconds) | on_the_gpu(log, seconds)
        results[name] = {"accesses": len(log), "megabytes": len(log) * ENTRY_BYTES / 1e6, "speeds": speeds}
    return {
        "what": "MB of log (24 bytes an access) per second of processor time, one core; by the clock on a GPU",
        "features": len(NAMES),
        "logs": results,
        "machine": machine(),
    }


def _as_recorded(log: AddressLog, threads: int) -> AddressLog:
    """The accesses of the first threads, thread by thread, as a recorder on the CPU writes them."""
    rows = np.lexsort((log.order, log.thread))
    rows = rows[log.thread[rows] < threads]
    return AddressLog(**{name: column[rows] for name, column in log.columns().items()}, sampling=log.sampling, lost=0)


def machine() -> dict[str, Any]:
    """Where and with what it was measured."""
    info = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
    model = next((line.split(":", 1)[1].strip() for line in info.splitlines() if line.startswith("model name")), "")
    return {
        "cpu": model or platform.processor(),
        "cores": os.cpu_count(),
        "load": os.getloadavg()[0],
        "date": time.strftime("%Y-%m-%d"),
        "python": platform.python_version(),
        "versions": {name: importlib.metadata.version(name) for name in ("numpy", "numba", "pandas")},
    }


def markdown(result: dict[str, Any]) -> str:
    """The report."""
    at = result["machine"]
    versions = ", ".join(f"{name} {version}" for name, version in at["versions"].items())
    lines = [
        "# Speed of the memory patterns",
        "",
        f"{at['date']}, {at['cpu']}, {at['cores']} cores (load {at['load']:.1f}), one used; "
        f"Python {at['python']}, {versions}.",
        "",
        f"{result['features']} features of a log. MB are 10^6 bytes of log, 24 an access, as the recorder writes them; "
        "processor time, so that a busy machine shows less; on a GPU by the clock. Each peer does a part.",
    ]
    for name, one in result["logs"].items():
        lines += ["", f"## {name}: {one['accesses']:,} accesses, {one['megabytes']:.0f} MB", ""]
        lines += ["| what | MB/s, median | best | Numba takes so many times as long |", "| --- | --- | --- | --- |"]
        ours = one["speeds"]["Numba, all features"]["median_mb_s"]
        for what, speed in one["speeds"].items():
            if isinstance(speed, str):
                lines.append(f"| {what} | {speed} | | |")
                continue
            ratio = "" if speed["median_mb_s"] == ours else f"{speed['median_mb_s'] / ours:.2f}"
            lines.append(f"| {what} | {speed['median_mb_s']:,.1f} | {speed['best_mb_s']:,.1f} | {ratio} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--seconds", type=float, default=4.0, help="time for each fast measurement")
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results")
    arguments = parser.parse_args()
    result = measure(arguments.seconds)
    arguments.out.mkdir(parents=True, exist_ok=True)
    (arguments.out / "patterns.json").write_text(json.dumps(result, indent=1) + "\n")
    (arguments.out / "patterns.md").write_text(markdown(result))
    print(markdown(result))


if __name__ == "__main__":
    main()
