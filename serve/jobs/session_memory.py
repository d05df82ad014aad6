"""Which POSIX session a process is in, told apart from an earlier one of the same number.

The kernel does not give a number to a new process while it names a session that has members. So the number means the
same session for as long as one of its members lives, with or without its leader, and that is how it is remembered.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, final

from hashwarden.serve.jobs.job import ProcessKey
from hashwarden.serve.jobs.proc import Proc
from hashwarden.serve.jobs.provider import ProcessFacts

__all__ = ["MOST_SESSIONS", "SessionId", "SessionMemory"]

MOST_SESSIONS: Final = 4096


@final
@dataclass(frozen=True, slots=True)
class SessionId:
    """A session of this machine since it was booted; the three never come again.

    Attributes
    ----------
    pid : int
        The session's number.
    started : int
        Start of its leader, or of the first member that was seen if the leader was gone by then.
    uid : int
        User of that process.
    """

    pid: int
    started: int
    uid: int


@final
@dataclass(frozen=True, slots=True)
class _Session:
    """`member` was alive at `ticks`."""

    id: SessionId
    member: ProcessKey
    ticks: int


@final
class SessionMemory:
    """See the module. Each call may come from any thread: entries are replaced, never half written."""

    def __init__(self, proc: Proc, most: int = MOST_SESSIONS) -> None:
        self._proc, self._most = proc, most
        self._sessions: dict[int, _Session] = {}

    def __len__(self) -> int:
        return len(self._sessions)

    def identify(self, process: ProcessFacts) -> SessionId:
        """Tell the session of a process that is alive."""
        number, now = process.session, self._proc.ticks()
        known = self._sessions.pop(number, None)
        found = known.id if known is not None and self._same(known, process) else self._new(process)
        self._sessions[number] = _Session(found, process.key, now)
        while len(self._sessions) > self._most:
            self._sessions.pop(next(iter(self._sessions)), None)
        return found

    def _new(self, process: ProcessFacts) -> SessionId:
        leader = None if process.session == process.pid else self._proc.facts(process.session)
        if leader is None or leader.session != process.session:
            leader = process
        return SessionId(process.session, leader.key.started, leader.uid)

    def _same(self, known: _Session, process: ProcessFacts) -> bool:
        """Whether the number still means the session that it meant when it was seen last."""
        if process.pid == process.session:  # its leader, which names it
            return process.key.started == known.id.started
        if process.key == known.member or process.key.started < known.ticks:
            return True
        member = self._proc.stat(known.member.pid)
        return member is not None and member.key == known.member and member.session == process.session
