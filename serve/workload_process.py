"""A workload of `hashwarden workloads`, run as a process of its own while it is recorded.

It tells by a file of events when the run proper begins and ends and what it launched; what a sample shows before that
is set-up, the check against the oracle and the baseline of an evasion, and carries no label.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, BinaryIO, Final, final

from hashwarden.errors import (
    CheckError,
    HashwardenError,
    MemoryShortError,
    MissingExtraError,
    NoDeviceError,
    UsageError,
)
from hashwarden.serve.sources.source import Device, Reading

__all__ = ["Work", "WorkloadProcess", "launch_channels"]

PROGRAM: Final = (sys.executable, "-c", "from hashwarden.cli import main; main()", "workloads", "run")
_END_S: Final = 10.0
_KINDS: Final = (UsageError, MissingExtraError, NoDeviceError, MemoryShortError, CheckError)
"""What an exit code of the process means."""

Launches = Mapping[str, Sequence[int]]
"""By kernel: launches and threads since the workload was prepared."""


@final
@dataclass(frozen=True, slots=True)
class Work:
    """What to run; empty means what the workload chooses itself.

    Attributes
    ----------
    name, evasion, size, engine : str
        As ``hashwarden workloads run`` takes them.
    seconds : float
        How long the run proper lasts.
    settings, evasion_settings : tuple of str
        ``NAME=NUMBER``.
    company : tuple of str
        Workloads beside it.
    seed : int
        Of everything random.
    """

    name: str
    evasion: str = ""
    size: str = ""
    engine: str = "auto"
    seconds: float = 60.0
    settings: tuple[str, ...] = ()
    evasion_settings: tuple[str, ...] = ()
    company: tuple[str, ...] = ()
    seed: int = 0

    def arguments(self, events: Path) -> list[str]:
        """The command line."""
        found = [*PROGRAM, self.name, "--json", "--events", str(events), "--seconds", f"{self.seconds:g}"]
        found += ["--engine", self.engine, "--seed", str(self.seed)]
        one = {"--size": self.size, "--evasion": self.evasion}
        many = {"--set": self.settings, "--evasion-set": self.evasion_settings, "--with": self.company}
        for flag, value in one.items():
            found += [flag, value] if value else []
        for flag, values in many.items():
            for value in values:
                found += [flag, value]
        return found


@dataclass(slots=True)
class _Told:
    """What the events said so far."""

    started_s: float | None = None
    ended_s: float | None = None
    heard_s: float = float("-inf")
    launches: list[tuple[float, Launches]] = field(default_factory=list)


@final
class WorkloadProcess:
    """The process, from start to report; a context manager that leaves none behind.

    Parameters
    ----------
    work : Work
        What to run.
    device : Device
        On which GPU: the process sees no other.
    folder : Path
        For its events and what it prints.

    Attributes
    ----------
    told : _Told
        When it started, when it ended, until when it was heard of; seconds of the monotonic clock.
    """

    def __init__(self, work: Work, device: Device, folder: Path) -> None:
        self.work, self._device = work, device
        self._events, self._out, self._err = (folder / name for name in ("events.jsonl", "report.json", "errors.txt"))
        self._events.touch()
        self.told = _Told()
        self._seen: dict[str, int] = {}
        self._tail: BinaryIO = self._events.open("rb")
        self._line = b""
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> WorkloadProcess:
        environment = {**os.environ, "CUDA_VISIBLE_DEVICES": self._device.gpu, "CUDA_DEVICE_ORDER": "PCI_BUS_ID"}
        if not self._device.gpu.startswith(("GPU-", "MIG-")):
            del environment["CUDA_VISIBLE_DEVICES"]
        with self._out.open("wb") as out, self._err.open("wb") as err:
            self._process = subprocess.Popen(
                self.work.arguments(self._events), stdin=subprocess.DEVNULL, stdout=out, stderr=err, env=environment,
                start_new_session=True,
            )  # fmt: skip
        return self

    def __exit__(self, *_: object) -> None:
        process = self._process
        for name in (signal.SIGTERM, signal.SIGKILL):
            if process is not None and process.poll() is None:
                process.send_signal(name)
                try:
                    process.wait(_END_S)
                except subprocess.TimeoutExpired:
                    continue
        self._tail.close()

    @property
    def pids(self) -> frozenset[int]:
        """The process and its children."""
        return frozenset() if self._process is None else _family(self._process.pid)

    @property
    def over(self) -> bool:
        """Whether it has ended, well or not."""
        return self._process is not None and self._process.poll() is not None

    def listen(self) -> None:
        """Read what it told since the last call."""
        *lines, self._line = (self._line + self._tail.read()).split(b"\n")
        for line in lines:
            self._hear(json.loads(line))

    def launches(self, readings: Sequence[Reading]) -> list[Reading]:
        """What was launched since the last call that gave something, as a reading beside the newest of others."""
        beside = [reading for reading in readings if reading.gpu == self._device.gpu]
        if not beside or len(self.told.launches) < 2:
            return []
        (start, first), (end, last) = self.told.launches[0], self.told.launches[-1]
        del self.told.launches[:-1]
        values = launch_channels(first, last, end - start, self._seen)
        return [replace(beside[-1], values=values)]

    def report(self) -> dict[str, Any]:
        """What it says of its run.

        Raises
        ------
        HashwardenError
            If it failed: with its own words.
        """
        process = self._process
        code = None if process is None else process.wait(_END_S)
        said = self._err.read_text(errors="replace").strip().splitlines() or ["it said nothing"]
        if code:
            kind = next((kind for kind in _KINDS if kind.exit_code == code), HashwardenError)
            where = f"hashwarden workloads run {self.work.name}"
            raise kind(f"it ended with {code}: {said[-1][:300]}", "a run", "Try it by hand.", where=where)
        found: dict[str, Any] = json.loads(self._out.read_text())
        return found

    def _hear(self, event: dict[str, Any]) -> None:
        at = float(event["time"])
        self.told.heard_s = at
        if event["event"] == "start":
            self.told.started_s = at
        if event["event"] == "end":
            self.told.ended_s = at
        if event.get("launches") is not None:
            if not self.told.launches:
                self._seen = {name: launches for name, (launches, _) in event["launches"].items()}
            self.told.launches.append((at, event["launches"]))


def launch_channels(first: Launches, last: Launches, seconds: float, seen: dict[str, int]) -> dict[str, float]:
    """Channels of the launches between two states of the counts.

    Parameters
    ----------
    first, last : Launches
        The counts at the beginning and at the end.
    seconds : float
        Between them.
    seen : dict
        Launches of each kernel that the job launched before; brought up to date.

    Returns
    -------
    dict
        Without what a count cannot tell: modules, graphs, the times of single launches.
    """
    made = {name: (n - first.get(name, (0, 0))[0], t - first.get(name, (0, 0))[1]) for name, (n, t) in last.items()}
    made = {name: counts for name, counts in made.items() if counts[0] > 0}
    launches = sum(n for n, _ in made.values())
    found = {"launches_per_s": launches / seconds if seconds > 0 else 0.0, "distinct_kernels": float(len(made))}
    if launches:
        found["top_kernel_ratio"] = max(n for n, _ in made.values()) / launches
        found["new_kernel_ratio"] = sum(n for name, (n, _) in made.items() if name not in seen) / launches
        found["threads_per_launch"] = sum(t for _, t in made.values()) / launches
    seen |= {name: n for name, (n, _) in last.items()}
    return found


def _family(pid: int) -> frozenset[int]:
    """A process and its descendants, as far as /proc tells."""
    found, open_pids = set(), [pid]
    while open_pids:
        one = open_pids.pop()
        found.add(one)
        for task in Path(f"/proc/{one}/task").glob("*/children"):
            try:
                open_pids += [int(word) for word in task.read_text().split() if int(word) not in found]
            except OSError:  # it ended meanwhile
                continue
    return frozenset(found)
