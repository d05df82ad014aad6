"""A Parquet file from outside, opened with care: limits are checked before anything large is read.

Arrow takes the memory that a file claims to need, and then looks whether it does. So the footer is counted before it is
parsed, and the header of each page is read (`hashwarden.model.trace_pages`) before its row group is.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Final, Self, TypeVar, final

import pyarrow as pa
import pyarrow.parquet as pq

from hashwarden.errors import DataError
from hashwarden.model.channels import CHANNELS, INDEX
from hashwarden.model.thrift import Cursor
from hashwarden.model.trace_footer import MAX_JSON, Footer, parse_footer
from hashwarden.model.trace_pages import check_pages
from hashwarden.model.trace_write import TEXT

__all__ = ["MAX_FOOTER", "MAX_GROUP_ROWS", "TraceFile"]

MAX_FOOTER: Final = 2 * MAX_JSON
"""Bytes of the Parquet footer."""

MAX_GROUP_ROWS: Final = 2**21
"""Rows of one row group."""

_MAX_LIST: Final = 2**13
"""Entries of a list in the Parquet footer, such as its row groups: Arrow takes memory for all before it reads one."""

_MAX_ENTRIES: Final = 2**19
"""Structures and entries of lists in the Parquet footer. Each becomes up to 700 bytes, of as few as three."""

_SMALL_FOOTER: Final = 2**20
"""Bytes of a footer that cannot have so many structures."""

_DEEPEST: Final = 16
"""Structures and lists of the Parquet footer within one another; its own go to half of that."""

_LIMITS: Final = {"thrift_string_size_limit": MAX_FOOTER, "thrift_container_size_limit": _MAX_LIST}
_MAX_ROW_BYTES: Final = 512
"""Bytes that a column may take for each row, on average; a name has at most 200 characters."""

_SPARE_BYTES: Final = 2**20
_NEEDED: Final = ("run", "time_s", *TEXT)
_AGAIN: Final = "Copy it again, or write it anew."
_FAULTS: Final = (
    pa.ArrowException, OSError, ValueError, TypeError, KeyError, IndexError, OverflowError, MemoryError,
    NotImplementedError, EOFError,
)  # fmt: skip
"""What pyarrow raises of a damaged file, depending on where the damage is."""

T = TypeVar("T")


@final
class TraceFile:
    """An open trace; use it in a ``with`` statement.

    Parameters
    ----------
    path : Path

    Attributes
    ----------
    footer : Footer

    Raises
    ------
    DataError
        If it is no file, no Parquet, damaged, beyond the limits, empty, or its columns or footer are not a trace's.
    """

    def __init__(self, path: Path) -> None:
        self._where = str(path)
        self._file = _opened(path)
        try:
            self._end = _check_frame(self._file, self._where)
            metadata = _carefully(lambda: pq.ParquetFile(self._file, **_LIMITS).metadata, self._where)
            _check_shape(metadata, self._where)
            _check_columns(_carefully(metadata.schema.to_arrow_schema, self._where), self._where)
            self.footer: Footer = parse_footer(metadata.metadata, self._where)
            self._parquet = _carefully(lambda: _parquet(self._file, metadata), self._where)
        except BaseException:
            self._file.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self._file.close()

    def batches(self, rows: int) -> Iterator[pa.RecordBatch]:
        """The table in batches of at most ``rows`` rows, none of them empty.

        Raises
        ------
        DataError
            If a part is damaged.
        """
        for group in range(self._parquet.num_row_groups):
            _carefully(lambda group=group: self._check_pages(group), self._where)  # type: ignore[misc]
            found = _carefully(
                lambda group=group: self._parquet.iter_batches(rows, row_groups=[group], use_threads=False),  # type: ignore[misc]
                self._where,
            )
            while (batch := _carefully(lambda found=found: next(found, None), self._where)) is not None:  # type: ignore[misc]
                _carefully(lambda batch=batch: batch.validate(full=True), self._where)  # type: ignore[misc]
                if len(batch):
                    yield batch

    def _check_pages(self, group: int) -> None:
        check_pages(self._file, self._end, self._parquet.metadata.row_group(group), f"{self._where}!row group {group}")


def _carefully(call: Callable[[], T], where: str) -> T:
    """Call pyarrow, and make one clear error of whatever a damaged file makes of it."""
    try:
        return call()
    except _FAULTS as error:
        got = f"a Parquet file that cannot be read ({type(error).__name__}: {str(error)[:200]})"
        raise DataError(got, "a trace", _AGAIN, where=where) from error


def _opened(path: Path) -> BinaryIO:
    if path.exists() and not path.is_file():
        raise DataError("no regular file", "a trace", "Name a Parquet file.", where=str(path))
    try:
        return path.open("rb")
    except OSError as error:
        remedy = "Check the name and the permissions."
        raise DataError(f"it cannot be opened ({error.strerror})", "a trace", remedy, where=str(path)) from error


def _check_frame(file: BinaryIO, where: str) -> int:
    """Look at the first and last bytes: Parquet, whole, and with a footer that can be; gives where it begins."""
    first = file.read(4)
    size = file.seek(0, 2)
    file.seek(max(size - 8, 0))
    last = file.read(8)
    file.seek(0)
    if first != b"PAR1":
        raise DataError("a file that is no Parquet", "a trace", "Name a file that hashwarden wrote.", where=where)
    if size < 12 or last[4:] != b"PAR1":
        raise DataError("a Parquet file without its end", "a complete trace", _AGAIN, where=where)
    footer = int.from_bytes(last[:4], "little")
    if footer > min(MAX_FOOTER, size - 12):
        expected = f"up to {min(MAX_FOOTER, size - 12):,} bytes"
        raise DataError(f"a Parquet footer of {footer:,} bytes", expected, _AGAIN, where=where)
    if footer > _SMALL_FOOTER:
        file.seek(size - 8 - footer)
        cursor = Cursor(file.read(footer), _DEEPEST, _MAX_ENTRIES)
        _carefully(cursor.structure, where)
        file.seek(0)
    return size - 8 - footer


def _parquet(file: BinaryIO, metadata: pq.FileMetaData) -> pq.ParquetFile:
    """Open it for reading in batches; text stays as codes of a dictionary."""
    words = ["run", *TEXT]
    careful = {"pre_buffer": False, "buffer_size": 2**20, "page_checksum_verification": True}
    return pq.ParquetFile(file, metadata=metadata, read_dictionary=words, **careful, **_LIMITS)


def _check_shape(metadata: pq.FileMetaData, where: str) -> None:
    """Check what the metadata claims before believing it."""
    if metadata.num_columns > len(_NEEDED) + len(CHANNELS):
        got = f"{metadata.num_columns:,} columns"
        raise DataError(got, f"up to {len(_NEEDED) + len(CHANNELS)}", "Drop what is no channel.", where=where)
    if metadata.num_rows <= 0 or metadata.num_row_groups == 0:
        raise DataError("no samples", "at least one", "Record again.", where=where)
    for group in range(metadata.num_row_groups):
        _check_group(_carefully(lambda group=group: metadata.row_group(group), where), f"{where}!row group {group}")  # type: ignore[misc]


def _check_group(group: pq.RowGroupMetaData, where: str) -> None:
    if not 0 <= group.num_rows <= MAX_GROUP_ROWS:
        got = f"{group.num_rows:,} rows in one row group"
        raise DataError(got, f"up to {MAX_GROUP_ROWS:,}", "Write it with smaller row groups.", where=where)
    for place in range(group.num_columns):
        column = _carefully(lambda place=place: group.column(place), where)  # type: ignore[misc]
        size = max(column.total_uncompressed_size, column.total_compressed_size)
        if not 0 <= size <= _SPARE_BYTES + _MAX_ROW_BYTES * group.num_rows:
            got = f"a column of {size:,} bytes for {group.num_rows:,} rows"
            raise DataError(got, "some bytes a row", "Do not trust it.", where=where)


def _check_columns(schema: pa.Schema, where: str) -> None:
    names = schema.names
    twice = sorted(name for name, times in Counter(names).items() if times > 1)
    unknown = [name for name in names if name not in INDEX and name not in _NEEDED]
    missing = [name for name in _NEEDED if name not in names]
    if missing:
        raise DataError(f"no column {', '.join(missing)}", ", ".join(_NEEDED), _AGAIN, where=where)
    if twice or unknown:
        got = f"the column {(twice or unknown)[0][:60]!r} {'twice' if twice else 'that is no channel'}"
        remedy = "Drop it, or read the file with the version of hashwarden that wrote it."
        raise DataError(got, "the columns of docs/trace-format.md", remedy, where=where)
    for field in schema:
        expected = "double" if field.name == "time_s" else "string" if field.name in _NEEDED else "float"
        if _kind(field.type) != expected:
            raise DataError(
                f"the column {field.name} of type {str(field.type)[:60]}", expected, _AGAIN, where=where
            )  # fmt: skip


def _kind(found: pa.DataType) -> str:
    if pa.types.is_dictionary(found):
        found = found.value_type
    return "string" if pa.types.is_large_string(found) else str(found)
