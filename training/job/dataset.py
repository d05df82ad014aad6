"""The data set of the job model: runs from traces, judged once, read in windows.

The runs lie in shards on disk (`hashwarden.training.job.store`) and are read by position, so that memory does not grow
with the data. A data set is split by whole runs, and by what a run is made of; never by row.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Final, Literal, Self, final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from hashwarden.errors import DataError
from hashwarden.model.channels import GROUPS, Group
from hashwarden.model.job.taxonomy import CLASSES
from hashwarden.model.trace import Run
from hashwarden.model.trace_read import iter_blocks
from hashwarden.training.job.store import RUNS, WIDTH, write_shard

__all__ = ["Dataset", "Key", "featurise", "hold_out"]

F32 = npt.NDArray[np.float32]
I64 = npt.NDArray[np.int64]

Key = Literal["label", "family", "strategy", "gpu", "origin"]

_FLOAT: Final = 4
_ANEW: Final = "Remove the folder; it is made anew."


def featurise(sources: Sequence[Path], folder: Path, first: int = 0) -> None:
    """Judge trace files into shards, one shard for each file, in memory that does not grow.

    Parameters
    ----------
    sources : sequence of Path
        Trace files, in the order that the data set will have.
    folder : Path
        Made if it is not there.
    first : int
        Number of the first shard.

    Raises
    ------
    DataError
        If a file is no trace, or a run in it must not teach.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for number, source in enumerate(sources, first):
        write_shard(folder, f"{number:06d}", iter_blocks(source), str(source))


