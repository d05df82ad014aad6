"""A Parquet kernel mix table as a found object, read in batches and never on trust."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import replace
from typing import final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from hashwarden.kernels.sass.found import Mixes
from hashwarden.kernels.sass.limits import Budget, limit_error
from hashwarden.kernels.sass.parquet import from_arrow, schema
from hashwarden.kernels.sass.source import ByteSource
from hashwarden.kernels.sass.table import MixTable

__all__ = ["BATCH_ROWS", "read_mix_table"]

BATCH_ROWS = 2048
_FOOTER_BYTES = 64 << 20
_TELLING = {"kernel", "n_instr", "op"}
"""Columns by which a kernel mix table is told from any other Parquet file."""


def read_mix_table(source: ByteSource, budget: Budget) -> Iterator[Mixes]:
    """The rows of a kernel mix table, `BATCH_ROWS` at a time; nothing for a Parquet file of another kind.

    Raises
    ------
    DataError
        If columns are missing or wrong.
    LimitError
        If it has more rows, or grows to more bytes, than a target may.
    """
    with _opened(source) as file:
        if not set(file.schema_arrow.names) >= _TELLING:
            return
        if file.metadata.num_rows > budget.limits.objects:
            raise limit_error("objects", f"{file.metadata.num_rows:,} rows", budget.limits.objects, source.where)
        wanted = [name for name in schema(labelled=False).names if name in file.schema_arrow.names]
        for batch in file.iter_batches(BATCH_ROWS, columns=wanted, use_threads=False):
            budget.count(source.where, batch.num_rows)
            budget.expand(batch.nbytes, source.where)
            yield Mixes(source.where, _named(from_arrow(pa.Table.from_batches([batch]), source.where), source.where))


def _opened(source: ByteSource) -> pq.ParquetFile:
    reader = pa.PythonFile(io.BufferedReader(_Reader(source), 1 << 16), "r")
    return pq.ParquetFile(
        reader, pre_buffer=False, thrift_string_size_limit=_FOOTER_BYTES, thrift_container_size_limit=1 << 20
    )


def _named(table: MixTable, where: str) -> MixTable:
    """The table without labels, and with its own name where a row does not say its file."""
    file = np.array([name or where for name in table.text["file"]], object)
    return replace(table, text={**table.text, "file": file}, is_mining=None)


@final
class _Reader(io.RawIOBase):
    """A `ByteSource` as a file object."""

    def __init__(self, source: ByteSource) -> None:
        super().__init__()
        self._source, self._at = source, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = 0) -> int:
        self._at = max(0, offset + (0, self._at, self._source.size)[whence])
        return self._at

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        size = max(0, min(len(buffer), self._source.size - self._at))
        buffer[:size] = self._source.read(self._at, size)
        self._at += size
        return size
