"""What the utilisations of GPM count: one kernel for each class of instruction, and every metric while it runs.

    python benchmarks/gpu/questions/instructions.py --out results [--limit 240] [--windows 8] [--only KIND ...]

Each kernel (instructions.cu, instructions_wgmma.cu) runs back to back in a process of its own, while this one reads
all GPM metrics of GPU 0, its power and its clocks. Writes instructions.json: for each class the medians over windows
of 0.2 s that lie within the run, the rate of its instructions (counted from the machine code that ran) and the share
of what NVIDIA publishes at the measured clock; and, from these, which classes raise which metric. Needs CuPy, and
cuda-core with NVRTC or nvcc. Exit code 6 without a GPU.
"""

from __future__ import annotations

import json
import math
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))
from answer import Answer, options
from instructions_kinds import KINDS, Kind, arch_of, compiled, hot_loops, named, share, wanted
from raw_gpm import RawGpm

from hashwarden.errors import HashwardenError
from hashwarden.serve.sources.gpm import BLANK

QUESTION = "What do GPM's INTEGER, FP32, FP16, FP64, HMMA, IMMA, DMMA, DFMA and ANY_TENSOR utilisations count?"
OF_INTEREST = (4, 12, 13, 11, 5, 7, 9, 8, 6, 10, 2, 3)
TENSOR = (5, 7, 9, 8, 6, 4, 12, 13)
SM_UTIL = 2
CYCLES = range(248, 261)
"""Sums since the GPU was reset, not ratios: of them the increase is told."""
PERIOD_S, SETTLE_S, KIND_S, START_S = 0.2, 0.5, 12.0, 60.0
RISE, BUSY = 5.0, 50.0
Row = dict[str, Any]
Code = tuple[Path, dict[str, Counter[int]]]
"""A cubin, and the hot loop of each of its kernels."""


class Child:
    """The process that runs one kernel; ended whatever happens."""

    def __init__(self, kind: Kind, cubin: Path, limit_s: float) -> None:
        script = Path(__file__).with_name("instructions_child.py")
        self._errors = tempfile.TemporaryFile("w+")  # noqa: SIM115  closed with the process
        self._process = subprocess.Popen(
            [sys.executable, str(script), kind.name, str(cubin)], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=self._errors, text=True,
        )  # fmt: skip
        self._watch = threading.Timer(limit_s, self._process.kill)
        self._watch.start()

    def __enter__(self) -> Child:
        return self

    def __exit__(self, *_: object) -> None:
        self._watch.cancel()
        self._process.kill()
        self._process.communicate()
        self._errors.close()

    def said(self) -> Row:
        """The next line that it prints."""
        line = self._process.stdout.readline()
        if line:
            return json.loads(line)
        code = self._process.wait()
        self._errors.seek(0)
        words = " ".join(self._errors.read().split()[-60:])
        raise HashwardenError(f"its process ended with {code}: {words}", "a run to its end", "See what it said.")

    def stop(self) -> Row:
        """Let it end; what it did."""
        self._process.stdin.close()
        self._process.stdin = None
        return self.said()


def asked(gpm: RawGpm, function: str, *arguments: Any) -> float | None:
    """One number from NVML; None if it has none."""
    try:
        return float(getattr(gpm.library, function)(gpm.handle, *arguments))
    except (AttributeError, gpm.library.NVMLError):
        return None


def observed(gpm: RawGpm, windows: int) -> list[Row]:
    """All metrics over so many windows, one after another; power and clocks at their ends."""
    found, first, start = [], gpm.sample(), time.monotonic()
    try:
        for _ in range(windows):
            time.sleep(PERIOD_S)
            second, stop = gpm.sample(), time.monotonic()
            row: Row = {"seconds": stop - start, "at": stop, "metrics": gpm.between(first, second)}
            gpm.free(first)
            first, start = second, stop
            power = asked(gpm, "nvmlDeviceGetPowerUsage")
            row["power_w"] = power / 1000 if power is not None else None
            row["sm_clock_mhz"] = asked(gpm, "nvmlDeviceGetClockInfo", 1)
            row["memory_clock_mhz"] = asked(gpm, "nvmlDeviceGetClockInfo", 2)
            row["reasons"] = asked(gpm, "nvmlDeviceGetCurrentClocksThrottleReasons")
            found.append(row)
    finally:
        gpm.free(first)
    return found


