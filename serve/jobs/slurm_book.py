"""What is known of Slurm's jobs on this node, and the `Job` of each: one book is written, then read by all threads."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, final

from hashwarden.serve.jobs.device_names import DeviceNames
from hashwarden.serve.jobs.gpustat import Entry
from hashwarden.serve.jobs.job import Job
from hashwarden.serve.jobs.sessions import user_name
from hashwarden.serve.jobs.slurm_text import Detail, Row

__all__ = ["NO_DETAIL", "RUNNING", "UNDESCRIBED", "Book", "Run", "describe"]

RUNNING: Final = frozenset({"R", "S", "ST", "CG", "SI"})
"""States in which a job has its GPUs: running, suspended, stopped, completing, signalled."""

UNDESCRIBED: Final = "undescribed"
"""Label of a job of which the controller has not told partition, account and QOS: a policy's selectors go by those."""

NO_DETAIL: Final = Detail(None)


@final
@dataclass(frozen=True, slots=True)
class Run:
    """One run of a job: a job that is requeued runs again under its number.

    Attributes
    ----------
    row : Row
    detail : Detail
    again : int
        Times that the same number and count of restarts came again with another start: a controller that lost its
        state counts from 1.
    """

    row: Row
    detail: Detail = NO_DETAIL
    again: int = 0

    @property
    def key(self) -> str:
        """`Job.key`: by the job's own number, for that is what cgroups tell while the controller is away."""
        restarts = f"-r{self.row.restarts}" if self.row.restarts else ""
        return f"slurm:{self.row.job}{restarts}{'-n' + str(self.again) if self.again else ''}"

    def succeeded_by(self, row: Row) -> Run:
        """What the row says of this run, or of the next."""
        same = row.restarts == self.row.restarts
        moved = abs(row.started_unix_s - self.row.started_unix_s) > 1
        if same and not moved:
            return Run(row, self.detail, self.again)
        return Run(row, NO_DETAIL, self.again + 1 if same else 0)


@final
@dataclass(frozen=True, slots=True)
class Book:
    """See the module.

    Attributes
    ----------
    runs : mapping of int to Run
        Those that run here as the controller said last, by the job's own number.
    jobs : mapping of int to Job
        Those, and those that only this node knows of.
    pids : mapping of int to int
        Jobs by process, as the step daemons said at `pids_ticks`.
    ended : mapping of int to Job
        The last that ended here.
    names : DeviceNames
    uids : frozenset of int
        Users of these jobs, running and ended.
    """

    runs: Mapping[int, Run] = field(default_factory=dict)
    jobs: Mapping[int, Job] = field(default_factory=dict)
    pids: Mapping[int, int] = field(default_factory=dict)
    pids_ticks: int = 0
    ended: Mapping[int, Job] = field(default_factory=dict)
    names: DeviceNames = field(default_factory=lambda: DeviceNames(()))
    uids: frozenset[int] = frozenset()

    def part_here(self, number: int) -> int:
        """Number of the job that a process means: parts of a heterogeneous job name its leader, elsewhere."""
        if self.job(number) is not None:
            return number
        return next((run.row.job for run in self.runs.values() if run.row.leader == number), number)

    def job(self, number: int) -> Job | None:
        """The job of this number, that runs or ended lately."""
        return self.jobs.get(number) or self.ended.get(number)


def describe(number: int, run: Run | None, entries: Mapping[str, tuple[Entry, ...]], names: DeviceNames) -> Job:
    """The job, of which the controller or only this node knows.

    Places in gres.conf are believed unless a file names another GPU by UUID, for they depend on the order there; files
    that name a GPU by a number, which can mean several things, come last.
    """
    mine = {gpu: e for gpu, found in entries.items() for e in found if e.job == number}
    sure = tuple(gpu for gpu, found in entries.items() if any(e.job == number and e.sure for e in found))
    places = run.detail.places if run is not None else None
    placed = names.all_of(names.place(place) for place in places or ())
    disagree = bool(placed) and not set(sure) <= set(placed)  # a file of two jobs on one GPU names the last alone
    if placed and not disagree:
        gpus, source = placed, "scontrol"
    else:
        gpus, source = (sure, "gpustat uuid") if sure else (tuple(mine), "gpustat")
    labels = {"gpus_from": source, "gpus_disagree": "1" if disagree else ""} if gpus else {}
    labels = {name: value for name, value in labels.items() if value}
    gpus = names.all_of([gpus])
    if run is None:
        uid = max((entry.uid for entry in mine.values()), default=-1)
        key, user, labels = f"slurm:{number}", user_name(uid), {**labels, UNDESCRIBED: "1"}
        return Job(key, "slurm", str(number), gpus, user, uid, allotted=bool(gpus), labels=labels)
    return _described(run, gpus, labels)


def _described(run: Run, gpus: tuple[str, ...], labels: dict[str, str]) -> Job:
    row, detail = run.row, run.detail
    said = {"comment": detail.comment, "het_job": row.het, "forged_output": "1" if detail.forged else ""}
    labels |= {name: value for name, value in said.items() if value}
    return Job(
        run.key, "slurm", row.id, gpus, row.user, row.uid, row.account, row.partition, row.qos, name=detail.name,
        started_unix_s=row.started_unix_s if math.isfinite(row.started_unix_s) else math.nan,
        interactive=not row.batch, allotted=bool(gpus) and not detail.shared, labels=labels,
    )  # fmt: skip
