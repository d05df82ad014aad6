"""The picture of ``hashwarden replay``: evidence over time, one curve a run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from hashwarden.errors import MissingExtraError, UsageError
from hashwarden.serve.replay import Replayed

__all__ = ["draw"]

_MOST: Final = 12
"""Runs that get a name in the legend."""


def draw(replayed: Sequence[Replayed], path: Path, alpha: float) -> None:
    """Write the picture.

    Raises
    ------
    MissingExtraError
        If matplotlib is not installed.
    UsageError
        If the file cannot be written, or its ending is no format of matplotlib.
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError:
        raise MissingExtraError.of("matplotlib", "train") from None
    figure = Figure(figsize=(9, 4.5), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    for place, one in enumerate(replayed):
        label = f"{one.run.name} ({one.run.label or 'no label'})" if place < _MOST else None
        style = "-" if one.run.label == "mining" else "--"
        axes.plot([t / 60 for t in one.track.times], one.track.strengths, style, lw=1.3, label=label)
    axes.axhline(1.0, color="0.3", lw=0.8)
    axes.annotate(f"confirmed (alpha {alpha:g})", (0.01, 1.0), xycoords=("axes fraction", "data"), va="bottom")
    axes.set(xlabel="minutes", ylabel="log evidence / log threshold", ylim=(-0.03, 1.12))
    axes.set_title(f"Evidence over time; runs {_origins(replayed)}", fontsize=10)
    if replayed:
        axes.legend(fontsize=7, ncols=2, loc="center right")
    try:
        figure.savefig(path, dpi=140)
    except (OSError, ValueError) as error:
        raise UsageError(
            str(error), "a file that can be written, .png, .svg or .pdf", "Name another.", where=str(path)
        ) from error


def _origins(replayed: Sequence[Replayed]) -> str:
    return " and ".join(sorted({one.run.info.origin for one in replayed})) or "none"
