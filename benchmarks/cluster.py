"""How the time of training falls with workers, and whether memory stays flat as the data grows.

One command; a Ray cluster of one node, then of two, each with one CPU, is started on this machine::

    python benchmarks/cluster.py [--samples 500000] [--largest 8000000] [--out benchmarks/results]

It writes made-up traces (every channel, noise), and measures judging them and the fit alone, with one worker and with
two; a step is the difference of a long and a short fit, so that starting Ray is told apart. Memory: one process judges
more and more samples into shards and draws batches from them; its peak is what counts. Writes cluster.json and
cluster.md.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before NumPy: a worker is one core
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")

import numpy as np

from hashwarden.model.channels import CHANNELS
from hashwarden.model.cluster import connected
from hashwarden.model.job.taxonomy import CLASSES, MINING_FAMILIES
from hashwarden.model.trace import Run, RunInfo
from hashwarden.model.trace_write import write_runs
from hashwarden.training.job.cluster import featurise_on_ray, fit_on_ray
from hashwarden.training.job.dataset import Dataset, featurise
from hashwarden.training.job.fit import fit
from hashwarden.training.job.recipe import FULL
from hashwarden.training.job.windows import Drawer

ROOT = Path(__file__).resolve().parent.parent
FILES, LENGTH = 8, 320
SHORT, LONG = 10, 510
SPREAD_S = 20.0
"""What the start of Ray and its workers differs by from time to time: fits that differ by less say nothing."""
RECIPE = replace(FULL, check=1000, held_out=0.05)


def made_up(number: int) -> Run:
    """A run of noise in every channel, a little different for each class."""
    rng, label = np.random.default_rng(number), CLASSES[number % len(CLASSES)]
    high = np.array([min(channel.high, 1e4) for channel in CHANNELS])
    values = (rng.random((LENGTH, len(CHANNELS))) * high * (0.3 + 0.1 * (number % len(CLASSES)))).astype(np.float32)
    info = RunInfo(origin="synthesised", gpu="none", period_s=1.0, labelled_by="construction")
    family = MINING_FAMILIES[number % 12] if label == "mining" else "noise"
    return Run(f"run {number}", np.arange(LENGTH, dtype=float), values, label, family, "plain", info)


def traces(folder: Path, samples: int) -> list[Path]:
    """Files of made-up runs."""
    each = max(24, samples // LENGTH // FILES)
    paths = [folder / f"{number}.parquet" for number in range(FILES)]
    for number, path in enumerate(paths):
        write_runs(path, (made_up(number * each + i) for i in range(each)))
    return paths


def seconds(work: Callable[[], Any]) -> float:
    """Wall time."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def alone(paths: list[Path], folder: Path) -> dict[str, float]:
    """One process, without Ray."""
    judging = seconds(lambda: featurise(paths, folder / "alone"))
    data = Dataset(folder / "alone")
    rows = np.arange(len(data))
    short, long = (seconds(lambda n=n: fit(data, rows, replace(RECIPE, steps=n))) for n in (SHORT, LONG))
    return {"judging_s": judging, "step_s": (long - short) / (LONG - SHORT), "start_s": 0.0, "load": os.getloadavg()[0]}


def on_ray(paths: list[Path], folder: Path, nodes: Any, workers: int) -> dict[str, float]:
    """A cluster of as many nodes of one CPU as workers."""
    with connected(nodes.address):
        judging = seconds(lambda: featurise_on_ray(paths, folder / f"ray-{workers}"))
        data = Dataset(folder / f"ray-{workers}")
        rows = np.arange(len(data))

        def fitted(steps: int) -> None:
            work = folder / f"work-{workers}-{steps}"
            fit_on_ray(data, rows, replace(RECIPE, steps=steps), work, workers=workers, every=10_000)

        short, long = (seconds(lambda n=n: fitted(n)) for n in (SHORT, LONG))
    step = (long - short) / (LONG - SHORT)
    return {"judging_s": judging, "step_s": step, "start_s": max(0.0, short - SHORT * step), "load": os.getloadavg()[0]}


def times(paths: list[Path], folder: Path) -> dict[str, dict[str, float]]:
    """Alone, then on a cluster that grows."""
    from ray.cluster_utils import Cluster

    found = {"alone": alone(paths, folder)}
    nodes = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    try:
        found["1 worker"] = on_ray(paths, folder, nodes, 1)
        nodes.add_node(num_cpus=1)
        found["2 workers"] = on_ray(paths, folder, nodes, 2)
    finally:
        nodes.shutdown()
    return found


