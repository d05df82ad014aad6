"""Words for a period: ``2026-11-01..2026-11-07``, ``2026-11``, ``last-week``, ``today``. Days and weeks are UTC."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import Final, final

from hashwarden.errors import UsageError
from hashwarden.serve.audit.metering import Span

__all__ = ["WORDS", "Period", "parse_period"]

_DAY: Final = timedelta(days=1)
_MONTH: Final = re.compile(r"(\d{4})-(\d{2})")
_DATE: Final = re.compile(r"\d{4}-\d{2}-\d{2}")


@final
@dataclass(frozen=True, slots=True)
class Period:
    """A period and what it is called."""

    words: str
    span: Span


def _midnight(now: datetime) -> datetime:
    return now.replace(hour=0, minute=0, second=0, microsecond=0)


def _month(now: datetime, back: int) -> datetime:
    """The first day of this month, or of one before."""
    months = now.year * 12 + now.month - 1 - back
    return _midnight(now).replace(year=months // 12, month=months % 12 + 1, day=1)


def _week(now: datetime, back: int) -> datetime:
    return _midnight(now) - timedelta(days=now.weekday() + 7 * back)


WORDS: Final[Mapping[str, Callable[[datetime], tuple[datetime, datetime]]]] = MappingProxyType(
    {
        "today": lambda now: (_midnight(now), _midnight(now) + _DAY),
        "yesterday": lambda now: (_midnight(now) - _DAY, _midnight(now)),
        "this-week": lambda now: (_week(now, 0), _week(now, -1)),
        "last-week": lambda now: (_week(now, 1), _week(now, 0)),
        "this-month": lambda now: (_month(now, 0), _month(now, -1)),
        "last-month": lambda now: (_month(now, 1), _month(now, 0)),
    }
)
"""Periods with a name; a week begins on Monday."""


def parse_period(text: str, now_unix_s: float) -> Period:
    """Read a period.

    Parameters
    ----------
    text : str
        A word of `WORDS`, a day, a month, or two days or times with ``..`` between; the last day is part of it.
    now_unix_s : float
        What ``today`` is counted from.

    Raises
    ------
    UsageError
        If it is none, or ends before it begins.
    """
    now = datetime.fromtimestamp(now_unix_s, UTC)
    known = WORDS.get(text.lower())
    try:
        first, last = known(now) if known else _between(text)
    except (ValueError, OverflowError):
        raise UsageError(
            f"{text!r}", "a case as HW-7KQ2M9A, a bundle, or a period as 2026-11-01..2026-11-07, 2026-11, "
            + ", ".join(WORDS), "Write it so.",
        ) from None  # fmt: skip
    if not first < last:
        raise UsageError(f"the period {text!r}", "one that ends after it begins", "Turn it round.")
    return Period(_called(first, last), Span(first.timestamp(), last.timestamp()))


def _between(text: str) -> tuple[datetime, datetime]:
    begin, dots, end = text.partition("..")
    if dots:
        return _time(begin), _time(end) + (_DAY if _DATE.fullmatch(end) else timedelta(0))
    if match := _MONTH.fullmatch(text):
        first = datetime(int(match[1]), int(match[2]), 1, tzinfo=UTC)
        return first, _month(first, -1)
    first = _time(text)
    return first, first + _DAY


def _time(text: str) -> datetime:
    found = datetime.fromisoformat(text)
    return (found if found.tzinfo else found.replace(tzinfo=UTC)).astimezone(UTC)


def _called(first: datetime, last: datetime) -> str:
    if first == _midnight(first) and last == _midnight(last):
        end = last - _DAY
        days = [f"{day.day} {day:%B %Y}" for day in (first, end)]
        return days[0] if first == end else f"{days[0]} to {days[1]}"
    return f"{first:%Y-%m-%d %H:%M} to {last:%Y-%m-%d %H:%M} UTC"
