"""A period as it is handed to people: numbers that can be counted by hand, several nodes, and what is not there."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import pytest

from hashwarden.errors import DataError, UsageError
from hashwarden.serve.audit.event import EventKind
from hashwarden.serve.audit.keys import load_or_make
from hashwarden.serve.audit.log import AuditLog
from hashwarden.serve.reporting.make import Sources, period_facts, rendered
from hashwarden.serve.reporting.period import parse_period
from hashwarden.serve.reporting.period_report import PeriodReport

sys.path.insert(0, str(Path(__file__).parents[1] / "audit"))
from story import DAY, MODEL, job, verdict, write_story


@pytest.fixture(scope="module")
def node7(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A day of a node: 1,400 s watched, 400 s blind, a case that was approved and closed."""
    folder = tmp_path_factory.mktemp("node7")

    def blind(log: AuditLog) -> None:
        log.append(EventKind.BLIND, {"kind": "stale", "subject": "slurm:2", "detail": "", "began": True})
        log.append(EventKind.POLICY, {"before": "d" * 64, "after": "e" * 64, "mode": "dry-run"})

    write_story(folder / "audit", load_or_make(folder / "audit.pem"), blind)
    return folder


@pytest.fixture(scope="module")
def node8(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("node8")
    with AuditLog(folder / "audit", load_or_make(folder / "audit.pem"), node="node8", clock=lambda: DAY + 60.0) as log:
        log.append(EventKind.START, {"version": "0.6", "node": "node8", "model": MODEL, "self_test": "passed"})
        fields = job("slurm:9", "lab", "<img src=x onerror=alert(1)>")
        found = verdict("slurm:9@GPU-9", "confirmed", 1.0, "ethash").model_dump(mode="json")
        log.append(EventKind.VERDICT, {"job": fields, "gpu": "GPU-9", "verdict": found})
        case = {"case": "HW-9999999", "job": "slurm:9", "user": fields["user"], "standing": "confirmed"}
        log.append(EventKind.CASE, {**case, "change": "opened", "words": "opened"})
        rows = [{"tenant": "lab", "user": "u", "class": "mining", "gpu_seconds": 3600.0}]
        log.append(EventKind.COVERAGE, {"from_unix_s": DAY, "to_unix_s": DAY + 3600, "watched": rows, "blind": []})
    return folder


def facts(text: str, *folders: Path, **more) -> PeriodReport:
    return period_facts(parse_period(text, DAY), Sources(folders, None, **more))


def test_hours_are_those_of_the_log(node7):
    report = facts("2026-11-22", node7)
    assert report.watched_hours == pytest.approx(1400 / 3600)
    assert report.blind_hours == pytest.approx(400 / 3600)
    assert report.share_watched == pytest.approx(1400 / 1800)
    assert report.by_class == pytest.approx({"training": 900 / 3600, "mining": 500 / 3600})
    assert sum(report.by_reason.values()) == pytest.approx(400 / 3600)
    assert "could judge 78 %" in report.answer
    assert sum(sum(one.watched.values()) for one in report.hours) == pytest.approx(1400 / 3600)


def test_cases_decisions_and_actions_are_counted(node7):
    report = facts("2026-11-22", node7)
    counts = {row.name: row.words for row in report.counts}
    assert (counts["Cases opened"], counts["Cases closed"], counts["Approved by a person"]) == ("1", "1", "1")
    [line] = report.cases
    assert (line.case, line.user, line.worst, line.outcome) == ("HW-2345678", "ursula", "confirmed", "the job ended")
    assert (line.decided_by, line.done) == ("approved by root", "cancel done")
    assert report.decision_median_s == pytest.approx(0.0)
    assert [row.name for row in report.actions] == ["cancel: done"]
    assert "Something was done to the jobs of 1 case." in report.answer


def test_false_alarms_to_be_expected_are_a_sum_that_can_be_followed(node7):
    words = " ".join(facts("2026-11-22", node7).alarms)
    assert "on 2 jobs" in words
    assert "2 times 0.001 = 0.002" in words
    assert "Confirmed were 1." in words
    assert "synthesised" in words


def test_blindness_and_changes_are_in_it(node7):
    report = facts("2026-11-22", node7)
    [dark] = report.dark
    assert (dark.subject, dark.words, dark.to_unix_s) == ("slurm:2", "no new samples come", None)
    assert any("Another policy" in event.words for event in report.changes)
    assert {row.words for row in report.in_force} >= {"d" * 64, "e" * 64}


def test_nodes_are_summed_and_each_log_is_verified(node7, node8):
    report = facts("2026-11-22", node7, node8)
    assert [(node.node, round(node.watched, 4)) for node in report.nodes] == [("node7", 0.3889), ("node8", 1.0)]
    assert report.watched_hours == pytest.approx(5000 / 3600)
    assert [log.ok for log in report.logs] == [True, True]
    page = rendered(report, "html").decode()
    assert "<img" not in page
    assert "&lt;img src=x onerror=alert(1)&gt;" in page
    assert json.loads(rendered(report, "json"))["watched_hours"] == report.watched_hours


def test_a_log_that_was_tampered_with_is_told_and_names_its_node(node7, node8, tmp_path):
    shutil.copytree(node8, tmp_path / "bad")
    [file] = (tmp_path / "bad" / "audit").glob("audit-*.jsonl")
    file.write_bytes(file.read_bytes().replace(b'"gpu_seconds":3600.0', b'"gpu_seconds":0.0'))
    report = facts("2026-11-22", node7, tmp_path / "bad")
    assert [row.words.partition(":")[0] for row in report.warnings if row.name == "bad"] == [
        "The audit log of node8 does not verify"
    ]


def test_a_copy_of_a_log_is_enough_and_a_log_counts_once(node7, tmp_path):
    shutil.copytree(node7 / "audit", tmp_path / "exported")
    assert facts("2026-11-22", tmp_path / "exported").watched_hours == pytest.approx(1400 / 3600)
    with pytest.raises(DataError, match="two copies"):
        facts("2026-11-22", node7, tmp_path / "exported")
    with pytest.raises(UsageError, match="twice"):
        facts("2026-11-22", node7, node7)


def test_an_empty_period_is_an_error_that_says_what_there_is(node7):
    with pytest.raises(DataError, match="2026-11-22 00:00 and 2026-11-23"):
        facts("2026-10", node7)


def test_a_day_on_which_nothing_was_opened_still_shows_its_hours(node7):
    report = facts("2026-11-23", node7)
    assert report.watched_hours == pytest.approx(0.01)
    assert report.cases == ()
    assert "0 cases were opened" in report.answer
    assert "No case was open" in rendered(report, "html").decode()


def test_pseudonyms_are_stable_over_all_nodes_and_names_are_gone(node7, node8):
    report = facts("2026-11-22", node7, node8, redact=True)
    found = rendered(report, "json").decode() + rendered(report, "html").decode()
    for name in ("ursula", "bob", "physics", "slurm:", "onerror", "by root", str(node7)):
        assert name not in found
    first, second = report.cases
    assert first.user != second.user
    assert {first.user, second.user} <= {"person-1", "person-2", "person-3"}
    assert {first.decided_by, second.decided_by} == {"", "approved by person-4"}
