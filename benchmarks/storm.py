"""What a storm of short sessions costs the agent: 10,000 real processes a minute, each in a session of its own.

One command::

    python benchmarks/storm.py [--seconds 60] [--a-minute 10000] [--after 70] [--out benchmarks/results]

On a stand-in for NVIDIA's library with eight GPUs, all short processes on the first, one that lasts on the second.
Three programs see the same storm at the same time: the agent; the agent where each session is a job, as it was before
(`continue_s` = 0); and their peer, a loop that asks NVML for the same numbers and does nothing with them. Writes
storm.json and storm.md.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections import deque
from pathlib import Path
from typing import Any, final

from agent import DEMO, GPUS, PEER, used
from turns import machine

from hashwarden.model.trace_read import read_runs

LASTS_S, LOOK_S, WARM_S = 0.4, 0.1, 30
START = "from hashwarden.cli import main; main()"
BEFORE = ("from hashwarden.serve.jobs.table import JobTable; "
          f"JobTable.__init__.__kwdefaults__['continue_s'] = 0.0; {START}")  # fmt: skip
AGENTS = {"agent": START, "each session a job": BEFORE}
sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "serve" / "agent"))
sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "serve"))

NAMES = {"peer": "a loop that only reads NVML's numbers", "agent": "the agent",
         "each session a job": "the agent, each session a job (as before)"}  # fmt: skip
COUNTS = ("hashwarden_jobs_begun_total", "hashwarden_jobs", "hashwarden_ticks_missed_total",
          "hashwarden_audit_records_total", "hashwarden_audit_lost_total")  # fmt: skip


@final
class Storm:
    """Short processes, and what the driver is told of them.

    Parameters
    ----------
    control : Path
        What the stand-in reads.
    lines : list of str
        What it is told beside processes.
    """

    def __init__(self, control: Path, lines: list[str]) -> None:
        self._control, self._lines = control, lines
        self._steady = subprocess.Popen(["sleep", "3600"], start_new_session=True)
        self._alive: deque[int] = deque()
        self.made = 0
        self.tell()

    def tell(self) -> None:
        """Let the driver say who is there now."""
        self._alive = deque(pid for pid in self._alive if os.waitpid(pid, os.WNOHANG) == (0, 0))
        there = [f"only {self._steady.pid} 1", *(f"only {pid} 0" for pid in self._alive)]
        fresh = self._control.with_suffix(".new")
        fresh.write_text("".join(f"{line}\n" for line in ["gpm 1", f"gpus {GPUS}", *self._lines, *there]))
        fresh.rename(self._control)

    def blow(self, seconds: float, a_minute: float) -> int:
        """Make so many for so long; gives how many were there at once at most."""
        start, made, most = time.monotonic(), 0, 0
        while (passed := time.monotonic() - start) < seconds:
            for _ in range(int(passed * a_minute / 60) - made):
                self._alive.append(os.posix_spawn("/bin/sleep", ["sleep", str(LASTS_S)], {}, setsid=True))
                made += 1
            self.tell()
            most = max(most, len(self._alive))
            time.sleep(LOOK_S)
        self.made += made
        return most

    def rest(self, seconds: float) -> None:
        """Nothing short for so long."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.tell()
            time.sleep(0.5)

    def close(self) -> None:
        """End what lasts."""
        self._steady.kill()
        self._steady.wait()
        while self._alive:
            os.waitpid(self._alive.popleft(), 0)


