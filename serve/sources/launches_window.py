"""What one burst saw of one process: from the rows of the kernel's tables to a launch profile."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final, final

from hashwarden.serve.jobs.job import ProcessKey
from hashwarden.serve.launch_board import KernelLaunches, LaunchProfile
from hashwarden.serve.sources.launches_names import Known, Names
from hashwarden.serve.sources.launches_tables import GAP_NS, Rows

__all__ = ["Handle", "Window", "windows"]


@final
@dataclass(frozen=True, slots=True)
class Handle:
    """Launches of one function of one process.

    Attributes
    ----------
    handle : int
        What the process calls it by.
    name : str
        Empty if it was never seen looked up.
    launches, threads : int
    variation : float
        Deviation over mean of the time between two launches; NaN with fewer than three.
    looked_up_ns, last_ns : int
        When it was looked up, 0 if never seen, and launched last; since boot.
    """

    handle: int
    name: str
    launches: int
    threads: int
    variation: float
    looked_up_ns: int
    last_ns: int


@final
@dataclass(frozen=True, slots=True)
class Window:
    """What one process launched.

    Attributes
    ----------
    process : ProcessKey
    start_s, seconds : float
        On the monotonic clock.
    handles : tuple of Handle
        Most launches first.
    graphs, dropped, loads : int
        Loads since the window before.
    loaded_ns : int
        When it loaded a module last, since boot; 0 if never seen.
    """

    process: ProcessKey
    start_s: float
    seconds: float
    handles: tuple[Handle, ...]
    graphs: int
    dropped: int
    loads: int
    loaded_ns: int

    @property
    def launches(self) -> int:
        """All kernel launches."""
        return sum(handle.launches for handle in self.handles) + self.dropped

    def profile(self) -> LaunchProfile:
        """For the board: kernels of one name together."""
        launches: dict[str, int] = {}
        threads: dict[str, int] = {}
        for each in self.handles:
            launches[each.name] = launches.get(each.name, 0) + each.launches
            threads[each.name] = threads.get(each.name, 0) + each.threads
        kernels = [KernelLaunches(name, count, threads[name]) for name, count in launches.items()]
        kernels.sort(key=lambda kernel: (-kernel.launches, kernel.name))
        variation = self.handles[0].variation if self.handles else math.nan
        return LaunchProfile(
            self.process, self.start_s, self.seconds, tuple(kernels), self.graphs, self.loads, variation, self.dropped
        )


_UNKNOWN: Final = Known("", 0)


def windows(  # noqa: PLR0913
    launches: Rows, bursts: Rows, who: Callable[[int, int], ProcessKey | None], names: Names,
    idle: Iterable[ProcessKey], *, start_s: float, seconds: float, loads: Mapping[ProcessKey, int],
    loaded_ns: Mapping[ProcessKey, int],
) -> tuple[list[Window], int]:  # fmt: skip
    """Sort the rows by process.

    Parameters
    ----------
    launches, bursts : arrays
        Of `hashwarden.serve.sources.launches_tables.Tables`.
    who : callable
        From PID and time since boot to the process.
    names : Names
    idle : iterable of ProcessKey
        Processes that were looked at: without launches they have none.
    start_s, seconds : float
    loads, loaded_ns : mapping
        Loads of each since the window before, and when the last was.

    Returns
    -------
    found : list of Window
    gone : int
        Launches of processes that ended before anyone could tell which they were.
    """
    handles: dict[ProcessKey, list[Handle]] = {process: [] for process in idle}
    totals: dict[ProcessKey, tuple[int, int]] = {}
    whose: dict[tuple[int, int], ProcessKey | None] = {}
    gone = 0

    def process_of(row: Mapping[str, int]) -> ProcessKey | None:
        pid, first = row["pid"], row["first"]
        tick = (pid, first // 10_000_000)
        if tick not in whose:
            whose[tick] = who(pid, first)
        return whose[tick]

    for row in _records(launches):
        process = process_of(row)
        if process is None:
            gone += row["count"]
        else:
            handles.setdefault(process, []).append(_handle(row, names.get(process, row["handle"]) or _UNKNOWN))
    for row in _records(bursts):
        process = process_of(row)
        if process is not None:
            handles.setdefault(process, [])
            graphs, dropped = totals.get(process, (0, 0))
            totals[process] = (graphs + row["graphs"], dropped + row["dropped"])
    found = []
    for process, mine in handles.items():
        mine.sort(key=lambda each: (-each.launches, each.name, each.handle))
        graphs, dropped = totals.get(process, (0, 0))
        news = loads.get(process, 0), loaded_ns.get(process, 0)
        found.append(Window(process, start_s, seconds, tuple(mine), graphs, dropped, *news))
    return found, gone


def _records(rows: Rows) -> Iterator[dict[str, int]]:
    """With numbers of Python: a field of a record of NumPy costs more than all that is done with it."""
    columns = rows.dtype.names or ()
    return (dict(zip(columns, row, strict=True)) for row in rows.tolist())


def _handle(row: Mapping[str, int], known: Known) -> Handle:
    count = row["count"]
    gaps, squares = float(row["gaps"]) * GAP_NS, float(row["squares"]) * GAP_NS**2
    variation = math.nan
    if count > 2 and gaps > 0:
        mean = gaps / (count - 1)
        variation = math.sqrt(max(squares / (count - 1) - mean * mean, 0.0)) / mean
    return Handle(row["handle"], known.name, count, row["threads"], variation, known.time_ns, row["last"])
