"""The pictures of a case report: its course, the evidence, the channels that decided, the machine code."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import Any, Final

from hashwarden.model.channels import CHANNELS, INDEX
from hashwarden.model.job.taxonomy import CLASSES
from hashwarden.serve.reporting.case_report import CaseReport
from hashwarden.serve.reporting.channel_words import meaning_of
from hashwarden.serve.reporting.code import MIX, Kernel
from hashwarden.serve.reporting.curves import Curve, Trace
from hashwarden.serve.reporting.drawing import (
    BAND,
    CLASS_COLOURS,
    INK,
    MUTED,
    PALETTE,
    RULE,
    STATE_COLOURS,
    figure,
    moment,
    plain,
    svg_of,
    time_axis,
)

__all__ = ["case_pictures"]

_ORDER: Final = ("abstain", "clear", "watching", "suspect", "confirmed")
_WIDE: Final = 7.2
_MIX_COLOURS: Final = ("#d55e00", "#e69f00", "#0072b2", "#56b4e9", "#cc79a7", "#009e73")
_MIX_WORDS: Final = {"logic": "bit logic", "integer": "integer arithmetic", "float": "floating point",
                     "hmma": "tensor, float", "imma": "tensor, integer", "memory": "memory"}  # fmt: skip


def case_pictures(report: CaseReport) -> dict[str, str]:
    """SVG by name; what there is nothing to draw of is not there.

    Raises
    ------
    MissingExtraError
        If matplotlib is not installed.
    """
    recorded = [curve for curve in report.curves if curve.origin == "recorded" and curve.unix_s]
    again = [curve for curve in report.curves if curve.origin != "recorded" and curve.unix_s]
    found = {}
    if recorded:
        found["course"] = _course(report, recorded)
    if again:
        found["evidence"] = _evidence(report, again)
    if report.traces:
        found["channels"] = _channels(report)
    if any(kernel.mix for kernel in report.kernels):
        found["kernels"] = _kernels([kernel for kernel in report.kernels if kernel.mix])
    return found


def _course(report: CaseReport, curves: Sequence[Curve]) -> str:
    """States over the whole time that is recorded."""
    end = max(report.as_of_unix_s, *(curve.unix_s[-1] for curve in curves))
    with figure(_WIDE, 0.85 + 0.42 * len(curves), "course") as drawn:
        axes = drawn.add_subplot()
        for row, curve in enumerate(curves):
            edges = [*curve.unix_s, max(end, curve.unix_s[-1])]
            for at, state in enumerate(curve.state):
                left, right = moment(edges[at]), moment(edges[at + 1])
                axes.barh(row, right - left, left=left, height=0.62, color=STATE_COLOURS[state], lw=0)
                if curve.blind[at] and state != "abstain":
                    axes.barh(row, right - left, left=left, height=0.62, color="none", edgecolor=INK, hatch="////",
                              lw=0)  # fmt: skip
        for event in _marks(report, curves[0].unix_s[0], end):
            axes.axvline(moment(event), color=INK, lw=0.8, ls=(0, (2, 2)))
        axes.set_yticks(range(len(curves)), [plain(curve.gpu, 14) for curve in curves] if len(curves) > 1 else [""])
        axes.set_ylim(-0.6, len(curves) - 0.4)
        axes.spines["left"].set_visible(False)
        axes.tick_params(left=False)
        axes.set_xlabel("UTC; dashed: the case changed; hatched: nothing new could be seen")
        time_axis(axes)
        _legend(drawn, {name: STATE_COLOURS[name] for name in _ORDER})
        return svg_of(
            drawn, "course", f"States over time, ending as {curves[0].state[-1]}; the time line has them all."
        )


def _marks(report: CaseReport, first: float, last: float) -> list[float]:
    return sorted({event.unix_s for event in report.marks if first <= event.unix_s <= last})[:40]


def _legend(drawn: Any, colours: dict[str, str]) -> None:  # noqa: ANN401  matplotlib has no types
    from matplotlib.patches import Patch

    handles = [Patch(color=colour, lw=0, label=name) for name, colour in colours.items()]
    drawn.legend(handles=handles, loc="outside upper left", ncols=len(handles), fontsize=8, handlelength=1.0,
                 columnspacing=1.2, handletextpad=0.5, borderaxespad=0.1)  # fmt: skip


def _evidence(report: CaseReport, curves: Sequence[Curve]) -> str:
    """Evidence, and below it the classes, on the same times."""
    with figure(_WIDE, 3.7, "evidence") as drawn:
        upper, lower = drawn.subplots(2, 1, sharex=True, height_ratios=(1.25, 1))
        for place, curve in enumerate(curves):
            times = [moment(at) for at in curve.unix_s]
            upper.plot(times, curve.strength, color=PALETTE[place % len(PALETTE)], lw=1.6,
                       drawstyle="steps-post", label=plain(curve.gpu, 24))  # fmt: skip
        upper.axhline(1.0, color=CLASS_COLOURS["mining"], lw=1.0)
        upper.annotate("threshold of “confirmed”", (0.005, 1.02), xycoords=("axes fraction", "data"), va="bottom",
                       fontsize=8, color=CLASS_COLOURS["mining"])  # fmt: skip
        upper.set(ylim=(-0.03, 1.17), ylabel="evidence\n(0 none, 1 confirmed)")
        upper.grid(axis="y")
        if len(curves) > 1:
            upper.legend(fontsize=7)
        _classes(lower, curves[0])
        for axes in (upper, lower):
            _shade(axes, report)
        lower.set_xlabel("UTC" + ("; shaded: the samples that the reasons were taken from" if report.interval_unix_s
                                  else ""))  # fmt: skip
        time_axis(lower)
        _legend(drawn, {name: CLASS_COLOURS[name] for name in CLASSES})
        last = curves[0]
        alt = (f"Evidence on {last.gpu} over time: it rises to {max(last.strength):.2f} of the threshold; below, how "
               "probable each class of work was.")  # fmt: skip
        return svg_of(drawn, "evidence", alt)


def _classes(axes: Any, curve: Curve) -> None:  # noqa: ANN401  matplotlib has no types
    times = [moment(at) for at in curve.unix_s]
    rows = [[chances[i] if chances else 0.0 for chances in curve.probabilities] for i in range(len(CLASSES))]
    axes.stackplot(times, rows, colors=[CLASS_COLOURS[name] for name in CLASSES], lw=0, alpha=0.92)
    axes.set(ylim=(0, 1), ylabel="probability of\neach class of work")
    axes.margins(x=0)


def _shade(axes: Any, report: CaseReport) -> None:  # noqa: ANN401  matplotlib has no types
    if report.interval_unix_s is not None:
        first, last = (moment(at) for at in report.interval_unix_s)
        axes.axvspan(first, last, color=BAND, lw=0, zorder=0)
        for at in (first, last):
            axes.axvline(at, color=MUTED, lw=0.7, ls=(0, (1, 2)), zorder=3)


def _channels(report: CaseReport) -> str:
    """A panel for each channel, the deciding stretch shaded."""
    count = len(report.traces)
    rows = -(-count // 2)
    with figure(_WIDE, 0.45 + 1.42 * rows, "channels") as drawn:
        panels = drawn.subplots(rows, 2, sharex=True, squeeze=False).ravel()
        for axes, trace in zip(panels, report.traces, strict=False):
            _samples(axes, trace)
            _shade(axes, report)
            channel = CHANNELS[INDEX[trace.channel]]
            axes.set_title("\n".join(textwrap.wrap(meaning_of(trace.channel), 56)[:2]), fontsize=7.4, loc="left", pad=3)
            share = channel.unit == "ratio" and channel.high <= 1
            axes.set_ylim(-0.02 if share else 0, 1.02 if share else None)
            axes.set_ylabel("share" if share else channel.unit, fontsize=7.5)
            axes.grid(axis="y")
            axes.tick_params(labelsize=7.5)
        for axes in panels[count:]:
            axes.set_visible(False)
        for axes in panels[max(0, count - 2) : count]:
            time_axis(axes)
            axes.tick_params(labelbottom=True)
        names = ", ".join(trace.channel for trace in report.traces)
        return svg_of(drawn, "channels", f"Raw samples over time of {names}, with the deciding stretch shaded.")


def _samples(axes: Any, trace: Trace) -> None:  # noqa: ANN401  matplotlib has no types
    """A line, or dots where a channel speaks seldom."""
    pairs = [(moment(at), value) for at, value in zip(trace.unix_s, trace.values, strict=True) if value is not None]
    seldom = len(pairs) < len(trace.unix_s) / 3
    axes.plot(
        *zip(*pairs, strict=True), color=PALETTE[0], lw=0.9, marker="o" if seldom else "", ms=3
    ) if pairs else None


def _kernels(kernels: Sequence[Kernel]) -> str:
    """The instruction mix of each, as a bar."""
    with figure(_WIDE, 0.9 + 0.36 * len(kernels), "kernels") as drawn:
        axes = drawn.add_subplot()
        for row, kernel in enumerate(kernels):
            left = 0.0
            for name, colour in zip(MIX, _MIX_COLOURS, strict=True):
                share = min(kernel.mix.get(name, 0.0), 1.0 - left)
                axes.barh(row, share, left=left, height=0.66, color=colour, lw=0)
                left += share
            axes.barh(row, 1.0 - left, left=left, height=0.66, color=RULE, lw=0)
        axes.set_yticks(range(len(kernels)), [plain(kernel.name, 30) for kernel in kernels], fontsize=7.5)
        axes.invert_yaxis()
        axes.set(xlim=(0, 1), xlabel="share of the instructions, weighted by loops")
        axes.spines["left"].set_visible(False)
        axes.tick_params(left=False)
        colours = {_MIX_WORDS[name]: colour for name, colour in zip(MIX, _MIX_COLOURS, strict=True)}
        _legend(drawn, {**colours, "other": RULE})
        return svg_of(drawn, "kernels", "Instruction mix of each kernel as a bar; the table below has the numbers.")
