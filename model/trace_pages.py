"""The pages of a row group, looked at before they are read: their headers alone say how much memory they will take.

Arrow believes the sizes in a page's header, which the footer knows nothing of, and it takes the memory before it looks
at the page. So each header is read here first, and compared with the file, the column and a limit on the whole.
"""

from __future__ import annotations

from typing import BinaryIO, Final

import pyarrow.parquet as pq

from hashwarden.errors import DataError
from hashwarden.model.page_header import DICTIONARY, PageHeader, read_header

__all__ = ["MAX_OPEN", "MAX_WORDS", "check_pages"]

MAX_OPEN: Final = 2**28
"""Bytes that the pages of a row group may take that are open at once: of each column its dictionary and one more."""

MAX_WORDS: Final = 2**17
"""Values of the dictionary of a text column; more runs than that do not fit a footer."""

_ENCODINGS: Final = frozenset({0, 2, 8, 9})
"""Plain, by dictionary (old and new), with the bytes split. Delta encodings make much text of few bytes."""

_FIRST, _LONGEST = 256, 2**16
"""Bytes in which most headers end, and in which every header has to."""

_EXPECTED: Final = "pages that fit their column and the footer"
_REMEDY: Final = "Do not trust it; copy it again, or write it anew."


def check_pages(file: BinaryIO, end: int, group: pq.RowGroupMetaData, where: str) -> None:
    """Check what each page of a row group claims; only headers are read.

    Parameters
    ----------
    file : binary file
        Where it stands afterwards is not said.
    end : int
        Where the data ends and the footer begins.
    group : pyarrow.parquet.RowGroupMetaData
    where : str

    Raises
    ------
    DataError
        If a column does not lie in the data or has more or fewer values than the group has rows; if a page is
        larger than its column, encoded in a way that traces are not, or its header damaged; or if the pages that are
        open at once take more than `MAX_OPEN`.
    """
    opened, rows = 0, group.num_rows
    for place in range(group.num_columns):
        column = group.column(place)
        try:
            opened += _opened(file, end, column, rows)
        except (ValueError, EOFError) as error:
            here = f"{where}, column {column.path_in_schema}"
            raise DataError(str(error), _EXPECTED, _REMEDY, where=here) from error
    if opened > MAX_OPEN:
        got = f"pages of {opened:,} bytes that are open at once"
        raise DataError(got, f"up to {MAX_OPEN:,}", "Write it with smaller pages or row groups.", where=where)


def _opened(file: BinaryIO, end: int, column: pq.ColumnChunkMetaData, rows: int) -> int:
    """Go from page to page as Arrow will; gives the bytes of the dictionary and of the largest page."""
    place, stop = _extent(column, end)
    if column.num_values != rows:
        raise ValueError(f"{column.num_values:,} values for {rows:,} rows")
    limit = column.total_uncompressed_size
    dictionary = largest = seen = 0
    first = True
    while seen < rows:
        header = _header(file, place, stop)
        place += header.length + header.compressed
        _check(header, limit, stop - place)
        taken = max(header.uncompressed, header.compressed)
        if header.kind == DICTIONARY:
            if not first or (header.values > MAX_WORDS and column.physical_type == "BYTE_ARRAY"):
                raise ValueError(f"a dictionary of {header.values:,} values{'' if first else ' after other pages'}")
            dictionary = taken
        else:
            seen += header.values
            largest = max(largest, taken)
        first = False
    if seen > rows:
        raise ValueError(f"pages of {seen:,} values for {rows:,} rows")
    return dictionary + largest


def _extent(column: pq.ColumnChunkMetaData, end: int) -> tuple[int, int]:
    """Where the pages of a column begin and end; the beginning is chosen as Arrow chooses it."""
    start = column.data_page_offset
    if column.has_dictionary_page and 0 < (column.dictionary_page_offset or 0) < start:
        start = column.dictionary_page_offset
    stop = start + column.total_compressed_size
    if not 4 <= start <= stop <= end:
        raise ValueError(f"a column from byte {start:,} to {stop:,}")
    return start, stop


def _header(file: BinaryIO, place: int, stop: int) -> PageHeader:
    """The header at a place; most are short, and a longer one is read again."""
    room = stop - place
    if room <= 0:
        raise ValueError("a column that ends before its last value")
    try:
        file.seek(place)
        return read_header(file.read(min(_FIRST, room)))
    except EOFError:
        file.seek(place)
        return read_header(file.read(min(_LONGEST, room)))


def _check(header: PageHeader, limit: int, left: int) -> None:
    """Check one page of a column of ``limit`` bytes; ``left`` is what it leaves of them in the file."""
    if header.compressed < 0 or left < 0:
        raise ValueError(f"a page of {header.compressed:,} bytes, which its column does not have")
    if not 0 <= header.uncompressed <= limit:
        raise ValueError(f"a page of {header.uncompressed:,} bytes in a column of {limit:,}")
    if header.values < 0:
        raise ValueError(f"a page of {header.values:,} values")
    if header.encoding not in _ENCODINGS:
        raise ValueError(f"a page in encoding {header.encoding}")
