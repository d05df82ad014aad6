"""``hashwarden train``: make the shipped models again from the data in the repository, or from data of one's own."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from hashwarden.cli.extras import needs_extra

__all__ = ["train_app"]

train_app = typer.Typer(help="Train a model and export it to ONNX.", no_args_is_help=True)


@train_app.callback()
def _group() -> None:
    """Train a model and export it to ONNX."""


@train_app.command("kernel")
def train_kernel(
    data: Annotated[
        Path, typer.Option(help="Folder of kernel mix tables. Example: --data data/kernel_mix", metavar="FOLDER")
    ] = Path("data/kernel_mix"),
    output: Annotated[
        Path, typer.Option(help="Folder for kernel.onnx and its card. Example: --output /tmp/model", metavar="FOLDER")
    ] = Path("model/artifacts"),
    seed: Annotated[int, typer.Option(help="Seed of everything random. Example: --seed 7", min=0)] = 0,
) -> None:
    """Train the kernel model: kernel mix in, probability of hash work and family out.

    Needs the extra 'train'. Example: hashwarden train kernel --output /tmp/model
    """
    with needs_extra("train"):
        from hashwarden.training.kernel.train import run

        run(data=data, output=output, seed=seed, told=partial(typer.echo, err=True))


Measure = Annotated[
    list[Path] | None,
    typer.Option(
        help="Labelled trace that the card is measured on as well, and that nothing learns from; may be given again. "
        "Example: --measure tuesday.parquet",
        metavar="TRACE",
    ),
]


@train_app.command("job")
def train_job(  # noqa: PLR0913, PLR0917  each is a flag
    output: Annotated[
        Path, typer.Option(help="Folder for job.onnx and its card. Example: --output /tmp/model", metavar="FOLDER")
    ] = Path("model/artifacts"),
    data: Annotated[
        list[Path] | None,
        typer.Option(help="Labelled trace to learn from as well; may be given again. Example: --data mine.parquet",
                     metavar="TRACE"),
    ] = None,
    measure: Measure = None,
    plan: Annotated[
        str, typer.Option(help="Synthesised runs to learn from, or 'none': own traces alone. Example: --plan none",
                          metavar="PLAN")
    ] = "train",
    quick: Annotated[bool, typer.Option("--quick", help="A shorter fit, for trials.")] = False,
    seed: Annotated[int, typer.Option(help="Seed of everything random. Example: --seed 7", min=0)] = 0,
    threads: Annotated[
        int, typer.Option(help="Threads of the fit; with 1 a seed gives the same weights to the bit.", min=1)
    ] = 1,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with a training that was interrupted.")] = False,
    ray: Annotated[
        str, typer.Option(help="Train on a Ray cluster: its address, 'auto' or 'local'. Example: --ray auto",
                          metavar="ADDRESS")
    ] = "",
    workers: Annotated[int, typer.Option(help="Workers on the cluster; must divide the batch of 96.", min=1)] = 2,
) -> None:  # fmt: skip
    """Train the job model: live telemetry in, probability of mining and evidence out.

    Learns from synthesised runs, and from traces that are given with --data. A run without a label, or with one that
    nobody answers for, is refused: what a watched user could have shaped never teaches unlabelled.
    With --plan none the traces serve for everything: a fifth of their runs measures the card, half of the honest rest
    calibrates the evidence; at least 13 honest runs have to. With --measure the card tells of those runs
    too: keep a day, a GPU or a family for that, not runs drawn at random.
    Needs the extra 'train', with --ray also 'ray'. Example: hashwarden train job --data own.parquet --output /tmp/model
    """
    with needs_extra("ray" if ray else "train"):
        from dataclasses import replace

        from hashwarden.training.job.recipe import FULL, QUICK
        from hashwarden.training.job.train import NO_PLAN, Training, run
        from hashwarden.training.synthesise.plans import plan_named

        recipe = replace(QUICK if quick else FULL, seed=seed, threads=threads)
        learned = None if plan == NO_PLAN else plan_named(plan)
        how = Training(
            output, tuple(data or ()), learned, recipe=recipe, resume=resume, ray=ray, workers=workers,
            apart=tuple(measure or ()),
        )  # fmt: skip
        run(how, told=partial(typer.echo, err=True))
