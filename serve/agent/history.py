"""How the evidence on each job went, in few points: what a person wants to see first.

The points of a long job lie further apart than those of a short one; its first and its last are always there.
"""

from __future__ import annotations

import threading
from array import array
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Final, final

from hashwarden.model.job.taxonomy import CLASSES, MINING
from hashwarden.model.sequential_state import State
from hashwarden.serve.agent.joining import watched_name

if TYPE_CHECKING:
    from hashwarden.serve.agent.judge import Watched

__all__ = ["MOST_PARTS", "POINTS", "TREND", "History"]

POINTS: Final = 240
"""Of each job on each GPU; 18 bytes each."""

MOST_PARTS: Final = 1024
"""Jobs on GPUs that points are kept of, some 5 MB; of more there are none."""

TREND: Final = 40
SPACING_S: Final = 2.0
_UNKNOWN: Final = -1


@final
class _Line:
    """One job on one GPU."""

    __slots__ = ("likeliest", "mining", "spacing_s", "state", "strength", "unix_s")

    def __init__(self) -> None:
        self.unix_s, self.strength, self.mining = array("d"), array("f"), array("f")
        self.state, self.likeliest = array("b"), array("b")
        self.spacing_s = SPACING_S

    def add(self, one: Watched, unix_s: float) -> None:
        state = one.evidence.state.value
        if self.unix_s and abs(unix_s - self.unix_s[-1]) < self.spacing_s and state == self.state[-1]:
            return
        likeliest = one.verdict.likeliest
        self.unix_s.append(unix_s)
        self.strength.append(one.evidence.strength)
        self.mining.append(one.verdict.probabilities.get(CLASSES[MINING], float("nan")))
        self.state.append(state)
        self.likeliest.append(CLASSES.index(likeliest) if likeliest else _UNKNOWN)
        if len(self.unix_s) > POINTS:
            self._thin()

    def _thin(self) -> None:
        """Leave every second point out."""
        self.spacing_s *= 2
        for each in (self.unix_s, self.strength, self.mining, self.state, self.likeliest):
            del each[1:-1:2]

    def page(self) -> dict[str, list[Any]]:
        return {
            "unix_s": [round(value, 3) for value in self.unix_s],
            "strength": [round(value, 4) for value in self.strength],
            "mining": [None if value != value else round(value, 4) for value in self.mining],  # noqa: PLR0124  NaN
            "state": [State(value).word for value in self.state],
            "likeliest": [CLASSES[value] if value >= 0 else "" for value in self.likeliest],
        }

    def trend(self, count: int) -> list[float]:
        """So many of the strengths at most, evenly spread over the points, the last one among them."""
        size = len(self.strength)
        step = max(1, -(-size // count))
        return [round(self.strength[place], 3) for place in range((size - 1) % step, size, step)]


@final
class History:
    """See the module; written by the thread that ticks, read by any."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._lines: dict[str, _Line] = {}

    def step(self, watched: Iterable[Watched], unix_s: float) -> None:
        """Note how all that is watched stands; what is not watched any more is forgotten."""
        with self._lock:
            names = set()
            for one in watched:
                name = watched_name(one.job.key, one.gpu)
                names.add(name)
                line = self._lines.get(name)
                if line is None:
                    if len(self._lines) >= MOST_PARTS:
                        continue
                    line = self._lines[name] = _Line()
                line.add(one, unix_s)
            for name in self._lines.keys() - names:
                del self._lines[name]

    def of(self, job: str, gpus: Iterable[str]) -> dict[str, dict[str, list[Any]]]:
        """The points of a job on these GPUs."""
        with self._lock:
            lines = {gpu: self._lines.get(watched_name(job, gpu)) for gpu in gpus}
            return {gpu: line.page() for gpu, line in lines.items() if line is not None}

    def trend(self, job: str, gpu: str, count: int = TREND) -> list[float]:
        """The strength of the evidence on a job, at most `count` points, oldest first; empty if there are none."""
        with self._lock:
            line = self._lines.get(watched_name(job, gpu))
            return [] if line is None else line.trend(count)
