"""Columns that fit a width: the less important go first, what is left over goes to those that can use it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final, Generic, TypeVar, final, overload

from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

from hashwarden.serve.top.words import Look, fit

__all__ = ["GAP", "Cell", "Column", "Drawn", "arranged", "grown", "header", "line", "wrapped"]

Row = TypeVar("Row")

GAP: Final = 1
_LEAST: Final = 6
"""Cells that the end of a name needs."""


@final
@dataclass(frozen=True, slots=True)
class Column:
    """A column.

    Attributes
    ----------
    key, title : str
    least, most : int
        Cells that it needs, and that it can use.
    weight : int
        Those of the lowest go first where there is no room.
    right : bool
        Numbers stand at the right.
    """

    key: str
    title: str
    least: int
    most: int
    weight: int
    right: bool = False


@final
@dataclass(frozen=True, slots=True)
class Cell:
    """Text, and rich's style."""

    text: str
    style: str = ""


@final
class Drawn(Sequence[Text], Generic[Row]):
    """A line for each row, drawn when it is asked for: of thousands of rows only those on the screen are.

    Parameters
    ----------
    rows : sequence
    draw : callable
        From a row to its line.
    """

    def __init__(self, rows: Sequence[Row], draw: Callable[[Row], Text]) -> None:
        self._rows, self._draw = rows, draw

    def __len__(self) -> int:
        """How many rows there are."""
        return len(self._rows)

    @overload
    def __getitem__(self, place: int) -> Text: ...
    @overload
    def __getitem__(self, place: slice) -> list[Text]: ...
    def __getitem__(self, place: int | slice) -> Text | list[Text]:
        """A line, or those of a slice."""
        if isinstance(place, slice):
            return [self._draw(row) for row in self._rows[place]]
        return self._draw(self._rows[place])


def grown(column: Column, texts: Iterable[str], most: int) -> Column:
    """A column that can use as much as its longest text, up to so many cells."""
    longest = min(max((cell_len(text) for text in texts), default=0), most)
    return replace(column, least=max(column.least, min(longest, _LEAST)), most=max(column.most, longest))


def arranged(columns: Sequence[Column], width: int) -> list[tuple[Column, int]]:
    """Those that there is room for, in their order, with their widths."""
    kept = list(columns)
    while len(kept) > 1 and sum(c.least + GAP for c in kept) - GAP > width:
        kept.remove(min(kept, key=lambda column: column.weight))
    widths = {column.key: min(column.least, width) for column in kept}
    free = width - sum(widths.values()) - GAP * (len(kept) - 1)
    for column in sorted(kept, key=lambda column: -column.weight):
        more = max(0, min(column.most - widths[column.key], free))
        widths[column.key] += more
        free -= more
    return [(column, widths[column.key]) for column in kept]


def header(places: Sequence[tuple[Column, int]], look: Look, chosen: str = "", *, reverse: bool = False) -> Text:
    """The titles; that of the column that is sorted by is marked."""
    text = Text(no_wrap=True, end="")
    up, down = ("▲", "▼") if look.unicode else ("^", "v")
    for place, (column, width) in enumerate(places):
        mark = (up if reverse else down) if column.key == chosen else ""
        title = fit(column.title, width - len(mark), look) if len(column.title) + len(mark) > width else column.title
        text.append(" " * (GAP if place else 0))
        text.append(fit(title + mark, width, look, right=column.right), "bold underline" if mark else "bold")
    return text


def line(places: Sequence[tuple[Column, int]], cells: dict[str, Cell], look: Look) -> Text:
    """A row."""
    text = Text(no_wrap=True, end="")
    for place, (column, width) in enumerate(places):
        cell = cells[column.key]
        text.append(" " * (GAP if place else 0))
        text.append(fit(cell.text, width, look, right=column.right), cell.style)
    return text


def wrapped(text: str, width: int, indent: str = "") -> list[Text]:
    """Broken at words; the lines after the first stand two further in."""
    room = max(width - len(indent) - 2, 10)
    parts = Text(text).wrap(Console(width=room), room)
    return [Text(indent + ("  " if place else "") + part.plain.rstrip(), no_wrap=True)
            for place, part in enumerate(parts)]  # fmt: skip
