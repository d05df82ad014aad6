"""Decompressed members: small ones in memory, large ones in an unlinked temporary file.

Containers need random access (the directory of a zip file stands at its end), and a member may be gigabytes.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from tempfile import TemporaryFile
from typing import Protocol, final

from hashwarden.errors import LimitError, TruncatedError
from hashwarden.kernels.sass.limits import Budget, limit_error
from hashwarden.kernels.sass.source import ByteSource, FileSource, MemorySource

__all__ = ["IN_MEMORY_BYTES", "FilePart", "LocalSpool", "Spool", "held", "part_of"]

IN_MEMORY_BYTES = 16 << 20
"""Members up to this size are held in memory."""


@final
class FilePart(ByteSource):
    """A part of an open file, which another process that holds the same file can find again.

    Parameters
    ----------
    descriptor : int
        The open file; the caller keeps and closes it.
    number : int
        What the file is called between processes.
    offset, size : int
        The part, in bytes.
    where : str
        Name for messages.
    """

    def __init__(self, descriptor: int, number: int, offset: int, size: int, where: str) -> None:
        self.descriptor, self.number, self.offset = descriptor, number, offset
        self.size, self.where = size, where
        self._file = FileSource(descriptor, where, offset + size)

    def _pread(self, offset: int, size: int) -> bytes | memoryview:
        return self._file.read(self.offset + offset, size)

    def part(self, offset: int, size: int, where: str) -> FilePart:
        """A part of this part."""
        return FilePart(self.descriptor, self.number, self.offset + offset, size, where)


def part_of(source: ByteSource, offset: int, size: int, where: str) -> ByteSource:
    """A part of any source, without copying; a part of a `FilePart` is one again.

    Raises
    ------
    TruncatedError
        If the source ends before the part does.
    """
    if not isinstance(source, FilePart):
        return source.window(offset, size, where)
    if offset < 0 or size < 0 or offset + size > source.size:
        raise TruncatedError(
            f"a part of {size} bytes at offset {offset} of an object of {source.size}",
            "a part that lies inside its object", "Fetch or copy the file again.", where=where,
        )  # fmt: skip
    return source.part(offset, size, where)


class Spool(Protocol):
    """Gives out empty temporary files; a sandboxed worker asks its parent for them."""

    def open(self) -> tuple[int, int]:
        """A new descriptor and the number of its file."""

    def close(self, descriptor: int, number: int) -> None:
        """Give a descriptor back; the file lives on where another process was handed it."""


@final
class LocalSpool:
    """Spool files that this process opens itself."""

    def __init__(self, folder: str | None = None) -> None:
        self._folder = folder

    def open(self) -> tuple[int, int]:
        """See `Spool`."""
        with TemporaryFile(dir=self._folder, buffering=0) as file:
            return os.dup(file.fileno()), 0

    def close(self, descriptor: int, number: int) -> None:
        """See `Spool`."""
        del number
        os.close(descriptor)


@contextmanager
def held(
    pieces: Iterable[bytes], where: str, spool: Spool, budget: Budget, packed: Callable[[], int] | None = None
) -> Iterator[ByteSource]:
    """All bytes of ``pieces`` as a source; the file behind it, if any, is closed at the end of the block.

    Parameters
    ----------
    pieces : iterable of bytes
        The decompressed member.
    where : str
        Its name.
    spool : Spool
        Where members above `IN_MEMORY_BYTES` go.
    budget : Budget
        Charged for each piece before it is kept.
    packed : callable, optional
        Compressed bytes read so far, for the expansion ratio.
    """
    parts: list[bytes] = []
    size, descriptor, number = 0, -1, -1
    try:
        for piece in pieces:
            size += len(piece)
            budget.expand(len(piece), where)
            if packed is not None:
                budget.check_ratio(packed(), size, where)
            parts.append(piece)
            if descriptor < 0 and size > IN_MEMORY_BYTES:
                descriptor, number = spool.open()
            if descriptor >= 0:
                _write(descriptor, parts, where, budget)
                parts.clear()
        yield _source(parts, descriptor, number, size, where)
    finally:
        if descriptor >= 0:
            spool.close(descriptor, number)


def _source(parts: list[bytes], descriptor: int, number: int, size: int, where: str) -> ByteSource:
    if descriptor >= 0:
        return FilePart(descriptor, number, 0, size, where)
    data = parts[0] if len(parts) == 1 else b"".join(parts)
    parts.clear()
    return MemorySource(data, where)


def _write(descriptor: int, parts: list[bytes], where: str, budget: Budget) -> None:
    try:
        for part in parts:
            view = memoryview(part)
            while view:
                view = view[os.write(descriptor, view) :]
    except OSError as error:
        if error.errno == errno.EFBIG:
            limit = budget.limits.expanded_bytes
            raise limit_error("expanded_bytes", "a member of more bytes", limit, where) from error
        raise LimitError(
            f"no room for a decompressed member ({error.strerror})",
            "room in the folder for temporary files",
            "Free some, or name another folder in TMPDIR.",
            where=where,
        ) from error
