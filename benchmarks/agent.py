"""What the agent costs: CPU and memory beside eight GPUs and 200 processes, over hours, and how many jobs it carries.

One command::

    python benchmarks/agent.py [--seconds 120] [--warm 180] [--hours 4] [--out benchmarks/results]

Three legs. ``live``: the program itself, at 1 Hz, on a stand-in for NVIDIA's library with eight GPUs whose counters say
what a synthesised run says, and eight sessions of 25 real processes that launch real machine code through a stand-in
for libcuda, traced by eBPF; with NVML alone, with launches, and with code too, as root. Their peer is a loop that asks
NVML for the same numbers and does nothing with them: what any exporter has to spend. ``hours``: the agent in one
process, its clock set forward. ``jobs``: the same with ever more jobs, one on each device of a replayed trace.
Writes agent.json and agent.md.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from agent_work import GAP_S, Sessions
from turns import machine

from hashwarden.model.trace import Run
from hashwarden.model.trace_read import read_runs
from hashwarden.model.trace_write import write_runs
from hashwarden.serve.agent.agent import Agent
from hashwarden.serve.agent.build import build
from hashwarden.serve.agent.clocks import Clocks
from hashwarden.serve.agent.config import load_config

ROOT = Path(__file__).parents[1]
DEMO = ROOT / "data" / "job" / "demo.parquet"
GPUS, PROCESSES = 8, 200
JOBS = (8, 64, 256, 1024)
SOURCES = ("nvml", "nvml+launches", "nvml+launches+code")
TICK = os.sysconf("SC_CLK_TCK")

sys.path.insert(0, str(ROOT / "tests" / "serve" / "agent"))
sys.path.insert(0, str(ROOT / "tests" / "serve"))

PEER = """
import sys, time
from hashwarden.serve.sources.nvml import NvmlSource
from hashwarden.serve.sources.source import Options
source = NvmlSource(Options()); source.open()
while True:
    source.read(); time.sleep(1.0)
