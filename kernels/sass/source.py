"""Random access to bytes without holding them: memory, a file read in pieces, a window of either.

A memory-mapped library counts against a process's resident memory page by page; `pread` does not,
so a 2 GB file is scanned with a few megabytes.
"""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from typing import final

from hashwarden.errors import TruncatedError

__all__ = ["ByteSource", "FileSource", "MemorySource", "WindowSource"]


class ByteSource(ABC):
    """Bytes of a known size that can be read at any offset.

    Attributes
    ----------
    size : int
        Number of bytes.
    where : str
        Name for messages: a path, or a path inside an archive.
    """

    size: int
    where: str

    @abstractmethod
    def _pread(self, offset: int, size: int) -> bytes | memoryview: ...

    def read(self, offset: int, size: int) -> bytes | memoryview:
        """Exactly ``size`` bytes from ``offset``.

        Raises
        ------
        TruncatedError
            If the source ends before ``offset + size``.
        """
        if offset < 0 or size < 0 or offset + size > self.size:
            raise TruncatedError(
                f"{size} bytes wanted at offset {offset}, the object has {self.size}",
                "an object as long as its headers say",
                "Fetch or copy the file again.",
                where=self.where,
            )
        data = self._pread(offset, size)
        if len(data) != size:
            raise TruncatedError(
                f"{len(data)} of {size} bytes at offset {offset}: the file shrank while it was read",
                "a file that stays as it is",
                "Scan it again when nothing writes to it.",
                where=self.where,
            )
        return data

    def window(self, offset: int, size: int, where: str | None = None) -> WindowSource:
        """A view of ``size`` bytes from ``offset``, without copying."""
        return WindowSource(self, offset, size, where or self.where)


@final
class MemorySource(ByteSource):
    """Bytes that are in memory already."""

    def __init__(self, data: bytes | bytearray | memoryview, where: str) -> None:
        self._data = memoryview(data).cast("B")
        self.size, self.where = self._data.nbytes, where

    def _pread(self, offset: int, size: int) -> memoryview:
        return self._data[offset : offset + size]


@final
class FileSource(ByteSource):
    """An open file descriptor, read by position; the caller keeps and closes the descriptor."""

    def __init__(self, descriptor: int, where: str, size: int | None = None) -> None:
        self._descriptor = descriptor
        self.size = os.fstat(descriptor).st_size if size is None else size
        self.where = where

    def _pread(self, offset: int, size: int) -> bytes:
        parts: list[bytes] = []
        while size > 0:
            part = os.pread(self._descriptor, min(size, 1 << 30), offset)
            if not part:
                break
            parts.append(part)
            offset, size = offset + len(part), size - len(part)
        return parts[0] if len(parts) == 1 else b"".join(parts)


@final
class WindowSource(ByteSource):
    """A part of another source."""

    def __init__(self, parent: ByteSource, offset: int, size: int, where: str) -> None:
        if offset < 0 or size < 0 or offset + size > parent.size:
            raise TruncatedError(
                f"a part of {size} bytes at offset {offset} of an object of {parent.size}",
                "a part that lies inside its object",
                "Fetch or copy the file again.",
                where=where,
            )
        self._parent, self._offset = parent, offset
        self.size, self.where = size, where

    def _pread(self, offset: int, size: int) -> bytes | memoryview:
        return self._parent.read(self._offset + offset, size)
