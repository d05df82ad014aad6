"""Writes what docs/memory-patterns.md takes from the code: the table of features, and the picture.

One command; matplotlib comes with the train extra::

    python benchmarks/patterns_page.py
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("Agg")

import numpy as np
from matplotlib import pyplot as plt
from memory_logs import gather, gemm, stream

from hashwarden.kernels.memory.features_table import table
from hashwarden.kernels.memory.log import AddressLog
from hashwarden.kernels.memory.patterns import NAMES, Patterns, patterns

ROOT = Path(__file__).resolve().parent.parent
PAGE, PICTURE = ROOT / "docs" / "memory-patterns.md", ROOT / "docs" / "memory-patterns.png"
PALE, STRONG, INK = "#dbe6f0", "#1f5f99", "#333333"
ROWS = (
    ("a stream", stream, "reads an array from end to end"),
    ("a matrix product", gemm, "128 x 128, rows of A, columns of B"),
    ("a random gather", gather, "table of 16 MiB, each address from the last value"),
)


def request_of(log: AddressLog) -> np.ndarray:
    """Addresses of the first warp's first request."""
    rows = log.canonical()
    return rows.address[(rows.order == 0) & (rows.thread < 32) & (rows.launch == 0)]


def draw_request(axes: Any, log: AddressLog, _: Patterns) -> None:
    """Lanes above, sectors below: pale what is moved, strong what was asked for."""
    address = request_of(log)
    sectors = np.unique(address // 32)
    wide = 32 / max(len(sectors), 8)
    left = (32 - wide * len(sectors)) / 2
    for place, sector in enumerate(sectors):
        x = left + place * wide
        axes.add_patch(plt.Rectangle((x + 0.04 * wide, 0), 0.92 * wide, 0.45, color=PALE, lw=0))
        for byte in np.unique(address[address // 32 == sector] % 32):
            part = 0.92 * wide / 8
            axes.add_patch(plt.Rectangle((x + 0.04 * wide + byte / 4 * part, 0), part, 0.45, color=STRONG, lw=0))
    at = left + (np.searchsorted(sectors, address // 32) + 0.04 + 0.92 * (address % 32 + 2) / 32) * wide
    for lane, x in enumerate(at):
        axes.plot([lane + 0.5, x], [1.5, 0.5], color=STRONG, lw=0.5, alpha=0.6)
    axes.plot(np.arange(32) + 0.5, np.full(32, 1.55), "o", color=INK, ms=2.5)
    axes.set(xlim=(-1, 33), ylim=(-0.75, 1.8))
    axes.axis("off")
    useful = len(np.unique(address)) * 4 / (32 * len(sectors))
    word = "sector" if len(sectors) == 1 else "sectors"
    axes.text(16, -0.4, f"{len(sectors)} {word}, {100 * useful:g}% of their bytes asked for", ha="center", color=INK)


def draw_stride(axes: Any, log: AddressLog, found: Patterns) -> None:
    """Addresses of three threads at their first site."""
    rows = log.canonical()
    for thread, shade in ((64, 0.35), (33, 0.6), (0, 1.0)):
        mine = (rows.thread == thread) & (rows.site == 0)
        address = (rows.address[mine] - rows.address.min()) / 1024
        axes.plot(np.arange(len(address))[:48], address[:48], ".-", color=STRONG, alpha=shade, ms=3, lw=0.6)
    axes.set_xlabel("access of the thread", fontsize=8)
    axes.set_ylabel("address in KiB", fontsize=8)
    text = f"stride_constant {found['stride_constant']:.2f}\ndifference_entropy {found['difference_entropy']:.2f}"
    axes.text(0.5, 1.04, text.replace("\n", "    "), transform=axes.transAxes, ha="center", color=INK, fontsize=8)


def draw_reuse(axes: Any, _: AddressLog, found: Patterns) -> None:
    """References by reuse distance."""
    names = [name for name in NAMES if name.startswith("line_reuse_")] + ["line_cold"]
    labels = ["0", "1", "4", "16", "64", "256", "1k", "4k", "16k", "64k", "\nnever"]
    colors = [STRONG] * (len(names) - 1) + ["#b04a3a"]
    axes.bar(range(len(names)), [found[name] for name in names], color=colors, width=0.8)
    axes.set_xticks(range(len(names)), labels, fontsize=6.5)
    axes.set(ylim=(0, 1))
    axes.set_xlabel("other lines since the last visit, from ... on", fontsize=8)
    axes.set_ylabel("share of references", fontsize=8)
    text = f"line_miss_32k {found['line_miss_32k']:.2f}    line_miss_1m {found['line_miss_1m']:.2f}"
    axes.text(0.5, 1.04, text, transform=axes.transAxes, ha="center", color=INK, fontsize=8)


def draw(path: Path) -> None:
    """The picture: three logs, and what sectors, stride and reuse distance say of each."""
    plt.rcParams.update({"font.size": 9, "axes.spines.top": False, "axes.spines.right": False})
    figure, grid = plt.subplots(3, 3, figsize=(11.5, 8.2), layout="constrained", width_ratios=(1.15, 1, 1))
    titles = ("Sectors: what one request of 32 lanes moves", "Stride: threads at one site", "Reuse distance of lines")
    for row, (name, make, what) in zip(grid, ROWS, strict=True):
        log = make()
        found = patterns(log)
        for axes, how in zip(row, (draw_request, draw_stride, draw_reuse), strict=True):
            how(axes, log, found)
            axes.tick_params(labelsize=7)
        row[0].text(-1, 2.25, name, fontsize=11, fontweight="bold", color=INK)
        row[0].text(-1, 2.0, what, fontsize=8, color=INK)
        row[0].set_ylim(-0.75, 2.5)
    for axes, title in zip(grid[0], titles, strict=True):
        axes.set_title(title, fontsize=10, pad=20)
    figure.savefig(path, dpi=110)
    plt.close(figure)


def main() -> None:
    """Write both."""
    text = PAGE.read_text(encoding="utf-8")
    marked = re.compile(r"(<!-- features -->\n).*?(<!-- end -->)", re.DOTALL)
    PAGE.write_text(marked.sub(lambda found: found[1] + table() + found[2], text), encoding="utf-8")
    draw(PICTURE)


if __name__ == "__main__":
    main()
