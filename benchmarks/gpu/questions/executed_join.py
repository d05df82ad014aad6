"""What Nsight Compute printed, and the machine code that it is about. Part of executed.py; not a command.

Its tables are read by what their columns are called, for which words differ between versions: a table of instructions
begins with a row that has a cell "Source" and one that says instructions executed.
"""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from hashwarden.errors import DataError
from hashwarden.kernels.sass import isa

__all__ = ["Table", "by_opcode", "executed", "tables"]

LEAST_ALIKE = 0.98
PADDING = frozenset({"NOP", "BRA"})
PREDICATE = re.compile(r"^@!?U?P[0-9T]\s+")
INSTANCE = re.compile(r"([A-Z][A-Z0-9_.]*)\s*(?:\([^)]*\))?:\s*([\d.,]+)")


@dataclass
class Table:
    """The instructions of one profiled kernel.

    Attributes
    ----------
    title : str
        What was printed since the table before.
    rows : list of (str, float)
        Mnemonic, and how often warps executed it.
    """

    title: str
    rows: list[tuple[str, float]] = field(default_factory=list)


def tables(text: str) -> list[Table]:
    """All tables of instructions, in the order of the launches."""
    found: list[Table] = []
    before: list[str] = []
    places: tuple[int, int] | None = None
    for printed in csv.reader(io.StringIO(text)):
        row = printed[:-1] if printed and not printed[-1] else printed  # the line with the name ends in a comma
        now = _columns(row)
        if now is not None:
            places = now
            found.append(Table(" ".join(before)))
            before = []
        elif places is not None and len(row) > max(places) and (count := number(row[places[1]])) is not None:
            mnemonic = _mnemonic(row[places[0]])
            if mnemonic:
                found[-1].rows.append((mnemonic, count))
        elif len(row) <= 2 or places is None:
            places = None
            before.append(" ".join(row))
    return [table for table in found if table.rows]


def _columns(row: Sequence[str]) -> tuple[int, int] | None:
    """Where the instruction stands, and how often it was executed; None for what is no head of a table."""
    words = [cell.strip().lower() for cell in row]
    if "source" not in words:
        return None
    counts = [
        place for place, word in enumerate(words)
        if re.fullmatch(r"(#\s*)?inst(ruction)?s?[ _]executed(\s*\(.*\))?", word)
    ]  # fmt: skip
    return (words.index("source"), counts[0]) if counts else None


def number(cell: str) -> float | None:
    """A number as it is printed, with commas or without; None for anything else."""
    try:
        return float(cell.replace(",", "").strip())
    except ValueError:
        return None


def _mnemonic(source: str) -> str:
    words = PREDICATE.sub("", source.strip()).split()
    return words[0].rstrip(";").split(".")[0] if words and words[0][0].isalpha() else ""


def executed(table: Table, words: np.ndarray) -> np.ndarray:
    """How often each instruction of the machine code was executed, by warps.

    Parameters
    ----------
    table : Table
    words : uint32 array, shape (instructions, 4)

    Returns
    -------
    float64 array, shape (instructions,)

    Raises
    ------
    DataError
        If the table is about other code.
    """
    names = [isa.mnemonic(first & 0xFFF) or "" for first in words[:, 0].tolist()]
    kept = min(len(names), len(table.rows))
    rest = {*names[kept:], *(name for name, _ in table.rows[kept:])}
    alike = [mine == theirs for mine, (theirs, _) in zip(names, table.rows, strict=False) if mine]
    if not rest <= PADDING or not alike or np.mean(alike) < LEAST_ALIKE:
        raise DataError(
            f"{len(table.rows)} instructions of which {np.mean(alike or [0]):.0%} stand where they should",
            f"the {len(names)} of the kernel that was compiled", "Compile for the GPU that was profiled.",
        )  # fmt: skip
    counts = np.zeros(len(names))
    counts[:kept] = [count for _, count in table.rows[:kept]]
    return counts


def by_opcode(text: str) -> Iterator[tuple[str, dict[str, float]]]:
    """Kernel name and executed warp instructions by opcode, of each launch; from the page "raw".

    The cell of ``sass__inst_executed_per_opcode`` holds the sum and, in parentheses, the part of each opcode.
    """
    head: list[str] | None = None
    for row in csv.reader(io.StringIO(text)):
        if "Kernel Name" in row:
            head = row
        elif head is not None and len(row) == len(head):
            cells: dict[str, Any] = dict(zip(head, row, strict=True))
            cell = next((value for key, value in cells.items() if "inst_executed_per_opcode" in key), "")
            parts: Counter[str] = Counter()
            for name, count in INSTANCE.findall(cell):
                parts[name.split(".")[0]] += number(count) or 0
            if parts:
                yield cells["Kernel Name"], dict(parts)
