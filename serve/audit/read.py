"""Records for those that read on: in order, one at a time, also while they are written. Nothing is checked here."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import BinaryIO, final

from hashwarden.errors import DataError
from hashwarden.serve.audit.files import LogFile, log_files, opened
from hashwarden.serve.audit.record import MOST_LINE, Record, parse

__all__ = ["Reader"]


@final
class Reader:
    """Reads a log; asked again at its end, it gives what has come since.

    Parameters
    ----------
    folder : Path

    Attributes
    ----------
    skipped : int
        Lines so far that are no records: ``hashwarden audit verify`` says more.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._place = ExitStack()
        self._file: LogFile | None = None
        self._stream: BinaryIO | None = None
        self._part = b""
        self.skipped = 0

    def __iter__(self) -> Iterator[Record]:
        """The records that have not been read yet.

        Raises
        ------
        DataError
            If the log cannot be read.
        """
        while self._stream is not None or self._next():
            yield from self._rest()
            if not self._next():
                return

    def close(self) -> None:
        """Let go of the file."""
        self._place.close()
        self._stream = None

    def _next(self) -> bool:
        """Go on to the next file, if there is one."""
        after = -1 if self._file is None else self._file.first
        return any(file.first > after and self._opened(file) for file in log_files(self._folder))

    def _opened(self, file: LogFile) -> bool:
        """Go on in a file; False if its time came while the files before it were read."""
        self.close()
        try:
            self._stream = self._place.enter_context(opened(file))
        except DataError:
            if file.path.exists():
                raise
            return False
        self.skipped += bool(self._part)
        self._file, self._part = file, b""
        return True

    def _rest(self) -> Iterator[Record]:
        while self._stream is not None and (more := self._stream.readline(MOST_LINE)):
            line = self._part + more
            if not line.endswith(b"\n") and len(line) < MOST_LINE:
                self._part = line  # it is being written
                continue
            self._part = b""
            if (record := parse(line)) is not None:
                yield record
            else:
                self.skipped += 1
