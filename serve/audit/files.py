"""The files of a log: their names, their order, and their lines.

``audit-000000000000.jsonl`` holds the records from number 0 on; each later file is named by its first record. Closed
files may be compressed with zstd (``.jsonl.zst``); what is hashed are the lines inside.
"""

from __future__ import annotations

import errno
import io
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final, cast, final

import zstandard

from hashwarden.errors import DataError
from hashwarden.serve.audit.record import MOST_LINE

__all__ = ["LogFile", "is_name", "lines", "log_files", "name_of", "opened"]

_NAME: Final = re.compile(r"audit-(\d{12,18})\.jsonl(\.zst)?")
_BUFFER: Final = 1 << 18
_MOST_WINDOW: Final = 1 << 27


@final
@dataclass(frozen=True, slots=True)
class LogFile:
    """One file.

    Attributes
    ----------
    path : Path
    first : int
        Number of its first record.
    compressed : bool
    """

    path: Path
    first: int
    compressed: bool


def is_name(name: str) -> bool:
    """Whether a file of a log may be called so."""
    return _NAME.fullmatch(name) is not None


def name_of(first: int) -> str:
    """What the file that begins with this record is called."""
    return f"audit-{first:012d}.jsonl"


def log_files(folder: Path, *, twice: bool = False) -> list[LogFile]:
    """All files of a log, in the order of their records.

    Parameters
    ----------
    folder : Path
    twice : bool
        Take the plain one of a file that is also there compressed, as while somebody compresses it.

    Raises
    ------
    DataError
        If the folder cannot be read, or a file is there both compressed and not.
    """
    found: dict[int, LogFile] = {}
    try:
        names = sorted(os.listdir(folder))  # noqa: PTH208  names are enough
    except OSError as error:
        expected, remedy = "the folder of an audit log", "Name the folder that the agent writes to."
        raise DataError(f"it cannot be read ({error.strerror})", expected, remedy, where=str(folder)) from error
    for name in names:
        if match := _NAME.fullmatch(name):
            one = LogFile(folder / name, int(match[1]), match[2] is not None)
            if one.first in found and twice:
                continue  # the plain one's name comes first
            if one.first in found:
                remedy = "Keep one of them: compare their lines."
                raise DataError("a file twice", "each once, compressed or not", remedy, where=str(one.path))
            found[one.first] = one
    return [found[first] for first in sorted(found)]


@contextmanager
def opened(file: LogFile) -> Iterator[BinaryIO]:
    """The lines of a file, unpacked if need be; a link is not followed.

    Raises
    ------
    DataError
        If it cannot be read.
    """
    try:
        handle = os.open(file.path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError as error:
        words = "it is a link" if error.errno == errno.ELOOP else f"it cannot be read ({error.strerror})"
        raise DataError(words, "a file of the log", "Run as a user who may.", where=str(file.path)) from error
    with os.fdopen(handle, "rb", buffering=_BUFFER) as raw:
        if not file.compressed:
            yield raw
            return
        stream = zstandard.ZstdDecompressor(max_window_size=_MOST_WINDOW).stream_reader(raw, read_across_frames=True)
        with io.BufferedReader(cast("io.RawIOBase", stream), _BUFFER) as reader:
            yield cast("BinaryIO", reader)


def lines(stream: BinaryIO, path: Path) -> Iterator[bytes]:
    """Lines with their ends, each bounded; a longer one comes in pieces that are no records.

    Raises
    ------
    DataError
        If the bytes cannot be read or unpacked.
    """
    while True:
        try:
            line = stream.readline(MOST_LINE)
        except (OSError, zstandard.ZstdError) as error:
            raise DataError(
                f"it cannot be read ({error})", "a whole file", "It is damaged.", where=str(path)
            ) from error
        if not line:
            return
        yield line
