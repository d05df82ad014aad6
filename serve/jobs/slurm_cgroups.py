"""Jobs of Slurm by their cgroups, which root makes and processes cannot leave.

Layouts (Slurm's cgroup plugins): v1 ``/slurm[_NODE]/uid_N/job_N/step_N/task_N`` in each hierarchy, v2
``/system.slice/[NODE_]slurmstepd.scope/job_N/step_N/user/task_N``. A user to whom a folder was delegated can call one
below it ``job_1``, or ``slurm/uid_0/job_1``: so nothing counts but the whole path from the root.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Final

from hashwarden.serve.jobs.provider import ProcessFacts

__all__ = ["MIXED", "job_of_cgroups", "local_jobs"]

MIXED: Final = -1
"""The hierarchies name several jobs: none is believed."""

_V1: Final = re.compile(r"/slurm(?:_[^/]+)?/uid_\d{1,10}/job_(\d{1,10})(?:/.*)?")
_V2: Final = re.compile(r"/system\.slice/(?:[^/]+_)?slurmstepd\.scope/job_(\d{1,10})(?:/.*)?")
_JOB: Final = re.compile(r"job_(\d{1,10})")
_V2_FOLDERS: Final = ("system.slice", "unified/system.slice")
_V1_HIERARCHIES: Final = ("freezer", "devices", "memory", "cpuset", "cpu,cpuacct")
_MOST: Final = 4096


def job_of_cgroups(process: ProcessFacts) -> int | None:
    """The job of a process; None if its cgroups tell none, `MIXED` if they tell several."""
    found: int | None = None
    for cgroup in process.cgroups:
        match = (_V1 if cgroup.controllers else _V2).fullmatch(cgroup.path)
        if match is not None:
            job = int(match[1])
            if found not in {None, job}:
                return MIXED
            found = job
    return found


def local_jobs(root: Path) -> frozenset[int] | None:
    """Jobs that have a cgroup here now; None if this Slurm makes none."""
    for folder in _scopes(root):
        if (found := _jobs_in(folder)) is not None:
            return found
    for hierarchy in _V1_HIERARCHIES:
        tops = [top for top in _listed(root / hierarchy) if top == "slurm" or top.startswith("slurm_")]
        if tops:
            users = (root / hierarchy / top / user for top in tops for user in _listed(root / hierarchy / top))
            return frozenset[int]().union(*(_jobs_in(user) or () for user in users if user.name.startswith("uid_")))
    return None


def _scopes(root: Path) -> list[Path]:
    return [
        root / folder / name
        for folder in _V2_FOLDERS
        for name in _listed(root / folder)
        if name == "slurmstepd.scope" or name.endswith("_slurmstepd.scope")
    ]


def _jobs_in(folder: Path) -> frozenset[int] | None:
    if not folder.is_dir():
        return None
    found = (_JOB.fullmatch(name) for name in _listed(folder)[:_MOST])
    return frozenset(int(match[1]) for match in found if match is not None)


def _listed(folder: Path) -> list[str]:
    try:
        with os.scandir(folder) as entries:
            return [entry.name for entry in entries]
    except OSError:
        return []
