"""Header, GPUs, jobs and cases as lines of text of a given width, for the screen and for plain output alike."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

from rich.cells import cell_len
from rich.text import Text

from hashwarden.serve.top.columns import Cell, Column, Drawn, arranged, grown, header, line, wrapped
from hashwarden.serve.top.feed import Node
from hashwarden.serve.top.health import Level, health_of, title_of
from hashwarden.serve.top.rows import CaseRow, GpuRow, JobRow
from hashwarden.serve.top.view import View
from hashwarden.serve.top.words import STATES, Look, ago, fit, tail

__all__ = ["bar", "case_lines", "gpu_lines", "head_lines", "job_lines", "percent", "spark", "state_cell"]

_STYLES: Final = {Level.CALM: "", Level.WARNING: "bold reverse yellow", Level.ALARM: "bold reverse red"}
_MARKS: Final = {Level.CALM: " ", Level.WARNING: "!", Level.ALARM: "!!!"}

_JOBS: Final = (
    Column("node", "NODE", 8, 14, 18),
    Column("state", "STATE", 13, 13, 20),
    Column("job", "JOB", 20, 30, 19),
    Column("user", "USER", 6, 10, 12),
    Column("gpus", "GPUS", 4, 6, 13),
    Column("likeliest", "LIKELIEST", 14, 15, 15),
    Column("evidence", "EVIDENCE", 11, 25, 17),
    Column("watched", "WATCHED", 7, 7, 6, right=True),
    Column("hours", "GPU-H", 6, 6, 4, right=True),
    Column("case", "CASE", 10, 10, 7),
    Column("reason", "WHY", 24, 400, 3),
)
_LABEL: Final = 24
"""Cells that names of GPUs without numbers can use."""

_GPUS: Final = (
    Column("node", "NODE", 8, 14, 19),
    Column("label", "GPU", 3, 5, 20),
    Column("name", "NAME", 8, 18, 7),
    Column("util", "BUSY", 12, 20, 9),
    Column("memory", "MEMORY", 12, 20, 8),
    Column("power", "POWER", 6, 6, 12, right=True),
    Column("celsius", "TEMP", 5, 5, 4, right=True),
    Column("jobs", "JOBS", 18, 60, 10),
)
_CASES: Final = (
    Column("node", "NODE", 8, 14, 14),
    Column("case", "CASE", 10, 10, 20),
    Column("standing", "STANDING", 10, 16, 18),
    Column("job", "JOB", 12, 30, 17),
    Column("user", "USER", 6, 10, 16),
    Column("since", "OPEN", 6, 6, 8, right=True),
    Column("rule", "RULE", 6, 12, 6),
    Column("steps", "STEPS", 10, 40, 5),
    Column("waiting", "WAITS FOR", 14, 400, 15),
)


def percent(ratio: float) -> str:
    """``98%``; a question mark if it is not known."""
    return f"{100 * ratio:.0f}%" if math.isfinite(ratio) else "?"


def spark(trend: Sequence[float], width: int, look: Look) -> str:
    """The points as small bars: all of them or as many as there is room for, evenly, the last at the right."""
    blocks, step = look.blocks, max(1, -(-len(trend) // max(width, 1)))
    points = trend[(len(trend) - 1) % step :: step] if width > 0 else ()
    return "".join(
        blocks[round(min(max(value, 0.0), 1.0) * (len(blocks) - 1))] if math.isfinite(value) else " "
        for value in points
    )  # fmt: skip


def bar(ratio: float, width: int, look: Look) -> str:
    """A bar as nvitop's; ``?`` if the ratio is not known."""
    if not math.isfinite(ratio) or width < 1:
        return fit("?", max(width, 0), look)
    full = round(min(max(ratio, 0.0), 1.0) * width)
    return ("━" if look.unicode else "#") * full + ("─" if look.unicode else ".") * (width - full)


def state_cell(state: str, look: Look, *, stale: bool = False) -> Cell:
    """Symbol and word; what is old is told as old, and nobody is clear then."""
    if stale:
        return Cell(f"was {state}", "bold")
    known = STATES.get(state)
    return Cell(f"{look.symbol(state)} {state}", known.style if known else "bold")


def head_lines(nodes: Sequence[Node], now_s: float, width: int, look: Look, most: int = 4) -> list[Text]:
    """Two or three lines for one node, one each for several: the worst first, and how many are not shown."""
    told = [(health_of(node, now_s, look), title_of(node, now_s, look)) for node in nodes]
    lines = []
    if len(told) == 1:
        lines.append(Text(fit(told[0][1], width, look), "bold", no_wrap=True, end=""))
    else:
        told.sort(key=lambda one: -one[0].level)
    for health, title in told[:most]:
        words = health.words if len(told) == 1 else f"{title.partition('  ')[0]}: {health.words}"
        text = f"{_MARKS[health.level]} {words}".strip()
        parts = [part.plain for part in wrapped(text, width)[:2]] if len(told) == 1 else [text]
        lines += [Text(fit(part, width, look), _STYLES[health.level], no_wrap=True, end="") for part in parts]
    if len(told) > most:
        wrong = sum(health.level is not Level.CALM for health, _ in told[most:])
        style = _STYLES[Level.ALARM if wrong else Level.CALM]
        lines.append(Text(fit(f"and {len(told) - most} more, {wrong} not well", width, look), style, end=""))
    return lines


