"""What it costs to read the machine code of a large process, the first time and again, and to join launches with it.

One command::

    python benchmarks/code.py [--wheel FILE] [--out benchmarks/results]

A process maps the libraries of a large, permissively licensed CUDA wheel, as one that trains does. Read are it and a
second one with the same libraries: first with an empty store, then from the store. Peers, in the same run:
``hashwarden scan --pid``, which keeps nothing of processes, and ``cuobjdump --list-elf`` over the same files, which
lists code objects and decodes nothing. Processor time is that of all processes together, as the kernel counted it;
memory is sampled. Writes code.json and code.md.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))
import numpy as np
from processes import peak_memory
from read import cuobjdump_folder, fetch
from turns import machine

from hashwarden.model.storage import replacing
from hashwarden.serve.jobs.job import Owner, ProcessKey
from hashwarden.serve.launch_board import KernelLaunches, LaunchBoard, LaunchProfile
from hashwarden.serve.scorer import shipped_model
from hashwarden.serve.sources.code import CodeSource
from hashwarden.serve.sources.code_child import Child, Outcome
from hashwarden.serve.sources.code_index import ROW, merged, name_key
from hashwarden.serve.sources.code_store import CodeStore, model_hash
from hashwarden.serve.sources.code_wire import Question
from hashwarden.serve.sources.source import NoData, Options

ROOT = Path(__file__).resolve().parent.parent
HOLDS = """
import mmap, sys, time
files = [open(name, "rb") for name in sys.argv[1:]]
held = [mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) for file in files]
print("ready", flush=True)
time.sleep(10000)
"""
SCAN = "from hashwarden.cli import main; main()"
PROCESSES, NAMES, WINDOWS = 200, 300, 10


def holder(files: Sequence[Path]) -> tuple[subprocess.Popen[bytes], ProcessKey]:
    """A process that has mapped the files."""
    process = subprocess.Popen([sys.executable, "-I", "-S", "-c", HOLDS, *map(str, files)], stdout=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.readline()
    started = int(Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()[19])
    return process, ProcessKey(process.pid, started)


def asked(folder: Path, *processes: ProcessKey) -> dict[str, Any]:
    """One reading by the source's own process."""
    child, start = Child(), time.perf_counter()
    with peak_memory() as peak:
        own = peak_of_self()
        child.ask(Question(processes, 600.0, str(folder)))
        outcome: Outcome | None = None
        while outcome is None:
            time.sleep(0.05)
            outcome = child.poll()
    if outcome.answer is None or any(told.state != "read" for told in outcome.answer.told):
        raise SystemExit(f"not read: {outcome}")
    counts = outcome.answer.counts
    return {
        "cpu_s": outcome.seconds, "wall_s": time.perf_counter() - start, "peak_pss_mb": (peak.pss - own) / 1e6,
        "kernels": counts.get("kernels", 0), "files_read": counts.get("files_read", 0),
        "files_known": counts.get("files_known", 0),
    }  # fmt: skip


def peak_of_self() -> int:
    """Resident memory of this process, shared pages in proportion."""
    text = Path("/proc/self/smaps_rollup").read_text()
    return next(int(line.split()[1]) << 10 for line in text.splitlines() if line.startswith("Pss:"))


def run(command: Sequence[str]) -> dict[str, Any]:
    """Processor and wall time of a program and all that it waited for."""
    start = time.perf_counter()
    with peak_memory() as peak:
        own = peak_of_self()
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        usage = os.wait4(process.pid, 0)[2]
        process.returncode = 0
    return {
        "cpu_s": usage.ru_utime + usage.ru_stime, "wall_s": time.perf_counter() - start,
        "peak_pss_mb": (peak.pss - own) / 1e6,
    }  # fmt: skip


class _Told:
    """In place of the process that reads: it has read already."""

    ready = True

    def __init__(self, outcomes: list[Outcome]) -> None:
        self._outcomes = outcomes

    def ask(self, question: Question) -> None:
        """Nothing: all is known."""

    def poll(self) -> Outcome | None:
        """The outcomes, one by one."""
        return self._outcomes.pop() if self._outcomes else None

    def close(self) -> None:
        """Nothing."""


def joining(folder: Path, process: ProcessKey) -> dict[str, Any]:
    """The agent's own share: windows of launches of many processes, joined with the indices."""
    child = Child()
    child.ask(Question((process,), 600.0, str(folder)))
    outcome: Outcome | None = None
    while outcome is None:
        time.sleep(0.05)
        outcome = child.poll()
    assert outcome.answer is not None
    keys = outcome.answer.told[0].keys
    names = [f"kernel_{n}" for n in range(NAMES)]
    rows = np.zeros(NAMES, ROW)
    rows["name"], rows["arch"] = [name_key(name) for name in names], 90
    CodeStore(folder, model_hash(shipped_model())).write("bench", merged([rows], NAMES))
    board, now = LaunchBoard(), [0.0]
    options = Options(board=board, owner=lambda pid: Owner(f"slurm:{pid // 8}", (f"GPU-{pid % 8}",)))
    source = CodeSource(options, folder, _Told([]), lambda: now[0], lambda: now[0])  # type: ignore[arg-type]
    source.open()
    before = peak_of_self()
    kernels = tuple(KernelLaunches(name, 100, 25600) for name in names)
    for window in range(WINDOWS + 1):
        now[0] += 30.0
        board.put(LaunchProfile(ProcessKey(pid, 1), now[0], 1.0, kernels) for pid in range(1000, 1000 + PROCESSES))
        if window == 1:
            for one in source._plan.watched.values():
                one.keys = (*keys, "bench")
            start = time.process_time()
        try:
            source.read()
        except NoData:
            continue
    seconds = (time.process_time() - start) / WINDOWS
    return {
        "processes": PROCESSES, "names": NAMES, "cpu_s_a_window": seconds, "share_of_core_at_30_s": seconds / 30.0,
        "memory_mb": (peak_of_self() - before) / 1e6,
    }  # fmt: skip


