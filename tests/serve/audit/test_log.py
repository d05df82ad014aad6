from __future__ import annotations

import json
import stat
import threading
from pathlib import Path

import pytest

from hashwarden.errors import UsageError
from hashwarden.serve.audit.anchor import FileAnchor
from hashwarden.serve.audit.event import EventKind
from hashwarden.serve.audit.files import log_files
from hashwarden.serve.audit.keys import Signer
from hashwarden.serve.audit.log import AuditLog, Limits
from hashwarden.serve.audit.verify import Wanted, verify_log

SMALL = Limits(rotate_bytes=2500, every=4, reserve_bytes=0)
FINE = "no checkpoint kept elsewhere was given: records cut off at the very end are not found out"


def bodies(folder: Path) -> list[tuple[int, str, dict[str, object]]]:
    text = b"".join(file.path.read_bytes() for file in log_files(folder))
    found = [json.loads(line)["record"] for line in text.splitlines()]
    return [(one["seq"], one["kind"], one["body"]) for one in found]


def test_records_have_numbers_over_all_files(written, signer):
    folder = written(40)
    found = bodies(folder)
    assert [seq for seq, _, _ in found] == list(range(len(found)))
    assert [body["subject"] for _, kind, body in found if kind == "blind"] == [f"gpu {n}" for n in range(40)]
    assert len(log_files(folder)) > 3
    report = verify_log(folder, Wanted(keys=(signer.public,), strict=True))
    assert (report.ok, report.notes, report.records) == (True, [FINE], len(found))
    assert report.signed_seq == report.last_seq == len(found) - 1


def test_only_the_owner_reads_it(written):
    folder = written()
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert {stat.S_IMODE(one.stat().st_mode) for one in folder.iterdir()} == {0o600}


def test_append_gives_the_number_that_stands_in_the_record(tmp_path, signer):
    with AuditLog(tmp_path / "log", signer, limits=Limits(every=3)) as log:
        numbers = log.append_many([(EventKind.BLIND, {"n": n}) for n in range(5)])
        numbers.append(log.append(EventKind.STOP, {"n": 5}))
    found = {body["n"]: seq for seq, _, body in bodies(tmp_path / "log") if "n" in body}
    assert [found[n] for n in range(6)] == numbers


def test_a_log_goes_on_where_it_was(written, signer, tmp_path):
    folder = written(5)
    before = verify_log(folder)
    for _ in range(3):
        with AuditLog(folder, signer, limits=SMALL) as log:
            assert log.append(EventKind.START, {"version": "2"}) == log.next_seq - 1
    report = verify_log(folder, Wanted(keys=(signer.public,)))
    assert report.ok
    assert report.log == before.log
    assert [kind for _, kind, _ in bodies(folder)].count("start") == 3


def test_two_writers_are_refused_and_the_first_goes_on(tmp_path, signer):
    with AuditLog(tmp_path, signer) as log:
        with pytest.raises(UsageError, match="another process writes"):
            AuditLog(tmp_path, signer)
        log.append(EventKind.STOP, {})
    AuditLog(tmp_path, signer).close()
    assert verify_log(tmp_path).ok


def test_clocks_may_jump(tmp_path, signer):
    times = iter([1000.0, 5.0, -3.0, 2e9] + [7.0] * 20)
    with AuditLog(tmp_path, signer, clock=lambda: next(times)) as log:
        for _ in range(5):
            log.append(EventKind.BLIND, {})
    report = verify_log(tmp_path)
    assert report.ok
    stamps = [json.loads(line)["record"] for line in log_files(tmp_path)[0].path.read_bytes().splitlines()]
    assert sorted(one["mono_s"] for one in stamps) == [one["mono_s"] for one in stamps]
    assert sorted(one["unix_s"] for one in stamps) != [one["unix_s"] for one in stamps]
    assert {one["boot"] for one in stamps} == {Path("/proc/sys/kernel/random/boot_id").read_text().strip()}


def test_a_checkpoint_comes_with_time_and_on_request_and_is_told(tmp_path, signer):
    now = [0.0]
    anchor = tmp_path / "anchor"
    limits = Limits(checkpoint_s=60)
    with AuditLog(
        tmp_path / "log", signer, anchors=(FileAnchor(anchor),), monotonic=lambda: now[0], limits=limits
    ) as log:
        log.append(EventKind.BLIND, {})
        assert len(anchor.read_text().splitlines()) == 1
        now[0] = 61.0
        log.append(EventKind.BLIND, {})
        assert len(anchor.read_text().splitlines()) == 2
        found = log.checkpoint()
        assert found.line() == anchor.read_text().splitlines()[2]
        assert log.checkpoint() is None
    report = verify_log(tmp_path / "log", Wanted(keys=(signer.public,), anchors=(anchor,)))
    assert (report.ok, report.notes, report.anchored_seq) == (True, [], report.last_seq - 1)


def test_an_anchor_that_fails_stops_nothing(tmp_path, signer):
    with AuditLog(tmp_path / "log", signer, anchors=(FileAnchor(tmp_path / "no" / "such"),)) as log:
        log.append(EventKind.BLIND, {})
        log.checkpoint()
        assert log.anchor_failures == 2
    assert verify_log(tmp_path / "log").ok


