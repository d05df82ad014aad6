"""What ``hashwarden replay`` does: a trace through the whole path, to verdicts with evidence over time."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

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

__all__ = ["SCHEMA", "Order", "run_replay"]

SCHEMA = "hashwarden.replay/1"
PLAIN_WIDTH = 160


@final
@dataclass(frozen=True, slots=True)
class Order:
    """The flags of the command."""

    trace: Path
    model: Path | None
    alpha: float
    only: tuple[str, ...]
    fail_on: str
    picture: Path | None
    as_json: bool


def run_replay(order: Order) -> int:
    """Judge the runs and say so; gives the exit code."""
    scorer = JobScorer(order.model)
    done: list[Replayed] = []
    console = Console(highlight=False, width=None if Console().is_terminal else PLAIN_WIDTH)
    if not order.as_json:
        told = scorer.metadata.measured_on  # what every number below rests on
        console.print(f"model {scorer.identity['name']} {scorer.identity['version']}, learned from: {told}\n")
    for one in replay(_chosen(order.trace, order.only), scorer, order.alpha):
        done.append(one)
        if not order.as_json:
            render(one, console)
    if order.picture is not None:
        draw(done, order.picture, order.alpha)
    code = int(any(_finding(one, order.fail_on) for one in done))
    if order.as_json:
        typer.echo(json.dumps(_document(done, scorer, order.alpha, code), indent=1))
    return code


def _chosen(trace: Path, only: Sequence[str]) -> Iterator[Run]:
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


def _finding(one: Replayed, fail_on: str) -> bool:
    if fail_on == "never":
        return False
    if fail_on == "abstain" and one.verdict.state == "abstain":
        return True
    lowest = State.WATCHING if fail_on == "abstain" else State[fail_on.upper()]
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
