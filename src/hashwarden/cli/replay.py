"""``hashwarden replay``: its flags."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from hashwarden.errors import UsageError

__all__ = ["FailOn", "replay_command"]


class FailOn(StrEnum):
    """From which state of any run code 1 is given; each holds those before it."""

    CONFIRMED = "confirmed"
    SUSPECT = "suspect"
    WATCHING = "watching"
    ABSTAIN = "abstain"
    NEVER = "never"


def replay_command(  # noqa: PLR0913, PLR0917
    trace: Annotated[Path, typer.Argument(help="Trace, as hashwarden record writes it.", show_default=False)],
    model: Annotated[
        Path | None, typer.Option(help="The ONNX file; the shipped one if none. Example: --model job.onnx")
    ] = None,
    alpha: Annotated[
        float, typer.Option(help="Share of honest jobs that may ever be confirmed. Example: --alpha 0.01")
    ] = 1e-3,
    only: Annotated[list[str] | None, typer.Option(help="Only these runs. Example: --only run-7")] = None,
    fail_on: Annotated[
        FailOn, typer.Option(help="State from which the exit code is 1. Example: --fail-on suspect")
    ] = FailOn.CONFIRMED,
    picture: Annotated[
        Path | None, typer.Option(help="Draw the evidence over time. Example: --picture evidence.png")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
) -> None:
    """Judge every run of a trace as the agent would have: validity, network, evidence, verdict.

    Example: hashwarden replay trace.parquet --picture evidence.png
    """
    if not 0 < alpha < 1:
        raise UsageError(f"--alpha {alpha}", "a share above 0 and under 1", "0.001 is one honest job in 1,000.")
    from hashwarden.cli.run_replay import Order, run_replay

    raise typer.Exit(run_replay(Order(trace, model, alpha, tuple(only or ()), str(fail_on), picture, as_json)))
