"""The words and the cells of the reports: how numbers are written, and what is said beside them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

__all__ = [
    "AIMS", "ANCHORS", "PICTURES", "TIER_NAMES", "WAY", "count", "minutes", "number", "per_cent", "rate", "table",
]  # fmt: skip

TIER_NAMES: Final = {"nvml": "plain NVML", "gpm": "GPM", "gpm+code": "GPM and code", "all": "all"}

AIMS: Final = """\
Aims: 95 % found of the hardest unseen strategy; mining at full speed confirmed within 60 s; a residual hash rate
under 5 % (the red team's report)."""

ANCHORS: Final = """\
The strongest published work on such counters (arXiv 2606.19262: nine NVML counters at 1 Hz, a random forest, recorded
on nine GPU models) tells training from the rest with 98.2 %, and finds 43 to 87 % of its hardest evasions where these
were left out. It asks another question, of other and recorded data: its numbers and these cannot be compared one by
one. Its method can, so it is built anew here (its code and data are not public) and runs on the same splits."""

WAY: Final = """\
Runs are split whole, never by row. In each fold one family of mining, one way to hide it, or one GPU is held out of
everything that learns, and a fifth of the kinds of honest work with it; honest runs of the other kinds are dealt to
the fit, to the choice of what the evidence pays, to its calibration, and to the test. Baselines get the same runs.
What the kernel model says of a mining kernel comes from a kernel model that never learned its family. "Found" is a
mining run that was `confirmed` before it ended; "hash rate left" is the part of the full hash rate that runs never
confirmed kept, mean over runs; a run that mines only later is timed from there. In brackets: 95 % intervals (Garwood
for rates; at no alarm the upper end alone); an honest run that several folds test counts once for them."""

PICTURES: Final = """## Pictures

All of synthesised runs, unless a legend says recorded.

![AUROC by fold and tier](job-auroc.png)
![Share found over time](job-time-to-detect.png)
![Found against false alarms](job-false-alarms.png)
![Confusion](job-confusion.png)
"""


def number(value: float | None, digits: int = 3) -> str:
    """Write a number, or that there is none."""
    return "none" if value is None else f"{value:,.{digits}f}"


def count(value: int) -> str:
    """Write a count."""
    return f"{value:,}"


def per_cent(value: float | None) -> str:
    """Write a share."""
    return "none" if value is None else f"{value:.1%}".replace(".0%", "%").replace("%", " %")


def minutes(seconds: float | None) -> str:
    """Write a time to detect; no number means that it never came."""
    if seconds is None:
        return "never"
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def rate(alarms: Mapping[str, Any]) -> str:
    """Write a rate of false alarms with its interval and what it was counted from."""
    if alarms["rate"] is None:
        return "none tested"
    counted = f"{alarms['count']} in {alarms['gpu_days']:.1f} days"
    if alarms["distinct_days"] < 0.99 * alarms["gpu_days"]:
        counted += f", {alarms['distinct_days']:.1f} distinct"
    if not alarms["count"]:
        return f"under {alarms['high']:,.0f} ({counted})"
    return f"{alarms['rate']:,.0f} [{alarms['low']:,.0f}, {alarms['high']:,.0f}] ({counted})"


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Lay out a table in Markdown."""
    lines = ["| " + " | ".join(head) + " |", "|" + " --- |" * len(head)]
    return "\n".join([*lines, *("| " + " | ".join(row) + " |" for row in rows)])
