"""The pictures of the job model's evaluation, from the numbers of `job-evaluation.json`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

from hashwarden.model.job.taxonomy import CLASSES
from hashwarden.training.job.curves import TIMES_S
from hashwarden.training.job.report_words import TIER_NAMES

mpl.use("Agg")
from matplotlib import pyplot as plt

__all__ = ["COLOURS", "STYLE", "draw", "plt", "save"]

Result = Mapping[str, Any]
COLOURS: Final = {"nvml": "#9aa5b1", "gpm": "#4c78a8", "gpm+code": "#c0392b", "all": "#222222"}
DASHES: Final = ("-", "--", ":", "-.")
STYLE: Final[Any] = {
    "figure.dpi": 110, "axes.spines.top": False, "axes.spines.right": False, "axes.grid": True, "grid.alpha": 0.25,
    "font.size": 9, "legend.frameon": False, "figure.constrained_layout.use": True,
}  # fmt: skip


def draw(result: Result, folder: Path) -> list[Path]:
    """Draw all pictures into a folder.

    Parameters
    ----------
    result : mapping
        The content of ``job-evaluation.json``.
    folder : Path

    Returns
    -------
    list of Path
    """
    makers = {"job-auroc.png": _auroc, "job-time-to-detect.png": _time, "job-false-alarms.png": _alarms,
              "job-confusion.png": _confusion}  # fmt: skip
    if not result["confusion"]:
        del makers["job-confusion.png"]
    paths = []
    for name, make in makers.items():
        with plt.rc_context(STYLE):
            save(make(result), folder / name, result["measured_on"])
        paths.append(folder / name)
    return paths


def save(figure: Figure, path: Path, measured_on: str) -> None:
    """Write a figure with what it was measured on under it."""
    figure.supxlabel(f"Measured on {measured_on}.", fontsize=7, color="#666666")
    figure.savefig(path, metadata={"Software": None})
    plt.close(figure)


def _auroc(result: Result) -> Figure:
    """AUROC over runs: a row for each fold, a column for each detector and tier."""
    columns = [(model, tier) for model, tiers in result["folds"][0]["measured"].items() for tier in tiers]
    values = np.array(
        [[f["measured"][m][t]["auroc_run"] or np.nan for m, t in columns] for f in result["folds"]], np.float64
    )
    figure, axis = plt.subplots(figsize=(0.75 * len(columns) + 2.2, 0.23 * len(values) + 1.9))
    axis.imshow(values, cmap="RdYlGn", vmin=0.4, vmax=1.0, aspect="auto")
    for (row, column), value in np.ndenumerate(values):
        axis.text(column, row, f"{value:.2f}", ha="center", va="center", fontsize=7)
    labels = [f"{model}\n{TIER_NAMES[tier]}" for model, tier in columns]
    axis.set_xticks(range(len(columns)), labels, rotation=40, ha="right", fontsize=7)
    axis.set_yticks(range(len(values)), [f["name"] for f in result["folds"]], fontsize=7)
    axis.grid(visible=False)
    axis.set_title("AUROC over runs, each row held out of every fit")
    return figure


def _time(result: Result) -> Figure:
    """Share of mining runs confirmed by a time, one panel for each axis."""
    axes = list(result["curves"])
    figure, panels = plt.subplots(1, len(axes), figsize=(3.9 * len(axes), 3.7), sharey=True, squeeze=False)
    for panel, axis in zip(panels[0], axes, strict=True):
        for place, (model, tiers) in enumerate(result["curves"][axis].items()):
            for tier, curve in tiers.items():
                if curve["over_time"]:
                    panel.step(TIMES_S, curve["over_time"], where="post", color=COLOURS[tier], linewidth=1.4,
                               linestyle=DASHES[place % 4], label=f"{model}, {TIER_NAMES[tier]}")  # fmt: skip
        panel.axvline(60, color="black", linewidth=0.7, linestyle=":")
        panel.set(xscale="log", xlabel="seconds of mining", title=f"unseen {axis}", ylim=(0, 1.01))
    panels[0][0].set_ylabel("share of mining runs confirmed")
    panels[0][-1].legend(fontsize=6, loc="center left", bbox_to_anchor=(1.0, 0.5))
    return figure


def _alarms(result: Result) -> Figure:
    """Share found against false alarms per 1,000 GPU-days, for any threshold on the evidence."""
    axes = list(result["curves"])
    figure, panels = plt.subplots(1, len(axes), figsize=(3.9 * len(axes), 3.7), sharey=True, squeeze=False)
    for panel, axis in zip(panels[0], axes, strict=True):
        for place, (model, tiers) in enumerate(result["curves"][axis].items()):
            for tier, curve in tiers.items():
                points = np.array(curve["against_alarms"], np.float64).reshape(-1, 2)
                panel.step(points[:, 0] + 1, points[:, 1], where="post", color=COLOURS[tier], linewidth=1.4,
                           linestyle=DASHES[place % 4], label=f"{model}, {TIER_NAMES[tier]}")  # fmt: skip
        panel.set(xscale="log", xlabel="false alarms / 1,000 GPU-days + 1", title=f"unseen {axis}", ylim=(0, 1.01))
    panels[0][0].set_ylabel("share of mining runs found")
    panels[0][-1].legend(fontsize=6, loc="center left", bbox_to_anchor=(1.0, 0.5))
    return figure


def _confusion(result: Result) -> Figure:
    """Class of the highest mean probability against the true one, for each tier, in per cent of the true class."""
    tiers = list(result["confusion"])
    figure, panels = plt.subplots(1, len(tiers), figsize=(2.9 * len(tiers) + 0.6, 3.4), sharey=True, squeeze=False)
    for panel, tier in zip(panels[0], tiers, strict=True):
        counts = np.array(result["confusion"][tier], np.float64)
        shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
        panel.imshow(shares, cmap="Blues", vmin=0, vmax=1.15)
        for (row, column), share in np.ndenumerate(shares):
            if share >= 0.005:
                panel.text(column, row, f"{share:.0%}", ha="center", va="center", fontsize=7,
                           color="white" if share > 0.6 else "black")  # fmt: skip
        panel.set_xticks(range(len(CLASSES)), CLASSES, rotation=60, fontsize=7)
        panel.set_yticks(range(len(CLASSES)), CLASSES, fontsize=7)
        panel.grid(visible=False)
        panel.set_title(TIER_NAMES[tier])
    panels[0][0].set_ylabel("true class")
    return figure
