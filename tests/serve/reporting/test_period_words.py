"""Words for periods."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from hashwarden.errors import UsageError
from hashwarden.serve.reporting.period import parse_period

NOW = datetime(2026, 11, 22, 13, 5, tzinfo=UTC).timestamp()  # a Sunday


def days(text: str) -> tuple[str, str]:
    span = parse_period(text, NOW).span
    first, last = (datetime.fromtimestamp(at, UTC) for at in (span.from_unix_s, span.to_unix_s))
    return f"{first:%Y-%m-%d %H:%M}", f"{last:%Y-%m-%d %H:%M}"


@pytest.mark.parametrize(
    ("text", "first", "last"),
    [
        ("2026-11-01..2026-11-07", "2026-11-01 00:00", "2026-11-08 00:00"),
        ("2026-11-22", "2026-11-22 00:00", "2026-11-23 00:00"),
        ("2026-12", "2026-12-01 00:00", "2027-01-01 00:00"),
        ("today", "2026-11-22 00:00", "2026-11-23 00:00"),
        ("yesterday", "2026-11-21 00:00", "2026-11-22 00:00"),
        ("this-week", "2026-11-16 00:00", "2026-11-23 00:00"),
        ("Last-Week", "2026-11-09 00:00", "2026-11-16 00:00"),
        ("last-month", "2026-10-01 00:00", "2026-11-01 00:00"),
        ("2026-11-01T06:00+01:00..2026-11-01T09:00", "2026-11-01 05:00", "2026-11-01 09:00"),
    ],
)
def test_a_period_is_from_its_first_to_the_end_of_its_last_day(text, first, last):
    assert days(text) == (first, last)


def test_a_period_is_called_as_people_call_it():
    assert parse_period("2026-11-22", NOW).words == "22 November 2026"
    assert parse_period("2026-11-01..2026-11-07", NOW).words == "1 November 2026 to 7 November 2026"


@pytest.mark.parametrize(
    "text", ["", "last-year", "2026-13", "2026-02-30", "..", "2026-11-07..2026-11-01", "9999-12-31"]
)
def test_what_is_no_period_is_an_error_that_names_the_forms(text):
    with pytest.raises(UsageError):
        parse_period(text, NOW)
