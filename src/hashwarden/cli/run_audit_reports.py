"""What ``hashwarden audit meter``, ``export``, ``attest``, ``attest-verify`` and ``bundle verify`` do."""

from __future__ import annotations

import csv
import json
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from hashwarden.cli.run_audit import readable, show_problems
from hashwarden.errors import UsageError
from hashwarden.model.storage import refusal, replacing
from hashwarden.serve.audit.attestation import attest, compare, verified
from hashwarden.serve.audit.attestation_model import GpuUse
from hashwarden.serve.audit.bundle_verify import recorded_hashes, verify_bundle
from hashwarden.serve.audit.files import log_files
from hashwarden.serve.audit.keys import load_public, load_signer
from hashwarden.serve.audit.metering import Meter, Span
from hashwarden.serve.audit.ocsf import Exporter
from hashwarden.serve.audit.read import Reader
from hashwarden.serve.audit.verify import Wanted, verify_log
from hashwarden.serve.journal import StorageError
from hashwarden.serve.scan.text import printable

__all__ = ["parse_time", "run_attest", "run_attest_verify", "run_bundle_verify", "run_export", "run_meter"]

_POLL_S: Final = 0.5

Words = tuple[str, str]


def parse_time(text: str, missing: float) -> float:
    """Seconds since 1970 of an ISO 8601 date or time, UTC if it names no zone, or of such seconds themselves."""
    if not text:
        return missing
    try:
        return float(text)
    except ValueError:
        pass
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise UsageError(f"the time {text!r}", "a date as 2026-11-01, or a time", "Write it so.") from None
    return found.replace(tzinfo=found.tzinfo or UTC).timestamp()


def _span(words: Words) -> Span:
    span = Span(parse_time(words[0], float("-inf")), parse_time(words[1], float("inf")))
    if not span.from_unix_s < span.to_unix_s:
        raise UsageError(f"from {words[0]} to {words[1]}", "a period", "The end comes after the beginning.")
    return span


