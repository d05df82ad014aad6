"""Jobs where no scheduler knows of one: a container, a login, else a session of processes.

Cgroups that only root can make are better than sessions, for their processes cannot leave them; those below a folder
that was delegated to a user (``user@UID.service``) are what that user calls them, and count for nothing.
"""

from __future__ import annotations

import pwd
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Final, final

from hashwarden.serve.jobs.job import Job
from hashwarden.serve.jobs.options import JobOptions
from hashwarden.serve.jobs.proc import Proc
from hashwarden.serve.jobs.provider import ProcessFacts
from hashwarden.serve.jobs.session_memory import MOST_SESSIONS, SessionMemory
from hashwarden.serve.jobs.subordinate import SubordinateIds
from hashwarden.serve.scan.text import printable
from hashwarden.serve.sources.source import Device

__all__ = ["Sessions", "container_of", "make", "user_name"]

_CONTAINERS: Final = re.compile(
    r"(?:/docker|/machine|/machine\.slice|/system\.slice"
    r"|/kubepods(?:\.slice)?(?:/(?:kubepods-)?(?:burstable|besteffort)(?:\.slice)?)?/[^/]*pod[^/]+)"
    r"/(?:(?:docker|libpod|nerdctl|crio|cri-containerd|containerd)-)?([0-9a-f]{64})(?:\.scope)?(?:/.*)?"
)
_LOGIN: Final = re.compile(r"/user\.slice/user-(\d{1,10})\.slice/(session-[0-9a-z]{1,16})\.scope(?:/.*)?")


def container_of(process: ProcessFacts) -> str:
    """The id of its container, 64 digits, if a container engine that runs as root made it; empty if there is none."""
    for path in process.paths:
        if match := _CONTAINERS.fullmatch(path):
            return match[1]
    return ""


def user_name(uid: int) -> str:
    """The name of a user, or the number where there is none; empty for -1."""
    return _names(uid) if uid >= 0 else ""


@lru_cache(maxsize=1024)
def _names(uid: int) -> str:
    try:
        return printable(pwd.getpwuid(uid).pw_name)
    except (KeyError, OverflowError):
        return str(uid)


@final
class Sessions:
    """Gives every process a job of kind "process". See the module.

    Parameters
    ----------
    proc : Proc
    ids : SubordinateIds
        Users that are one person.
    """

    name = "sessions"

    def __init__(self, proc: Proc, ids: SubordinateIds | None = None) -> None:
        self._boot, self._ids = proc.boot_id(), ids or SubordinateIds()
        self._sessions = SessionMemory(proc)
        self._jobs: dict[str, Job] = {}

    def refresh(self, devices: Sequence[Device]) -> None:  # noqa: ARG002  others need them
        """Learn who has numbers of users to himself."""
        self._ids.refresh()

    def allotted(self) -> Mapping[str, tuple[Job, ...]]:
        """Nobody allots."""
        return {}

    def job_of(self, process: ProcessFacts) -> Job | None:
        """Its container, login or session, as it was described when its first process was seen."""
        found = self._job_of(process)
        job = self._jobs.pop(found.key, found)
        self._jobs[job.key] = job
        while len(self._jobs) > MOST_SESSIONS:
            self._jobs.pop(next(iter(self._jobs)), None)
        return job

    def _job_of(self, process: ProcessFacts) -> Job:
        if container := container_of(process):
            return self._job(f"container:{container}", container[:12], process.uid, "container")
        for path in process.paths:
            if match := _LOGIN.fullmatch(path):
                job = self._job(f"login:{self._boot}:{match[2]}", match[2], int(match[1]), "login")
                return replace(job, interactive=True)
        session = self._sessions.identify(process)
        key = f"session:{self._boot}:{session.pid}:{session.started}"
        if session.uid != process.uid:  # the programs of another user in a session do not take its name
            key += f":{process.uid}"
        return self._job(key, str(session.pid), self._person(process.uid), "session")

    def _person(self, uid: int) -> int:
        """Whose a user is; an account is its own, whatever range it lies in."""
        return uid if uid < 0 or user_name(uid) != str(uid) else self._ids.owner(uid)

    @staticmethod
    def _job(key: str, name: str, uid: int, anchor: str) -> Job:
        return Job(key, "process", name, user=user_name(uid), uid=uid, labels={"anchor": anchor})


def make(options: JobOptions) -> Sessions:
    """For the registry."""
    return Sessions(Proc(options.proc))
