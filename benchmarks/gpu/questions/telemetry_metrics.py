"""Which metrics of GPM answer, and what tells of a second process. Part of telemetry.py; not a command."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from telemetry_calls import ENTRIES, credible, entries, words
from telemetry_process import Child

from hashwarden.serve.sources.nvml_device import sees_host_pids

__all__ = ["median", "named_after", "newest", "ranges", "seen", "table", "tell_metrics", "tell_named", "tell_switches"]

CACHE = (164, 165)
SWITCHES = range(170, 210)
REQUESTS = tuple(range(172, 208, 5))
SHORT_S, IN_LONG, LONG = 0.2, 5, 2
"""Windows: so many short ones make a long one."""
LOOK_S, LATEST_S, OLDEST_S = 0.05, 6.0, 60.0
Row = dict[str, Any]


def median(values: Iterable[float | None]) -> float | None:
    """Of what is credible; None if nothing is."""
    kept = [value for value in map(credible, values) if value is not None]
    return statistics.median(kept) if kept else None


def ranges(numbers: Iterable[int]) -> str:
    """Short for many numbers: "1-3 7"."""
    found: list[list[int]] = []
    for number in sorted(numbers):
        if found and number == found[-1][1] + 1:
            found[-1][1] = number
        else:
            found.append([number, number])
    return " ".join(f"{low}-{high}" if high > low else f"{low}" for low, high in found)


def seen(raw: Any) -> Row:
    """Code of every metric; of those with an answer, the median over short windows and over long ones."""
    asked = tuple(range(1, max(raw.names) + 1))
    taken = [(time.monotonic(), raw.sample())]
    try:
        for _ in range(IN_LONG * LONG):
            time.sleep(SHORT_S)
            taken.append((time.monotonic(), raw.sample()))
        codes: dict[int, int] = {}
        for start in range(0, len(asked), ENTRIES):
            part = entries(raw.library, asked[start : start + ENTRIES], taken[0][1], taken[-1][1])
            codes |= {number: code for number, (code, _) in part.items()}
        good = tuple(number for number, code in codes.items() if code == 0)
        short, long = _windows(raw, good, taken, 1), _windows(raw, good, taken, IN_LONG)
    finally:
        for _, sample in taken:
            raw.free(sample)
    return {"codes": codes, "short": short, "long": long}


def _windows(raw: Any, numbers: Sequence[int], taken: Sequence[tuple[float, Any]], step: int) -> Row:
    """Seconds of a window in the median, and each metric's value in it."""
    pairs = list(zip(taken[:-step:step], taken[step::step], strict=True))
    values: dict[int, list[float]] = {number: [] for number in numbers}
    for (_, first), (_, second) in pairs:
        for start in range(0, len(numbers), ENTRIES):
            part = entries(raw.library, tuple(numbers[start : start + ENTRIES]), first, second)
            for number, (code, value) in part.items():
                if code == 0:
                    values[number].append(value)
    seconds = statistics.median(stop - start for (start, _), (stop, _) in pairs)
    return {"windows": len(pairs), "seconds": seconds, "values": {n: median(found) for n, found in values.items()}}


def table(raw: Any, found: dict[str, Row]) -> Row:
    """What was seen under each condition, short enough to be read."""
    answered = {n for row in found.values() for n, code in row["codes"].items() if code == 0}
    nothing = {n for n in answered if not any(of(found, n).values())}
    codes = {
        name: {str(code): ranges(n for n, c in row["codes"].items() if c == code) for code in {*row["codes"].values()}}
        for name, row in found.items()
    }
    rows = {
        f"{n} {raw.names.get(n, 'unnamed')}": {name: row["short"]["values"].get(n) for name, row in found.items()}
        for n in sorted(answered - nothing)
    }
    windows = {name: {key: row[key]["seconds"] for key in ("short", "long")} for name, row in found.items()}
    return {
        "ids_by_code": codes, "window_s": windows, "nothing_but_0_or_no_value": ranges(nothing),
        "median_of_short_windows": rows,
    }  # fmt: skip


def of(found: dict[str, Row], number: int, window: str = "short") -> dict[str, float | None]:
    """A metric under each condition."""
    return {name: row[window]["values"].get(number) for name, row in found.items()}


def listed(values: dict[str, float | None]) -> str:
    """Numbers with their conditions."""
    return ", ".join(f"{k} {'no value' if v is None else format(v, '.4g')}" for k, v in values.items())


def tell_metrics(say: Callable[[str], None], raw: Any, found: dict[str, Row], code_words: Callable[[int], str]) -> None:
    """Sentences on what answers."""
    for name, row in found.items():
        good = [n for n, code in row["codes"].items() if code == 0]
        real = [n for n in good if row["short"]["values"].get(n) is not None]
        say(f"metrics: {len(good)} of the ids 1 to {max(row['codes'])} have code 0 ({name}), "
            f"{len(real)} of them a credible value: {ranges(real) or 'none'}.")  # fmt: skip
    for number in CACHE:
        codes = {row["codes"].get(number, -1) for row in found.values()}
        said = listed(of(found, number)) if 0 in codes else "no answer: " + ", ".join(map(code_words, sorted(codes)))
        say(f"metrics: {number} {raw.names.get(number, '')}: {said}.")
    for name, row in found.items():
        good = [n for n in SWITCHES if row["codes"].get(n) == 0 and row["short"]["values"].get(n) is not None]
        others = sorted({row["codes"].get(n, -1) for n in SWITCHES} - {0})
        rest = "; codes of the others: " + ", ".join(map(code_words, others)) if others else ""
        say(f"metrics: of the context switches (170 to 209) {ranges(good) or 'none'} have a value ({name}){rest}.")


