"""The command and everything that it started, as the guard sees them."""

from __future__ import annotations

import json
import os
import pwd
import select
import signal
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, Final, final

from hashwarden.errors import PrivilegeError, UsageError
from hashwarden.serve.guard.supervisor import Credentials, descendants, supervise
from hashwarden.serve.jobs.job import ProcessKey
from hashwarden.serve.schedulers.signals import Ended, end_processes, facts_of, in_group, with_relatives

__all__ = ["Child", "credentials_of"]

_LINE_BYTES: Final = 4096
_LAST_S: Final = 1.0
"""For the supervisor to tell that a command has ended."""


def credentials_of(user: str) -> Credentials:
    """What running as a user means.

    Raises
    ------
    UsageError
        If there is no such user.
    PrivilegeError
        If this is not root.
    """
    try:
        entry = pwd.getpwnam(user)
    except KeyError:
        raise UsageError(f"the user {user!r}", "a user of this machine", "Correct --user.") from None
    if os.geteuid() != 0:
        raise PrivilegeError("--user without root", "root", "Start the guard as root, or leave --user out.")
    groups = tuple(os.getgrouplist(user, entry.pw_gid))
    home = {"HOME": entry.pw_dir, "USER": user, "LOGNAME": user, "SHELL": entry.pw_shell or "/bin/sh"}
    return Credentials(entry.pw_uid, entry.pw_gid, groups, home)


@final
class Child:
    """Made before this process has threads: it forks.

    Parameters
    ----------
    command : sequence of str
    who : Credentials or None

    Raises
    ------
    UsageError
        If there is no /proc to see processes in: what cannot be seen could not be ended.
    """

    def __init__(self, command: Sequence[str], who: Credentials | None = None) -> None:
        if facts_of(os.getpid()) is None:
            raise UsageError("no processes in /proc", "/proc of this PID namespace", "Mount it.", where="/proc")
        hear_word, self._say = os.pipe2(os.O_CLOEXEC)
        self._hear, tell = os.pipe2(os.O_CLOEXEC)
        self._front = self._in_front()
        guard = os.getpid()
        self.supervisor = os.fork()
        if self.supervisor == 0:
            os.close(self._say)
            os.close(self._hear)
            supervise(command, hear_word, tell, who, guard)
        os.close(hear_word)
        os.close(tell)
        self._text = b""
        self.group = 0
        self._seen: list[ProcessKey] = []
        self._torn = False
        self.code: int | None = None
        self.problem = ""

    def go(self, wait_s: float = 10.0) -> None:
        """Let the command begin.

        Raises
        ------
        UsageError
            If it cannot be started; `code` is then 126 or 127, as shells have it.
        """
        os.write(self._say, b"g")
        told = self._read(wait_s)
        self.group = int(told.get("begun", 0))
        if "failed" in told:
            self.code, self.problem = int(told["code"]), str(told["failed"])
            raise UsageError(f"the command cannot be started ({self.problem})", "a program", "Check its name.")

    def poll(self, wait_s: float = 0.0) -> int | None:
        """The exit code of the command, negative for a signal; None while it runs."""
        if self.code is None:
            with suppress(OSError):
                os.kill(self.supervisor, signal.SIGCONT)  # a command of the same user can stop it, and hide its end
            self.code = self._read(wait_s).get("ended", self.code)
        return self.code

    def family(self) -> list[ProcessKey]:
        """All processes that descend from the command, those that left their group or session too.

        Once the supervisor was killed, only those that were seen before, what they started, and the command's group.
        """
        if not self.supervisor_is_gone():
            found = dict.fromkeys(descendants(self.supervisor))
            # It may have been killed in between, and then has none; who descended from it once still counts.
            self._seen = [*found, *(key for key in self._seen if key not in found and _is_there(key))]
        else:
            self._seen = [key for key in with_relatives([*self._seen, *in_group(self.group)]) if self.group]
        return self._seen

    def supervisor_is_gone(self) -> bool:
        """Whether somebody killed it: what the command left behind can no longer be told from other processes."""
        return self._torn or facts_of(self.supervisor) is None

    def forward(self, number: int) -> None:
        """Hand a signal on to the command's process group; not once it ended: the number may be another's then."""
        if self.group and self.code is None:
            with suppress(OSError):
                os.killpg(self.group, number)

    def end(self, grace_s: float) -> Ended:
        """End the command and all that it started."""
        return end_processes(self.family, grace_s, groups=self.supervisor_is_gone())

    def close(self) -> None:
        """Let the supervisor go, and take the terminal back; a command that still runs is ended by it."""
        self.poll(_LAST_S if self.group and facts_of(self.group) is None else 0.0)
        for descriptor in (self._say, self._hear):
            with suppress(OSError):
                os.close(descriptor)
        with suppress(OSError):
            if self.code is None:
                os.kill(self.supervisor, signal.SIGTERM)
            os.kill(self.supervisor, signal.SIGCONT)
            os.waitpid(self.supervisor, 0)
        if self._front > 0:
            self._take_terminal()

    @staticmethod
    def _in_front() -> int:
        """The process group in front of the terminal if it is ours, and the command may take our place; else -1."""
        with suppress(OSError):
            if os.isatty(0) and os.tcgetpgrp(0) == os.getpgrp():
                return os.getpgrp()
        return -1

    def _take_terminal(self) -> None:
        old = signal.signal(signal.SIGTTOU, signal.SIG_IGN)
        with suppress(OSError):
            os.tcsetpgrp(0, self._front)
        signal.signal(signal.SIGTTOU, old)

    def _read(self, wait_s: float) -> dict[str, Any]:
        """One line of the supervisor; empty if none comes in time."""
        deadline = time.monotonic() + wait_s
        while b"\n" not in self._text:
            if not select.select([self._hear], [], [], max(0.0, deadline - time.monotonic()))[0]:
                return {}
            more = os.read(self._hear, _LINE_BYTES)
            if not more:  # it was killed, and with it the command; it may take a moment more until it is gone
                self._torn = True
                return {"ended": -int(signal.SIGKILL)}
            self._text += more
        line, _, self._text = self._text.partition(b"\n")
        found: dict[str, Any] = json.loads(line)
        return found


def _is_there(key: ProcessKey) -> bool:
    facts = facts_of(key.pid)
    return facts is not None and facts.key == key
