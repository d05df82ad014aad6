"""Samples as an Arrow IPC stream: one table, a row a sample, with the columns ``id``, ``gpu``, ``unix_s`` and channels.

Columns of text (``user``, ``account``, … as in JSON) say more of a job; within a job each has one word. Nothing of a
stream is believed: its types are looked at before its batches are read, batches are validated before they are used,
and compressed buffers are refused, for a few bytes could become any number of them.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Final, TypeVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from hashwarden.errors import DataError, LimitError, UsageError
from hashwarden.model.channels import CHANNELS
from hashwarden.serve.api.jobs_bodies import Told, known_channel, one_job_each, read_json
from hashwarden.serve.api.jobs_models import JobIn
from hashwarden.serve.inbox.batch import Batch, Part
from hashwarden.serve.inbox.jobs import MOST_ID, Facts
from hashwarden.serve.scan.text import printable

__all__ = ["batch_of_arrow"]

I64 = npt.NDArray[np.int64]

T = TypeVar("T")

_NEEDED: Final = ("id", "gpu", "unix_s")
_TEXT: Final = ("user", "account", "partition", "qos", "namespace", "pod", "container", "name")
_MOST_COLUMNS: Final = 3 + len(_TEXT) + len(CHANNELS)
_RECORD_BATCH: Final = 3
_DICTIONARY: Final = 2
_AGAIN: Final = "Send what pyarrow.ipc.new_stream writes, without compression."
_FAULTS: Final = (
    pa.ArrowException, OSError, ValueError, TypeError, KeyError, IndexError, OverflowError, MemoryError,
    NotImplementedError, EOFError, struct.error,
)  # fmt: skip


def batch_of_arrow(body: bytes, told: Told) -> Batch:
    """Read a stream.

    Raises
    ------
    DataError
        If it is damaged, compressed, or its columns are not these.
    LimitError
        If it holds more rows than a request may.
    UsageError
        If a column is no channel, or a word cannot be.
    """
    _carefully(lambda: _check_messages(body))
    reader = _carefully(lambda: pa.ipc.open_stream(body))
    channels = _carefully(lambda: _check_schema(reader.schema))
    batches, rows = [], 0
    while (batch := _carefully(lambda: next(reader, None))) is not None:
        rows += batch.num_rows
        if rows > told.rows:
            raise LimitError(f"over {told.rows:,} samples", f"up to {told.rows:,} in one request", "Send fewer.")
        _carefully(lambda batch=batch: batch.validate(full=True))  # type: ignore[misc]
        batches.append(batch)
    if not rows:
        raise DataError("no samples", "at least one", "Send rows.")
    table = _carefully(lambda: pa.Table.from_batches(batches).combine_chunks())
    return _carefully(lambda: _batch(table, channels, told))


def _carefully(call: Callable[[], T]) -> T:
    """Call pyarrow, and make one clear error of whatever a damaged stream makes of it."""
    try:
        return call()
    except _FAULTS as error:
        got = f"an Arrow stream that cannot be read ({type(error).__name__}: {printable(str(error)[:160])})"
        raise DataError(got, "a whole stream", _AGAIN) from None


def _check_messages(body: bytes) -> None:
    reader = pa.ipc.MessageReader.open_stream(body)
    while True:
        try:
            message = reader.read_next_message()
        except StopIteration:
            return
        if _is_compressed(message.metadata.to_pybytes()):
            raise DataError("compressed buffers", "plain ones", _AGAIN)


def _is_compressed(metadata: bytes) -> bool:
    """By the flatbuffer of a message: org.apache.arrow.flatbuf.Message, its header, its field ``compression``."""
    message = _follow(metadata, 0)
    kind_at, header_at = _field(metadata, message, 1), _field(metadata, message, 2)
    kind = metadata[kind_at] if kind_at else 0
    if kind not in {_RECORD_BATCH, _DICTIONARY} or not header_at:
        return False
    batch = _follow(metadata, header_at)
    if kind == _DICTIONARY:
        data_at = _field(metadata, batch, 1)
        if not data_at:
            return False
        batch = _follow(metadata, data_at)
    return _field(metadata, batch, 3) > 0


def _follow(data: bytes, at: int) -> int:
    return at + int(struct.unpack_from("<I", data, at)[0])


def _field(data: bytes, table: int, number: int) -> int:
    """Where a field of a table is; 0 if it is not there."""
    vtable = table - int(struct.unpack_from("<i", data, table)[0])
    if vtable < 0:
        raise ValueError("a table without its list of fields")
    size = int(struct.unpack_from("<H", data, vtable)[0])
    place = 4 + 2 * number
    offset = int(struct.unpack_from("<H", data, vtable + place)[0]) if place + 2 <= size else 0
    return table + offset if offset else 0


def _check_schema(schema: pa.Schema) -> dict[str, int]:
    """The channels among the columns, and their places."""
    names = schema.names
    if len(names) > _MOST_COLUMNS or len(set(names)) != len(names):
        raise DataError(f"{len(names)} columns", f"up to {_MOST_COLUMNS}, each once", _AGAIN)
    missing = [name for name in _NEEDED if name not in names]
    if missing:
        raise DataError(f"no column {', '.join(missing)}", ", ".join(_NEEDED), "Add it.")
    found = {name: known_channel(name) for name in names if name not in (*_NEEDED, *_TEXT)}
    for field in schema:
        text = field.name in ("id", "gpu", *_TEXT)
        if not (_is_text(field.type) if text else pa.types.is_floating(field.type)):
            raise DataError(f"{str(field.type)[:60]} in {printable(field.name[:60])}", "text" if text else "float",
                            "Convert it.")  # fmt: skip
    return found


def _is_text(kind: pa.DataType) -> bool:
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _batch(table: pa.Table, channels: Mapping[str, int], told: Told) -> Batch:
    ids, id_codes = _words(table, "id", MOST_ID)
    gpus, gpu_codes = _words(table, "gpu", 128)
    unix = np.asarray(_floats(table, "unix_s"), np.float64)
    if not np.isfinite(unix).all():
        raise UsageError("unix_s that is null or infinite", "seconds since 1970 in every row", "Correct it.")
    values = np.full((len(unix), len(CHANNELS)), np.nan, np.float32)
    with np.errstate(over="ignore"):
        for name, place in channels.items():
            values[:, place] = _floats(table, name)
    words = {name: _words(table, name, 128) for name in _TEXT if name in table.column_names}
    pairs = list(_pairs(id_codes, gpu_codes, len(gpus)))
    owned: dict[int, list[str]] = {}
    for job, gpu, _ in pairs:
        owned.setdefault(job, []).append(gpus[gpu])
    said = _said(words, id_codes)
    jobs = [_facts(ids[job], owned[job], said[job], told) for job in owned]
    place_of = {job: place for place, job in enumerate(owned)}
    parts = [_part(place_of[job], gpus[gpu], rows, unix, values) for job, gpu, rows in pairs]
    return Batch(one_job_each(jobs), tuple(parts))


def _part(job: int, gpu: str, rows: I64, unix: npt.NDArray[np.float64], values: npt.NDArray[np.float32]) -> Part:
    order = rows[np.argsort(unix[rows], kind="stable")]
    return Part(job, gpu, unix[order], values[order])


def _pairs(ids: I64, gpus: I64, size: int) -> Iterator[tuple[int, int, I64]]:
    """Each job on each GPU, with its rows."""
    codes = ids * size + gpus
    order = np.argsort(codes, kind="stable")
    found, starts = np.unique(codes[order], return_index=True)
    for code, rows in zip(found.tolist(), np.split(order, starts[1:]), strict=True):
        yield code // size, code % size, rows


def _said(words: Mapping[str, tuple[list[str], I64]], ids: I64) -> dict[int, dict[str, str]]:
    """What the columns of text say of each job: one word each."""
    jobs, first, of = np.unique(ids, return_index=True, return_inverse=True)
    for name, (_, codes) in words.items():
        if (codes != codes[first][of]).any():
            raise UsageError(f"a {name} that changes within a job", "one for each job", "Correct it.")
    return {
        job: {name: listed[int(codes[row])] for name, (listed, codes) in words.items()}
        for job, row in zip(jobs.tolist(), first.tolist(), strict=True)
    }


def _facts(id_: str, gpus: list[str], said: dict[str, str], told: Told) -> Facts:
    """As JSON would be judged."""
    checked = read_json(JobIn, json.dumps({"id": id_, "gpus": list(dict.fromkeys(gpus)), **said}).encode())
    facts = Facts(cluster=told.cluster, scheduler=told.scheduler, id=checked.id, gpus=tuple(checked.gpus))
    return replace(facts, **{name: getattr(checked, name) for name in said})


def _words(table: pa.Table, name: str, most: int) -> tuple[list[str], I64]:
    """The distinct words of a column, and which each row has; null is empty."""
    column = table.column(name).combine_chunks()
    if not isinstance(column, pa.DictionaryArray):
        column = column.dictionary_encode()
    listed = [word if word is not None else "" for word in column.dictionary.to_pylist()]
    if any(len(word) > most for word in listed):
        raise UsageError(f"a {name} of over {most} characters", f"up to {most}", "Shorten it.")
    codes = column.indices.cast(pa.int64()).fill_null(len(listed)).to_numpy(zero_copy_only=False)
    place = {word: number for number, word in enumerate(dict.fromkeys([*listed, ""]))}
    return list(place), np.array([place[word] for word in [*listed, ""]], np.int64)[codes]


def _floats(table: pa.Table, name: str) -> npt.NDArray[np.float64]:
    found: npt.NDArray[np.float64] = table.column(name).cast(pa.float64()).to_numpy()
    return found
