"""The pictures of the evaluation report."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import matplotlib as mpl
import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure
from sklearn.metrics import roc_curve

from hashwarden.model.kernel.taxonomy import GROUPS, MINING, OTHER, PLAIN
from hashwarden.training.kernel.dataset import Dataset
from hashwarden.training.kernel.robustness import RATIOS

mpl.use("Agg")
from matplotlib import pyplot as plt

__all__ = ["calibration_curve", "confusion", "padding_curves", "roc_curves", "score_by_source"]

F64 = npt.NDArray[np.float64]
Rows = npt.NDArray[np.bool_]
COLOURS: Final = {PLAIN: "#4c78a8", OTHER: "#f2a93b", MINING: "#c0392b"}
_STYLE: Final[Any] = {
    "figure.dpi": 110, "axes.spines.top": False, "axes.spines.right": False, "axes.grid": True, "grid.alpha": 0.25,
    "font.size": 9, "legend.frameon": False, "figure.constrained_layout.use": True,
}  # fmt: skip


def _save(figure: Figure, path: Path) -> None:
    figure.savefig(path, metadata={"Software": None})
    plt.close(figure)


def roc_curves(scores: dict[str, F64], data: Dataset, rows: Rows, path: Path) -> None:
    """Share of mining kernels found against the share of plain kernels called, on a logarithmic axis."""
    both = rows & (data.group != OTHER)
    with plt.rc_context(_STYLE):
        figure, axis = plt.subplots(figsize=(6.4, 4.4))
        for name, score in scores.items():
            false, true, _ = roc_curve(data.group[both] == MINING, score[both], drop_intermediate=False)
            axis.step(np.maximum(false, 5e-5), true, where="post", label=name, linewidth=1.6)
        axis.axvline(1e-3, color="black", linewidth=0.8, linestyle=":")
        axis.text(1.07e-3, 0.02, "1 in 1,000", fontsize=8)
        axis.set(xscale="log", xlim=(5e-5, 1), ylim=(0, 1.01), xlabel="share of plain kernels called (log)",
                 ylabel="share of mining kernels found", title="Kernels of lineages that were never seen")  # fmt: skip
        axis.legend(loc="lower right")
        _save(figure, path)


def score_by_source(score: F64, data: Dataset, rows: Rows, threshold: float, path: Path) -> None:
    """Every kernel's score, one line per source, benign ones first."""
    sources = sorted(set(data.source[rows]), key=lambda s: (data.group[rows & (data.source == s)].max(), s))
    with plt.rc_context(_STYLE):
        figure, axis = plt.subplots(figsize=(7.6, 0.2 * len(sources) + 1.2))
        rng = np.random.default_rng(0)
        for place, source in enumerate(sources):
            for group in (PLAIN, OTHER, MINING):
                here = np.flatnonzero(rows & (data.source == source) & (data.group == group))
                height = place + rng.uniform(-0.3, 0.3, len(here))
                axis.plot(np.clip(score[here], -12, 12), height, ".", markersize=2.5, alpha=0.6, color=COLOURS[group])
        for group in (PLAIN, OTHER, MINING):
            axis.plot([], [], ".", color=COLOURS[group], label=GROUPS[group])
        axis.axvline(threshold, color="black", linewidth=0.8, linestyle=":")
        axis.set(yticks=range(len(sources)), ylim=(-1, len(sources)), xlabel="log-odds of mining, kernel alone",
                 title="Score by source, each source unseen; dotted: 1 plain kernel in 1,000")  # fmt: skip
        axis.set_yticklabels(sources, fontsize=7)
        axis.legend(loc="lower right", fontsize=8)
        _save(figure, path)


def confusion(called: npt.NDArray[np.str_], data: Dataset, rows: Rows, path: Path) -> None:
    """What was called what, in per cent of each true group."""
    words = ("not hash", "abstain", "hash: other", "hash: mining-like")
    shares = np.array(
        [[(called[rows & (data.group == g)] == word).mean() for word in words] for g in (PLAIN, OTHER, MINING)]
    )
    with plt.rc_context(_STYLE | {"axes.grid": False}):
        figure, axis = plt.subplots(figsize=(5.6, 2.8))
        axis.imshow(shares, cmap="Blues", vmin=0, vmax=1.15, aspect="auto")
        for (row, column), share in np.ndenumerate(shares):
            axis.text(column, row, f"{share:.1%}", ha="center", va="center", color="white" if share > 0.6 else "black")
        axis.set_xticks(range(len(words)), words)
        axis.set_yticks(
            range(3), [f"{GROUPS[g]}\n({int((rows & (data.group == g)).sum()):,})" for g in (PLAIN, OTHER, MINING)]
        )
        axis.set(xlabel="called", ylabel="true group", title="Kernels judged together, sources unseen")
        _save(figure, path)


def calibration_curve(probability: F64, data: Dataset, rows: Rows, path: Path) -> None:
    """Observed share of mining against the stated probability, in ten equal steps; plain and mining kernels."""
    both = rows & (data.group != OTHER)
    p, hit = probability[both], data.group[both] == MINING
    edges = np.linspace(0, 1, 11)
    step = np.clip(np.digitize(p, edges) - 1, 0, 9)
    filled = [i for i in range(10) if (step == i).any()]
    with plt.rc_context(_STYLE):
        figure, axis = plt.subplots(figsize=(4.6, 4.2))
        axis.plot([0, 1], [0, 1], color="grey", linewidth=0.8)
        axis.plot(
            [p[step == i].mean() for i in filled], [hit[step == i].mean() for i in filled], "o-", color=COLOURS[MINING]
        )
        for i in filled:
            axis.annotate(f"{(step == i).sum():,}", (p[step == i].mean(), hit[step == i].mean()), fontsize=7,
                          textcoords="offset points", xytext=(5, -9))  # fmt: skip
        axis.set(xlim=(0, 1), ylim=(0, 1.02), xlabel="stated probability of mining", ylabel="observed share",
                 title="Calibration, kernels alone, sources unseen")  # fmt: skip
        _save(figure, path)


def padding_curves(found: dict[str, list[float]], path: Path) -> None:
    """Share of unseen mining kernels still found when dummy work is added."""
    with plt.rc_context(_STYLE):
        figure, axis = plt.subplots(figsize=(6.0, 3.8))
        for kind, shares in found.items():
            if len(shares) == len(RATIOS):
                axis.plot(RATIOS, shares, "o-", label=kind, markersize=4)
        hidden = found.get("constants hidden")
        if hidden:
            axis.plot([0], hidden, "kx", label="constants hidden, no padding")
        axis.set(xlabel="added instructions per instruction", ylabel="share found (1 in 1,000 plain)", ylim=(0, 1),
                 title="Unseen mining kernels under padding, each alone")  # fmt: skip
        axis.legend()
        _save(figure, path)