def tell_switches(say: Callable[[str], None], found: dict[str, Row]) -> Row:
    """Sentences on context switches; gives their rates and how they grow with the window."""
    result: Row = {}
    for number in REQUESTS:
        rates, grows = {}, {}
        for name, row in found.items():
            short, long = (row[key]["values"].get(number) for key in ("short", "long"))
            if short is not None:
                rates[name] = short / row["short"]["seconds"]
            if short and long is not None:
                grows[name] = long / short
        if any(rates.values()):
            result[str(number)] = {"per_s": rates, "long_window_over_short": grows}
            times = found[next(iter(found))]
            wider = times["long"]["seconds"] / times["short"]["seconds"]
            say(f"processes: context switches asked for (metric {number}, over windows of {SHORT_S:g} s, per second "
                f"if they count within the window): {listed(dict(rates))}.")  # fmt: skip
            if grows:
                said = ", ".join(f"{value:.2f} ({name})" for name, value in grows.items())
                say(f"processes: metric {number} over a window {wider:.1f} times as long is {said} times as large; "
                    f"a count would be {wider:.1f}, a rate 1.")  # fmt: skip
    if not result and any(of(found, n).get(k) is not None for n in REQUESTS for k in found):
        say("processes: the requests for context switches (172, 177 ... 207) are 0 under every condition.")
    return result


def named_after(raw: Any, started: float, since: int, children: Sequence[Child]) -> Row:
    """Until when nvmlDeviceGetProcessUtilization names two busy processes, and how old its samples are then.

    Parameters
    ----------
    raw : RawGpm
    started : float
        When the second one's first steps had ended, on the monotonic clock.
    since : int
        The newest time stamp that NVML gave before.
    children : sequence of Child
        Both.
    """
    library, busy, lags = raw.library, dict[int, int](), list[float]()
    after = None
    while time.monotonic() < started + LATEST_S and after is None:
        try:
            samples = library.nvmlDeviceGetProcessUtilization(raw.handle, since)
        except library.NVMLError as error:
            if error.value != library.NVML_ERROR_NOT_FOUND:
                return {"refused": words(error)}
            samples = []
        for one in samples:
            since = max(since, one.timeStamp)
            if one.pid and one.smUtil:
                busy[one.pid] = one.smUtil
                lags.append(time.time() - one.timeStamp / 1e6)
        if len(busy) >= 2:
            after = time.monotonic() - started
        time.sleep(LOOK_S)
    own = {child.pid for child in children}
    return {
        "named": len(busy), "after_s": after, "sm_util_percent": sorted(busy.values()), "host_pids": sees_host_pids(),
        "ours_among_them": len(own & set(busy)), "age_of_a_sample_s": median(lags), "looked_for_s": LATEST_S,
        "listed_as_running": _running(raw),
    }  # fmt: skip


def tell_named(say: Callable[[str], None], leave: Callable[[str], None], row: Row) -> None:
    """Sentences on what `named_after` found."""
    if "refused" in row:
        leave(f"processes: nvmlDeviceGetProcessUtilization: {row['refused']}")
        return
    if row["after_s"] is None:
        say(f"processes: nvmlDeviceGetProcessUtilization named {row['named']} busy processes of two within "
            f"{row['looked_for_s']:g} s.")  # fmt: skip
    else:
        say(f"processes: nvmlDeviceGetProcessUtilization named both busy processes {row['after_s']:.2f} s after the "
            f"second had ended its third step.")  # fmt: skip
    where = "" if row["host_pids"] else "; this is a PID namespace of its own, and NVML's numbers are the host's"
    say(f"processes: {row['ours_among_them']} of the two are named by the PIDs that they have here{where}.")
    age = row["age_of_a_sample_s"]
    if age is not None and abs(age) < OLDEST_S:
        say(f"processes: a sample was {age:.2f} s old when it was given, in the median.")
    elif row["named"]:
        leave("processes: how old samples are: their time stamps are not those of the Unix clock")


def newest(raw: Any) -> int:
    """The newest time stamp among samples of processes; 0 if there is none."""
    try:
        return max(one.timeStamp for one in raw.library.nvmlDeviceGetProcessUtilization(raw.handle, 0))
    except (raw.library.NVMLError, ValueError):
        return 0


def _running(raw: Any) -> int | None:
    try:
        return len(raw.library.nvmlDeviceGetComputeRunningProcesses(raw.handle))
    except raw.library.NVMLError:
        return None