def counted(port: int) -> dict[str, float]:
    """What an agent says of itself."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=30) as answer:
        lines = answer.read().decode().splitlines()
    found = dict.fromkeys(COUNTS, 0.0)
    for line in lines:
        name, _, value = line.rpartition(" ")
        if name in found:
            found[name] = float(value)
        elif name.startswith("hashwarden_job_events_total"):
            found[name.split('"')[1]] = float(value)
    return found


def run(seconds: float, a_minute: float, after: float, folder: Path) -> dict[str, Any]:
    """The storm, and what it cost each."""
    from agent_rig import lines_of
    from conftest import compile_stand_in
    from ports import free_port

    control, library = folder / "control", compile_stand_in(folder)
    said = next(run for run in read_runs(DEMO) if "training" in run.name)
    environment = {**os.environ, "LD_LIBRARY_PATH": str(library.parent), "HASHWARDEN_STAND_IN": str(control),
                   "OMP_NUM_THREADS": "1", "MALLOC_ARENA_MAX": "2"}  # fmt: skip
    storm = Storm(control, lines_of(said, 0))
    ports = {name: free_port() for name in AGENTS}
    running = {"peer": subprocess.Popen([sys.executable, "-c", PEER], env=environment)}
    running |= {name: agent(name, folder / f"state-{port}", port, environment) for name, port in ports.items()}
    looks, counts = [], []

    def look() -> None:
        looks.append({name: used(each) for name, each in running.items()})
        counts.append({name: counted(port) for name, port in ports.items()})

    try:
        storm.rest(WARM_S)
        look()
        start, load = time.monotonic(), os.getloadavg()[0]
        most = storm.blow(seconds, a_minute)
        lasted = time.monotonic() - start
        look()
        storm.rest(after)
        look()
    finally:
        for process in running.values():
            process.terminate()
            process.wait()
        storm.close()
    return {
        "made": storm.made, "seconds": lasted, "at_once": most, "after_s": after, "load": [load, os.getloadavg()[0]],
        "cpu_share_of_a_core": {name: (looks[1][name].cpu_s - looks[0][name].cpu_s) / lasted for name in running},
        "resident_mib": {name: [round(each[name].mib, 1) for each in looks] for name in running},
        "counted": {name: [each[name] for each in counts] for name in ports},
    }  # fmt: skip


def agent(name: str, state: Path, port: int, environment: dict[str, str]) -> subprocess.Popen[bytes]:
    """Start the real program, or the one that goes by the rule before."""
    flags = ["agent", "--log-format", "json", "--source", "nvml", "--state-dir", str(state), "--run-dir",
             str(state / "run"), "--listen", f"127.0.0.1:{port}"]  # fmt: skip
    return subprocess.Popen([sys.executable, "-c", AGENTS[name], *flags], env=environment, stderr=subprocess.DEVNULL)


def row(name: str, it: dict[str, Any]) -> str:
    """One program."""
    share, memory = it["cpu_share_of_a_core"], " | ".join(f"{mib:.0f}" for mib in it["resident_mib"][name])
    cost = f"| {NAMES[name]} | {100 * share[name]:.2f} % | {share[name] / share['peer']:.1f} | {memory} |"
    if name not in it["counted"]:
        return cost + " | | | |"
    first, last, end = it["counted"][name]
    begun, records = (last[f"hashwarden_{what}"] - first[f"hashwarden_{what}"] for what in
                      ("jobs_begun_total", "audit_records_total"))  # fmt: skip
    lost = end["hashwarden_ticks_missed_total"] + end["hashwarden_audit_lost_total"]
    return cost + f" {begun:,.0f} | {last['hashwarden_jobs']:,.0f} | {records:,.0f} | {lost:,.0f} |"


def page(found: dict[str, Any]) -> str:
    """The results for people."""
    it, where = found["storm"], found["machine"]
    last = it["counted"]["agent"][-1]
    return "\n".join([
        "# What a storm of short sessions costs", "",
        f"{where['cpu']}, {where['cores']} cores, {where['date']}; load {it['load'][0]:.1f} to {it['load'][1]:.1f},",
        "the storm's own included. No GPU: NVIDIA's library is a stand-in, so the time that a driver takes to answer",
        "is **not** in it.", "",
        f"{it['made']:,} real processes in {it['seconds']:.0f} s, each in a session of its own and {LASTS_S} s long,",
        f"at most {it['at_once']} at once, on one of {GPUS} GPUs; source nvml, 1 Hz. All three see the same storm.",
        f"Memory is that before it, at its end, and {it['after_s']:.0f} s later.", "",
        "| | CPU, share of a core | over the loop's | MiB before | at its end | later | jobs begun | jobs at its end "
        "| audit records | ticks missed, records lost |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |", *(row(name, it) for name in NAMES), "",
        f"{last.get('continued', 0):,.0f} sessions went on with the job of one that had ended,",
        f"{last.get('pooled', 0):,.0f} were too many at once and shared one. Those that lived between two looks were",
        "seen by nobody: a driver lists who is there now.", "",
    ])  # fmt: skip


def main() -> None:
    """Measure, and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--a-minute", type=float, default=10_000)
    parser.add_argument("--after", type=float, default=70)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    order = parser.parse_args()
    where = machine(("numpy", "onnxruntime", "nvidia-ml-py"))
    with tempfile.TemporaryDirectory() as name:
        found = {"machine": where, "storm": run(order.seconds, order.a_minute, order.after, Path(name))}
    order.out.mkdir(parents=True, exist_ok=True)
    (order.out / "storm.json").write_text(json.dumps(found, indent=1) + "\n")
    (order.out / "storm.md").write_text(page(found))
    sys.stdout.write(page(found))


if __name__ == "__main__":
    main()
