from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from hashwarden.serve.audit import anchored
from hashwarden.serve.audit.anchor import FileAnchor
from hashwarden.serve.audit.checkpoint import Checkpoint, Statement, read_checkpoints
from hashwarden.serve.audit.event import EventKind
from hashwarden.serve.audit.files import log_files
from hashwarden.serve.audit.keys import Signer
from hashwarden.serve.audit.log import AuditLog
from hashwarden.serve.audit.verify import Wanted, verify_log

LOGGED = """
import socket, sys
from pathlib import Path
from hashwarden.serve.audit.anchor import SyslogAnchor
from hashwarden.serve.audit.event import EventKind
from hashwarden.serve.audit.keys import Signer
from hashwarden.serve.audit.log import AuditLog

box = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
box.bind("/dev/log")
signer = Signer.generate()
with AuditLog(Path(sys.argv[1]), signer, anchors=(SyslogAnchor(),)) as log:
    log.append(EventKind.BLIND, {})
    log.checkpoint()
box.settimeout(10)
Path(sys.argv[2]).write_bytes(b"".join(box.recv(65536).rstrip(b"\\0") + b"\\n" for _ in range(2)))
"""


def test_the_system_log_is_told_and_its_lines_serve_as_they_are(tmp_path):
    """A /dev of its own, where this test is the system log."""
    own = ["unshare", "--mount", "sh", "-c", 'mount -t tmpfs tmpfs /dev && exec "$@"', "sh"]
    command = [*own, sys.executable, "-c", LOGGED]
    log, heard = tmp_path / "log", tmp_path / "heard"
    done = subprocess.run([*command, str(log), str(heard)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert heard.read_text().startswith("<85>")  # authpriv, notice
    found = list(read_checkpoints(heard))
    assert [one.statement.seq for one in found] == [0, 2]
    report = verify_log(log, Wanted(anchors=(heard,)))
    assert (report.ok, report.anchored_seq) == (True, 2)


def test_a_file_anchor_only_appends(tmp_path, signer):
    path = tmp_path / "anchor"
    path.write_text("before\n")
    statement = Statement(log="0" * 32, seq=1, hash="0" * 64, unix_s=1.0, every=1)
    for _ in range(2):
        FileAnchor(path).tell(Checkpoint.signed(statement, signer))
    lines = path.read_text().splitlines()
    assert lines[0] == "before"
    assert [one.statement for one in read_checkpoints(path)] == [statement] * 2
    assert all(one.is_signed_by(signer.public) for one in read_checkpoints(path))


def test_checkpoints_of_two_nodes_may_lie_in_one_file(tmp_path, signer):
    anchor = tmp_path / "anchor"
    for name in ("a", "b"):
        with AuditLog(tmp_path / name, signer, anchors=(FileAnchor(anchor),)) as log:
            log.append(EventKind.STOP, {})
    for name in ("a", "b"):
        report = verify_log(tmp_path / name, Wanted(keys=(signer.public,), anchors=(anchor,)))
        assert (report.ok, report.anchored_seq) == (True, 2)
    assert Path(anchor).stat().st_mode & 0o777 == 0o644


def test_a_line_that_was_cut_off_costs_only_itself(signer, small_disk):
    """A full disk or a crash leaves half a line, which an append-only file keeps."""
    disk = small_disk("8k")
    path, told, failed = disk / "anchor", [], 0
    anchor = FileAnchor(path)
    for seq in range(60):
        statement = Statement(log="0" * 32, seq=seq, hash="0" * 64, unix_s=1.0, every=1)
        try:
            anchor.tell(Checkpoint.signed(statement, signer))
            told.append(seq)
        except OSError as error:
            failed += error.errno == errno.ENOSPC
            subprocess.run(["mount", "-o", f"remount,size={8 + 8 * failed}k", disk], check=True)
    assert failed >= 2
    assert [one.statement.seq for one in read_checkpoints(path)] == told
    path.write_bytes(path.read_bytes()[:-20])  # and now it was killed
    FileAnchor(path).tell(Checkpoint.signed(statement, signer))
    assert [one.statement.seq for one in read_checkpoints(path)] == [*told[:-1], 59]


def test_an_anchor_that_takes_nothing_is_told_until_it_does(tmp_path, signer):
    folder = tmp_path / "elsewhere"
    with AuditLog(tmp_path / "log", signer, anchors=(FileAnchor(folder / "anchor"),)) as log:
        assert "No such file" in log.unanchored
        folder.mkdir()
        log.append(EventKind.STOP, {})
        log.checkpoint()
        assert log.unanchored == ""
        assert log.anchor_failures == 1


@pytest.fixture
def rotated(tmp_path):
    """A log that changed its key, and its checkpoints; the first key, and the second."""
    old, new = Signer.generate(), Signer.generate()
    with AuditLog(tmp_path / "log", old, anchors=(FileAnchor(tmp_path / "anchor"),)) as log:
        log.append(EventKind.BLIND, {})
        log.change_key(new)
        log.append(EventKind.BLIND, {})
        log.append(EventKind.STOP, {})
    return old, new


@pytest.mark.parametrize("key", ["", "5" * 64, "own"])
def test_whoever_writes_to_the_system_log_casts_no_doubt(tmp_path, rotated, key):
    """With a key that nobody gave, with none, and with one of his own that he signs with."""
    old, new = rotated
    anchor, liar = tmp_path / "anchor", Signer.generate()
    good = list(read_checkpoints(anchor))
    lies = [good[0].statement.model_copy(update={"hash": "0" * 64}), good[-1].statement.model_copy(update={"seq": 999})]
    made = [Checkpoint.signed(one, liar) if key == "own" else Checkpoint(statement=one, key=key) for one in lies]
    anchor.write_text(anchor.read_text() + "".join(f"{one.line()}\n" for one in made))
    for given in (old, new):
        report = verify_log(tmp_path / "log", Wanted(keys=(given.public,), anchors=(anchor,)))
        assert (report.problems, report.anchored_seq) == ([], report.last_seq - 1)
    assert not verify_log(tmp_path / "log", Wanted(anchors=(anchor,))).ok, "without a key nobody knows who lies"


def test_what_a_key_signed_that_was_handed_over_to_counts(tmp_path, rotated):
    old, _ = rotated
    [file] = log_files(tmp_path / "log")
    lines = file.path.read_bytes().splitlines(keepends=True)
    file.path.write_bytes(b"".join(lines[:-3]))
    wanted = Wanted(keys=(old.public,), anchors=(tmp_path / "anchor",))
    words = " ".join(one.words for one in verify_log(tmp_path / "log", wanted).problems)
    assert "are missing at the end: a checkpoint elsewhere has them" in words


def test_a_log_that_was_written_twice_is_found_though_both_told_the_anchor(tmp_path, signer):
    anchor = tmp_path / "anchor"
    with AuditLog(tmp_path / "log", signer, anchors=(FileAnchor(anchor),)) as log:
        log.append(EventKind.CASE, {"case": "HW-1"})
        log.append(EventKind.CASE, {"case": "HW-2"})
    [file] = log_files(tmp_path / "log")
    lines = file.path.read_bytes().splitlines(keepends=True)
    file.path.write_bytes(b"".join(lines[:2]))  # somebody with the key goes on from here as if nothing had been
    with AuditLog(tmp_path / "log", signer, anchors=(FileAnchor(anchor),)) as log:
        log.append(EventKind.BLIND, {"subject": "nothing to see"})
        log.append(EventKind.BLIND, {"subject": "nothing to see"})
    report = verify_log(tmp_path / "log", Wanted(keys=(signer.public,), anchors=(anchor,)))
    assert any("is not the one whose checkpoint was kept elsewhere" in one.words for one in report.problems)


def test_more_checkpoints_of_others_than_are_looked_at_are_said(tmp_path, rotated, monkeypatch):
    monkeypatch.setattr(anchored, "MOST_OTHERS", 1)
    old, _ = rotated
    report = verify_log(tmp_path / "log", Wanted(keys=(old.public,), anchors=(tmp_path / "anchor",)))
    assert report.problems == []
    assert any("not all were looked at" in note for note in report.notes)


def test_a_pipe_that_nobody_reads_holds_nobody_up(tmp_path, signer):
    os.mkfifo(tmp_path / "anchor")
    with AuditLog(tmp_path / "log", signer, anchors=(FileAnchor(tmp_path / "anchor"),)) as log:
        log.append(EventKind.STOP, {})
    assert log.anchor_failures == 2
