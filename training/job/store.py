"""Judged runs on disk: what featurising writes once and training reads in windows, in memory that stays flat.

A shard is two files: ``NAME.rows`` holds one row of float32 for each sample (seconds since the sample before, true
class, the channels with NaN where missing or not credible), run after run; ``NAME.runs`` is a Parquet table with one
row for each run. The table is written last and in one move, so that a shard is there entirely or not at all.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable
from itertools import groupby
from pathlib import Path
from typing import Any, Final, final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from hashwarden.model.channels import CHANNELS, GROUPS, schema_hash
from hashwarden.model.job.taxonomy import CLASSES
from hashwarden.model.storage import replacing
from hashwarden.model.trace import Run
from hashwarden.model.validity import Validity
from hashwarden.training.job.labels import check_labels, family_index, truth

__all__ = ["CLASS", "DT", "FIRST_CHANNEL", "RUNS", "WIDTH", "Rows", "rows_of", "write_shard"]

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
        ("share", pa.float32()), ("groups", pa.int8()), ("start", pa.int64()), ("length", pa.int64()),
    ],
    metadata={"channels": schema_hash(), "rows": "1"},
)  # fmt: skip
"""Columns of the table of runs; ``groups`` has a bit for each of `GROUPS` of which anything was
credible, ``start`` and ``length`` count rows of the shard."""


@final
class Rows:
    """Lays a run out in rows, whole or piece by piece: judged, stale samples left out.

    Attributes
    ----------
    seen : bool array, shape (C,)
        Channels of which anything was credible so far.
    """

    def __init__(self) -> None:
        self._validity, self._last = Validity(), math.nan
        self.seen = np.zeros(len(CHANNELS), bool)

    def of(self, piece: Run) -> F32:
        """Rows of the next samples of the run, shape (T, WIDTH); T is less where samples were stale."""
        judged = self._validity.block(piece.times, piece.values)
        fresh = judged.fresh
        times = piece.times[fresh]
        rows = np.empty((len(times), WIDTH), np.float32)
        if len(times):
            rows[:, DT] = np.diff(times, prepend=times[0] if math.isnan(self._last) else self._last)
            self._last = float(times[-1])
        rows[:, CLASS] = truth(piece)[fresh]
        rows[:, FIRST_CHANNEL:] = judged.values[fresh]
        self.seen |= judged.mask[fresh].any(0)
        return rows


def rows_of(run: Run) -> F32:
    """Judge a whole run and lay it out in rows.

    Returns
    -------
    float32 array, shape (T, WIDTH)
    """
    return Rows().of(run)


def write_shard(folder: Path, name: str, runs: Iterable[Run], where: str = "") -> str:
    """Featurise runs into a shard, one after the other.

    Parameters
    ----------
    folder : Path
    name : str
        Name of the shard; an existing one is replaced.
    runs : iterable of Run
        Whole, or in pieces (`hashwarden.model.trace_read.iter_blocks`) that follow each other under one name.
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
    (folder / f"{name}.runs").unlink(missing_ok=True)
    digest, entries, start = hashlib.sha256(), [], 0
    with replacing(folder / f"{name}.rows") as file:
        for _, pieces in groupby(runs, key=lambda piece: piece.name):
            length, rows = 0, Rows()
            for piece in pieces:
                check_labels(piece, where)
                data = rows.of(piece)
                file.write(data.data)
                digest.update(data.data)
                length += len(data)
            if length:
                entries.append(_entry(piece, rows.seen, start, length))
            start += length
    _write_runs(folder / name, entries, {"sha256": digest.hexdigest(), "where": where})
    return digest.hexdigest()


def _write_runs(stem: Path, entries: list[dict[str, Any]], facts: dict[str, str]) -> None:
    table = pa.Table.from_pylist(entries, RUNS).replace_schema_metadata({**(RUNS.metadata or {}), **facts})
    with replacing(stem.with_suffix(".runs")) as file:
        pq.write_table(table, file)


def _entry(run: Run, seen: npt.NDArray[np.bool_], start: int, length: int) -> dict[str, Any]:
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
        "groups": sum(1 << GROUPS.index(group) for group in {CHANNELS[i].group for i in np.flatnonzero(seen)}),
        "start": start,
        "length": length,
    }
