"""Which jobs Slurm's controller is to be asked about, and when: at once, a little later, then seldom.

Who speaks of a job decides how soon. What root wrote (cgroups, the prolog's files, step daemons) comes first. Then come
jobs that ran here, are over as far as is known, and have living processes: a job that was put back into the queue runs
again under its number. Last comes what a process alone says of itself: its owner can name any number, and thousands.
"""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from enum import IntEnum
from typing import Final, final

__all__ = ["Voice", "Wanted"]

_MOST: Final = 512
"""Numbers that are kept of each voice."""

_MOST_AT_ONCE: Final = 32
_MOST_CLAIMED: Final = 8
_SOONER: Final = 4


class Voice(IntEnum):
    """Who says that a job is here; the least trusted first."""

    CLAIMED = 0
    ENDED = 1
    TOLD = 2


@dataclass(slots=True)
class _Entry:
    """A number; `next_s` is set once it was asked about in vain."""

    voice: Voice
    pending: bool = True
    asked: bool = False
    next_s: float = float("-inf")


@final
class Wanted:
    """See the module. May be called from several threads.

    Parameters
    ----------
    soon_s, every_s : float
        A job that the controller does not know to run is asked about again after the first, then each time after the
        second; after a quarter of that if it ran here and has processes.
    """

    def __init__(self, soon_s: float, every_s: float) -> None:
        self._soon_s, self._every_s = soon_s, every_s
        self._entries: dict[Voice, dict[int, _Entry]] = {voice: {} for voice in sorted(Voice, reverse=True)}
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return sum(map(len, self._entries.values()))

    def want(self, number: int, voice: Voice, now_s: float) -> None:
        """Ask about a job; what is only claimed is forgotten while it is too early."""
        with self._lock:
            entry = self._find(number)
            if entry is not None and voice <= entry.voice:
                entry.pending |= entry.voice is not Voice.CLAIMED or now_s >= entry.next_s
                return
            if entry is not None:
                del self._entries[entry.voice][number]
            among = self._entries[voice]
            among[number] = _Entry(voice)
            while len(among) > _MOST:
                del among[next(iter(among))]

    def due(self, now_s: float) -> bool:
        """Whether there is one to ask about now."""
        with self._lock:
            return next(self._due(now_s), None) is not None

    def take(self, now_s: float) -> list[int]:
        """Those to ask about now, the best voices first; they are not due until they are answered or put back."""
        with self._lock:
            found: list[int] = []
            claimed = 0
            for number, entry in self._due(now_s):
                claimed += entry.voice is Voice.CLAIMED
                if len(found) < _MOST_AT_ONCE and claimed <= _MOST_CLAIMED:
                    entry.pending = False
                    found.append(number)
            return found

    def put_back(self, numbers: Collection[int]) -> None:
        """The controller did not answer."""
        with self._lock:
            for number in numbers:
                if (entry := self._find(number)) is not None:
                    entry.pending = True

    def answered(self, numbers: Collection[int], running: Collection[int], now_s: float) -> None:
        """The controller answered; `running` are those that run."""
        with self._lock:
            for number in numbers:
                entry = self._find(number)
                if entry is not None and number in running:
                    del self._entries[entry.voice][number]
                elif entry is not None:
                    later_s = self._every_s / (_SOONER if entry.voice is Voice.ENDED else 1)
                    entry.next_s = now_s + (later_s if entry.asked else min(self._soon_s, later_s))
                    entry.asked = True

    def _due(self, now_s: float) -> Iterator[tuple[int, _Entry]]:
        for among in self._entries.values():
            yield from ((number, entry) for number, entry in among.items() if entry.pending and now_s >= entry.next_s)

    def _find(self, number: int) -> _Entry | None:
        return next((among[number] for among in self._entries.values() if number in among), None)
