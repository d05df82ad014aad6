"""Whether the agent grows: the real program with NVML, launches and code for hours, looked at each minute.

One command, as root::

    python benchmarks/agent_growth.py [--hours 8 | --until 15:15] [--every 60] [--out benchmarks/results]

The same eight GPUs (a stand-in for NVIDIA's library) and 200 real, traced processes as in benchmarks/agent.py, at 1 Hz
on the real clock. Writes agent_growth.json after every look, so that a run that is cut short is not lost, and
agent_growth.md at its end.
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
from typing import Any

import numpy as np
from agent import AGENT, DEMO, GPUS, PROCESSES, play, say
from agent_work import GAP_S, Sessions
from turns import machine

from hashwarden.model.trace_read import read_runs

SOURCES = ("nvml", "launches", "code")
TICK = os.sysconf("SC_CLK_TCK")
SETTLED = 1 / 3
"""After so large a part of the run a line is laid through the rest."""


def look(pid: int, began: float) -> dict[str, float]:
    """One process, as it stands."""
    place = Path(f"/proc/{pid}")
    status = dict(line.split(":", 1) for line in (place / "status").read_text().splitlines())
    fields = (place / "stat").read_text().rpartition(")")[2].split()
    own, readers = (sum(int(ticks) for ticks in fields[at : at + 2]) / TICK for at in (11, 13))
    mib = {name: int(status[field].split()[0]) / 1024 for name, field in
           (("resident_mib", "VmRSS"), ("anonymous_mib", "RssAnon"), ("highest_mib", "VmHWM"))}  # fmt: skip
    return {
        "s": round(time.monotonic() - began, 1), "cpu_s": own, "readers_s": readers, **mib,
        "threads": int(status["Threads"]), "fds": len(list((place / "fd").iterdir())),
        "children": len((place / f"task/{pid}/children").read_text().split()), "load": os.getloadavg()[0],
    }  # fmt: skip


def growth(rows: list[dict[str, float]]) -> dict[str, float]:
    """MiB an hour by a line through what came after the start, and what the second half used of a core."""
    late = [row for row in rows if row["s"] >= SETTLED * rows[-1]["s"]]
    hours = np.array([row["s"] for row in late]) / 3600
    slopes = {
        f"{name}_mib_per_h": float(np.polyfit(hours, [row[f"{name}_mib"] for row in late], 1)[0])
        for name in ("resident", "anonymous")
    } if len(late) > 2 else {}  # fmt: skip
    middle, last = rows[len(rows) // 2], rows[-1]
    seconds = max(last["s"] - middle["s"], 1e-9)
    shares = {f"{name}_share": (last[f"{name}_s"] - middle[f"{name}_s"]) / seconds for name in ("cpu", "readers")}
    return slopes | shares


def run(seconds: float, every: int, folder: Path, commit: str, out: Path) -> dict[str, Any]:
    """Let it work, and look."""
    from conftest import compile_stand_in

    control, library = folder / "control", compile_stand_in(folder)
    state = folder / "state"
    environment = {**os.environ, "LD_LIBRARY_PATH": str(library.parent), "HASHWARDEN_STAND_IN": str(control),
                   "OMP_NUM_THREADS": "1", "MALLOC_ARENA_MAX": "2",
                   "HASHWARDEN_CACHE": str(folder / "cache")}  # fmt: skip
    work = Sessions(folder, GPUS, PROCESSES // GPUS)
    lines = [f"gpus {GPUS}", *(f"only {pid} {gpu}" for gpu, pids in enumerate(work.pids) for pid in pids)]
    said = next(run for run in read_runs(DEMO) if "training" in run.name)
    say(control, lines, said, 0)
    flags = ["--state-dir", str(state), "--run-dir", str(state / "run"), "--listen", "127.0.0.1:0"]
    flags += [word for source in SOURCES for word in ("--source", source)]
    agent = subprocess.Popen([*AGENT, *flags], env=environment, stderr=subprocess.DEVNULL)
    found = {
        "machine": machine(("numpy", "onnxruntime")), "commit": commit, "gpus": GPUS, "processes": len(lines) - 1,
        "launches_per_s": PROCESSES / GAP_S, "sources": SOURCES, "rows": [],
    }  # fmt: skip
    began, row = time.monotonic(), 0
    try:
        row = play(control, lines, said, row, 15)
        work.go()
        while time.monotonic() - began < seconds and agent.poll() is None:
            row = play(control, lines, said, row, every)
            if agent.poll() is not None:
                break
            found["rows"].append(look(agent.pid, began))
            found["growth"] = growth(found["rows"])
            (out / "agent_growth.json").write_text(json.dumps(found) + "\n")
    finally:
        agent.terminate()
        found["ended_with"] = agent.wait()
        work.close()
    return found


def page(found: dict[str, Any]) -> str:
    """The results for people: some rows of many."""
    rows, grown, where = found["rows"], found["growth"], found["machine"]
    chosen = [rows[round(at)] for at in np.linspace(0, len(rows) - 1, min(13, len(rows)))]
    table = [f"| {row['s'] / 60:.0f} | {row['resident_mib']:.1f} | {row['anonymous_mib']:.1f} | {row['threads']:.0f} "
             f"| {row['fds']:.0f} | {row['cpu_s']:.1f} | {row['readers_s']:.1f} |" for row in chosen]  # fmt: skip
    return "\n".join([
        "# Whether the agent grows", "",
        f"{where['cpu']}, {where['cores']} cores, {where['date']}, commit {found['commit']}. The real program, sources",
        f"{', '.join(found['sources'])}, at 1 Hz on the real clock for **{rows[-1]['s'] / 3600:.2f} hours**, beside",
        f"{found['gpus']} GPUs (a stand-in for NVIDIA's library, synthesised counters) and {found['processes']} traced",
        f"processes that launch {found['launches_per_s']:.0f} kernels a second; {len(rows)} looks, other work on the",
        f"machine meanwhile (load {min(r['load'] for r in rows):.1f} to {max(r['load'] for r in rows):.1f}).", "",
        f"By a line through the last two thirds: resident {grown['resident_mib_per_h']:+.2f} MiB an hour, its own",
        f"(anonymous) {grown['anonymous_mib_per_h']:+.2f}. Over the second half the agent took",
        f"{100 * grown['cpu_share']:.2f} % of a core, its readers of code {100 * grown['readers_share']:.2f} %.", "",
        "| minute | resident, MiB | anonymous, MiB | threads | files open | CPU so far, s | readers so far, s |",
        "| --- | --- | --- | --- | --- | --- | --- |", *table, "",
    ])  # fmt: skip


def until(clock: str) -> float:
    """Seconds until a time of day."""
    hour, minute = (int(part) for part in clock.split(":"))
    now = time.localtime()
    return float((hour * 60 + minute) * 60 - (now.tm_hour * 60 + now.tm_min) * 60 - now.tm_sec) % 86400


def commit_of(folder: Path) -> str:
    """What is measured, if git knows."""
    command = ["git", "-C", str(folder), "describe", "--always", "--dirty"]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip() or "unknown"


def main() -> None:
    """Measure, and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--hours", type=float, default=8)
    parser.add_argument("--until", help="a time of day, HH:MM, instead of --hours")
    parser.add_argument("--every", type=int, default=60, help="seconds between two looks")
    parser.add_argument("--commit", help="what is measured, where git does not know")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    order = parser.parse_args()
    order.out.mkdir(parents=True, exist_ok=True)
    seconds = until(order.until) if order.until else 3600 * order.hours
    with tempfile.TemporaryDirectory() as name:
        found = run(seconds, order.every, Path(name), order.commit or commit_of(Path(__file__).parent), order.out)
    (order.out / "agent_growth.json").write_text(json.dumps(found) + "\n")
    (order.out / "agent_growth.md").write_text(page(found))
    sys.stdout.write(page(found))


if __name__ == "__main__":
    main()
