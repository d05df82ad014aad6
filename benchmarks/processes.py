"""Peak memory of a process and everything that it starts, sampled from /proc while a block runs."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import final


@final
@dataclass(slots=True)
class Peak:
    """The largest sums seen, in bytes.

    Attributes
    ----------
    rss : int
        Resident memory, pages that several processes share counted once for each.
    pss : int
        The same with shared pages counted once: what the machine has to give.
    samples : int
        How often it was looked.
    """

    rss: int = 0
    pss: int = 0
    samples: int = 0


def _descendants(pid: int) -> list[int]:
    found, waiting = [], [pid]
    while waiting:
        one = waiting.pop()
        found.append(one)
        try:
            for task in Path(f"/proc/{one}/task").iterdir():
                waiting += [int(text) for text in (task / "children").read_text().split()]
        except OSError:
            continue
    return found


def _memory(pid: int) -> tuple[int, int]:
    rss = pss = 0
    try:
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            name, _, value = line.partition(":")
            if name == "Rss":
                rss = int(value.split()[0]) << 10
            elif name == "Pss":
                pss = int(value.split()[0]) << 10
    except OSError:
        pass
    return rss, pss


@contextmanager
def peak_memory(pid: int | None = None, every: float = 0.05) -> Iterator[Peak]:
    """Sample while the block runs; ``pid`` is this process by default, ``every`` is in seconds."""
    peak, stop = Peak(), threading.Event()

    def watch() -> None:
        while not stop.is_set():
            sums = [_memory(one) for one in _descendants(pid or os.getpid())]
            peak.rss = max(peak.rss, sum(rss for rss, _ in sums))
            peak.pss = max(peak.pss, sum(pss for _, pss in sums))
            peak.samples += 1
            stop.wait(every)

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield peak
    finally:
        stop.set()
        thread.join()
        time.sleep(0)
