"""Processes of this program's own that stand on GPUs: one source starts them, and no other takes them for a job's."""

from __future__ import annotations

import threading
from typing import final

__all__ = ["Helpers"]


@final
class Helpers:
    """A set of processes; sources change it in their threads and read it in others."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._pids: frozenset[int] = frozenset()

    @property
    def pids(self) -> frozenset[int]:
        """Those that live."""
        return self._pids

    def add(self, pid: int) -> None:
        """One was started."""
        with self._lock:
            self._pids |= {pid}

    def discard(self, pid: int) -> None:
        """One has ended."""
        with self._lock:
            self._pids -= {pid}
