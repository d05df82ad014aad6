"""What ``hashwarden model calibrate`` does: own honest runs through the network, to null levels of one's own."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Final

import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from hashwarden.model.job.own_run import OwnRun
from hashwarden.model.sequential_calibration import TierCalibration, ladder
from hashwarden.model.trace_read import iter_blocks
from hashwarden.serve.archive import traces_in
from hashwarden.serve.calibrated import calibration_of, novelty_limit_of
from hashwarden.serve.job_scorer import JobScorer
from hashwarden.serve.own_scores import MOST_S, score_tiers
from hashwarden.training.job.recalibrate import ALPHA, Change, Recalibration, payoffs_of, recalibrated, runs_for
from hashwarden.training.job.recalibrate_files import record_of, write_files
from hashwarden.training.job.recalibrate_input import Input
from hashwarden.training.job.storage import room, staged

__all__ = ["calibrate"]

_WIDTH: Final = 160
_EVERY: Final = 100
_MUCH: Final = 0.8
_AGAIN: Final = "Make room, or choose another --output; what was there is as it was."


def calibrate(traces: Sequence[Path], output: Path, model: Path | None, horizon_s: float | None) -> None:
    """Calibrate the model again on all runs of the traces, write it, and say what changes.

    Parameters
    ----------
    traces : sequence of Path
        Files, or folders of them.
    output : Path
        Folder for the model files.
    model : Path or None
        The step graph; the shipped one if None.
    horizon_s : float or None

    Raises
    ------
    DataError, ModelError, UsageError
        Then nothing is written.
    """
    scorer = JobScorer(model)
    scorer.self_test()
    before, found_in = calibration_of(scorer), traces_in(traces)
    given = Input(scorer.metadata.training_data)
    most_s = MOST_S if horizon_s is None else max(MOST_S, 1.1 * horizon_s + 120)
    runs = list(_scored(found_in, given, scorer, tuple(payoffs_of(before)), most_s))
    found = recalibrated(before, runs, horizon_s)
    record = record_of(scorer.metadata, found, given.digests)
    with room(output, remedy=_AGAIN), staged(output, last="job.onnx") as folder:
        write_files(scorer.path, folder, record, found)
        JobScorer(folder / "job.onnx").self_test()
    _show(found, novelty_limit_of(scorer), len(found_in))
    typer.echo(f"written to {output}; hashwarden model promote {output} --own-calibration puts it into service")


def _scored(
    traces: Sequence[Path], given: Input, scorer: JobScorer, tiers: Sequence[str], most_s: float
) -> Iterator[OwnRun]:
    told, number = partial(typer.echo, err=True), 0
    for path in traces:
        for run in score_tiers(scorer, given.passed(path, iter_blocks(path)), tiers, most_s):
            number += 1
            if number % _EVERY == 0:
                told(f"{number} runs scored")
            yield OwnRun(f"{path}: {run.name}", run.label, run.labelled_by, run.origin, run.times, run.p_mining,
                         run.novelty)  # fmt: skip


def _show(found: Recalibration, novelty_before: float, traces: int) -> None:
    console = Console(highlight=False, width=None if Console().is_terminal else _WIDTH)
    aside = f"{found.hashing:,} of other hash work and {found.short:,} too short set aside"
    console.print(f"{found.runs:,} runs of {traces} trace{'s' * (traces > 1)} ({aside})", soft_wrap=True)
    console.print(f"horizon: {found.horizon_before_s:,.0f} s before, {found.evidence.horizon_s:,.0f} s now")
    console.print(f"novelty limit: {novelty_before:.3g} before, {found.novelty:.3g} now\n")
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for name in ("tier", "runs", "lowest alpha", f"state at alpha {ALPHA:g}", "null level before", "now",
                 "own runs that reach it before", "now"):  # fmt: skip
        table.add_column(name, justify="left" if name.startswith(("tier", "state")) else "right")
    for change in found.changes:
        for row in _rows(change):
            table.add_row(*row)
    console.print(table)
    for line in _notes(found):
        console.print(line, soft_wrap=True)


def _rows(change: Change) -> Iterator[tuple[str, ...]]:
    now = change.after
    if now is None:
        yield change.tier, f"{change.runs:,}", "none"
        return
    head = [change.tier, f"{now.runs:,}", f"{now.attainable_alpha:.1e}"]
    steps = zip(("watching", "suspect", "confirmed"), ladder(ALPHA), change.reached_before, change.reached_after,
                strict=True)  # fmt: skip
    for step, alpha, was, reached in steps:
        yield *head, step, _level(change.before, alpha), _level(now, alpha), f"{was:,}", f"{reached:,}"
        head = ["", "", ""]


def _level(tier: TierCalibration | None, alpha: float) -> str:
    null = tier.null(alpha) if tier else None
    return "not judged" if null is None else f"{null:.4f}" if null < 1 else "out of reach"


def _notes(found: Recalibration) -> Iterator[str]:
    judged = [change for change in found.changes if change.after]
    for change in found.changes:
        if change.after is None:
            yield (f"{change.tier}: too few own runs show it: nothing is judged in it any more; jobs that show it are "
                   "judged in the highest calibrated tier below, if there is one")  # fmt: skip
    for change in judged:
        if change.highest:
            yield f"{change.tier}: most like mining looks {change.highest}; make sure that it is honest"
    yield from _horizon_note(judged, found.evidence.horizon_s)
    short = [change.tier for change in judged if change.after and change.after.runs < runs_for(ALPHA)]
    if short:
        lowest = ladder(ALPHA)[1]
        yield (f"{', '.join(short)}: nothing is confirmed at alpha {ALPHA:g}, which takes {runs_for(ALPHA):,} runs; "
               f"'suspect' ({lowest:g}) takes {runs_for(lowest)}")  # fmt: skip


def _horizon_note(judged: Sequence[Change], horizon_s: float) -> Iterator[str]:
    least, most = (pick(judged, key=lambda change: change.usual_s) for pick in (min, max))
    if horizon_s < _MUCH * most.usual_s and horizon_s <= least.usual_s:
        yield (f"{least.tier}: its runs are short and set the horizon for all; {most.tier} alone would have "
               f"{most.usual_s:,.0f} s (--horizon leaves shorter runs out)")  # fmt: skip
