"""Whose a record is: jobs and cases are named in full once, and by their id afterwards."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, final

__all__ = ["Owners"]

_MOST: Final = 200_000


@final
class Owners:
    """Remembers the job of each case and the tenant of each job, oldest forgotten first."""

    def __init__(self) -> None:
        self._tenants: dict[str, str] = {}
        self._cases: dict[str, Mapping[str, Any]] = {}

    def job_of(self, body: Mapping[str, Any]) -> Mapping[str, Any]:
        """What is known of the job of a record: its fields, at least ``key``; empty if nothing is."""
        job, case = body.get("job"), body.get("case")
        if isinstance(job, str) and job:
            job = {"key": job}
        if isinstance(job, Mapping) and job:
            known = self._cases.get(case, {}) if isinstance(case, str) else {}
            if isinstance(case, str) and len(job) >= len(known):
                _keep(self._cases, case, job)
            return job if len(job) >= len(known) else known
        return self._cases.get(case, {}) if isinstance(case, str) else {}

    def tenant_of(self, body: Mapping[str, Any]) -> str | None:
        """The tenant of a record; None if nobody has said."""
        if isinstance(said := body.get("tenant"), str):
            return said
        job = self.job_of(body)
        key = str(job.get("key", ""))
        if len(job) > 1:
            found = str(job.get("namespace") or job.get("account") or job.get("user") or "")
            _keep(self._tenants, key, found)
            return found
        return self._tenants.get(key)


def _keep(known: dict[str, Any], key: str, value: Any) -> None:  # noqa: ANN401  either dict
    known.pop(key, None)
    known[key] = value
    while len(known) > _MOST:
        del known[next(iter(known))]
