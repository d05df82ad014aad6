"""What is acknowledged stays: killed writers, full disks, folders that cannot be written."""

from __future__ import annotations

import json
import os
import random
import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from hashwarden.serve.audit.event import EventKind
from hashwarden.serve.audit.files import log_files
from hashwarden.serve.audit.keys import Signer, load_or_make
from hashwarden.serve.audit.log import AuditLog, Limits
from hashwarden.serve.audit.verify import Wanted, verify_log
from hashwarden.serve.journal import StorageError

WRITER = Path(__file__).with_name("audit_writer.py")
KILLS = 60
TINY = Limits(rotate_bytes=1500, every=3, reserve_bytes=0)


def numbers(folder: Path) -> list[int]:
    text = b"".join(file.path.read_bytes() for file in log_files(folder))
    return [json.loads(line)["record"]["seq"] for line in text.splitlines()]


def test_kill_9_at_any_point_loses_no_acknowledged_record(tmp_path):
    """One log, its writer killed again and again; each start goes on with what the one before left."""
    folder, key = tmp_path / "log", tmp_path / "key.pem"
    command = [sys.executable, str(WRITER), str(folder), str(key), str(KILLS)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    acknowledged = set(json.loads(done.stdout))
    with AuditLog(folder, load_or_make(key)):
        pass
    found = numbers(folder)
    assert found == list(range(len(found)))
    assert acknowledged <= set(found)
    assert len(acknowledged) > KILLS
    report = verify_log(folder, Wanted(keys=(load_or_make(key).public,)))
    assert report.problems == []


class Cut(Exception):  # noqa: N818  it is no error
    """The process ended here."""


class Calls:
    """Counts system calls that change a file, and ends the process at one of them: a write, in the middle of it."""

    def __init__(self, left: int, monkeypatch: pytest.MonkeyPatch) -> None:
        self.left, self.chance = left, random.Random(left)
        for name in ("write", "fdatasync", "ftruncate"):
            monkeypatch.setattr(os, name, self._counted(getattr(os, name), half=name == "write"))

    def _counted(self, run: Callable[..., object], half: bool) -> Callable[..., object]:
        def call(handle: int, *more: object) -> object:
            self.left -= 1
            if self.left == -1 and half:
                run(handle, bytes(more[0])[: self.chance.randrange(200)])
            if self.left < 0:
                raise Cut
            return run(handle, *more)

        return call


def work(folder: Path, signer: Signer, done: list[int]) -> None:
    log = AuditLog(folder, signer, limits=TINY)
    try:
        for number in range(8):
            done.append(log.append(EventKind.CASE, {"case": str(number)}))
    finally:
        log._file.close()
        log._held.close()


def test_ended_at_any_system_call_it_starts_again(tmp_path, monkeypatch, signer):
    """Kill -9 cannot hit every gap between two calls by chance; this stops at each call in turn, and mid-write."""
    for stop in range(200):
        done: list[int] = []
        folder = tmp_path / str(stop)
        with monkeypatch.context() as patch:
            Calls(stop, patch)
            try:
                work(folder, signer, done)
                break
            except Cut:
                pass
        with AuditLog(folder, signer, limits=TINY) as log:
            log.append(EventKind.STOP, {})
        assert set(done) <= set(numbers(folder))
        report = verify_log(folder, Wanted(keys=(signer.public,)))
        assert report.problems == [], stop
    assert stop > 20


@pytest.fixture
def disk(small_disk: Callable[..., Path]) -> Path:
    """A disk of 256 KiB."""
    return small_disk("256k")


def fill(folder: Path) -> Path:
    ballast = folder / "ballast"
    with ballast.open("wb", buffering=0) as file:
        for size in (4096, 64, 1):
            try:
                while True:
                    file.write(b"x" * size)
            except OSError:
                pass
    return ballast


def refusals(log: AuditLog, kind: EventKind, count: int) -> int:
    """How many of so many records the disk refuses."""
    refused = 0
    for _ in range(count):
        try:
            log.append(kind, {"pad": "x" * 3000})
        except StorageError:
            refused += 1
    return refused


def test_a_full_disk_takes_nothing_half_and_all_goes_on_when_there_is_room(disk, signer):
    log = AuditLog(disk / "log", signer, limits=Limits(every=5, reserve_bytes=0))
    kept = [log.append(EventKind.VERDICT, {"pad": "x" * 3000}) for _ in range(5)]
    ballast = fill(disk)
    size = log_files(disk / "log")[0].path.stat().st_size
    refused: list[str] = []
    for _ in range(20):
        try:
            kept.append(log.append(EventKind.VERDICT, {"pad": "x" * 3000}))
        except StorageError as error:
            refused.append(str(error))
    assert len(refused) >= 19
    assert all("No space left" in words for words in refused)
    assert log_files(disk / "log")[0].path.stat().st_size <= size + 4096
    assert verify_log(disk / "log", Wanted(keys=(signer.public,))).ok
    ballast.unlink()
    kept += [log.append(EventKind.VERDICT, {"pad": "x" * 3000}) for _ in range(5)]
    log.close()
    assert set(kept) <= set(numbers(disk / "log"))
    assert verify_log(disk / "log", Wanted(keys=(signer.public,))).ok


def test_last_words_go_into_the_reserve(disk, signer):
    now = [0.0]
    log = AuditLog(disk / "log", signer, limits=Limits(reserve_bytes=16384), monotonic=lambda: now[0])
    assert not log.low
    ballast = fill(disk)
    assert refusals(log, EventKind.VERDICT, 5) >= 4
    assert not log.low
    for _ in range(4):
        log.append(EventKind.ACTION, {"action": "HW-1/act", "result": "done", "detail": "x" * 2000})
    assert log.low
    assert refusals(log, EventKind.ACTION, 9) >= 1
    ballast.unlink()
    now[0] = 31.0
    log.append(EventKind.VERDICT, {"pad": "x" * 3000})
    assert not log.low
    log.close()
    assert verify_log(disk / "log", Wanted(keys=(signer.public,))).ok


def test_a_log_opens_on_a_full_disk_and_writes_when_there_is_room(disk, signer):
    with AuditLog(disk / "log", signer) as log:
        log.append(EventKind.VERDICT, {})
    path = log_files(disk / "log")[0].path
    path.write_bytes(path.read_bytes()[:-9])  # and it was torn by the crash
    ballast = fill(disk)
    log = AuditLog(disk / "log", signer)
    assert log.low
    assert refusals(log, EventKind.VERDICT, 3) >= 1
    ballast.unlink()
    log.append(EventKind.VERDICT, {"pad": "x" * 3000})
    log.close()
    report = verify_log(disk / "log", Wanted(keys=(signer.public,)))
    assert report.ok
    assert any("recovered" in note for note in report.notes)


def test_rotation_on_a_full_disk_stays_where_it_is(disk, signer):
    """Rotation may wait; a record may not."""
    log = AuditLog(disk / "log", signer, limits=Limits(rotate_bytes=3000, reserve_bytes=0))
    for _ in range(10):
        log.append(EventKind.VERDICT, {"pad": "x" * 500})
    ballast = fill(disk)
    done = 0
    for _ in range(30):
        try:
            log.append(EventKind.VERDICT, {"pad": "x" * 500})
            done += 1
        except StorageError:
            pass
    ballast.unlink()
    for _ in range(10):
        log.append(EventKind.VERDICT, {"pad": "x" * 500})
    log.close()
    assert verify_log(disk / "log", Wanted(keys=(signer.public,))).problems == []


def test_a_folder_that_cannot_be_written_is_a_storage_error(disk, signer):
    with AuditLog(disk / "log", signer) as log:
        log.append(EventKind.VERDICT, {})
    subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
    with pytest.raises(StorageError, match="Read-only file system"):
        AuditLog(disk / "log", signer)
    with pytest.raises(StorageError, match="Read-only file system"):
        AuditLog(disk / "other", signer)
    assert verify_log(disk / "log", Wanted(keys=(signer.public,))).ok


def test_a_limit_on_file_size_is_a_storage_error(tmp_path, signer):
    """EFBIG comes with a signal; Python ignores it."""
    log = AuditLog(tmp_path, signer, limits=Limits(reserve_bytes=0))
    kept = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4000, kept[1]))
    try:
        assert refusals(log, EventKind.VERDICT, 5) >= 4
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, kept)
    log.append(EventKind.VERDICT, {})
    log.close()
    assert verify_log(tmp_path, Wanted(keys=(signer.public,))).ok


