"""Judged runs on disk: what featurising writes once and training reads in windows, in memory that stays flat.

A shard is two files: ``NAME.rows`` holds one row of float32 for each sample (seconds since the sample before, true
class, the channels with NaN where missing or not credible), run after run; ``NAME.runs`` is a Parquet table with one
row for each run. The table is written last and in one move, so that a shard is there entirely or not at all.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from hashwarden.model.channels import CHANNELS, schema_hash
from hashwarden.model.job.taxonomy import CLASSES
from hashwarden.model.trace import Run
from hashwarden.model.validity import judge
from hashwarden.training.job.labels import check_labels, family_index, truth

__all__ = ["CLASS", "DT", "FIRST_CHANNEL", "RUNS", "WIDTH", "rows_of", "write_shard"]

F32 = npt.NDArray[np.float32]

DT: Final = 0
"""Place in a row: seconds since the sample before, 0 for the first."""

CLASS: Final = 1
"""Place in a row: the true class at that time, by index."""

FIRST_CHANNEL: Final = 2

WIDTH: Final = FIRST_CHANNEL + len(CHANNELS)
"""Floats in a row."""

RUNS: Final = pa.schema(
    [
        ("name", pa.string()), ("label", pa.int8()), ("family_index", pa.int8()), ("family", pa.string()),
        ("strategy", pa.string()), ("gpu", pa.string()), ("origin", pa.string()), ("period_s", pa.float32()),
        ("share", pa.float32()), ("start", pa.int64()), ("length", pa.int64()),
    ],
    metadata={"channels": schema_hash()},
)  # fmt: skip
"""Columns of the table of runs; ``start`` and ``length`` count rows of the shard."""


def rows_of(run: Run) -> F32:
    """Judge a run and lay it out in rows.

    Returns
    -------
    float32 array, shape (T, WIDTH)
    """
    judged = judge(run.times, run.values)
    rows = np.empty((len(run), WIDTH), np.float32)
    rows[:, DT] = np.diff(run.times, prepend=run.times[:1])
    rows[:, CLASS] = truth(run)
    rows[:, FIRST_CHANNEL:] = np.where(judged.mask, judged.values, np.nan)
    return rows


def write_shard(folder: Path, name: str, runs: Iterable[Run], where: str = "") -> str:
    """Featurise runs into a shard, one after the other.

    Parameters
    ----------
    folder : Path
    name : str
        Name of the shard; an existing one is replaced.
    runs : iterable of Run
    where : str
        The file that they come from, for errors.

    Returns
    -------
    str
        SHA-256 of the rows.

    Raises
    ------
    DataError
        If a run must not teach (`check_labels`).
    """
    digest, entries, start = hashlib.sha256(), [], 0
    part = folder / f"{name}.rows.part"
    with part.open("wb") as file:
        for run in runs:
            check_labels(run, where)
            if not len(run):
                continue
            data = rows_of(run).tobytes()
            file.write(data)
            digest.update(data)
            entries.append(_entry(run, start))
            start += len(run)
        file.flush()
        os.fsync(file.fileno())
    part.replace(folder / f"{name}.rows")
    table = pa.Table.from_pylist(entries, RUNS).replace_schema_metadata(
        {**(RUNS.metadata or {}), "sha256": digest.hexdigest(), "where": where}
    )
    pq.write_table(table, folder / f"{name}.runs.part")
    (folder / f"{name}.runs.part").replace(folder / f"{name}.runs")
    return digest.hexdigest()


def _entry(run: Run, start: int) -> dict[str, Any]:
    return {
        "name": run.name,
        "label": CLASSES.index(run.label),
        "family_index": family_index(run),
        "family": run.family,
        "strategy": run.strategy,
        "gpu": run.info.gpu,
        "origin": run.info.origin,
        "period_s": run.info.period_s,
        "share": run.info.share,
        "start": start,
        "length": len(run),
    }
