"""What a provider of jobs is: it knows one scheduler, and says whose a process is and to whom GPUs were given.

The table of jobs (`hashwarden.serve.jobs.table`) calls `refresh` once a second from a thread that belongs to this
provider alone, so that one that hangs stops nobody; the provider itself sees to it that it asks its scheduler seldom.
`job_of` and `allotted` answer from memory, at once, from any thread, also while `refresh` runs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final, NamedTuple, Protocol, final

from hashwarden.serve.jobs.job import Job, ProcessKey
from hashwarden.serve.sources.source import Device

__all__ = ["Cgroup", "ProcessFacts", "Provider", "ProviderAway"]

_FEW: Final = 16  # lines of cgroups whose paths are remembered


class ProviderAway(Exception):  # noqa: N818  a state, not a fault
    """The scheduler does not answer now: what was known of it stays for a while, marked stale."""


@final
class Cgroup(NamedTuple):
    """One line of /proc/PID/cgroup.

    Attributes
    ----------
    controllers : tuple of str
        Empty for cgroup v2, ``name=systemd`` for that hierarchy.
    path : str
        From the root of this program's cgroup namespace; printable. Users may own what lies below a folder that was
        delegated to them, and call it anything: only a match from the root on says something.
    """

    controllers: tuple[str, ...]
    path: str


def _no_environment() -> Mapping[str, str]:
    return {}


@final
@dataclass(frozen=True, slots=True)
class ProcessFacts:
    """A process, as /proc tells; everything in it but numbers may be chosen by its owner.

    Attributes
    ----------
    key : ProcessKey
    ppid, session : int
        0 if none in this PID namespace.
    uid : int
        Real user, who started it: neither a set-uid program nor one that cannot be dumped changes it; -1 if not
        known.
    comm : str
        Printable; never a reason for anything.
    cgroups : tuple of Cgroup
        Empty if not known.
    read_environment : callable
        Reads what `environment` gives.
    """

    key: ProcessKey
    ppid: int
    session: int
    uid: int
    comm: str = ""
    cgroups: tuple[Cgroup, ...] = ()
    read_environment: Callable[[], Mapping[str, str]] = field(default=_no_environment, compare=False, repr=False)

    @property
    def pid(self) -> int:
        """In this program's PID namespace."""
        return self.key.pid

    @property
    def paths(self) -> tuple[str, ...]:
        """Paths of its cgroups, each once, cgroup v2 first."""
        return _paths_once(self.cgroups) if len(self.cgroups) <= _FEW else _paths(self.cgroups)

    @property
    def environment(self) -> Mapping[str, str]:
        """The few variables of schedulers, as they were when its program started; forged at will. Read anew."""
        return self.read_environment()


@lru_cache(maxsize=128)
def _paths_once(cgroups: tuple[Cgroup, ...]) -> tuple[str, ...]:
    return _paths(cgroups)


def _paths(cgroups: tuple[Cgroup, ...]) -> tuple[str, ...]:
    ordered = sorted(cgroups, key=lambda cgroup: bool(cgroup.controllers))
    return tuple(dict.fromkeys(cgroup.path for cgroup in ordered))


class Provider(Protocol):
    """One scheduler, as the table of jobs sees it."""

    @property
    def name(self) -> str:
        """What metrics call it."""

    def refresh(self, devices: Sequence[Device]) -> None:
        """Learn what is new; ProviderAway if the scheduler does not answer. Called once a second, may block."""

    def job_of(self, process: ProcessFacts) -> Job | None:
        """Whose the process is; None if it is no business of this scheduler, or it cannot be told for certain."""

    def allotted(self) -> Mapping[str, tuple[Job, ...]]:
        """Which jobs were given which devices, by UUID; with running processes on them or without."""