"""
AGENT = (sys.executable, "-c", "from hashwarden.cli import main; main()", "agent", "--log-format", "json")


class Used(NamedTuple):
    """CPU seconds of a process and of its children that ended, and its resident MiB."""

    cpu_s: float
    readers_s: float
    mib: float


def used(process: subprocess.Popen[bytes]) -> Used:
    """What a process has used."""
    fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
    own, readers = (sum(int(ticks) for ticks in fields[at : at + 2]) / TICK for at in (11, 13))
    pages = int(Path(f"/proc/{process.pid}/statm").read_text().split()[1])
    return Used(own, readers, pages * os.sysconf("SC_PAGE_SIZE") / 2**20)


def live(seconds: float, warm: float, folder: Path) -> dict[str, Any]:
    """Agents with ever more sources beside their peer, all at once, so that a busy moment hits all of them."""
    from conftest import compile_stand_in

    control = folder / "control"
    library = compile_stand_in(folder)
    environment = {**os.environ, "LD_LIBRARY_PATH": str(library.parent), "HASHWARDEN_STAND_IN": str(control),
                   "OMP_NUM_THREADS": "1", "MALLOC_ARENA_MAX": "2"}  # fmt: skip
    work = Sessions(folder, GPUS, PROCESSES // GPUS)
    lines = [f"gpus {GPUS}", *(f"only {pid} {gpu}" for gpu, pids in enumerate(work.pids) for pid in pids)]
    run = next(run for run in read_runs(DEMO) if "training" in run.name)
    say(control, lines, run, 0)
    running = {"peer": subprocess.Popen([sys.executable, "-c", PEER], env=environment)}
    for name in SOURCES:
        state = folder / f"live-{name}"
        flags = ["--state-dir", str(state), "--run-dir", str(state / "run"), "--listen", "127.0.0.1:0"]
        flags += [word for source in name.split("+") for word in ("--source", source)]
        own = {**environment, "HASHWARDEN_CACHE": str(folder / f"cache-{name}")}
        running[name] = subprocess.Popen([*AGENT, *flags], env=own, stderr=subprocess.DEVNULL)
    try:
        row = play(control, lines, run, 0, 15)
        work.go()
        row = play(control, lines, run, row, int(warm))
        before, start, load = {name: used(each) for name, each in running.items()}, time.monotonic(), os.getloadavg()[0]
        play(control, lines, run, row, int(seconds))
        after, lasted = {name: used(each) for name, each in running.items()}, time.monotonic() - start
    finally:
        for process in running.values():
            process.terminate()
            process.wait()
        work.close()
    return {
        "gpus": GPUS, "processes": len(lines) - 1, "launches_per_s": PROCESSES / GAP_S, "seconds": lasted,
        "warm_s": warm, "load": [load, os.getloadavg()[0]],
        "cpu_share_of_a_core": {name: (after[name].cpu_s - before[name].cpu_s) / lasted for name in after},
        "readers_share_of_a_core": {name: (after[name].readers_s - before[name].readers_s) / lasted for name in after},
        "readers_s_since_start": {name: each.readers_s for name, each in after.items()},
        "resident_mib": {name: each.mib for name, each in after.items()},
    }  # fmt: skip


def play(control: Path, lines: list[str], run: Run, row: int, seconds: int) -> int:
    """Let the GPUs say what a run says for so long; gives the row that comes next."""
    for second in range(seconds):
        say(control, lines, run, row + second)
        time.sleep(1)
    return row + seconds


def say(control: Path, lines: list[str], run: Run, row: int) -> None:
    """Let the GPUs say what a run says."""
    from agent_rig import lines_of

    fresh = control.with_suffix(".new")
    fresh.write_text("".join(f"{line}\n" for line in ["gpm 1", *lines, *lines_of(run, row % len(run))]))
    fresh.rename(control)


class Hands:
    """A clock that is set."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        """What it shows."""
        return self.now


def simulated(folder: Path, runs: list[Run]) -> tuple[Agent, Hands]:
    """An agent in this process, on a replayed trace and a clock that is set."""
    trace = folder / f"{len(runs)}-{len(runs[0])}.parquet"
    write_runs(trace, runs)
    hands = Hands()
    config = load_config(None, {
        "state_dir": folder / f"state-{len(runs)}-{len(runs[0])}", "http": {"listen": "", "socket": ""},
        "log": {"level": "error", "format": "text"}, "sources": {"names": ("replay",), "trace": trace},
        "jobs": {"providers": ("drill",)},
    })  # fmt: skip
    agent = Agent(build(config, Clocks(1.0, hands, lambda: 1.8e9 + hands.now)))
    agent.start()
    return agent, hands


def renamed(run: Run, name: str, samples: int, first: int = 0) -> Run:
    """Some of a run's samples, again and again, under another name."""
    rows = (first + np.arange(samples)) % len(run)
    return Run(name, np.arange(1.0, samples + 1), run.values[rows], run.label, run.family, run.strategy, run.info)


