"""A change of the key that is cut off, by a real SIGKILL at each of its steps: whoever starts next finds both fit."""

from __future__ import annotations

import os
import signal as signals
from pathlib import Path

import pytest

from hashwarden.serve.audit import key_files
from hashwarden.serve.audit.event import EventKind
from hashwarden.serve.audit.key_files import current_signer, rotate_key
from hashwarden.serve.audit.keys import load_public, load_signer, public_path
from hashwarden.serve.audit.log import AuditLog
from hashwarden.serve.audit.verify import Wanted, verify_log

STEPS = ["load_or_make", "AuditLog", "_replace", "replacing", "synced"]


def die(*_: object, **__: object) -> None:
    os.kill(os.getpid(), signals.SIGKILL)


@pytest.fixture
def place(tmp_path: Path) -> Path:
    with AuditLog(tmp_path / "audit", current_signer(tmp_path / "audit", tmp_path / "audit.pem")) as log:
        log.append(EventKind.BLIND, {})
    return tmp_path


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("again", [False, True], ids=["the agent starts", "the command is called again"])
def test_kill_9_while_the_key_changes(place, step, again):
    folder, path = place / "audit", place / "audit.pem"
    first = load_signer(path).public
    child = os.fork()
    if child == 0:
        setattr(key_files, step, die)
        rotate_key(folder, path)
        os._exit(1)
    _, status = os.waitpid(child, 0)
    assert os.WTERMSIG(status) == signals.SIGKILL
    if again:
        rotate_key(folder, path)
    signer = current_signer(folder, path)
    with AuditLog(folder, signer) as log:
        log.append(EventKind.STOP, {})
    report = verify_log(folder, Wanted(keys=(first,)))
    assert report.problems == []
    assert report.signed_seq == report.last_seq
    assert signer.public.id == load_public(public_path(path)).id == report.keys[-1]
    if step in ("_replace", "replacing", "synced"):
        assert signer.public.id != first.id


def test_a_key_beside_that_the_log_does_not_know_is_not_taken(place):
    folder, path = place / "audit", place / "audit.pem"
    before = load_signer(path).public.id
    current_signer(folder, place / "other.pem")
    (place / "other.pem").rename(place / "audit.pem.next")
    assert current_signer(folder, path).public.id == before
    assert current_signer(place / "nowhere", path).public.id == before
