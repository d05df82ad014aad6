"""Sessions of one user that are one job (`hashwarden.serve.jobs.sequences`), and what that job is labelled with."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Self, final

from hashwarden.serve.jobs.job import Job, ProcessKey

if TYPE_CHECKING:
    from hashwarden.serve.jobs.processes import Process

__all__ = ["LATEST", "SESSION", "SESSIONS", "Sequence"]

SESSION: Final = "session"
"""Label of a job that goes on in another session than its first: which one it is now."""

SESSIONS: Final = "sessions"
"""Label: how many sessions the job has had."""

LATEST: Final = "latest"
"""Label: the last of them."""

_SHOWN: Final = 8


@final
@dataclass(slots=True, eq=False)
class Sequence:
    """One job: `session` holds it now, with `members`; `last_s` is when one of them was last there.

    `turn` tells apart what the same session does after it was severed.
    """

    job: Job
    session: str
    began_s: float
    last_s: float
    pooled: bool = False
    severed: bool = False
    gone: bool = False
    turn: str = ""
    count: int = 0
    gpus: frozenset[str] = frozenset()
    members: dict[ProcessKey, Process] = field(default_factory=dict)
    latest: deque[str] = field(default_factory=lambda: deque(maxlen=_SHOWN))

    def join(self, session: str, time_s: float) -> None:
        """Another session belongs to it from now on; it holds it, unless there are more."""
        if not (self.pooled and self.members):
            self.session, self.began_s, self.turn = session, time_s, ""
        self.count += 1
        self.latest.append(session.partition(":")[2].partition(":")[2])

    @property
    def labels(self) -> dict[str, str]:
        """What its job is labelled with."""
        if self.count < 2 and not self.turn and not self.pooled:
            return {}
        return {SESSION: self.session + self.turn, SESSIONS: str(self.count), LATEST: " ".join(self.latest)}

    def record(self) -> dict[str, Any]:
        """As JSON."""
        job = self.job
        return {
            "key": job.key, "id": job.id, "user": job.user, "uid": job.uid, "session": self.session, "turn": self.turn,
            "count": self.count, "pooled": self.pooled, "severed": self.severed, "gpus": sorted(self.gpus),
            "latest": list(self.latest),
        }  # fmt: skip

    @classmethod
    def read(cls, record: Mapping[str, Any], time_s: float) -> Self:
        """What `record` gave; LookupError, TypeError or ValueError if it is something else."""
        job = Job(str(record["key"]), "process", str(record["id"]), user=str(record["user"]), uid=int(record["uid"]),
                  labels={"anchor": "session"})  # fmt: skip
        return cls(
            job, str(record["session"]), time_s, time_s, record["pooled"] is True, record["severed"] is True,
            turn=str(record["turn"]), count=int(record["count"]), gpus=frozenset(map(str, record["gpus"])),
            latest=deque(map(str, record["latest"]), _SHOWN),
        )  # fmt: skip
