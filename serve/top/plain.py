"""One plain table, for scripts and for terminals that are none: what the screen shows, all of it, top to bottom."""

from __future__ import annotations

import json
from collections.abc import Sequence

from rich.text import Text

from hashwarden.serve.top.columns import wrapped
from hashwarden.serve.top.feed import Node
from hashwarden.serve.top.tables import case_lines, gpu_lines, head_lines, job_lines
from hashwarden.serve.top.view import View, view_of
from hashwarden.serve.top.words import Look

__all__ = ["as_json", "plain_lines"]

_UNLIMITED = 1 << 20


def plain_lines(nodes: Sequence[Node], now_s: float, width: int, look: Look) -> list[Text]:
    """Header, GPUs, jobs with their reasons, open cases."""
    view = view_of(nodes, now_s, look)
    lines = head_lines(nodes, now_s, width, look, most=_UNLIMITED)
    lines += _table("no GPUs", *gpu_lines(view.gpus, view.names, width, look))
    lines += _table("no jobs", *job_lines(view.order.of(view.jobs), view, width, look))
    lines += _reasons(view, width)
    cases = [row for row in view.cases if row.is_open]
    if cases:
        lines += _table("", *case_lines(cases, view.names, view.unix_s, width, look))
    return lines


def _table(empty: str, header: Text, lines: Sequence[Text]) -> list[Text]:
    return [Text(), header, *lines] if lines else [Text(), Text(empty)]


def _reasons(view: View, width: int) -> list[Text]:
    told = [row for row in view.order.of(view.jobs) if row.state != "clear"]
    lines = [line for row in told for line in wrapped(f"{row.job}: {row.reason}", width)]
    return [Text(), *lines] if lines else []


def as_json(nodes: Sequence[Node]) -> str:
    """The pages as they were given; ASCII, so that no name can do anything to a terminal."""
    found = [
        {"where": node.peer.where, "error": None if node.error is None else str(node.error), "hangs": node.hangs,
         **{name: dict(page) for name, page in node.pages.items()}}
        for node in nodes
    ]  # fmt: skip
    return json.dumps({"nodes": found}, indent=1, ensure_ascii=True)
