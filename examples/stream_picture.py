"""Draw four synthetic streams with their features, and write the tables of the page on streams.

pip install matplotlib
python examples/stream_picture.py docs/streams.png docs/streams.md
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np

from hashwarden.kernels.streams import metric_sets, synthetic, table
from hashwarden.kernels.streams.reduced import Plan
from hashwarden.kernels.streams.reference import reduce
from hashwarden.kernels.streams.state import StreamFeatures, reduce_window

SAMPLES, INTERVAL_S = 20_000, 5e-4
"""Ten seconds at 2 kHz."""

INK, MUTED, LINE = "#1f2933", "#7b8794", "#d5dae1"
COLOURS = ("#1b6ca8", "#2a9d6f", "#c1442e", "#8a5fb0")


def streams() -> dict[str, np.ndarray]:
    """The four streams."""
    cycled = np.where(synthetic.duty_cycle(SAMPLES, 4000, 0.5) > 0, synthetic.plateau(SAMPLES, seed=4), 0.0)
    plain = {
        "Training, steps of 0.4 s": synthetic.training(SAMPLES, 800, 0.04, seed=1),
        "Inference, Poisson requests": synthetic.requests(SAMPLES, 0.003, 60, seed=2),
        "Mining, tables built anew at 4 s": synthetic.plateau(SAMPLES, (8000,), width=300, seed=3),
        "Mining, half of the time": cycled,
    }
    return {
        name: np.clip(x + synthetic.noise(SAMPLES, 1.5, seed), 0, 100) for seed, (name, x) in enumerate(plain.items())
    }


def told(found: StreamFeatures) -> list[tuple[str, str]]:
    """Features to print beside a stream: name and value."""

    def value(name: str, form: str) -> str:
        number = found[f"x.{name}"]
        return "none" if np.isnan(number) else format(number, form)

    shown = (
        ("mean", ".0f", " %"), ("active_mean", ".0f", " %"), ("cv", ".2f", ""), ("near_zero", ".2f", ""),
        ("near_peak", ".2f", ""), ("burstiness", ".2f", ""), ("period", ".2f", " s"), ("period_strength", ".2f", ""),
        ("step_jitter", ".3f", ""), ("changes", ".0f", ""), ("spectral_entropy", ".2f", ""),
    )  # fmt: skip
    rows = [(name, value(name, form), unit) for name, form, unit in shown]
    return [(name.replace("_", " "), text + (unit if text != "none" else "")) for name, text, unit in rows]


def draw(path: Path) -> None:
    """One row for each stream: what it looks like, its autocorrelation, its spectrum, its features."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    style = {
        "font.family": "DejaVu Sans", "font.size": 9, "axes.edgecolor": LINE, "text.color": INK,
        "axes.labelcolor": MUTED, "xtick.color": MUTED, "ytick.color": MUTED, "axes.spines.top": False,
        "axes.spines.right": False,
    }  # fmt: skip
    with plt.rc_context(style):
        figure, grid = plt.subplots(
            4, 4, figsize=(13, 11.2), width_ratios=(3.6, 2, 2, 1.75), gridspec_kw={"wspace": 0.28, "hspace": 0.42}
        )
        for row, colour, (name, x) in zip(grid, COLOURS, streams().items(), strict=True):
            _row(row, name, x, colour)
        for axes, title in zip(grid[0][1:3], ("autocorrelation", "power spectral density"), strict=True):
            axes.set_title(title, loc="left", fontsize=9, color=MUTED, pad=8)
        for axes, label in zip(grid[-1], ("time, s", "lag, s", "frequency, Hz"), strict=False):
            axes.set_xlabel(label)
        figure.savefig(path, dpi=110, bbox_inches="tight", facecolor="white")
        plt.close(figure)


def _row(row: Any, name: str, x: np.ndarray, colour: str) -> None:  # noqa: ANN401  matplotlib has no types here
    plan = Plan(SAMPLES, 1, INTERVAL_S, 0)
    sums = reduce(x[:, None], plan)
    found = reduce_window(x[:, None], "x", INTERVAL_S)
    series, auto, spectrum, text = row
    series.plot(np.arange(SAMPLES) * INTERVAL_S, x, color=colour, linewidth=0.5, rasterized=True)
    series.set(xlim=(0, 10), ylim=(-3, 105), yticks=(0, 50, 100), ylabel="% of peak")
    series.set_title(name, loc="left", fontsize=10.5, color=INK, fontweight="bold", pad=8)
    lags = np.arange(len(sums.auto)) * plan.bin_width * INTERVAL_S
    auto.axhline(0, color=LINE, linewidth=0.8)
    auto.plot(lags, sums.auto[:, 0], color=colour, linewidth=1)
    auto.set(xlim=(0, lags[-1]), ylim=(-1.05, 1.05), yticks=(-1, 0, 1))
    period = found["x.period"]
    if not np.isnan(period):
        strength = found["x.period_strength"]
        auto.plot([period], [strength], "o", color=INK, markersize=4.5, clip_on=False, zorder=3)
        auto.annotate(
            f"{period:.2f} s", (period, strength), (8, 3), textcoords="offset points", fontsize=8.5,
            bbox={"facecolor": "white", "edgecolor": "none", "pad": 1, "alpha": 0.85},
        )  # fmt: skip
    frequency = np.arange(1, len(sums.psd)) / (plan.segment * INTERVAL_S)
    spectrum.loglog(frequency, sums.psd[1:, 0], color=colour, linewidth=0.9)
    spectrum.set(xlim=(frequency[0], frequency[-1]), ylim=(1e-5, 3e3), yticks=(1e-4, 1e-2, 1, 1e2))
    spectrum.minorticks_off()
    text.axis("off")
    for line, (label, number) in enumerate(told(found)):
        height = 1.0 - line * 0.097
        text.text(0.0, height, label, color=MUTED, fontsize=8.8, va="center")
        text.text(1.0, height, number, fontsize=8.8, va="center", ha="right", family="DejaVu Sans Mono")


def metrics() -> str:
    """The table of metric sets: a row for each channel, a column for each set that differs from the others."""
    sets = metric_sets.METRIC_SETS
    channels = list(dict.fromkeys(channel for one in sets.values() for channel in one))
    lines = ["| channel | " + " | ".join(sets) + " |", "| --- " * (len(sets) + 1) + "|"]
    for channel in channels:
        name = f"**{channel}**" if channel in metric_sets.CORE else channel
        cells = [f"`{one[channel]}`" if channel in one else "" for one in sets.values()]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def written(page: str) -> str:
    """The page with its tables as the code has them."""
    unverified = "".join(f"- {line};\n" for line in metric_sets.UNVERIFIED[:-1])
    parts = {
        "features": table.markdown(),
        "metrics": metrics(),
        "unverified": unverified + f"- {metric_sets.UNVERIFIED[-1]}.\n",
    }
    for name, text in parts.items():
        begin, end = f"<!-- {name}: begin -->\n", f"<!-- {name}: end -->\n"
        before, rest = page.split(begin)
        page = before + begin + text + end + rest.split(end)[1]
    return page


def main() -> None:
    """Write the picture named first and, if one is named, the page."""
    draw(Path(sys.argv[1]))
    if len(sys.argv) > 2:
        page = Path(sys.argv[2])
        page.write_text(written(page.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
