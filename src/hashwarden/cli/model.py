"""``hashwarden model``: which job model is in service, calibrate it on own runs, put another there, go back."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hashwarden.errors import CheckError, DataError, UsageError

if TYPE_CHECKING:
    from hashwarden.model.trace import Run
    from hashwarden.serve.model_compare import Line

__all__ = ["model_app"]

model_app = typer.Typer(help="The job model in service: list, calibrate, promote, roll back.", no_args_is_help=True)

_SHOWN = 12
"""Digits of a version that are shown."""

Store = Annotated[
    Path | None,
    typer.Option(help="Folder of the store. Default: $HASHWARDEN_MODELS, else /var/lib/hashwarden/models for root, "
                 "else in the user's state folder. Example: --store /srv/models", metavar="FOLDER"),
]  # fmt: skip


@model_app.callback()
def _group() -> None:
    """The job model in service: list, calibrate, promote, roll back."""


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


@model_app.command("calibrate")
def calibrate_model(
    traces: Annotated[
        list[Path], typer.Argument(help="Traces of honest runs, or folders of traces.", metavar="TRACE...")
    ],
    output: Annotated[
        Path, typer.Option(help="Folder for job.onnx and its card. Example: --output mine", metavar="FOLDER")
    ],
    model: Annotated[
        Path | None, typer.Option(help="Another job.onnx than the one in service.", metavar="FILE")
    ] = None,
    store: Store = None,
    horizon: Annotated[
        float | None,
        typer.Option(help="Seconds that the bound covers without further assumptions; shorter runs are left out. "
                     "Default: what 19 of 20 runs have. Example: --horizon 3600", metavar="SECONDS"),
    ] = None,
) -> None:  # fmt: skip
    """Calibrate the evidence on honest runs of one's own: other null levels, the same network. No torch, no fit.

    All runs have to be labelled, by the recorder or an operator, and none may mine. 13 runs are the least, 133 make
    'suspect' possible, 1,333 'confirmed' (one honest job in 1,000). A tier that they do not show is judged in no more.
    Example: hashwarden model calibrate /traces --output mine
    """
    from hashwarden.cli.run_calibrate import calibrate
    from hashwarden.serve.model_store import ModelStore

    calibrate(traces, output, model or ModelStore(store).current(), horizon)


@model_app.command("promote")
def promote(
    file: Annotated[
        Path, typer.Argument(help="The folder that training or calibrating wrote, or its job.onnx.", metavar="FILE")
    ],
    store: Store = None,
    reference: Annotated[
        list[Path] | None,
        typer.Option(help="Labelled trace to compare on, in place of the shipped one; may be given again. "
                     "Example: --reference own.parquet", metavar="TRACE"),
    ] = None,
    own_calibration: Annotated[
        bool,
        typer.Option("--own-calibration", help="Take what 'model calibrate' wrote, whatever its evidence makes of the "
                     "reference: only with the weights of the model in service."),
    ] = False,
) -> None:  # fmt: skip
    """Put a model into service if it fits, gives its known answers, and is no worse than the present one.

    There is no way to force another network. Example: hashwarden model promote /tmp/model
    """
    from hashwarden.model.job.record_file import same_network
    from hashwarden.serve.job_scorer import JobScorer
    from hashwarden.serve.model_compare import compare, figures
    from hashwarden.serve.model_store import ModelStore

    models = ModelStore(store)
    with models.locked():
        staged = models.stage(file / "job.onnx" if file.is_dir() else file)
        new = JobScorer(staged)
        new.self_test()
        present = JobScorer(models.current())
        same = same_network(present.path, new.path)
        if own_calibration and not same:
            raise UsageError("other weights than those of the model in service", "the same, calibrated again",
                             "Leave --own-calibration out.", where=str(file))  # fmt: skip
        lines = compare(figures(present, _runs(reference)), figures(new, _runs(reference)))
        _show(lines)
        worse = [line.name for line in lines if not line.fit]
        if worse and not own_calibration:
            raise _worse(worse, file, same=same)
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


def _worse(names: Sequence[str], file: Path, same: bool) -> CheckError:
    remedy = (
        "The weights are the same: name own runs that mine and that do not with --reference, or take the calibration "
        "as it is with --own-calibration."
        if same
        else "It stays out of service; train on more or other data."
    )
    return CheckError(f"a model that is worse in {', '.join(names)}", "no worse than the present one", remedy,
                      where=str(file))  # fmt: skip


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