@final
class Dataset:
    """Labelled runs, read from the shards of a folder.

    Parameters
    ----------
    folder : Path

    Attributes
    ----------
    label, family_index : int64 array, shape (runs,)
        Class and mining family by index; -1 where the family is unknown or the run does not mine.
    name, family, strategy, gpu, origin : object array of str, shape (runs,)
    period_s, share : float32 array, shape (runs,)
    length : int64 array, shape (runs,)
        Samples.
    digests : dict of str to str
        SHA-256 of the judged rows, by the file or plan that they come from.

    Raises
    ------
    DataError
        If the folder holds no runs, or was written for another table of channels.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._shards = sorted(path.with_suffix(".rows") for path in folder.glob("*.runs"))
        tables = [pq.read_table(path.with_suffix(".runs")) for path in self._shards]
        if not sum(len(table) for table in tables):
            raise DataError("no runs", "at least one labelled run", "Name a trace file.", where=str(folder))
        if not all(_fits(table.schema) for table in tables):
            raise DataError("rows of another table of channels", "those of this version", _ANEW, where=str(folder))
        self.digests = {
            t.schema.metadata[b"where"].decode() or p.stem: t.schema.metadata[b"sha256"].decode()
            for p, t in zip(self._shards, tables, strict=True)
        }
        self._fill(pa.concat_tables(table.cast(RUNS) for table in tables))
        self._shard = np.repeat(np.arange(len(tables)), [len(table) for table in tables])
        self._files: dict[int, int] = {}
        self._chosen: I64 | None = None

    def _fill(self, table: pa.Table) -> None:
        column = {name: table[name].to_numpy(zero_copy_only=False) for name in RUNS.names}
        self.label: I64 = column["label"].astype(np.int64)
        self.family_index: I64 = column["family_index"].astype(np.int64)
        self.length: I64 = column["length"]
        self._start: I64 = column["start"]
        self.period_s: F32 = column["period_s"]
        self.share: F32 = column["share"]
        self._groups: I64 = column["groups"].astype(np.int64)
        self.name, self.family, self.strategy = column["name"], column["family"], column["strategy"]
        self.gpu, self.origin = column["gpu"], column["origin"]

    @classmethod
    def of_runs(cls, runs: Iterable[Run], folder: Path, name: str = "000000", where: str = "") -> Self:
        """Featurise runs that are at hand into a folder, and open it."""
        folder.mkdir(parents=True, exist_ok=True)
        write_shard(folder, name, runs, where)
        return cls(folder)

    def part(self, rows: I64) -> Dataset:
        """The data set of some of the runs, in that order; the digests stay those of all."""
        some = object.__new__(Dataset)
        some.__dict__.update(self.__dict__)
        for name in _BY_RUN:
            setattr(some, name, getattr(self, name)[rows])
        some._files, some._chosen = {}, rows if self._chosen is None else self._chosen[rows]
        return some

    def __len__(self) -> int:
        return len(self.label)

    def __reduce__(self) -> tuple[Any, ...]:
        return _opened, (self.folder, self._chosen)

    @property
    def samples(self) -> int:
        """Samples of all runs."""
        return int(self.length.sum())

    @property
    def digest(self) -> str:
        """SHA-256 over the rows of all shards, in order."""
        return hashlib.sha256("\n".join(self.digests.values()).encode()).hexdigest()

    def read(self, run: int, start: int = 0, stop: int | None = None) -> F32:
        """Rows of a run.

        Parameters
        ----------
        run : int
        start, stop : int
            Samples; all of them by default.

        Returns
        -------
        float32 array, shape (stop - start, `WIDTH`)
            See `hashwarden.training.job.store`.
        """
        stop = int(self.length[run]) if stop is None else min(stop, int(self.length[run]))
        offset = (int(self._start[run]) + start) * WIDTH * _FLOAT
        rows = np.empty((max(0, stop - start), WIDTH), np.float32)
        file, view = self._file(int(self._shard[run])), rows.reshape(-1).view(np.uint8).data
        while view:  # one read gives 2 GB at most
            got = os.preadv(file, [view], offset)
            if not got:
                place = str(self._shards[int(self._shard[run])])
                raise DataError("fewer rows than its table says", "a whole shard", _ANEW, where=place)
            view, offset = view[got:], offset + got
        return rows

    def _file(self, shard: int) -> int:
        if shard not in self._files:
            self._files[shard] = os.open(self._shards[shard], os.O_RDONLY)
        return self._files[shard]

    def close(self) -> None:
        """Close the files; reading opens them again."""
        while self._files:
            os.close(self._files.popitem()[1])

    def showing(self, rows: I64, groups: Sequence[Group]) -> I64:
        """Those of the runs that show something of every one of the groups; all of them if none does."""
        shown = rows[self.shows(groups)[rows]]
        return shown if len(shown) else rows

    def shows(self, groups: Sequence[Group]) -> npt.NDArray[np.bool_]:
        """Whether each run shows something of every one of the groups, shape (runs,)."""
        wanted = sum(1 << GROUPS.index(group) for group in groups)
        seen: npt.NDArray[np.bool_] = self._groups & wanted == wanted
        return seen

    def rows(self, **keys: str | Sequence[str]) -> I64:
        """Places of the runs whose ``label``, ``family``, ``strategy``, ``gpu`` or ``origin`` is (one of) what is said.

        Example: ``data.rows(label="mining", family=("ethash", "progpow"))``.
        """
        chosen = np.ones(len(self), bool)
        for key, wanted in keys.items():
            values = np.array(CLASSES, object)[self.label] if key == "label" else getattr(self, key)
            chosen &= np.isin(values, [wanted] if isinstance(wanted, str) else list(wanted))
        return np.flatnonzero(chosen)


_BY_RUN: Final = (
    "label", "family_index", "length", "_start", "period_s", "share", "_groups", "name", "family", "strategy", "gpu",
    "origin", "_shard",
)  # fmt: skip


def _opened(folder: Path, rows: I64 | None) -> Dataset:
    data = Dataset(folder)
    return data if rows is None else data.part(rows)


def _fits(schema: pa.Schema) -> bool:
    """Whether a table of runs is of this version."""
    return all((schema.metadata or {}).get(key) == value for key, value in RUNS.metadata.items())


def hold_out(data: Dataset, rows: I64, share: float, seed: int) -> tuple[I64, I64]:
    """Set whole runs aside, the same share of each class, family and strategy.

    Parameters
    ----------
    data : Dataset
    rows : int64 array
        The runs to part.
    share : float
        Share that is held out, 0 to 1.
    seed : int

    Returns
    -------
    kept, held : int64 array
        Sorted. At least one run of each class is kept.
    """
    rng = np.random.default_rng([seed, 0x5EED])
    order = rows[rng.permutation(len(rows))]
    kind = [f"{data.label[r]} {data.family[r]} {data.strategy[r]}" for r in order]
    order = order[np.argsort(kind, kind="stable")]
    # Every 1/share-th run along the sorted list, so that small groups share one held-out run between them.
    steps = np.floor((np.arange(len(order)) + rng.random()) * share)
    held = np.diff(steps, prepend=steps[:1]) > 0
    for label in np.unique(data.label[rows]):
        of_class = data.label[order] == label
        if held[of_class].all():
            held[of_class] = False
    return np.sort(order[~held]), np.sort(order[held])
