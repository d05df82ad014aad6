"""``hashwarden train``: make the shipped models again from the data in the repository."""

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
