"""A case as people get it: from a real agent's folder, from its bundle alone, from what was tampered with."""

from __future__ import annotations

import io
import json
import re
import shutil
import sys
import tarfile
from pathlib import Path
from typing import Any

import pytest
from pypdf import PdfReader
from tinyhtml5.parser import HTMLParser

from hashwarden.errors import DataError, UsageError
from hashwarden.serve.audit.event import EventKind
from hashwarden.serve.audit.keys import load_or_make, load_public, load_signer
from hashwarden.serve.audit.log import AuditLog
from hashwarden.serve.audit.verify import Wanted
from hashwarden.serve.reporting.case_report import CaseReport
from hashwarden.serve.reporting.make import Sources, case_facts, rendered
from hashwarden.serve.reporting.pdf import pdf_of

sys.path.insert(0, str(Path(__file__).parents[1] / "audit"))
from story import DAY, job, verdict

HOSTILE = "<script>alert(1)</script>"


def facts(site, **more) -> CaseReport:
    return case_facts(site.case, Sources(more.pop("folders", (site.state,)), **more))


def html(report: CaseReport) -> str:
    return rendered(report, "html").decode()


def bad(report: CaseReport) -> list[str]:
    return [row.words for row in report.warnings if row.name == "bad"]


@pytest.fixture(scope="module")
def report(watched) -> CaseReport:
    key = load_public(watched.state / "audit.pub")
    return case_facts(watched.case, Sources((watched.state,), None, Wanted((key,))))


@pytest.fixture(scope="module")
def page(report) -> str:
    return html(report)


@pytest.fixture(scope="module")
def pdf(report) -> bytes:
    return rendered(report, "pdf")


# What it says


def test_the_first_paragraph_answers_what_whom_when_how_sure_and_what_was_done(report, watched):
    for words in ("came to the conclusion", f"drill:{HOSTILE}", "user drill", "mining cryptocurrency", "progpow",
                  "43 seconds", "1 in 1,000 honest jobs", "jane <i> approved", "it is & was a miner",
                  "Nothing was done to the job: ending its processes was asked for", "open"):  # fmt: skip
        assert words in report.answer
    assert (report.headline, report.case, report.node) == ("Confirmed as mining", watched.case, report.logs[0].node)
    assert report.warnings == ()
    assert report.missing == ()


def test_the_time_line_has_every_kind_of_thing_in_the_order_of_the_log(report):
    assert {"verdict", "case", "evidence", "approval", "action"} <= {event.kind for event in report.events}
    records = [event.record for event in report.events]
    assert records == sorted(records)
    verdicts = [event.words for event in report.events if event.kind == "verdict"]
    assert verdicts[-1] == "Confirmed as mining"


def test_scoring_the_bundle_again_comes_to_what_was_recorded(report):
    again = next(curve for curve in report.curves if curve.origin == "scored again")
    assert again.state[-1] == "confirmed"
    assert again.strength[-1] == 1.0
    assert "does follow from the samples" in report.curve_words
    first, last = report.interval_unix_s
    assert again.unix_s[0] <= first < last <= again.unix_s[-1] + 1
    assert last - first > 20
    assert {trace.channel for trace in report.traces} <= {
        one.channel for theme in report.themes for one in theme.quantities
    }  # fmt: skip


def test_it_says_what_speaks_against_it_and_what_the_model_was_made_from(report):
    assert [row.name for row in report.against][-1] == "Other hash work"
    assert any("clear" in row.words for row in report.against)
    whole = " ".join([*report.sure, *report.limits])
    for words in ("not mean that the chance of this user's innocence", "synthesised", "a reason to look",
                  "2 jobs", "0.002 false confirmations"):  # fmt: skip
        assert words in whole


def test_how_to_check_it_is_told_with_the_result_of_checking_it_now(report, watched):
    [log] = report.logs
    assert (log.ok, log.pinned, log.signed_seq) == (True, True, log.last_seq)
    assert log.keys == (load_public(watched.state / "audit.pub").id,)
    assert (report.bundle.ok, report.bundle.known) == (True, "newest")
    assert f"hashwarden audit bundle verify {watched.case}.tar --log {watched.state}/audit" in report.commands


# The page


def test_a_page_is_strict_html_with_nothing_from_elsewhere_and_hostile_names_as_text(page):
    parser = HTMLParser()
    parser.parse(page)
    assert parser.errors == []
    assert HOSTILE not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert "jane &lt;i&gt;" in page
    assert "<script" not in page
    fetched = re.findall(r"(?:src|href)=\"(?!#)[^\"]*\"|url\((?!#)[^)]*\)|@import", page)
    assert fetched == []
    identities = re.findall(r'\bid="([^"]*)"', page)
    assert len(set(identities)) == len(identities)
    assert page.count("<svg") == page.count('role="img"') == 3


def test_the_same_input_gives_the_same_bytes_in_every_form(report, page, watched, monkeypatch):
    key = load_public(watched.state / "audit.pub")
    again = case_facts(watched.case, Sources((watched.state,), None, Wanted((key,))))
    assert html(again) == page
    assert rendered(again, "json") == rendered(report, "json")
    first = pdf_of("<title>x</title><p>a page<pre>and code")
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "86400")
    assert pdf_of("<title>x</title><p>a page<pre>and code") == first