def page(found: dict[str, Any]) -> str:
    """The results in words."""
    where, scan = found["machine"], found["scan_pid"]["cpu_s"]
    rows = [
        ("`hashwarden scan --pid`, the peer", found["scan_pid"]), ("first reading, empty store", found["first"]),
        ("a second process with the same libraries", found["second"]), ("the first process again", found["again"]),
        ("a process without GPU code (what starting a reader costs)", found["empty"]),
        *([("`cuobjdump --list-elf`, decodes nothing", found["cuobjdump"])] if "cuobjdump" in found else []),
    ]  # fmt: skip
    lines = [_line(what, part, scan) for what, part in rows]
    join, hourly = found["joining"], 0.005 * 3600 / found["again"]["cpu_s"]
    return f"""# Cost of reading machine code on a node

{where["date"]}, {where["cpu"]}, {where["cores"]} cores (load {where["load"]:.1f}); Python {where["python"]}; no GPU.

A process that maps {found["files"]} libraries of {found["wheel"]}, {found["mapped_mb"]:.0f} MB with
{found["first"]["kernels"]:,} kernels. Processor time is that of all processes together; memory is the peak of their
sum, shared pages once.

| reading | CPU s | wall s | CPU of the peer's | MB |
| --- | --- | --- | --- | --- |
{chr(10).join(lines)}

The agent itself: to join a window of {join["processes"]} processes with {join["names"]} kernels each takes
{join["cpu_s_a_window"] * 1e3:.0f} ms, {join["share_of_core_at_30_s"]:.2%} of a core at one window in 30 s, and
{join["memory_mb"]:.0f} MB beside its interpreter.

At half a percent of a core, the default, there are {hourly:.0f} readings of known processes an hour, of up to 8
processes each, and 120 s of processor time are saved up for new ones.
"""


def _line(what: str, part: dict[str, Any], scan: float) -> str:
    cpu, wall, memory = part["cpu_s"], part["wall_s"], part["peak_pss_mb"]
    return f"| {what} | {cpu:.2f} | {wall:.1f} | {cpu / scan:.3f} | {memory:.0f} |"


def measure(files: Sequence[Path], store: Path) -> dict[str, Any]:
    """All readings, then the peers."""
    (first, key), (second, other), (empty, plain) = holder(files), holder(files), holder(())
    CodeStore(store, model_hash(shipped_model()))
    try:
        asked(store.parent / "warm", plain)  # compiles the decoder on a fresh machine
        found = {"first": asked(store, key), "second": asked(store, other), "again": asked(store, key),
                 "empty": asked(store, plain)}  # fmt: skip
        found["scan_pid"] = run(
            [sys.executable, "-c", SCAN, "scan", "--no-cache", "--jobs", "1", "--pid", str(key.pid)]
        )
        found["joining"] = joining(store, key)
    finally:
        for process in (first, second, empty):
            process.kill()
            process.communicate()
    program = shutil.which("cuobjdump", path=f"{os.environ['PATH']}:{cuobjdump_folder()}")
    if program:
        found["cuobjdump"] = run(["sh", "-c", 'for f; do "$0" --list-elf "$f"; done', program, *map(str, files)])
    return found


def main() -> None:
    """Run everything and write the numbers."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--wheel", type=Path)
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results")
    given = parser.parse_args()
    wheel = given.wheel or fetch(ROOT / ".cache" / "wheels")
    with tempfile.TemporaryDirectory(dir="/var/tmp") as text, zipfile.ZipFile(wheel) as archive:
        names = [name for name in archive.namelist() if name.endswith(".so")]
        files = [Path(archive.extract(name, Path(text) / "libraries")) for name in names]
        result: dict[str, Any] = {
            "wheel": wheel.name, "files": len(files), "mapped_mb": sum(file.stat().st_size for file in files) / 1e6,
            "machine": machine(["numba", "onnxruntime", "pyarrow"]), **measure(files, Path(text) / "store"),
        }  # fmt: skip
    given.out.mkdir(parents=True, exist_ok=True)
    for name, data in (("code.json", json.dumps(result, indent=1) + "\n"), ("code.md", page(result))):
        with replacing(given.out / name) as file:
            file.write(data.encode())
    print(page(result))


if __name__ == "__main__":
    main()
