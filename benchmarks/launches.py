"""What launch tracing costs: the processes that are traced, and the agent, beside bpftrace in the same run.

``python benchmarks/launches.py`` as root, with gcc and bpftrace. The driver is a stand-in that does nothing, so that a
launch without probes costs next to nothing and the cost of the probe stands alone: with a real driver add it to what a
launch takes there. A probe on an instruction that the kernel can imitate (``push %rbp``, with which compilers begin
most functions) costs one trap; on any other it costs a second one, for the instruction is then stepped over. NVIDIA's
driver was seen with the one and with the other (docs/launches.md).
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import re
import resource
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack, suppress
from pathlib import Path
from types import ModuleType
from typing import Any

from turns import machine

from hashwarden.serve.jobs.job import Owner
from hashwarden.serve.sources.launches import LaunchesSource
from hashwarden.serve.sources.launches_tracer import Places
from hashwarden.serve.sources.source import NoData, Options

HERE = Path(__file__).parent
BURST_S, EVERY_S = 1.0, 30.0
PROCESSES = 200
BUSY = 8
SCRIPT = """
uprobe:{lib}:cuLaunchKernel {{
  @n[pid, arg0] = count();
  @t[pid, arg0] = sum(arg1 * arg2 * arg3 * arg4 * arg5);
  $gap = nsecs - @last[pid, arg0]; @last[pid, arg0] = nsecs;
  @g[pid, arg0] = sum($gap / 32); @q[pid, arg0] = sum(($gap / 32) * ($gap / 32));
}}
"""


def stand_in() -> ModuleType:
    """The tests' library and caller."""
    place = HERE.parent / "tests" / "serve" / "sources" / "cuda_stand_in.py"
    spec = importlib.util.spec_from_file_location("benchmark_stand_in", place)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Bpftrace:
    """The peer: counts the same by process and function.

    Attributes
    ----------
    start_s : float
        Until it counted.
    """

    def __init__(self, library: Path) -> None:
        before = time.perf_counter()
        command = ["bpftrace", "-f", "json", "-e", SCRIPT.format(lib=library)]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        while "attached_probes" not in self.process.stdout.readline():
            pass
        self.start_s = time.perf_counter() - before
        time.sleep(0.2)

    def close(self) -> dict[str, float]:
        """End it; gives what it took."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        resident = int(re.search(r"VmHWM:\s+(\d+)", status)[1]) / 1024
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        self.process.send_signal(signal.SIGINT)
        self.process.stdout.read()
        self.process.wait()
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        return {"start_s": self.start_s, "cpu_s": cpu, "resident_mib": resident}


class Ours:
    """The source, counting all the time."""

    def __init__(self, library: Path) -> None:
        self.source = LaunchesSource(Options(burst_s=3600, every_s=3600), Places(standard=(library,)))
        self.source.open()
        while self.source._tracer._tables.maps["control"].get(bytes(4)) == bytes(8):
            time.sleep(0.01)

    def close(self) -> None:
        """End it."""
        self.source.close()


def call_ns(caller: Any, function: int, times: int) -> float:
    return caller.ask(f"time cuLaunchKernel {function} {times}") / times


def traced_cost(tools: ModuleType, library: Path, program: Path, image: Path, rounds: int) -> dict[str, float]:
    """Median nanoseconds of CPU of a launch without probes, with ours, with bpftrace's; each in every round."""
    seen: dict[str, list[float]] = {"no probe": [], "this source": [], "bpftrace": []}
    with tools.Caller(program, library) as caller:
        caller.ask(f"load {image}")
        function = caller.find(b"kernel")
        for _ in range(rounds):
            seen["no probe"].append(call_ns(caller, function, 2_000_000))
            for name, kind in (("this source", Ours), ("bpftrace", Bpftrace)):
                tracer = kind(library)
                seen[name].append(call_ns(caller, function, 200_000))
                tracer.close()
    return {name: statistics.median(values) for name, values in seen.items()}


def resident_mib() -> float:
    return int(re.search(r"VmRSS:\s+(\d+)", Path("/proc/self/status").read_text())[1]) / 1024


def agent_cost(library: Path, cycles: int, bursts: bool) -> dict[str, float]:
    """CPU and memory of the source over whole cycles, read once a second; `PROCESSES` are told by the parent."""
    before = resident_mib()
    every = EVERY_S if bursts else 1e9
    pids = {int(line) for line in sys.stdin.readline().split()}
    options = Options(
        burst_s=BURST_S, every_s=every, owner=lambda p: Owner(f"slurm:{p}", ("GPU-0",)) if p in pids else None
    )
    source = LaunchesSource(options, Places(standard=(library,)))
    opened = time.process_time()
    source.open()
    opened = time.process_time() - opened
    time.sleep(3)
    start, cpu, found = time.monotonic(), time.process_time(), 0
    while time.monotonic() - start < cycles * EVERY_S:
        time.sleep(1)
        with suppress(NoData):
            found += sum("launches_per_s" in reading.values for reading in source.read())
    used = (time.process_time() - cpu) / cycles
    grown, known = resident_mib() - before, source.counts["processes"]
    source.close()
    return {"open_cpu_s": opened, "cycle_cpu_s": used, "resident_mib": grown, "readings": found, "processes": known}


