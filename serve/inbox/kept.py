"""What was answered is kept: a journal of what was pushed since the agent kept its evidence last.

The agent keeps its evidence every half minute. What came since is in a journal here, on the disk before a request is
answered; after a crash it is pushed once more. A sample whose time is known from the list of jobs, which is written
right after the evidence, is a duplicate then, as any that is sent again.

The journal is a head with the hash of the table of channels, and a record for each batch: lengths and checksum, jobs
and sizes as JSON, times as float64 and values as float32. A record that was cut off ends it.
"""

from __future__ import annotations

import json
import os
import struct
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, final

import numpy as np

from hashwarden.model.channels import CHANNELS, schema_hash
from hashwarden.model.storage import refusal, replacing
from hashwarden.serve.inbox.batch import Batch, Part
from hashwarden.serve.inbox.jobs import Facts
from hashwarden.serve.journal import StorageError

__all__ = ["InboxKept"]

_HEAD: Final = struct.Struct("<2sIII")
_MAGIC: Final = b"hp"
_MOST_BYTES: Final = 1 << 30
_C: Final = len(CHANNELS)
_ROW: Final = 8 + 4 * _C


@final
class InboxKept:
    """See the module. For one thread.

    Parameters
    ----------
    folder : Path
        Of the desk alone.
    """

    def __init__(self, folder: Path) -> None:
        self._list, self._journal = folder / "jobs.json", folder / "pushed.journal"
        self._file = -1

    def jobs(self) -> list[Mapping[str, Any]]:
        """The jobs as they were kept last; none if that cannot be read."""
        with suppress(OSError, ValueError, KeyError, TypeError):
            return list(json.loads(self._list.read_bytes())["jobs"])
        return []

    def batches(self) -> Iterator[Batch]:
        """What was pushed since, in order."""
        try:
            data = memoryview(self._journal.read_bytes()[:_MOST_BYTES])
        except OSError:
            return
        records = _records(data)
        head = next(records, None)
        if head is None or head[0] != {"channels": schema_hash()}:
            return
        for told, body in records:
            with suppress(KeyError, TypeError, ValueError):
                yield _batch(told, body)

    def begin(self, jobs: Sequence[Mapping[str, Any]], waiting: Iterable[Batch]) -> None:
        """The evidence was kept: write the list of jobs, and a journal of what still waits.

        Raises
        ------
        StorageError
            If there is no room; what was kept before stays.
        """
        try:
            with replacing(self._list) as file:
                file.write(json.dumps({"jobs": list(jobs)}, separators=(",", ":")).encode())
            with replacing(self._journal) as file:
                file.write(_record({"channels": schema_hash()}, b""))
                for batch in waiting:
                    file.write(_record(*_told(batch)))
            self.close()
            self._file = os.open(self._journal, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
        except OSError as error:
            raise _storage(error, self._journal) from error

    def append(self, batches: Sequence[Batch]) -> None:
        """Write down what was pushed, onto the disk; errors as `begin`."""
        if not batches:
            return
        data = b"".join(_record(*_told(batch)) for batch in batches)
        try:
            size = os.lseek(self._file, 0, os.SEEK_END)
            try:
                while data:
                    data = data[os.write(self._file, data) :]
                os.fdatasync(self._file)
            except OSError:
                os.ftruncate(self._file, size)  # half a record would hide all that come after it
                raise
        except OSError as error:
            raise _storage(error, self._journal) from error

    def close(self) -> None:
        """Let go of the file."""
        if self._file >= 0:
            os.close(self._file)
        self._file = -1


def _storage(error: OSError, path: Path) -> StorageError:
    return StorageError(refusal(error), "room on the disk", "Make room.", where=str(path))


def _told(batch: Batch) -> tuple[dict[str, Any], bytes]:
    told = {
        "jobs": [facts.record() for facts in batch.jobs],
        "parts": [{"job": part.job, "gpu": part.gpu, "rows": len(part.unix)} for part in batch.parts],
    }
    arrays = (part.unix.astype("<f8").tobytes() + part.values.astype("<f4").tobytes() for part in batch.parts)
    return told, b"".join(arrays)


def _batch(told: Mapping[str, Any], body: memoryview) -> Batch:
    parts, at = [], 0
    for part in told["parts"]:
        rows = int(part["rows"])
        unix = np.frombuffer(body, "<f8", rows, at)
        values = np.frombuffer(body, "<f4", rows * _C, at + 8 * rows).reshape(rows, _C)
        parts.append(Part(int(part["job"]), str(part["gpu"]), unix, values))
        at += rows * _ROW
    return Batch(tuple(Facts.read(each) for each in told["jobs"]), tuple(parts))


def _record(told: Mapping[str, Any], body: bytes) -> bytes:
    head = json.dumps(told, separators=(",", ":")).encode()
    return _HEAD.pack(_MAGIC, len(head), len(body), zlib.crc32(body, zlib.crc32(head))) + head + body


def _records(data: memoryview) -> Iterator[tuple[Any, memoryview]]:
    at = 0
    while at + _HEAD.size <= len(data):
        magic, size, more, checksum = _HEAD.unpack_from(data, at)
        begin, middle = at + _HEAD.size, at + _HEAD.size + size
        head, body = data[begin:middle], data[middle : middle + more]
        if magic != _MAGIC or len(body) != more or zlib.crc32(body, zlib.crc32(head)) != checksum:
            return
        yield json.loads(bytes(head)), body
        at = middle + more