def median(values: Iterable[float | None]) -> float | None:
    """Of those that are numbers; None if there is none."""
    kept = [value for value in values if value is not None and math.isfinite(value) and abs(value) < BLANK]
    return round(statistics.median(kept), 6) if kept else None


def summed(gpm: RawGpm, windows: list[Row]) -> Row:
    """A row of the result. A metric that is not in it is 0; one without any answer is named."""
    metrics = {number: median(w["metrics"].get(number) for w in windows) for number in gpm.supported}
    row: Row = {"windows": len(windows), "window_s": median(w["seconds"] for w in windows)}
    row |= {key: median(w[key] for w in windows) for key in ("power_w", "sm_clock_mhz", "memory_clock_mhz")}
    row["power_w_at_the_end"] = windows[-1]["power_w"]
    reasons = 0
    for window in windows:
        reasons |= int(window["reasons"] or 0)
    row["clock_reasons"] = f"{reasons:#x}"
    row["metrics"] = {label(gpm, n): v for n, v in metrics.items() if v and n not in CYCLES}
    row["no_answer"] = [label(gpm, n) for n, v in metrics.items() if v is None]
    pairs = list(pairwise(windows))
    row["cycles_per_s"] = {
        label(gpm, n): median(
            (b["metrics"][n] - a["metrics"][n]) / (b["at"] - a["at"])
            for a, b in pairs
            if n in a["metrics"] and n in b["metrics"]
        )
        for n in CYCLES
        if n in gpm.supported
    }
    return row


def label(gpm: RawGpm, number: int) -> str:
    """A metric as it is called in the result."""
    return f"{number} {gpm.names.get(number, 'unnamed')}"


def measured(gpm: RawGpm, kind: Kind, code: Code, windows: int, left_s: float) -> Row:
    """One class."""
    cubin, loop = code[0], code[1][kind.kernel]
    with Child(kind, cubin, min(START_S, left_s)) as child:
        child.said()
        time.sleep(SETTLE_S)
        seen = observed(gpm, windows)
        done = child.stop()
    row = summed(gpm, seen)
    instructions = wanted(kind, loop) * done["rounds"] * done["warps"] * done["launches"] / done["seconds"]
    row |= {"kernel": kind.kernel, "loop": named(loop), "share_of_loop": round(share(kind, loop), 3), **done}
    row |= {"warp_instructions_per_s": instructions, "unit": kind.unit, "units_per_s": instructions * kind.per_warp}
    most = published(kind, row)
    row |= {"published_units_per_s": most, "share_of_published": row["units_per_s"] / most if most else None}
    return row


def published(kind: Kind, row: Row) -> float | None:
    """What a GPU of compute capability 9.0 can do at the clock that was measured; None if that is not published."""
    if kind.name == "dram_read":  # two transfers a clock
        bits, clock = row["bus_bits"], row["memory_clock_mhz"]
        return 2 * clock * 1e6 * bits / 8 if bits and clock else None
    if kind.per_clock is None or not row["sm_clock_mhz"]:
        return None
    return kind.per_clock * row["sms"] * row["sm_clock_mhz"] * 1e6


def prepared(answer: Answer, capability: str, folder: Path) -> dict[str, Code]:
    """Cubins and their loops by source; what could not be compiled is named as open."""
    found = {}
    for source in dict.fromkeys(kind.source for kind in KINDS.values()):
        arch = arch_of(source, capability)
        if not arch:
            answer.leave(f"{source}: wgmma is of compute capability 9.0 alone, this is {capability}")
            continue
        try:
            cubin = compiled(source, arch)
            path = folder / f"{source}.cubin"
            path.write_bytes(cubin)
            found[source] = path, hot_loops(cubin)
        except HashwardenError as error:
            answer.failed += 1
            answer.leave(f"{source}: {error}")
    return found


def rises(rows: dict[str, Row], idle: Row, metric: str) -> list[tuple[float, str]]:
    """Each class, and how far it is above idle in a metric; the furthest first."""
    base = idle["metrics"].get(metric, 0.0)
    found = [(r["metrics"].get(metric, 0.0) - base, kind) for kind, r in rows.items() if metric not in r["no_answer"]]
    return sorted(found, reverse=True)