def test_a_sync_that_fails_takes_the_record_back_and_writes_what_may_be_lost_again(tmp_path, signer, monkeypatch):
    log = AuditLog(tmp_path, signer, limits=Limits(reserve_bytes=0))
    for number in range(3):
        log.append(EventKind.VERDICT, {"n": number}, sync=False)

    def fails(handle: int) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "fdatasync", fails)
    with pytest.raises(StorageError, match="Input/output error"):
        log.append(EventKind.VERDICT, {"n": "refused"})
    monkeypatch.undo()
    log.append(EventKind.VERDICT, {"n": 3})
    log.close()
    text = log_files(tmp_path)[0].path.read_text()
    assert "refused" not in text
    assert [f'"n":{number}' in text for number in range(4)] == [True] * 4
    assert verify_log(tmp_path, Wanted(keys=(signer.public,))).ok


def test_a_next_file_that_cannot_be_made_leaves_no_trace(tmp_path, signer, monkeypatch):
    log = AuditLog(tmp_path, signer, limits=TINY)
    real = os.fsync

    def fails(handle: int) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "fsync", fails)
    for _ in range(8):
        log.append(EventKind.VERDICT, {"pad": "x" * 300})
    assert len(log_files(tmp_path)) == 1
    monkeypatch.setattr(os, "fsync", real)
    for _ in range(8):
        log.append(EventKind.VERDICT, {"pad": "x" * 300})
    log.close()
    assert len(log_files(tmp_path)) > 1
    assert verify_log(tmp_path, Wanted(keys=(signer.public,))).problems == []
