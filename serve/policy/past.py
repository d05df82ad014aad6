"""What is remembered of closed cases: a line each, for thousands of them; the cases themselves lie on the disk."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple, final

from hashwarden.serve.jobs.job import Job
from hashwarden.serve.policy.case import Case, StepState
from hashwarden.serve.policy.ladder import ENDS

__all__ = ["Past", "before", "is_same_user", "offence"]


@final
class Past(NamedTuple):
    """Of one closed case.

    Attributes
    ----------
    id, origin, job_key : str
    unix_s : float
        When it was closed.
    why : str
        `Case.closed_for`.
    user, namespace : str
    uid : int
    acted : bool
        Whether its job was ended for it, and not only in a dry run.
    """

    id: str
    origin: str
    job_key: str
    unix_s: float
    why: str
    user: str
    namespace: str
    uid: int
    acted: bool

    @staticmethod
    def of(case: Case) -> Past:
        """What is remembered of it."""
        job = case.job
        acted = any(one.kind in ENDS and one.state is StepState.DONE and not one.dry for one in case.steps.values())
        return Past(
            case.id, case.origin, case.job_key, case.closed_unix_s or 0.0, case.closed_for, str(job.get("user", "")),
            str(job.get("namespace", "")), int(job.get("uid", -1)), acted,
        )  # fmt: skip


def before(pasts: Iterable[Past], job: Job, unix_s: float, within_s: float) -> str:
    """The newest case of the same user that was closed so short a time ago; empty if there is none."""
    ago = [(one.unix_s, one.id) for one in pasts if 0 <= unix_s - one.unix_s <= within_s and is_same_user(one, job)]
    return max(ago)[1] if ago else ""


def offence(pasts: Iterable[Past], job: Job, origin: str, unix_s: float, within_s: float) -> str:
    """The newest such case, of the same origin, for which a job of this user was ended.

    Empty if there is none, or if a person has rejected a case of this user since: that speaks for him.
    """
    ago = [
        (one.unix_s, one.id, one.why) for one in pasts
        if (one.acted or one.why == "rejected") and one.origin == origin and 0 <= unix_s - one.unix_s <= within_s
        and is_same_user(one, job)
    ]  # fmt: skip
    _, id_, why = max(ago, default=(0.0, "", ""))
    return "" if why == "rejected" else id_


def is_same_user(past: Past, job: Job) -> bool:
    """Whether two jobs are of one user; a job in Kubernetes has a namespace as well. Nobody known is nobody's equal."""
    if job.user:
        return past.user == job.user and past.namespace == job.namespace
    return past.uid == job.uid >= 0
