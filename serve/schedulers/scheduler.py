"""What a scheduler is to us: it takes an action on a job, says how that went, and is asked again if it was away.

An action has an id; a scheduler that is asked for the same one twice finds that it was done. Killing is asked for, not
done by us, wherever a scheduler can do it: it knows the job's processes on all nodes, and does the accounting.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, Protocol, final

from hashwarden.serve.jobs.job import Job

__all__ = ["HARMLESS", "Action", "ActionKind", "Outcome", "Result", "Scheduler", "SchedulerAway"]


class ActionKind(StrEnum):
    """What can be asked for; each scheduler offers some."""

    WARN = "warn"
    """Tell the owner: a comment, a mail, an Event. Changes nothing of the job."""
    HOLD = "hold"
    """It is not started, or not started again."""
    REQUEUE_HOLD = "requeuehold"
    """It ends, and waits in the queue for a person."""
    CANCEL = "cancel"
    """It ends."""
    EVICT = "evict"
    """Its pod goes through the eviction API, which heeds disruption budgets."""
    TERMINATE = "terminate"
    """Its processes are sent SIGTERM, then SIGKILL."""
    DRAIN = "drain"
    """Its node takes no new jobs. For a compromise, not for a user's miner."""
    THROTTLE = "throttle"
    """The power limit of its GPUs is lowered until the case is closed. No scheduler does it: the agent does."""
    RELEASE = "release"
    """What was held is let go, what was throttled gets its power back."""


HARMLESS: Final = frozenset({ActionKind.WARN, ActionKind.RELEASE})
"""What needs no approval, whatever the policy asks for."""


@final
@dataclass(frozen=True, slots=True)
class Action:
    """One thing that is asked for.

    Attributes
    ----------
    id : str
        Unique, made of the case and the step; carried out once at most, however often it is asked for.
    kind : ActionKind
    job : Job
        As it was when this was decided.
    case : str
        Id of the case.
    reason : str
        One line of printable text for the owner of the job; no secret.
    requested_unix_s, expires_unix_s : float
        What could not be done by then is dropped: a verdict of yesterday is no reason to act today.
    parameters : mapping of str to str
        Of the kind: ``mail_command`` of a warning, ``watts_ratio`` of a throttle, ``despite_budgets`` and
        ``evict_wait_s`` of an eviction.
    """

    id: str
    kind: ActionKind
    job: Job
    case: str
    reason: str
    requested_unix_s: float
    expires_unix_s: float
    parameters: Mapping[str, str] = field(default_factory=dict)


class Result(StrEnum):
    """How an action ended."""

    DONE = "done"
    ALREADY = "already"
    """The job is gone, or is already as asked: nothing was left to do."""
    REFUSED = "refused"
    """The scheduler says no, and would say so again."""
    EXPIRED = "expired"
    DRY_RUN = "dry-run"
    """Nothing was asked: the policy is a dry run."""


@final
@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of an action.

    Attributes
    ----------
    action : str
        `Action.id`.
    result : Result
    detail : str
        In words; what the scheduler said, printable and cut short.
    """

    action: str
    result: Result
    detail: str = ""


class SchedulerAway(Exception):  # noqa: N818  a state, not a fault
    """It does not answer now, or cannot do it now; asking again later may help."""


class Scheduler(Protocol):
    """One scheduler. Calls may take seconds: the agent makes them in a thread of their own."""

    @property
    def kinds(self) -> frozenset[ActionKind]:
        """What it can do."""

    def apply(self, action: Action) -> Outcome:
        """Do it, wait until it is so, and say how it went.

        Doing the same action a second time does no more harm than once.

        Raises
        ------
        SchedulerAway
            If it may work later. Everything else that it raises is a fault of ours, and counts as refused.
        """

    def close(self) -> None:
        """Give everything back; never raises."""
