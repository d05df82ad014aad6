"""The evaluation report of the job model in Markdown, from the numbers of `job-evaluation.json`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from hashwarden.training.job.report_words import (
    AIMS,
    ANCHORS,
    PICTURES,
    TIER_NAMES,
    WAY,
    count,
    minutes,
    number,
    per_cent,
    rate,
    table,
)

__all__ = ["write_report"]

AXIS_TITLES: Final = {
    "family": "Families of mining that were never seen",
    "strategy": "Ways to hide that were never seen",
    "gpu": "GPUs that were never seen",
}
PEER: Final = "XGBoost, all channels"
"""The strongest peer, which reads all that the network reads."""
Result = Mapping[str, Any]


def write_report(result: Result, path: Path) -> Path:
    """Write the report.

    Parameters
    ----------
    result : mapping
        The content of ``job-evaluation.json``.
    path : Path
        The Markdown file; the pictures lie beside it.
    """
    parts = [_head(result), _short(result), *(_axis(result, axis) for axis in result["axes"]), _full_speed(result)]
    parts += [_grouped(result, "by_family", "family"), _grouped(result, "by_strategy", "strategy"), _matmul(result)]
    parts += [_kinds(result), _origin(result), _folds(result), PICTURES]
    path.write_text("\n".join(part for part in parts if part), encoding="utf-8")
    return path


def _head(result: Result) -> str:
    machine, corpus = result["machine"], result["corpus"]
    return f"""# Evaluation of the job model

Made by `hashwarden evaluate job` on {result["date"]} ({machine["processor"]}, Python {machine["python"]}, torch
{machine["torch"]}, {result["seconds"]} s, seed {result["seed"]}). **Measured on {result["measured_on"]}.**

{corpus["runs"]} runs ({corpus["mining"]} mine, {corpus["honest"]} do not), {number(corpus["gpu_hours"], 0)} GPU-hours,
{corpus["kinds"]} kinds of honest work, GPUs: {", ".join(corpus["gpus"])}. Network: {result["recipe"]}.

{WAY}
Evidence: calibrated for a false-alarm probability of {result["alpha"]:g} for each run, or the least that the honest
runs of a fold can answer for ({result["calibrate_least"]} to {result["calibrate_most"]} runs): at worst
{result["alpha_most"]:.2g}.
{result["evidence_note"]}
"""


def _short(result: Result) -> str:
    """Give the aims, the anchors, and what is, beside the best of the peers."""
    rows = []
    for axis, models in result["axes"].items():
        for tier, m in models.get("hashwarden", {}).items():
            hardest, peer = m["hardest"], models.get(PEER, {}).get(tier)
            beside = [number(peer["auroc_run"]), per_cent(peer["found"]["share"])] if peer else ["", ""]
            own = [number(m["auroc_run"]), per_cent(m["found"]["share"])]
            rows.append([axis, TIER_NAMES[tier], own[0], beside[0], own[1], beside[1],
                         f"{per_cent(hardest['share'])} ({hardest['held_out']})", rate(m["alarms"])])  # fmt: skip
    head = ["held out", "counters", "AUROC, run", f"of {PEER}", "found", f"by {PEER}", "found of the hardest",
            "false alarms per 1,000 GPU-days"]  # fmt: skip
    return f"## In short\n\n{table(head, rows)}\n\n{AIMS}\n\n{ANCHORS}\n"


def _axis(result: Result, axis: str) -> str:
    head = ["detector", "counters", "AUROC, run", "worst fold", "AUROC, sample", "found", "within (half, 9 in 10)",
            "hash rate left", "false alarms per 1,000 GPU-days", "of kinds unseen",
            "other hash work confirmed", "found at no alarm"]  # fmt: skip
    rows = [_axis_row(model, tier, m) for model, tiers in result["axes"][axis].items() for tier, m in tiers.items()]
    days = max(m["alarms"]["gpu_days"] for tiers in result["axes"][axis].values() for m in tiers.values())
    note = f"""The honest runs tested here are {number(days, 1)} GPU-days: they cannot show a rate of 1 per 1,000
