"""``hashwarden model``: which job model is in service, put another there, go back."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hashwarden.errors import CheckError, DataError

if TYPE_CHECKING:
    from hashwarden.model.trace import Run
    from hashwarden.serve.model_compare import Line

__all__ = ["model_app"]

model_app = typer.Typer(help="The job model in service: list, promote, roll back.", no_args_is_help=True)

_SHOWN = 12
"""Digits of a version that are shown."""

Store = Annotated[
    Path | None,
    typer.Option(help="Folder of the store. Default: $HASHWARDEN_MODELS, else /var/lib/hashwarden/models for root, "
                 "else in the user's state folder. Example: --store /srv/models", metavar="FOLDER"),
]  # fmt: skip


@model_app.callback()
def _group() -> None:
    """The job model in service: list, promote, roll back."""


@model_app.command("list")
def list_models(store: Store = None) -> None:
    """List what served and what serves.

    Example: hashwarden model list
    """
    from hashwarden.serve.model_store import ModelStore

    models = ModelStore(store)
    models.current()
    history = models.history()
    serves = models.present().number
    typer.echo(f"{' ' if serves else '*'} 0  shipped with the package")
    for record in history:
        when = datetime.fromtimestamp(record.unix_s, UTC).strftime("%Y-%m-%d %H:%M:%S")
        mark = "*" if record.number == serves else " "
        typer.echo(
            f"{mark} {record.number}  {record.version[:_SHOWN]}  {record.action}  {when} UTC  by user {record.by}"
        )


@model_app.command("promote")
def promote(
    file: Annotated[Path, typer.Argument(help="job.onnx in the folder that training wrote.", metavar="FILE")],
    store: Store = None,
    reference: Annotated[
        list[Path] | None,
        typer.Option(help="Labelled trace to compare on, in place of the shipped one; may be given again. "
                     "Example: --reference own.parquet", metavar="TRACE"),
    ] = None,
) -> None:  # fmt: skip
    """Put a model into service if it fits, gives its known answers, and is no worse than the present one.

    There is no way to force it. Example: hashwarden model promote /tmp/model/job.onnx
    """
    from hashwarden.serve.job_scorer import JobScorer
    from hashwarden.serve.model_compare import compare, figures
    from hashwarden.serve.model_store import ModelStore

    models = ModelStore(store)
    with models.locked():
        staged = models.stage(file)
        new = JobScorer(staged)
        new.self_test()
        present = JobScorer(models.current())
        lines = compare(figures(present, _runs(reference)), figures(new, _runs(reference)))
        _show(lines)
        worse = [line.name for line in lines if not line.fit]
        if worse:
            raise CheckError(f"a model that is worse in {', '.join(worse)}", "no worse than the present one",
                             "It stays out of service; train on more or other data.", where=str(file))  # fmt: skip
        record = models.promote(staged, {line.name: [line.present, line.new] for line in lines})
    typer.echo(f"{record.version[:_SHOWN]} serves, generation {record.number}")


@model_app.command("rollback")
def rollback(store: Store = None) -> None:
    """Put the model before into service again.

    Example: hashwarden model rollback
    """
    from hashwarden.serve.model_store import ModelStore

    models = ModelStore(store)
    with models.locked():
        record = models.rollback()
    typer.echo(f"{record.version[:_SHOWN]} serves again, generation {record.number}")


def _runs(reference: Sequence[Path] | None) -> Iterator[Run]:
    """The labelled runs to compare on."""
    from hashwarden.model.trace_read import iter_runs
    from hashwarden.serve.model_compare import shipped_reference

    for path in reference or [shipped_reference()]:
        if not path.is_file():
            raise DataError("no reference trace", "a labelled trace", "Name one with --reference.", where=str(path))
        yield from iter_runs(path)


def _show(lines: Sequence[Line]) -> None:
    wide = max(len(line.name) for line in lines)
    typer.echo(f"{'':{wide}}  {'present':>9}  {'new':>9}  {'may be worse by':>15}")
    for line in lines:
        word = "" if line.fit else "  worse"
        typer.echo(f"{line.name:{wide}}  {line.present:9.4g}  {line.new:9.4g}  {line.margin:15g}{word}")