def test_a_pdf_holds_the_answer_as_text_and_is_dated_by_the_data(report, pdf):
    reader = PdfReader(io.BytesIO(pdf))
    text = " ".join(reader.pages[0].extract_text().replace("\0", "").split())
    assert "came to the conclusion that the job drill:<script>alert(1)</script>" in text
    assert "43 seconds" in text
    assert reader.metadata.creation_date.timestamp() == int(report.as_of_unix_s)
    assert reader.metadata.title == f"Case {report.case}: Confirmed as mining"
    assert "/StructTreeRoot" in reader.trailer["/Root"]


def test_json_holds_the_same_facts(report):
    found = json.loads(rendered(report, "json"))
    assert (found["schema"], found["kind"], found["answer"]) == ("hashwarden.report/1", "case", report.answer)
    assert found["logs"][0]["head"] == report.logs[0].head
    assert len(found["events"]) == len(report.events)


# What is not as it was written


def test_a_log_that_was_tampered_with_is_told_in_red_at_the_top(site):
    site.log.write_bytes(site.log.read_bytes().replace(b"it is & was a miner", b"it is & was a saint"))
    report = facts(site)
    [words] = bad(report)
    assert "does not verify" in words
    assert not report.logs[0].ok
    page = html(report)
    assert page.index('class="warning bad"') < page.index("The answer")
    assert "DOES NOT VERIFY" in page


def test_a_log_signed_by_another_key_than_the_reader_has_is_told(site, tmp_path):
    stranger = load_or_make(tmp_path / "other.pem").public
    [words] = bad(facts(site, wanted=Wanted((stranger,))))
    assert "does not verify" in words


def test_a_log_that_was_cut_off_is_told_and_the_rest_is_shown(site):
    data = site.log.read_bytes()
    site.log.write_bytes(data[: len(data) - 200])
    report = facts(site)
    assert any("cut off" in words for words in bad(report))
    assert "came to the conclusion" in report.answer


def test_a_bundle_that_was_changed_is_told(site):
    path = site.state / "evidence" / f"{site.case}.tar"
    path.write_bytes(path.read_bytes().replace(b'"tier": "gpm+code"', b'"tier": "gpm+nude"'))
    words = " ".join(bad(facts(site)))
    assert "not as it was packed" in words
    assert "knows no bundle of this case" in words


def test_without_its_bundle_the_log_alone_is_reported_and_what_is_missing_is_told(site):
    shutil.rmtree(site.state / "evidence")
    report = facts(site)
    assert "came to the conclusion" in report.answer
    assert "not that it was removed" in report.missing[0]
    assert (report.bundle, report.traces) == (None, ())
    assert [curve.origin for curve in report.curves] == ["recorded"]
    assert "What this report could not look at" in html(report)


def test_a_bundle_that_retention_removed_is_named_so(site):
    (site.state / "evidence" / f"{site.case}.tar").unlink()
    with AuditLog(site.state / "audit", load_signer(site.state / "audit.pem")) as log:
        body = {"case": site.case, "event": "bundle removed", "file": f"{site.case}.tar", "words": "by age"}
        log.append(EventKind.CASE, body)
    report = facts(site)
    assert "removed by age, by the agent's rule" in report.missing[0]
    assert any(event.words == "The packed evidence was removed" for event in report.events)


def test_a_bundle_alone_is_enough_and_what_it_cannot_say_is_said(site):
    path = site.state / "evidence" / f"{site.case}.tar"
    report = case_facts("", Sources((), path))
    assert report.case == site.case
    assert "came to the conclusion" in report.answer
    assert "What was done about it is in the audit log, which was not given" in report.answer
    assert [row.name for row in report.warnings] == ["warn"]
    assert "does follow" in report.curve_words
    assert report.interval_unix_s is not None
    assert html(report)


def test_a_log_that_is_gone_leaves_the_bundle(site):
    shutil.rmtree(site.state / "audit")
    report = facts(site)
    assert "could not be read" in report.missing[0]
    assert report.logs == ()


def test_the_log_is_read_while_the_agent_writes(site):
    with AuditLog(site.state / "audit", load_signer(site.state / "audit.pem")) as log:
        log.append(EventKind.CASE, {"case": site.case, "change": "closed", "words": "rejected by root: a benchmark",
                                    "standing": "confirmed"})  # fmt: skip
        report = facts(site)
    assert "The case was closed" in report.answer
    assert "a benchmark" in report.answer


def test_a_hostile_bundle_is_an_error_or_a_fault_that_is_told(site, tmp_path):
    path = tmp_path / "x.tar"
    path.write_bytes(b"\0" * 4096)
    with pytest.raises(DataError, match="no evidence bundle"):
        case_facts("", Sources((), path))
    packed = site.state / "evidence" / f"{site.case}.tar"
    with tarfile.open(packed) as old, tarfile.open(path, "w", format=tarfile.USTAR_FORMAT) as new:
        for member in old:
            data = old.extractfile(member).read()
            data = b"[" * 100_000 if member.name == "verdicts.json" else data
            member.size = len(data)
            new.addfile(member, io.BytesIO(data))
    report = case_facts("", Sources((), path))
    assert any("verdicts.json" in problem for problem in report.bundle.problems)
    assert bad(report)


