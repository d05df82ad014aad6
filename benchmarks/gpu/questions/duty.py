"""Whether the mix of instructions while active stays put when a miner idles on purpose.

One command, on recordings, without a GPU::

    python benchmarks/gpu/questions/duty.py --out results [--recorded data/job/recorded]

For each workload that was recorded plain and under ``throttle`` or ``duty-cycle`` on the same GPU: each unit's share of
the time that multiprocessors were active, its median in both recordings, and what it has to do with how active they
are. Writes duty.json.
"""

from __future__ import annotations

import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np

from hashwarden.model.trace import Run

sys.path.insert(0, str(Path(__file__).parent))
from answer import Answer, options
from runs import MIX, RECORDED, runs_below, while_active

IDLING = ("throttle", "duty-cycle")
LEAST = 20
STILL = 0.05
"""A unit's share that moves by less is said to stay put."""


def pairs(runs: list[Run]) -> list[tuple[Run, Run]]:
    """Each recording of idling on purpose, with the plain one of the same workload and GPU."""
    plain: dict[tuple[str, str], Run] = {}
    for run in runs:
        if run.strategy == "plain" and run.name == run.info.parameters.get("workload"):
            plain.setdefault((run.info.gpu, run.name), run)
    keys = ((run, (run.info.gpu, str(run.info.parameters.get("workload")))) for run in runs if run.strategy in IDLING)
    return [(plain[key], run) for run, key in keys if key in plain]


def rank_correlation(first: np.ndarray, second: np.ndarray) -> float:
    """Spearman's, ties in the order of time; NaN where one of them stands still."""
    if min(first.std(), second.std()) < 1e-6:
        return float("nan")
    ranks = [np.argsort(np.argsort(values, kind="stable"), kind="stable") for values in (first, second)]
    return float(np.corrcoef(*ranks)[0, 1])


def compared(plain: Run, hidden: Run) -> dict[str, Any] | None:
    """How far the mix moved; None if one of them was hardly ever active."""
    before, after = while_active(plain), while_active(hidden)
    names = [name for name in MIX if name in before and name in after]
    if not names or min(len(before["active"]), len(after["active"])) < LEAST:
        return None
    return {
        "run": hidden.name,
        "gpu": hidden.info.gpu,
        "family": hidden.family,
        "samples": [len(before["active"]), len(after["active"])],
        "active": [float(np.median(before["active"])), float(np.median(after["active"]))],
        "plain": {name: float(np.median(before[name])) for name in names},
        "hidden": {name: float(np.median(after[name])) for name in names},
        "moved": {name: float(np.median(after[name]) - np.median(before[name])) for name in names},
        "follows_activity": {name: rank_correlation(after[name], after["active"]) for name in names},
    }


def sentences(rows: list[dict[str, Any]]) -> list[str]:
    """What the rows say."""
    gpus = ", ".join(sorted({row["gpu"] for row in rows}))
    found = [f"{len(rows)} recordings of miners that idle on purpose, beside the same miner at full speed ({gpus})."]
    moved: dict[str, list[tuple[float, str]]] = defaultdict(list)
    for row in rows:
        for name, value in row["moved"].items():
            moved[name].append((abs(value), row["run"]))
    for name, values in moved.items():
        worst, run = max(values)
        still = sum(value < STILL for value, _ in values)
        middle = float(np.median([value for value, _ in values]))
        found.append(
            f"`{name}` of the active time moves by {middle:.3f} in the median, {worst:.3f} at most ({run}); "
            f"by less than {STILL} in {still} of {len(values)}."
        )
    return found


def main() -> int:
    """Run from the command line."""
    given = options(__doc__, 600, ("--recorded", {"type": Path, "default": RECORDED}))
    question = "Does the mix while multiprocessors are active stay put under duty cycling?"
    answer = Answer("duty", question, given.out, given.limit)

    def measure() -> list[dict[str, Any]]:
        found = [compared(*pair) for pair in pairs(list(runs_below(given.recorded)))]
        return [row for row in found if row is not None]

    rows = answer.part("pairs", measure)
    if rows:
        for sentence in sentences(rows):
            answer.say(sentence)
    elif rows is not None:
        answer.leave("no miner was recorded on a GPU both plain and idling on purpose")
    answer.end()
    return 1 if answer.failed else 0


if __name__ == "__main__":
    raise SystemExit(main())
