"""GPU-hours used, by quota, in sliding windows of hours; kept over restarts. Blind time is ``unknown``, not mining."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any, Final, final

from hashwarden.serve.jobs.job import Job
from hashwarden.serve.policy.cases import CaseStore
from hashwarden.serve.policy.exemptions import approved_agent
from hashwarden.serve.policy.observation import Observation
from hashwarden.serve.policy.schema import ANY, Policy, Quota

__all__ = ["FOLD_S", "MOST_SUBJECTS", "Ledger", "is_charged", "subject_of"]

FOLD_S: Final = 60.0
"""Seconds between two writings of what was used."""

MOST_SUBJECTS: Final = 10_000
"""Users, tenants or jobs of one quota; names come from users, and must not eat our memory."""

HOUR: Final = 3600.0
_WINDOW_H: Final = {"day": 24, "week": 168}

Buckets = dict[int, dict[str, float]]


def subject_of(quota: Quota, job: Job) -> str:
    """For whom the hours of a job are summed up."""
    return {"user": job.user or f"uid {job.uid}", "tenant": job.tenant, "job": job.key}[quota.per]


def is_charged(quota: Quota, policy: Policy, job: Job, unix_s: float) -> bool:
    """Whether a quota is for this job."""
    if quota.agents and (not policy.agents.is_agent(job) or approved_agent(policy.agents, job, unix_s)):
        return False
    return quota.is_job(job)


@final
class Ledger:
    """What was used.

    Parameters
    ----------
    store : CaseStore
        Where it is kept, under ``quotas``.
    """

    def __init__(self, store: CaseStore) -> None:
        self._store = store
        found = store.state("quotas")
        self._folded_s = float(found.get("folded_unix_s", 0.0))
        self._last: dict[str, dict[str, float]] = {
            str(job): _numbers(counts) for job, counts in _table(found.get("jobs")).items()
        }
        self._hours: dict[str, dict[str, Buckets]] = {
            name: {subject: {int(hour): _numbers(used) for hour, used in _table(hours).items()}
                   for subject, hours in _table(subjects).items()}
            for name, subjects in _table(found.get("hours")).items()
        }  # fmt: skip
        self._now = {job: dict(counts) for job, counts in self._last.items()}
        self._pending: defaultdict[tuple[str, str, str], float] = defaultdict(float)

    def see(self, seen: Observation, quotas: Sequence[Quota]) -> None:
        """Take the GPU-seconds of a job, counted since it was first seen, for the quotas that it is charged to."""
        counts = {name: float(s) for name, s in seen.gpu_seconds.items() if s > 0}
        if not quotas or (not counts and seen.job.key not in self._now):
            return
        before = self._now.get(seen.job.key, {})
        if any(counts.get(name, 0.0) < s - 1e-6 for name, s in before.items()):
            before = {}  # the agent was started anew, and counts from 0
        self._now[seen.job.key] = counts
        for name, seconds in counts.items():
            more = seconds - before.get(name, 0.0)
            for quota in quotas if more > 0 else ():
                self._pending[quota.name, subject_of(quota, seen.job), name] += more

    def fold(self, unix_s: float) -> None:
        """Enter what was taken since the last time, if that is a while ago, and write it down.

        Raises
        ------
        StorageError
            If it cannot be written; it is entered all the same, and written with the next.
        """
        if 0 <= unix_s - self._folded_s < FOLD_S or (not self._pending and self._now == self._last):
            return
        hour = int(unix_s // HOUR)
        for (name, subject, class_), seconds in self._pending.items():
            subjects = self._hours.setdefault(name, {})
            if subject not in subjects and len(subjects) >= MOST_SUBJECTS:
                subjects.pop(min(subjects, key=lambda s: sum(sum(b.values()) for b in subjects[s].values())))
            used = subjects.setdefault(subject, {}).setdefault(hour, {})
            used[class_] = used.get(class_, 0.0) + seconds
        self._pending.clear()
        self._forget(hour)
        self._last = {job: dict(counts) for job, counts in self._now.items()}
        self._folded_s = unix_s
        self._store.save_state("quotas", {"folded_unix_s": unix_s, "jobs": self._last, "hours": self._hours})

    def used_hours(self, quota: Quota, subject: str, unix_s: float) -> float:
        """GPU-hours of the quota's classes in its window, as far as they are entered."""
        first = int(unix_s // HOUR) - _WINDOW_H[quota.window]
        buckets = self._hours.get(quota.name, {}).get(subject, {})
        counted = (used.items() for hour, used in buckets.items() if hour > first)
        every = ANY in quota.classes
        return sum(s for used in counted for name, s in used if every or name in quota.classes) / HOUR

    def ended(self, job: str) -> None:
        """A job has ended; what it used stays."""
        self._now.pop(job, None)

    def _forget(self, hour: int) -> None:
        """Drop what no window reaches any more."""
        first = hour - max(_WINDOW_H.values())
        for subjects in self._hours.values():
            for subject, buckets in list(subjects.items()):
                for old in [h for h in buckets if h <= first]:
                    del buckets[old]
                if not buckets:
                    del subjects[subject]


def _table(found: Any) -> Mapping[str, Any]:  # noqa: ANN401
    return found if isinstance(found, dict) else {}


def _numbers(found: Any) -> dict[str, float]:  # noqa: ANN401
    return {str(name): float(s) for name, s in _table(found).items() if isinstance(s, int | float)}
