from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from hashwarden.serve.audit.anchor import FileAnchor
from hashwarden.serve.audit.checkpoint import Checkpoint, Statement, read_checkpoints
from hashwarden.serve.audit.event import EventKind
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
