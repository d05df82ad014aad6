"""In which order jobs stand, and which of them."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any, Final, Self, final

from hashwarden.serve.top.rows import JobRow

__all__ = ["KEYS", "Order"]

KEYS: Final = ("state", "job", "user", "gpus", "likeliest", "evidence", "watched", "hours")
"""What can be sorted by; also the names of columns."""


def _last(value: float) -> float:
    return value if math.isfinite(value) else -1.0


_BY: Final[dict[str, Callable[[JobRow], Any]]] = {
    "state": lambda row: (row.rank, -_last(row.strength)),
    "job": lambda row: row.job,
    "user": lambda row: row.user,
    "gpus": lambda row: [(not part.isdigit(), int(part) if part.isdecimal() else 0, part)
                         for part in row.gpus.split(",")],
    "likeliest": lambda row: (row.likeliest or "~", -_last(row.probability)),
    "evidence": lambda row: -_last(row.strength),
    "watched": lambda row: -_last(row.watched_s),
    "hours": lambda row: -row.hours,
}  # fmt: skip


@final
@dataclass(frozen=True, slots=True)
class Order:
    """Sorted by a key, perhaps the other way round, and only what holds the words of a filter."""

    key: str = "state"
    reverse: bool = False
    words: str = ""

    def moved(self, step: int) -> Self:
        """By the next key, or the one before."""
        return replace(self, key=KEYS[(KEYS.index(self.key) + step) % len(KEYS)])

    def holds(self, row: JobRow) -> bool:
        """Whether all words of the filter stand in the row; case does not matter."""
        text = " ".join((row.job, row.user, row.state, row.likeliest, row.standing, row.case,
                         str(row.raw.get("name", "")), str(row.raw.get("account", "")),
                         f"gpu={row.gpus}")).casefold()  # fmt: skip
        return all(word in text for word in self.words.casefold().split())

    def of(self, rows: Iterable[JobRow]) -> list[JobRow]:
        """The rows that hold the words, sorted; the worst first among equals."""
        kept = sorted(filter(self.holds, rows), key=lambda row: (row.rank, row.job))
        return sorted(kept, key=_BY[self.key], reverse=self.reverse)
