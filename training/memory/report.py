"""The page and the picture of the study of memory patterns."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

if TYPE_CHECKING:
    from hashwarden.training.memory.study import Study, Table

__all__ = ["write_report"]

COLOURS: Final = {
    "mining": "#b3261e",
    "hash-other": "#b8860b",
    "hpc-other": "#4b6a88",
    "training": "#2e7d4f",
    "inference": "#6a5acd",
}
_TOP: Final = 14

EXPLAINED: Final = """\
Kin are mining families whose programs share code that touches memory: all searches with their table of hits,
Ethash and FishHash, the two scratchpads. With kin out, a forest has to know mining without having seen its like.

**What this says.** Patterns of memory name what was seen before, and tell networks from all else. They do not tell
mining of a kind that was never seen: what hashes in registers touches next to no memory, and what reads a table
at random does so like a hash join. Mining has to be read from instructions; patterns add which table is read, and
how.
"""


def write_report(output: Path, study: Study, table: Table) -> Path:
    """Write memory.md and memory-families.png."""
    _picture(output / "memory-families.png", study, table)
    page = output / "memory.md"
    page.write_text("\n".join(_lines(study)) + "\n")
    return page


def _lines(study: Study) -> list[str]:
    alarms = [r.family for r in study.by_family if r.label != "mining" and r.right < 0.5]
    lines = [
        "# Memory access patterns alone, on families never seen",
        "",
        f"Measured on: {study.measured_on}. {study.rows} runs of {study.families} families, each family",
        "weighing the same. Random forests on the features of [memory-patterns.md](../memory-patterns.md). Written by",
        "`hashwarden evaluate memory`.",
        "",
        "| question | family held out | and its kin |",
        "| --- | ---: | ---: |",
        f"| mining or not, AUROC | {study.auroc_family_out:.3f} | {study.auroc:.3f} |",
        f"| mining or learning, AUROC | {study.auroc_family_out_against_learning:.3f} | "
        f"{study.auroc_against_learning:.3f} |",
        f"| learning or not, AUROC | | {study.auroc_of_learning:.3f} |",
        "",
        f"Which of the {study.families} families a run is of, when the forest saw the family at other settings: "
        f"{study.recognised:.0%} named right.",
        "",
        *EXPLAINED.splitlines(),
        f"Taken for mining, more often than not: {', '.join(alarms) or 'none'}.",
        "",
        "![Chance of mining of every run, by family](memory-families.png)",
        "",
        "With kin held out. The chance is that of the forest, not calibrated.",
        "",
        "| family | is | workloads | runs | chance of mining | judged right | mostly taken for |",
        "| --- | --- | ---: | ---: | ---: | ---: | --- |",
    ]
    lines += [
        f"| {r.family} | {r.label} | {r.workloads} | {r.rows} | {r.chance_of_mining:.2f} | {r.right:.0%} | "
        f"{r.mostly_taken_for} |"
        for r in study.by_family
    ]
    lines += ["", "What the forest of all families looks at most:", "", "| feature | share of the decisions |"]
    lines += ["| --- | ---: |"]
    return lines + [f"| `{name}` | {share:.3f} |" for name, share in study.importance[:_TOP]]


def _picture(path: Path, study: Study, table: Table) -> None:
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    order = [result.family for result in reversed(study.by_family)]
    figure, axes = plt.subplots(figsize=(9, 0.24 * len(order) + 1.6), layout="constrained")
    random = np.random.default_rng(0)
    chance = np.array(study.chance)
    for place, family in enumerate(order):
        rows = table.family == family
        height = place + random.uniform(-0.22, 0.22, int(rows.sum()))
        colours = [COLOURS[str(label)] for label in table.label[rows]]
        axes.scatter(chance[rows], height, s=14, color=colours, alpha=0.7, linewidths=0)
    axes.axvline(0.5, color="#888888", linewidth=0.8, linestyle="--")
    axes.set_yticks(range(len(order)), order, fontsize=8)
    axes.set_ylim(-0.7, len(order) - 0.3)
    axes.set_xlim(-0.02, 1.02)
    axes.grid(axis="y", color="#eeeeee", linewidth=0.7)
    axes.set_axisbelow(True)
    axes.set_xlabel("chance of mining, by a forest that saw neither the family nor its kin")
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(axis="y", length=0)
    _legend(figure)
    figure.savefig(path, dpi=130)
    plt.close(figure)


def _legend(figure: Any) -> None:  # noqa: ANN401  matplotlib has no types here
    from matplotlib.lines import Line2D

    marks = [
        Line2D([], [], marker="o", linestyle="", markersize=6, color=colour, label=label)
        for label, colour in COLOURS.items()
    ]
    figure.legend(handles=marks, loc="outside upper center", ncols=5, frameon=False)
