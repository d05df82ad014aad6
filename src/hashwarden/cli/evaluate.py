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


@evaluate_app.command("job")
def evaluate_job(  # noqa: PLR0913, PLR0917
    output: Annotated[
        Path, typer.Option(help="Folder for the report. Example: --output /tmp/report", metavar="FOLDER")
    ] = Path("docs/evaluation"),
    work: Annotated[
        Path, typer.Option(help="Folder for the corpus and finished folds; the same one goes on.", metavar="FOLDER")
    ] = Path(".cache/evaluate-job"),
    data: Annotated[
        list[Path] | None, typer.Option(help="Recorded traces, beside the synthesised. Example: --data r.parquet")
    ] = None,
    runs: Annotated[int, typer.Option(help="Synthesised runs. Example: --runs 800", min=1)] = 3000,
    minutes: Annotated[float, typer.Option(help="Length of each. Example: --minutes 30", min=2)] = 15,
    alpha: Annotated[float, typer.Option(help="Share of honest runs that may be confirmed, per fold.")] = 0.01,
    axis: Annotated[list[str] | None, typer.Option(help="family, strategy, gpu; all if none.")] = None,
    jobs: Annotated[int, typer.Option(help="Processes. Example: --jobs 2", min=1)] = 2,
    seed: Annotated[int, typer.Option(help="Seed of everything random. Example: --seed 7", min=0)] = 0,
    quick: Annotated[bool, typer.Option("--quick", help="A small trial: few runs, fits of seconds.")] = False,
) -> None:
    """Evaluate the job model: families, strategies and GPUs left out, beside a random forest and XGBoost.

    A stopped evaluation goes on where it was. Needs the extra 'train'.
    Example: hashwarden evaluate job --output /tmp/report
    """
    with needs_extra("train"):
        from hashwarden.training.job.evaluate import run_evaluation

        count, seconds = (300, 300.0) if quick else (runs, minutes * 60)
        report = run_evaluation(
            output, work, tuple(data or ()), tuple(axis or ()), runs=count, seconds=seconds, alpha=alpha, jobs=jobs,
            seed=seed, quick=quick, told=partial(typer.echo, err=True),
        )  # fmt: skip
        typer.echo(report)
