"""Facts of processes from /proc: hostile bytes, bounded, and every read may find the process gone.

The folder can be another one (/host/proc in a container, a stored tree in tests).
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import Final, final

from hashwarden.serve.jobs.job import ProcessKey
from hashwarden.serve.jobs.provider import Cgroup, ProcessFacts
from hashwarden.serve.scan.text import printable

__all__ = ["VARIABLES", "Proc", "Stat"]

VARIABLES: Final = frozenset({
    "SLURM_JOB_ID", "SLURM_JOBID", "SLURM_ARRAY_JOB_ID", "SLURM_ARRAY_TASK_ID", "SLURM_RESTART_COUNT",
    "SLURM_JOB_GPUS", "SLURM_STEP_GPUS", "CUDA_VISIBLE_DEVICES", "NVIDIA_VISIBLE_DEVICES", "GPU_DEVICE_ORDINAL",
    "KUBERNETES_SERVICE_HOST", "HOSTNAME",
})  # fmt: skip
"""What is read of an environment; all else in it, passwords too, never leaves the function that reads."""

_MOST: Final = 1 << 16
_MOST_ENVIRONMENT: Final = 1 << 18
_LONGEST_VALUE: Final = 1024
_SHORT: Final = 4096  # bytes of cgroups that are kept as they were parsed
_AFTER_COMM: Final = 20  # fields of stat from the state to the start time


@final
@dataclass(frozen=True, slots=True)
class Stat:
    """Of /proc/PID/stat.

    Attributes
    ----------
    key : ProcessKey
    ppid, session : int
    comm : str
        Printable.
    """

    key: ProcessKey
    ppid: int
    session: int
    comm: str


@final
class Proc:
    """See the module.

    Parameters
    ----------
    folder : Path
    ticks : callable, optional
        What time it is in the unit of `ProcessKey.started`; the machine's own time since boot if not given.

    Attributes
    ----------
    live : bool
        Whether it is this machine's own /proc, whose PIDs system calls take.
    """

    def __init__(self, folder: Path = Path("/proc"), ticks: Callable[[], int] | None = None) -> None:
        self._folder = str(folder)
        self.live = self._folder == "/proc"
        self.ticks = ticks or _ticks_since_boot
        self._above: dict[tuple[str, ...], str] | None = None

    def boot_id(self) -> str:
        """The first 12 digits of the random number of this boot, zeros if it is not known."""
        text = self._read("sys/kernel/random/boot_id", 64) or b""
        digits = "".join(c for c in text.decode("ascii", "replace") if c in "0123456789abcdef")
        return digits[:12].ljust(12, "0")

    def stat(self, pid: int) -> Stat | None:
        """The parent, the session and the start of a process; None if it is gone, or no more than a zombie."""
        return _stat_of(pid, self._read(f"{pid}/stat", 4096))

    def facts(self, pid: int, known: ProcessKey | None = None) -> ProcessFacts | None:
        """All that is known of a process; None if it is gone.

        Parameters
        ----------
        pid : int
        known : ProcessKey, optional
            Which process it was before; None is given if it is another one now.
        """
        key = known or self._key(pid)
        if key is None:
            return None
        cgroups = self._cgroups(pid)
        uid = _uid_of(self._read(f"{pid}/status", _MOST) or b"")
        stat = self.stat(pid)
        if stat is None or stat.key != key:  # another process has its number now
            return None
        environment = partial(self._environment, key)
        return ProcessFacts(key, stat.ppid, stat.session, uid, stat.comm, cgroups, environment)

    def _key(self, pid: int) -> ProcessKey | None:
        stat = self.stat(pid)
        return None if stat is None else stat.key

    def alive(self, key: ProcessKey) -> bool:
        """Whether the process still runs."""
        stat = self.stat(key.pid)
        return stat is not None and stat.key == key

    def _cgroups(self, pid: int) -> tuple[Cgroup, ...]:
        """From the root of the machine if it can be told, though our own namespace of cgroups is a part of it."""
        if self._above is None:
            self._above = _ways_up(_cgroups_of(self._read("1/cgroup", _MOST) or b""))
        found = _cgroups_of(self._read(f"{pid}/cgroup", _MOST) or b"")
        return tuple(_from_root(one, self._above) for one in found) if self._above else found

    def _environment(self, key: ProcessKey) -> Mapping[str, str]:
        text = self._read(f"{key.pid}/environ", _MOST_ENVIRONMENT) or b""
        return _environment_of(text) if text and self.alive(key) else {}

    def _read(self, name: str, most: int) -> bytes | None:
        try:
            file = os.open(f"{self._folder}/{name}", os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        except OSError:
            return None
        try:
            return _read_up_to(file, most)
        except OSError:
            return None
        finally:
            os.close(file)


def _read_up_to(file: int, most: int) -> bytes:
    """The kernel gives a page at a time of some files."""
    text = os.read(file, most)
    if len(text) < 4000:  # short of a page: this was all
        return text
    while len(text) < most and (more := os.read(file, most - len(text))):
        text += more
    return text


def _ticks_since_boot() -> int:
    return int(time.clock_gettime(time.CLOCK_BOOTTIME) * os.sysconf("SC_CLK_TCK"))


def _stat_of(pid: int, text: bytes | None) -> Stat | None:
    """Whatever the name holds, brackets too, the last bracket ends it."""
    if not text:
        return None
    start, end = text.find(b"("), text.rfind(b")")
    fields = text[end + 2 :].split(maxsplit=_AFTER_COMM)
    if start < 0 or len(fields) < _AFTER_COMM or fields[0] in {b"Z", b"X"}:
        return None
    try:
        ppid, session, started = int(fields[1]), int(fields[3]), int(fields[19])
    except ValueError:
        return None
    comm = printable(text[start + 1 : end].decode("utf-8", "surrogateescape"))
    return Stat(ProcessKey(pid, started), ppid, session, comm)


def _uid_of(text: bytes) -> int:
    """The real user. A name with line ends is escaped by the kernel here, so the line is its own."""
    at = text.find(b"\nUid:")
    fields = text[at + 5 : at + 64].split(maxsplit=1)
    return int(fields[0]) if at >= 0 and fields and fields[0].isdigit() else -1


def _cgroups_of(text: bytes) -> tuple[Cgroup, ...]:
    """Processes of one job have the same text, which is read again and again."""
    return _parsed_once(text) if len(text) <= _SHORT else _parsed(text)


@lru_cache(maxsize=128)
def _parsed_once(text: bytes) -> tuple[Cgroup, ...]:
    return _parsed(text)


def _parsed(text: bytes) -> tuple[Cgroup, ...]:
    found = []
    for line in text.decode("utf-8", "surrogateescape").split("\n"):
        fields = line.split(":", 2)
        if len(fields) == 3:
            controllers = tuple(name for name in fields[1].split(",") if name)
            found.append(Cgroup(controllers, printable(fields[2].removesuffix(" (deleted)"))))
    return tuple(found)


def _ways_up(init: tuple[Cgroup, ...]) -> dict[tuple[str, ...], str]:
    """The way from the root of our namespace to that of the machine, where init is: ``/../..`` is two folders up."""
    found = {}
    for one in init:
        parts = one.path.split("/")[1:]
        ups = parts.count("..")
        if ups and parts[:ups] == [".."] * ups and parts[ups:] in ([], ["init.scope"]):
            found[one.controllers] = "/.." * ups
    return found


def _from_root(one: Cgroup, above: Mapping[tuple[str, ...], str]) -> Cgroup:
    """One that is fewer folders up is below a folder that we are below, too, whose name is not known: it stays."""
    way = above.get(one.controllers, "")
    outside = way and one.path.startswith(f"{way}/") and not one.path.startswith(f"{way}/..")
    return Cgroup(one.controllers, one.path[len(way) :]) if outside else one


def _environment_of(text: bytes) -> dict[str, str]:
    """The chosen variables; of two with one name the first counts, as for getenv."""
    found: dict[str, str] = {}
    for entry in text.split(b"\0"):
        name, mark, value = entry.partition(b"=")
        key = name.decode("ascii", "replace") if len(name) < 64 else ""
        if mark and key in VARIABLES and key not in found:
            found[key] = printable(value[:_LONGEST_VALUE].decode("utf-8", "surrogateescape"))
    return found
