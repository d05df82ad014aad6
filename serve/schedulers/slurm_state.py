"""Where a Slurm job stands, and whether it is the one that was meant: ids come again, and requeued jobs run again."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from math import isnan
from typing import Final, final

from hashwarden.serve.schedulers.scheduler import Action

__all__ = ["FORMAT", "Standing", "find", "is_id", "is_node", "is_user"]

_ID: Final = re.compile(r"[1-9][0-9]{0,9}(?:[_+][0-9]{1,9})?", re.ASCII)
_NODE: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,254}", re.ASCII)
_USER: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.@+-]{0,254}\$?", re.ASCII)

_FIELDS: Final = (
    "JobID", "ArrayJobID", "ArrayTaskID", "HetJobID", "HetJobOffset", "UserID", "State", "StartTime", "RestartCnt",
    "PriorityLong", "Reason",
)  # fmt: skip
FORMAT: Final = ",".join(f"{name}:.80" for name in _FIELDS)
"""For ``squeue --Format``: nothing in it is chosen by the job's owner, who may call a job ``JobState=COMPLETED``."""

_WAITING: Final = frozenset({"PENDING", "REQUEUED", "REQUEUE_FED", "REQUEUE_HOLD", "RESV_DEL_HOLD", "SPECIAL_EXIT"})
_ENDED: Final = frozenset(
    {
        "BOOT_FAIL", "CANCELLED", "COMPLETED", "DEADLINE", "FAILED", "LAUNCH_FAILED", "NODE_FAIL", "OUT_OF_MEMORY",
        "PREEMPTED", "RECONFIG_FAIL", "REVOKED", "TIMEOUT",
    }
)  # fmt: skip
_CLOCKS_S: Final = 2.0
"""By how much the clocks of a node and of the controller may differ, in a start time."""


def is_id(text: str) -> bool:
    """Whether it is the id of one Slurm job: ``12``, ``12_3`` of an array, ``12+1`` of a heterogeneous job."""
    return _ID.fullmatch(text) is not None


def is_node(text: str) -> bool:
    """Whether it is the name of one node, and no list, range or option."""
    return _NODE.fullmatch(text) is not None


def is_user(text: str) -> bool:
    """Whether it is a user name that is safe as an argument."""
    return _USER.fullmatch(text) is not None


@final
@dataclass(frozen=True, slots=True)
class Standing:
    """A job in the eyes of slurmctld now.

    Attributes
    ----------
    number : int
        Its own id, which an array task has too.
    address : str
        What names this job and no other: the plain id of an array would name all its tasks.
    whole : str
        The same, but of a part of a heterogeneous job what names all its parts: they are requeued together.
    several : bool
        Whether it stands for tasks of an array that wait together.
    uid : int
    state : str
    started_unix_s : float
        NaN if it has not started; an estimate while it waits.
    restarts : int
        How often it was put back into the queue.
    held : bool
        Whether it waits for somebody.
    reason : str
        Slurm's word for why it waits.
    """

    number: int
    address: str
    whole: str
    several: bool
    uid: int
    state: str
    started_unix_s: float
    restarts: int
    held: bool
    reason: str

    @property
    def waits(self) -> bool:
        """Whether it is in the queue."""
        return self.state in _WAITING

    @property
    def ended(self) -> bool:
        """Whether nothing of it runs, and nothing will."""
        return self.state in _ENDED

    @property
    def ending(self) -> bool:
        """Whether its end was asked for and its processes are still there."""
        return self.state == "COMPLETING"

    @property
    def by_admin(self) -> bool:
        """Whether its owner cannot let it go."""
        return self.held and self.reason == "JobHeldAdmin"

    def is_run_of(self, action: Action) -> bool:
        """Whether it is this very run of the job: same owner, not started again since, nor after this was asked for."""
        job = action.job
        if self.uid != job.uid or self.several:
            return False
        if self.waits:
            return isnan(job.started_unix_s) and not self.restarts
        latest = action.requested_unix_s if isnan(job.started_unix_s) else job.started_unix_s
        return self.started_unix_s <= latest + _CLOCKS_S  # not if it is NaN

    def is_later_turn_of(self, action: Action) -> bool:
        """Whether it is this job, put back into the queue after the run that was meant."""
        returned = self.restarts > 0 and (self.waits or self.ending)
        return self.uid == action.job.uid and not self.several and returned


def find(text: str, wanted: str) -> Standing | None:
    """Find one job in what ``squeue`` said of it.

    Parameters
    ----------
    text : str
        Its lines, by `FORMAT`; others are passed over.
    wanted : str
        The id, any that `is_id` takes. A plain one is that of the very job, not of the array that is called by it.
    """
    for standing in _standings(text):
        if wanted in (str(standing.number), standing.address):
            return standing
    return None


def _standings(text: str) -> Iterator[Standing]:
    for line in text.splitlines():
        parts = line.split(maxsplit=len(_FIELDS) - 1)
        if len(parts) == len(_FIELDS) and parts[0].isdecimal():
            yield _standing(parts)


def _standing(parts: list[str]) -> Standing:
    number, array, task, leader, offset, uid, state, start, restarts, priority, reason = parts
    address = whole = number
    if task != "N/A":
        address = whole = f"{array}_{task}"
    elif leader.isdecimal() and leader != "0" and offset.isdecimal():
        address, whole = f"{leader}+{offset}", leader
    started = float(start) if start.isdecimal() else float("nan")
    several = task != "N/A" and not task.isdecimal()
    return Standing(
        int(number), address, whole, several, int(uid), state, started, int(restarts), priority == "0", reason
    )
