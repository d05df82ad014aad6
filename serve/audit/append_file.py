"""A file that only grows, and never by half: what could not be written whole is taken back."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import Final, final

__all__ = ["AppendFile"]

_MOST_PENDING: Final = 1 << 20


@final
class AppendFile:
    """The newest file of a log.

    What was not yet synced is kept in memory too: after a failed sync the disk may have lost it without a word, so it
    is written again.

    Parameters
    ----------
    path : Path
        It is there; what lies past `size` is cut off.
    size : int
        Bytes that are good.

    Attributes
    ----------
    size : int
        Bytes that count, synced or not.
    """

    def __init__(self, path: Path, size: int) -> None:
        self.path = path
        self._handle = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW)
        self._synced, self._pending = size, bytearray()
        self._dirty = os.fstat(self._handle).st_size != size

    @property
    def size(self) -> int:
        """Bytes that count, synced or not."""
        return self._synced + len(self._pending)

    def put(self, data: bytes, *, sync: bool) -> None:
        """Append.

        Raises
        ------
        OSError
            If not all of it could be written, or synced where that was asked for; nothing of it counts then, and it is
            cut off now or, if even that fails, by the next call.
        """
        self.repair()
        try:
            _write(self._handle, data)
            if sync or len(self._pending) + len(data) > _MOST_PENDING:
                os.fdatasync(self._handle)
                self._synced += len(self._pending) + len(data)
                self._pending.clear()
            else:
                self._pending += data
        except OSError:
            self._dirty = True
            with suppress(OSError):
                self.repair()
            raise

    def sync(self) -> None:
        """Bring all that was appended to the disk.

        Raises
        ------
        OSError
            If it fails; the next call tries again.
        """
        if self._pending or self._dirty:
            self.put(b"", sync=True)

    def repair(self) -> None:
        """Cut off what does not count, and write what may be lost again.

        Raises
        ------
        OSError
            If that fails.
        """
        if not self._dirty:
            return
        os.ftruncate(self._handle, self._synced)
        _write(self._handle, bytes(self._pending))
        os.fdatasync(self._handle)
        self._synced += len(self._pending)
        self._pending.clear()
        self._dirty = False

    def close(self) -> None:
        """Let go of the file; a second call does nothing."""
        if self._handle >= 0:
            os.close(self._handle)
        self._handle = -1


def _write(handle: int, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(handle, rest) :]
