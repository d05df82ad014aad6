"""The thread that traces: look-ups all the time, launches in bursts.

All that may take long happens here (reading /proc, placing probes, waiting for them to go), so that whoever asks for
what was found never waits.
"""

from __future__ import annotations

import random
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final, final

from hashwarden.serve.jobs.job import ProcessKey
from hashwarden.serve.sources.launches_events import Event, Ring
from hashwarden.serve.sources.launches_libraries import STANDARD, Libraries
from hashwarden.serve.sources.launches_names import MOST_HANDLES, Names, decoded
from hashwarden.serve.sources.launches_processes import Processes
from hashwarden.serve.sources.launches_tables import Lost, Tables
from hashwarden.serve.sources.launches_trial import check
from hashwarden.serve.sources.launches_uprobes import Uprobes
from hashwarden.serve.sources.launches_window import Window, windows

__all__ = ["Burst", "Found", "Places", "Tracer"]

STEP_S: Final = 0.5
LOOK_S: Final = 2.0
_MOST_EVENTS: Final = 20_000
"""In one step; the rest waits in the ring."""
_KEPT_BURSTS: Final = 4
_MOST_LOADERS: Final = 8192
_STOP_S: Final = 5.0


@final
@dataclass(frozen=True, slots=True)
class Places:
    """Where things are on this machine.

    Attributes
    ----------
    proc : Path
    standard : tuple of Path
        See `hashwarden.serve.sources.launches_libraries.STANDARD`.
    many : bool
        See `hashwarden.serve.sources.launches_uprobes.Uprobes`.
    """

    proc: Path = Path("/proc")
    standard: tuple[Path, ...] = STANDARD
    many: bool = True


@final
@dataclass(frozen=True, slots=True)
class Burst:
    """One that ended.

    Attributes
    ----------
    windows : tuple of Window
        What each process launched.
    altered : frozenset of ProcessKey
        Processes that have no probes, because they took them away or hold what does not bear them: no window is theirs.
    """

    windows: tuple[Window, ...]
    altered: frozenset[ProcessKey] = frozenset()


@final
@dataclass(frozen=True, slots=True)
class Found:
    """What came since it was last asked.

    Attributes
    ----------
    bursts : tuple of Burst
    loads : dict of ProcessKey to int
        Modules loaded.
    users : frozenset of ProcessKey
        Processes that use a probed library.
    """

    bursts: tuple[Burst, ...]
    loads: dict[ProcessKey, int]
    users: frozenset[ProcessKey]


