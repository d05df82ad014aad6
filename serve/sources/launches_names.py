"""The names of function handles by process, as processes looked them up. Names come from users: they are data."""

from __future__ import annotations

from collections import OrderedDict
from typing import Final, NamedTuple, final

from hashwarden.serve.jobs.job import ProcessKey

__all__ = ["MOST_HANDLES", "Known", "Names", "decoded"]

MOST_HANDLES: Final = 200_000
"""Of all processes together; they took 66 MiB with names of 60 characters, 104 MiB with 255. The process that was heard
of least lately is forgotten."""

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
    """Handles of processes, bounded in number."""

    def __init__(self, most: int = MOST_HANDLES) -> None:
        self._most, self._total = most, 0
        self._handles: OrderedDict[ProcessKey, dict[int, Known]] = OrderedDict()
        self._texts: dict[str, str] = {}
        self.forgotten = 0

    def __len__(self) -> int:
        return self._total

    def put(self, process: ProcessKey, handle: int, name: str, time_ns: int) -> None:
        """A process looked a name up."""
        known = self._handles.setdefault(process, {})
        self._handles.move_to_end(process)
        if handle not in known:
            if len(known) >= _MOST_OF_ONE:
                self.forgotten += 1
                return
            self._total += 1
        known[handle] = Known(self._texts.setdefault(name, name), time_ns)
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
        if not self._handles:
            self._texts.clear()
        elif len(self._texts) > 2 * self._total + 1024:
            self._texts = {known.name: known.name for each in self._handles.values() for known in each.values()}

    @property
    def processes(self) -> tuple[ProcessKey, ...]:
        """Those of which anything is known."""
        return tuple(self._handles)

    def _shrink(self) -> None:
        while self._total > self._most and len(self._handles) > 1:
            first = next(iter(self._handles))
            self.forgotten += len(self._handles[first])
            self.forget(first)
