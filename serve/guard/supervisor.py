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
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final, NoReturn, final

from hashwarden.serve.jobs.job import ProcessKey
from hashwarden.serve.schedulers.signals import end_processes, facts_of, with_relatives

__all__ = ["Credentials", "descendants", "supervise"]

_PR_SET_PDEATHSIG, _PR_SET_CHILD_SUBREAPER = 1, 36
_FORGOTTEN_GRACE_S: Final = 5.0
NOT_FOUND, NOT_EXECUTABLE = 127, 126


@final
@dataclass(frozen=True, slots=True)
class Credentials:
    """Whom the command runs as."""

    uid: int
    gid: int
    groups: tuple[int, ...]
    environment: Mapping[str, str]


def descendants(of: int) -> list[ProcessKey]:
    """The processes that descend from one, without it."""
    facts = facts_of(of)
    if facts is None:
        return []
    return [key for key in with_relatives([facts.key]) if key.pid != of]


def supervise(command: Sequence[str], words: int, told: int, who: Credentials | None) -> NoReturn:
    """Be the supervisor; called in the child of a fork, never returns.

    Parameters
    ----------
    command : sequence of str
    words : int
        Descriptor from which one byte means "go", and the end "give up".
    told : int
        Descriptor to which a line of JSON is written when the command has begun or could not, and when it ended.
    who : Credentials or None
    """
    code = 1
    try:
        code = _supervise(command, words, told, who)
    finally:
        os._exit(code)


def _supervise(command: Sequence[str], words: int, told: int, who: Credentials | None) -> int:
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGHUP, signal.SIGTSTP, signal.SIGTTOU, signal.SIGTTIN):
        signal.signal(number, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, _forgotten)
    if os.getppid() == 1 or os.read(words, 1) != b"g":
        return 0
    child = _start(command, words, told, who, libc)
    if child:
        _tell(told, {"begun": child})
        _reap(child, told)
    with suppress(OSError):
        os.read(words, 1)  # the guard lets go when it has looked at what is left
    return 0


def _start(command: Sequence[str], words: int, told: int, who: Credentials | None, libc: Any) -> int:  # noqa: ANN401
    seen, failed = os.pipe2(os.O_CLOEXEC)
    child = os.fork()
    if child == 0:
        os.close(words)
        _become(command, failed, who, libc)
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


def _become(command: Sequence[str], failed: int, who: Credentials | None, libc: Any) -> NoReturn:  # noqa: ANN401
    """In the child: become the command, as whoever it is to run as, in front of the terminal."""
    try:
        os.setpgid(0, 0)
        if os.isatty(0):
            with suppress(OSError):
                os.tcsetpgrp(0, os.getpgid(0))
        environment = dict(os.environ)
        if who is not None:
            os.setgroups(who.groups)
            os.setresgid(who.gid, who.gid, who.gid)
            os.setresuid(who.uid, who.uid, who.uid)
            environment |= who.environment
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGHUP, signal.SIGTERM, signal.SIGTSTP, signal.SIGTTOU,
                       signal.SIGTTIN, signal.SIGPIPE):  # fmt: skip
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
            with suppress(OSError):
                os.kill(pid, signal.SIGCONT)
        elif pid == child:
            _tell(told, {"ended": os.waitstatus_to_exitcode(status)})
            return


def _forgotten(*_: object) -> None:
    """The guard is gone: nobody watches, so nothing goes on."""
    me = os.getpid()
    end_processes(lambda: descendants(me), _FORGOTTEN_GRACE_S)
    sys.stderr.write("hashwarden guard: the guard was killed; the command was ended with it\n")
    os._exit(1)


def _tell(told: int, what: Mapping[str, object]) -> None:
    with suppress(OSError):
        os.write(told, json.dumps(what).encode() + b"\n")
