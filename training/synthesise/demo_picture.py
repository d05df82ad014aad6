"""docs/schedules.png: the six jobs of the demonstration over time.

Drawn anew by ``python -m hashwarden.training.synthesise.demo_picture data/job/demo.parquet docs/schedules.png``.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, Final

import matplotlib as mpl

from hashwarden.model.channels import INDEX
from hashwarden.model.trace import Run
from hashwarden.model.trace_read import read_runs

mpl.use("Agg")
from matplotlib import pyplot as plt
from matplotlib.axes import Axes

__all__ = ["draw"]

_LINES: Final = (
    ("tensor_active_ratio", "tensor pipes", "#4c78a8"),
    ("integer_active_ratio", "integer pipe", "#c0392b"),
    ("dram_active_ratio", "device memory", "#59a14f"),
    ("fb_used_ratio", "memory held", "#9a9a9a"),
)
_STYLE: Final[Any] = {
    "figure.dpi": 110, "axes.spines.top": False, "axes.spines.right": False, "axes.grid": True, "grid.alpha": 0.25,
    "font.size": 8, "legend.frameon": False, "figure.constrained_layout.use": True,
}  # fmt: skip


def _panel(axes: Axes, run: Run) -> None:
    for name, words, colour in _LINES:
        axes.plot(run.times / 60, run.values[:, INDEX[name]], color=colour, lw=0.7, label=words)
    spans = run.info.parameters.get("mining_spans_s", [(0, run.times[-1])] if run.label == "mining" else [])
    for start, end in spans:
        axes.axvspan(start / 60, min(end, run.times[-1]) / 60, color="#c0392b", alpha=0.07, lw=0)
    hidden = "" if run.strategy == "plain" else f", {run.strategy}"
    axes.set_title(f"{run.label}: {run.family}{hidden}", loc="left", fontsize=8)
    axes.set_ylim(0, 1)


def draw(runs: list[Run], path: Path) -> None:
    """Draw one panel for each run.

    Parameters
    ----------
    runs : list of Run
    path : Path
        PNG to write.
    """
    with plt.rc_context(_STYLE):
        figure, axes = plt.subplots(len(runs), 1, figsize=(9, 1.45 * len(runs)), sharex=True, squeeze=False)
        for place, run in zip(axes[:, 0], runs, strict=True):
            _panel(place, run)
        axes[0, 0].legend(ncols=len(_LINES), loc="lower right", bbox_to_anchor=(1, 1.0), fontsize=7)
        axes[-1, 0].set_xlabel("minutes (synthesised; ratios; shaded: the job mines)")
        figure.savefig(path, metadata={"Software": None})
        plt.close(figure)


if __name__ == "__main__":
    draw(read_runs(Path(sys.argv[1])), Path(sys.argv[2]))
