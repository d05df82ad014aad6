"""The tables of docs/kernels.md, from the registry; ``python -m hashwarden.kernels.workloads.page`` renews them."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from hashwarden.errors import DataError
from hashwarden.kernels.workloads.evasions import EVASIONS
from hashwarden.kernels.workloads.registry import workloads
from hashwarden.kernels.workloads.workload import LABELS

__all__ = ["evasion_table", "renewed", "workload_tables"]

PAGE: Final = Path("docs/kernels.md")


def _rows(rows: Iterable[tuple[str, ...]]) -> list[str]:
    return ["| " + " | ".join(cells) + " |" for cells in rows]


def workload_tables() -> str:
    """A table of the workloads of each label."""
    lines: list[str] = []
    for label in LABELS:
        chosen = [workload for workload in workloads() if workload.label == label]
        lines += [f"### {label}", "", "| name | bound by | engines | what it computes |", "| --- | --- | --- | --- |"]
        lines += _rows((f"`{w.name}`", w.bound, " ".join(w.engines()), w.summary) for w in chosen)
        lines.append("")
    return "\n".join(lines).strip()


def evasion_table() -> str:
    """A table of the evasions."""
    head = ["| name | what it does | parameters | beside it |", "| --- | --- | --- | --- |"]
    rows = []
    for evasion in EVASIONS:
        settings = ", ".join(f"{p.name} {evasion.defaults[p.name]} {p.unit}" for p in evasion.parameters)
        rows.append((f"`{evasion.name}`", evasion.summary, settings, ", ".join(evasion.company)))
    return "\n".join(head + _rows(rows))


def renewed(text: str) -> str:
    """A page with its tables written anew, between ``<!-- begin NAME -->`` and ``<!-- end NAME -->``.

    Raises
    ------
    DataError
        If a mark is missing.
    """
    for name, table in (("workloads", workload_tables()), ("evasions", evasion_table())):
        begin, end = f"<!-- begin {name} -->", f"<!-- end {name} -->"
        head, found, rest = text.partition(begin)
        _, also, tail = rest.partition(end)
        if not found or not also:
            raise DataError(f"no {begin} or no {end}", "both marks", "Put them back.", where=str(PAGE))
        text = f"{head}{begin}\n{table}\n{end}{tail}"
    return text


def main() -> None:
    """Write the page's tables anew."""
    page = Path(sys.argv[1]) if len(sys.argv) > 1 else PAGE
    page.write_text(renewed(page.read_text()))


if __name__ == "__main__":
    main()
