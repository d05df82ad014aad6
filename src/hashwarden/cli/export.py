"""``hashwarden export``: the models for other servers, with their cards and the sums of all files."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hashwarden.cli.text import EXIT_CODES

if TYPE_CHECKING:
    from hashwarden.serve.job_scorer import JobScorer
    from hashwarden.serve.scorer import KernelScorer

__all__ = ["export_app"]

export_app = typer.Typer(help="Write the models for other servers: Triton's repository, or plain ONNX files.",
                         no_args_is_help=True)  # fmt: skip

Folder = Annotated[Path, typer.Argument(help="Folder to write; must not be there, or be empty.", metavar="FOLDER")]
Job = Annotated[
    Path | None, typer.Option("--job", help="Another job.onnx than the one in service.", metavar="FILE")
]  # fmt: skip
Kernel = Annotated[
    Path | None, typer.Option("--kernel", help="Another kernel.onnx than the shipped one.", metavar="FILE")
]  # fmt: skip
Store = Annotated[Path | None, typer.Option(help="Store of the model in service.", metavar="FOLDER")]
Force = Annotated[bool, typer.Option("--force", help="Write over an earlier export; never over anything else.")]


@export_app.callback()
def _group() -> None:
    """Write the models for other servers: Triton's repository, or plain ONNX files."""


@export_app.command("onnx", epilog=EXIT_CODES)
def export_onnx(
    folder: Folder, job: Job = None, kernel: Kernel = None, store: Store = None, force: Force = False
) -> None:
    """Write the ONNX files of both models with their cards, known answers and SHA256SUMS.

    Example: hashwarden export onnx models
    """
    from hashwarden.serve.export_folder import beside

    jobs, kernels = _checked(job, kernel, store)
    _write(folder, {**beside(jobs.path, "job"), **beside(kernels.path, "kernel")}, force)


@export_app.command("triton", epilog=EXIT_CODES)
def export_triton(
    folder: Folder, job: Job = None, kernel: Kernel = None, store: Store = None, force: Force = False
) -> None:
    """Write a model repository for Triton: kernel, job, and job_stateful, where Triton keeps the states.

    Example: hashwarden export triton repository
    """
    from hashwarden.serve.export_triton import triton_files

    _write(folder, triton_files(*_checked(job, kernel, store)), force)


def _checked(job: Path | None, kernel: Path | None, store: Path | None) -> tuple[JobScorer, KernelScorer]:
    """The models to export; what gives other answers than it should is not handed on."""
    from hashwarden.serve.job_scorer import JobScorer
    from hashwarden.serve.model_store import ModelStore
    from hashwarden.serve.scorer import KernelScorer

    jobs, kernels = JobScorer(job or ModelStore(store).current()), KernelScorer(kernel)
    jobs.self_test()
    kernels.self_test()
    return jobs, kernels


def _write(folder: Path, files: Mapping[str, bytes], force: bool) -> None:
    from hashwarden.serve.export_folder import SUMS, write_folder

    write_folder(folder, files, force)
    for name in sorted([*files, SUMS]):
        typer.echo(str(folder / name))
