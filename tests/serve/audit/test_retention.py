"""Old files go by a rule that the log tells of: when, and what happens if that is interrupted."""

from __future__ import annotations

import json
import os
import signal as signals
import subprocess
import time
from contextlib import suppress
from pathlib import Path

import pytest
import zstandard

from hashwarden.serve.agent import packing as packing_module
from hashwarden.serve.agent.build import _audit
from hashwarden.serve.agent.clocks import Clocks
from hashwarden.serve.agent.config import Config
from hashwarden.serve.agent.folder import StateFolder
from hashwarden.serve.agent.packing import Packing
from hashwarden.serve.audit import retention
from hashwarden.serve.audit.event import EventKind
from hashwarden.serve.audit.files import log_files
from hashwarden.serve.audit.log import AuditLog, Limits
from hashwarden.serve.audit.read import Reader
from hashwarden.serve.audit.record import parse
from hashwarden.serve.audit.retention import EVERY_S, Retention
from hashwarden.serve.journal import StorageError

DAY = 86400.0
NOW = 1_795_305_600.0
SMALL = Limits(rotate_bytes=2500, every=4, reserve_bytes=0)


def test_by_default_all_is_kept_for_ever(site):
    site.open(Retention())
    site.write(40)
    before = site.files
    site.days(10_000)
    site.look(3)
    assert site.files == before


def test_old_files_go_one_at_a_time_and_the_log_says_which(old):
    before = old.files
    old.look()
    assert old.files == before[1:]
    [said] = old.removed()
    last = json.loads(before[1].read_text().splitlines()[0])["record"]["body"]["statement"]
    first = log_files(old.folder)[0].first
    assert (said["file"], said["first"], said["next"], said["why"]) == (before[0].name, 0, first, "age")
    assert (said["hash"], said["rule"]) == (last["hash"], {"keep_days": 10.0, "disk_bytes": 0, "least_days": 30.0})
    report = old.verify(anchors=(old.anchor,), strict=True)
    assert report.problems == []
    assert report.first_seq == first
    assert report.removed == {"record": report.removed["record"], "before": first, "hash": said["hash"],
                              "unix_s": old.unix_s}  # fmt: skip
    [note] = [note for note in report.notes if "retention" in note]
    assert note == (
        f"it begins at record {first}; the records before were removed under the retention rule on "
        f"2026-12-03 00:10:00 UTC, their last hash was {said['hash']}"
    )
    old.look(10)
    assert len(old.files) == 1, "the newest stays"
    assert old.verify(anchors=(old.anchor,)).problems == []
    assert {Path(one["file"]) for one in old.removed()} <= {Path(path.name) for path in before}


def test_young_files_stay_and_the_age_is_that_of_the_last_record(site):
    site.open()
    site.write(20)
    site.days(9.9)
    before = site.files
    site.look()
    assert site.files == before
    site.days(0.2)
    site.look()
    assert site.files == before[1:]


def test_size_removes_the_oldest_but_nothing_young(site):
    site.open(Retention(disk_bytes=60_000, least_days=5), Limits(rotate_bytes=10_000, every=4, reserve_bytes=0))
    site.write(400)
    before = site.files
    assert len(before) > 10
    site.look(3)
    assert site.files == before, "who makes much be written pushes nothing out"
    site.days(6)
    site.look(20)
    assert 50_000 < sum(path.stat().st_size for path in site.files) <= 60_000
    assert site.files[-1] == before[-1]
    assert {one["why"] for one in site.removed()} == {"size"}
    assert site.verify().problems == []


