"""The libraries libcuda.so.1 of the node: which there are, which processes use them, and the probes in each.

A library is known by the device and inode that processes map, so that containers with their own copy are seen, and one
that was deleted since. A process of a library that is known is seen from its first call; only the first process of a
new copy has to be found. Probes hold the file system of their file, so they go when its last process has gone.

A probe belongs to the file and so comes to all its processes. Where one of them has altered what it would stand on,
none comes: it would crash (see `hashwarden.serve.sources.launches_entries`).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, final

from hashwarden.serve.jobs.job import ProcessKey
from hashwarden.serve.sources.launches_entries import Entry, State, entries, state
from hashwarden.serve.sources.launches_functions import ALWAYS, IN_BURSTS, Function
from hashwarden.serve.sources.launches_mappings import Mapping, mapped_library
from hashwarden.serve.sources.launches_processes import life
from hashwarden.serve.sources.launches_symbols import function_offsets
from hashwarden.serve.sources.launches_uprobes import Uprobes, detach

__all__ = ["MOST_LIBRARIES", "MOST_READS", "STANDARD", "Libraries", "Library"]

MOST_LIBRARIES: Final = 8
"""Files with probes at a time; more are counted, not probed. Each takes 22 descriptors, 44 before Linux 6.6."""

MOST_READS: Final = 32
"""Processes whose mappings one look reads, after the first: a storm of short ones costs no more."""

STANDARD: Final = tuple(
    Path(folder) / "libcuda.so.1"
    for folder in (
        "/usr/lib/x86_64-linux-gnu",
        "/usr/lib/aarch64-linux-gnu",
        "/usr/lib64",
        "/usr/lib",
        "/usr/lib/wsl/lib",
    )
)
"""Where drivers install it: probed before any process uses it, so that names are known from the first call."""

_NAMES: Final = frozenset(function.name for function in (*ALWAYS, *IN_BURSTS))
_FIRST_WAIT_S, _WATCHED_WAIT_S, _LONGEST_WAIT_S = 1.0, 10.0, 300.0
_MOST_SPARED: Final = 5


@final
@dataclass(slots=True)
class Library:
    """One file.

    Attributes
    ----------
    uprobes : Uprobes
        Its programs.
    file : int
        Open, so that it can be probed again when the process by which it was found has gone.
    offsets : dict of str to int
        Of its functions.
    standing : bool
        Whether it stays when no process uses it.
    tried, ready : bool
        Whether the probes that stay were to be placed, and whether they were.
    always, burst : list of int
        Its probes: those that stay, and those of the burst that runs.
    always_at, burst_at : tuple of Entry
        Where they stand.
    """

    uprobes: Uprobes
    file: int
    offsets: dict[str, int]
    standing: bool = False
    tried: bool = False
    ready: bool = False
    always: list[int] = field(default_factory=list)
    burst: list[int] = field(default_factory=list)
    always_at: tuple[Entry, ...] = ()
    burst_at: tuple[Entry, ...] = ()

    @property
    def path(self) -> str:
        """By which the kernel finds it."""
        return f"/proc/self/fd/{self.file}"

    def begins(self, functions: Iterable[Function]) -> tuple[Entry, ...]:
        """How these functions begin in its file."""
        return entries(self.file, self.offsets, (function.name for function in functions))

    def stand(self) -> int:
        """Place the probes that stay; gives how many were refused."""
        self.always, refused = self.uprobes.attach(self.path, self.offsets, ALWAYS)
        self.always_at = tuple(entry for entry in self.begins(ALWAYS) if entry.offset not in refused)
        self.ready = True
        return len(refused)

    def begin_burst(self) -> int:
        """Place those of a burst; gives how many were refused."""
        self.burst, refused = self.uprobes.attach(self.path, self.offsets, IN_BURSTS)
        self.burst_at = tuple(entry for entry in self.begins(IN_BURSTS) if entry.offset not in refused)
        return len(refused)

    def close(self) -> None:
        """Take its probes away, and let go of it."""
        detach(self.burst)
        detach(self.always)
        self.uprobes.close()
        os.close(self.file)


@dataclass(slots=True)
class _Waiting:
    """A process that has not mapped libcuda so far, and when to look again.

    `faults` are those before its mappings were read. Code of a library that is mapped later cannot run without one
    more, so while they stay the same there is nothing to read: that of an idle process costs more than all else here.
    But processes can share their memory, and then another one has the fault: so it is not `spared` for ever.
    """

    started: int
    faults: int
    spared: int
    wait_s: float
    due_s: float


@final
class Libraries:
    """Looks for them; cheap where nothing changes.

    Parameters
    ----------
    probes : callable
        Makes the programs for the library of a number.
    watched : callable
        Whether a process belongs to a job: those are looked at more often.
    proc : Path
    standard : tuple of Path

    Attributes
    ----------
    libraries : dict of str to Library
        Those with probes, by device and inode.
    users : dict of ProcessKey to str
        Which process uses which.
    altered : frozenset of ProcessKey
        Users in whose memory, as of the last burst, something else stands where probes should: nothing that they do is
        known.
    changes : int
        Grows whenever one of the first two changes.
    refused : int
    """

    def __init__(
        self, probes: Callable[[int], Uprobes], watched: Callable[[int], bool], proc: Path = Path("/proc"),
        standard: tuple[Path, ...] = STANDARD,
    ) -> None:  # fmt: skip
        self._probes, self._watched, self._proc = probes, watched, proc
        self.libraries: dict[str, Library] = {}
        self.users: dict[ProcessKey, str] = {}
        self.altered: frozenset[ProcessKey] = frozenset()
        self._bases: dict[ProcessKey, int] = {}
        self._unfit: frozenset[ProcessKey] = frozenset()
        self.refused = self._count = 0
        self.changes = 0
        self._all_read = False
        self._names: set[str] = set()
        self._new: set[int] = set()
        self._waiting: dict[int, _Waiting] = {}
        self._users_by_pid: dict[int, ProcessKey] = {}
        for path in standard:
            if path.is_file():
                info = path.stat()
                inode = f"{os.major(info.st_dev):02x}:{os.minor(info.st_dev):02x}:{info.st_ino}"
                self._take(Mapping(inode, str(path)), standing=True)

    def look(self, now_s: float) -> set[ProcessKey]:
        """Find new processes and libraries; gives the users that have gone."""
        gone = self._compare()
        due = [*self._new, *(pid for pid, wait in self._waiting.items() if self._is_due(pid, wait, now_s))]
        for pid in due[:MOST_READS] if self._all_read else due:
            self.see(pid, now_s)
        self._all_read = True
        self._release()
        if any(not library.tried for library in self.libraries.values()):  # after that with each burst
            self._see_all(now_s)  # whoever has it too is known before it gets probes
            self._stand()
        return gone

    def see(self, pid: int, now_s: float) -> None:
        """Read what a process has mapped."""
        now = life(pid, self._proc)
        known = self._users_by_pid.get(pid)
        if now is None or (known is not None and known.started == now.started):
            return
        if known is not None:  # its number came again
            self.forget({known})
        before = self._waiting.get(pid)
        before = before if before is not None and before.started == now.started else None
        spared = before.spared + 1 if before is not None and 0 < now.faults == before.faults else 0
        spared = spared if spared <= _MOST_SPARED else 0
        try:
            mapping = None if spared else mapped_library(pid, self._proc)
        except OSError:  # it went away in the middle, or the kernel does not show it
            mapping = None
        if mapping is not None:
            key = ProcessKey(pid, now.started)
            self.users[key], self._bases[key] = mapping.inode, mapping.base
            self._users_by_pid[pid] = key
            self._waiting.pop(pid, None)
            self._new.discard(pid)
            self.changes += 1
            self._take(mapping, standing=False)
            return
        wait = _FIRST_WAIT_S if before is None else before.wait_s * 2
        longest = _WATCHED_WAIT_S if self._watched(pid) else _LONGEST_WAIT_S
        self._waiting[pid] = _Waiting(now.started, now.faults, spared, min(wait, longest), now_s + min(wait, longest))
        self._new.discard(pid)

    def forget(self, gone: set[ProcessKey]) -> None:
        """Processes have ended."""
        for key in gone:
            self.changes += self.users.pop(key, None) is not None
            self._bases.pop(key, None)
            if self._users_by_pid.get(key.pid) == key:
                del self._users_by_pid[key.pid]
                self._new.add(key.pid)  # if the number is still there, it is another's

    def attach_burst(self) -> None:
        """Probe the frequent calls."""
        self._unfit = self._stand()
        for inode, library in self.libraries.items():
            altered = self._altered(inode, library.begins(IN_BURSTS), {State.PLAIN, State.PROBED})
            self._unfit |= altered
            if library.ready and not altered:
                self.refused += library.begin_burst()

    def detach_burst(self) -> frozenset[str]:
        """Take these probes away; gives the libraries that had them."""
        had = frozenset(inode for inode, library in self.libraries.items() if library.burst)
        altered, self._unfit = self._unfit, frozenset()
        for inode in had:
            library = self.libraries[inode]
            altered |= self._altered(inode, library.burst_at + library.always_at, {State.PROBED})
        self.altered = altered
        detach([fd for library in self.libraries.values() for fd in library.burst])
        for library in self.libraries.values():
            library.burst = []
        return had

    def close(self) -> None:
        """Take all probes away."""
        self.detach_burst()
        while self.libraries:
            self.libraries.popitem()[1].close()

    def _compare(self) -> set[ProcessKey]:
        """Which processes there are now: mostly those of the look before, so only what differs becomes a number."""
        names = set(filter(str.isdecimal, os.listdir(self._proc)))  # noqa: PTH208  a Path each is dear
        went = {int(name) for name in self._names - names}
        self._new.update(int(name) for name in names - self._names)
        self._names = names
        for pid in went:
            self._waiting.pop(pid, None)
        gone = {self._users_by_pid[pid] for pid in went if pid in self._users_by_pid}
        self.forget(gone)
        self._new = {pid for pid in self._new if str(pid) in names and pid not in self._users_by_pid}
        return gone

    def _see_all(self, now_s: float) -> None:
        for pid in self._new.copy():
            self.see(pid, now_s)
        for pid, wait in list(self._waiting.items()):
            self.see(pid, now_s)
            if pid in self._waiting:
                self._waiting[pid] = wait  # it is looked at no seldomer for it

    def _is_due(self, pid: int, wait: _Waiting, now_s: float) -> bool:
        return wait.due_s <= now_s or (wait.wait_s > _WATCHED_WAIT_S and self._watched(pid))

    def _take(self, mapping: Mapping, *, standing: bool) -> None:
        if mapping.inode in self.libraries:
            return
        if len(self.libraries) >= MOST_LIBRARIES:
            self.refused += 1
            return
        try:
            fd = os.open(mapping.path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        except FileNotFoundError:  # its process has gone
            return
        except OSError:
            self.refused += 1
            return
        self._count += 1
        self.libraries[mapping.inode] = Library(self._probes(self._count), fd, function_offsets(fd, _NAMES), standing)
        self.changes += 1

    def _stand(self) -> frozenset[ProcessKey]:
        """Place the probes that stay where there are none yet; gives the processes that will not have them."""
        found: frozenset[ProcessKey] = frozenset()
        for inode, library in self.libraries.items():
            if not library.ready:
                library.tried = True
                altered = self._altered(inode, library.begins(ALWAYS), {State.PLAIN, State.PROBED})
                found |= altered
                if not altered:
                    self.refused += library.stand()
                    self.changes += 1
        return found

    def _altered(self, inode: str, functions: tuple[Entry, ...], good: set[State]) -> frozenset[ProcessKey]:
        """Users of a library in which these functions do not begin as they should."""
        found = {key: self._state(key, functions) for key, used in self.users.items() if used == inode}
        self.forget({key for key, seen in found.items() if seen is None})
        return frozenset(key for key, seen in found.items() if seen is not None and seen not in {*good, State.AWAY})

    def _state(self, key: ProcessKey, functions: tuple[Entry, ...]) -> State | None:
        """None if it has the library no longer: what it launches then, and by what, is not known."""
        try:
            found = state(key.pid, self._bases[key], functions, self._proc)
            if found is State.AWAY:
                mapping = mapped_library(key.pid, self._proc)
                if mapping is None:
                    return None
                if mapping.base != self._bases[key]:  # it was moved
                    self._bases[key] = mapping.base
                    found = state(key.pid, mapping.base, functions, self._proc)
            return found
        except OSError:  # the kernel does not show it: what is there is not known
            return State.ALTERED

    def _release(self) -> None:
        used = set(self.users.values())
        for inode in [i for i, library in self.libraries.items() if not library.standing and i not in used]:
            if not self.libraries[inode].burst:
                self.libraries.pop(inode).close()
                self.changes += 1
