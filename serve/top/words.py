"""States as a word, a symbol and a style, and text that a terminal can show: also one without colour or Unicode.

No state is told by its colour alone, and none by red against green.
"""

from __future__ import annotations

import math
import os
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, final

from rich.cells import cell_len, set_cell_size

from hashwarden.serve.scan.text import printable

__all__ = ["ORDER", "STATES", "Look", "State", "ago", "clean", "fit", "look_of", "tail"]

_MOST: Final = 2000
_MARKS: Final = {"Mn", "Me", "Mc"}
_UNKNOWN_TERMS: Final = frozenset({"", "dumb", "unknown", "linux"})


@final
@dataclass(frozen=True, slots=True)
class State:
    """How a state of the evidence is shown: symbols of a terminal with and without Unicode, and rich's style."""

    rank: int
    symbol: str
    plain: str
    style: str


STATES: Final[Mapping[str, State]] = {
    "confirmed": State(0, "●", "#", "bold reverse red"),
    "suspect": State(1, "◕", "!", "bold reverse yellow"),
    "watching": State(2, "◑", "+", "bold"),
    "abstain": State(3, "?", "?", "bold magenta"),
    "clear": State(4, "○", ".", ""),
}
"""By word, worst first; a job that cannot be judged comes before one that is clear."""

ORDER: Final = tuple(STATES)


@final
@dataclass(frozen=True, slots=True)
class Look:
    """What the terminal can do.

    Attributes
    ----------
    unicode : bool
        Whether it shows more than ASCII.
    """

    unicode: bool = True

    @property
    def dots(self) -> str:
        """Stands for what was cut off."""
        return "…" if self.unicode else "~"

    @property
    def blocks(self) -> str:
        """Levels of a small bar, lowest first."""
        return "▁▂▃▄▅▆▇█" if self.unicode else "_.:-=+*#"

    def symbol(self, state: str) -> str:
        """Of a state."""
        known = STATES.get(state)
        if known is None:
            return "?"
        return known.symbol if self.unicode else known.plain


def look_of(environment: Mapping[str, str] | None = None) -> Look:
    """What the locale and the kind of terminal allow.

    Python itself sets ``LC_CTYPE=C.UTF-8`` where the locale is C (PEP 538): that says nothing of the terminal.
    """
    env = os.environ if environment is None else environment
    language = env.get("LANG", "")
    kind = env.get("LC_CTYPE", "")
    if kind in ("C.UTF-8", "C.utf8", "UTF-8") and language in ("", "C", "POSIX"):
        kind = ""
    locale = env.get("LC_ALL", "") or kind or language
    utf8 = locale.upper().replace("-", "").endswith("UTF8")
    return Look(utf8 and env.get("TERM", "") not in _UNKNOWN_TERMS)


def clean(value: object, look: Look, most: int = _MOST) -> str:
    """Text of others on one line: without control characters, without towers of marks, ASCII where it has to be."""
    text = printable(str(value)[:most])
    if text.isascii():
        return text
    if not look.unicode:
        return text.encode("ascii", "backslashreplace").decode()
    kept, marks = [], 0
    for char in text:
        marks = marks + 1 if unicodedata.category(char) in _MARKS else 0
        if marks <= 1:
            kept.append(char)
    return "".join(kept)


def fit(text: str, width: int, look: Look, *, right: bool = False) -> str:
    """Exactly so many cells: cut or filled up."""
    size = cell_len(text)
    if size > width:
        return set_cell_size(text, max(width - 1, 0)) + look.dots if width > 0 else ""
    return " " * (width - size) + text if right else text + " " * (width - size)


def tail(text: str, width: int, look: Look) -> str:
    """The end of a text in at most so many cells: of names that begin alike it is the end that tells them apart."""
    if cell_len(text) <= width or width < 1:
        return text
    kept = text
    while cell_len(kept) > width - 1:
        kept = kept[1:]
    return look.dots + kept


def ago(seconds: float) -> str:
    """A time in few letters: ``12 s``, ``3 min``, ``5 h``, ``2 d``."""
    if not math.isfinite(seconds):
        return "?"
    for size, name in ((86_400.0, "d"), (3600.0, "h"), (60.0, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {name}"
    return f"{max(seconds, 0.0):.0f} s"
