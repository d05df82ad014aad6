"""What ``hashwarden audit verify``, ``show``, ``rotate-key`` and ``schema`` do."""

from __future__ import annotations

import json
import os
import sys
import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, final

import typer

from hashwarden.errors import UsageError
from hashwarden.serve.audit.bodies import record_schema
from hashwarden.serve.audit.event import EventKind
from hashwarden.serve.audit.findings import Report
from hashwarden.serve.audit.key_files import rotate_key
from hashwarden.serve.audit.keys import load_public
from hashwarden.serve.audit.read import Reader
from hashwarden.serve.audit.record import Record
from hashwarden.serve.audit.verify import Wanted, verify_log
from hashwarden.serve.scan.text import printable, shorten

__all__ = ["Chosen", "readable", "run_rotate_key", "run_schema", "run_show", "run_verify", "show_problems", "wanted"]

_POLL_S: Final = 0.5
_READER_GONE: Final = 141
_WIDTH: Final = 220


def wanted(
    keys: Sequence[Path] | None, anchors: Sequence[Path] | None, *, pruned: bool = False, strict: bool = False,
    archives: Sequence[Path] | None = None,
) -> Wanted:  # fmt: skip
    """How to verify, from the flags."""
    trusted = tuple(load_public(path) for path in keys or ())
    return Wanted(trusted, tuple(anchors or ()), pruned, strict, tuple(archives or ()))


def run_verify(folder: Path, order: Wanted, *, as_json: bool) -> int:
    """Check a log and say what was found; gives the exit code."""
    report = verify_log(folder, order)
    if as_json:
        typer.echo(json.dumps(report.as_json(), indent=1))
        return int(not report.ok)
    show_problems(report)
    for note in report.notes:
        typer.echo(f"note: {printable(note)}")
    signed = f"signed up to {report.signed_seq}" if report.signed_seq >= 0 else "not signed"
    anchored = f", kept elsewhere up to {report.anchored_seq}" if report.anchored_seq >= 0 else ""
    typer.echo(
        f"{report.records:,} records ({report.first_seq} to {report.last_seq}) in {report.files} files, "
        f"{report.checkpoints:,} checkpoints, {signed}{anchored}: "
        + ("all as it was written" if report.ok else f"{report.problem_count:,} problems")
    )  # fmt: skip
    return int(not report.ok)


@contextmanager
def readable() -> Iterator[None]:
    """Let a stream of lines end as people end it: by Ctrl-C, or because the reader has gone (code 141)."""
    try:
        yield
        sys.stdout.flush()
    except KeyboardInterrupt:
        pass
    except BrokenPipeError:
        with suppress(OSError, ValueError):  # Python flushes once more at exit: somewhere that cannot fail
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise typer.Exit(_READER_GONE) from None


def show_problems(report: Report) -> None:
    """On standard error."""
    for problem in report.problems:
        typer.echo(f"problem: {printable(str(problem))}", err=True)
    if report.problem_count > len(report.problems):
        typer.echo(f"problem: and {report.problem_count - len(report.problems):,} more", err=True)


@final
@dataclass(frozen=True, slots=True)
class Chosen:
    """Which records to show; empty for all."""

    kinds: tuple[str, ...]
    case: str
    job: str
    last: int

    def check(self) -> None:
        """Refuse a kind that does not exist."""
        for kind in self.kinds:
            if kind not in set(EventKind):
                expected = "one of " + ", ".join(EventKind)
                raise UsageError(f"no records of kind {kind!r}", expected, "Choose one.")

    def has(self, record: Record) -> bool:
        """Whether to show this one."""
        if self.kinds and record.kind not in self.kinds:
            return False
        body = record.body() if self.case or self.job else {}
        if self.case and body.get("case") != self.case:
            return False
        job = body.get("job")
        return not self.job or self.job == (job.get("key") if isinstance(job, dict) else job)


def run_show(folder: Path, chosen: Chosen, *, follow: bool, as_json: bool) -> None:
    """Show records."""
    chosen.check()
    reader = Reader(folder)
    found = (record for record in reader if chosen.has(record))
    with readable():
        for record in deque(found, chosen.last) if chosen.last else found:
            _show(record, as_json=as_json)
        for record in _coming(reader) if follow else ():
            if chosen.has(record):
                _show(record, as_json=as_json)
    reader.close()
    if reader.skipped:
        typer.echo(f"hashwarden: {reader.skipped} lines are no records: see hashwarden audit verify", err=True)


def _coming(reader: Reader) -> Iterator[Record]:
    while True:
        yield from reader
        time.sleep(_POLL_S)


def _show(record: Record, *, as_json: bool) -> None:
    if as_json:
        typer.echo(record.payload)
        return
    when = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(record.stamp.unix_s))
    typer.echo(f"{record.seq:>8}  {when}  {record.kind:<10}  {shorten(printable(_words(record)), _WIDTH)}")


def _words(record: Record) -> str:
    """A body in a line: what people look for first, then the rest."""
    body = record.body()
    if record.kind == EventKind.CHECKPOINT:
        statement = body.get("statement", {})
        return f"records up to {statement.get('seq')}, hash {str(statement.get('hash'))[:16]}"
    if record.kind == EventKind.COVERAGE:
        hours = [sum(row.get("gpu_seconds", 0) for row in body.get(name, ())) / 3600 for name in ("watched", "blind")]
        return f"watched {hours[0]:.3f} GPU-hours, blind {hours[1]:.3f}"
    first = ("case", "event", "change", "what", "by", "kind", "action", "result", "standing", "subject", "words")
    named = [f"{name}={_short(body[name])}" for name in first if body.get(name)]
    verdict = body.get("verdict")
    if isinstance(verdict, dict):
        named += [
            f"{name}={_short(verdict[name])}" for name in ("state", "family", "abstains_for") if verdict.get(name)
        ]
    job = body.get("job")
    named += [f"job={_short(job.get('key') if isinstance(job, dict) else job)}"] if job else []
    skipped = {*first, "job", "verdict", "public_key", "holder_proof"}
    return " ".join([*named, *(f"{name}={_short(value)}" for name, value in body.items() if name not in skipped)])


def _short(value: Any) -> str:  # noqa: ANN401  anything that JSON has
    return shorten(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False), 80)


def run_rotate_key(folder: Path, path: Path) -> None:
    """Change the key of a log."""
    old, new = rotate_key(folder, path)
    typer.echo(f"the key {old} has signed that {new} follows; the public half is beside {path}")


def run_schema(which: str) -> None:
    """Print a schema."""
    if which == "record":
        found = record_schema()
    else:
        from hashwarden.serve.audit.attestation_model import Statement

        found = Statement.model_json_schema(by_alias=True)
    typer.echo(json.dumps(found, indent=2, sort_keys=True))
