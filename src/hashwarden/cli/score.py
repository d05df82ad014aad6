"""``hashwarden score``: an archive of traces scored again with the model in service."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hashwarden.cli.extras import needs_extra

__all__ = ["score_command"]


def score_command(
    paths: Annotated[list[Path], typer.Argument(help="Traces, or folders of traces.", metavar="PATH...")],
    output: Annotated[
        Path, typer.Option(help="Parquet file for the scores. Example: --output scores.parquet", metavar="FILE")
    ] = Path("scores.parquet"),
    model: Annotated[
        Path | None, typer.Option(help="Another job.onnx than the one in service.", metavar="FILE")
    ] = None,
    store: Annotated[Path | None, typer.Option(help="Store of the model in service.", metavar="FOLDER")] = None,
    ray: Annotated[
        str, typer.Option(help="Score on a Ray cluster: its address, 'auto' or 'local'. Needs the extra 'ray'; the "
                          "result is then a folder of files.", metavar="ADDRESS")
    ] = "",
) -> None:  # fmt: skip
    """Score recorded traces again: probabilities, evidence and state at each sample, in a Parquet file.

    Each run has the same states, for the same reasons, as `hashwarden replay` gives it.

    Example: hashwarden score /archive --output scores.parquet
    """
    from hashwarden.serve.archive import score_file, traces_in, write_scores
    from hashwarden.serve.job_scorer import JobScorer
    from hashwarden.serve.model_store import ModelStore

    found = traces_in(paths)
    path = model or ModelStore(store).current()
    scorer = JobScorer(path)
    scorer.self_test()
    if ray:
        with needs_extra("ray"):
            from hashwarden.serve.archive_ray import score_on_ray

            rows = score_on_ray(found, output, path, ray)
    else:
        batches = (batch for trace in found for batch in score_file(trace, scorer))
        rows = write_scores(output, batches, dict(scorer.identity))
    typer.echo(f"{rows} samples of {len(found)} traces in {output}")
