"""What recording costs: CPU of the recorder, and time of a training step beside it. Part of telemetry.py; no command.

A GPU's clock falls as it warms, so that what comes later is slower. Windows without and with recording therefore take
turns, in an order drawn for each round, and a window is only compared with the one without recording in its round.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from telemetry_process import Child
from windows import rate, turns, words

from hashwarden.errors import HashwardenError

__all__ = ["PERIODS", "Window", "medians", "plan", "recorded", "slower", "tell", "windows"]

PERIODS = (0.0, 1.0, 0.2, 0.1)
"""Seconds; 0 is no recording."""
ROUNDS, MOST_ROUNDS, LEAST_ROUNDS = 6, 10, 4
WINDOW_S, SHORT_WINDOW_S, BETWEEN_S = 2.95, 1.95, 0.1
"""A tick comes at the start of a window and none at its end, so that there is one for each second at 1 Hz."""
REPLY_S, DRAWS = 10.0, 4000
Row = dict[str, Any]


@dataclass
class Window:
    """Recording at one period for a while; times of the monotonic clock."""

    period_s: float
    start: float
    stop: float
    cpu_s: float
    ticks: int
    clock_mhz: float | None = None


def plan(left_s: float, conditions: int = len(PERIODS)) -> tuple[int, float]:
    """Rounds and seconds of a window that fit into the time; no rounds if too few fit."""
    for window_s, least in ((WINDOW_S, ROUNDS), (SHORT_WINDOW_S, LEAST_ROUNDS)):
        rounds = int(left_s / (conditions * (window_s + BETWEEN_S)))
        if rounds >= least:
            return min(rounds, MOST_ROUNDS), window_s
    return 0, SHORT_WINDOW_S


def windows(
    train: Child, recorder: Child, rounds: int, window_s: float, clock_mhz: Callable[[], float | None]
) -> list[Window]:
    """Let the recorder change its period, window after window, while the training goes on.

    Raises
    ------
    HashwardenError
        If either ends.
    """
    found: list[Window] = []
    before = told(recorder, 0.0)
    for period in turns(PERIODS, rounds):
        before = told(recorder, period)
        start = time.monotonic()
        time.sleep(window_s)
        stop = time.monotonic()
        after = told(recorder, 0.0)
        if not train.runs:
            raise HashwardenError("the training ended", "one that goes on", "See what it said.")
        cpu, ticks = after["cpu_s"] - before["cpu_s"], after["ticks"] - before["ticks"]
        found.append(Window(period, start, stop, cpu, ticks, clock_mhz()))
    return found


def told(recorder: Child, period_s: float) -> Row:
    """Give it a period; what it has used so far."""
    recorder.tell(f"{period_s:g}")
    return recorder.said(REPLY_S)


def medians(steps: Sequence[float], found: Sequence[Window]) -> list[Row]:
    """Each window with its steps a second, and with the median time of a step."""
    times = np.asarray(steps)
    rows = []
    for one in found:
        inside = times[(times >= one.start) & (times < one.stop)]
        median = float(np.median(np.diff(inside))) if len(inside) > 2 else None
        rows.append(asdict(one) | {"steps_per_s": rate(steps, one.start, one.stop), "median_step_s": median})
    return rows


def slower(rows: Sequence[Row], period_s: float, by: str, conditions: int = len(PERIODS)) -> Row | None:
    """How much slower steps are with recording than without, in percent, round by round; None for too few rounds.

    Parameters
    ----------
    rows : sequence of dict
        Of `medians`, round after round.
    period_s : float
        Of the recording.
    by : str
        "mean": time of a step over the window, in which every pause shows. "median": that of the middle step.
    conditions : int
        Windows of a round.
    """
    key = {"mean": "steps_per_s", "median": "median_step_s"}[by]
    ratios = []
    for start in range(0, len(rows), conditions):
        one = {row["period_s"]: row[key] for row in rows[start : start + conditions]}
        with_it, without = one.get(period_s), one.get(0.0)
        if with_it and without:
            ratios.append(without / with_it - 1 if by == "mean" else with_it / without - 1)
    if len(ratios) < LEAST_ROUNDS:
        return None
    drawn = np.median(np.random.default_rng(1).choice(ratios, (DRAWS, len(ratios))), axis=1)
    low, high = np.percentile(drawn, (2.5, 97.5)).tolist()
    return {
        "rounds": len(ratios), "slower_percent": 100 * float(np.median(ratios)),
        "interval_95_percent": [100 * low, 100 * high],
    }  # fmt: skip


def recorded(rows: Sequence[Row]) -> Row:
    """Of the recorder at each period: ticks a second, share of a core, CPU time a tick."""
    found: Row = {}
    for period in PERIODS[1:]:
        mine = [row for row in rows if row["period_s"] == period]
        seconds = sum(row["stop"] - row["start"] for row in mine)
        ticks, cpu = sum(row["ticks"] for row in mine), sum(row["cpu_s"] for row in mine)
        if ticks:
            found[f"{period:g}"] = {
                "ticks_per_s": ticks / seconds, "share_of_a_core": cpu / seconds, "cpu_ms_per_tick": 1e3 * cpu / ticks
            }  # fmt: skip
    return found


def tell(say: Callable[[str], None], leave: Callable[[str], None], rows: Sequence[Row], on: str) -> Row:
    """Sentences on cost and slowdown; gives the numbers behind them."""
    result: Row = {"recorder": recorded(rows), "slowdown": {}}
    for period, row in result["recorder"].items():
        say(f"cost: recording every {period} s ({row['ticks_per_s']:.2f} ticks a second, source nvml, journal on "
            f"disk) takes {row['share_of_a_core']:.2%} of a core, {row['cpu_ms_per_tick']:.2f} ms a tick.")  # fmt: skip
    lengths = [row["stop"] - row["start"] for row in rows]
    for period in PERIODS[1:]:
        for by in ("mean", "median"):
            row = slower(rows, period, by)
            name = f"slowdown: {on}, {by} time of a step with recording at {1 / period:g} Hz"
            if row is None:
                leave(f"{name}: fewer than {LEAST_ROUNDS} rounds with steps in both windows")
                continue
            result["slowdown"][f"{period:g} s, {by}"] = row
            within = f"slowdown: {row['rounds']} windows of {np.median(lengths):.1f} s each"
            say(words(f"{within}, {name.removeprefix('slowdown: ')}", row))
    return result