def child(folder: Path, repeats: int) -> None:
    """Judge the traces many times over, draw batches; print samples, seconds and the peak of memory."""
    start = time.perf_counter()
    featurise(sorted(folder.glob("*.parquet")) * repeats, folder / "grown")
    data = Dataset(folder / "grown")
    judged = time.perf_counter() - start
    drawer = Drawer(data, np.arange(len(data)), RECIPE)
    for step in range(20):
        drawer.batch(step)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(json.dumps({"samples": data.samples, "judging_s": judged, "peak_mib": peak / 1024}))


def memory(folder: Path, samples: int, largest: int) -> list[dict[str, float]]:
    """One process for each size, four times more samples each time."""
    found, repeats = [], 1
    while repeats * samples <= largest * 1.01:
        command = [sys.executable, __file__, "--child", str(folder), str(repeats)]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        found.append(json.loads(done.stdout.splitlines()[-1]))
        shutil.rmtree(folder / "grown")
        repeats *= 4
    return found


def markdown(result: dict[str, Any]) -> str:
    """The page."""
    base = result["times"]["alone"]
    lines = [
        "# Training on a cluster: time and memory", "",
        f"{result['date']}, {result['machine']}; {result['libraries']}.", "",
        f"Made-up traces (noise in every channel): {result['samples']:,} samples in {FILES} files. Two nodes of one "
        "CPU each on one machine, so that the second worker shares caches and memory with the first. Where the load is "
        "above the workers in a row, others used the cores too, and the row says little.", "",
        f"A step of the fit is the difference of two fits, {result['steps']} steps apart; 'lost' where they differ by "
        f"less than {SPREAD_S:g} s, about what the start of Ray varies by.", "",
        "| who | judging the traces, s | times alone | "
        f"a step of the fit ({RECIPE.batch} x {RECIPE.length} samples), s | times alone | "
        "start of Ray and workers, s | load of the machine |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]  # fmt: skip
    for who, t in result["times"].items():
        lost = t is not base and t["step_s"] * result["steps"] < SPREAD_S
        step = ("lost", "lost") if lost else (f"{t['step_s']:.3f}", f"{t['step_s'] / base['step_s']:.2f}")
        lines.append(
            f"| {who} | {t['judging_s']:.1f} | {t['judging_s'] / base['judging_s']:.2f} | {step[0]} | {step[1]} | "
            f"{t['start_s']:.1f} | {t['load']:.1f} |"
        )
    lines += ["", "| samples judged and drawn from | peak of memory, MiB | s |", "| --- | --- | --- |"]
    lines += [f"| {m['samples']:,} | {m['peak_mib']:.0f} | {m['judging_s']:.0f} |" for m in result["memory"]]
    most = max(m["samples"] for m in result["memory"])
    lines += [
        "",
        f"The largest measured here is {most:,} samples. 100 million are planned for and not measured: by these "
        f"figures they take {100e6 / most * result['memory'][-1]['judging_s'] / 60:.0f} minutes of judging on one such "
        f"core and {100e6 * (len(CHANNELS) + 2) * 4 / 2**30:.0f} GiB of disk. "
        "What grows in memory is the table of runs.",
    ]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--samples", type=int, default=500_000)
    parser.add_argument("--largest", type=int, default=8_000_000)
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results")
    parser.add_argument("--child", nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        child(Path(arguments.child[0]), int(arguments.child[1]))
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        paths = traces(folder, arguments.samples)
        load = os.getloadavg()[0]
        result = {
            "date": datetime.now(UTC).strftime("%Y-%m-%d"),
            "machine": f"{platform.machine()}, {os.cpu_count()} cores, load before the start {load:.1f}",
            "libraries": ", ".join(f"{n} {version(n)}" for n in ("numpy", "torch", "ray", "pyarrow")),
            "samples": arguments.samples,
            "steps": LONG - SHORT,
            "times": times(paths, folder),
            "memory": memory(folder, arguments.samples, arguments.largest),
        }
    arguments.out.mkdir(parents=True, exist_ok=True)
    (arguments.out / "cluster.json").write_text(json.dumps(result, indent=1) + "\n")
    (arguments.out / "cluster.md").write_text(markdown(result))
    print(markdown(result))


if __name__ == "__main__":
    main()
