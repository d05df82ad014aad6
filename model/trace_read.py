"""Reading traces that may come from anywhere: each fault of a file is one DataError that says where.

`iter_blocks` needs memory for one block, however long a run is; `iter_runs` for the longest run, twice; `read_runs` for
all of them. A file is checked while it is read: an error may come after the first runs.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import groupby, pairwise
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from hashwarden.errors import DataError
from hashwarden.model.channels import CHANNELS, INDEX
from hashwarden.model.trace import Run
from hashwarden.model.trace_check import check_run, check_times
from hashwarden.model.trace_file import TraceFile
from hashwarden.model.trace_footer import Footer
from hashwarden.model.trace_write import TEXT

__all__ = ["BLOCK_ROWS", "iter_blocks", "iter_runs", "read_runs"]

BLOCK_ROWS: Final = 32_768
"""Most samples of a block."""

_ANEW: Final = "Write it with hashwarden, which writes one run after the other."


def read_runs(path: Path) -> list[Run]:
    """All runs of a trace, in the order of the file.

    Raises
    ------
    DataError
        As `iter_blocks`.
    """
    return list(iter_runs(path))


def iter_runs(path: Path) -> Iterator[Run]:
    """The runs of a trace, one at a time; those that span blocks are joined.

    Raises
    ------
    DataError
        As `iter_blocks`.
    """
    for _, pieces in groupby(iter_blocks(path), key=lambda piece: piece.name):
        yield _joined(list(pieces))


def _joined(pieces: list[Run]) -> Run:
    if len(pieces) == 1:
        return pieces[0]
    times = np.concatenate([piece.times for piece in pieces])
    return replace(pieces[0], times=times, values=np.concatenate([piece.values for piece in pieces]))


def iter_blocks(path: Path) -> Iterator[Run]:
    """The runs of a trace in pieces of at most `BLOCK_ROWS` samples; pieces of one run have its name and follow.

    Parameters
    ----------
    path : Path

    Yields
    ------
    Run
        Null is NaN; a channel that is no column is NaN throughout.

    Raises
    ------
    DataError
        If the file is missing, no Parquet, damaged or beyond the limits of `hashwarden.model.trace_file`; if a column
        is missing, unknown or of another type; if the footer is missing or of another schema version; if a run breaks
        the format (`check_run`), is there twice or without provenance, or is labelled in two ways; if there are no
        samples.
    """
    where = str(path)
    with TraceFile(path) as file:
        last: Run | None = None
        done: set[str] = set()
        for batch in file.batches(BLOCK_ROWS):
            for piece in _pieces(batch, file.footer, where):
                _check_follows(piece, last, done, where)
                last = piece
                done.add(piece.name)
                yield piece
        missing = sorted(set(file.footer.runs) - done)
        if missing:
            got = f"{len(missing)} runs without samples ({missing[0][:40]!r})"
            raise DataError(got, "samples of every run of the footer", _ANEW, where=where)


def _check_follows(piece: Run, last: Run | None, done: set[str], where: str) -> None:
    """Check a piece against what came before it."""
    here = f"{where}!{piece.name}"
    if last is None or piece.name != last.name:
        if piece.name in done:
            raise DataError("a run in two places", "the samples of a run together", _ANEW, where=here)
        return
    check_times(piece.times, float(last.times[-1]), here)
    if (piece.label, piece.family, piece.strategy) != (last.label, last.family, last.strategy):
        raise DataError("a label that changes within the run", "one label for each run", _ANEW, where=here)


def _pieces(batch: pa.RecordBatch, footer: Footer, where: str) -> Iterator[Run]:
    """Cut a batch where the run changes."""
    words = {name: _words(batch.column(name), name, where) for name in ("run", *TEXT)}
    names, codes = words["run"]
    times = _numbers(batch.column("time_s"), np.float64, "time_s", where)
    values = np.full((len(batch), len(CHANNELS)), np.nan, np.float32)
    for name in batch.schema.names:
        if name in INDEX:
            values[:, INDEX[name]] = batch.column(name).to_numpy(zero_copy_only=False)
    cuts = [0, *(np.flatnonzero(np.diff(codes)) + 1).tolist(), len(batch)]
    for start, stop in pairwise(cuts):
        name = names[codes[start]]
        text = {column: _constant(words[column], start, stop, column, f"{where}!{name[:200]}") for column in TEXT}
        yield _piece(name, text, times[start:stop], values[start:stop], footer, where)


def _piece(  # noqa: PLR0913, PLR0917  all that a run is made of
    name: str, text: dict[str, str], times: npt.NDArray[np.float64], values: npt.NDArray[np.float32], footer: Footer,
    where: str,
) -> Run:  # fmt: skip
    info = footer.runs.get(name)
    if info is None:
        got = f"the run {name[:40]!r} without provenance"
        raise DataError(got, "every run in the footer", _ANEW, where=where)
    run = Run(name, times, values, text["label"], text["family"], text["strategy"], info)
    check_run(run, where)
    if (text["gpu"], text["origin"]) != (info.gpu, info.origin):
        got = f"gpu and origin {text['gpu'][:40]!r}, {text['origin'][:40]!r}"
        raise DataError(got, f"{info.gpu!r}, {info.origin!r} as in the footer", _ANEW, where=f"{where}!{name}")
    return run


def _words(column: pa.Array, name: str, where: str) -> tuple[list[str], npt.NDArray[np.int64]]:
    """The distinct words of a text column, and for each row which it is."""
    if column.null_count:
        raise DataError(f"null in {name}", "a word in every row, which may be empty", _ANEW, where=where)
    found = column if isinstance(column, pa.DictionaryArray) else column.dictionary_encode()
    if found.dictionary.null_count:
        raise DataError(f"null in {name}", "a word in every row, which may be empty", _ANEW, where=where)
    try:
        listed = found.dictionary.to_pylist()
    except UnicodeDecodeError as error:
        raise DataError(f"{name} that is not UTF-8", "text", "Copy the file again.", where=where) from error
    place = {word: number for number, word in enumerate(dict.fromkeys(listed))}
    codes = np.array([place[word] for word in listed], np.int64)[found.indices.to_numpy(zero_copy_only=False)]
    return list(place), codes


def _constant(words: tuple[list[str], npt.NDArray[np.int64]], start: int, stop: int, name: str, where: str) -> str:
    listed, codes = words
    if (codes[start:stop] != codes[start]).any():
        raise DataError(f"a {name} that changes within the run", f"one {name} for each run", _ANEW, where=where)
    word: str = listed[codes[start]]
    return word


def _numbers(column: pa.Array, kind: type[np.float64], name: str, where: str) -> npt.NDArray[np.float64]:
    if column.null_count:
        raise DataError(f"null in {name}", "a number in every row", _ANEW, where=where)
    return np.asarray(column.to_numpy(zero_copy_only=False), kind)
