"""What `hashwarden top` costs beside procps' `top`, both in a terminal of 80 by 24 that is read every 2 s.

Writes results/top.md. Needs the extras node and top, and procps. Usage: python benchmarks/top.py [SECONDS]
"""

from __future__ import annotations

import os
import pty
import select
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from hashwarden.errors import HashwardenError
from hashwarden.serve.agent_client import Peer, ask

HERE = Path(__file__).parent
DEMO = HERE.parent / "data" / "job" / "demo.parquet"
OURS = [sys.executable, "-c", "from hashwarden.cli import main; main()"]
WARM_S = 4.0
STARTS = 5


def agent(folder: str) -> subprocess.Popen[bytes]:
    """One that watches the demo's six jobs."""
    flags = ["--replay", str(DEMO), "--speed", "4", "--state-dir", f"{folder}/state", "--run-dir", f"{folder}/run",
             "--listen", "127.0.0.1:0"]  # fmt: skip
    return subprocess.Popen([*OURS, "agent", *flags], stderr=subprocess.DEVNULL)


def cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def memory_mib(pid: int) -> float:
    line = next(line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmRSS"))
    return int(line.split()[1]) / 1024


def watched(command: list[str], seconds: float) -> tuple[float, float, float]:
    """Share of a core, bytes a second, MiB, once it runs."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.environ.update(TERM="xterm-256color", LANG="C.UTF-8")
        os.execvp(command[0], command)
    import fcntl
    import struct
    import termios

    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    drain(terminal, WARM_S)
    before, start = cpu_s(pid), time.monotonic()
    size = drain(terminal, seconds)
    took = time.monotonic() - start
    found = (cpu_s(pid) - before) / took, size / took, memory_mib(pid)
    os.write(terminal, b"q")
    drain(terminal, 1.0)
    os.close(terminal)
    os.waitpid(pid, 0)
    return found


def drain(terminal: int, seconds: float) -> int:
    """Read what is written to it; gives how many bytes."""
    size, deadline = 0, time.monotonic() + seconds
    while (left := deadline - time.monotonic()) > 0:
        if select.select([terminal], [], [], left)[0]:
            try:
                size += len(os.read(terminal, 65536))
            except OSError:  # it ended
                time.sleep(left)
    return size


def start_s(command: list[str]) -> float:
    """The shortest of some runs from start to end."""
    times = []
    for _ in range(STARTS):
        start = time.monotonic()
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env={**os.environ, "TERM": "xterm"})
        times.append(time.monotonic() - start)
    return min(times)


def main() -> None:
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 30.0
    with tempfile.TemporaryDirectory() as folder:
        process = agent(folder)
        peer = Peer(Path(folder) / "run" / "agent.sock")
        try:
            while True:
                try:
                    if len(ask(peer, "GET", "/v1/jobs")["jobs"]) == 6:
                        break
                except HashwardenError:
                    time.sleep(0.2)
            ours = [*OURS, "top", "--socket", peer.where]
            rows = {"hashwarden top": (*watched(ours, seconds), start_s([*ours, "--once"]))}
            rows["procps top"] = (*watched(["top", "-d", "2"], seconds), start_s(["top", "-b", "-n", "1"]))
        finally:
            process.kill()
            process.wait()
    lines = [
        "# What `hashwarden top` costs",
        "",
        f"By `benchmarks/top.py`, {seconds:.0f} s each, one after the other, "
        f"on {os.cpu_count()} cores; an agent watched the demo's six jobs. Both in a terminal of 80 by 24, read "
        "every 2 s. The start is that of one table from start to end.",
        "",
        "| | % of a core | bytes a second to the terminal | MiB | start, s |",
        "| --- | --- | --- | --- | --- |",
    ]
    for name, (cpu, size, mib, took) in rows.items():
        lines.append(f"| {name} | {100 * cpu:.1f} | {size:,.0f} | {mib:.0f} | {took:.2f} |")
    ratios = [f"{one / max(other, 1e-4):.1f}" for one, other in zip(*rows.values(), strict=True)]
    lines.append(f"| ratio | {' | '.join(ratios)} |")
    (HERE / "results" / "top.md").write_text("\n".join(lines) + "\n")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
