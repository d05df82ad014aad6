"""How long a training took, over all the stretches that it was resumed for."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import final

__all__ = ["Stopwatch"]


@final
class Stopwatch:
    """Counts on from what an interrupted training left; what it did after its last word is not counted.

    Parameters
    ----------
    path : Path
        File that keeps the seconds so far; its folder must be there.
    told : callable
        Is told what the stopwatch is told.
    resume : bool
        Whether to count on.
    """

    def __init__(self, path: Path, told: Callable[[str], None], *, resume: bool) -> None:
        self._path, self._told, self._start = path, told, time.perf_counter()
        if resume:
            with suppress(OSError, ValueError):
                self._start -= max(0.0, float(path.read_text(encoding="ascii")))

    @property
    def seconds(self) -> float:
        """Seconds of all stretches."""
        return time.perf_counter() - self._start

    def tell(self, said: str) -> None:
        """Tell it, and keep the time."""
        self._path.write_text(f"{self.seconds:.1f}", encoding="ascii")
        self._told(said)
