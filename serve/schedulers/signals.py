"""Ends processes: SIGTERM, time to save, SIGKILL, until none is left; each is held by a descriptor, never by number.

A PID that was looked up may belong to somebody else by the time that it is signalled; a pidfd cannot. Nothing is ever
stopped by SIGSTOP: kernels that a GPU has queued go on, and the process can no longer give the GPU back.
"""

from __future__ import annotations

import os
import select
import signal
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final, final

from hashwarden.serve.jobs.job import ProcessKey

__all__ = ["Ended", "Facts", "end_processes", "facts_of", "in_group", "with_relatives"]

ROUNDS: Final = 20
"""Looks for processes that were started meanwhile: one that forks faster than this is told in `Ended.left`."""

KILL_S: Final = 5.0
"""Time for SIGKILL to take effect: a process in a call into the driver dies when that returns."""


@final
@dataclass(frozen=True, slots=True)
class Facts:
    """Of one process, from /proc/PID/stat."""

    key: ProcessKey
    parent: int
    group: int
    session: int


@final
@dataclass(frozen=True, slots=True)
class Ended:
    """How it went.

    Attributes
    ----------
    asked, forced : int
        Processes that were sent SIGTERM, and SIGKILL.
    left : tuple of ProcessKey
        Those that are still there.
    """

    asked: int
    forced: int
    left: tuple[ProcessKey, ...]


def facts_of(pid: int, proc: Path = Path("/proc")) -> Facts | None:
    """What the kernel says of a process; None if it is gone or a zombie."""
    try:
        raw = (proc / str(pid) / "stat").read_bytes()
    except OSError:
        return None
    rest = raw.rpartition(b")")[2].split()  # the name before it may hold anything
    if len(rest) < 20 or rest[0] in (b"Z", b"X"):
        return None
    return Facts(ProcessKey(pid, int(rest[19])), int(rest[1]), int(rest[2]), int(rest[3]))


def with_relatives(
    wanted: Iterable[ProcessKey], proc: Path = Path("/proc"), *, groups: bool = True
) -> dict[ProcessKey, Facts]:
    """Those of the processes that are there, with their process groups and all their descendants.

    Never this process, its ancestors, or PID 1; nor the group of this process; nor those of a group that are another
    user's: anybody can join any group of his session, and would take it along. Without `groups`, descendants only.
    """
    everybody = _everybody(proc)
    mine = everybody.get(os.getpid())
    spared = {1, os.getpid(), *_ancestors(os.getpid(), everybody)}
    found = {facts.key.pid for key in wanted if (facts := everybody.get(key.pid)) is not None and facts.key == key}
    if groups:
        found |= _in_their_groups(found, everybody, mine.group if mine else 0, proc)
    grown = True
    while grown:
        more = {pid for pid, facts in everybody.items() if facts.parent in found} - found
        found |= more
        grown = bool(more)
    return {everybody[pid].key: everybody[pid] for pid in found - spared}


def in_group(group: int, proc: Path = Path("/proc")) -> list[ProcessKey]:
    """The processes of a process group."""
    return [facts.key for facts in _everybody(proc).values() if facts.group == group]


def end_processes(
    members: Callable[[], Iterable[ProcessKey]], grace_s: float, *, proc: Path = Path("/proc"),
    sleep: Callable[[float], None] = time.sleep, groups: bool = True,
) -> Ended:  # fmt: skip
    """End processes and all that they start meanwhile.

    Parameters
    ----------
    members : callable
        Gives the processes as they are now; asked again each round.
    grace_s : float
        Seconds from SIGTERM to SIGKILL.
    proc : Path
    sleep : callable
    groups : bool
        Whether their process groups go with them; see `with_relatives`.

    Returns
    -------
    Ended
    """
    seen = with_relatives(members(), proc, groups=groups)
    with _Held() as held:
        asked = held.send(seen, signal.SIGTERM, proc)
        held.wait(grace_s)
        forced = 0
        for _ in range(ROUNDS):
            seen = with_relatives({*members(), *seen}, proc, groups=groups) | held.left(seen)
            if not seen:
                break
            forced += held.send(seen, signal.SIGKILL, proc)
            held.wait(KILL_S)
            sleep(0.01)
        return Ended(asked, forced, tuple(seen))


class _Held:
    """Descriptors of processes that were signalled."""

    def __init__(self) -> None:
        self._open: dict[ProcessKey, int] = {}
        self._sent: set[tuple[ProcessKey, int]] = set()

    def __enter__(self) -> _Held:
        return self

    def __exit__(self, *_: object) -> None:
        for descriptor in self._open.values():
            os.close(descriptor)

    def send(self, wanted: Iterable[ProcessKey], number: signal.Signals, proc: Path) -> int:
        count = 0
        for key in wanted:
            descriptor = self._hold(key, proc)
            if descriptor is None or (key, number) in self._sent:
                continue
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(descriptor, number)
                count += 1
            self._sent.add((key, number))
        return count

    def left(self, seen: Mapping[ProcessKey, Facts]) -> dict[ProcessKey, Facts]:
        """Those of `seen` that did not end."""
        return {key: facts for key, facts in seen.items() if key in self._open and not _over(self._open[key])}

    def wait(self, seconds: float) -> None:
        """Until all have ended, or for so long."""
        poll = select.poll()
        waiting = {fd for fd in self._open.values() if not _over(fd)}
        for descriptor in waiting:
            poll.register(descriptor, select.POLLIN)
        deadline = time.monotonic() + seconds
        while waiting and (left := deadline - time.monotonic()) > 0:
            for descriptor, _ in poll.poll(left * 1000):
                poll.unregister(descriptor)
                waiting.discard(descriptor)

    def _hold(self, key: ProcessKey, proc: Path) -> int | None:
        if key not in self._open:
            try:
                descriptor = os.pidfd_open(key.pid)
            except OSError:
                return None
            facts = facts_of(key.pid, proc)  # only now: the number may have been given anew before it was held
            if facts is None or facts.key != key:
                os.close(descriptor)
                return None
            self._open[key] = descriptor
        return self._open[key]


def _over(descriptor: int) -> bool:
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    return bool(poll.poll(0))


def _in_their_groups(found: set[int], everybody: Mapping[int, Facts], mine: int, proc: Path) -> set[int]:
    """Processes in a group of one of these, and of the same user as that one."""
    users: dict[int, set[bytes]] = {}
    for pid in found:
        users.setdefault(everybody[pid].group, set()).add(_user_of(pid, proc))
    users.pop(mine, None)
    near = (pid for pid, facts in everybody.items() if facts.group in users and pid not in found)
    return {pid for pid in near if _user_of(pid, proc) in users[everybody[pid].group] - {b""}}


def _user_of(pid: int, proc: Path) -> bytes:
    """The real user's number; empty if it is not known."""
    try:
        status = (proc / str(pid) / "status").read_bytes()
    except OSError:
        return b""
    fields = status.partition(b"\nUid:")[2].split(maxsplit=1)
    return fields[0] if fields else b""


def _everybody(proc: Path) -> dict[int, Facts]:
    numbers = (int(path.name) for path in proc.iterdir() if path.name.isdigit())
    return {pid: facts for pid in numbers if (facts := facts_of(pid, proc)) is not None}


def _ancestors(pid: int, everybody: Mapping[int, Facts]) -> Iterable[int]:
    while (facts := everybody.get(pid)) is not None and facts.parent > 0:
        pid = facts.parent
        yield pid
