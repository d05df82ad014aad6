"""Jobs of a drill: each device of a replayed trace stands for a job of its own, with the name of its run.

So that a policy can be seen at work before it watches anybody: these jobs have an owner, and no processes.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import final

from hashwarden.serve.jobs.job import Job
from hashwarden.serve.jobs.options import JobOptions
from hashwarden.serve.jobs.provider import ProcessFacts
from hashwarden.serve.sources.source import Device

__all__ = ["Drill", "make"]


def make(options: JobOptions) -> Drill:
    """The provider; it needs none of the options."""
    del options
    return Drill()


@final
class Drill:
    """See the module."""

    name = "drill"

    def __init__(self) -> None:
        self._on: dict[str, tuple[Job, ...]] = {}

    def refresh(self, devices: Sequence[Device]) -> None:
        """Take the devices as jobs."""
        self._on = {device.gpu: (_job(device.gpu),) for device in devices}

    def job_of(self, process: ProcessFacts) -> Job | None:
        """None: a drill has no processes."""
        del process
        return None

    def allotted(self) -> Mapping[str, tuple[Job, ...]]:
        """Each device to its own job."""
        return self._on


def _job(run: str) -> Job:
    return Job(f"drill:{run}", "process", run, (run,), user="drill", uid=os.geteuid(), name=run, allotted=True)