def run_meter(folder: Path, by: Sequence[str], words: Words, form: str, order: Wanted) -> int:
    """Sum up and show; gives the exit code."""
    meter = Meter.by_names(by, _span(words))
    report = verify_log(folder, order, lambda record: meter.take((record,)))
    rows, columns = meter.as_json(), [*by, "watched_gpu_hours", "blind_gpu_hours", "share_watched"]
    if form == "json":
        found = {"rows": rows, "intervals": meter.intervals, "unreadable": meter.unreadable, "log": report.as_json()}
        typer.echo(json.dumps(found, indent=1))
    elif form == "csv":
        writer = csv.DictWriter(sys.stdout, columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows({name: _safe(value) for name, value in row.items()} for row in rows)
    else:
        _table(rows, columns, len(by))
        typer.echo(f"{meter.intervals:,} intervals of one node; records {report.first_seq} to {report.last_seq}")
    if meter.unreadable:
        typer.echo(f"hashwarden: {meter.unreadable} coverage records could not be read", err=True)
    if report.first_seq > 0:
        typer.echo(f"hashwarden: records before {report.first_seq} are not here, and not in these sums", err=True)
    show_problems(report)
    return int(not report.ok)


def _safe(value: object) -> object:
    """A cell that no table program takes for a formula."""
    return f"'{value}" if isinstance(value, str) and value[:1] in ("=", "+", "-", "@", "\t", "\r") else value


def _table(rows: Sequence[dict[str, Any]], columns: Sequence[str], names: int) -> None:
    table = Table(box=None, pad_edge=False)
    for number, column in enumerate(columns):
        table.add_column(column.replace("_", " "), justify="left" if number < names else "right")
    for row in rows:
        cells = [printable(str(row[name])) or "-" for name in columns[:names]]
        cells += [f"{row[name]:,.3f}" for name in columns[names:]]
        table.add_row(*(Text(cell) for cell in cells))
    Console(highlight=False, width=None if sys.stdout.isatty() else 160).print(table)


def run_export(folder: Path, words: Words, after: int, *, follow: bool) -> None:
    """Write findings, one a line."""
    span, exporter, reader = _span(words), Exporter(), Reader(folder)
    with readable():
        while True:
            for record in reader:
                found = exporter.finding(record)
                if found is not None and record.seq > after and span.has(record.stamp.unix_s):
                    typer.echo(json.dumps(found, separators=(",", ":")))
            if not follow:
                break
            time.sleep(_POLL_S)
    reader.close()
    if reader.skipped:
        typer.echo(f"hashwarden: {reader.skipped} lines are no records: see hashwarden audit verify", err=True)


def run_attest(folder: Path, key: Path, tenant: str | None, words: Words, output: Path, order: Wanted) -> None:  # noqa: PLR0913, PLR0917
    """Write an attestation."""
    signer = load_signer(key)
    if not order.keys:  # our own key at least: a log that somebody else wrote anew is not attested
        order = Wanted((signer.public,), order.anchors, order.pruned, order.strict)
    envelope = attest(folder, signer, tenant, _span(words), order)
    if str(output) == "-":
        typer.echo(envelope.decode(), nl=False)
        return
    try:
        with replacing(output) as file:
            file.write(envelope)
    except OSError as error:
        got = refusal(error, "the attestation")
        raise StorageError(got, "room for it", "Name another file.", where=str(output)) from error
    typer.echo(f"{output}: signed by {signer.public.id}")


def run_attest_verify(path: Path, key: Path, log: Path | None, *, as_json: bool) -> int:
    """Check an attestation and say what it says; gives the exit code."""
    public = load_public(key)
    statement = verified(path, public)
    differ = compare(statement, log, Wanted((public,), pruned=True)) if log else []
    if as_json:
        found = statement.model_dump(mode="json", by_alias=True)
        typer.echo(json.dumps({"signed_by": public.id, "differs_from_log": differ, "statement": found}, indent=1))
    else:
        typer.echo(f"signed by {public.id}")
        _say(statement.predicate)
        for name in differ:
            typer.echo(f"problem: {name} is not what the log says", err=True)
    return int(bool(differ))


def _say(use: GpuUse) -> None:
    seen, log = use.coverage, use.audit_log
    lines = {
        "tenant": use.tenant if use.tenant is not None else "(all)",
        "period": f"{use.period.from_utc} to {use.period.to_utc}",
        "GPU-hours": f"{seen.gpu_hours_visible:,.3f} seen, {seen.gpu_hours_watched:,.3f} watched "
        f"({100 * seen.share_watched:.1f} %)",
        "not watched": ", ".join(f"{name} {hours:,.3f}" for name, hours in seen.gpu_hours_blind.items()) or "nothing",
        "classes": ", ".join(f"{name} {hours:,.3f}" for name, hours in use.gpu_hours_by_class.items()),
        "verdicts": ", ".join(f"{name} {count}" for name, count in use.verdicts_by_state.items()) or "none",
        "cases": f"{use.cases.opened} opened, {use.cases.closed} closed",
        "models": ", ".join(f"{one.name} {one.version} {one.sha256[:16]}" for one in use.models),
        "policies": ", ".join(one[:16] for one in use.policies),
        "audit log": f"{log.log}, records {log.first_seq} to {log.last_seq}, hash {log.hash_last}",
    }
    for name, words in lines.items():
        typer.echo(f"{name:<12}{printable(words)}")


def run_bundle_verify(path: Path, log: Path | None, *, as_json: bool) -> int:
    """Check a bundle; gives the exit code."""
    report = verify_bundle(path)
    problems = list(report.problems)
    if log is not None and report.sha256 not in recorded_hashes(log, report.case):
        begins = next((file.first for file in log_files(log)), 0)
        since = f" since record {begins}, with which it begins" if begins else ""
        problems.append(f"the audit log knows no bundle of case {report.case} with this hash{since}")
    if as_json:
        found = {"ok": not problems, "case": report.case, "sha256": report.sha256, "files": report.files}
        typer.echo(json.dumps({**found, "problems": problems}, indent=1))
        return int(bool(problems))
    for words in problems:
        typer.echo(f"problem: {printable(words)}", err=True)
    for name, size in report.files.items():
        typer.echo(f"{size:>12,}  {printable(name)}")
    typer.echo(f"case {printable(report.case)}, sha256 {report.sha256}: {'not ' if problems else ''}as it was packed")
    return int(bool(problems))
