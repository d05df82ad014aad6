"""What is to be read and how far it is: targets, the tasks cut from them, and the open files they share."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from tempfile import TemporaryFile
from typing import Any, Final, final

from hashwarden.kernels.sass.limits import Limits
from hashwarden.kernels.sass.pieces import Piece
from hashwarden.serve.scan.events import ReadStats
from hashwarden.serve.scan.opening import OpenedProcess
from hashwarden.serve.scan.order import Node

__all__ = ["Files", "Reading", "Task"]

_LIVES: Final = 12
"""Workers that may die on one target before the rest of the piece is given up."""


@final
class Files:
    """Open files by number, each closed when nobody has use for it any more.

    Parameters
    ----------
    folder : str, optional
        Where spool files are made.
    """

    def __init__(self, folder: str | None = None) -> None:
        self._folder = folder
        self._open: dict[int, list[int]] = {}  # number: descriptor, uses
        self._next = 0

    def add(self, descriptor: int) -> int:
        """Take over an open file; it has one use."""
        number, self._next = self._next, self._next + 1
        self._open[number] = [descriptor, 1]
        return number

    def spool(self) -> int:
        """A new, empty, unlinked temporary file."""
        with TemporaryFile(dir=self._folder) as file:
            return self.add(os.dup(file.fileno()))

    def use(self, number: int) -> None:
        """One use more."""
        self._open[number][1] += 1

    def drop(self, number: int) -> None:
        """One use less."""
        entry = self._open[number]
        entry[1] -= 1
        if entry[1] == 0:
            del self._open[number]
            os.close(entry[0])

    def descriptor(self, number: int) -> int:
        """The descriptor of a file."""
        return self._open[number][0]

    def close(self) -> None:
        """Close all."""
        for descriptor, _ in self._open.values():
            os.close(descriptor)
        self._open.clear()


@final
@dataclass(eq=False, slots=True)
class Reading:
    """A target that is being read.

    Attributes
    ----------
    index, name : int, str
        Which it is.
    node : Node
        Its place in the order of results.
    opened : iterator
        Its files, opened one by one.
    process : OpenedProcess or None
        For a process.
    outstanding : int
        Tasks that are not finished.
    listed : bool
        All its files are opened.
    over : bool
        Nothing more is read of it.
    problems : int
        Told so far.
    """

    index: int
    name: str
    node: Node
    opened: Iterator[Any]
    process: OpenedProcess | None = None
    stats: ReadStats = field(default_factory=ReadStats)
    outstanding: int = 0
    expanded: int = 0
    objects: int = 0
    listed: bool = False
    over: bool = False
    problems: int = 0
    lives: int = _LIVES


@final
@dataclass(eq=False, slots=True)
class Task:
    """A piece of a target, for one worker at a time.

    Attributes
    ----------
    reading : Reading
        The target.
    node : Node
        Where its results go.
    piece : Piece
        What is to be read.
    files : tuple of int
        Numbers of the files it needs.
    size : int
        Bytes of the first of them.
    expanded, objects : int
        What its part of the tree has cost before it.
    delivered, taken, avoid, careful
        After a crash: items that have come, which of them others read, what is left out, one object at a time.
    at, at_item : str, int
        What its worker was at; ``at_item`` above 0 if that was decoded and not searched for.
    spools : dict of int to int
        Spool files that its worker holds, and their uses by it.
    """

    reading: Reading
    node: Node
    piece: Piece
    files: tuple[int, ...]
    size: int
    expanded: int = 0
    objects: int = 0
    delivered: int = 0
    taken: set[int] = field(default_factory=set)
    avoid: dict[str, int] = field(default_factory=dict)
    careful: bool = False
    at: str = ""
    at_item: int = 0
    spools: set[int] = field(default_factory=set)

    def header(self, limits: dict[str, Any]) -> dict[str, Any]:
        """What its worker is told."""
        reading = self.reading
        return {
            "piece": self.piece.dump(), "limits": limits, "number": self.files[0], "size": self.size,
            "expanded": max(self.expanded, reading.expanded), "objects": max(self.objects, reading.objects),
            "seconds": reading.stats.seconds, "careful": self.careful, "skip": self.delivered,
            "taken": sorted(self.taken), "avoid": self.avoid,
        }  # fmt: skip

    @classmethod
    def of_limits(cls, limits: Limits) -> dict[str, Any]:
        """Limits as JSON."""
        return {name: getattr(limits, name) for name in Limits.__slots__}
