"""The process between the guard and the command: whatever the command starts is a descendant of it, and stays one.

It is the subreaper (prctl(2)) of the command's processes: one that forks twice to get rid of its parent gets this one.
It is forked before the guard has threads, waits for a word, starts the command, tells how it ended, and ends what is
left if the guard is gone. It imports nothing heavy and parses nothing.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final, NoReturn, final

from hashwarden.serve.jobs.job import ProcessKey
from hashwarden.serve.schedulers.signals import end_processes, facts_of, with_relatives

__all__ = ["Credentials", "descendants", "supervise"]

_PR_SET_PDEATHSIG, _PR_SET_CHILD_SUBREAPER = 1, 36
_FORGOTTEN_GRACE_S: Final = 5.0
_PAUSE_S: Final = 0.05
_IGNORED: Final = (signal.SIGINT, signal.SIGQUIT, signal.SIGHUP, signal.SIGTSTP, signal.SIGTTOU, signal.SIGTTIN)
_OF_PYTHON: Final = (signal.SIGPIPE, signal.SIGXFSZ)
"""What the interpreter ignores by itself, and no command expects to be ignored."""

_OF_THE_CALLER: Final = ("SUDO_", "XDG_", "DBUS_SESSION_BUS_ADDRESS", "MAIL", "SSH_AUTH_SOCK")
"""Beginnings of names that speak of the user who calls, and lead to what is his."""
NOT_FOUND, NOT_EXECUTABLE = 127, 126


@final
@dataclass(frozen=True, slots=True)
class Credentials:
    """Whom the command runs as."""

    uid: int
    gid: int
    groups: tuple[int, ...]
    environment: Mapping[str, str]


@final
@dataclass(frozen=True, slots=True)
class _Start:
    """How the command begins: as whom, for which guard, with which signals ignored."""

    who: Credentials | None
    guard: int
    ignored: frozenset[signal.Signals]


def descendants(of: int) -> list[ProcessKey]:
    """The processes that descend from one, without it."""
    facts = facts_of(of)
    if facts is None:
        return []
    return [key for key in with_relatives([facts.key], groups=False) if key.pid != of]


def supervise(command: Sequence[str], words: int, told: int, who: Credentials | None, guard: int) -> NoReturn:
    """Be the supervisor; called in the child of a fork, never returns.

    Parameters
    ----------
    command : sequence of str
    words : int
        Descriptor from which one byte means "go", and the end "give up".
    told : int
        Descriptor to which a line of JSON is written when the command has begun or could not, and when it ended.
    who : Credentials or None
    guard : int
        PID of the guard, which may be 1 in a container.
    """
    code = 1
    try:
        code = _supervise(command, words, told, who, guard)
    finally:
        os._exit(code)


def _supervise(command: Sequence[str], words: int, told: int, who: Credentials | None, guard: int) -> int:
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    before = {number: signal.signal(number, signal.SIG_IGN) for number in _IGNORED}
    before[signal.SIGTERM] = signal.signal(signal.SIGTERM, _forgotten)
    if os.getppid() != guard or os.read(words, 1) != b"g":
        return 0
    kept = frozenset(number for number, handler in before.items() if handler is signal.SIG_IGN)  # as nohup(1) wants
    child = _start(command, words, told, _Start(who, guard, kept), libc)
    if child:
        _tell(told, {"begun": child})
        _reap(child, told)
    with suppress(OSError):
        os.read(words, 1)  # the guard lets go when it has looked at what is left
    return 0


def _start(command: Sequence[str], words: int, told: int, how: _Start, libc: Any) -> int:  # noqa: ANN401
    seen, failed = os.pipe2(os.O_CLOEXEC)
    child = os.fork()
    if child == 0:
        os.close(words)
        _become(command, failed, how, libc)
    os.close(failed)
    with suppress(OSError):
        os.setpgid(child, child)
    problem = os.read(seen, 64)
    os.close(seen)
    if not problem:
        return child
    os.waitpid(child, 0)
    number = int(problem)
    _tell(told, {"failed": os.strerror(number), "code": NOT_FOUND if number == 2 else NOT_EXECUTABLE})
    return 0


def _become(command: Sequence[str], failed: int, how: _Start, libc: Any) -> NoReturn:  # noqa: ANN401
    """In the child: become the command, as whoever it is to run as, in front of the terminal if the guard was."""
    who = how.who
    try:
        behind = os.isatty(0) and _front() != os.getpgid(how.guard)
        os.setpgid(0, 0)
        if os.isatty(0) and not behind:
            with suppress(OSError):
                os.tcsetpgrp(0, os.getpgid(0))
        environment = dict(os.environ)
        if who is not None:
            environment = {name: value for name, value in environment.items() if not name.startswith(_OF_THE_CALLER)}
            os.setgroups(who.groups)
            os.setresgid(who.gid, who.gid, who.gid)
            os.setresuid(who.uid, who.uid, who.uid)
            environment |= who.environment
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        for number in {*_IGNORED, *_OF_PYTHON, signal.SIGTERM} - how.ignored:
            signal.signal(number, signal.SIG_DFL)
        os.execvpe(command[0], list(command), environment)  # noqa: S606  no shell is wanted
    except OSError as error:
        os.write(failed, str(error.errno or 0).encode())
    os._exit(NOT_EXECUTABLE)


def _reap(child: int, told: int) -> None:
    """Wait for all, tell of the command itself; what stops is let go on, for nothing is ever frozen here."""
    while True:
        try:
            pid, status = os.waitpid(-1, os.WUNTRACED)
        except ChildProcessError:
            return
        if os.WIFSTOPPED(status):
            time.sleep(_PAUSE_S)  # one that reads the terminal from behind stops again at once
            with suppress(OSError):
                os.kill(pid, signal.SIGCONT)
        elif pid == child:
            _tell(told, {"ended": os.waitstatus_to_exitcode(status)})
            return


def _forgotten(*_: object) -> None:
    """The guard is gone: nobody watches, so nothing goes on."""
    me = os.getpid()
    end_processes(lambda: descendants(me), _FORGOTTEN_GRACE_S, groups=False)
    sys.stderr.write("hashwarden guard: the guard was killed; the command was ended with it\n")
    os._exit(1)


def _front() -> int:
    """The process group in front of the terminal; 0 if it is not this session's."""
    try:
        return os.tcgetpgrp(0)
    except OSError:
        return 0


def _tell(told: int, what: Mapping[str, object]) -> None:
    with suppress(OSError):
        os.write(told, json.dumps(what).encode() + b"\n")
