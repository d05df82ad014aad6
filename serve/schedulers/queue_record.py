"""An action as a file: JSON after a checksum, with what tells its age even if the clock was set meanwhile."""

from __future__ import annotations

import hashlib
import json
import time
from dataclasses import asdict, dataclass, replace
from math import isnan
from pathlib import Path
from typing import Any, Final, final

from hashwarden.errors import UsageError
from hashwarden.serve.jobs.job import Job
from hashwarden.serve.schedulers.scheduler import Action, ActionKind

__all__ = ["BadRecord", "Record", "boot_id", "boottime_s", "digest"]

_LONGEST: Final = 64 << 10
_VERSION: Final = 1
_TUPLES: Final = ("gpus",)


class BadRecord(Exception):  # noqa: N818  a state, not a fault
    """What was read is no record of this version, or was damaged."""


def digest(action_id: str) -> str:
    """A file name for an action's id, which may hold anything."""
    return hashlib.sha256(action_id.encode(errors="surrogatepass")).hexdigest()[:32]


def boottime_s() -> float:
    """Seconds since this machine was booted, also those asleep; nobody sets this clock."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def boot_id() -> str:
    """Which boot that is; empty if it cannot be told."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""


@final
@dataclass(frozen=True, slots=True)
class Record:
    """An action and when it is too late for it.

    Attributes
    ----------
    action : Action
    boot : str
        `boot_id` when it was put.
    deadline_s : float
        `boottime_s` by which it expires, counted in that boot.
    """

    action: Action
    boot: str
    deadline_s: float

    def expired(self, now_unix_s: float, steady_s: float, boot: str) -> bool:
        """Whether it is too late: by the wall clock, or by the one that nobody sets. Doubt counts as too late.

        A clock that was set forward drops what waits; one that was set back keeps nothing alive.
        """
        if now_unix_s >= self.action.expires_unix_s:
            return True
        if boot == self.boot:
            return steady_s >= self.deadline_s
        return now_unix_s < self.action.requested_unix_s - 60.0

    def encoded(self) -> bytes:
        """As bytes of a file; labels are left out where they would make it too long.

        Raises
        ------
        UsageError
            If it is too long without them.
        """
        for action in (self.action, replace(self.action, job=replace(self.action.job, labels={}))):
            body = json.dumps(self._plain(action), separators=(",", ":")).encode()
            if len(body) <= _LONGEST:
                return hashlib.sha256(body).hexdigest().encode() + b"\n" + body
        raise UsageError(f"an action of {len(body)} bytes", f"at most {_LONGEST}", "Shorten its reason or parameters.")

    def _plain(self, action: Action) -> dict[str, Any]:
        plain = asdict(action)
        if isnan(action.job.started_unix_s):
            plain["job"]["started_unix_s"] = None
        return {"version": _VERSION, "boot": self.boot, "deadline_s": self.deadline_s, "action": plain}

    @staticmethod
    def decoded(data: bytes) -> Record:
        """From the bytes of a file.

        Raises
        ------
        BadRecord
            If it is damaged or of another version.
        """
        checksum, _, body = data.partition(b"\n")
        if hashlib.sha256(body).hexdigest().encode() != checksum:
            raise BadRecord("its checksum does not fit")
        try:
            plain = json.loads(body)
            if plain["version"] != _VERSION:
                raise BadRecord(f"version {plain['version']}")
            return Record(_action(plain["action"]), plain["boot"], float(plain["deadline_s"]))
        except (ValueError, KeyError, TypeError) as error:
            raise BadRecord(f"another version wrote it ({error!r})") from error


def _action(plain: dict[str, Any]) -> Action:
    job = {**plain["job"], **{name: tuple(plain["job"][name]) for name in _TUPLES}}
    if job["started_unix_s"] is None:
        job["started_unix_s"] = float("nan")
    return Action(**{**plain, "kind": ActionKind(plain["kind"]), "job": Job(**job)})
