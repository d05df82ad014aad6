from __future__ import annotations

import pytest

from hashwarden.errors import UsageError
from hashwarden.serve.audit.event import EventKind
from hashwarden.serve.audit.log import AuditLog
from hashwarden.serve.audit.metering import BLIND, Meter, Span
from hashwarden.serve.audit.read import Reader

DAY = 1_795_305_600.0


ALWAYS = Span()


def metered(folder, by, span=ALWAYS):
    meter, reader = Meter.by_names(by, span), Reader(folder)
    meter.take(reader)
    reader.close()
    return meter


def test_hours_by_tenant_and_class(tmp_path, story):
    meter = metered(story(tmp_path / "log"), ["tenant", "class"])
    hours = {key: (round(row.watched_hours, 6), round(row.blind_hours, 6)) for key, row in meter.rows.items()}
    assert hours == {
        ("physics", "mining"): (round(500 / 3600, 6), 0.0), ("physics", BLIND): (0.0, round(100 / 3600, 6)),
        ("physics", "training"): (0.01, 0.0), ("lab", "training"): (0.25, 0.0), ("lab", BLIND): (0.0, round(1 / 12, 6)),
    }  # fmt: skip
    assert meter.intervals == 3


def test_a_period_takes_the_intervals_that_begin_in_it(tmp_path, story):
    folder = story(tmp_path / "log")
    first = metered(folder, ["tenant", "day"], Span(DAY, DAY + 600))
    assert first.intervals == 1
    assert set(first.rows) == {("physics", "2026-11-22"), ("lab", "2026-11-22")}
    assert first.rows["physics", "2026-11-22"].share_watched == pytest.approx(500 / 600)
    both = metered(folder, ["month"], Span(DAY, DAY + 86400)).rows["2026-11",]
    assert both.watched_hours == pytest.approx(1400 / 3600)
    assert metered(folder, ["tenant"], Span(0, DAY)).rows == {}


def test_what_cannot_be_read_is_counted(tmp_path, signer):
    with AuditLog(tmp_path, signer) as log:
        log.append(EventKind.COVERAGE, {"from_unix_s": "x"})
        ends = {"from_unix_s": 1, "to_unix_s": 2}
        log.append(EventKind.COVERAGE, {**ends, "watched": [{"gpu_seconds": -5, "class": "c"}]})
        ends = {"from_unix_s": 1e300, "to_unix_s": 2e300}
        log.append(EventKind.COVERAGE, {**ends, "blind": [{"reason": "r", "gpu_seconds": 1}]})
    meter = metered(tmp_path, ["day", "user"])
    assert (meter.unreadable, meter.intervals, list(meter.rows)) == (2, 1, [("?", "")])


@pytest.mark.parametrize("by", [["colour"], ["tenant", "tenant"]])
def test_odd_dimensions_are_refused(by):
    with pytest.raises(UsageError, match="sums by"):
        Meter.by_names(by, Span())


def test_a_reader_gives_what_has_come_since(tmp_path, signer):
    with AuditLog(tmp_path, signer) as log:
        reader = Reader(tmp_path)
        assert [record.kind for record in reader] == ["log", "checkpoint"]
        assert list(reader) == []
        log.append(EventKind.STOP, {})
        assert [record.kind for record in reader] == ["stop"]
        path = next(tmp_path.glob("*.jsonl"))
        with path.open("ab") as file:
            file.write(b"half a ")
            file.flush()
            assert list(reader) == []
            file.write(b"line\n")
        assert list(reader) == []
        assert reader.skipped == 1
        reader.close()
