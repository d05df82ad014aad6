"""What telemetry of a GPU tells, to whom, how fresh, and at what cost.

    python benchmarks/gpu/questions/telemetry.py --out results [--limit 170]

Asks NVML and GPM of GPU 0: as root and as nobody (privilege); every metric while the GPU is idle, while one process
computes and while two do (metrics, processes); how long calls take (cost); how often values change (freshness); what
recording at 1, 5 and 10 Hz costs in CPU and in the time of a training step in another process (slowdown). Writes
telemetry.json, whose sentences begin with these words. Needs nvidia-ml-py; torch and CuPy for what computes. With less
time the windows of the slowdown are fewer and shorter: all else takes about a minute. Exit code 6 without a GPU.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))
import telemetry_cost as cost
import telemetry_metrics as metrics
import telemetry_slowdown as slowdown
from answer import Answer, options
from raw_gpm import RawGpm
from telemetry_calls import words
from telemetry_process import Child

from hashwarden.errors import HashwardenError

QUESTION = "Who may read the GPU's telemetry, which metrics answer, how fresh are they, and what does sampling cost?"
NOBODY = 65534
START_S, USER_S, SETTLE_S, FRESH_S = 40.0, 30.0, 2.0, 5.0
OURS = ("ImportError", "ModuleNotFoundError", "FileNotFoundError", "PermissionError", "OSError")
"""What says of this program that it could not ask, and nothing of NVML."""
DEVICE = "cuda"
Row = dict[str, Any]


class Loads:
    """What computes, each in a process of its own that has loaded its libraries before it is let go."""

    def __init__(self, answer: Answer, stack: ExitStack) -> None:
        self._answer, self._stack = answer, stack
        self._waiting = {kind: self._made(kind) for kind in ("integer", "gemm", "pulse", "train")}
        self.on: Row = {}

    def _made(self, kind: str) -> Child:
        return self._stack.enter_context(Child("load", kind, DEVICE))

    def let_go(self, kind: str) -> Child | None:
        """Let one compute; None, and named as open, if it does not."""
        child = self._waiting[kind]
        try:
            self.on[kind] = child.go(min(START_S, max(1.0, self._answer.left_s)))["on"]
        except HashwardenError as error:
            self._answer.leave(f"{', '.join(NEEDED[kind])}: the load {kind} did not start: {error}"[:600])
            child.end()
            return None
        return child


NEEDED = {"integer": ("metrics", "cost"), "gemm": ("processes",), "pulse": ("freshness",), "train": ("slowdown",)}


@contextmanager
def computing(loads: Loads, kind: str) -> Iterator[Child | None]:
    """A load for a while."""
    child = loads.let_go(kind)
    try:
        yield child
    finally:
        if child is not None:
            child.end()


def privilege(answer: Answer) -> Row:
    """Ask as this user and as nobody, at the same time."""
    with Child("user", "0") as one, Child("user", str(NOBODY)) as other:
        found = {"as_started": one.asked(USER_S), "as_nobody": other.asked(USER_S)}  # one after the other
    if os.geteuid() == 0 and found["as_nobody"]["uids"] != [NOBODY] * 3:
        raise HashwardenError("the process could not become nobody", "a process that root starts", "Run as root.")
    tell_privilege(answer, found["as_started"], found["as_nobody"])
    return found


def tell_privilege(answer: Answer, root: Row, user: Row) -> None:
    """Sentences on what an ordinary user is told, and what only the other is."""
    who, names = f"uid {user['uid']} (capabilities {user['capabilities']})", list(user["asked"])
    mine, theirs = user["asked"], root["asked"]
    good = [name for name in names if mine[name]["answers"]]
    plain = [name for name in names if name.startswith(("nvmlInit", "nvmlDevice"))]
    answer.say(f"privilege: {sum(name in good for name in plain)} of {len(plain)} calls of plain NVML answer {who}, "
               f"{sum(theirs[name]['answers'] for name in plain)} answer uid {root['uid']}.")  # fmt: skip
    for name in ("nvmlGpmSampleGet", "nvmlGpmMetricsGet"):
        if name in good:
            counted = f", with values for {mine[name]['said']} metrics" if mine[name]["said"] is not None else ""
            answer.say(f"privilege: {name} answers {who}{counted}; for uid {root['uid']} {outcome(theirs[name])}.")
    for name in names:
        if name not in good:
            why = mine[name]["said"]
            tell = answer.leave if why.startswith(OURS) or not theirs[name]["answers"] else answer.say
            tell(f"privilege: {name} does not answer {who}: {why}; for uid {root['uid']} {outcome(theirs[name])}.")
    if "source nvml" in good and theirs["source nvml"]["answers"]:
        first, second = (set(asked["source nvml"]["said"]["channels"]) for asked in (mine, theirs))
        answer.say(f"privilege: the source nvml gives {who} {len(first)} channels, uid {root['uid']} {len(second)}; "
                   f"those that only the latter has: {', '.join(sorted(second - first)) or 'none'}.")  # fmt: skip


def outcome(asked: Row) -> str:
    """How the other user fared."""
    if not asked["answers"]:
        return f"it does not answer either ({asked['said']})"
    return f"it answers with {asked['said']}" if isinstance(asked["said"], int) else "it answers"


def ask_gpm(answer: Answer, raw: RawGpm, loads: Loads) -> None:
    """Metrics with no process that computes, with one and with two; what is asked beside one is asked in between."""
    found: dict[str, Row] = {}

    def look(name: str) -> None:
        if row := answer.part(f"metrics, {name}", lambda: metrics.seen(raw), 4.0):
            found[name] = row
            answer.found["results"][f"metrics, {name}"] = metrics.table(raw, {name: row})

    look("idle")
    with computing(loads, "integer") as one:
        if one is not None:
            look("one process")
        answer.part("privilege", lambda: privilege(answer), 10.0)
        latency(answer, raw)
        since = metrics.newest(raw)
        with computing(loads, "gemm") as two:
            started = time.monotonic()
            if one is not None and two is not None:
                row = answer.part("processes", lambda: metrics.named_after(raw, started, since, (one, two)), 8.0)
                if row:
                    metrics.tell_named(answer.say, answer.leave, row)
                look("two processes")
    metrics.tell_metrics(answer.say, raw, found, lambda code: words(raw.library.NVMLError(code)))
    switches = metrics.tell_switches(answer.say, found)
    answer.found["results"]["context switches"] = switches
    answer.found["results"]["metrics"] = metrics.table(raw, found)
    for name in found:
        answer.found["results"].pop(f"metrics, {name}")


def latency(answer: Answer, raw: RawGpm) -> None:
    """What calls take, and sentences on it."""
    gpm = answer.part("latency of GPM", lambda: cost.gpm_latency(raw), 5.0) or {}
    whole = answer.part("latency of a tick", tick, 10.0) or {}
    plain = answer.part("latency of NVML", lambda: cost.plain_latency(raw.library, raw.handle), 5.0) or {}
    for name, row in (gpm | whole | plain).items():
        if "refused" in row:
            answer.leave(f"cost: {name}: {row['refused']}")
    for name, row in (gpm | whole).items():
        if "refused" not in row:
            most = f"p99 {row['p99_us']:,.0f} us" if row["calls"] >= 100 else f"the longest {row['longest_us']:,.0f} us"
            answer.say(f"cost: {name} takes {row['p50_us']:,.0f} us in the median, {most}, "
                       f"{row['cpu_us_per_call']:,.0f} us of CPU ({row['calls']} calls).")  # fmt: skip
    calls = sorted((-row["p50_us"], name, row["p99_us"]) for name, row in plain.items() if "refused" not in row)
    if calls:
        told = "; ".join(f"{name} {-p50:,.0f} us, p99 {p99:,.0f} us" for p50, name, p99 in calls)
        answer.say(f"cost: calls of plain NVML take in the median: {told}.")


def tick() -> Row:
    """By its name."""
    row = cost.tick_latency()
    return {f"a reading of the source nvml at 10 Hz ({row['gpus']} GPUs)": row}


def freshness(answer: Answer, raw: RawGpm, loads: Loads) -> None:
    """How often values change while work comes in bursts of random length."""
    with computing(loads, "pulse") as child:
        if child is None:
            return
        found = answer.part("freshness of NVML", lambda: cost.changing(raw.library, raw.handle, FRESH_S), 8.0) or {}
        counted = answer.part("freshness of GPM", lambda: cost.gpm_changes(raw), 8.0) or {}
    for name, row in found.items():
        if "refused" in row:
            answer.leave(f"freshness: {name}: {row['refused']}")
            continue
        told = f"freshness: {name}: {row['changes']} changes in {row['looks']} looks {row['look_ms']:.2g} ms apart"
        if between := row.get("between_changes_ms"):
            told += "; a value lasts {p50:.3g} ms in the median (p10 {p10:.3g}, p90 {p90:.3g})".format(**between)
        answer.say(f"{told}.")
    for name, row in counted.items():
        told = [f"{metric} {got['answers']}, {got['other_than_before']} of them unlike the one before"
                for metric, got in row["metrics"].items()]  # fmt: skip
        codes = ", ".join(words(raw.library.NVMLError(code)) for code in row["codes_of_refusal"])
        answer.say(f"freshness: GPM over {row['windows']} windows of {name} answers: {'; '.join(told) or 'nothing'}"
                   + (f"; refused: {codes}." if codes else "."))  # fmt: skip


def slowed(answer: Answer, raw: RawGpm | None, loads: Loads, folder: str) -> None:
    """The recorder, and a training beside it."""
    with Child("recorder", folder) as recorder, computing(loads, "train") as train:
        if train is None:
            return
        row = answer.part("slowdown", lambda: beside(answer, raw, train, recorder), 2 * SETTLE_S)
    if row is not None and row["windows"]:
        row |= slowdown.tell(answer.say, answer.leave, row["windows"], loads.on["train"])
        answer.write()


def beside(answer: Answer, raw: RawGpm | None, train: Child, recorder: Child) -> Row:
    """Windows with and without recording."""

    def clock() -> float | None:
        with suppress(Exception):  # it only explains
            return float(raw.library.nvmlDeviceGetClockInfo(raw.handle, 1))
        return None

    recorder.said(min(START_S, max(1.0, answer.left_s)))
    time.sleep(SETTLE_S)
    rounds, window_s = slowdown.plan(answer.left_s - SETTLE_S)
    if not rounds:
        answer.leave(f"slowdown: {answer.left_s:.0f} s left are too few")
        return {"windows": []}
    found = slowdown.windows(train, recorder, rounds, window_s, clock)
    return {"windows": slowdown.medians(train.steps(), found)}


def ask(answer: Answer) -> None:
    """All parts; without GPM those that do without it."""
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="hashwarden-"))
        loads = Loads(answer, stack)
        raw = None
        try:
            raw = stack.enter_context(RawGpm())
        except HashwardenError as error:
            answer.leave(f"metrics, processes, cost of calls, freshness: {error}")
        if raw is not None:
            ask_gpm(answer, raw, loads)
            freshness(answer, raw, loads)
        else:
            answer.part("privilege", lambda: privilege(answer), 10.0)
        slowed(answer, raw, loads, folder)
        answer.found["results"]["loads"] = loads.on


def main() -> int:
    """Run from the command line."""
    chosen = options(__doc__, 170)
    answer = Answer("telemetry", QUESTION, chosen.out, chosen.limit)
    if "machine" not in answer.found:
        answer.leave("everything: no NVIDIA GPU, or no driver")
        return answer.end()
    ask(answer)
    return answer.end()


if __name__ == "__main__":
    raise SystemExit(main())
