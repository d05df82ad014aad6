"""``hashwarden synthesise``: runs of a plan, made by a mechanistic model, into a trace file."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from hashwarden.cli.extras import needs_extra

__all__ = ["synthesise_command"]


def synthesise_command(
    plan: Annotated[
        str, typer.Argument(help="train, calibration, evaluation, reference or demo. Example: demo", metavar="PLAN")
    ],
    output: Annotated[Path, typer.Option(help="Trace to write. Example: --output /tmp/demo.parquet", metavar="FILE")],
    runs: Annotated[
        int | None, typer.Option(help="Make another number of runs than the plan has. Example: --runs 50", min=1)
    ] = None,
    seed: Annotated[
        int | None, typer.Option(help="Draw other runs by the same plan. Example: --seed 7", min=0, max=10**9)
    ] = None,
    workers: Annotated[int, typer.Option(help="Processes. Example: --workers 2", min=1, max=256)] = 1,
) -> None:
    """Synthesise runs: what jobs do over time, what that keeps busy on a GPU, and what its sensors show.

    Nothing in it was recorded on a GPU, and every run says so. The same plan and seed give the same runs.
    Needs the extra 'train'. Example: hashwarden synthesise demo --output /tmp/demo.parquet
    """
    with needs_extra("train"):
        from hashwarden.training.synthesise.corpus import plan_named, write_corpus

        chosen = plan_named(plan)
        if runs is not None:
            chosen = replace(chosen, runs=runs)
        if seed is not None:
            chosen = replace(chosen, seed=seed)
        count = write_corpus(chosen, output, workers, partial(typer.echo, err=True))
        typer.echo(f"{count:,} synthesised runs in {output}")
