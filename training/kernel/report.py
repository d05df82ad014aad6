"""The evaluation report in Markdown, from the numbers of `hashwarden.training.kernel.evaluate`."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

__all__ = ["write_report"]


def write_report(result: dict[str, Any], path: Path) -> Path:
    """Write the report.

    Parameters
    ----------
    result : dict
        The content of ``kernel-evaluation.json``.
    path : Path
        The Markdown file; the pictures lie beside it.
    """
    parts = [
        _head(result),
        _lineages(result),
        _by_lineage(result),
        _families(result),
        _compiler(result),
        _files(result),
        _padding(result),
        _pictures(),
    ]
    path.write_text("\n".join(parts), encoding="utf-8")
    return path


def _head(result: dict[str, Any]) -> str:
    machine = result["machine"]
    return f"""# Evaluation of the kernel model

Made by `hashwarden evaluate kernel` on {result["date"]} ({machine["processor"]}, Python {machine["python"]}, torch
{machine["torch"]}, {result["seconds"]} s, seed {result["seed"]}). Measured on {result["measured_on"]}.

Kernels of 40 instructions or more, helpers of miners left out. "Plain" kernels do no hash work; "found" is the share of
mining kernels above the score that one plain kernel in 1,000 passes; a lineage counts as found with one kernel.
The further tables (own workloads, more packages) are only ever learned from, never scored.
"""


def _rows(measured: dict[str, Any]) -> str:
    return "\n".join(
        f"| {name} | {m['auroc_plain']:.4f} | {m['auroc_other']:.3f} | {m['found']:.1%} "
        f"| {m['found_lineages']} of {m['lineages']} |"
        for name, m in measured.items()
    )


def _compiler(result: dict[str, Any]) -> str:
    found = result["unseen_compiler"]
    kernels = ", ".join(f"{count} {name}" for name, count in found["kernels"].items())
    return f"""## A compiler that was never seen

This project's Numba programs, compiled for four architectures ({kernels}), judged by networks that learned from
nvcc's and NVRTC's output only. The algorithms are known to them from CUDA C; the front end is not. "Found" is the
share above the highest score of a plain Numba kernel.

{_HEADER}
{_rows(found["measured"])}
"""


_HEADER = "| scored by | AUROC, plain | AUROC, other hash | found | lineages |\n| --- | --- | --- | --- | --- |"


def _lineages(result: dict[str, Any]) -> str:
    parts = [f"### Learned from: {name}\n\n{_HEADER}\n{_rows(m)}\n" for name, m in result["unseen_lineages"].items()]
    return """## Lineages that were never seen

One mining lineage (kin together) and a twelfth of the benign sources held out at a time, scores pooled. "Judged
together" adds what the other kernels of the same program or library tell; each fold is calibrated on the other folds.

""" + "\n".join(parts)


def _by_lineage(result: dict[str, Any]) -> str:
    measured = result["unseen_lineages"]["all tables"]
    names = list(measured)
    head = "| lineage | " + " | ".join(names) + " |\n| --- |" + " --- |" * len(names)
    lineages = measured[names[0]]["by_lineage"]
    rows = "\n".join(
        f"| {line} | " + " | ".join(f"{measured[n]['by_lineage'][line]:.0%}" for n in names) + " |" for line in lineages
    )
    return f"### Found by lineage, learned from all tables\n\n{head}\n{rows}\n"


def _families(result: dict[str, Any]) -> str:
    families = result["unseen_families"]
    rows = "\n".join(f"| {name} | {n} | {share:.0%} |" for name, (share, n) in families["found_by_family"].items())
    return f"""## Families that were never seen

Mining families dealt out over twelve folds; a family that is held out is held out in every repository and among the own
kernels. Other kernels of the same repository may be learned from: this asks for new algorithms, not for new authors.

{_HEADER}
{_rows(families["measured"])}

| family | kernels | found |
| --- | --- | --- |
{rows}
"""


def _files(result: dict[str, Any]) -> str:
    files = result["files"]
    table = []
    for truth in ("plain", "hash", "mining"):
        counts = Counter(f["verdict"] for f in files if f["truth"] == truth)
        table.append(
            f"| {truth} | {sum(counts.values())} | " + ", ".join(f"{n} {v}" for v, n in counts.most_common()) + " |"
        )
    alarms = [f for f in files if f["truth"] == "plain" and f["verdict"].startswith("hash")]
    missed = [f for f in files if f["truth"] == "mining" and f["verdict"] != "hash: mining-like"]
    named = [
        f"- false alarm: {f['source']} {f['file']} ({f['kernels']} kernels): {f['verdict']}, chance {f['chance']:.2g}"
        for f in alarms
    ]
    named += [
        f"- not called mining: {f['source']} ({f['kernels']} kernels): {f['verdict']}, chance {f['chance']:.2g}"
        for f in missed
    ]
    return f"""## Files

The file rule on held-out sources, its numbers fitted on the others. A repository is one file, each library of a package
is one; "hash" files hold some hash work that is no mining.

| truth | files | verdicts |
| --- | --- | --- |
{chr(10).join(table)}

{chr(10).join(named) or "No false alarm and no miss."}
"""


def _padding(result: dict[str, Any]) -> str:
    padding = result["padding"]
    ratios = padding["ratios"]
    rows = "\n".join(
        f"| {kind} | " + " | ".join(f"{s:.0%}" for s in shares) + " |"
        for kind, shares in padding["found"].items()
        if len(shares) == len(ratios)
    )
    hidden = padding["found"].get("constants hidden", [float("nan")])[0]
    return f"""## Evasion

Unseen mining kernels, each alone, with dummy work added inside the loop: share still found at 1 in 1,000. The
network was trained with these kinds of dummy work (on other lineages), done to counts: padding of another kind, or
made by a compiler around real code, was not measured.

| added per instruction | {" | ".join(f"{r:g}" for r in ratios)} |
| --- |{" --- |" * len(ratios)}
{rows}

With all known constants hidden and no padding: {hidden:.0%}.
"""


def _pictures() -> str:
    return """## Pictures

![ROC](roc.png)
![Score by source](score-by-source.png)
![Confusion](confusion.png)
![Calibration](calibration.png)
![Padding](padding.png)
"""
