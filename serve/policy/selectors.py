"""Whom and what an entry of the policy is about: names with shell patterns, all of which have to fit."""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import final

from pydantic import BaseModel, ConfigDict, Field

from hashwarden.serve.jobs.job import Job, JobKind

__all__ = ["Names", "Part", "What", "Who", "Work", "fits"]

Names = tuple[str, ...]


def fits(patterns: Names, name: str) -> bool:
    """Whether a name fits one of the patterns (``*``, ``?``, ``[…]``, case counts); no patterns fit everything."""
    return not patterns or any(fnmatchcase(name, pattern) for pattern in patterns)


class Part(BaseModel):
    """A part of the policy: unknown keys are refused, nothing changes once it is read."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


def _names(what: str) -> Names:
    found: Names = Field(default=(), max_length=1000, description=f"{what}; patterns such as gpu-*; empty: all")
    return found


class Who(Part):
    """Jobs, by what their scheduler says of them.

    Names that users choose themselves (labels, job names) are not here: nobody can write himself out of a rule, or into
    an exemption.
    """

    partitions: Names = _names("Slurm partitions")
    namespaces: Names = _names("Kubernetes namespaces")
    users: Names = _names("User names")
    accounts: Names = _names("Slurm accounts")
    qos: Names = _names("Slurm QOS")
    kinds: tuple[JobKind, ...] = Field(default=(), description="Schedulers that know the job; empty: all")

    def is_job(self, job: Job) -> bool:
        """Whether the job is meant."""
        pairs = (
            (self.partitions, job.partition), (self.namespaces, job.namespace), (self.users, job.user),
            (self.accounts, job.account), (self.qos, job.qos), (self.kinds, job.kind),
        )  # fmt: skip
        return all(not patterns or fits(patterns, name) for patterns, name in pairs)

    @property
    def anybody(self) -> bool:
        """Whether it names nobody in particular."""
        chosen = (self.partitions, self.namespaces, self.users, self.accounts, self.qos)
        return all(not patterns or any(not pattern.strip("*?") for pattern in patterns) for patterns in chosen)


@final
@dataclass(frozen=True, slots=True)
class Work:
    """What a job computes, as far as it is known: class, family of mining, tier of evidence; empty is not known."""

    class_: str = ""
    family: str = ""
    tier: str = ""


class What(Who):
    """Jobs, by their scheduler and by what they compute."""

    classes: Names = Field(default=(), description="Classes of work: mining, hash-other, …; empty: all")
    families: Names = _names("Families of mining: ethash, progpow, …")
    tiers: Names = _names("Tiers of evidence: nvml, gpm, gpm+code, all")

    def is_work(self, job: Job, work: Work) -> bool:
        """Whether this work of this job is meant."""
        if self.classes and not fits(self.classes, work.class_):
            return False
        return fits(self.families, work.family) and fits(self.tiers, work.tier) and self.is_job(job)
