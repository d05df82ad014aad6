"""Whether a log is what was written: every line of every file, in memory that does not grow with it.

What is found: each byte that was changed, each record that was taken out, put in, doubled or moved, each file that is
missing, and each checkpoint that a trusted key did not sign. What is not found without help from outside: that whole
records are missing at the very end (a checkpoint kept elsewhere shows it up to that checkpoint), and a log that was
written anew by somebody who has the private key (likewise).
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, final

from hashwarden.errors import DataError
from hashwarden.serve.audit.anchored import MOST_OTHERS, Anchored
from hashwarden.serve.audit.bodies import faults
from hashwarden.serve.audit.checkpoint import Checkpoint
from hashwarden.serve.audit.event import EventKind
from hashwarden.serve.audit.files import LogFile, is_name, lines, log_files, opened
from hashwarden.serve.audit.findings import Report
from hashwarden.serve.audit.keys import PublicKey
from hashwarden.serve.audit.opening import LOCK
from hashwarden.serve.audit.record import MOST_LINE, Record, chained, parse
from hashwarden.serve.audit.removals import Removals, first_key
from hashwarden.serve.audit.tail import link_of
from hashwarden.serve.audit.trust import Trust
from hashwarden.serve.scan.text import shorten

__all__ = ["Wanted", "verify_log"]

_SLACK: Final = 1
"""A record that says that the log goes on elsewhere may stand after the last one that a checkpoint was due for."""


@final
@dataclass(frozen=True, slots=True)
class Wanted:
    """How to check.

    Attributes
    ----------
    keys : tuple of PublicKey
        Trusted; with none, the log's own first key is believed, and a note says so.
    anchors : tuple of Path
        Files with checkpoints that were kept elsewhere.
    pruned : bool
        The oldest files were deleted on purpose.
    archives : tuple of Path
        Folders with files that the log no longer has: they are read before it.
    strict : bool
        Also hold every body against its schema, and every record against the one way to write it.
    """

    keys: tuple[PublicKey, ...] = ()
    anchors: tuple[Path, ...] = ()
    pruned: bool = False
    strict: bool = False
    archives: tuple[Path, ...] = ()


def verify_log(folder: Path, wanted: Wanted = Wanted(), seen: Callable[[Record], None] | None = None) -> Report:
    """Check a log; its writer may be at work.

    Parameters
    ----------
    folder : Path
    wanted : Wanted
    seen : callable, optional
        Is given each record in turn. Whether it can be believed is only known at the end: from the report.

    Raises
    ------
    DataError
        If there is no log, or it cannot be read.
    """
    return _Check(folder, wanted, seen).run()


@final
class _Check:
    """One pass over a log."""

    def __init__(self, folder: Path, wanted: Wanted, seen: Callable[[Record], None] | None) -> None:
        self._folder, self._wanted, self._seen = folder, wanted, seen
        self._trust = Trust(wanted.keys)
        self.report = Report()
        self._anchored, self._removals = Anchored(wanted.anchors, wanted.keys), Removals()
        self._names: frozenset[str] = frozenset()
        self._begins_with: LogFile | None = None
        self._seq, self._hash = 0, b""
        self._since, self._every = 0, 0
        self._name, self._line = "", 0
        self._follows = ""

    def run(self) -> Report:
        """Check all files."""
        files = self._files()
        self.report.files, self._names = len(files), frozenset(file.path.name for file in files)
        if not files:
            self.report.problem(str(self._folder), 0, "there is no file of a log")
        elif files[0].first:
            self._trust.introduced(first_key(files))
        for number, file in enumerate(files):
            self._file(file, last=number == len(files) - 1)
        self._begun()
        self._end()
        return self.report

    def _files(self) -> list[LogFile]:
        """The log's own, and those of the archives that it no longer has."""
        found = {file.first: file for folder in reversed(self._wanted.archives) for file in log_files(folder)}
        found |= {file.first: file for file in log_files(self._folder)}
        return [found[first] for first in sorted(found)]

    def _begun(self) -> None:
        """Whether the log begins where it should; only now it is known which of its records are signed."""
        for words in self._removals.contradictions():
            self._wrong(words)
        if self._begins_with is None:
            return
        if self._begins_with.first:
            self._missing(self._begins_with.first, self._begins_with.path.name)
        if (one := self._removals.unfinished(self._begins_with.first)) is not None:
            self.report.note(
                f"records before {one.before} are here, though record {one.seq} says that they were removed: "
                "that was cut off, or they were put back"
            )

    def _missing(self, first: int, name: str) -> None:
        report, found = self.report, self._removals.excuse(first)
        words = f"the records before {first} are missing"
        if found is not None and (found.seq < report.signed_seq or not (report.keys or self._trust.pinned)):
            report.removed = found.as_json()
            report.note(
                f"it begins at record {first}; the records before were removed under the retention rule on "
                f"{found.date}, their last hash was {found.hash}"
            )
        elif self._wanted.pruned:
            report.note(f"{words}: deleted on purpose, as you say")
        elif found is not None:
            words += f": record {found.seq} tells of their removal, and no trusted key signed that"
            report.problem(name, 0, words)
        else:
            report.problem(name, 0, f"{words}: {self._removals.wrong(first)}" if self._removals.any else words)

    def _file(self, file: LogFile, *, last: bool) -> None:
        self._name, self._line = file.path.name, 0
        if self._follows not in ("", self._name.removesuffix(".zst")):
            self._wrong(f"after a file that says that {self._follows} follows")
        self._follows = ""
        self._begins_with = self._begins_with or file
        try:
            self._lines(file, last=last)
        except DataError as error:  # the other files can still be checked
            if not self.report.records and not last and not file.path.exists():
                self._begins_with = None  # its time came just now; the log says so, or it is missing
                return
            self._wrong(error.got)
        if not self._line and not last:
            self._wrong("an empty file")

    def _lines(self, file: LogFile, *, last: bool) -> None:
        with opened(file) as stream:
            for line in lines(stream, file.path):
                self._line += 1
                if line[-1:] != b"\n" and last and len(line) < MOST_LINE:
                    self._torn(len(line))
                else:
                    self._record(parse(line), file)

    def _torn(self, size: int) -> None:
        if _written(self._folder):
            self.report.note("the last record is being written")
        else:
            self._wrong(f"the last record is cut off after {size} bytes: a crash, or somebody")

    def _record(self, record: Record | None, file: LogFile) -> None:
        if record is None:
            self._wrong("no record of a log, or a changed one")
            self._hash, self._seq = b"", self._seq + 1
            return
        before = link_of(record, file) if self._line == 1 else self._hash
        if self._line == 1:
            self._linked(record, before)
        elif record.seq != self._seq:
            self._misplaced(record.seq)
        if before is not None and before != b"" and chained(before, record.payload) != record.hash:
            self._wrong(f"record {record.seq} is not what was written here")
        self._took(record)

    def _linked(self, record: Record, before: bytes | None) -> None:
        """The first line of a file against the last of the file before."""
        if before is None:
            self._wrong("a file that does not begin with what came before it, or of another name")
            return
        self._removals.begins(record.seq, before)
        if not self.report.records and record.seq:
            self._anchored.hold(record.seq - 1, before)
        if self._hash and (record.seq != self._seq or before != self._hash):
            if record.seq > self._seq:
                self._wrong(f"records {self._seq} to {record.seq - 1} are missing")
            else:
                self._wrong(f"record {record.seq} where {self._seq} belongs, or after another end")

    def _misplaced(self, seq: int) -> None:
        if seq > self._seq:
            self._wrong(f"records {self._seq} to {seq - 1} are missing")
        else:
            self._wrong(f"record {seq} where {self._seq} belongs: doubled or moved")

    def _took(self, record: Record) -> None:
        """Go on after a record; its own word for its hash is believed from here on, so that one fault is told once."""
        report = self.report
        self._seq, self._hash = record.seq + 1, record.hash
        report.first_seq = record.seq if report.records == 0 else report.first_seq
        report.records, report.last_seq = report.records + 1, record.seq
        if self._trust.awaits() and record.kind != EventKind.CHECKPOINT:
            self._wrong("a change of the key that no checkpoint follows")
        self._since += 1
        if record.kind == EventKind.CHECKPOINT:
            self._checkpoint(record)
        elif record.kind == EventKind.LOG:
            self._of_itself(record)
        elif self._every and self._since == self._every + _SLACK + 1:
            self._wrong(f"more than {self._every} records without a checkpoint: slipped in, or cut out")
        self._anchored.hold(record.seq, record.hash)
        if self._wanted.strict:
            self._strictly(record)
        if self._seen is not None:
            self._seen(record)

    def _checkpoint(self, record: Record) -> None:
        found = Checkpoint.of(record.body())
        if found is None:
            self._wrong("a checkpoint that is none")
            return
        said, report = found.statement, self.report
        if said.seq != record.seq - 1 or (report.log and said.log != report.log):
            self._wrong("a checkpoint of another place or another log")
        elif self._line > 1 and chained(bytes.fromhex(said.hash), record.payload) != record.hash:
            self._wrong("a checkpoint of other records")
        trusted, words = self._trust.weigh(found)
        if words:
            self._wrong(words)
        elif trusted:
            report.signed_seq = record.seq
        report.log = report.log or said.log
        report.checkpoints += 1
        if found.key and found.key not in report.keys:
            report.keys.append(found.key)
        self._since, self._every = 0, said.every

    def _of_itself(self, record: Record) -> None:
        body, report = record.body(), self.report
        event = body.get("event")
        if event == "opened":
            if record.seq:
                self._wrong("a beginning in the middle")
            report.log = str(body.get("log", ""))
            self._trust.introduced(PublicKey.parse(body.get("public_key")) if "public_key" in body else None)
        elif event == "key":
            if words := self._trust.changes(body, report.log):
                self._wrong(words)
        elif event == "rotated":
            self._rotated(str(body.get("next", "")))
        elif event == "pruned":
            self._removals.take(record, body)
        if isinstance(cut := body.get("cut", body.get("damage")), Mapping):
            report.note(f"record {record.seq}: {event}, {cut.get('bytes')} bytes of {cut.get('file')} are no records")

    def _rotated(self, name: str) -> None:
        self._follows = name
        following = ("", ".zst") if is_name(name) else ()
        if not any(f"{name}{end}" in self._names or (self._folder / f"{name}{end}").exists() for end in following):
            self._wrong(f"the file that follows, {shorten(name, 40)}, is missing")

    def _strictly(self, record: Record) -> None:
        if not record.is_canonical():
            self._wrong(f"record {record.seq} is not written in the one way")
        for words in faults(record.kind, record.body()):
            self.report.note(f"{record.kind}: {words}")

    def _end(self) -> None:
        report, trust = self.report, self._trust
        report.head = self._hash.hex()
        if trust.awaits():
            self._wrong("a change of the key that no checkpoint follows")
        if trust.pinned and report.signed_seq < 0:
            self._wrong("no checkpoint in it is signed by the key that was given")
        elif not trust.pinned and report.keys:
            report.note("no public key was given: whoever wrote this log anew with another key is not found out")
        elif not report.keys:
            report.note("nobody signed this log: whoever wrote it anew is not found out")
        if report.keys and report.signed_seq < report.last_seq:
            report.note(f"records {report.signed_seq + 1} to {report.last_seq} are not signed yet")
        for words in self._anchored.wrong(report.log, report.last_seq, trust.keys):
            self._wrong(words)
        report.anchored_seq = self._anchored.covered
        if self._anchored.overflow:
            report.note(f"more than {MOST_OTHERS:,} checkpoints by other keys were given: not all were looked at")
        if not self._wanted.anchors:
            report.note("no checkpoint kept elsewhere was given: records cut off at the very end are not found out")

    def _wrong(self, words: str) -> None:
        self.report.problem(self._name, self._line, words)


def _written(folder: Path) -> bool:
    """Whether a writer holds the log."""
    try:
        handle = os.open(folder / LOCK, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError:
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(handle)
    return False