def agent(tools: ModuleType, library: Path, program: Path, image: Path, cycles: int) -> dict[str, dict[str, float]]:
    """The same in a process of its own, while `BUSY` of the processes launch a thousand kernels a second."""
    with ExitStack() as stack:
        callers = [stack.enter_context(tools.Caller(program, library)) for _ in range(PROCESSES)]
        for caller in callers[:BUSY]:
            caller.ask(f"load {image}")
            caller.launch(caller.find(b"kernel"), 10**9, 1_000_000)
        pids = " ".join(str(caller.pid) for caller in callers) + "\n"
        found = {}
        for name, flag in (("with bursts", "yes"), ("without bursts", "no")):
            command = [sys.executable, __file__, "--inner", flag, "--library", str(library), "--cycles", str(cycles)]
            done = subprocess.run(command, input=pids, stdout=subprocess.PIPE, text=True, check=True)
            found[name] = json.loads(done.stdout)
        return found


def measured(rounds: int, cycles: int) -> dict[str, Any]:
    tools = stand_in()
    with tempfile.TemporaryDirectory() as folder:
        library, program = tools.build(Path(folder))
        image = Path(folder) / "image"
        image.write_bytes(b"code")
        calls = {}
        for number, (first, flags) in enumerate(tools.BEGINNINGS.items()):
            place = Path(folder) / str(number)
            place.mkdir()
            calls[first] = traced_cost(tools, *tools.build(place, flags), image, rounds)
        peers = []
        for _ in range(rounds):
            peer = Bpftrace(library)
            time.sleep(BURST_S)
            peers.append(peer.close())
        bpftrace = {name: statistics.median(p[name] for p in peers) for name in peers[0]}
        return {
            "machine": machine(["numpy"]), "kernel": os.uname().release,
            "bpftrace_version": subprocess.check_output(["bpftrace", "--version"], text=True).strip(),
            "call_ns": calls, "agent": agent(tools, library, program, image, cycles), "bpftrace": bpftrace,
        }  # fmt: skip


def markdown(found: dict[str, Any]) -> str:
    """The results as a page."""
    where = found["machine"]
    lines = [f"# What launch tracing costs: {where['cpu']}, {where['cores']} cores, no GPU, {where['date']}", ""]
    lines += [
        f"Linux {found['kernel']} in a virtual machine, where traps cost more than on metal; "
        f"{found['bpftrace_version']}; "
        f"load {where['load']:.1f} at the end. The driver is a stand-in that does nothing. Nanoseconds are CPU time of "
        "the thread that launches, medians; probes are there for 1 s in 30.",
        "",
        "| first instruction | probes of | a launch, ns | probe alone, ns | against bpftrace | mean, ns a launch |",
        "| --- | --- | ---: | ---: | ---: | ---: |",
    ]
    for first, calls in found["call_ns"].items():
        base = calls["no probe"]
        for name, taken in calls.items():
            alone = taken - base
            peer = f"{alone / (calls['bpftrace'] - base):.2f}" if alone else ""
            mean = f"{alone / EVERY_S * BURST_S:,.0f}" if alone else ""
            lines.append(f"| `{first}` | {name} | {taken:,.0f} | {alone:,.0f} | {peer} | {mean} |")
    return "\n".join([*lines, *agent_lines(found)]) + "\n"


def agent_lines(found: dict[str, Any]) -> list[str]:
    """What the agent pays."""
    ours, idle, peer = found["agent"]["with bursts"], found["agent"]["without bursts"], found["bpftrace"]
    burst = ours["cycle_cpu_s"] - idle["cycle_cpu_s"]
    many = f"{ours['processes']:.0f} processes and as many jobs"
    head = f"The agent, {many}, {BUSY} of them launching 1,000 kernels a second:"
    return [
        "", head, "",
        "| what | this source | bpftrace | ratio |",
        "| --- | ---: | ---: | ---: |",
        f"| CPU of a burst, ms | {burst * 1e3:.0f} | {peer['cpu_s'] * 1e3:.0f} | {burst / peer['cpu_s']:.2f} |",
        f"| CPU of 30 s, all told, ms | {ours['cycle_cpu_s'] * 1e3:.0f} | | |",
        f"| of a core | {ours['cycle_cpu_s'] / EVERY_S:.2%} | | |",
        f"| to begin, s | {ours['open_cpu_s']:.3f} of CPU, once | {peer['start_s']:.2f}, each burst | |",
        f"| memory, MiB | {ours['resident_mib']:.0f} in the agent | {peer['resident_mib']:.0f} a process | |",
    ]  # fmt: skip


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--cycles", type=int, default=2)
    parser.add_argument("--out", type=Path, default=HERE / "results")
    parser.add_argument("--inner", help=argparse.SUPPRESS)
    parser.add_argument("--library", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.inner:
        print(json.dumps(agent_cost(options.library, options.cycles, options.inner == "yes")))
        return
    found = measured(options.rounds, options.cycles)
    (options.out / "launches.json").write_text(json.dumps(found, indent=1) + "\n")
    (options.out / "launches.md").write_text(markdown(found))
    print(markdown(found))


if __name__ == "__main__":
    main()
