"""Draw docs/probes.png: one sample, one round, and what a probe sees of time-slicing.

A schematic: the round is the first plan that the table of probes gives, nothing in it was measured::

    python benchmarks/probes_picture.py [docs/probes.png]
"""

# ruff: noqa: PLR0913, PLR0917, RUF001  places and sizes; a times sign

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("Agg")
import matplotlib.pyplot as plt
from matplotlib.patches import Rectangle

from hashwarden.kernels.probes.layout import WATCH
from hashwarden.kernels.probes.pace import MOST_BUDGET_US, Budget
from hashwarden.kernels.probes.probe import PROBES

ROOT = Path(__file__).resolve().parent.parent
INK, SOFT, JOB = "#222222", "#888888", "#9a9a9a"
KINDS = {
    "arithmetic": ("#4477aa", ("lop3", "shf", "imad", "ffma", "hfma2", "dfma", "dp4a", "mufu")),
    "tensor cores": ("#ee7733", ("hmma", "imma")),
    "memory": ("#228833", ("shared", "l2", "dram", "atomic")),
}
WATCH_COLOUR, REDUCE_COLOUR = "#ccbb44", "#bbbbbb"


def box(axes: Any, x: float, y: float, width: float, height: float, colour: str, text: str = "", **more: Any) -> None:
    """A filled box with its text in the middle."""
    axes.add_patch(Rectangle((x, y), width, height, facecolor=colour, edgecolor="white", linewidth=0.8))
    if text:
        axes.text(
            x + width / 2, y + height / 2, text, ha="center", va="center", **{"color": "white", "fontsize": 8} | more
        )


def bare(axes: Any, title: str, width: float, height: float) -> None:
    """No frame, a title on the left."""
    axes.set_xlim(0, width)
    axes.set_ylim(0, height)
    axes.axis("off")
    axes.set_title(title, loc="left", fontsize=10, fontweight="bold", color=INK)


def span(axes: Any, left: float, right: float, y: float, text: str, colour: str = INK) -> None:
    """A measured length with arrows, and what it is called below."""
    axes.annotate("", (right, y), (left, y), arrowprops={"arrowstyle": "<->", "color": colour, "linewidth": 1})
    axes.text((left + right) / 2, y - 0.12, text, ha="center", va="top", fontsize=8, color=colour)


def sample(axes: Any) -> None:
    """One sample of one warp."""
    bare(axes, "One sample of one warp: a chain in which each instruction waits for the one before", 100, 2.2)
    box(axes, 0, 1, 7, 0.7, SOFT, "store")
    box(axes, 7.5, 1, 7, 0.7, INK, "clock")
    for link in range(16):
        box(axes, 16 + 3.6 * link, 1, 3.3, 0.7, KINDS["arithmetic"][0], str(link + 1))
    axes.text(74.2, 1.35, "× passes", fontsize=8, color=INK, va="center")
    box(axes, 82, 1, 7, 0.7, SOFT, "store")
    box(axes, 89.5, 1, 7, 0.7, INK, "clock")
    span(
        axes,
        11,
        93,
        0.75,
        "sample = cycles between the two readings; the store cannot issue before the last result is there",
    )


def a_round(axes: Any) -> None:
    """One round, as it is first planned."""
    plan, budget = Budget(MOST_BUDGET_US, WATCH.spin_ns / 1e3).plan(), Budget(MOST_BUDGET_US, WATCH.spin_ns / 1e3)
    bare(axes, f"One round, one CUDA graph, under {MOST_BUDGET_US:.0f} µs of GPU time", MOST_BUDGET_US, 2.6)
    colours = {name: colour for colour, names in KINDS.values() for name in names}
    x = 2.0
    for number, probe in enumerate(PROBES):
        width = max(budget.expected_us(probe.name, plan[probe.name]), 0.5)
        box(axes, x, 1, width, 0.7, colours[probe.name])
        level = 1.8 if width > 9 else (1.8, 2.1)[number % 2]
        axes.text(x + width / 2, level, probe.name, ha="center", va="bottom", fontsize=8, color=INK)
        if level > 1.9:
            axes.plot([x + width / 2] * 2, [1.72, 2.1], color=SOFT, linewidth=0.6)
        x += width + 2
    box(axes, x, 1, WATCH.spin_ns / 1e3, 0.7, WATCH_COLOUR, "gap watch", color=INK)
    x += WATCH.spin_ns / 1e3 + 2
    box(axes, x, 1, 8, 0.7, REDUCE_COLOUR)
    axes.text(x + 4, 1.8, "quantiles", ha="center", va="bottom", fontsize=8, color=INK)
    for i, (name, (colour, _)) in enumerate(KINDS.items()):
        box(axes, 2 + 32 * i, 0.45, 4, 0.25, colour)
        axes.text(7 + 32 * i, 0.575, name, va="center", fontsize=8, color=INK)
    note = "widths: the first plan, from the table of probes; not measured"
    axes.text(MOST_BUDGET_US, 0.575, note, ha="right", va="center", fontsize=8, color=SOFT)


def slices(axes: Any) -> None:
    """Turns of two contexts, and where a round can meet them."""
    bare(
        axes,
        "Without MPS the contexts take turns (not to scale): where a round meets a turn, and what shows it",
        100,
        4.1,
    )
    axes.text(0, 3.1, "the job", fontsize=9, color=INK, va="center")
    axes.text(0, 2.1, "the probes", fontsize=9, color=INK, va="center")
    # Left and right end of the job's turns.
    for left, right in ((14, 30), (44, 56), (70, 82), (91, 100)):
        box(axes, left, 2.75, right - left, 0.7, JOB)
    blue, green = KINDS["arithmetic"][0], KINDS["memory"][0]
    parts = (
        (30, 5, blue),
        (35.3, 8.5, green),
        (56, 4, green),
        (60.3, 9.7, WATCH_COLOUR),
        (82, 5, WATCH_COLOUR),
        (87.3, 2, REDUCE_COLOUR),
    )
    for left, width, colour in parts:
        box(axes, left, 1.75, width, 0.7, colour)
    axes.annotate("submitted", (16, 1.62), (16, 0.95), ha="center", fontsize=8, color=INK,
                  arrowprops={"arrowstyle": "->", "color": INK})  # fmt: skip
    span(axes, 16, 30, 1.55, "", INK)
    axes.text(23.5, 1.42, "wait_us", ha="center", va="top", fontsize=8, color=INK)
    span(axes, 44, 56, 1.55, "slice: between two\nprobes, or inside one", INK)
    span(axes, 70, 82, 1.55, "gap: two readings of\nthe timer lie apart", INK)
    for x in (44, 56, 70, 82):
        axes.plot([x, x], [1.5, 3.6], color=SOFT, linewidth=0.6, linestyle="--", zorder=0)
    axes.text(22, 3.6, "its instructions run here, and no probe does", fontsize=8, color=SOFT, ha="center")
    note = "What the job leaves behind in the caches and in the clock is there when the probes' turn comes."
    axes.text(50, 0.28, note, ha="center", fontsize=8, color=INK)


def draw(path: Path) -> None:
    """Draw all three and write the picture."""
    figure, rows = plt.subplots(3, 1, figsize=(10.5, 6.4), height_ratios=(2.2, 2.6, 4.1))
    for axes, part in zip(rows, (sample, a_round, slices), strict=True):
        part(axes)
    figure.tight_layout(h_pad=1.5)
    figure.savefig(path, dpi=130, metadata={"Software": None})
    plt.close(figure)


if __name__ == "__main__":
    draw(Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "docs" / "probes.png")
