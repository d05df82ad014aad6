"""What ``hashwarden report`` does: it finds out what was named, has the report made, and writes it whole."""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final, final

import typer

from hashwarden.cli.run_audit import wanted
from hashwarden.errors import UsageError
from hashwarden.model.storage import refusal, replacing
from hashwarden.serve.journal import StorageError
from hashwarden.serve.reporting.case_report import CaseReport
from hashwarden.serve.reporting.make import FORMATS, Sources, as_case, case_facts, period_facts, rendered
from hashwarden.serve.reporting.period import parse_period
from hashwarden.serve.reporting.period_report import PeriodReport
from hashwarden.serve.scan.text import printable

__all__ = ["Order", "run_report"]

_ENDINGS: Final = {".htm": "html", **{f".{form}": form for form in FORMATS}}


@final
@dataclass(frozen=True, slots=True)
class Order:
    """The flags of the command."""

    what: str
    output: Path
    form: str | None
    folders: tuple[Path, ...]
    bundle: Path | None
    redact: bool
    keys: tuple[Path, ...]
    anchors: tuple[Path, ...]
    archives: tuple[Path, ...]
    pruned: bool
    usual: Path


def run_report(order: Order) -> int:
    """Make a report and write it; gives the exit code."""
    form = _form(order)
    report = _facts(order)
    data = rendered(report, form)
    if str(order.output) == "-":
        sys.stdout.buffer.write(data)
    else:
        _write(order.output, data)
        typer.echo(f"{order.output}: {printable(_said(report))}", err=True)
    wrong = [row.words for row in report.warnings if row.name == "bad"]
    for words in wrong:
        typer.echo(f"problem: {printable(words)}", err=True)
    return int(bool(wrong))


def _form(order: Order) -> str:
    known = ", ".join(_ENDINGS)
    if order.form is not None:
        form = order.form
    elif str(order.output) == "-":
        form = "html"
    else:
        form = _ENDINGS.get(order.output.suffix.lower(), "")
    if not form:
        raise UsageError(f"a report called {order.output.name!r}", f"one that ends with {known}", "Or give --format.")
    if form == "pdf" and str(order.output) == "-" and sys.stdout.isatty():
        raise UsageError("a PDF to a terminal", "a file", "Name one with --output.")
    return form


def _facts(order: Order) -> CaseReport | PeriodReport:
    path = Path(order.what)
    check = wanted(order.keys, order.anchors, pruned=order.pruned, archives=order.archives)
    if case := as_case(order.what):
        folders = order.folders or (() if order.bundle else (order.usual,))
        return case_facts(case, Sources(folders, order.bundle, check, order.redact))
    if path.suffix == ".tar" or path.is_file():
        if order.bundle is not None:
            raise UsageError("two bundles", "one", "Leave --bundle out.")
        return case_facts("", Sources(order.folders, path, check, order.redact))
    period = parse_period(order.what, time.time())
    if order.bundle is not None:
        raise UsageError("--bundle with a period", "a case", "Leave it out.")
    return period_facts(period, Sources(order.folders or (order.usual,), None, check, order.redact))


def _said(report: CaseReport | PeriodReport) -> str:
    if isinstance(report, CaseReport):
        return f"case {report.case}: {report.headline}"
    return f"{report.period}: {len(report.cases) + report.cases_left_out} cases"


def _write(path: Path, data: bytes) -> None:
    try:
        with replacing(path) as file:
            file.write(data)
    except OSError as error:
        raise StorageError(
            refusal(error, "the report"), "room for it", "Name another file.", where=str(path)
        ) from error
