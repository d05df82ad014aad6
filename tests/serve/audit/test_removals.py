"""What a log says of records that its rule removed, and what `verify` makes of it; what else is missing is found."""

from __future__ import annotations

import json
import shutil

import pytest

from hashwarden.serve.audit import retention
from hashwarden.serve.audit import verify as verify_module
from hashwarden.serve.audit.attestation import statement_of
from hashwarden.serve.audit.event import EventKind
from hashwarden.serve.audit.files import log_files
from hashwarden.serve.audit.keys import Signer
from hashwarden.serve.audit.log import AuditLog
from hashwarden.serve.audit.metering import Span
from hashwarden.serve.audit.read import Reader
from hashwarden.serve.audit.record import chained, line_of, parse
from hashwarden.serve.audit.verify import Wanted, verify_log


def test_archived_files_are_checked_with_the_log(old):
    old.look(2)
    old.close()
    report = old.verify(archives=(old.archive,), strict=True)
    assert (report.problems, report.first_seq, report.removed) == ([], 0, None)
    assert report.log
    assert any("are here, though record" in note for note in report.notes)
    path = old.archive / "audit-000000000000.jsonl"
    path.write_bytes(path.read_bytes().replace(b"stale", b"fresh", 1))
    assert not old.verify(archives=(old.archive,)).ok
    path.write_bytes(path.read_bytes().replace(b"fresh", b"stale", 1))
    (old.archive / log_files(old.archive)[1].path.name).unlink()
    assert not old.verify(archives=(old.archive,)).ok, "a hole between the archive and the log"


def test_an_archive_that_somebody_wrote_is_found(old, tmp_path, make_site):
    """Another log of the same key, made to stand where the removed records were."""
    old.look()
    old.close()
    other = make_site(tmp_path / "other", old.signer)
    other.open()
    other.write(40)
    other.close()
    first = log_files(old.folder)[0].first
    shutil.copy(other.files[0], old.archive / other.files[0].name)
    assert log_files(other.folder)[1].first == first
    assert not old.verify(archives=(old.archive,)).ok


def test_what_was_taken_away_beyond_the_rule_is_a_truncation(old):
    old.look()
    old.close()
    gone = old.files[0]
    gone.unlink()
    [problem] = old.verify().problems
    first = log_files(old.folder)[0].first
    told = int(gone.name[6:18])
    assert problem.words == (
        f"the records before {first} are missing: the log tells of the removal of those before {told} only"
    )


def test_a_removal_that_no_record_tells_of_is_a_truncation(old):
    old.close()
    old.files[0].unlink()
    [problem] = old.verify().problems
    assert problem.words == f"the records before {log_files(old.folder)[0].first} are missing"


def test_a_removal_that_nobody_signed_excuses_nothing(old):
    """Who has no key can write hashes that fit after the last checkpoint, and no more."""
    old.close()
    gone, path = log_files(old.folder)[:2], old.files[-1]
    link = json.loads(gone[1].path.read_text().splitlines()[0])["record"]["body"]["statement"]["hash"]
    lines = path.read_bytes().splitlines(keepends=True)
    last = parse(lines[-1])
    body = {"event": "pruned", "next": gone[1].first, "hash": link}
    head = last.payload[: last.payload.index(b',"body":')].replace(b'"checkpoint"', b'"log"')
    payload = head.replace(b'{"seq":%d,' % last.seq, b'{"seq":%d,' % (last.seq + 1))
    payload += b',"body":' + json.dumps(body, separators=(",", ":"), sort_keys=True).encode() + b"}"
    path.write_bytes(b"".join(lines) + line_of(chained(last.hash, payload), payload))
    gone[0].path.unlink()
    [problem] = old.verify().problems
    assert "tells of their removal, and no trusted key signed that" in problem.words


def test_a_removal_that_tells_another_hash_is_found(old, monkeypatch):
    real = retention.Keeper._judged

    def lying(keeper, *more):
        due = real(keeper, *more)
        return None if due is None else retention.Due(due.path, {**due.body, "hash": "0" * 64})

    monkeypatch.setattr(retention.Keeper, "_judged", lying)
    old.look()
    words = " ".join(one.words for one in old.verify().problems)
    assert "ended with another hash than they do" in words
    assert "the last of them had another hash" in words


def test_after_a_change_of_the_key_what_is_left_still_verifies(site):
    site.open()
    site.write(30)
    first, second = site.signer, Signer.generate()
    site.log.change_key(second)
    site.write(30)
    site.days(11)
    site.write(1)
    site.look(2)  # what is left begins by the old key
    site.signer = second
    assert site.log is not None
    assert {one["public_key"] for one in site.removed()} == {first.public.text}
    for keys in ((first.public,), (second.public,), ()):
        report = site.verify(keys=keys)
        assert report.problems == [], keys
        assert report.removed is not None
    site.look(20)  # and now by the new one
    assert site.verify().problems == []
    assert site.verify(keys=()).problems == []
    assert not site.verify(keys=(first.public,)).ok


def test_an_unsigned_log_may_be_kept_short_too(tmp_path, make_site):
    site = make_site(tmp_path, None)
    site.open()
    site.write(30)
    site.days(11)
    site.write(1)
    site.look()
    report = site.verify()
    site.close()
    assert report.problems == []
    assert report.removed is not None


def test_whoever_reads_goes_on_when_a_file_goes(old):
    reader = Reader(old.folder)
    records = iter(reader)
    first = next(records)
    old.look(3)
    rest = [record.seq for record in records]
    reader.close()
    assert first.seq == 0
    assert rest == sorted(rest)
    assert rest[-1] == old.log.next_seq - 1
    assert len(rest) < old.log.next_seq - 1, "some were removed before they were read"
    assert reader.skipped == 0


def test_a_check_is_not_disturbed_when_a_file_goes(old, monkeypatch):
    real = verify_module.first_key

    def slow(files):
        found = real(files)
        old.look()
        return found

    old.look()
    monkeypatch.setattr(verify_module, "first_key", slow)
    report = old.verify()
    assert report.problems == []
    assert report.removed["before"] == log_files(old.folder)[0].first


@pytest.mark.parametrize(
    "body", [{"next": "x", "hash": 7}, {"next": -1, "hash": "g"}, {"next": 10**30, "hash": ""}, {"next": True}, {}]
)
def test_nonsense_about_removals_is_harmless(tmp_path, signer, body):
    with AuditLog(tmp_path / "log", signer) as log:
        log.append(EventKind.LOG, {"event": "pruned", "public_key": ["x"], **body})
    report = verify_log(tmp_path / "log", Wanted(keys=(signer.public,)))
    assert json.dumps(report.as_json())
    assert report.problems == []


def test_the_removal_of_what_is_still_to_come_excuses_nothing(old):
    old.log.append(EventKind.LOG, {"event": "pruned", "next": 10**6, "hash": "0" * 64})
    old.close()
    old.files[0].unlink()
    [problem] = old.verify().problems
    assert "are missing" in problem.words


def test_an_attestation_after_a_removal_says_what_came_before(old):
    old.look()
    span = Span(0.0, 1e12)
    wanted = Wanted(keys=(old.signer.public,))
    found = statement_of(old.folder, None, span, wanted).predicate.audit_log
    assert (found.first_seq, found.hash_before) == (old.removed()[0]["next"], old.removed()[0]["hash"])
    old.keep()
    whole = statement_of(old.folder, None, span, Wanted(keys=wanted.keys, archives=(old.archive,)))
    assert whole.predicate.audit_log.first_seq == 0
    assert whole.predicate.audit_log.hash_last == found.hash_last
