"""Carry out ``hashwarden scan``: put scanner, messages and report together."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TextIO

import typer
from rich.console import Console

from hashwarden.cli.judges import judges
from hashwarden.cli.messages import Messages
from hashwarden.cli.request import Format, Request
from hashwarden.errors import UsageError
from hashwarden.serve.scan.cache import Cache, default_folder
from hashwarden.serve.scan.gate import exit_code
from hashwarden.serve.scan.output import atomic_text
from hashwarden.serve.scan.pipeline import Process, Target
from hashwarden.serve.scan.report_json import write_json
from hashwarden.serve.scan.report_sarif import write_sarif
from hashwarden.serve.scan.report_table import render_explanations, render_kernels, render_table
from hashwarden.serve.scan.result import ScanReport
from hashwarden.serve.scan.scan import Scan
from hashwarden.serve.scan.spool import KernelSpool

__all__ = ["run"]

READER_GONE = 141
"""128 + SIGPIPE: what a shell reports for a program whose reader went away."""
PLAIN_WIDTH = 120
"""Columns of a table that goes to a file or a pipe."""


def run(request: Request) -> int:
    """Scan, report, and give the exit code.

    Raises
    ------
    HashwardenError
        If there is no model, or the report cannot be written. Bad targets raise nothing.
    """
    targets: tuple[Target, ...] = (*request.targets, *(Process(pid) for pid in request.pids))
    with KernelSpool() as spool:
        with Messages(quiet=request.quiet) as messages:
            scan = Scan(
                *judges(),
                request.limits,
                request.jobs,
                _cache(messages) if request.cache else None,
                messages.problem,
                messages.progress if messages.live else None,
            )
            report = scan.run(targets, spool)
        code = exit_code(report, request.fail_on)
        with _output(request) as out:
            _write(request, report, spool, out, code)
    return code


def _cache(messages: Messages) -> Cache | None:
    """No cache is no reason not to scan, but the user should know."""
    try:
        return Cache(default_folder())
    except UsageError as error:
        messages.say(f"scanning without a cache: {error}")
        return None


def _write(request: Request, report: ScanReport, spool: KernelSpool, out: TextIO, code: int) -> None:
    match request.form:
        case Format.JSON:
            write_json(report, spool.lines(), out, code)
        case Format.SARIF:
            write_sarif(report, out, code)
        case Format.TABLE if request.output or not request.quiet:
            _write_table(request, report, spool, out)


def _write_table(request: Request, report: ScanReport, spool: KernelSpool, out: TextIO) -> None:
    console = _PipeConsole(file=out, highlight=False, width=None if _has_width(out) else PLAIN_WIDTH)
    render_table(report, console)
    if request.explain:
        render_explanations(report, console)
    if request.kernels:
        console.print()
        render_kernels(spool, console)


def _has_width(out: TextIO) -> bool:
    return out.isatty() or "COLUMNS" in os.environ


class _PipeConsole(Console):
    """A console that lets a broken pipe be handled where all output is."""

    def on_broken_pipe(self) -> None:
        raise BrokenPipeError


@contextmanager
def _output(request: Request) -> Iterator[TextIO]:
    if request.output is not None:
        with atomic_text(request.output) as out:
            yield out
        return
    try:
        yield sys.stdout
        sys.stdout.flush()
    except BrokenPipeError:
        # Python flushes once more at exit; give it a place where that cannot fail.
        with suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise typer.Exit(READER_GONE) from None
