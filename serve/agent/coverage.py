"""GPU time by tenant: how much of it was watched, as what it was judged, and how much could not be seen, and why."""

from __future__ import annotations

from collections import defaultdict
from typing import Any, Final, final

from hashwarden.serve.jobs.job import Job

__all__ = ["UNKNOWN_CLASS", "Coverage"]

UNKNOWN_CLASS: Final = "unknown"
_MOST_OWNERS: Final = 10_000


@final
class Coverage:
    """Sums over one interval, and over the life of each job.

    Parameters
    ----------
    unix_s : float
        When the interval begins.
    """

    def __init__(self, unix_s: float) -> None:
        self.since_unix_s = unix_s
        self._watched: defaultdict[tuple[str, str, str], float] = defaultdict(float)
        self._blind: defaultdict[tuple[str, str, str], float] = defaultdict(float)
        self._jobs: dict[str, defaultdict[str, float]] = {}
        self._unseen: defaultdict[str, float] = defaultdict(float)

    def add(self, job: Job, seconds: float, likeliest: str, blind: str) -> None:
        """Count one GPU of a job for some seconds.

        Parameters
        ----------
        job : Job
        seconds : float
            Since it was last counted.
        likeliest : str
            Class of the highest probability, empty if there is no score.
        blind : str
            Why nothing could be seen, empty if something was.
        """
        kind = UNKNOWN_CLASS if blind or not likeliest else likeliest
        self._jobs.setdefault(job.key, defaultdict(float))[kind] += seconds
        if blind:
            self._unseen[job.key] += seconds
        sums, what = (self._blind, blind) if blind else (self._watched, kind)
        key = (job.tenant, job.user, what)
        if key not in sums and len(sums) >= _MOST_OWNERS:  # names come from users: they must not eat our memory
            key = ("", "", what)
        sums[key] += seconds

    def of(self, job: str) -> dict[str, float]:
        """GPU-seconds of a job by class since it was first seen."""
        return dict(self._jobs.get(job, {}))

    def total_of(self, job: str) -> float:
        """GPU-seconds of a job since it was first seen."""
        return sum(self._jobs.get(job, {}).values())

    def blind_of(self, job: str) -> float:
        """GPU-seconds of a job that could not be seen."""
        return self._unseen.get(job, 0.0)

    def forget(self, job: str) -> None:
        """A job has ended; its share of the interval stays."""
        self._jobs.pop(job, None)
        self._unseen.pop(job, None)

    def close(self, unix_s: float) -> dict[str, Any]:
        """End the interval; gives the body of its record (`EventKind.COVERAGE`)."""
        since, self.since_unix_s = self.since_unix_s, unix_s
        body = {
            "from_unix_s": since, "to_unix_s": unix_s,
            "watched": _rows(self._watched, "class"), "blind": _rows(self._blind, "reason"),
        }  # fmt: skip
        self._watched.clear()
        self._blind.clear()
        return body


def _rows(sums: dict[tuple[str, str, str], float], what: str) -> list[dict[str, Any]]:
    return [
        {"tenant": tenant, "user": user, what: name, "gpu_seconds": round(seconds, 3)}
        for (tenant, user, name), seconds in sorted(sums.items())
    ]
