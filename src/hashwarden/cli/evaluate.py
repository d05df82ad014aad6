"""``hashwarden evaluate``: measure a model on lineages that it never saw."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from hashwarden.cli.extras import needs_extra

__all__ = ["evaluate_app"]

evaluate_app = typer.Typer(help="Measure a model on what it never saw.", no_args_is_help=True)


@evaluate_app.callback()
def _group() -> None:
    """Measure a model on what it never saw."""


@evaluate_app.command("kernel")
def evaluate_kernel(
    data: Annotated[
        Path, typer.Option(help="Folder of kernel mix tables. Example: --data data/kernel_mix", metavar="FOLDER")
    ] = Path("data/kernel_mix"),
    output: Annotated[
        Path, typer.Option(help="Folder for the report. Example: --output /tmp/report", metavar="FOLDER")
    ] = Path("docs/evaluation"),
    seed: Annotated[int, typer.Option(help="Seed of everything random. Example: --seed 7", min=0)] = 0,
) -> None:
    """Evaluate the kernel model: leave one source out, leave one family out, beside its baselines.

    Needs the extra 'train'. Example: hashwarden evaluate kernel --output /tmp/report
    """
    with needs_extra("train"):
        from hashwarden.training.kernel.evaluate import run

        run(data=data, output=output, seed=seed, told=partial(typer.echo, err=True))


@evaluate_app.command("memory")
def evaluate_memory(
    data: Annotated[
        Path, typer.Option(help="Table of memory patterns. Example: --data patterns.parquet", metavar="FILE")
    ] = Path("data/memory_patterns/patterns.parquet"),
    output: Annotated[
        Path, typer.Option(help="Folder for the report. Example: --output /tmp/report", metavar="FOLDER")
    ] = Path("docs/evaluation"),
    seed: Annotated[int, typer.Option(help="Seed of everything random. Example: --seed 7", min=0)] = 0,
) -> None:
    """Evaluate what memory access patterns alone tell, each family judged by a forest that never saw it.

    Needs the extra 'train'. Example: hashwarden evaluate memory --output /tmp/report
    """
    with needs_extra("train"):
        from hashwarden.training.memory.study import run

        run(data=data, output=output, seed=seed, told=partial(typer.echo, err=True))