def test_threads_may_write_at_once(tmp_path, signer):
    seen: list[int] = []
    with AuditLog(tmp_path, signer, limits=Limits(rotate_bytes=10_000)) as log:

        def write() -> None:
            seen.extend(log.append(EventKind.BLIND, {}, sync=False) for _ in range(50))

        threads = [threading.Thread(target=write) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(set(seen)) == 200
    assert verify_log(tmp_path, Wanted(keys=(signer.public,))).ok


def test_another_setting_is_no_breach_of_the_promise_before(written, signer):
    folder = written(5)
    with AuditLog(folder, signer, limits=Limits(every=50)) as log:
        for _ in range(40):
            log.append(EventKind.BLIND, {})
    assert verify_log(folder, Wanted(keys=(signer.public,))).ok


def test_a_torn_end_is_cut_off_and_told(written, signer):
    folder = written(3, Limits())
    path = log_files(folder)[0].path
    whole = path.read_bytes()
    path.write_bytes(whole[:-25])
    torn = verify_log(folder)
    assert [str(one) for one in torn.problems] == [f"{path.name}:6: the last record is cut off after "
        f"{len(whole.splitlines(keepends=True)[-1]) - 25} bytes: a crash, or somebody"]  # fmt: skip
    with AuditLog(folder, signer):
        pass
    report = verify_log(folder, Wanted(keys=(signer.public,)))
    assert report.ok
    assert any("recovered" in note for note in report.notes)


def test_damage_in_the_middle_is_left_as_it_is_and_the_log_goes_on_beside_it(written, signer):
    folder = written(6, Limits())
    path = log_files(folder)[0].path
    damaged = bytearray(path.read_bytes())
    damaged[len(damaged) // 2] ^= 1
    path.write_bytes(damaged)
    with AuditLog(folder, signer) as log:
        log.append(EventKind.BLIND, {"after": True})
    assert path.read_bytes() == damaged
    report = verify_log(folder, Wanted(keys=(signer.public,)))
    assert report.problem_count >= 1
    assert {one.file for one in report.problems} <= {one.path.name for one in log_files(folder)}
    assert any("damaged" in note for note in report.notes)
    with AuditLog(folder, signer) as log:  # and again, now without more damage
        log.append(EventKind.BLIND, {"after": 2})
    assert verify_log(folder).problem_count == report.problem_count


@pytest.mark.parametrize("size", [0, 10, 300])
def test_a_crash_at_the_very_beginning(tmp_path, signer, size):
    with AuditLog(tmp_path, signer):
        pass
    path = log_files(tmp_path)[0].path
    path.write_bytes(path.read_bytes()[:size])
    with AuditLog(tmp_path, signer) as log:
        log.append(EventKind.BLIND, {})
    assert verify_log(tmp_path, Wanted(keys=(signer.public,))).ok


def test_a_crash_while_it_goes_on_to_another_file(written, signer):
    folder = written(30)
    files = log_files(folder)
    last, before = files[-1].path, files[-2].path
    last.write_bytes(b"")  # it was made, and nothing had been written to it
    with AuditLog(folder, signer) as log:
        log.append(EventKind.BLIND, {})
    assert verify_log(folder, Wanted(keys=(signer.public,))).ok
    last.write_bytes(b"")  # it was made, and the one before had not said so
    lines = before.read_bytes().splitlines(keepends=True)
    before.write_bytes(b"".join(lines[:-1]))
    with AuditLog(folder, signer) as log:
        log.append(EventKind.BLIND, {})
    assert verify_log(folder, Wanted(keys=(signer.public,))).ok
    assert [one.path.name for one in log_files(folder)][: len(files) - 1] == [one.path.name for one in files[:-1]]


def test_a_link_is_not_followed(tmp_path, signer):
    (tmp_path / "log").mkdir()
    (tmp_path / "else").write_text("")
    (tmp_path / "log" / "audit-000000000000.jsonl").symlink_to(tmp_path / "else")
    with pytest.raises(Exception, match=r"it is a link|cannot be written"):
        AuditLog(tmp_path / "log", signer)
    assert (tmp_path / "else").read_text() == ""


def test_the_key_changes_and_the_old_one_signs_that(tmp_path, signer):
    new = Signer.generate()
    with AuditLog(tmp_path, signer, limits=Limits(rotate_bytes=3000, every=4)) as log:
        for _ in range(6):
            log.append(EventKind.BLIND, {})
        log.change_key(new)
        for _ in range(6):
            log.append(EventKind.BLIND, {})
    with AuditLog(tmp_path, new) as log:
        log.append(EventKind.BLIND, {})
    for key in (signer, new):
        report = verify_log(tmp_path, Wanted(keys=(key.public,)))
        assert (report.ok, report.signed_seq) == (True, report.last_seq)
    assert report.keys == [signer.public.id, new.public.id]
    assert not verify_log(tmp_path, Wanted(keys=(Signer.generate().public,))).ok


def test_a_key_that_nobody_handed_over_is_told(written, signer):
    folder = written(3, Limits())
    with AuditLog(folder, Signer.generate()) as log:
        log.append(EventKind.BLIND, {})
    report = verify_log(folder, Wanted(keys=(signer.public,)))
    assert report.problems[0].words == "the key was changed and the one before has not signed that"


def test_without_a_key_the_chain_still_holds(tmp_path):
    with AuditLog(tmp_path, None, limits=Limits(rotate_bytes=2000)) as log:
        for _ in range(20):
            log.append(EventKind.BLIND, {})
        with pytest.raises(UsageError, match="without a key"):
            log.change_key(Signer.generate())
    report = verify_log(tmp_path)
    assert report.ok
    assert "nobody signed" in " ".join(report.notes)
    assert not verify_log(tmp_path, Wanted(keys=(Signer.generate().public,))).ok


def test_what_is_closed_takes_no_more(tmp_path, signer):
    log = AuditLog(tmp_path, signer)
    log.close()
    log.close()
    with pytest.raises(UsageError, match="closed"):
        log.append(EventKind.BLIND, {})
    assert sorted(one.name for one in tmp_path.iterdir()) == ["audit-000000000000.jsonl", "lock"]
