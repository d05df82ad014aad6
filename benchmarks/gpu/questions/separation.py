"""What separates matrix-product proof of work from W8A8 inference, and from training.

One command, on recordings, without a GPU::

    python benchmarks/gpu/questions/separation.py --out results [--recorded data/job/recorded]

Each channel of each set of recordings, as it is and (for what units do) for an active multiprocessor: the median and
the spread over a run are one row a run, and the area under the ROC curve between runs says how well that alone tells
the two apart. Runs, not samples, are counted: samples of one run are not independent. Writes separation.json.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from hashwarden.model.channels import CHANNELS
from hashwarden.model.trace import Run

sys.path.insert(0, str(Path(__file__).parent))
from answer import Answer, options
from runs import RECORDED, runs_below, while_active

SETS = ("counters", "pm", "probe")
LEAST = 3
"""Fewer runs on a side tell nothing."""
SHOWN = 5
ANOTHERS = {"temperature_celsius", "memory_temperature_celsius", "fb_used_mib", "fb_used_ratio"}
"""Say how a workload was set up, or what ran before, rather than what it does."""


def side(run: Run) -> str:
    """Which of the three a run is; empty for others."""
    if run.label == "mining":
        return "matmul-pow" if run.family == "matmul-pow" else ""
    if run.label == "inference":
        return "w8a8" if run.family == "w8a8" else ""
    return "training" if run.label == "training" else ""


def row(run: Run) -> dict[str, float]:
    """One number for each thing that a run shows."""
    found: dict[str, float] = {}
    for place, channel in enumerate(CHANNELS):
        values = run.values[:, place].astype(float)
        if channel.name not in ANOTHERS and np.isfinite(values).mean() > 0.1:
            found[channel.name] = float(np.nanmedian(values))
            found[f"{channel.name}, spread"] = float(np.nanpercentile(values, 90) - np.nanpercentile(values, 10))
    for name, values in while_active(run).items():
        if name != "active" and len(values):
            found[f"{name}, while active"] = float(np.median(values))
    return found


def area(first: np.ndarray, second: np.ndarray) -> float:
    """Share of pairs in which the first is larger; half where they are equal."""
    larger = first[:, None] > second[None, :]
    equal = first[:, None] == second[None, :]
    return float((larger + 0.5 * equal).mean())


def compared(first: list[dict[str, float]], second: list[dict[str, float]]) -> list[dict[str, Any]]:
    """All that both sides show, what tells most first; among equals, what differs most for its size."""
    found = []
    for name in sorted({name for each in (*first, *second) for name in each}):
        one, other = (np.array([each[name] for each in rows if name in each]) for rows in (first, second))
        if min(len(one), len(other)) >= LEAST:
            found.append({"what": name, "auroc": area(one, other), "runs": [len(one), len(other)],
                          "medians": [float(np.median(one)), float(np.median(other))]})  # fmt: skip
    return sorted(found, key=lambda each: (-abs(each["auroc"] - 0.5), -relative(*each["medians"])))


def relative(one: float, other: float) -> float:
    """Difference as a share of the larger of the two."""
    largest = max(abs(one), abs(other))
    return abs(one - other) / largest if largest else 0.0


def rows_of(folder: Path, name: str) -> dict[str, list[dict[str, float]]]:
    """Rows of the runs of a set, by side."""
    found: dict[str, list[dict[str, float]]] = {"matmul-pow": [], "w8a8": [], "training": []}
    for run in runs_below(folder, name):
        if which := side(run):
            found[which].append(row(run))
    return found


def measured(folder: Path) -> Iterator[dict[str, Any]]:
    """Both comparisons on every set that has the runs for them."""
    for name in SETS:
        rows = rows_of(folder, name)
        for other in ("w8a8", "training"):
            if found := compared(rows["matmul-pow"], rows[other]):
                yield {"set": name, "against": other, "runs": [len(rows["matmul-pow"]), len(rows[other])],
                       "channels": found}  # fmt: skip


def main() -> int:
    """Run from the command line."""
    given = options(__doc__, 600, ("--recorded", {"type": Path, "default": RECORDED}))
    question = "Which features separate matmul proof of work from W8A8 inference and from training?"
    answer = Answer("separation", question, given.out, given.limit)
    for each in answer.part("comparisons", lambda: list(measured(given.recorded))) or []:
        best = "; ".join(
            f"{one['what']} {one['auroc']:.2f} ({one['medians'][0]:.3g} against {one['medians'][1]:.3g})"
            for one in each["channels"][:SHOWN]
        )
        mine, other = each["runs"]
        answer.say(f"{mine} runs of matmul proof of work against {other} of {each['against']} ({each['set']}): {best}.")
    if not answer.found["answers"]:
        answer.leave(f"fewer than {LEAST} runs on a GPU of matmul proof of work, or of what it is compared with")
    answer.end()
    return 1 if answer.failed else 0


if __name__ == "__main__":
    raise SystemExit(main())