def test_a_case_that_nobody_knows_names_those_that_are_near(site):
    near = site.case[:-1] + "Z"
    with pytest.raises(UsageError, match=site.case):
        case_facts(near, Sources((site.state,)))


def test_a_folder_without_a_log_is_refused(tmp_path):
    with pytest.raises(DataError, match="no audit log"):
        case_facts("HW-2345678", Sources((tmp_path,)))


# Cases of other kinds, long ones, odd ones


def written(folder: Path, *records: tuple[EventKind, dict[str, Any]]) -> Path:
    """A log with these records."""
    with AuditLog(folder / "audit", load_or_make(folder / "audit.pem"), node="node7", clock=lambda: DAY) as log:
        for kind, body in records:
            log.append(kind, body)
    return folder


def case_record(**more: Any) -> tuple[EventKind, dict[str, Any]]:
    body = {"case": "HW-2345678", "job": "slurm:1", "user": "ursula", "standing": "confirmed", "unix_s": DAY, **more}
    return EventKind.CASE, body


def test_a_case_of_a_quota_speaks_of_hours_and_of_no_probability(tmp_path):
    folder = written(tmp_path, case_record(change="opened", origin="quota:agents", standing="quota", words="opened"))
    report = case_facts("HW-2345678", Sources((folder,)))
    assert report.headline == "Over a quota of GPU-hours"
    assert "more GPU-hours than the quota “agents” allows" in report.answer
    assert report.sure[0].startswith("This case rests on counted GPU-hours")
    assert "a bet against the claim" not in html(report)


def test_what_was_done_leads_and_who_did_it(tmp_path):
    fields = {"case": "HW-2345678", "job": "slurm:1", "action": "HW-2345678-act", "kind": "cancel"}
    said = {"case": "HW-2345678", "what": "approved", "by": "root", "reason": "seen on the node"}
    folder = written(
        tmp_path, (EventKind.VERDICT, {"job": job("slurm:1", "physics", "ursula"), "gpu": "GPU-1", "verdict":
                                       verdict("slurm:1@GPU-1", "confirmed", 1.0, "ethash")}),
        case_record(change="opened", words="opened", rule="all"), (EventKind.APPROVAL, said),
        (EventKind.ACTION, {**fields, "result": "done", "detail": "scancel"}),
        case_record(change="closed", words="its job has ended"),
    )  # fmt: skip
    report = case_facts("HW-2345678", Sources((folder,), redact=True))
    assert "Cancelling the job was asked for; on 22 November 2026, 00:00:00 UTC it was done (scancel)." in report.answer
    assert "person-2 approved the case" in report.answer
    assert "Nothing was done" not in report.answer
    assert "account-1" in report.answer
    assert "The case was closed on 22 November 2026, 00:00:00 UTC: its job has ended." in report.answer


def test_a_rejected_case_says_so_at_once(tmp_path):
    said = {"case": "HW-2345678", "what": "rejected", "by": "root", "reason": "a benchmark of ours"}
    folder = written(tmp_path, case_record(change="opened", words="opened"), (EventKind.APPROVAL, said))
    report = case_facts("HW-2345678", Sources((folder,)))
    assert (report.headline, report.tone) == ("Confirmed as mining, and rejected by a person", "good")


def test_a_long_case_is_shortened_in_the_middle_and_that_is_said(tmp_path):
    more = [case_record(change="standing", words=f"change {number}") for number in range(450)]
    report = case_facts("HW-2345678", Sources((written(tmp_path, *more),)))
    assert (len(report.events), report.events_left_out) == (400, 50)
    assert "50 further records of this case are in the log" in html(report)


def test_records_that_are_odd_inside_are_no_fault_of_ours(tmp_path):
    odd: tuple[Any, ...] = ([], {}, {"a": [1]}, 5, True, "\x1b[2J", -1e300)
    found = []
    for value in odd:
        found += [
            (EventKind.VERDICT, {"job": {"key": "slurm:1", "gpus": value, "user": value, "started_unix_s": value},
                                 "gpu": value, "verdict": value, "unix_s": value}),
            case_record(change=value, origin=value, rule=value, words=value, standing=value, event=value, kind=value),
            (EventKind.APPROVAL, {"case": "HW-2345678", "what": value, "by": value, "reason": value}),
            (EventKind.ACTION, {"case": "HW-2345678", "kind": value, "result": value, "detail": value}),
            (EventKind.BLIND, {"kind": value, "subject": value, "detail": value, "began": value}),
            (EventKind.START, {"node": value, "version": value, "model": value, "policy": value}),
        ]  # fmt: skip
    folder = written(tmp_path, case_record(change="opened"), *found)
    for redact in (False, True):
        report = case_facts("HW-2345678", Sources((folder,), redact=redact))
        assert "\x1b" not in html(report)
        assert json.loads(rendered(report, "json"))["case"] == "HW-2345678"
