"""What the agent cannot see just now: each begins and ends once in the log, however often it is looked at."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final, final

from hashwarden.serve.policy.observation import Blindness

__all__ = ["Blind", "Blinds"]

HOLD_S: Final = 10.0
"""It has to be well for so long before it counts as over: what comes and goes every second is one blindness."""


@final
@dataclass(slots=True)
class Blind:
    """One blindness.

    Attributes
    ----------
    kind : Blindness
    subject : str
        Of what: a source, a GPU, a job; empty for the whole node.
    detail : str
        In words.
    since_s, since_unix_s : float
        Monotonic clock, and since 1970.
    last_s : float
        When it was last seen so.
    """

    kind: Blindness
    subject: str
    detail: str
    since_s: float
    since_unix_s: float
    last_s: float


@final
class Blinds:
    """All of them.

    Parameters
    ----------
    told : callable
        Is told of each that begins (True) and ends (False).

    Attributes
    ----------
    begun : dict of Blindness to int
        How many began, by kind.
    """

    def __init__(self, told: Callable[[Blind, bool], None]) -> None:
        self._told = told
        self._now: dict[tuple[Blindness, str], Blind] = {}
        self._early: dict[tuple[Blindness, str], tuple[float, float]] = {}
        self.begun: dict[Blindness, int] = dict.fromkeys(Blindness, 0)

    def __iter__(self) -> Iterator[Blind]:
        return iter(list(self._now.values()))

    def has(self, kind: Blindness, subject: str = "") -> bool:
        """Whether this one is there."""
        return (kind, subject) in self._now

    def see(  # noqa: PLR0913, PLR0917
        self, kind: Blindness, subject: str, detail: str, time_s: float, unix_s: float, after_s: float = 0.0
    ) -> None:
        """It is so now; told if it has been so for `after_s` with no gap of `HOLD_S`."""
        known = self._now.get((kind, subject))
        if known is not None:
            known.last_s, known.detail = time_s, detail
            return
        first_s, last_s = self._early.get((kind, subject), (time_s, time_s))
        first_s = time_s if time_s - last_s >= HOLD_S else first_s
        if time_s - first_s < after_s:
            self._early[kind, subject] = first_s, time_s
            return
        self._early.pop((kind, subject), None)
        blind = Blind(kind, subject, detail, time_s, unix_s, time_s)
        self._now[kind, subject] = blind
        self.begun[kind] += 1
        self._told(blind, True)

    def settle(self, time_s: float) -> None:
        """End those that were not seen for a while."""
        self._early = {key: seen for key, seen in self._early.items() if time_s - seen[1] < HOLD_S}
        for key, blind in list(self._now.items()):
            if time_s - blind.last_s >= HOLD_S:
                del self._now[key]
                self._told(blind, False)

    def forget(self, subject: str) -> None:
        """What it was about is gone; that is no end of a blindness, but nothing is left to be seen."""
        self._early = {key: seen for key, seen in self._early.items() if key[1] != subject}
        for key in [key for key in self._now if key[1] == subject]:
            self._told(self._now.pop(key), False)