@pytest.mark.parametrize("when", ["before the record", "before the file goes", "after the file went"])
def test_kill_9_while_a_file_goes(old, when, tmp_path):
    """A real SIGKILL at each of the three moments; whoever comes after goes on, and the log verifies at once."""
    old.close()
    before = old.files
    child = os.fork()
    if child == 0:
        log = old.open()
        if when == "before the record":
            log._file.put = lambda *_, **__: os.kill(os.getpid(), signals.SIGKILL)
        elif when == "before the file goes":
            retention.Due.remove = lambda _: os.kill(os.getpid(), signals.SIGKILL)
        else:
            retention.synced = lambda _: os.kill(os.getpid(), signals.SIGKILL)
        old.look()
        os._exit(1)
    _, status = os.waitpid(child, 0)
    assert os.WTERMSIG(status) == signals.SIGKILL
    assert old.files == (before[1:] if when == "after the file went" else before)
    report = old.verify(anchors=(old.anchor,))
    assert report.problems == []
    assert (report.removed is not None) is (when == "after the file went")
    assert any("are here, though" in note for note in report.notes) is (when == "before the file goes")
    old.open()
    old.look(2)
    assert len(old.files) == len(before) - (3 if when == "after the file went" else 2)
    report = old.verify(anchors=(old.anchor,))
    assert (report.problems, [note for note in report.notes if "are here" in note]) == ([], [])


def test_killed_again_and_again_while_files_come_and_go(site):
    """Whole runs of a writer that rotates and removes, ended by SIGKILL somewhere; the log verifies after each."""
    rule, chance = Retention(disk_bytes=6000, least_days=0), iter(range(10_000))
    for run in range(12):
        reading, writing = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(reading)
            site.open(rule)
            for _ in range(100_000):
                site.write(3)
                site.look()
                os.write(writing, b"x")
        os.close(writing)
        for _ in range(3 + run):
            assert os.read(reading, 1) == b"x"
        for _ in range(1000 * next(chance)):  # somewhere else each time
            pass
        os.kill(child, signals.SIGKILL)
        os.waitpid(child, 0)
        os.close(reading)
        with AuditLog(site.folder, site.signer, limits=SMALL):
            pass
        assert site.verify().problems == [], run
    assert log_files(site.folder)[0].first > 0


def test_a_wall_clock_that_jumps_removes_nothing(old):
    before = old.files
    old.unix_s += 5000 * DAY  # somebody set it to another century
    old.look(5)
    assert old.files == before
    old.unix_s -= 5000 * DAY
    old.look(5)
    assert old.files == before
    old.look(2)
    assert len(old.files) < len(before), "steady for an hour"


def test_a_clock_that_was_behind_when_a_file_ended_makes_it_no_older(site):
    site.open()
    site.write(3)
    site.unix_s = 1000.0  # 1970, as after an empty battery
    site.write(20)
    site.unix_s = NOW
    site.look(20)
    first, second = site.files[:2]
    assert first.name == "audit-000000000000.jsonl"
    assert parse(second.read_bytes().splitlines(keepends=True)[0]).stamp.unix_s < 2000


def test_nothing_goes_just_after_a_start(old):
    before = old.files
    for _ in range(6):
        old.open()
        old.pass_s(EVERY_S - 1)
        old.log.checkpoint()
    assert old.files == before


def test_a_file_that_cannot_be_removed_is_told_and_tried_again_and_written_down_once(old):
    before = old.files
    subprocess.run(["mount", "--bind", before[0], before[0]], check=True)
    try:
        for _ in range(3):
            old.pass_s(EVERY_S)
            with pytest.raises(StorageError, match=f"{before[0].name} should go and stays"):
                old.log.checkpoint()
    finally:
        subprocess.run(["umount", before[0]], check=True)
    assert (len(old.removed()), old.files) == (1, before)
    assert old.verify().problems == []
    old.log.append(EventKind.STOP, {})
    old.look()
    assert (len(old.removed()), old.files[: len(before) - 1]) == (1, before[1:])


def test_on_a_disk_without_room_for_the_record_nothing_goes(old):
    before = old.files
    old.log._file.put = lambda *_, **__: (_ for _ in ()).throw(OSError(28, "No space left on device"))
    old.pass_s(EVERY_S)
    with pytest.raises(StorageError, match="No space left"):
        old.log.checkpoint()
    del old.log._file.put
    assert old.files == before
    old.look()
    assert old.files == before[1:]


