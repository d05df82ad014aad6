"""From the events of reading one target to its report: score, group by file, apply the file rule.

Only one file's kernels are held at a time, without their nested columns: 150,000 kernels of one file, rows of
data/kernel_mix with names of their own, took 158 MiB here; a folder of a thousand such libraries takes no more.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from itertools import groupby
from typing import Protocol, final

import numpy as np

from hashwarden.kernels.sass.table import NESTED, MixTable, Ragged
from hashwarden.model.kernel.rule import ALONE
from hashwarden.model.kernel.verdict import FileVerdict, KernelVerdict
from hashwarden.serve.scan.events import Finished, Kernels, Unreadable
from hashwarden.serve.scan.result import Problem, TargetReport
from hashwarden.serve.scan.spool import KernelSpool

__all__ = ["FileRule", "Scorer", "TargetJudge", "file_of"]

_CODE_OBJECTS = re.compile(r"(#(fatbin\d+|(cubin|ptx)@0x[0-9a-f]+))+$")
"""Ends of ``where``; any other ``#`` belongs to a file's own name."""

FileRule = Callable[
    [str, MixTable, Sequence[KernelVerdict], Sequence[str]], tuple[FileVerdict, Sequence[KernelVerdict]]
]
"""``(where, table, verdicts, notes)`` to the file's verdict and those of its kernels, judged together.

The table's nested columns are empty (`slim`).
"""


class Scorer(Protocol):
    """Judges single kernels."""

    @property
    def identity(self) -> Mapping[str, str]:
        """What the model is called, its version, and ``sha256`` of its file; part of every cache key."""

    def judge(self, table: MixTable) -> Sequence[KernelVerdict]:
        """One verdict per row, in order, each kernel alone."""


@final
class TargetJudge:
    """Collects what is found in one target.

    Parameters
    ----------
    scorer : Scorer
    rule : FileRule
        Makes a file's verdict from those of its kernels.
    spool : KernelSpool
        Takes every kernel, in order.
    told : callable
        Is told each problem as it comes.
    """

    def __init__(self, scorer: Scorer, rule: FileRule, spool: KernelSpool, told: Callable[[Problem], None]) -> None:
        self._scorer, self._rule, self._spool, self._told = scorer, rule, spool, told
        self._first = spool.count
        self._files: list[FileVerdict] = []
        self._problems: list[Problem] = []
        self._where = ""
        self._tables: list[MixTable] = []
        self._verdicts: list[KernelVerdict] = []

    def add(self, event: Kernels) -> None:
        """Judge a batch of kernels."""
        verdicts = self._scorer.judge(event.table)
        slimmed, start = named_sources(slim(event.table), event.from_table), 0
        for where, rows in groupby(_file_names(event)):
            stop = start + sum(1 for _ in rows)
            if where != self._where:
                self._close_file()
                self._where = where
            self._tables.append(slimmed.take(range(start, stop)))
            self._verdicts.extend(verdicts[start:stop])
            start = stop

    def refuse(self, event: Unreadable, name: str) -> None:
        """Take note of an object that could not be judged."""
        problem = Problem.of(event.error, name)
        self._problems.append(problem)
        self._told(problem)

    def finish(self, event: Finished, sha256: str = "") -> TargetReport:
        """Close the target."""
        self._close_file()
        n_kernels = self._spool.count - self._first
        return TargetReport(
            event.name, tuple(self._files), tuple(self._problems), self._first, n_kernels, event.stats, sha256
        )

    def _close_file(self) -> None:
        if not self._tables:
            return
        inside = [problem for problem in self._problems if file_of(problem.where) == self._where]
        notes = tuple(dict.fromkeys(problem.got for problem in inside))
        table = MixTable.concat(self._tables)
        judged, verdicts = self._rule(self._where, table, self._verdicts, notes)
        self._files.append(judged)
        self._spool.extend(verdicts)
        self._tables, self._verdicts = [], []


def file_of(where: str) -> str:
    """Name the file that a code object lies in: without ``#fatbin3``, ``#cubin@0x40`` and the like at its end."""
    return _CODE_OBJECTS.sub("", where)


def slim(table: MixTable) -> MixTable:
    """Leave out its nested columns, which are nine tenths of a table and serve the scorer alone."""
    empty = {name: Ragged.empty(name, len(table)) for name in NESTED}
    return MixTable(table.scalars, table.rotate, table.funnel, empty, table.text, table.is_mining)


def named_sources(table: MixTable, from_table: str) -> MixTable:
    """Say of rows of a mix table which lay in one file, where the table has no column ``source``.

    Rows that name no file were measured apart as far as anybody knows: each is a source of its own.
    """
    if not from_table or "source" in table.text:
        return table
    files = [str(name) for name in table.text["file"]]
    alone = all(name == from_table for name in files)
    sources = np.array([f"{ALONE}{row}" if alone else name for row, name in enumerate(files)], object)
    return MixTable(
        table.scalars, table.rotate, table.funnel, table.nested, table.text | {"source": sources}, table.is_mining
    )


def _file_names(event: Kernels) -> list[str]:
    """Of rows of a mix table the table itself is the file; what they were measured on is not at hand."""
    if event.from_table:
        return [event.from_table] * len(event.table)
    return [file_of(where) for where in event.table.text["file"]]
