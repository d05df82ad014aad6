"""``hashwarden score --ray``: the archive shared among the nodes of a Ray cluster, one trace a task.

Every node needs this package with the extra ``ray``, and sees the traces, the model file and the folder of the result.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, final

from hashwarden.errors import HashwardenError, UsageError
from hashwarden.model.cluster import connected, quiet_data, received, sent
from hashwarden.serve.archive import score_file, unwritable, write_scores
from hashwarden.serve.job_scorer import JobScorer

__all__ = ["score_on_ray"]


@final
class _Scoring:
    """An actor: opens the model once, scores one trace after the other."""

    def __init__(self, model: str, folder: str) -> None:
        self._model, self._folder = Path(model) if model else None, Path(folder)
        self._scorer: JobScorer | None = None

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        part = self._folder / f"part-{row['number']:06d}.parquet"
        try:
            self._scorer = self._scorer or JobScorer(self._model)
            rows = write_scores(part, score_file(Path(row["trace"]), self._scorer), dict(self._scorer.identity))
        except HashwardenError as error:
            return {"rows": 0, "problem": sent(error)}
        return {"rows": rows, "problem": b""}


def score_on_ray(traces: Sequence[Path], output: Path, model: Path | None, address: str) -> int:
    """Score traces on a cluster into a folder of Parquet files, one for each trace.

    Parameters
    ----------
    traces : sequence of Path
    output : Path
        A folder; must be new or empty. It stays empty unless all are scored.
    model : Path or None
        The shipped one if None.
    address : str
        As for `connected`.

    Returns
    -------
    int
        Samples.

    Raises
    ------
    UsageError
        If there is no such cluster, or the folder holds something or cannot be written.
    DataError
        If a file is no trace.
    """
    with _collected(output) as folder, connected(address) as processors:
        try:
            return _scored(traces, folder, model, processors)
        except UsageError as error:  # a worker knows only the part that it could not write
            raise UsageError(error.got, error.expected, error.remedy, where=str(output)) from error


@contextmanager
def _collected(output: Path) -> Iterator[Path]:
    """Give a folder whose files go to the output once all are there; on any error none does."""
    try:
        output.mkdir(parents=True, exist_ok=True)
        if any(output.iterdir()):
            raise UsageError("a folder that holds something", "a new or empty folder for --output", "Name another.",
                             where=str(output))  # fmt: skip
        held = tempfile.TemporaryDirectory(dir=output.resolve(), prefix=".new-", ignore_cleanup_errors=True)
    except OSError as error:
        raise unwritable(error, output) from error
    with held:
        yield Path(held.name)
        for part in sorted(Path(held.name).iterdir()):
            part.replace(output / part.name)


def _scored(traces: Sequence[Path], folder: Path, model: Path | None, processors: int) -> int:
    import ray

    quiet_data()
    items = [{"number": number, "trace": str(trace.resolve())} for number, trace in enumerate(traces)]
    scoring: Any = _Scoring  # a class is a callable here: Ray makes an actor of it
    done = ray.data.from_items(items, override_num_blocks=len(items)).map(
        scoring,
        fn_constructor_args=(str(model.resolve()) if model else "", str(folder)),
        compute=ray.data.ActorPoolStrategy(size=max(1, min(len(items), processors))),
        num_cpus=1,
    )
    return sum(row["rows"] for row in received(done.take_all()))
