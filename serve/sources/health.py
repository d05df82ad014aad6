"""How the sources fare: numbers for whoever watches the watcher, and the waiting between two tries."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, final

__all__ = ["Backoff", "Health"]

FIRST_S: Final = 1.0
LONGEST_S: Final = 60.0


@final
@dataclass(slots=True)
class Health:
    """Of one source; counts since the start.

    Attributes
    ----------
    success : bool
        Whether the last reading that ended was one, or had nothing to say.
    duration_s : float
        How long that took.
    busy_s : float
        All readings together.
    reads, empty, failures : int
        Readings; those with nothing to say; those that failed, openings included.
    opens : int
        Times that it was opened.
    hangs : int
        Alerts: times that it did not come back in time. Its samples are missing meanwhile.
    hanging : bool
        Whether it is away now.
    error : str
        What the last failure said.
    """

    success: bool = False
    duration_s: float = 0.0
    busy_s: float = 0.0
    reads: int = 0
    empty: int = 0
    failures: int = 0
    opens: int = 0
    hangs: int = 0
    hanging: bool = False
    error: str = ""


@final
class Backoff:
    """When to try again: after 1 s, then 2, 4, … up to 60 s.

    Parameters
    ----------
    first_s, longest_s : float
        Seconds of the first and of the longest wait.
    """

    def __init__(self, first_s: float = FIRST_S, longest_s: float = LONGEST_S) -> None:
        self._first_s, self._longest_s = first_s, longest_s
        self._wait_s, self._next_s = first_s, float("-inf")

    def ready(self, now_s: float) -> bool:
        """Whether the wait is over."""
        return now_s >= self._next_s

    def failed(self, now_s: float) -> None:
        """Wait, longer than the last time."""
        self._next_s = now_s + self._wait_s
        self._wait_s = min(2 * self._wait_s, self._longest_s)

    def succeeded(self) -> None:
        """Begin with the shortest wait again."""
        self._wait_s, self._next_s = self._first_s, float("-inf")
