"""Whether CUPTI's PM sampling sees other processes' work, how fast, at what cost, and with whom it gets on.

    python benchmarks/gpu/questions/sampling.py --out results [--limit 115]

Samples GPU 0 while it is idle and while other processes compute (others, values, rhythm); compares the samples' clock
with the machine's (clock), and the GPU's clocks before, while and after it is sampled (clocks); with GPM, Nsight
Compute, a second sampler and a sampler of nobody beside it (company); at rates from 500 Hz to 50 kHz, with many
counters and with few (rates); and beside a training step of another process (cost). Writes sampling.json, whose
sentences begin with these words. Needs root, cupti-python with libcupti and libnvperf_host of its major version, torch
and CuPy for what computes; ncu for Nsight Compute. Exit code 6 without a GPU.
"""

from __future__ import annotations

import sys
import time
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))
import sampling_clocks
import sampling_company as company
import telemetry_slowdown as slowdown
from answer import Answer, options
from raw_gpm import RawGpm
from sampling_looks import Watching, clocks, look, rate_row, summary
from telemetry_process import Child
from windows import turns, words

from hashwarden.errors import HashwardenError
from hashwarden.kernels.streams import metric_sets
from hashwarden.kernels.streams.sampler import Sampler

QUESTION = "Does CUPTI's PM sampling see other processes, how fast, at what cost, and with whom does it get on?"
LOADS = ("integer", "gemm", "train")
RATES = (500, 1000, 2000, 5000, 10_000, 20_000, 50_000)
COST_RATES = (0, 1000, 2000, 10_000)
BASE_HZ, LOOK_S, CLOCK_S, RATE_S = 2000, 1.5, 6.0, 0.5
START_S, SETTLE_S, NOBODY = 40.0, 1.0, 65534
DEVICE = "cuda"
Row = dict[str, Any]
seen = partial(look, Sampler, Watching)


class Loads:
    """What computes, in processes that have loaded their libraries before they are let go."""

    def __init__(self, answer: Answer, stack: ExitStack) -> None:
        self._answer = answer
        self.children = {kind: stack.enter_context(Child("load", kind, DEVICE)) for kind in LOADS}
        self.on: Row = {}

    def let_go(self, kind: str) -> Child | None:
        """Let one compute; None, and named as open, if it does not."""
        try:
            self.on[kind] = self.children[kind].go(min(START_S, max(1.0, self._answer.left_s)))["on"]
        except HashwardenError as error:
            self._answer.leave(f"the load {kind} did not start: {error}"[:600])
            return None
        return self.children[kind]


def others(answer: Answer, loads: Loads) -> None:
    """An idle GPU, then one on which others compute; the last of them goes on."""
    found: dict[str, Row] = {}
    polls: list[tuple[float, int]] = []

    def looked(kind: str, seconds: float, child: Child | None) -> Row:
        since = time.monotonic()
        given = seen(BASE_HZ, seconds, window_s=seconds if child else 0.0)
        polls[:] = given.polls
        row = found[kind] = summary(given) | {"rhythm": given.rhythm}
        if child is not None:
            window = slowdown.Window(0, since, time.monotonic(), 0, 0)
            row["step_s"] = slowdown.medians(child.steps(), [window])[0]["median_step_s"]
        return row

    answer.part("others, idle", lambda: looked("idle", LOOK_S, None), 5.0)
    gemm = loads.let_go("gemm")
    if gemm is not None:
        if answer.part("others, gemm", lambda: looked("gemm", CLOCK_S, gemm), CLOCK_S + 2):
            answer.part("clock", lambda: clocks(polls))
        beside_clocks(answer)
        gemm.end()
    integer = loads.let_go("integer")
    if integer is not None:
        answer.part("others, integer", lambda: looked("integer", LOOK_S, integer), 5.0)
    tell_others(answer, found)


def beside_clocks(answer: Answer) -> None:
    """The GPU's clocks before, while and after there is a sampler; somebody else's products go on meanwhile."""
    found: dict[str, Row] = {}
    ask = partial(sampling_clocks.machine_clocks, LOOK_S)

    def while_sampled() -> Row:
        given = seen(BASE_HZ, 2 * LOOK_S, meanwhile=lambda: found.__setitem__("while it is sampled", ask()))
        return {"clocks": found["while it is sampled"], "sampler": rate_row(given)}

    before = answer.part("clocks before", ask, 2 * LOOK_S)
    sampled = answer.part("clocks while sampled", while_sampled, 4 * LOOK_S)
    after = answer.part("clocks after", ask, 2 * LOOK_S)
    if before and sampled and after:
        sampling_clocks.tell_clocks(answer.say, {"before": before} | found | {"after": after})
        if sampled["sampler"]["context"] is not None:
            own = "took a context of its own on the GPU" if sampled["sampler"]["context"] else "took no context"
            answer.say(f"others: the sampler {own}.")


