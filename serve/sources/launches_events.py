"""Reads the ring in which the probes tell what was looked up."""

from __future__ import annotations

import mmap
import struct
import threading
from collections.abc import Iterator
from contextlib import suppress
from typing import Final, NamedTuple, final

from hashwarden.serve.sources.launches_bpf import Map

__all__ = ["LONGEST_NAME", "Event", "Ring", "parse"]

LONGEST_NAME: Final = 4095
"""Bytes of a name; what is longer is cut here."""

_NAMED, _ALIAS = 1, 2
_HEAD: Final = struct.Struct("<IIQQQII")
_WORD: Final = struct.Struct("<Q")
_LENGTH: Final = struct.Struct("<I")
_BUSY, _DISCARDED = 1 << 31, 1 << 30
_RECORD_HEAD: Final = 8
_PAGE: Final = mmap.PAGESIZE


class Event(NamedTuple):
    """A process learned what a handle is.

    Attributes
    ----------
    pid : int
    time_ns : int
        Since boot.
    handle : int
    name : bytes or None
        None if it is another handle of what `other` is.
    other : int
    """

    pid: int
    time_ns: int
    handle: int
    name: bytes | None
    other: int = 0


def parse(record: bytes) -> Event | None:
    """Read one record; None if it is none of ours."""
    if len(record) < _HEAD.size:
        return None
    kind, pid, time_ns, handle, other, size, _ = _HEAD.unpack_from(record)
    if kind == _ALIAS:
        return Event(pid, time_ns, handle, None, other)
    name = record[_HEAD.size : _HEAD.size + size].partition(b"\0")[0][:LONGEST_NAME]
    return Event(pid, time_ns, handle, name) if kind == _NAMED and name else None


@final
class Ring:
    """The reader of a ring; the kernel writes, this reads and says how far it came.

    Parameters
    ----------
    ring : Map
    """

    def __init__(self, ring: Map) -> None:
        self._size = ring.entries
        self._own = mmap.mmap(ring.fd, _PAGE)
        try:  # the data follow the writer's page twice, so that no record is torn at the end
            self._data = mmap.mmap(ring.fd, _PAGE + 2 * self._size, prot=mmap.PROT_READ, offset=_PAGE)
        except BaseException:
            self._own.close()
            raise
        self._fence = threading.Lock()

    def read(self, most: int) -> Iterator[Event]:
        """What came since, oldest first, at most so many records; what is not yet finished comes the next time."""
        (at,) = _WORD.unpack_from(self._own)
        for _ in range(most):
            (end,) = _WORD.unpack_from(self._data)
            with self._fence:  # what follows must be read after how far the writer came
                pass
            if at >= end:
                return
            place = _PAGE + at % self._size
            (length,) = _LENGTH.unpack_from(self._data, place)
            if length & _BUSY:
                return
            size = length & ~(_BUSY | _DISCARDED)
            record = b"" if length & _DISCARDED else self._data[place + _RECORD_HEAD : place + _RECORD_HEAD + size]
            at += (size + _RECORD_HEAD + 7) // 8 * 8
            _WORD.pack_into(self._own, 0, at)
            event = parse(record)
            if event is not None:
                yield event

    def close(self) -> None:
        """Unmap it."""
        for view in (self._own, self._data):
            with suppress(BufferError, ValueError):
                view.close()
