"""What docs/evidence.md shows: false alarms of simulated honest jobs over a month, and how long a miner stays unseen.

    python benchmarks/evidence.py

Writes benchmarks/results/evidence.json, docs/evidence-horizon.png and docs/evidence-delay.png. Everything is simulated:
scores are drawn from the processes in tests/model/honest_jobs.py, no network and no GPU takes part.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np

from hashwarden.model.sequential_calibration import BEYOND, WITHIN
from hashwarden.model.sequential_math import FRACTIONS, LEVEL, levels

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests" / "model"))
import honest_jobs  # noqa: E402

BOLD = np.array(FRACTIONS)
DAY, MONTH = 8640, 259_200
RUNS, JOBS, CALIBRATIONS, ALPHA = 2000, 500, 4, 1e-2
FORGETFUL, SLOW = honest_jobs.PHI, 0.997
TIMES = np.unique(np.geomspace(6, MONTH, 60).astype(int))


def _null(seed: int, blocks: int, phi: float) -> float:
    found = np.sort(levels(honest_jobs.sample(RUNS, blocks, seed, phi)))[::-1]
    return float(found[int(ALPHA * WITHIN * (RUNS + 1)) - 1])


def _curve(phi: float, blocks: int, *, bold: bool) -> dict[str, object]:
    """Share of honest jobs flagged by each time, mean over calibrations."""
    nulls = np.array([_null(100 + i, blocks, phi) for i in range(CALIBRATIONS)])
    late = LEVEL / (BEYOND * ALPHA)
    if bold:  # the same level, full bets for ever, Ville's threshold from the start
        when = honest_jobs.month(JOBS, MONTH, nulls, BOLD, MONTH, late, np.full(CALIBRATIONS, late), 7, phi)
    else:
        when = honest_jobs.month(JOBS, MONTH, nulls, BOLD, blocks, LEVEL, np.full(CALIBRATIONS, late), 7, phi)
    shares = [float(((when >= 0) & (when < t)).mean()) for t in TIMES]
    return {"null_levels": nulls.round(4).tolist(), "flagged": shares, "flagged_in_a_month": shares[-1]}


CASES = {
    "calibrated on 1 h": (FORGETFUL, 360, False),
    "calibrated on 10 min": (FORGETFUL, 60, False),
    "calibrated on 10 min, bets that do not shrink": (FORGETFUL, 60, True),
    "scores that remember for 1 h, calibrated on 10 min": (SLOW, 60, False),
}


def delays() -> list[dict[str, float]]:
    """Blocks until confirmation at a constant score, for each start, null level and horizon; -1 for over 30 days."""
    rows = []
    for horizon in (60, 360):
        for null in (0.02, 0.1, 0.3):
            for score in (0.95, 0.8, 0.6):
                for start in (0, 60, 360, DAY, 7 * DAY, 30 * DAY):
                    course = np.full(start + MONTH, score)
                    course[:start] = null / 4
                    late = LEVEL / (BEYOND * 1e-3)
                    when = honest_jobs.follow(course, null, BOLD, horizon, LEVEL, late)[0]
                    delay = int(when) - start + 1 if when >= 0 else -1
                    rows.append({"horizon": horizon, "null": null, "score": score, "start": start, "blocks": delay})
    return rows


def _axes(title: str, x: str, y: str):
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.5, 4.2), layout="constrained")
    axes = figure.add_subplot()
    axes.set(xscale="log", xlabel=x, ylabel=y)
    axes.set_title(title, fontsize=10)
    return figure, axes


def _draw_horizon(curves: dict[str, dict[str, object]]) -> None:
    figure, axes = _axes(
        f"Honest jobs ever confirmed, alpha {ALPHA:g} (simulated scores, {JOBS} jobs, {CALIBRATIONS} calibrations)",
        "hours watched", "share of honest jobs",
    )  # fmt: skip
    for name, curve in curves.items():
        axes.plot(TIMES / 360, np.maximum(curve["flagged"], 1e-5), label=name)
    axes.axhline(ALPHA, color="0.3", lw=0.8, ls="--")
    axes.set(yscale="log", ylim=(5e-4, 1))
    axes.legend(fontsize=8)
    figure.savefig(ROOT / "docs" / "evidence-horizon.png", dpi=140)


def _draw_delay(rows: list[dict[str, float]]) -> None:
    figure, axes = _axes(
        "Minutes from the start of mining to confirmed, alpha 0.001, calibrated on 10 min (constant score)",
        "hours of honest work before", "minutes until confirmed",
    )  # fmt: skip
    for null, style in ((0.02, "-"), (0.1, "--"), (0.3, ":")):
        for score, colour in ((0.95, "tab:red"), (0.8, "tab:orange"), (0.6, "tab:blue")):
            here = [r for r in rows if (r["horizon"], r["null"], r["score"]) == (60, null, score) and r["blocks"] > 0]
            hours = [max(r["start"], 6) / 360 for r in here]
            minutes = [r["blocks"] / 6 for r in here]
            axes.plot(
                hours, minutes, style, color=colour, marker="o", ms=2.5, label=f"score {score}, null level {null}"
            )
    axes.set(yscale="log", ylim=(0.25, 1000))
    axes.legend(fontsize=7, ncols=3, handlelength=4, loc="upper left")
    figure.savefig(ROOT / "docs" / "evidence-delay.png", dpi=140)


def main() -> None:
    curves = {name: _curve(phi, blocks, bold=bold) for name, (phi, blocks, bold) in CASES.items()}
    rows = delays()
    result = {
        "measured_on": "simulated scores; no network, no GPU", "alpha": ALPHA, "jobs": JOBS, "runs": RUNS,
        "calibrations": CALIBRATIONS, "hours": (TIMES / 360).round(4).tolist(), "false_alarms": curves, "delays": rows,
    }  # fmt: skip
    (ROOT / "benchmarks" / "results" / "evidence.json").write_text(json.dumps(result, indent=1) + "\n")
    _draw_horizon(curves)
    _draw_delay(rows)
    for name, curve in curves.items():
        print(
            f"{name}: {curve['flagged_in_a_month']:.4f} of honest jobs in a month, null levels {curve['null_levels']}"
        )


if __name__ == "__main__":
    main()