def conclude(answer: Answer, gpm: RawGpm, rows: dict[str, Row]) -> None:
    """Say which classes raise which metric, and where each tensor instruction shows."""
    idle = rows.pop("idle", None)
    if idle is None or not rows:
        answer.leave("which class raises which metric: there is no row of the idle GPU, or none of a class")
        return
    for number in OF_INTEREST:
        metric = label(gpm, number)
        if number not in gpm.supported or metric in idle["no_answer"]:
            when = "while the GPU is idle" if number in gpm.supported else "on this GPU"
            answer.leave(f"{metric}: the driver gives no value {when}")
            continue
        all_of = rises(rows, idle, metric)
        up = ", ".join(f"{kind} ({rise:.1f})" for rise, kind in all_of if rise >= RISE) or "no class"
        rest = ", ".join(kind for rise, kind in all_of if rise < RISE) or "none"
        answer.say(f"{metric}, in percentage points above idle, rises with {up}; by less than {RISE:g} with: {rest}.")
    for kind in (KINDS[name] for name in rows if KINDS[name].unit == "multiply-adds"):
        row = rows[kind.name]
        shows = ", ".join(f"{gpm.names[n]} {row['metrics'].get(label(gpm, n), 0.0):.1f} %" for n in TENSOR
                          if n in gpm.supported and label(gpm, n) not in row["no_answer"])  # fmt: skip
        part = row["share_of_published"]
        rate = f" at {part:.0%} of the published rate" if part is not None else ""
        answer.say(f"{kind.name} ({kind.mnemonic}){rate} shows as {shows}.")
    for name, row in rows.items():
        busy = row["metrics"].get(label(gpm, SM_UTIL), 0.0)
        if SM_UTIL in gpm.supported and busy < BUSY:
            answer.leave(f"{name}: SM_UTIL was {busy:.0f} % only, so the kernel did not fill the GPU")


def ask(answer: Answer, gpm: RawGpm, folder: Path, windows: int, only: list[str]) -> None:
    """Measure everything, then conclude."""
    refused = [number for number in gpm.names if number not in gpm.supported]
    listed = {"answered": [label(gpm, n) for n in gpm.supported], "refused": " ".join(map(str, refused))}
    answer.part("metrics", lambda: listed)
    rows: dict[str, Row] = {}
    idle = answer.part("idle", lambda: summed(gpm, observed(gpm, windows)), PERIOD_S * windows + 1)
    if idle:
        rows["idle"] = idle
    cubins = prepared(answer, answer.found["machine"]["compute_capability"], folder)
    for kind in KINDS.values():
        if kind.source not in cubins or (only and kind.name not in only):
            continue
        code = cubins[kind.source]
        loop = code[1].get(kind.kernel, Counter({0: 1}))
        if share(kind, loop) < kind.least:
            answer.leave(f"{kind.name}: the compiler made another loop than wanted of it: {named(loop)}")
            continue
        row = answer.part(kind.name, lambda k=kind, c=code: measured(gpm, k, c, windows, answer.left_s), KIND_S)
        if row:
            rows[kind.name] = row
    conclude(answer, gpm, rows)


def main() -> int:
    """Run from the command line."""
    chosen = options(
        __doc__, 240,
        ("--windows", {"type": int, "default": 8, "help": "of 0.2 s, for each class"}),
        ("--only", {"nargs": "*", "default": [], "metavar": "KIND", "choices": list(KINDS)}),
    )  # fmt: skip
    answer = Answer("instructions", QUESTION, chosen.out, chosen.limit)
    if "machine" not in answer.found:
        answer.leave("everything: no NVIDIA GPU, or no driver")
        return answer.end()
    try:
        with RawGpm() as gpm, tempfile.TemporaryDirectory(prefix="hashwarden-") as folder:
            ask(answer, gpm, Path(folder), chosen.windows, chosen.only)
    except HashwardenError as error:
        answer.leave(f"everything: {error}")
    return answer.end()


if __name__ == "__main__":
    raise SystemExit(main())
