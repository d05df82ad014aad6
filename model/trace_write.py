"""Writing traces: whole runs at once, or piece by piece in memory that does not grow with the run.

A file appears under its name when it is complete, or not at all. While a job is watched live, its samples go to a
journal first (`hashwarden.serve.journal`), because a Parquet file has its index at the end.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Sequence
from contextlib import ExitStack, suppress
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Final, Self, final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from hashwarden.errors import DataError
from hashwarden.model.channels import CHANNELS, INDEX
from hashwarden.model.storage import refusal, replacing, synced
from hashwarden.model.trace import KEY, Run
from hashwarden.model.trace_check import check_run, check_times
from hashwarden.model.trace_footer import footer_json

__all__ = ["GROUP_ROWS", "TEXT", "TraceWriter", "write_runs"]

GROUP_ROWS: Final = 65_536
"""Most rows of a row group: one or more whole runs, or a part of a long one."""

TEXT: Final = ("label", "family", "strategy", "gpu", "origin")
"""Columns that are constant within a run."""

_NAMES: Final = tuple(channel.name for channel in CHANNELS)
_WORD: Final = pa.dictionary(pa.int32(), pa.string())


def write_runs(path: Path, runs: Iterable[Run]) -> None:
    """Write a trace; an existing file is replaced in one move.

    Parameters
    ----------
    path : Path
    runs : iterable of Run
        At least one; names are unique. A list or tuple gives a file without the channels that are NaN throughout; an
        iterator, which cannot be looked through first, gives one with all channels. It is read one run at a time.

    Raises
    ------
    DataError
        If a run breaks the format, two have the same name, there is none, or the file cannot be written. The path is
        as it was then.
    """
    channels = _seen(runs) if isinstance(runs, Sequence) else _NAMES
    with TraceWriter(path, channels) as writer:
        names: set[str] = set()
        for run in runs:
            if run.name in names:
                raise DataError("the run name twice", "each once", "Rename one.", where=f"{path}!{run.name}")
            names.add(run.name)
            writer.write(run)


def _seen(runs: Sequence[Run]) -> tuple[str, ...]:
    seen = np.zeros(len(CHANNELS), bool)
    for run in runs:
        if run.values.ndim == 2 and run.values.shape[1] == len(CHANNELS):  # the others are refused in a moment
            seen |= ~np.isnan(run.values).all(axis=0)
    return tuple(name for name, there in zip(_NAMES, seen, strict=True) if there)


@final
class TraceWriter:
    """A trace that is written piece by piece; use it in a ``with`` statement.

    Left without an error it puts the complete file under its name (synced to the disk); else it leaves nothing.

    Parameters
    ----------
    path : Path
    channels : sequence of str
        Columns to write; a value of another channel is an error unless it is NaN.

    Raises
    ------
    DataError
        If the folder cannot be written.
    """

    def __init__(self, path: Path, channels: Sequence[str] = _NAMES) -> None:
        self._path, self._channels = path, tuple(name for name in _NAMES if name in set(channels))
        self._left_out = np.array([name not in self._channels for name in _NAMES])
        self._heads: dict[str, Run] = {}
        self._open: Run | None = None
        self._after = -np.inf
        self._waiting: list[Run] = []
        self._rows = 0
        self._place = ExitStack()
        part = path.with_name(f".{path.name[:100]}.{secrets.token_hex(6)}.part")
        try:
            file = self._place.enter_context(replacing(path, part))
        except OSError as error:
            raise _storage(error, path) from error
        self._writer = pq.ParquetWriter(file, _schema(self._channels), **_layout(self._channels))
        self._place.callback(_close, self._writer)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:
            self._place.__exit__(kind, error, trace)
            return
        try:
            with self._place:
                self._finish()
            synced(self._path.parent)
        except OSError as failed:
            raise _storage(failed, self._path) from failed

    def write(self, run: Run) -> None:
        """Add a run, or the next piece of the run that was added last: one of the same name.

        Raises
        ------
        DataError
            If it breaks the format, is not like the piece before it, has the name of an earlier run or a value in a
            channel that is not a column, or cannot be written.
        """
        where = str(self._path)
        check_run(run, where)
        self._check_place(run, f"{where}!{run.name}")
        self._after = float(run.times[-1])
        for start in range(0, len(run), GROUP_ROWS):
            piece = slice(start, start + GROUP_ROWS)
            self._add(replace(run, times=run.times[piece], values=run.values[piece]))

    def _check_place(self, run: Run, where: str) -> None:
        """Check a piece against the columns and against what was written before."""
        if not np.isnan(run.values[:, self._left_out]).all():
            raise DataError("a value in a channel that is no column", "NaN", "Name it in channels.", where=where)
        head = replace(run, times=run.times[:0], values=run.values[:0])
        if self._open is None or run.name != self._open.name:
            if run.name in self._heads:
                raise DataError("the run name twice", "each once", "Rename one.", where=where)
            self._heads[run.name], self._open = head, head
        else:
            check_times(run.times, self._after, where)
            if _words(run) != _words(self._open) or run.info != self._open.info:
                raise DataError("a piece with other labels", "those of the piece before", "Rename it.", where=where)

    def _add(self, piece: Run) -> None:
        if self._rows and self._rows + len(piece) > GROUP_ROWS:
            self._flush()
        self._waiting.append(piece)
        self._rows += len(piece)

    def _flush(self) -> None:
        if not self._waiting:
            return
        try:
            self._writer.write_table(_table(self._waiting, self._channels))
        except OSError as error:
            raise _storage(error, self._path) from error
        self._waiting, self._rows = [], 0

    def _finish(self) -> None:
        if not self._heads:
            raise DataError("no runs", "at least one", "Record or synthesise some first.", where=str(self._path))
        self._flush()
        infos = {name: run.info for name, run in self._heads.items()}
        self._writer.add_key_value_metadata({KEY: footer_json(self._channels, infos, str(self._path))})
        self._writer.close()


def _close(writer: pq.ParquetWriter) -> None:
    """Let go of what is open; never raises, for what was not finished is thrown away."""
    with suppress(OSError, ValueError, pa.ArrowException):
        writer.close()


def _schema(channels: Sequence[str]) -> pa.Schema:
    first = [pa.field("run", _WORD, nullable=False), pa.field("time_s", pa.float64(), nullable=False)]
    values = [pa.field(name, pa.float32()) for name in channels]
    return pa.schema([*first, *values, *(pa.field(name, _WORD, nullable=False) for name in TEXT)])


def _layout(channels: Sequence[str]) -> dict[str, object]:
    """How columns are encoded; checksums of pages tell a damaged file from a good one.

    Splitting the bytes of noisy floats takes 0.56 of the space of the default on such data.
    """
    return {
        "compression": "zstd",
        "compression_level": 9,
        "use_dictionary": ["run", *TEXT],
        "use_byte_stream_split": ["time_s", *channels],
        "write_statistics": ["run", "time_s"],
        "write_page_checksum": True,
    }


def _table(pieces: Sequence[Run], channels: Sequence[str]) -> pa.Table:
    lengths = [len(piece) for piece in pieces]
    values = np.concatenate([piece.values for piece in pieces])
    columns = [_repeated([piece.name for piece in pieces], lengths)]
    columns.append(pa.array(np.concatenate([piece.times for piece in pieces])))
    columns += [pa.array(values[:, INDEX[name]], from_pandas=True) for name in channels]
    columns += [_repeated(list(words), lengths) for words in zip(*map(_words, pieces), strict=True)]
    return pa.table(columns, schema=_schema(channels))


def _words(run: Run) -> tuple[str, ...]:
    """The text of a run, in the order of `TEXT`."""
    return run.label, run.family, run.strategy, run.info.gpu, run.info.origin


def _repeated(words: Sequence[str], lengths: Sequence[int]) -> pa.DictionaryArray:
    place = {word: number for number, word in enumerate(dict.fromkeys(words))}
    places: npt.NDArray[np.int32] = np.array([place[word] for word in words], np.int32)
    return pa.DictionaryArray.from_arrays(pa.array(np.repeat(places, lengths)), pa.array(list(place), pa.string()))


def _storage(error: OSError, path: Path) -> DataError:
    remedy = "Nothing was left there, and what was there is as it was: make room, or name another place."
    return DataError(refusal(error), "room on the disk", remedy, where=str(path))
