"""What a running workload tells the process that started it: when it begins, how far it is, what it launched.

One JSON object a line, with the time of the monotonic clock, which on Linux is the same for all processes. Whoever
records counters meanwhile learns from it which samples belong to the work, and which to compiling and checking it.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, final

from hashwarden.errors import UsageError
from hashwarden.kernels.workloads.plan import Launch, NativeLaunch

__all__ = ["EVERY_S", "Events", "LaunchTally", "Orphaned", "Silence"]

EVERY_S: Final = 0.05
"""Time between two lines about progress, at least."""


class Orphaned(KeyboardInterrupt):
    """Whoever started this process is gone, and nobody is left to end it: it ends as by Ctrl-C."""


@final
class LaunchTally:
    """Launches so far, by kernel: number and threads."""

    def __init__(self) -> None:
        self.kernels: dict[str, list[int]] = {}

    def add(self, launch: Launch | NativeLaunch) -> None:
        """Count one launch."""
        if isinstance(launch, Launch):
            name, threads = str(getattr(launch.body, "__name__", launch.body)), launch.threads
        else:
            name, threads = f"{launch.source}:{launch.kernel}:{launch.variant}", 1
            for length in (*launch.grid, *launch.block):
                threads *= length
        entry = self.kernels.setdefault(name, [0, 0])
        entry[0] += 1
        entry[1] += threads


class Silence:
    """Tells nobody."""

    def tell(self, event: str, **more: object) -> None:
        """An event."""

    def progress(self, steps: int, tallies: Callable[[], Mapping[str, Any] | None]) -> None:
        """Steps so far, and launches."""

    def close(self) -> None:
        """Nothing more will be told."""


@final
class Events(Silence):
    """Tells a file.

    Parameters
    ----------
    path : Path
        Written from the start, line by line.

    Raises
    ------
    UsageError
        If it cannot be written.
    """

    def __init__(self, path: Path) -> None:
        try:
            self._file = path.open("w", encoding="utf-8", buffering=1)
        except OSError as error:
            got = f"the file for events cannot be written ({error.strerror})"
            raise UsageError(got, "a file in a folder of yours", "Choose another path.", where=str(path)) from error
        self._parent, self._last_s = os.getppid(), 0.0

    def tell(self, event: str, **more: object) -> None:
        """Write an event; Orphaned if the parent is gone."""
        if os.getppid() != self._parent:
            raise Orphaned
        self._file.write(json.dumps({"event": event, "time": time.monotonic(), **more}) + "\n")

    def progress(self, steps: int, tallies: Callable[[], Mapping[str, Any] | None]) -> None:
        """Write how far it is, `EVERY_S` apart."""
        now = time.monotonic()
        if now - self._last_s >= EVERY_S:
            self._last_s = now
            self.tell("progress", steps=steps, launches=tallies())

    def close(self) -> None:
        """Close the file."""
        self._file.close()