@final
class Tracer:
    """Opens the probes at once, and runs until it is stopped.

    Parameters
    ----------
    burst_s, every_s : float
        How long launches are counted, and how often. The moment varies within the period, so that no job can know it.
    watched : callable
        Whether a PID belongs to a job.
    places : Places
    clock : callable

    Raises
    ------
    PrivilegeError, UnsupportedError, OSError
        If the kernel will not have the probes.
    """

    def __init__(
        self, burst_s: float, every_s: float, watched: Callable[[int], bool], places: Places = Places(),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:  # fmt: skip
        self._burst_s, self._every_s, self._clock = burst_s, max(every_s, burst_s), clock
        self.error: BaseException | None = None
        self.gone = 0
        self._lock, self._end = threading.Lock(), threading.Event()
        self._bursts: list[Burst] = []
        self._loads: dict[ProcessKey, int] = {}
        self._since_burst: dict[ProcessKey, int] = {}
        self._users: frozenset[ProcessKey] = frozenset()
        self._changes = -1
        self._loaded_ns: OrderedDict[ProcessKey, int] = OrderedDict()
        self.beat_s = clock()
        with ExitStack() as stack:
            self._tables = Tables()
            stack.callback(self._tables.close)
            self._ring = Ring(self._tables.maps["ring"])
            stack.callback(self._ring.close)
            probes = partial(Uprobes, self._tables.maps, many=places.many)
            first = probes(0)  # what the kernel refuses is known now, not when the first process comes
            stack.callback(first.close)
            check(first)
            self.libraries = Libraries(probes, watched, places.proc, places.standard)
            stack.callback(self.libraries.close)
            self.libraries.look(clock())  # here, so that what is looked up once this is open has a name
            self._cleanup = stack.pop_all()
        self._processes, self.names = Processes(places.proc), Names(MOST_HANDLES)
        self._thread = threading.Thread(target=self._run, name="launches", daemon=True)
        self._thread.start()

    def take(self) -> Found:
        """What came since the last call; at once."""
        with self._lock:
            found = Found(tuple(self._bursts), self._loads, self._users)
            self._bursts, self._loads = [], {}
        return found

    def lost(self) -> Lost:
        """What the probes could not keep."""
        return self._tables.lost()

    def close(self) -> None:
        """Stop, and take all probes away."""
        self._end.set()
        self._thread.join(_STOP_S + self._burst_s)

    def _run(self) -> None:
        try:
            self._loop()
        except BaseException as error:
            self.error = error
        finally:
            self._cleanup.close()

    def _loop(self) -> None:
        now = self._clock()
        look, burst = now, now + random.uniform(0, max(self._every_s - self._burst_s, 0)) / 4  # noqa: S311
        period = now
        while not self._end.is_set():
            now = self.beat_s = self._clock()
            if now >= look:
                look = now + LOOK_S
                self._look(now)
            self._drain()
            if now >= burst:
                self._burst()
                period = max(period + self._every_s, self._clock())
                burst = period + random.uniform(0, max(self._every_s - self._burst_s, 0)) / 2  # noqa: S311
            self._end.wait(max(0.0, min(STEP_S, look - self._clock(), burst - self._clock())))

    def _look(self, now: float) -> None:
        gone = self.libraries.look(now)
        rest = {key for key in self.names.processes if key not in self.libraries.users}
        self._forget(gone | {key for key in rest if not self._processes.alive(key)})

    def _forget(self, gone: set[ProcessKey]) -> None:
        self.libraries.forget(gone)
        for process in gone:
            self.names.forget(process)
            self._loaded_ns.pop(process, None)
        self._tell_users()

    def _tell_users(self) -> None:
        """Those that use a probed library, anew if that may have changed."""
        if self._changes != self.libraries.changes:
            self._changes, libraries = self.libraries.changes, self.libraries.libraries
            ready = {inode for inode, library in libraries.items() if library.ready}
            users = frozenset(key for key, inode in self.libraries.users.items() if inode in ready)
            with self._lock:
                self._users = users

    def _drain(self) -> None:
        now = self._clock()
        fresh: set[int] = set()
        whose: dict[int, ProcessKey | None] = {}
        for event in self._ring.read(_MOST_EVENTS):
            if event.pid not in whose:
                whose[event.pid] = self._processes.at(event.pid, event.time_ns)
                fresh.add(event.pid)
            self._learn(whose[event.pid], event)
        rows = self._tables.take_loads()
        for row in rows:
            process = self._processes.at(int(row["pid"]), int(row["first"]))
            fresh.add(int(row["pid"]))
            if process is not None:
                self._count(process, int(row["count"]), int(row["last"]))
        for pid in fresh:
            self.libraries.see(pid, now)
        self._tell_users()

    def _learn(self, process: ProcessKey | None, event: Event) -> None:
        if process is None:
            return
        if event.name is None:
            self.names.alias(process, event.handle, event.other, event.time_ns)
        else:
            self.names.put(process, event.handle, decoded(event.name), event.time_ns)

    def _count(self, process: ProcessKey, loads: int, last_ns: int) -> None:
        if loads:
            self._loaded_ns[process] = last_ns
            self._loaded_ns.move_to_end(process)
            if len(self._loaded_ns) > _MOST_LOADERS:
                self._loaded_ns.popitem(last=False)
        with self._lock:
            for counts in (self._loads, self._since_burst):
                if process in counts or len(counts) < _MOST_LOADERS:
                    counts[process] = counts.get(process, 0) + loads

    def _burst(self) -> None:
        """Count launches for a while."""
        self._drain()  # so that whoever has code to launch is known, and looked at before it gets a probe
        self.libraries.attach_burst()
        try:
            self._tables.counting(True)
            start = self._clock()
            end = start + self._burst_s
            while (now := self._clock()) < end and not self._end.is_set():
                self._end.wait(min(STEP_S, end - now))
                self._drain()
        finally:
            self._tables.counting(False)
            seconds = max(self._clock() - start, 1e-6)
            had = self.libraries.detach_burst()
        self._drain()
        looked_at = [key for key, inode in self.libraries.users.items() if inode in had]
        began = {key.pid: self._processes.began(key.pid) for key in looked_at}  # read once, and used for both
        dead = {key for key in looked_at if began[key.pid] != key.started}
        found, gone = windows(
            self._tables.take_launches(), self._tables.take_bursts(),
            lambda pid, time_ns: self._processes.at(pid, time_ns, began.get(pid)), self.names,
            [key for key in looked_at if key not in dead],
            start_s=start, seconds=seconds, loads=self._since_burst, loaded_ns=self._loaded_ns,
        )  # fmt: skip
        altered = self.libraries.altered - dead
        self._forget(dead)
        self.gone += gone
        burst = Burst(tuple(window for window in found if window.process not in altered), altered)
        with self._lock:
            self._since_burst = {}
            self._bursts = [*self._bursts, burst][-_KEPT_BURSTS:]