def resident_mib() -> float:
    """Of this process."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


def over_hours(hours: float, folder: Path) -> dict[str, Any]:
    """Memory by the hour, and CPU a tick."""
    source = read_runs(DEMO)
    samples = int(3600 * hours) + 10
    agent, hands = simulated(
        folder, [renamed(run, f"run-{i}", samples) for i, run in enumerate([*source, *source][:GPUS])]
    )
    memory, ticks, start = [], 0, time.process_time()
    while hands.now < 1000 + 3600 * hours:
        hands.now += 1.0
        agent.tick()
        ticks += 1
        if ticks % 1800 == 0:
            memory.append(round(resident_mib(), 1))
    cpu = (time.process_time() - start) / ticks
    agent.close()
    return {"jobs": GPUS, "hours": hours, "cpu_s_a_tick": cpu, "resident_mib_each_half_hour": memory}


def how_many(folder: Path) -> list[dict[str, Any]]:
    """Seconds of a tick by the number of jobs."""
    source, found = read_runs(DEMO), []
    for jobs in JOBS:
        runs = [renamed(source[i % len(source)], f"run-{i}", 90, 7 * i) for i in range(jobs)]
        agent, hands = simulated(folder, runs)
        seconds = []
        for tick in range(80):
            hands.now += 1.0
            start = time.perf_counter()
            agent.tick()
            if tick >= 20:
                seconds.append(time.perf_counter() - start)
        mean, late = float(np.mean(seconds)), float(np.quantile(seconds, 0.99))
        found.append({"jobs": jobs, "tick_s_mean": mean, "tick_s_p99": late, "resident_mib": resident_mib()})
        agent.close()
    return found


def page(found: dict[str, Any]) -> str:
    """The results for people."""
    it, long, where = found["live"], found["hours"], found["machine"]
    share, memory, readers = it["cpu_share_of_a_core"], it["resident_mib"], it["readers_share_of_a_core"]
    names = {"peer": "a loop that only reads NVML's numbers", **{name: f"the agent, {name}" for name in SOURCES}}
    cost = [f"| {text} | {100 * share[name]:.2f} % | {100 * readers[name]:.1f} % | {memory[name]:.0f} "
            f"| {share[name] / share['peer']:.1f} |" for name, text in names.items()]  # fmt: skip
    rows = [f"| {row['jobs']:,} | {1e3 * row['tick_s_mean']:.1f} | {1e3 * row['tick_s_p99']:.1f} "
            f"| {row['resident_mib']:.0f} |" for row in found["jobs"]]  # fmt: skip
    hours = ", ".join(f"{value:.0f}" for value in long["resident_mib_each_half_hour"])
    return "\n".join([
        "# What the agent costs", "",
        f"{where['cpu']}, {where['cores']} cores, load {where['load']:.1f} at the start, {where['date']}.",
        "No GPU: NVIDIA's library is a stand-in, so the time that a driver takes to answer is **not** in it;",
        "counters are synthesised.", "",
        f"Beside {it['gpus']} GPUs and {it['processes']} processes that launch {it['launches_per_s']:.0f} kernels",
        f"a second, at 1 Hz for {it['seconds']:.0f} s, {it['warm_s']:.0f} s after they began; load",
        f"{it['load'][0]:.1f} to {it['load'][1]:.1f}:", "",
        "| | CPU, share of a core | readers of code | resident, MiB | CPU over the loop's |",
        "| --- | --- | --- | --- | --- |", *cost, "",
        "Readers of code begin with saved-up time (120 s), of which they had taken",
        f"{max(it['readers_s_since_start'].values()):.0f} s at the end; in the long run they take `code_cpu_ratio`,",
        "0.5 %, at most; each process is read again every half hour: [agent_growth.md](agent_growth.md).", "",
        f"Over {long['hours']:g} hours, the clock set forward, {long['jobs']} jobs: "
        f"{1e3 * long['cpu_s_a_tick']:.1f} ms of",
        f"CPU a tick; resident each half hour: {hours} MiB (with the trace that is replayed, which the program on",
        "a node does not hold).", "", "By the number of jobs, each on a device of its own:", "",
        "| jobs | a tick, ms | p99, ms | resident, MiB |", "| --- | --- | --- | --- |", *rows, "",
    ])  # fmt: skip


def main() -> None:
    """Measure, and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=120)
    parser.add_argument("--warm", type=float, default=180)
    parser.add_argument("--hours", type=float, default=4)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    order = parser.parse_args()
    where = machine(("numpy", "onnxruntime", "nvidia-ml-py"))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        lived = live(order.seconds, order.warm, folder)
        hours = over_hours(order.hours, folder)
        found = {"machine": where, "live": lived, "hours": hours, "jobs": how_many(folder)}
    order.out.mkdir(parents=True, exist_ok=True)
    (order.out / "agent.json").write_text(json.dumps(found, indent=1) + "\n")
    (order.out / "agent.md").write_text(page(found))
    print(page(found))


if __name__ == "__main__":
    main()
