"""``hashwarden score --ray``: the archive shared among the nodes of a Ray cluster, one trace a task.

Every node needs this package with the extra ``ray``, and sees the traces, the model file and the folder of the result.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, final

from hashwarden.errors import DataError, UsageError
from hashwarden.model.cluster import connected, quiet_data
from hashwarden.serve.archive import score_file, write_scores
from hashwarden.serve.job_scorer import JobScorer

__all__ = ["score_on_ray"]


@final
class _Scoring:
    """An actor: opens the model once, scores one trace after the other."""

    def __init__(self, model: str, output: str) -> None:
        self._scorer, self._output = JobScorer(Path(model) if model else None), Path(output)

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        try:
            part = self._output / f"part-{row['number']:06d}.parquet"
            rows = write_scores(part, score_file(Path(row["trace"]), self._scorer), dict(self._scorer.identity))
        except DataError as error:  # travels as data, so that it arrives as what it is
            return {"rows": 0, "problem": json.dumps([error.got, error.expected, error.remedy, error.where])}
        return {"rows": rows, "problem": ""}


def score_on_ray(traces: Sequence[Path], output: Path, model: Path | None, address: str) -> int:
    """Score traces on a cluster into a folder of Parquet files, one for each trace.

    Parameters
    ----------
    traces : sequence of Path
    output : Path
        A folder; must be new or empty.
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
        If there is no such cluster, or the folder holds something.
    DataError
        If a file is no trace.
    """
    output.mkdir(parents=True, exist_ok=True)
    if any(output.iterdir()):
        raise UsageError("a folder that holds something", "a new or empty folder for --output", "Name another.",
                         where=str(output))  # fmt: skip
    items = [{"number": number, "trace": str(trace.resolve())} for number, trace in enumerate(traces)]
    with connected(address) as processors:
        import ray

        quiet_data()
        scoring: Any = _Scoring  # a class is a callable here: Ray makes an actor of it
        workers = max(1, min(len(items), processors))
        done = ray.data.from_items(items, override_num_blocks=len(items)).map(
            scoring,
            fn_constructor_args=(str(model.resolve()) if model else "", str(output.resolve())),
            compute=ray.data.ActorPoolStrategy(size=workers),
            num_cpus=1,
        )
        told = done.take_all()
    for row in told:
        if row["problem"]:
            got, expected, remedy, where = json.loads(row["problem"])
            raise DataError(got, expected, remedy, where=where)
    return sum(row["rows"] for row in told)
