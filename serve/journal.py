"""Where samples go while they are recorded: a file that only grows, so that nothing written is ever lost.

Parquet has its index at the end: a recorder that is killed would leave nothing readable. So each sample goes to a
journal at once, as a record with a checksum, and the journal is made into a trace when the recording ends, or by
`recover` after a crash. A record that was cut off in the middle ends the journal; what comes before counts.
"""

from __future__ import annotations

import fcntl
import json
import os
import struct
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO, Final, final

import numpy as np
import numpy.typing as npt

from hashwarden.errors import DataError, HashwardenError, UsageError
from hashwarden.model.channels import CHANNELS, schema_hash
from hashwarden.model.storage import refusal
from hashwarden.model.trace import Run, RunInfo
from hashwarden.serve.sources.source import F32

__all__ = ["Journal", "StorageError", "journal_of", "recover"]

_HEAD: Final = struct.Struct("<2sBxII")
_SAMPLE: Final = struct.Struct("<Idd")
_MAGIC: Final = b"hw"
_FILE, _RUN, _VALUES = 0, 1, 2
_SYNC_S: Final = 5.0
_ROW: Final = np.dtype(
    [
        ("magic", "S2"), ("kind", "u1"), ("pad", "u1"), ("length", "<u4"), ("checksum", "<u4"), ("run", "<u4"),
        ("time_s", "<f8"), ("unix_s", "<f8"), ("values", "<f4", (len(CHANNELS),)),
    ]
)  # fmt: skip
"""A record with a sample: `_HEAD`, `_SAMPLE`, the values. All samples come after all runs."""


class StorageError(DataError):
    """The disk is full or fails; what was written before is kept."""


def journal_of(path: Path) -> Path:
    """Where the journal of a trace lies while it is recorded."""
    return path.with_name(path.name + ".journal")


@final
class Journal:
    """The journal of one trace.

    Parameters
    ----------
    path : Path
        Of the trace to be.
    runs : sequence of Run
        What is known of each run now; their arrays are not looked at.

    Raises
    ------
    UsageError
        If there is a journal already: another recorder writes it, or one was killed.
    StorageError
        If it cannot be written.
    """

    def __init__(self, path: Path, runs: Sequence[Run]) -> None:
        self.path = journal_of(path)
        try:
            self._file = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC, 0o644)
        except FileExistsError:
            raise _exists(self.path) from None
        except OSError as error:
            raise _storage(error, self.path) from error
        fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        self.samples = 0
        self._synced_s = 0.0
        self._write(_FILE, json.dumps({"version": 1, "channels": schema_hash()}).encode())
        for run in runs:
            self._write(_RUN, json.dumps(_described(run)).encode())

    def append(self, run: int, time_s: float, unix_s: float, values: F32) -> None:
        """Add a sample.

        Parameters
        ----------
        run : int
            Number of its run.
        time_s : float
            Seconds since the run's start.
        unix_s : float
            Seconds since 1970; that of the first sample says when the run began.
        values : float32 array, shape (len(CHANNELS),)

        Raises
        ------
        StorageError
            If the disk is full or fails.
        """
        self._write(_VALUES, _SAMPLE.pack(run, time_s, unix_s) + values.astype("<f4").tobytes())
        self.samples += 1
        if time_s - self._synced_s >= _SYNC_S:  # against a machine that goes down; a killed process loses nothing
            self._synced_s = time_s
            os.fdatasync(self._file)

    def close(self) -> None:
        """Let go of the file; a second call does nothing."""
        if self._file >= 0:
            os.close(self._file)
        self._file = -1

    def _write(self, kind: int, payload: bytes) -> None:
        record = _HEAD.pack(_MAGIC, kind, len(payload), zlib.crc32(payload)) + payload
        try:
            while record:
                record = record[os.write(self._file, record) :]
        except OSError as error:
            raise _storage(error, self.path) from error


