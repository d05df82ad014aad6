"""How a log is opened: held against a second writer, its torn end cut off, and what is to be told about that."""

from __future__ import annotations

import fcntl
import os
import secrets
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO, Final, final

from hashwarden.errors import UsageError
from hashwarden.model.storage import refusal, synced
from hashwarden.serve.audit.append_file import AppendFile
from hashwarden.serve.audit.batch import Event
from hashwarden.serve.audit.event import EventKind
from hashwarden.serve.audit.files import LogFile, log_files, name_of
from hashwarden.serve.audit.keys import Signer
from hashwarden.serve.audit.record import FORMAT
from hashwarden.serve.audit.tail import START, Head, Tail, find_tail
from hashwarden.serve.journal import StorageError

__all__ = ["LOCK", "Opening", "begin_file", "drop_empty", "hold", "open_log"]

LOCK: Final = "lock"
"""The file that its writer holds."""


@final
@dataclass(frozen=True, slots=True)
class Opening:
    """A log that is ready.

    Attributes
    ----------
    file : AppendFile
    head : Head
    log : str
        Its id.
    owed : tuple of Event
        What must be written before anything else.
    every : int
        Most records that the last checkpoint lets come before the next; 0 for no such promise.
    """

    file: AppendFile
    head: Head
    log: str
    owed: tuple[Event, ...]
    every: int = 0


def hold(folder: Path) -> BinaryIO:
    """Make the folder, and keep other writers out until the file is closed.

    Raises
    ------
    UsageError
        If another holds it.
    StorageError
        If it cannot be written.
    """
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        raise _storage(error, folder) from error
    file = os.fdopen(handle, "r+b", buffering=0)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        file.close()
        remedy = "Stop the other one, or name another folder."
        raise UsageError("another process writes this log", "one writer", remedy, where=str(folder)) from error
    return file


def open_log(folder: Path, signer: Signer | None, node: str) -> Opening:
    """Find the end of a log, or begin one. The folder is held.

    Raises
    ------
    DataError
        If its files cannot be read.
    StorageError
        If they cannot be written.
    """
    files = log_files(folder, twice=True)
    if not files:
        return _new(begin_file(folder, 0), signer, node, {})
    try:
        return _opened(folder, _settled(files), signer, node)
    except OSError as error:
        raise _storage(error, folder) from error


def _settled(files: list[LogFile]) -> Tail:
    """The end of the log, without a next file that was made and never used."""
    tail = find_tail(files)
    if len(files) > 1 and tail.size == 0 and not tail.rest.size and tail.file == files[-1]:
        before = find_tail(files[:-1])
        if not before.rotated:
            files[-1].path.unlink()
            return before
    return tail


def _opened(folder: Path, tail: Tail, signer: Signer | None, node: str) -> Opening:
    torn = tail.rest.size and not tail.rest.ends
    cut = {"file": tail.file.path.name, "at": tail.size, "bytes": tail.rest.size, "sha256": tail.rest.sha256}
    if tail.head == START and not tail.rest.ends:
        return _new(AppendFile(tail.file.path, 0), signer, node, {"cut": cut} if torn else {})
    owed: list[Event] = [(EventKind.LOG, {"event": "recovered", "cut": cut})] if torn else []
    if signer is not None and signer.public.id != tail.key:
        owed.append((EventKind.LOG, _key(signer, tail.key)))
    log = tail.log or secrets.token_hex(16)
    if tail.rest.ends or tail.rotated or tail.file.compressed:
        return _next(folder, tail, log, owed, cut)
    return Opening(AppendFile(tail.file.path, tail.size), tail.head, log, tuple(owed), tail.every)


def _next(folder: Path, tail: Tail, log: str, owed: list[Event], cut: dict[str, Any]) -> Opening:
    """Go on in another file, because this one is done, or because it is damaged: then it stays as it is."""
    head = tail.head
    if tail.rest.ends:
        head = replace(head, seq=max(head.seq, tail.file.first + tail.rest.ends, tail.file.first + 1))
        owed = [(EventKind.LOG, {"event": "damaged", "damage": cut}), *owed]
    return Opening(begin_file(folder, head.seq), head, log, tuple(owed), tail.every)


def _new(file: AppendFile, signer: Signer | None, node: str, more: dict[str, Any]) -> Opening:
    log = secrets.token_hex(16)
    body = {"event": "opened", "format": FORMAT, "log": log, "node": node, **more}
    if signer is not None:
        body |= {"key": signer.public.id, "public_key": signer.public.text}
    return Opening(file, START, log, ((EventKind.LOG, body),))


def _key(signer: Signer, old: str) -> dict[str, Any]:
    """Another key than before, and the one before has not signed that: whoever verifies will ask why."""
    words = {"event": "key", "old": old, "new": signer.public.id, "public_key": signer.public.text}
    return {**words, "endorsed": False}


def begin_file(folder: Path, first: int) -> AppendFile:
    """Make the file that begins with this record; an empty one of that name is taken.

    Raises
    ------
    StorageError
        If it cannot be made, or is there with something in it.
    """
    path = folder / name_of(first)
    there = path.exists()
    try:
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600))
        if path.stat().st_size:
            expected, remedy = "no file of this name", "Begin a new folder, and keep this one."
            raise StorageError("a file stands where the log goes on", expected, remedy, where=str(path))
        synced(folder)
        return AppendFile(path, 0)
    except OSError as error:
        if not there:
            with suppress(OSError):  # an empty file in the middle of a log would look like a missing one
                path.unlink()
        raise _storage(error, path) from error


def drop_empty(file: AppendFile) -> None:
    """Take back a file that was not begun after all."""
    file.close()
    with suppress(OSError):
        if not file.path.stat().st_size:
            file.path.unlink()


def _storage(error: OSError, path: Path) -> StorageError:
    remedy = "Make room, or name a folder that can be written."
    return StorageError(refusal(error, "the audit log"), "a folder to write to", remedy, where=str(path))