GPU-days. "Found at no alarm" puts the threshold of the evidence just above all of them, for every detector alike: the
fairest comparison that so many days allow. Other hash work (password audit, proofs, checksums) is no honest run here:
the bound does not cover it, and a site that does such work exempts it."""
    return f"## {AXIS_TITLES[axis]}\n\n{table(head, rows)}\n\n{note}\n"


def _axis_row(model: str, tier: str, m: Mapping[str, Any]) -> list[str]:
    f, within = m["found"], (minutes(m["found"]["median_s"]), minutes(m["found"]["ninety_s"]))
    ranks = [number(m[key]) for key in ("auroc_run", "auroc_run_worst", "auroc_sample")]
    told = [per_cent(f["share"]), ", ".join(within), per_cent(f["residual"]), rate(m["alarms"])]
    same = per_cent(m["same_rate"]["found"]["share"])
    return [model, TIER_NAMES[tier], *ranks, *told, rate(m["alarms_unseen"]), "{} of {}".format(*m["other_hash"]), same]


def _full_speed(result: Result) -> str:
    rows = []
    for model, tiers in result["full_speed"].items():
        for tier, m in tiers.items():
            within = f"{m['within']} of {m['runs']}"
            rows.append([model, TIER_NAMES[tier], per_cent(m["share"]), within, minutes(m["median_s"]),
                         minutes(m["ninety_s"])])  # fmt: skip
    head = ["detector", "counters", "confirmed", "within 60 s", "half within", "9 in 10 within"]
    said = "Mining that hides nothing, each family judged by detectors that never saw it."
    return f"## Mining at full speed\n\n{said}\n\n{table(head, rows)}\n" if rows else ""


def _grouped(result: Result, key: str, word: str) -> str:
    measured = result[key].get("hashwarden")
    if not measured:
        return ""
    names = sorted({name for tier in measured.values() for name in tier})
    peers = [
        (model, tier) for model, tiers in result[key].items() if model != "hashwarden" for tier in list(tiers)[-1:]
    ]
    head = [word, "runs", *(TIER_NAMES[tier] for tier in measured), *(f"{m} ({TIER_NAMES[t]})" for m, t in peers)]
    rows = []
    for name in names:
        here = [tier.get(name) for tier in measured.values()]
        runs = next(m["runs"] for m in here if m)
        own = [_cell(m) for m in here]
        rows.append([name, str(runs), *own, *(_cell(result[key][m][t].get(name)) for m, t in peers)])
    return f"### Found by {word}, never seen, of the runs of any length\n\n{table(head, rows)}\n"


def _cell(m: Mapping[str, Any] | None) -> str:
    return f"{per_cent(m['share'])}, {minutes(m['median_s'])}" if m else "none"


def _matmul(result: Result) -> str:
    rows = []
    for model, tiers in result["matmul"].items():
        for tier, m in tiers.items():
            told = [f"{number(m['auroc'][name])} ({m['alarms'][name]} of {m['runs'][name]})" for name in m["auroc"]]
            rows.append(
                [model, TIER_NAMES[tier], *told, per_cent(m["found"]["share"]), minutes(m["found"]["median_s"])]
            )
    head = ["detector", "counters", "W8A8 inference", "all inference", "training", "found", "half within"]
    said = """The proof of work by int8 matrix products is tensor-bound like the work it hides among. It was held out of
every fit here. AUROC over runs against each kind of honest work; in brackets its false alarms."""
    return f"## The matmul proof of work on its own\n\n{said}\n\n{table(head, rows)}\n" if rows else ""


def _kinds(result: Result) -> str:
    lines = []
    for model, tiers in result["alarms_by_kind"].items():
        for tier, kinds in tiers.items():
            named = ", ".join(
                f"{kind} {c} of {n}" for kind, (c, n) in sorted(kinds.items(), key=lambda k: -k[1][0])[:6]
            )
            lines.append([model, TIER_NAMES[tier], named or "no false alarm"])
    told = table(["detector", "counters", "kinds"], lines)
    return f"## Other work that was called mining\n\nOver all folds.\n\n{told}\n"


def _origin(result: Result) -> str:
    rows: list[Sequence[str]] = []
    for origin, axes in result["origin"].items():
        if not axes:
            rows.append([origin, "none yet", "", "", "", "", ""])
        for axis, tiers in axes.items():
            for tier, m in tiers.items():
                counts = f"{count(m['mining'])} mining, {count(m['honest'])} honest"
                rows.append([origin, axis, TIER_NAMES[tier], counts, number(m["auroc_run"]), per_cent(m["found"]),
                             rate(m["alarms"])])  # fmt: skip
    head = ["origin", "held out", "counters", "tests", "AUROC, run", "found", "false alarms per 1,000 GPU-days"]
    return f"## Recorded and synthesised\n\n{table(head, rows)}\n"


def _folds(result: Result) -> str:
    rows = [
        [f["name"], f"{f['fit']}, {f['calibrate']}, {f['test']}", ", ".join(f["hidden_kinds"])] for f in result["folds"]
    ]
    return f"## Folds\n\n{table(['held out', 'runs to fit, calibrate, test', 'honest kinds that no fit saw'], rows)}\n"
