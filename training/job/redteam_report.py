"""The red team's report in Markdown, from the numbers of `redteam.json`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from hashwarden.training.job.report_words import TIER_NAMES, minutes, number, per_cent, rate, table

__all__ = ["write_report"]

Result = Mapping[str, Any]

WAY: Final = """\
The attacker knows the settings of his miner and what each brought, and nothing else: no gradient, no score of the
detector. He chooses the family of mining, the way to hide it, and all settings of that way; how the miner itself works
(its cycle, its memory, its pool) is drawn anew for each run. A short run is tried first and is enough if he is
confirmed in it; bursts and slow starts have their whole day at once.

- **share kept**: hashes made over those of the same miner at full speed, over the whole time.
- **missed**: the part of a candidate's runs (seeds) that was not confirmed within the time.
- **hash rate left**: the share kept if at least half of the runs were missed, else 0.
- **expected**: share kept times missed.
- **gained**: hashes made before he was confirmed, over those of full speed for the whole time: what is climbed."""

CHECKED: Final = """\
The best candidate of each pair, tried again with seeds that the search never saw, over the whole time: the best of many
tries always looks better than it is. Those that gained the most come first, and more follow until none is left that the
search saw keep more than what is kept here, or there is no more room: how many were left is said above. The first line
of each set of counters is the residual hash rate to quote."""

NOT_SAID: Final = """\
The search is as good as its budget: what it did not find may exist. An attacker who may query the detector as often as
he likes, or who has its gradients, would find more. Evaders of `redteam-evaders.json` can be played again
(`hashwarden redteam --replay FILE`) and belong in the next training."""


def write_report(result: Result, path: Path) -> Path:
    """Write the report.

    Parameters
    ----------
    result : mapping
        The content of ``redteam.json``.
    path : Path
        The Markdown file; the pictures lie beside it.
    """
    parts = [_head(result), _honest(result), _short(result), _checked(result)]
    parts += [_cells(result, tier) for tier in result["tiers"]]
    parts.append(f"## What this does not say\n\n{NOT_SAID}\n\n{_PICTURES}")
    path.write_text("\n".join(parts), encoding="utf-8")
    return path


_PICTURES: Final = """## Pictures

![Hash rate left by family and strategy](redteam-residual.png)
![Candidates: share kept against runs missed](redteam-candidates.png)
"""


def _head(result: Result) -> str:
    machine, place = result["machine"], result["place"]
    return f"""# Red team

Made by `hashwarden redteam` on {result["date"]} ({machine["processor"]}, {result["seconds"]} s, seed {result["seed"]})
against {result["model"]}. **Measured on {result["measured_on"]}.**

{result["candidates"]} candidates, {result["seeds"]} runs each, on a {place["gpu"]}, a sample every
{place["period_s"]:g} s, watched for {minutes(place["horizon_s"])} at most.

{WAY}
"""


def _honest(result: Result) -> str:
    rows = []
    for tier, told in result["honest"].items():
        raised = "as calibrated" if told["raised_to"] is None else f"by a log evidence of {told['raised_to']:.1f}"
        rows.append([TIER_NAMES[tier], rate(told["alarms"]), ", ".join(told["flagged"]) or "none", raised])
    head = ["counters", "false alarms per 1,000 GPU-days", "called mining", "evidence asked for"]
    days = max((told["alarms"]["gpu_days"] for told in result["honest"].values()), default=0.0)
    return f"""## The operating point

{result["rate"]:g} false alarm per 1,000 GPU-days. The evidence is that of the model as it was calibrated; honest jobs
of {result["honest_hours"]:g} h, of every kind and GPU, that neither fit nor calibration saw were watched before the
attack, and where one was confirmed, the evidence asked for was raised above it. {number(days, 0)} GPU-days can only
bound so low a rate, not show it: the table says how far. {result["note"]}

{table(head, rows)}
"""


def _short(result: Result) -> str:
    rows = []
    for tier, told in result["by_tier"].items():
        left, worst = told["residual"], (told["checked"] or [{}])[0]
        what = f"{worst['family']}, {worst['strategy']}" if worst else "none"
        counts = [str(told["tried"]), str(len(told["checked"])), str(told["unchecked"])]
        rows.append([TIER_NAMES[tier], per_cent(left), per_cent(told["expected"]), what, *counts])
    head = ["counters", "hash rate left", "expected", "best candidate", "candidates", "tried again",
            "seen to keep more, not tried again"]  # fmt: skip
    return f"## In short\n\nAim: under 5 %.\n\n{table(head, rows)}\n"


def _checked(result: Result) -> str:
    rows = []
    for tier, told in result["by_tier"].items():
        for one in told["checked"]:
            changes = ", ".join(f"{name} {value:.3g}" for name, value in one["changes"].items()) or "none"
            rows.append([TIER_NAMES[tier], one["family"], one["strategy"], per_cent(one["share"]),
                         f"{per_cent(one['missed'])} of {one['seeds']}", per_cent(one["residual"]),
                         per_cent(one["expected"]), one["origin"], changes])  # fmt: skip
    head = [
        "counters",
        "family",
        "strategy",
        "share kept",
        "missed",
        "hash rate left",
        "expected",
        "found by",
        "settings",
    ]
    return f"## The best evaders, tried again\n\n{CHECKED}\n\n{table(head, rows)}\n"


def _cells(result: Result, tier: str) -> str:
    cells = result["by_tier"][tier]["cells"]
    strategies = list(next(iter(cells.values())))
    rows = [[family, *(_cell(of[strategy]) for strategy in strategies)] for family, of in cells.items()]
    said = "Hash rate left by the best candidate of each pair, as the search saw it; in brackets what it gained."
    return f"## {TIER_NAMES[tier]}\n\n{said}\n\n{table(['family', *strategies], rows)}\n"


def _cell(one: Mapping[str, Any]) -> str:
    return f"{one['residual']:.0%} ({one['gained']:.1%})"
