"""Everything that needs a GPU, in one command: tests, workloads, sanitizer, recordings, benchmarks.

``make gpu OUT=folder``, or ``python benchmarks/gpu/run.py --out folder [--limit 520] [--round check] [--only LEG]``.
All of it ends within the limit: first what is right and how fast (the round ``check``), then the questions that only a
GPU answers (``ask``), then the reference set (``record``), which goes on where it ended the last time. Each part is
told its share of the time, and ended cleanly when that is over; what the time does not suffice for is named as skipped.
It needs no network, and writes few small files: report.json and report.md, anew after each part, the JSON of each
part, and pictures where matplotlib is installed. Ends with 0 only if something was tested, nothing failed and nothing
was skipped for time; with 6 if there is no GPU.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))
from machine import ROOT, assemble, describe, gpu_count

NO_GPU = 6
LIMIT_S = 520.0
"""A GPU machine is lent for ten minutes a command; starting one takes some of that."""
REPORT_S = 5.0
GRACE_S = 5.0
"""From the request to end until the end: a test run writes its summary, a recorder seals its trace."""
BETWEEN_S = 1.0
TAIL = 1500
COPIES = 8
COPIES_TOLD = 2
LIMITED = ["--limit", "{limit}"]
ROUNDS = ("check", "ask", "record")
"""In this order. Each has enough to do for ten minutes, and can be run alone."""


@dataclass
class Leg:
    """One part of the run.

    ``limit_s`` is what it may take, ``least_s`` what it is not begun without. In its command ``{limit}`` is replaced by
    its share less ``slack_s``, the time that it takes beyond the limit that it keeps itself. Several copies share the
    work of a part, each told which part of it by HASHWARDEN_SHARD.
    """

    name: str
    command: list[str]
    limit_s: float
    least_s: float = 5.0
    slack_s: float = 0.0
    copies: int = 1
    status: str = "skipped"
    share_s: float = 0.0
    seconds: float = 0.0
    tested: int = 0
    said: str = ""

    def run(self, environment: dict[str, str], share_s: float, left_s: float) -> None:
        """Run it within its share, and keep the end of what it said."""
        self.share_s = round(share_s, 1)
        if share_s < self.least_s:
            self.said = f"no time: {max(0.0, left_s):.0f} s left, at least {self.least_s:.0f} s needed"
            return
        start = time.monotonic()
        with ThreadPoolExecutor(self.copies) as pool:
            running: list[subprocess.Popen[bytes]] = []
            try:
                done = list(pool.map(lambda copy: self._one(copy, environment, share_s, running), range(self.copies)))
            except BaseException:  # Ctrl-C, or somebody ends all of it: nothing is to stay on the GPU
                for process in running:
                    _end(process)
                raise
        self.seconds = time.monotonic() - start
        bad = [(status, output) for status, output in done if status != "passed"]
        self.status = bad[0][0] if bad else "passed"
        self.said = "\n".join(dict.fromkeys(_end_of(output) for _, output in (bad or done[:1])[:COPIES_TOLD]))
        counts = [re.findall(r"(\d+) (?:passed|ran)", output) for _, output in done]
        self.tested = sum(int(found[-1]) for found in counts if found)

    def _one(
        self, copy: int, environment: dict[str, str], share_s: float, running: list[subprocess.Popen[bytes]]
    ) -> tuple[str, str]:
        shard = {"HASHWARDEN_SHARD": f"{copy}/{self.copies}"} if self.copies > 1 else {}
        told = {"{copy}": str(copy), "{limit}": f"{max(1.0, share_s - self.slack_s):.0f}"}
        command = [re.sub(r"\{(copy|limit)\}", lambda found: told[found[0]], word) for word in self.command]
        with tempfile.TemporaryFile() as output:  # no pipe: what a child leaves behind must not hold it open
            try:
                process = subprocess.Popen(
                    command, env=environment | shard, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=output,
                    stderr=subprocess.STDOUT, start_new_session=True,
                )  # fmt: skip
            except OSError as error:
                return "failed to start", str(error)
            running.append(process)
            in_time = _ended(process, share_s)
            output.seek(0)
            said = output.read().decode(errors="replace")
        if not in_time:
            return f"stopped after {share_s:.0f} s", said
        # 5 is pytest's word for a share without tests.
        fine = process.returncode == 0 or (self.copies > 1 and process.returncode == 5)
        return "passed" if fine else f"failed with {process.returncode}", said


def _end_of(output: str) -> str:
    """The end of what was said, without the list of all modules that a crash ends with."""
    return re.sub(r"\nExtension modules: .*", "", output)[-TAIL:]


def surroundings(package: Path) -> dict[str, str]:
    """The environment of a part: the package, and what the benchmarks import of one another."""
    return {**os.environ, "PYTHONPATH": f"{package}:{ROOT / 'benchmarks'}", "PYTHONSAFEPATH": "1"}


def _ended(process: subprocess.Popen[bytes], share_s: float) -> bool:
    """Wait, then ask it to end as Ctrl-C does, then end it and all that it started; whether it ended by itself."""
    grace = min(GRACE_S, share_s / 4)
    try:
        process.wait(share_s - grace)
        return True
    except subprocess.TimeoutExpired:
        with suppress(ProcessLookupError, subprocess.TimeoutExpired):
            os.killpg(process.pid, signal.SIGINT)
            process.wait(grace)
        return False
    finally:
        _end(process)
        process.wait()


def _end(process: subprocess.Popen[bytes]) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


def share(leg: Leg, later: Sequence[Leg], left_s: float) -> float:
    """What a part may take: its limit, less where those after it would not have the least that they need.

    Where the time does not suffice for all, the last ones have none.
    """
    kept = 0.0
    for other in later:
        if leg.least_s + kept + other.least_s + BETWEEN_S > left_s:
            break
        kept += other.least_s + BETWEEN_S
    return min(leg.limit_s, left_s - kept)


def legs(out: Path, rounds: Sequence[str] = ROUNDS) -> list[Leg]:
    """All parts of some rounds, the most important first: what is right, what is asked, what is recorded."""
    made = {"check": _check, "ask": _ask, "record": _record}
    return [leg for name in ROUNDS if name in rounds for leg in made[name](out)]


def _check(out: Path) -> list[Leg]:
    python, into = sys.executable, ["--out", str(out)]
    tests = ["-m", "pytest", "tests/kernels", "-m", "gpu", "--confcutdir=tests/kernels", "-q"]
    tests += ["-p", "no:cacheprovider", "--continue-on-collection-errors"]
    tests += ["-W", "default", "--junitxml", str(out / "tests-{copy}.xml")]
    works = [python, "benchmarks/gpu/workloads.py"]
    small = [*works, "--size", "small", "--engines", "cupy", "--seconds", "0", *LIMITED]
    return [
        Leg("tests", [python, *tests], 150, 60, copies=COPIES),
        Leg("workloads", [*works, *into, *LIMITED], 140, 50, slack_s=30),
        _sanitizer(small, out),
        Leg("job", [python, "benchmarks/gpu/job.py", *into, *LIMITED], 60, 25, slack_s=20),
        Leg("mix", [python, "benchmarks/gpu/mix.py", *into], 40, 20),
        *(Leg(name, [python, f"benchmarks/{name}.py", *into], 40, 15) for name in ("recorder", "patterns", "streams")),
        Leg(
            "ticks",
            [python, "benchmarks/telemetry.py", "--real", "--out", str(out / "ticks"), "--seconds", "1"],
            40,
            10,
        ),
    ]


def _ask(out: Path) -> list[Leg]:
    def asked(name: str, limit_s: float, least_s: float) -> Leg:
        script = f"benchmarks/gpu/questions/{name}.py"
        return Leg(name, [sys.executable, script, "--out", str(out), *LIMITED], limit_s, least_s, slack_s=15)

    probes = [sys.executable, "benchmarks/probes.py", "--out", str(out), "--seconds", "{limit}"]
    return [
        asked("instructions", 140, 60), asked("telemetry", 120, 50), asked("executed", 110, 40),
        asked("sampling", 125, 50), asked("launching", 60, 25),
        Leg("probes", probes, 100, 40, slack_s=15),
    ]  # fmt: skip


def _record(out: Path) -> list[Leg]:
    """Those of the counters take all that the others leave."""

    def recorded(name: str, limit_s: float, least_s: float) -> Leg:
        command = [sys.executable, "benchmarks/gpu/recordings.py", "--set", name, "--out", str(out), *LIMITED]
        return Leg(f"recordings-{name}", command, limit_s, least_s, slack_s=25)

    return [recorded("counters", 10_000, 100), recorded("pm", 150, 100), recorded("probe", 150, 100)]


def _sanitizer(command: list[str], out: Path) -> Leg:
    tool = shutil.which("compute-sanitizer")
    if tool is None:
        return Leg("sanitizer", [], 0, 0, said="compute-sanitizer is not installed")
    check = [tool, "--tool", "memcheck", "--error-exitcode", "9", *command, "--out", str(out / "sanitized")]
    return Leg("sanitizer", check, 60, 30, slack_s=20)


def report(machine: dict[str, Any], parts: list[Leg], how: str) -> str:
    """Markdown of what was done."""
    lines = [f"# {machine['gpu']}, driver {machine['driver']}, {machine['date'][:10]}", ""]
    lines += [f"Package put together by {how}. Python {machine['python']}.", ""]
    lines += ["| part | outcome | seconds | of a share of | tested |", "| --- | --- | ---: | ---: | ---: |"]
    for leg in parts:
        lines.append(f"| {leg.name} | {leg.status} | {leg.seconds:.0f} | {leg.share_s:.0f} | {leg.tested or ''} |")
    for leg in parts:
        if leg.status != "passed" and leg.said:
            lines += ["", f"## {leg.name}", "", "```", leg.said.strip(), "```"]
    return "\n".join(lines) + "\n"


def run(
    out: Path, limit_s: float = LIMIT_S, only: Sequence[str] = (), rounds: Sequence[str] = ROUNDS,
    wheels: Path | None = None,
) -> int:  # fmt: skip
    """Run all parts, or some; see the module's docstring for the exit code."""
    until = time.monotonic() + limit_s - REPORT_S
    if gpu_count() == 0:
        sys.stderr.write("no NVIDIA GPU: the driver is absent or answers for none. Nothing was tested.\n")
        return NO_GPU
    out = out.resolve()
    out.mkdir(parents=True, exist_ok=True)
    machine, parts = describe(), [leg for leg in legs(out, rounds) if not only or leg.name in only]
    with tempfile.TemporaryDirectory(prefix="hashwarden-") as folder:
        how = assemble(Path(folder), wheels)
        _write(out, machine, parts, how)
        environment = surroundings(Path(folder))
        for number, leg in enumerate(parts):
            if leg.command:
                left = until - time.monotonic()
                allowed = share(leg, [other for other in parts[number + 1 :] if other.command], left)
                sys.stderr.write(f"== {leg.name}, at most {max(0.0, allowed):.0f} s\n")
                leg.run(environment, allowed, left)
                sys.stderr.write(f"   {leg.status} in {leg.seconds:.0f} s\n")
            _write(out, machine, parts, how)
    print((out / "report.md").read_text())
    tested = sum(leg.tested for leg in parts)
    bad = [leg for leg in parts if leg.command and leg.status != "passed"]
    return 0 if tested and not bad else 1


