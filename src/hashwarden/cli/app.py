"""The program ``hashwarden``: its commands, and how every ending becomes one line and an exit code."""

from __future__ import annotations

import io
import os
import sys
import traceback
from typing import Annotated

import typer

from hashwarden.cli.agent import agent_command
from hashwarden.cli.approve import approve_command, cases_command, reject_command
from hashwarden.cli.audit import audit_app
from hashwarden.cli.dashboard import dashboard_command
from hashwarden.cli.evaluate import evaluate_app
from hashwarden.cli.export import export_app
from hashwarden.cli.guard import guard_command
from hashwarden.cli.model import model_app
from hashwarden.cli.policy import policy_app
from hashwarden.cli.record import record_command
from hashwarden.cli.redteam import redteam_command
from hashwarden.cli.replay import replay_command
from hashwarden.cli.report import report_command
from hashwarden.cli.scan import scan_command
from hashwarden.cli.score import score_command
from hashwarden.cli.serve import serve_app
from hashwarden.cli.synthesise import synthesise_command
from hashwarden.cli.text import EXIT_CODES
from hashwarden.cli.top import top_command
from hashwarden.cli.train import train_app
from hashwarden.cli.workloads import workloads_app
from hashwarden.errors import HashwardenError, UsageError
from hashwarden.model.storage import FULL, refusal
from hashwarden.serve.scan.text import printable
from hashwarden.version import __version__

__all__ = ["app", "main"]

FAULT = 70
"""EX_SOFTWARE of sysexits.h."""

app = typer.Typer(
    name="hashwarden",
    help="Tell what GPU code computes, from its machine code: mining, other hash work, or neither.",
    epilog=EXIT_CODES,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("scan", epilog=EXIT_CODES)(scan_command)
app.command("record", epilog=EXIT_CODES)(record_command)
app.command("agent", epilog=EXIT_CODES)(agent_command)
app.command("guard", epilog=EXIT_CODES, context_settings={"allow_interspersed_args": False})(guard_command)
app.command("synthesise")(synthesise_command)
app.command("replay", epilog=EXIT_CODES)(replay_command)
app.command("report", epilog=EXIT_CODES)(report_command)
app.command("redteam", epilog=EXIT_CODES)(redteam_command)
app.command("score", epilog=EXIT_CODES)(score_command)
app.command("top", epilog=EXIT_CODES)(top_command)
app.command("cases", epilog=EXIT_CODES)(cases_command)
app.command("approve", epilog=EXIT_CODES)(approve_command)
app.command("reject", epilog=EXIT_CODES)(reject_command)
app.add_typer(serve_app, name="serve")
app.command("dashboard", epilog=EXIT_CODES)(dashboard_command)
app.add_typer(policy_app, name="policy")
app.add_typer(audit_app, name="audit")
app.add_typer(train_app, name="train")
app.add_typer(model_app, name="model")
app.add_typer(evaluate_app, name="evaluate")
app.add_typer(export_app, name="export")
app.add_typer(workloads_app, name="workloads")


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"hashwarden {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and end.")
    ] = False,
) -> None:
    """Tell what GPU code computes, from its machine code: mining, other hash work, or neither."""


def main() -> None:
    """Run the command line; the entry point of the package."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a name that the terminal cannot show is no reason to stop
    try:
        try:
            app(prog_name="hashwarden")
        finally:
            sys.stdout.flush()  # a disk that is full may say so only now
    except HashwardenError as error:
        typer.echo(f"hashwarden: {printable(str(error))}", err=True)
        raise SystemExit(error.exit_code) from None
    except OSError as error:
        if error.errno not in FULL:
            traceback.print_exc()
            raise SystemExit(FAULT) from None
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # what is still in the buffer has nowhere to go
        typer.echo(f"hashwarden: {refusal(error, 'the output')}", err=True)
        raise SystemExit(UsageError.exit_code) from None
    except Exception:
        # A fault of ours must not look like a finding, which is Python's own exit code for it.
        traceback.print_exc()
        raise SystemExit(FAULT) from None
