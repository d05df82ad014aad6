"""Everything that needs a GPU, in one command: tests, workloads, sanitizer, benchmarks.

``make gpu OUT=folder``, or ``python benchmarks/gpu/run.py --out folder``. Stops itself before nine minutes
are over, needs no network, and writes few small files: report.json, report.md, the JSON of each part, and pictures
where matplotlib is installed. Ends with 0 only if something was tested and nothing failed, with 6 if there is no GPU.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))
from machine import ROOT, assemble, describe, gpu_count

NO_GPU = 6
BUDGET_S = 520.0
TAIL = 1500
COPIES = 8


@dataclass
class Leg:
    """One part of the run.

    ``limit_s`` is what it may take; what is left of the budget limits it further. Several copies share the
    work of a part, each told its share by HASHWARDEN_SHARD.
    """

    name: str
    command: list[str]
    limit_s: float
    copies: int = 1
    status: str = "not run"
    seconds: float = 0.0
    tested: int = 0
    said: str = ""

    def run(self, environment: dict[str, str], left_s: float) -> None:
        """Run it, and keep the end of what it said."""
        limit = min(self.limit_s, left_s)
        if limit < 5:
            self.said = "no time was left"
            return
        start = time.monotonic()
        with ThreadPoolExecutor(self.copies) as pool:
            done = list(pool.map(lambda copy: self._one(copy, environment, limit), range(self.copies)))
        self.seconds = time.monotonic() - start
        bad = [(status, output) for status, output in done if status != "passed"]
        self.status = bad[0][0] if bad else "passed"
        self.said = "\n".join(output[-TAIL:] for _, output in bad or done[:1])
        counts = [re.findall(r"(\d+) (?:passed|ran)", output) for _, output in done]
        self.tested = sum(int(found[-1]) for found in counts if found)

    def _one(self, copy: int, environment: dict[str, str], limit: float) -> tuple[str, str]:
        share = {"HASHWARDEN_SHARD": f"{copy}/{self.copies}"} if self.copies > 1 else {}
        command = [word.replace("{copy}", str(copy)) for word in self.command]
        try:
            done = subprocess.run(
                command, env=environment | share, cwd=ROOT, capture_output=True, text=True, check=False, timeout=limit
            )
        except subprocess.TimeoutExpired as error:
            return f"stopped after {limit:.0f} s", (error.stdout or b"").decode(errors="replace")
        except OSError as error:
            return "failed to start", str(error)
        # 5 is pytest's word for a share without tests.
        fine = done.returncode == 0 or (self.copies > 1 and done.returncode == 5)
        return "passed" if fine else f"failed with {done.returncode}", done.stdout + done.stderr


def legs(out: Path) -> list[Leg]:
    """All parts, the most important first."""
    python, bench = sys.executable, "benchmarks"
    tests = ["-m", "pytest", "tests/kernels", "-m", "gpu", "--confcutdir=tests/kernels", "-q"]
    tests += ["-p", "no:cacheprovider", "--continue-on-collection-errors"]
    found = [
        Leg("tests", [python, *tests, "-W", "default", "--junitxml", str(out / "tests-{copy}.xml")], 150, COPIES),
        Leg("workloads", [python, f"{bench}/gpu/workloads.py", "--out", str(out), "--limit", "110"], 140),
    ]
    for name in ("recorder", "patterns", "streams"):
        found.append(Leg(name, [python, f"{bench}/{name}.py", "--out", str(out)], 40))
    for name in ("mix", "job"):
        found.append(Leg(name, [python, f"{bench}/gpu/{name}.py", "--out", str(out)], 40))
    found.append(Leg("probes", [python, f"{bench}/probes.py", "--out", str(out), "--seconds", "90"], 100))
    found.append(Leg("recordings", [python, f"{bench}/gpu/recordings.py", "--out", str(out), "--limit", "100"], 130))
    cost = [python, f"{bench}/telemetry.py", "--real", "--out", str(out), "--seconds", "1"]
    found.append(Leg("telemetry", cost, 40))
    sanitizer = shutil.which("compute-sanitizer")
    if sanitizer is None:
        found.append(Leg("sanitizer", [], 0, said="compute-sanitizer is not installed"))
    else:
        check = [python, f"{bench}/gpu/workloads.py", "--size", "small", "--engines", "cupy", "--seconds", "0"]
        check += ["--out", str(out / "sanitized"), "--limit", "40"]
        found.append(Leg("sanitizer", [sanitizer, "--tool", "memcheck", "--error-exitcode", "9", *check], 60))
    return found


def report(machine: dict[str, Any], parts: list[Leg], how: str) -> str:
    """Markdown of what was done."""
    lines = [f"# {machine['gpu']}, driver {machine['driver']}, {machine['date'][:10]}", ""]
    lines += [f"Package put together by {how}. Python {machine['python']}.", ""]
    lines += ["| part | outcome | seconds | tested |", "| --- | --- | ---: | ---: |"]
    lines += [f"| {leg.name} | {leg.status} | {leg.seconds:.0f} | {leg.tested or ''} |" for leg in parts]
    for leg in parts:
        if leg.status != "passed":
            lines += ["", f"## {leg.name}", "", "```", leg.said.strip(), "```"]
    return "\n".join(lines) + "\n"


def run(out: Path) -> int:
    """Run all parts; see the module's docstring for the exit code."""
    if gpu_count() == 0:
        sys.stderr.write("no NVIDIA GPU: the driver is absent or answers for none. Nothing was tested.\n")
        return NO_GPU
    out = out.resolve()
    out.mkdir(parents=True, exist_ok=True)
    start, machine, parts = time.monotonic(), describe(), legs(out)
    with tempfile.TemporaryDirectory(prefix="hashwarden-") as folder:
        how = assemble(Path(folder))
        environment = {**os.environ, "PYTHONPATH": folder, "PYTHONSAFEPATH": "1"}
        for leg in parts:
            if leg.command:
                sys.stderr.write(f"== {leg.name}\n")
                leg.run(environment, BUDGET_S - (time.monotonic() - start))
                sys.stderr.write(f"   {leg.status} in {leg.seconds:.0f} s\n")
    found = {"machine": machine, "assembled_by": how, "parts": [asdict(leg) for leg in parts]}
    (out / "report.json").write_text(json.dumps(found, indent=1) + "\n")
    (out / "report.md").write_text(report(machine, parts, how))
    print((out / "report.md").read_text())
    tested = sum(leg.tested for leg in parts)
    bad = [leg for leg in parts if leg.command and leg.status != "passed"]
    return 0 if tested and not bad else 1


def main() -> int:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("gpu-results"))
    return run(parser.parse_args().out)


if __name__ == "__main__":
    raise SystemExit(main())
