"""The names of function handles by process, as processes looked them up. Names come from users: they are data."""

from __future__ import annotations

import sys
from collections import OrderedDict
from typing import Final, NamedTuple, final

from hashwarden.serve.jobs.job import ProcessKey

__all__ = ["MOST_BYTES", "MOST_BYTES_OF_ONE", "MOST_HANDLES", "Known", "Names", "decoded"]

MOST_HANDLES: Final = 200_000
"""Of all processes together; they took 53 MiB with names of 60 characters, 65 MiB with 120. Of names of 255 characters
158,000 have room in `MOST_BYTES`, and took 76 MiB. The process that was heard of least lately is forgotten."""

MOST_BYTES: Final = 48 << 20
"""Of all names, each counted once, with the 49 bytes that Python adds to a text: some 200 characters for each of the
most handles."""

MOST_BYTES_OF_ONE: Final = 16 << 20
"""Of the names of one process, so that one with long ones takes no room from others."""

_MOST_OF_ONE: Final = 65_536


def decoded(name: bytes) -> str:
    """A name as the reader of machine code gives it, so that both are the same text."""
    return name.decode("utf-8", "replace")


class Known(NamedTuple):
    """What is known of a handle.

    Attributes
    ----------
    name : str
    time_ns : int
        When it was looked up last, since boot.
    """

    name: str
    time_ns: int


@final
class Names:
    """Handles of processes, bounded in number and in the room that their names take."""

    def __init__(self, most: int = MOST_HANDLES, most_bytes: int = MOST_BYTES) -> None:
        self._most, self._most_bytes, self._total = most, most_bytes, 0
        self._handles: OrderedDict[ProcessKey, dict[int, Known]] = OrderedDict()
        self._sizes: dict[ProcessKey, int] = {}
        self._texts: dict[str, str] = {}
        self._text_bytes = 0
        self.forgotten = 0

    def __len__(self) -> int:
        return self._total

    def put(self, process: ProcessKey, handle: int, name: str, time_ns: int) -> None:
        """A process looked a name up."""
        known = self._handles.setdefault(process, {})
        self._handles.move_to_end(process)
        size = self._sizes.get(process, 0) + sys.getsizeof(name)
        if handle in known:
            size -= sys.getsizeof(known[handle].name)
        elif len(known) >= _MOST_OF_ONE:
            size = MOST_BYTES_OF_ONE + 1
        if size > MOST_BYTES_OF_ONE:
            self.forgotten += 1
            return
        self._total += handle not in known
        self._sizes[process] = size
        known[handle] = Known(self._shared(name), time_ns)
        self._shrink()

    def alias(self, process: ProcessKey, handle: int, other: int, time_ns: int) -> None:
        """A process got another handle of what it has."""
        known = self.get(process, other)
        if known is not None:
            self.put(process, handle, known.name, time_ns)

    def get(self, process: ProcessKey, handle: int) -> Known | None:
        """What is known of a handle."""
        return self._handles.get(process, {}).get(handle)

    def forget(self, process: ProcessKey) -> None:
        """A process has ended."""
        self._total -= len(self._handles.pop(process, {}))
        self._sizes.pop(process, None)
        if not self._handles or len(self._texts) > 2 * self._total + 1024:
            self._tidy()

    @property
    def processes(self) -> tuple[ProcessKey, ...]:
        """Those of which anything is known."""
        return tuple(self._handles)

    def _shared(self, name: str) -> str:
        text = self._texts.get(name)
        if text is None:
            text = self._texts[name] = name
            self._text_bytes += sys.getsizeof(name)
        return text

    def _tidy(self) -> None:
        """Let go of names that no handle has any more."""
        self._texts = {known.name: known.name for each in self._handles.values() for known in each.values()}
        self._text_bytes = sum(map(sys.getsizeof, self._texts))

    def _shrink(self) -> None:
        while self._total > self._most and len(self._handles) > 1:
            self._forget_oldest()
        if self._text_bytes > self._most_bytes:
            self._tidy()
            while (
                self._text_bytes > self._most_bytes * 3 // 4 and len(self._handles) > 1
            ):  # not again with the next name
                self._forget_oldest()
                self._tidy()

    def _forget_oldest(self) -> None:
        first = next(iter(self._handles))
        self.forgotten += len(self._handles[first])
        self.forget(first)
