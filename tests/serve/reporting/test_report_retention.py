"""Reports when time has gone by: the oldest records removed by the rule, by somebody, or copied away before."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from hashwarden.serve.audit.bundle import write_bundle
from hashwarden.serve.audit.event import EventKind
from hashwarden.serve.audit.keys import load_or_make
from hashwarden.serve.audit.log import AuditLog
from hashwarden.serve.audit.verify import Wanted
from hashwarden.serve.jobs.job import Job
from hashwarden.serve.reporting.make import Sources, case_facts, period_facts, rendered
from hashwarden.serve.reporting.period import parse_period

sys.path.insert(0, str(Path(__file__).parents[1] / "audit"))
from retention_site import DAY, NOW, Site
from story import job, verdict

CASE = "HW-2345678"


@pytest.fixture
def aged(tmp_path: Path) -> Site:
    """A case of three weeks ago, whose first records the rule has removed; its bundle and a copy are there."""
    site = Site(tmp_path, load_or_make(tmp_path / "audit.pem"))
    log = site.open()
    said = verdict("slurm:1@GPU-1", "confirmed", 1.0, "ethash")
    log.append(EventKind.START, {"node": "node7", "version": "0.5"})
    log.append(EventKind.VERDICT, {"job": job("slurm:1", "physics", "ursula"), "gpu": "GPU-1", "unix_s": NOW,
                                   "verdict": said.model_dump(mode="json")})  # fmt: skip
    case = {"case": CASE, "job": "slurm:1", "user": "ursula", "standing": "confirmed"}
    log.append(EventKind.CASE, {**case, "change": "opened", "words": "opened, confirmed", "rule": "all"})
    site.write(20)
    pack(tmp_path / "evidence", said)
    site.keep()
    site.days(21)
    log.append(EventKind.START, {"node": "node7", "version": "0.5"})
    log.append(EventKind.CASE, {**case, "change": "closed", "words": "its job was not seen for a day"})
    site.write(20)
    site.look(40)
    site.close()
    assert site.removed()
    return site


def pack(folder: Path, said: Any) -> None:
    kept = {"id": CASE, "standing": "confirmed", "opened_unix_s": NOW, "seen_unix_s": NOW, "rule": "all"}
    owner = Job("slurm:1", "slurm", "1", gpus=("GPU-1",), user="ursula", account="physics")
    write_bundle(folder, case=kept, job=owner, verdicts=[said], runs=[], launches=[], code={}, model={}, policy={})


def sources(site: Site, **more: Any) -> Sources:
    archives = more.pop("archives", ())
    return Sources((site.folder,), None, Wanted((site.signer.public,), archives=archives), **more)


def test_a_case_whose_beginning_was_removed_by_the_rule_rests_on_its_bundle(aged):
    report = case_facts(CASE, sources(aged))
    assert report.logs[0].ok
    assert any("removed under the retention rule" in note for note in report.logs[0].notes)
    assert any("The audit log begins with record" in words for words in report.missing)
    assert "came to the conclusion that the job slurm:1 of user ursula (account physics)" in report.answer
    assert "The case was closed" in report.answer
    assert [event.kind for event in report.events if event.record is None] == ["verdict"]
    assert rendered(report, "html")


def test_without_the_bundle_too_it_claims_nothing_it_cannot_show(aged):
    (aged.folder.parent / "evidence" / f"{CASE}.tar").unlink()
    report = case_facts(CASE, sources(aged))
    assert "came to “confirmed”; the verdict that it rests on is not in what this report was made from" in report.answer
    assert "No evidence of mining" not in report.answer
    assert report.sure == ("No verdict on this job is known, so that nothing can be said about how sure it was.",)
    assert (report.headline, report.curves, report.themes) == ("Confirmed as mining", (), ())
    assert rendered(report, "html")


def test_what_was_copied_away_is_read_with_the_rest(aged):
    report = case_facts(CASE, sources(aged, archives=(aged.archive,)))
    assert (report.logs[0].ok, report.logs[0].first_seq) == (True, 0)
    verdicts = [event for event in report.events if event.kind == "verdict"]
    assert [event.record is None for event in verdicts] == [False]


def test_files_that_somebody_removed_are_told_in_red(aged):
    aged.files[0].unlink()
    report = case_facts(CASE, sources(aged))
    assert any("are missing" in row.words for row in report.warnings if row.name == "bad")
    assert "not in the audit log that was given, or not any more" in report.answer
    assert report.bundle.known == "before"


def test_a_log_of_another_node_does_not_cover_a_bundle(aged, tmp_path):
    with AuditLog(tmp_path / "other" / "audit", aged.signer, node="node8") as log:
        log.append(EventKind.START, {"node": "node8"})
    bundle = aged.folder.parent / "evidence" / f"{CASE}.tar"
    report = case_facts("", Sources((tmp_path / "other",), bundle, Wanted((aged.signer.public,))))
    words = next(row.words for row in report.warnings if row.name == "bad")
    assert words.endswith("or this is the log of another node.")
    assert "no audit log that was given knows this case" in report.missing[0].lower()


def test_a_period_that_begins_before_the_log_says_from_when_it_knows(aged):
    report = period_facts(parse_period("2026-11-20..2026-12-31", NOW), sources(aged))
    assert len(report.missing) == 1
    assert "begins on" in report.missing[0]
    assert report.silent_s > 20 * DAY
    [line] = report.cases
    assert line.outcome == "its job was not seen for a day"


def test_pseudonyms_hold_where_a_name_is_known_from_the_bundle_only(aged):
    report = case_facts(CASE, sources(aged, redact=True))
    found = rendered(report, "html").decode() + rendered(report, "json").decode()
    for name in ("ursula", "physics", "slurm:1"):
        assert name not in found
    assert "user person-1 (account account-1)" in report.answer
    assert json.loads(rendered(report, "json"))["redacted"] is True
