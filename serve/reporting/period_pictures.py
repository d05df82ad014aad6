"""The pictures of a report on a period: GPU-hours by day, cases by day, what could not be seen when."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from hashwarden.serve.reporting.drawing import CLASS_COLOURS, INK, MUTED, RULE, figure, moment, plain, svg_of, time_axis
from hashwarden.serve.reporting.lay import hours
from hashwarden.serve.reporting.period_report import DarkLine, PeriodReport

__all__ = ["period_pictures"]

_WIDE: Final = 7.2
_ROWS: Final = 12
_OTHERS: Final = "#cc79a7"


def period_pictures(report: PeriodReport) -> dict[str, str]:
    """SVG by name; what there is nothing to draw of is not there.

    Raises
    ------
    MissingExtraError
        If matplotlib is not installed.
    """
    found = {}
    if report.hours:
        found["hours"] = _hours(report)
    if report.dark:
        found["dark"] = _dark(report)
    return found


def _hours(report: PeriodReport) -> str:
    """Bars of watched time by class, with blind time on top, hatched."""
    classes = [name for name in (*CLASS_COLOURS, *report.by_class) if name in report.by_class]
    classes = list(dict.fromkeys(classes))
    with figure(_WIDE, 2.9, "hours") as drawn:
        axes = drawn.add_subplot()
        places = range(len(report.hours))
        below = [0.0] * len(report.hours)
        for name in classes:
            values = [one.watched.get(name, 0.0) for one in report.hours]
            axes.bar(places, values, bottom=below, width=0.76, color=CLASS_COLOURS.get(name, _OTHERS), lw=0, label=name)
            below = [a + b for a, b in zip(below, values, strict=True)]
        blind = [one.blind for one in report.hours]
        axes.bar(places, blind, bottom=below, width=0.76, color="none", edgecolor=MUTED, hatch="////", lw=0.8,
                 label="blind")  # fmt: skip
        every = max(1, -(-len(report.hours) // 12))
        shown = list(places)[::every]
        axes.set_xticks(shown, [_short(report.hours[at].name, hourly=report.hourly) for at in shown])
        axes.set_xlim(-0.6, max(len(report.hours), 5) - 0.4)
        axes.set_ylabel("GPU-hours")
        axes.grid(axis="y")
        drawn.legend(loc="outside upper left", ncols=8, fontsize=8, handlelength=1.0, columnspacing=1.2,
                     handletextpad=0.5, borderaxespad=0.1)  # fmt: skip
        alt = (f"GPU-hours by {'hour' if report.hourly else 'day'}: {hours(report.watched_hours)} watched, "
               f"{hours(report.blind_hours)} blind; the tables have the sums.")  # fmt: skip
        return svg_of(drawn, "hours", alt)


def _short(name: str, *, hourly: bool) -> str:
    return f"{name[5:10]}\n{name[11:16]}" if hourly else name[5:]


def _dark(report: PeriodReport) -> str:
    """A bar for each stretch, a row for each node and reason."""
    rows: dict[str, list[DarkLine]] = {}
    for line in report.dark:
        rows.setdefault(f"{line.node}: {line.words}", []).append(line)
    shown = list(rows.items())[:_ROWS]
    end = min(report.as_of_unix_s, report.to_unix_s)
    with figure(_WIDE, 0.75 + 0.32 * len(shown), "dark") as drawn:
        axes = drawn.add_subplot()
        for row, (_, lines) in enumerate(shown):
            _bars(axes, row, lines, report.from_unix_s, end)
        axes.set_yticks(range(len(shown)), [plain(name, 44) for name, _ in shown], fontsize=7.5)
        axes.set_xlim(moment(report.from_unix_s), moment(max(end, report.from_unix_s + 60)))
        axes.set_ylim(len(shown) - 0.5, -0.5)
        axes.axvline(moment(end), color=RULE, lw=0.8)
        axes.tick_params(left=False)
        time_axis(axes)
        return svg_of(drawn, "dark", "When what could not be seen, by node and reason; the table has the longest.")


def _bars(axes: object, row: int, lines: Sequence[DarkLine], begin: float, end: float) -> None:
    for line in lines:
        first = moment(max(line.from_unix_s, begin))
        last = moment(min(line.to_unix_s if line.to_unix_s is not None else end, end))
        axes.barh(row, last - first, left=first, height=0.6, color=INK, alpha=0.55, lw=0)  # type: ignore[attr-defined]
