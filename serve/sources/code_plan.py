"""Which processes are read when.

Neither a job that loads modules all the time nor one that starts processes all the time may cost more than a fixed
share of a core, or keep the others from being read.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from math import isnan
from typing import Final, final

from hashwarden.serve.jobs.job import ProcessKey
from hashwarden.serve.launch_board import LaunchProfile
from hashwarden.serve.sources.code_wire import Told

__all__ = ["AGAIN_S", "EVERY_S", "CpuBudget", "Plan", "Watched"]

EVERY_S: Final = 1800.0
"""A process is read at least so often: memory changes without a word."""
AGAIN_S: Final = 60.0
"""Least time between two readings of one process; doubled each time that one brings nothing."""
FORGET_S: Final = 600.0
"""A process without launches for so long is forgotten."""
BATCH: Final = 8
"""Processes that one reading takes on: starting it costs as much as looking at one."""
MOST_PROCESSES: Final = 4096
_LOOK_EVERY_S: Final = 10.0


@final
class CpuBudget:
    """Seconds of processor time: a share of a core, saved up to a bound.

    Parameters
    ----------
    share : float
        Of one core, above 0.
    most_s : float
        What can be saved up; what there is at first.
    """

    def __init__(self, share: float, most_s: float) -> None:
        self._share, self._most = share, most_s
        self._left, self._at = most_s, float("nan")

    def left(self, now: float) -> float:
        """Seconds that may be spent; below 0 after more was spent than there was."""
        passed = 0.0 if isnan(self._at) else max(now - self._at, 0.0)
        self._left, self._at = min(self._left + passed * self._share, self._most), now
        return self._left

    def spend(self, seconds: float) -> None:
        """Seconds that were spent; a debt is bounded, so that one bad reading does not blind for a day."""
        self._left = max(self._left - seconds, -self._most)


@final
@dataclass(slots=True)
class Watched:
    """A process that launches kernels.

    Attributes
    ----------
    profile : LaunchProfile
        The newest.
    job : str
    keys : tuple of str
        Indices of its kernels, from the last reading.
    read_s : float
        When it was read; -inf before.
    wait_s : float
        Until it is read again if something is new.
    wanted : bool
        Something is new: modules were loaded, or names do not join.
    seen_s : float
        When the newest profile came.
    """

    profile: LaunchProfile
    job: str
    keys: tuple[str, ...] = ()
    read_s: float = float("-inf")
    wait_s: float = 0.0
    wanted: bool = True
    seen_s: float = 0.0

    def due_s(self) -> float:
        """From when on it is to be read."""
        return self.read_s + (self.wait_s if self.wanted else EVERY_S)


@final
class Plan:
    """The processes that launch kernels, and whose turn it is."""

    def __init__(self) -> None:
        self.watched: dict[ProcessKey, Watched] = {}
        self._of_job: dict[str, set[ProcessKey]] = {}
        self._served: dict[str, float] = {}
        self._looked = float("-inf")

    def of(self, job: str) -> list[Watched]:
        """The processes of a job."""
        return [self.watched[key] for key in sorted(self._of_job.get(job, ()))]

    def saw(self, profile: LaunchProfile, job: str, now: float) -> Watched:
        """A new profile of a process of a job."""
        one = self._drop(profile.process) or Watched(profile, job)
        one.profile, one.job, one.seen_s = profile, job, now
        one.wanted |= profile.module_loads > 0
        self.watched[profile.process] = one
        self._of_job.setdefault(job, set()).add(profile.process)
        return one

    def _drop(self, process: ProcessKey) -> Watched | None:
        one = self.watched.pop(process, None)
        if one is not None:
            keys = self._of_job[one.job]
            keys.discard(process)
            if not keys:
                del self._of_job[one.job]
        return one

    def forget(self, now: float) -> list[ProcessKey]:
        """Drop those that launch nothing any more, and the oldest if there are too many; says which."""
        gone = list(self.watched)[: max(len(self.watched) - MOST_PROCESSES, 0)]
        if now - self._looked > _LOOK_EVERY_S:
            self._looked = now
            gone = list(dict.fromkeys([*gone, *(k for k, one in self.watched.items() if now - one.seen_s > FORGET_S)]))
        for key in gone:
            self._drop(key)
        if gone:
            self._served = {job: when for job, when in self._served.items() if job in self._of_job}
        return gone

    def due(self, now: float) -> list[ProcessKey]:
        """Those to be read now, at most `BATCH`: jobs take turns, the one that waited longest begins."""
        ready: dict[str, list[ProcessKey]] = {}
        for key, one in sorted(self.watched.items(), key=lambda item: item[1].due_s()):
            if one.due_s() <= now:
                ready.setdefault(one.job, []).append(key)
        found: list[ProcessKey] = []
        queues = [ready[job] for job in sorted(ready, key=lambda job: self._served.get(job, float("-inf")))]
        while len(found) < BATCH and queues:
            found += [queue.pop(0) for queue in queues[: BATCH - len(found)]]
            queues = [queue for queue in queues if queue]
        for key in found:
            one = self.watched[key]
            one.read_s, one.wanted = now, False
            self._served[one.job] = now
        return found

    def failed(self, keys: Iterable[ProcessKey], now: float) -> None:
        """A reading came to nothing: these wait, longer each time."""
        for key in keys:
            if (one := self.watched.get(key)) is not None:
                one.read_s, one.wait_s, one.wanted = now, min(max(2 * one.wait_s, AGAIN_S), EVERY_S), True

    def took(self, told: Told, now: float) -> Watched | None:
        """What was read of a process; None if it is forgotten or has ended."""
        one = self.watched.get(told.process)
        if one is None or told.state == "gone":
            self._drop(told.process)
            return None
        new = told.keys != one.keys and told.state != "refused"
        one.keys = told.keys if told.state != "refused" else one.keys
        one.wait_s = AGAIN_S if new else min(max(2 * one.wait_s, AGAIN_S), EVERY_S)
        one.read_s = now
        one.wanted |= told.state == "later"
        return one