def _write(out: Path, machine: dict[str, Any], parts: list[Leg], how: str) -> None:
    """The report as far as it is, whole at any moment."""
    found = {"machine": machine, "assembled_by": how, "parts": [asdict(leg) for leg in parts]}
    for name, text in (("report.json", json.dumps(found, indent=1) + "\n"), ("report.md", report(machine, parts, how))):
        (out / f"{name}.part").write_text(text)
        (out / f"{name}.part").replace(out / name)


def main() -> int:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("gpu-results"))
    parser.add_argument("--limit", type=float, default=LIMIT_S, metavar="SECONDS", help="for all of it")
    parser.add_argument("--only", action="append", default=[], metavar="LEG", help="may be given again")
    parser.add_argument("--round", action="append", default=[], choices=ROUNDS, help="all of it; may be given again")
    parser.add_argument("--wheels", type=Path, help="folder of what is not installed here (wheels.py)")
    options = parser.parse_args()
    rounds = options.round or ROUNDS
    signal.signal(signal.SIGINT, signal.default_int_handler)  # in the background a shell has all of us ignore it
    names = [leg.name for leg in legs(options.out, rounds)]
    if unknown := sorted(set(options.only) - set(names)):
        parser.error(f"--only {unknown[0]}: not one of {', '.join(names)}")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    return run(options.out, options.limit, options.only, rounds, options.wheels)


if __name__ == "__main__":
    raise SystemExit(main())
