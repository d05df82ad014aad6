"""What a check of a log found."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, final

__all__ = ["MOST", "Problem", "Report"]

MOST: Final = 100
"""Problems that are kept; more are only counted."""


@final
@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is not as it was written.

    Attributes
    ----------
    file : str
        Name of the file.
    line : int
        From 1; 0 for the file as a whole.
    words : str
    """

    file: str
    line: int
    words: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.words}" if self.line else f"{self.file}: {self.words}"


@final
@dataclass(slots=True)
class Report:
    """What was checked, and what is wrong.

    Attributes
    ----------
    log : str
        Id of the log.
    files, records, checkpoints : int
    first_seq, last_seq : int
        -1 for none.
    head : str
        Hash of the last record, hexadecimal.
    signed_seq : int
        The last record that a signature of a trusted key covers; -1 for none.
    anchored_seq : int
        The last record that a checkpoint kept elsewhere covers; -1 for none.
    removed : mapping or None
        The record that says of the records before `first_seq` that they were removed: its number, theirs, the hash
        of the last one, and when. None if none is missing, or nothing says so.
    keys : list of str
        Ids of the keys that signed, in order.
    problems : list of Problem
        The first `MOST`.
    problem_count : int
    notes : list of str
        What is no sign of tampering, and worth knowing.
    """

    log: str = ""
    files: int = 0
    records: int = 0
    checkpoints: int = 0
    first_seq: int = -1
    last_seq: int = -1
    head: str = ""
    signed_seq: int = -1
    anchored_seq: int = -1
    removed: Mapping[str, Any] | None = None
    keys: list[str] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    problem_count: int = 0
    notes: list[str] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong."""
        return self.problem_count == 0

    def problem(self, file: str, line: int, words: str) -> None:
        """Take down a problem."""
        self.problem_count += 1
        if len(self.problems) < MOST:
            self.problems.append(Problem(file, line, words))

    def note(self, words: str) -> None:
        """Take down a note, if it is not there."""
        if words not in self.notes and len(self.notes) < MOST:
            self.notes.append(words)

    def as_json(self) -> Mapping[str, Any]:
        """For ``--json``."""
        plain = {name: getattr(self, name) for name in self.__slots__ if name != "problems"}
        problems = [{"file": one.file, "line": one.line, "what": one.words} for one in self.problems]
        return {"ok": self.ok, **plain, "problems": problems}
