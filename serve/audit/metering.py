"""GPU time by tenant, user, class and period: sums over the coverage records of a log."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, final

from pydantic import ValidationError

from hashwarden.errors import UsageError
from hashwarden.serve.audit.bodies import BlindRow, Coverage, WatchedRow
from hashwarden.serve.audit.event import EventKind
from hashwarden.serve.audit.record import Record

__all__ = ["BLIND", "DIMENSIONS", "Meter", "MeterRow", "Span", "coverage_of"]

BLIND: Final = "(blind)"
"""Stands for the class of GPU time that nobody could judge."""

_MOST_ROWS: Final = 100_000

_Row = WatchedRow | BlindRow


def _day(unix_s: float, form: str) -> str:
    try:
        return time.strftime(form, time.gmtime(unix_s))
    except (ValueError, OverflowError, OSError):
        return "?"


DIMENSIONS: Final[Mapping[str, Callable[[_Row, float], str]]] = {
    "tenant": lambda row, _: row.tenant,
    "user": lambda row, _: row.user,
    "class": lambda row, _: row.work if isinstance(row, WatchedRow) else BLIND,
    "hour": lambda _, unix_s: _day(unix_s, "%Y-%m-%dT%H:00Z"),
    "day": lambda _, unix_s: _day(unix_s, "%Y-%m-%d"),
    "month": lambda _, unix_s: _day(unix_s, "%Y-%m"),
}
"""What sums can be made by; times are UTC."""


@final
@dataclass(frozen=True, slots=True)
class Span:
    """A period.

    Attributes
    ----------
    from_unix_s, to_unix_s : float
        An interval belongs to the period that it begins in; `to_unix_s` itself belongs to the next.
    """

    from_unix_s: float = float("-inf")
    to_unix_s: float = float("inf")

    def has(self, unix_s: float) -> bool:
        """Whether a time is in it."""
        return self.from_unix_s <= unix_s < self.to_unix_s


@final
@dataclass(slots=True)
class MeterRow:
    """Sums in hours of one GPU."""

    watched_hours: float = 0.0
    blind_hours: float = 0.0

    @property
    def share_watched(self) -> float:
        """Of the time that was there; 0 if there was none."""
        whole = self.watched_hours + self.blind_hours
        return self.watched_hours / whole if whole else 0.0


def coverage_of(record: Record) -> Coverage | None:
    """The body of a coverage record; None if it is another, or cannot be read."""
    if record.kind != EventKind.COVERAGE:
        return None
    try:
        return Coverage.model_validate(record.body())
    except ValidationError:
        return None


@final
@dataclass(slots=True)
class Meter:
    """Sums by any of `DIMENSIONS`.

    Attributes
    ----------
    by : tuple of str
    span : Span
    rows : dict of tuple of str to MeterRow
        By the values of `by`; past 100,000 of them the rest is summed under empty names.
    intervals, unreadable : int
        Coverage records that count, and such that cannot be read.
    """

    by: tuple[str, ...]
    span: Span = field(default_factory=Span)
    rows: dict[tuple[str, ...], MeterRow] = field(default_factory=dict)
    intervals: int = 0
    unreadable: int = 0

    @classmethod
    def by_names(cls, by: Sequence[str], span: Span) -> Meter:
        """A meter for these dimensions.

        Raises
        ------
        UsageError
            If one is not known, or comes twice.
        """
        if unknown := [name for name in by if name not in DIMENSIONS] or (list(by) if len(set(by)) < len(by) else []):
            expected = "some of " + ", ".join(DIMENSIONS)
            raise UsageError(f"sums by {','.join(unknown)}", expected, "Each once, with commas between.")
        return cls(tuple(by), span)

    def take(self, records: Iterable[Record]) -> None:
        """Count records."""
        for record in records:
            if record.kind == EventKind.COVERAGE:
                self._count(coverage_of(record))

    def _count(self, found: Coverage | None) -> None:
        if found is None:
            self.unreadable += 1
        elif self.span.has(found.from_unix_s):
            self.intervals += 1
            for row in found.watched:
                self._row(row, found.from_unix_s).watched_hours += row.gpu_seconds / 3600
            for blind in found.blind:
                self._row(blind, found.from_unix_s).blind_hours += blind.gpu_seconds / 3600

    def _row(self, row: _Row, unix_s: float) -> MeterRow:
        key = tuple(DIMENSIONS[name](row, unix_s) for name in self.by)
        if key not in self.rows and len(self.rows) >= _MOST_ROWS:
            key = ("",) * len(self.by)
        return self.rows.setdefault(key, MeterRow())

    def as_json(self) -> list[dict[str, Any]]:
        """Rows in order."""
        return [
            {
                **dict(zip(self.by, key, strict=True)), "watched_gpu_hours": round(row.watched_hours, 6),
                "blind_gpu_hours": round(row.blind_hours, 6), "share_watched": round(row.share_watched, 6),
            }
            for key, row in sorted(self.rows.items())
        ]  # fmt: skip
