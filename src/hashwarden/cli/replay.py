"""``hashwarden replay``: a trace through the whole path, to verdicts with evidence over time."""

from __future__ import annotations

import json
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from hashwarden.errors import UsageError
from hashwarden.model.sequential_state import State
from hashwarden.model.trace import Run
from hashwarden.model.trace_read import iter_runs
from hashwarden.serve.job_scorer import JobScorer
from hashwarden.serve.replay import Replayed, replay
from hashwarden.serve.replay_picture import draw
from hashwarden.serve.replay_text import render
from hashwarden.version import __version__

__all__ = ["SCHEMA", "FailOn", "replay_command"]

SCHEMA = "hashwarden.replay/1"
PLAIN_WIDTH = 160


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
    scorer = JobScorer(model)
    done: list[Replayed] = []
    console = Console(highlight=False, width=None if Console().is_terminal else PLAIN_WIDTH)
    for one in replay(_chosen(trace, only or []), scorer, alpha):
        done.append(one)
        if not as_json:
            render(one, console)
    if picture is not None:
        draw(done, picture, alpha)
    code = int(any(_finding(one, fail_on) for one in done))
    if as_json:
        typer.echo(json.dumps(_document(done, scorer, alpha, code), indent=1))
    raise typer.Exit(code)


def _chosen(trace: Path, only: list[str]) -> Iterator[Run]:
    left = set(only)
    for run in iter_runs(trace):
        if not only or run.name in left:
            left.discard(run.name)
            yield run
    if left:
        raise UsageError(
            f"no run called {', '.join(sorted(left))}", "names of runs in the trace", "Leave --only out to see all.",
            where=str(trace),
        )  # fmt: skip


def _finding(one: Replayed, fail_on: FailOn) -> bool:
    if fail_on is FailOn.NEVER:
        return False
    if fail_on is FailOn.ABSTAIN and one.verdict.state == "abstain":
        return True
    lowest = State.WATCHING if fail_on is FailOn.ABSTAIN else State[fail_on.name]
    return one.worst >= lowest


def _document(done: list[Replayed], scorer: JobScorer, alpha: float, code: int) -> dict[str, Any]:
    return {
        "schema": SCHEMA,
        "hashwarden": __version__,
        "model": dict(scorer.identity),
        "alpha": alpha,
        "exit_code": code,
        "runs": [_record(one) for one in done],
    }


def _record(one: Replayed) -> dict[str, Any]:
    track = one.track
    return {
        "run": one.run.name,
        "label": one.run.label,
        "family": one.run.family,
        "strategy": one.run.strategy,
        "origin": one.run.info.origin,
        "samples": len(one.run),
        "worst": one.worst.word,
        "verdict": one.verdict.model_dump(mode="json"),
        "changes": [change.model_dump(mode="json") for change in one.changes],
        "evidence_over_time": {
            "time_s": [round(t, 3) for t in track.times],
            "strength": [round(s, 4) for s in track.strengths],
            "state": [state.word for state in track.states],
        },
    }