def job_lines(rows: Sequence[JobRow], view: View, width: int, look: Look) -> tuple[Text, Drawn[JobRow]]:
    """The titles, and a line for each job; with names of nodes if there are several."""
    names, order = view.names, view.order
    columns = [grown(column, map(_short, rows), _LABEL) if column.key == "gpus" else column
               for column in _JOBS if column.key != "node" or len(names) > 1]  # fmt: skip
    places = arranged(columns, width)
    widths = {column.key: size for column, size in places}

    def draw(row: JobRow) -> Text:
        share = "" if not row.likeliest else f"{row.likeliest} {percent(row.probability)}"
        evidence = max(widths.get("evidence", 0) - 5, 0)
        number = f"{row.strength:4.2f}" if math.isfinite(row.strength) else "   ?"
        known = STATES.get(row.state)
        return line(places, {
            "node": Cell(names.get(row.node, "?")), "state": state_cell(row.state, look, stale=row.node in view.stale),
            "job": Cell(row.job), "user": Cell(row.user), "gpus": Cell(_gpus(row, widths.get("gpus", 0), look) or "-"),
            "likeliest": Cell(share or "?"),
            "evidence": Cell(f"{fit(spark(row.trend, evidence, look), evidence, look, right=True)} {number}",
                             "bold" if known and known.rank < 2 else ""),
            "watched": Cell(ago(row.watched_s)), "hours": Cell(f"{row.hours:.2f}"), "case": Cell(row.case or "-"),
            "reason": Cell(row.reason),
        }, look)  # fmt: skip

    return header(places, look, order.key, reverse=order.reverse), Drawn(rows, draw)


def _gpus(row: JobRow, width: int, look: Look) -> str:
    """Names of its GPUs; how many, if there is no room for them."""
    return row.gpus if cell_len(row.gpus) <= width else tail(_short(row), width, look)


def _short(row: JobRow) -> str:
    count = row.gpus.count(",") + 1
    return row.gpus if count == 1 else f"{count} GPUs"


def gpu_lines(
    rows: Sequence[GpuRow], names: dict[str, str], width: int, look: Look
) -> tuple[Text, Drawn[GpuRow]]:  # fmt: skip
    """The titles, and a line for each GPU; no product names if none is known."""
    known = any(row.name != "?" for row in rows)
    shown = {"node": len(names) > 1, "name": known}
    columns = [grown(column, (row.label for row in rows), _LABEL) if column.key == "label" else column
               for column in _GPUS if shown.get(column.key, True)]  # fmt: skip
    places = arranged(columns, width)
    widths = {column.key: size for column, size in places}

    def gauge(key: str, ratio: float) -> Cell:
        room = widths.get(key, 0) - 5
        return Cell(f"{bar(ratio, room, look)} {percent(ratio):>4}")

    def draw(row: GpuRow) -> Text:
        watts = f"{row.power_watts:.0f} W" if math.isfinite(row.power_watts) else "?"
        degrees = f"{row.celsius:.0f} C" if math.isfinite(row.celsius) else "?"
        return line(places, {
            "node": Cell(names.get(row.node, "?")), "label": Cell(tail(row.label, widths.get("label", 0), look)),
            "name": Cell(row.name), "util": gauge("util", row.util), "memory": gauge("memory", row.memory),
            "power": Cell(watts), "celsius": Cell(degrees), "jobs": Cell(", ".join(row.jobs) or "-"),
        }, look)  # fmt: skip

    return header(places, look), Drawn(rows, draw)


def case_lines(
    rows: Sequence[CaseRow], names: dict[str, str], unix_s: float, width: int, look: Look
) -> tuple[Text, Drawn[CaseRow]]:
    """The titles, and a line for each case."""
    places = arranged([c for c in _CASES if c.key != "node" or len(names) > 1], width)

    def draw(row: CaseRow) -> Text:
        known = STATES.get(row.standing)
        return line(places, {
            "node": Cell(names.get(row.node, "?")), "case": Cell(row.label), "job": Cell(row.job),
            "user": Cell(row.user),
            "standing": Cell(row.standing, known.style if known else ""),
            "since": Cell(ago(unix_s - row.opened_unix_s)), "rule": Cell(row.rule), "steps": Cell(row.steps or "-"),
            "waiting": Cell(row.waiting or "-", "bold" if row.waiting else ""),
        }, look)  # fmt: skip

    return header(places, look), Drawn(rows, draw)
