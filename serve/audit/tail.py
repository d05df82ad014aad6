"""Where a log ends: the last good record, and what lies after it that is none."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import BinaryIO, final

from hashwarden.serve.audit.checkpoint import Checkpoint
from hashwarden.serve.audit.event import EventKind
from hashwarden.serve.audit.files import LogFile, lines, opened
from hashwarden.serve.audit.record import GENESIS, Record, chained, parse

__all__ = ["START", "Head", "Rest", "Tail", "find_tail", "link_of"]


@final
@dataclass(frozen=True, slots=True)
class Head:
    """Where the next record goes.

    Attributes
    ----------
    seq : int
        Its number.
    hash : bytes
        Of the record before it.
    since : int
        Records since the last checkpoint.
    """

    seq: int
    hash: bytes
    since: int


START = Head(0, GENESIS, 0)


@final
@dataclass(frozen=True, slots=True)
class Rest:
    """What lies after the last good record.

    Attributes
    ----------
    size, ends : int
        Bytes, and ends of lines among them: with none, it is one record that was cut off while it was written.
    sha256 : str
    """

    size: int
    ends: int
    sha256: str


@final
@dataclass(frozen=True, slots=True)
class Tail:
    """The end of a file.

    Attributes
    ----------
    file : LogFile
    size : int
        Bytes up to the end of the last good record.
    head : Head
    log, key : str
        Id of the log, and of the key of its last checkpoint; empty if the file has none.
    every : int
        What that checkpoint promises, 0 for nothing.
    rotated : bool
        Whether the last record says that the log goes on in another file.
    rest : Rest
    """

    file: LogFile
    size: int
    head: Head
    log: str = ""
    key: str = ""
    every: int = 0
    rotated: bool = False
    rest: Rest = Rest(0, 0, "")


def link_of(record: Record | None, file: LogFile) -> bytes | None:
    """The hash that a file begins from: the first one from `GENESIS`, each other as its first record says.

    None if that record is no checkpoint of what came before, or not the one that belongs there.
    """
    if record is None or record.seq != file.first:
        return None
    if file.first == 0:
        return GENESIS
    found = Checkpoint.of(record.body()) if record.kind == EventKind.CHECKPOINT else None
    return None if found is None else bytes.fromhex(found.statement.hash)


def find_tail(files: Sequence[LogFile]) -> Tail:
    """The end of the last file that has one; a file after it is empty, or begins with a torn record.

    Parameters
    ----------
    files : sequence of LogFile
        At least one, in order.

    Raises
    ------
    DataError
        If they cannot be read.
    """
    found, after = Tail(files[0], 0, START), list[LogFile]()
    for file in reversed(files):
        if (ended := _scan(file, START if file.first == 0 else None)) is not None:
            found = ended
            break
        after.append(file)
    for file in reversed(after):
        head = replace(found.head, seq=file.first)
        ended = _scan(file, head) or Tail(file, 0, head)
        found = replace(
            ended, log=ended.log or found.log, key=ended.key or found.key, every=ended.every or found.every
        )  # fmt: skip
    return found


def _scan(file: LogFile, start: Head | None) -> Tail | None:
    """Follow the chain through one file; None if it does not say where it begins and nobody else does."""
    with opened(file) as stream:
        tail: Tail | None = None if start is None else Tail(file, 0, start)
        for line in lines(stream, file.path):
            record = parse(line)
            if tail is None:
                link = link_of(record, file)
                if link is None:
                    return None
                tail = Tail(file, 0, Head(file.first, link, 0))
            if record is None or record.seq != tail.head.seq or chained(tail.head.hash, record.payload) != record.hash:
                return replace(tail, rest=_rest(line, stream, file))
            tail = _after(tail, record, len(line))
    return tail


def _after(tail: Tail, record: Record, size: int) -> Tail:
    log, key, every, since = tail.log, tail.key, tail.every, tail.head.since + 1
    if record.kind == EventKind.CHECKPOINT and (found := Checkpoint.of(record.body())):
        log, key, every, since = found.statement.log, found.key, found.statement.every, 0
    elif record.kind == EventKind.LOG and record.seq == 0:
        log = str(record.body().get("log", ""))
    rotated = record.kind == EventKind.LOG and record.body().get("event") == "rotated"
    head = Head(record.seq + 1, record.hash, since)
    return Tail(tail.file, tail.size + size, head, log, key, every, rotated)


def _rest(line: bytes, stream: BinaryIO, file: LogFile) -> Rest:
    found, size, ends = hashlib.sha256(line), len(line), line.count(b"\n")
    for more in lines(stream, file.path):
        found.update(more)
        size, ends = size + len(more), ends + more.count(b"\n")
    return Rest(size, ends, found.hexdigest())
