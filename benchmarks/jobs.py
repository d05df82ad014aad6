"""What a refresh of the table of jobs costs, with 8 GPUs and 200 real processes, against psutil over the same ones."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
from turns import interleaved, machine

from hashwarden.serve.jobs.options import JobOptions
from hashwarden.serve.jobs.registry import providers
from hashwarden.serve.jobs.sequences import MOST_YOUNG
from hashwarden.serve.jobs.table import JobTable
from hashwarden.serve.sources.source import Device

GPUS, PROCESSES, ROUNDS, MINUTE = 8, 200, 15, 60
DEVICES = tuple(Device(f"GPU-{i:08d}-0000-0000-0000-000000000000", i) for i in range(GPUS))
_FIRST_USER = 60_000
FACTS = ("ppid", "create_time", "uids", "name", "status")


@contextmanager
def sleepers(count: int) -> Iterator[list[int]]:
    """Real processes, each in a session of its own, and eight of each user: so many are as many jobs. As root."""
    started = [subprocess.Popen(["sleep", "3600"], start_new_session=True, user=_FIRST_USER + number // MOST_YOUNG)
               for number in range(count)]  # fmt: skip
    try:
        yield [process.pid for process in started]
    finally:
        for process in started:
            process.kill()
            process.wait()


def on_gpus(pids: Sequence[int]) -> dict[str, frozenset[int]]:
    """The processes dealt to the devices."""
    return {device.gpu: frozenset(pids[i::GPUS]) for i, device in enumerate(DEVICES)}


def tables(folder: Path) -> Iterator[tuple[str, Callable[[Callable[[], float]], JobTable]]]:
    """Sessions alone, and Slurm before them; there is no Slurm here, so every process is asked about in vain."""
    squeue = folder / "squeue"
    squeue.write_text("#!/bin/sh\nexit 0\n")
    squeue.chmod(0o755)
    os.environ["PATH"] = f"{folder}:{os.environ['PATH']}"
    for names in (("sessions",), ("slurm", "sessions")):
        options = JobOptions(gpustat=folder / "none", cgroups=folder)
        yield " and ".join(names), lambda clock, n=names, o=options: JobTable(providers(n, o), clock=clock, wait_s=None)


def minute(table: JobTable, now: list[float], pids: dict[str, frozenset[int]]) -> None:
    """Sixty refreshes, a second of the table's clock apart, so that all that is read again by and by is."""
    for _ in range(MINUTE):
        now[0] += 1.0
        table.refresh(pids, DEVICES, now[0], 0.0)


def first(make: Callable[[Callable[[], float]], JobTable], pids: dict[str, frozenset[int]]) -> None:
    """All processes are new."""
    table = make(time.monotonic)
    table.refresh(pids, DEVICES, time.monotonic(), 0.0)
    table.close()


def measure(pids: Sequence[int], folder: Path) -> dict[str, float]:
    """Median CPU seconds of one refresh of each, all threads, taken in turns."""
    known = [psutil.Process(pid) for pid in pids]
    dealt = on_gpus(pids)
    calls: dict[str, Callable[[], Any]] = {
        "psutil: is each known process still running": lambda: [process.is_running() for process in known],
        f"psutil: {', '.join(FACTS)} of each": lambda: [psutil.Process(p).as_dict(attrs=FACTS) for p in pids],
    }
    opened = []
    for name, make in tables(folder):
        now = [1000.0]
        table = make(lambda now=now: now[0])
        opened.append(table)
        minute(table, now, dealt)
        calls[f"table: a second of a minute, {name}"] = lambda t=table, n=now: minute(t, n, dealt)
        calls[f"table: the first refresh, {name}"] = lambda m=make: first(m, dealt)
    found = interleaved(calls, ROUNDS, 1, time.process_time)
    for table in opened:
        table.close()
    return {name: seconds / (MINUTE if "a minute" in name else 1) for name, seconds in found.items()}


def markdown(found: dict[str, Any]) -> str:
    """The results as a page."""
    where = found["machine"]
    lines = [f"# What a refresh of the table of jobs costs: {where['cpu']}, {where['date']}", ""]
    lines += [f"{GPUS} GPUs (named, none is here), {PROCESSES} real processes in sessions of their own, of"]
    lines += [f"{PROCESSES // MOST_YOUNG} users: as many jobs."]
    lines += [f"CPU time of all threads, median of {ROUNDS} rounds in turns; load meanwhile {where['load']:.1f}.", ""]
    lines += ["| what | CPU, us | against the first row | of a core at 1 Hz |", "| --- | ---: | ---: | ---: |"]
    base = next(iter(found["cpu_s"].values()))
    for name, taken in found["cpu_s"].items():
        lines.append(f"| {name} | {taken * 1e6:,.0f} | {taken / base:.2f} | {taken:.3%} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results"))
    options = parser.parse_args()
    with sleepers(PROCESSES) as pids, tempfile.TemporaryDirectory() as name:
        found = {"cpu_s": measure(pids, Path(name)), "machine": machine(["psutil"])}
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "jobs.json").write_text(json.dumps(found, indent=1) + "\n")
    (options.out / "jobs.md").write_text(markdown(found))
    print(markdown(found))


if __name__ == "__main__":
    main()
