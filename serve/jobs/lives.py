"""Which processes have ended, for the price of one system call: each is held by a descriptor that tells its end.

A number in /proc may belong to another process a moment later; a descriptor of a process never does. Beyond some
hundreds, or where the kernel has none (before 5.3, or in a stored tree), a process is looked up in /proc instead.
"""

from __future__ import annotations

import os
import select
from contextlib import suppress
from typing import Final, final

from hashwarden.serve.jobs.job import ProcessKey
from hashwarden.serve.jobs.proc import Proc

__all__ = ["MOST_DESCRIPTORS", "Lives"]

MOST_DESCRIPTORS: Final = 512


@final
class Lives:
    """Watches processes. Not safe for several threads.

    Parameters
    ----------
    proc : Proc
    most : int
        Descriptors that it may hold.
    """

    def __init__(self, proc: Proc, most: int = MOST_DESCRIPTORS) -> None:
        self._proc, self._most = proc, most
        self._keys: dict[int, ProcessKey] = {}
        self._files: dict[ProcessKey, int] = {}
        self._looked_up: set[ProcessKey] = set()
        self._poll = select.epoll() if proc.live and hasattr(select, "epoll") else None

    def __len__(self) -> int:
        return len(self._files) + len(self._looked_up)

    def watch(self, key: ProcessKey) -> bool:
        """Watch a process; False if it has ended already."""
        if key in self._files or key in self._looked_up:
            return True
        if self._poll is None or len(self._files) >= self._most or not self._hold(self._poll, key):
            self._looked_up.add(key)
        if self._proc.alive(key):  # asked after it was held: from here on nobody else can have its number unseen
            return True
        self.forget(key)
        return False

    def ended(self, *, held: bool = False) -> set[ProcessKey]:
        """Those that ended since the last call; they are forgotten.

        Parameters
        ----------
        held : bool
            Only those held by a descriptor, for one system call whatever their number.
        """
        gone = set() if held else {key for key in self._looked_up if not self._proc.alive(key)}
        if self._poll is not None and self._files:
            told = self._poll.poll(0, len(self._files))
            gone |= {self._keys[file] for file, _ in told if file in self._keys}
        for key in gone:
            self.forget(key)
        return gone

    def forget(self, key: ProcessKey) -> None:
        """Watch it no longer."""
        self._looked_up.discard(key)
        file = self._files.pop(key, None)
        if file is not None:
            del self._keys[file]
            self._leave(file)
            os.close(file)

    def _leave(self, file: int) -> None:
        """It would leave the poll by itself, but not while a child that is about to run a program has a copy."""
        with suppress(OSError):
            if self._poll is not None:
                self._poll.unregister(file)

    def close(self) -> None:
        """Give all descriptors back."""
        for key in list(self._files):
            self.forget(key)
        if self._poll is not None:
            self._poll.close()
            self._poll = None

    def _hold(self, poll: select.epoll, key: ProcessKey) -> bool:
        try:
            file = os.pidfd_open(key.pid)
        except (OSError, AttributeError, OverflowError, ValueError):
            return False
        try:
            poll.register(file, select.EPOLLIN)
        except OSError:
            os.close(file)
            return False
        self._files[key], self._keys[file] = file, key
        return True