def test_a_file_that_cannot_be_read_stays_and_all_after_it(old):
    before = old.files
    whole = before[0].read_bytes()
    before[0].write_bytes(b"rubbish\n" + whole)
    old.look(3)
    assert old.files == before
    before[0].write_bytes(whole)
    whole = before[1].read_bytes()
    before[1].write_bytes(whole[200:])
    old.look(3)
    assert old.files == before, "nobody knows what the one before it ended with"
    before[1].write_bytes(whole)
    old.look()
    assert old.files == before[1:]


def test_compressed_files_go_too_also_while_somebody_compresses_them(old):
    path = old.files[0]
    packed = path.with_name(path.name + ".zst")
    packed.write_bytes(zstandard.compress(path.read_bytes()))
    old.look()
    assert not path.exists()
    assert packed.exists(), "the plain one counts while both are there"
    old.look()
    assert not packed.exists()
    assert old.verify().problems == []


def test_a_compressor_that_was_killed_keeps_no_log_from_opening(old):
    old.close()
    path = old.files[0]
    path.with_name(path.name + ".zst").write_bytes(b"half")
    log = old.open()
    log.append(EventKind.STOP, {})
    path.with_name(path.name + ".zst").unlink()
    assert old.verify().problems == []


def test_the_agent_hands_its_settings_on(tmp_path):
    config = Config(state_dir=tmp_path, audit={"keep_days": 400, "disk_mib": 4096, "least_days": 60})
    folder = StateFolder(tmp_path)
    log = _audit(config, folder, Clocks())
    log.close()
    folder.close()
    assert log._keeper._rule == Retention(400, 4096 << 20, 60)
    assert Config().audit.keep_days == Config().audit.disk_mib == 0, "for ever, unless somebody says otherwise"


def test_bundles_that_the_agent_removes_are_in_the_log(tmp_path, signer, monkeypatch):
    monkeypatch.setattr(packing_module, "_TIDY_S", 0.05)
    evidence = tmp_path / "evidence"
    evidence.mkdir()
    for name in ("HW-OLD.tar", "HW-NEW.tar", ".HW-NEW.tar.7.part"):
        (evidence / name).write_bytes(b"x")
    for name in ("HW-OLD.tar", ".HW-NEW.tar.7.part"):
        os.utime(evidence / name, (0, 0))
    with AuditLog(tmp_path / "log", signer) as log:
        packing = Packing(evidence, log, keep_days=1, most_bytes=1000)
        until = time.monotonic() + 30
        while len(list(evidence.iterdir())) > 1 and time.monotonic() < until:
            time.sleep(0.02)
        packing.close()
    assert [path.name for path in evidence.iterdir()] == ["HW-NEW.tar"]
    reader = Reader(tmp_path / "log")
    found = [record.body() for record in reader if record.kind == EventKind.CASE]
    reader.close()
    assert found == [{"case": "HW-OLD", "event": "bundle removed", "file": "HW-OLD.tar", "words": "by age"}]


def test_a_wall_clock_that_jumps_makes_no_bundle_old(tmp_path):
    packing = Packing(tmp_path, None, keep_days=1, most_bytes=1000)
    packing.close()
    now = time.monotonic()
    assert packing._is_steady(now)
    packing._offset_s -= 200 * DAY  # somebody set it ahead
    assert not packing._is_steady(now + 1)
    packing._offset_s = time.time() - (now + 3000)
    assert not packing._is_steady(now + 3000)


def test_on_a_full_disk_the_rule_makes_room_with_what_was_kept_back(signer, make_site, small_disk):
    disk = small_disk("512k")
    site = make_site(disk, signer)
    site.open(Retention(disk_bytes=30_000, least_days=1), Limits(20_000, every=4, reserve_bytes=16_384))
    site.write(200)
    site.days(2)
    with (disk / "ballast").open("wb", buffering=0) as ballast, suppress(OSError):
        while ballast.write(b"x" * 4096):
            pass
    with suppress(StorageError):
        while True:
            site.log.append(EventKind.VERDICT, {"pad": "x" * 3000})
    before = site.files
    site.look(len(before))
    assert site.files[0] != before[0]
    site.log.append(EventKind.VERDICT, {"pad": "x" * 3000})
    assert site.verify().problems == []
    site.close()