def counted_over(answer: Answer) -> None:
    """What CUPTI says that the counters are collected over."""

    def ask() -> Row:
        driver = Watching()
        metrics = metric_sets.metric_set(metric_sets.architecture_of(driver.chip(0)))
        return {"scopes": driver.scopes(0, list(metrics.values()))}

    found = answer.part("scopes", ask)
    if found:
        sampling_clocks.tell_scopes(answer.say, found["scopes"])


def tell_others(answer: Answer, found: dict[str, Row]) -> None:
    """Sentences on values, rhythms and the clock."""
    for channel in dict.fromkeys(name for row in found.values() for name in row["channels"]):
        means = {name: row["channels"][channel]["mean_percent"] for name, row in found.items()}
        said = ", ".join(
            f"{name} {'no value' if mean is None else format(mean, '.3g')}" for name, mean in means.items()
        )
        answer.say(f"others: {channel}, percent of its peak in the mean: {said}.")
    for name, row in found.items():
        bad = {channel: got for channel, got in row["channels"].items() if got["missing"] or got["cannot_be"]}
        told = ", ".join(f"{channel} ({got['missing']} missing, {got['cannot_be']} under 0 or over the peak)"
                         for channel, got in bad.items())  # fmt: skip
        answer.say(f"values: {name}: of {row['samples']} samples, values that cannot be: {told or 'none'}.")
    for name, row in found.items():
        if row.get("step_s"):
            said = ", ".join(f"{pipe} {1e3 * got['period_s']:.2f} ms (strength {got['strength']:.2f})"
                             for pipe, got in row["rhythm"].items())  # fmt: skip
            answer.say(f"rhythm: {name}: a step took {1e3 * row['step_s']:.2f} ms in the median; "
                       f"periods found: {said or 'none'}.")  # fmt: skip
    clock = answer.found["results"].get("clock")
    if clock:
        answer.say(f"clock: over {clock['span_s']:.1f} s stamps of samples run {clock['drift_ppm']:.0f} ppm faster "
                   f"than the monotonic clock (standard error {clock['standard_error_ppm']:.0f}); the newest is "
                   f"{clock['unix_minus_stamp_s']:.3f} s behind the Unix clock, "
                   f"{clock['monotonic_minus_stamp_s']:.3f} s behind the monotonic one.")  # fmt: skip


def kept_company(answer: Answer) -> None:
    """Who else may count meanwhile."""
    found: dict[str, Row] = {}
    try:
        with RawGpm() as raw:
            ask = partial(company.gpm_windows, raw)

            def while_sampled() -> Row:
                found["while there is"] = {}
                given = seen(BASE_HZ, 2.0, meanwhile=lambda: found.__setitem__("while there is", ask()))
                return {"gpm": found["while there is"], "sampler": rate_row(given)}

            found["before there is"] = answer.part("GPM before", ask, 3.0)
            answer.part("GPM while sampled", while_sampled, 6.0)
            found["after there was"] = answer.part("GPM after", ask, 3.0)
            company.tell_gpm(answer.say, {name: row for name, row in found.items() if row})
    except HashwardenError as error:
        answer.leave(f"company: GPM: {error}")
    beside_others(answer)


def beside_others(answer: Answer) -> None:
    """A second sampler, an ordinary user, Nsight Compute, DCGM."""
    got: dict[str, Row] = {}
    nobody = answer.part("nobody", lambda: company.second(NOBODY), 8.0)
    if nobody:
        company.tell_second(answer.say, answer.leave, f"a sampler of uid {nobody['uids'][0]} alone", nobody)
    beside = answer.part("second sampler", lambda: rate_row(seen(
        BASE_HZ, 2.0, meanwhile=lambda: got.__setitem__("second", company.second(0)))), 10.0)  # fmt: skip
    if beside and "second" in got:
        answer.found["results"]["second sampler"] |= got
        company.tell_second(answer.say, answer.leave, "a second sampler beside one that runs", got["second"])
        answer.say(f"company: the first got {beside['samples']} samples meanwhile, {beside['lost']} lost.")
    ncu = company.tool("ncu")
    if ncu is None:
        answer.leave("company: Nsight Compute: ncu is not installed")
    else:
        alone = answer.part("Nsight Compute alone", lambda: company.beside_ncu(ncu), 15.0)
        given = answer.part("Nsight Compute beside", lambda: rate_row(seen(
            BASE_HZ, 2.0, meanwhile=lambda: got.__setitem__("ncu", company.beside_ncu(ncu)))), 15.0)  # fmt: skip
        if alone and given and "ncu" in got:
            answer.found["results"]["Nsight Compute beside"] |= {"ncu": got["ncu"]}
            company.tell_ncu(answer.say, answer.leave, alone, got["ncu"], given)
    if company.tool("nv-hostengine") is None and company.tool("dcgmi") is None:
        answer.leave("company: DCGM: it is not installed")
    else:
        answer.leave("company: DCGM: it is installed, but this script does not ask it")