def recover(path: Path) -> Iterator[Run]:
    """The runs of the journal of a trace, as far as they were written, one at a time.

    Parameters
    ----------
    path : Path
        Of the trace.

    Raises
    ------
    UsageError
        If another process still records it.
    DataError
        If there is no journal, or it is of another version.
    """
    journal = journal_of(path)
    with _opened(journal) as file:
        runs, offset = _heads(file, journal)
        size = os.fstat(file.fileno()).st_size
        count = max(0, size - offset) // _ROW.itemsize
        rows = np.memmap(file, _ROW, "r", offset, (count,)) if count else np.empty(0, _ROW)
        rows = rows[: _whole(rows)]
        for number, run in enumerate(runs):
            mine = np.flatnonzero(rows["run"] == number)
            if len(mine):
                info = run.info.model_copy(update={"start_unix_s": float(rows["unix_s"][mine[0]])})
                times, values = rows["time_s"][mine].astype(np.float64), rows["values"][mine].astype(np.float32)
                yield replace(run, times=times, values=values, info=info)


def _heads(file: BinaryIO, journal: Path) -> tuple[list[Run], int]:
    """The runs without their samples, and where the samples begin."""
    records = _records(file)
    kind, payload = next(records, (-1, b""))
    head = json.loads(payload) if kind == _FILE else {}
    if head.get("channels") != schema_hash():
        expected, remedy = "a journal with this version's channels", "Use that version of hashwarden."
        raise DataError("a journal of another version", expected, remedy, where=str(journal))
    runs, offset = [], file.tell()
    for kind, payload in records:
        if kind != _RUN:
            break
        runs.append(_run(json.loads(payload)))
        offset = file.tell()
    return runs, offset


def _whole(rows: npt.NDArray[np.void]) -> int:
    """Samples up to the first that is damaged."""
    data = rows.view(np.uint8).data if len(rows) else memoryview(b"")
    fits = (rows["magic"] == _MAGIC) & (rows["kind"] == _VALUES) & (rows["length"] == _ROW.itemsize - _HEAD.size)
    for number, (good, checksum) in enumerate(zip(fits.tolist(), rows["checksum"].tolist(), strict=True)):
        start = number * _ROW.itemsize
        if not good or zlib.crc32(data[start + _HEAD.size : start + _ROW.itemsize]) != checksum:
            return number
    return len(rows)


def _opened(journal: Path) -> BinaryIO:
    try:
        file = journal.open("rb")
    except OSError as error:
        expected, remedy = "the journal of a recording that was cut off", "Name the trace that was being recorded."
        raise DataError(f"no journal ({error.strerror})", expected, remedy, where=str(journal)) from error
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError as error:
        file.close()
        raise _exists(journal) from error
    return file


def _records(file: BinaryIO) -> Iterator[tuple[int, bytes]]:
    """Whole records up to the first that is not one."""
    while len(head := file.read(_HEAD.size)) == _HEAD.size:
        magic, kind, length, checksum = _HEAD.unpack(head)
        payload = file.read(length) if magic == _MAGIC else b""
        if magic != _MAGIC or len(payload) < length or zlib.crc32(payload) != checksum:
            return
        yield kind, payload


def _described(run: Run) -> dict[str, Any]:
    words = {"name": run.name, "label": run.label, "family": run.family, "strategy": run.strategy}
    return {**words, "info": run.info.model_dump_json()}


def _run(found: dict[str, Any]) -> Run:
    info = RunInfo.model_validate_json(found.pop("info"))
    return Run(times=np.empty(0), values=np.empty((0, len(CHANNELS)), np.float32), info=info, **found)


def _exists(journal: Path) -> UsageError:
    remedy = "If no recorder runs, one was killed: make a trace of it with hashwarden record --recover."
    return UsageError("there is a journal already", "no recording of this name", remedy, where=str(journal))


def _storage(error: OSError, path: Path) -> HashwardenError:
    remedy = "What was recorded so far is kept; make room, or record elsewhere."
    return StorageError(refusal(error), "room on the disk", remedy, where=str(path))
