"""The pictures of the red team, from the numbers of `redteam.json`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from hashwarden.training.job.pictures import COLOURS, STYLE, plt, save
from hashwarden.training.job.report_words import TIER_NAMES

__all__ = ["draw"]

Result = Mapping[str, Any]


def draw(result: Result, folder: Path) -> list[Path]:
    """Draw all pictures into a folder.

    Parameters
    ----------
    result : mapping
        The content of ``redteam.json``.
    folder : Path

    Returns
    -------
    list of Path
    """
    paths = []
    for name, make in {"redteam-residual.png": _residual, "redteam-candidates.png": _candidates}.items():
        with plt.rc_context(STYLE):
            save(make(result), folder / name, result["measured_on"])
        paths.append(folder / name)
    return paths


def _residual(result: Result) -> Figure:
    """Hash rate left by family and strategy, one panel for each tier."""
    tiers = list(result["by_tier"])
    columns = min(2, len(tiers))
    rows = -(-len(tiers) // columns)
    figure, panels = plt.subplots(rows, columns, figsize=(6.2 * columns, 4.2 * rows), squeeze=False)
    for panel in panels.ravel()[len(tiers) :]:
        panel.set_axis_off()
    for panel, tier in zip(panels.ravel(), tiers, strict=False):
        cells = result["by_tier"][tier]["cells"]
        strategies = list(next(iter(cells.values())))
        values = np.array([[of[strategy]["residual"] for strategy in strategies] for of in cells.values()], np.float64)
        panel.imshow(values, cmap="Reds", vmin=0, vmax=1, aspect="auto")
        for (row, column), value in np.ndenumerate(values):
            if value > 0:
                panel.text(column, row, f"{value:.0%}", ha="center", va="center", fontsize=7,
                           color="white" if value > 0.6 else "black")  # fmt: skip
        panel.set_xticks(range(len(strategies)), strategies, rotation=45, ha="right", fontsize=7)
        panel.set_yticks(range(len(cells)), list(cells), fontsize=7)
        panel.grid(visible=False)
        panel.set_title(f"{TIER_NAMES[tier]}: hash rate left, best candidate of the search")
    return figure


def _candidates(result: Result) -> Figure:
    """Each candidate: share of the hash rate kept against what it gained before it was confirmed."""
    figure, axis = plt.subplots(figsize=(6.0, 4.4))
    for tier, told in result["by_tier"].items():
        points = np.array(told["points"], np.float64).reshape(-1, 3)
        axis.plot(np.maximum(points[:, 0], 1e-3), np.maximum(points[:, 2], 1e-6), ".", markersize=4, alpha=0.55,
                  color=COLOURS[tier], label=TIER_NAMES[tier])  # fmt: skip
    axis.plot([1e-3, 1], [1e-3, 1], color="grey", linewidth=0.8)
    axis.axhline(0.05, color="black", linewidth=0.8, linestyle=":")
    axis.text(1.1e-3, 0.055, "5 %", fontsize=8)
    axis.set(xscale="log", yscale="log", xlabel="share of the hash rate kept", xlim=(1e-3, 1.05), ylim=(1e-6, 1.3),
             ylabel="hashes made before confirmed, over full speed",
             title="Candidates; on the line: never confirmed")  # fmt: skip
    axis.legend(loc="lower right")
    return figure