def rates(answer: Answer) -> None:
    """How fast, with many counters and with few."""
    rows = []
    for width in ("wide", "core"):
        for rate in RATES:
            row = answer.part(f"rate {rate} Hz, {width}", lambda r=rate, w=width: rate_row(seen(r, RATE_S, width=w)),
                              RATE_S + 1.5)  # fmt: skip
            if row:
                rows.append(row | {"width": width})
                answer.found["results"].pop(f"rate {rate} Hz, {width}")
    answer.found["results"]["rates"] = rows
    tell_rates(answer, rows)


def tell_rates(answer: Answer, rows: list[Row]) -> None:
    """A sentence on each rate."""
    for row in rows:
        name = f"rates: {row['rate_hz']:,} Hz, {row['channels']} counters asked for as {row['width']}"
        if "share_of_wanted" not in row:
            answer.say(f"{name}: {row['samples']} samples in {row['seconds']:.2f} s, {row['overflows']} overflows.")
            continue
        between = row["between_ends_us"]
        answer.say(f"{name}: {row['share_of_wanted']:.1%} of the samples, {row['lost']} lost, {row['incomplete']} "
                   f"incomplete, {row['overflows']} overflows; {between['p50']:.1f} us apart (p1 {between['p1']:.1f}, "
                   f"p99 {between['p99']:.1f}, longest {between['longest']:.0f}); {row['share_of_a_core']:.0%} of a "
                   f"core; opened in {row['opened_in_s']:.2f} s.")  # fmt: skip


def cost(answer: Answer, loads: Loads) -> None:
    """A training beside sampling, and without it, in turns."""
    train = loads.let_go("train")
    if train is None:
        return
    time.sleep(SETTLE_S)
    row = answer.part("cost", lambda: beside_training(answer, train), 20.0)
    if not row or not row["windows"]:
        return
    for rate in COST_RATES[1:]:
        shares = [one["cpu_s"] / (one["stop"] - one["start"]) for one in row["windows"] if one["period_s"] == rate]
        answer.say(
            f"cost: sampling at {rate} Hz takes {sum(shares) / len(shares):.1%} of a core ({len(shares)} windows)."
        )
        for by in ("mean", "median"):
            got = slowdown.slower(row["windows"], rate, by, len(COST_RATES))
            name = f"cost: {by} time of a step of {loads.on['train']} beside sampling at {rate} Hz"
            if got is None:
                answer.leave(f"{name}: too few windows with steps")
            else:
                answer.say(words(f"{name}, {got['rounds']} rounds", got))


def beside_training(answer: Answer, train: Child) -> Row:
    """Windows at each rate; 0 is none. The rate stands where the period of a recorder stands elsewhere."""
    rounds, window_s = slowdown.plan(answer.left_s - 2.0, 1.4 * len(COST_RATES))  # opening takes time, too
    if not rounds:
        answer.leave(f"cost: {answer.left_s:.0f} s left are too few")
        return {"windows": []}
    found = []
    for rate in turns(COST_RATES, rounds):
        if rate:
            with Sampler(0, rate_hz=rate, poll_s=0.1) as sampler:
                found.append(slowdown.Window(rate, *polled(sampler, window_s)))
        else:
            start = time.monotonic()
            time.sleep(window_s)
            found.append(slowdown.Window(0, start, time.monotonic(), 0.0, 0))
        if not train.runs:
            raise HashwardenError("the training ended", "one that goes on", "See what it said.")
    return {"windows": slowdown.medians(train.steps(), found)}


def polled(sampler: Sampler, seconds: float) -> tuple[float, float, float, int]:
    """Poll as the source does; start, stop, CPU seconds and polls."""
    used, start, polls = time.process_time(), time.monotonic(), 0
    while time.monotonic() < start + seconds:
        time.sleep(0.1)
        sampler.poll()
        polls += 1
    return start, time.monotonic(), time.process_time() - used, polls


def ask(answer: Answer) -> None:
    """All parts, one after the other."""
    try:
        Watching()
    except HashwardenError as error:
        answer.leave(f"everything: {error}")
        return
    with ExitStack() as stack:
        loads = Loads(answer, stack)
        others(answer, loads)
        counted_over(answer)
        kept_company(answer)
        rates(answer)
        loads.children["integer"].end()
        cost(answer, loads)
        answer.found["results"]["loads"] = loads.on


def main() -> int:
    """Run from the command line."""
    chosen = options(__doc__, 115)
    answer = Answer("sampling", QUESTION, chosen.out, chosen.limit)
    if "machine" not in answer.found:
        answer.leave("everything: no NVIDIA GPU, or no driver")
        return answer.end()
    ask(answer)
    return answer.end()


if __name__ == "__main__":
    raise SystemExit(main())
