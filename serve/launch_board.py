"""What was launched lately, by process: the tracer writes it, whoever joins it with machine code reads it."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, final

from hashwarden.serve.jobs.job import ProcessKey

__all__ = ["KEPT_S", "MOST_KERNELS", "MOST_PROCESSES", "KernelLaunches", "LaunchBoard", "LaunchProfile"]

MOST_PROCESSES: Final = 4096
MOST_KERNELS: Final = 131_072
"""Of all profiles together, some 15 MB: ever new processes with many kernels each fill no memory."""

KEPT_S: Final = 600.0
"""A process that lives has a new profile with each window; one that has none for so long has ended."""


@final
@dataclass(frozen=True, slots=True)
class KernelLaunches:
    """Launches of one kernel in one window.

    Attributes
    ----------
    name : str
        As it stands in the machine code (mangled), empty if the tracer never saw it looked up.
    launches : int
    threads : int
        Of all these launches together.
    """

    name: str
    launches: int
    threads: int


@final
@dataclass(frozen=True, slots=True)
class LaunchProfile:
    """What one process launched in one window.

    Attributes
    ----------
    process : ProcessKey
    start_s, seconds : float
        Beginning on the monotonic clock, and length of the window in which launches were traced.
    kernels : tuple of KernelLaunches
        Most launches first; at most one has an empty name.
    graph_launches, module_loads : int
        Module loads since the window before, for these are traced all the time.
    interval_variation : float
        Deviation over mean of the time between two launches of the commonest kernel; NaN if that is not known.
    dropped : int
        Launches that the tracer could not keep apart (its tables were full); not in `kernels`.
    """

    process: ProcessKey
    start_s: float
    seconds: float
    kernels: tuple[KernelLaunches, ...]
    graph_launches: int = 0
    module_loads: int = 0
    interval_variation: float = float("nan")
    dropped: int = 0

    @property
    def launches(self) -> int:
        """All kernel launches."""
        return sum(kernel.launches for kernel in self.kernels) + self.dropped


@final
class LaunchBoard:
    """The newest profile of each process; written from one thread and read from another."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._profiles: dict[ProcessKey, LaunchProfile] = {}
        self._fresh: set[ProcessKey] = set()
        self._kernels = 0
        self._hidden: frozenset[ProcessKey] = frozenset()

    def hide(self, processes: Iterable[ProcessKey]) -> None:
        """These, and no others, keep the tracer from seeing what they launch; what was known of them is forgotten."""
        with self._lock:
            self._hidden = frozenset(processes)
            for process in self._hidden:
                self._drop(process)

    def hidden(self) -> frozenset[ProcessKey]:
        """Processes that keep the tracer from seeing what they launch, as of the last window."""
        with self._lock:
            return self._hidden

    def put(self, profiles: Iterable[LaunchProfile]) -> None:
        """Take the profiles of one window; the oldest go, of processes that ended, and if there are too many."""
        with self._lock:
            for profile in profiles:
                self._drop(profile.process)
                self._profiles[profile.process] = profile
                self._kernels += len(profile.kernels)
                self._fresh.add(profile.process)
                while self._is_surplus(next(iter(self._profiles.values())), profile.start_s):
                    self._drop(next(iter(self._profiles)))

    def _is_surplus(self, oldest: LaunchProfile, now_s: float) -> bool:
        crowded = len(self._profiles) > MOST_PROCESSES or (self._kernels > MOST_KERNELS and len(self._profiles) > 1)
        return crowded or now_s - oldest.start_s > KEPT_S

    def _drop(self, process: ProcessKey) -> None:
        profile = self._profiles.pop(process, None)
        self._fresh.discard(process)
        self._kernels -= 0 if profile is None else len(profile.kernels)

    def fresh(self) -> list[LaunchProfile]:
        """Those that came since the last call."""
        with self._lock:
            found = [self._profiles[key] for key in self._profiles if key in self._fresh]
            self._fresh.clear()
            return found

    def of(self, processes: Iterable[ProcessKey]) -> list[LaunchProfile]:
        """The newest profiles of these processes, old ones too."""
        with self._lock:
            return [self._profiles[key] for key in processes if key in self._profiles]

    def forget(self, process: ProcessKey) -> None:
        """A process has ended."""
        with self._lock:
            self._drop(process)
