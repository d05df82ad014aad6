"""Which process a PID means: of two that had the same number, the one that had it when something happened."""

from __future__ import annotations

import os
from collections import OrderedDict
from pathlib import Path
from typing import Final, NamedTuple, final

from hashwarden.serve.jobs.job import ProcessKey

__all__ = ["Life", "Processes", "life", "started"]

_TICKS: Final = os.sysconf("SC_CLK_TCK")
_MOST: Final = 16_384
_KEPT: Final = 3
"""Processes that had one PID, newest first: what they did may be told in any order."""
_STARTED, _MINOR, _MAJOR = 19, 7, 9
"""Of the fields after the name, which may hold spaces and brackets: fields 22, 10 and 12 of all."""
_MOST_BYTES: Final = 4096


@final
class Life(NamedTuple):
    """What the kernel counts of a process.

    Attributes
    ----------
    started : int
        Clock ticks from boot.
    faults : int
        Page faults so far, of all threads; it never falls.
    """

    started: int
    faults: int


def life(pid: int, proc: Path = Path("/proc")) -> Life | None:
    """Of a process; None if there is none."""
    try:  # no Path and no file object: this is asked of every process, each burst
        file = os.open(f"{proc}/{pid}/stat", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        fields = os.read(file, _MOST_BYTES).rpartition(b")")[2].split(maxsplit=_STARTED + 1)
        return Life(int(fields[_STARTED]), int(fields[_MINOR]) + int(fields[_MAJOR]))
    except (OSError, ValueError, IndexError):
        return None
    finally:
        os.close(file)


def started(pid: int, proc: Path = Path("/proc")) -> int | None:
    """Clock ticks from boot to the start of a process; None if there is none."""
    found = life(pid, proc)
    return None if found is None else found.started


@final
class Processes:
    """Remembers whom PIDs meant, for processes that have ended since.

    Parameters
    ----------
    proc : Path
    """

    def __init__(self, proc: Path = Path("/proc")) -> None:
        self._proc = proc
        self._known: OrderedDict[int, tuple[ProcessKey, ...]] = OrderedDict()

    def began(self, pid: int) -> int | None:
        """See `started`."""
        return started(pid, self._proc)

    def at(self, pid: int, time_ns: int, began: int | None = None) -> ProcessKey | None:
        """The process that had a PID at a time since boot; None if that cannot be told.

        Parameters
        ----------
        pid, time_ns : int
        began : int, optional
            What `began` said after that time; asked now if None.
        """
        began = started(pid, self._proc) if began is None else began
        if began is not None:
            self._remember(ProcessKey(pid, began))
        return next((key for key in self._known.get(pid, ()) if _began_before(key.started, time_ns)), None)

    def alive(self, process: ProcessKey) -> bool:
        """Whether it still runs."""
        return started(process.pid, self._proc) == process.started

    def _remember(self, process: ProcessKey) -> None:
        known = self._known.get(process.pid, ())
        if process not in known:
            self._known[process.pid] = (process, *known)[:_KEPT]
        self._known.move_to_end(process.pid)
        if len(self._known) > _MOST:
            self._known.popitem(last=False)


def _began_before(ticks: int, time_ns: int) -> bool:
    return ticks * 1_000_000_000 // _TICKS <= time_ns
