"""Readings of devices and of jobs, put together to one sample of each job on each of its GPUs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, final

from hashwarden.model.channels import CHANNELS
from hashwarden.serve.jobs.job import Job
from hashwarden.serve.jobs.sequence import SESSION
from hashwarden.serve.sources.source import F32, Reading, vector

__all__ = ["LEAST_KNOWN", "JobSample", "joined", "session_of", "split", "watched_name"]

_SHARED: Final = "foreign_process_count"
_SEPARATOR: Final = "@"

LEAST_KNOWN: Final = 0.5
"""Share of launches whose machine code has to be known for that tier to say anything: no run that the model learned
from lay below 0.85."""

_KNOWN: Final = "code_known_ratio"
_CODE: Final = frozenset(channel.name for channel in CHANNELS if channel.group == "code")


def watched_name(job: str, gpu: str) -> str:
    """What a job on one GPU is called where it is watched; a UUID holds no ``@``."""
    return f"{job}{_SEPARATOR}{gpu}"


def split(name: str) -> tuple[str, str]:
    """The job and the GPU of a `watched_name`."""
    job, _, gpu = name.rpartition(_SEPARATOR)
    return job, gpu


def session_of(job: Job) -> str:
    """Which session of a job is there now; most jobs have but one, which is called as they are."""
    return job.labels.get(SESSION, job.key)


@final
@dataclass(frozen=True, slots=True)
class JobSample:
    """One sample of one job on one GPU.

    Attributes
    ----------
    job : Job
    gpu : str
        UUID.
    time_s, unix_s : float
        Monotonic clock, and since 1970.
    values : float32 array, shape (len(CHANNELS),)
        NaN is missing.
    shared : bool
        Whether other jobs are on this GPU.
    code_hidden : bool
        Whether its machine code was left out, for too little of what it launches is known (`LEAST_KNOWN`).
    heard_s : float, optional
        When it was handed over, on the monotonic clock, if `time_s` runs by the clock of somebody else.
    every_s : float
        How often samples are handed over, if that is seldomer than they are made; 0 if it is not.
    """

    job: Job
    gpu: str
    time_s: float
    unix_s: float
    values: F32
    shared: bool
    code_hidden: bool = False
    heard_s: float | None = None
    every_s: float = 0.0


def joined(readings: Sequence[Reading], jobs_on: Callable[[str], Sequence[Job]], within_s: float) -> list[JobSample]:
    """The samples of one tick.

    Parameters
    ----------
    readings : sequence of Reading
        In the order of the sources: the first one's word counts where two know the same channel.
    jobs_on : callable
        From the UUID of a device to the jobs on it.
    within_s : float
        Readings of a whole device that are older than the newest one by more belong to an earlier tick and are left
        out; those of a job are not, for they come in bursts.

    Returns
    -------
    list of JobSample
        At most one of each job and GPU. A device with several jobs gives its counters to each, and each of them a
        ``foreign_process_count`` above 0: whose work they count is not known.
    """
    whole: dict[str, list[Reading]] = {}
    own: dict[tuple[str, str], list[Reading]] = {}
    for reading in readings:
        if reading.job:
            own.setdefault((reading.job, reading.gpu), []).append(reading)
        else:
            whole.setdefault(reading.gpu, []).append(reading)
    found = []
    for gpu in dict.fromkeys([*whole, *(gpu for _, gpu in own)]):
        jobs = jobs_on(gpu)
        device = _newest(whole.get(gpu, ()), within_s)
        for job in jobs:
            parts = [*device, *own.get((job.key, gpu), ())]
            if parts:
                found.append(_sample(job, gpu, parts, len(jobs) - 1))
    return found


def _newest(readings: Sequence[Reading], within_s: float) -> list[Reading]:
    if not readings:
        return []
    newest = max(reading.time_s for reading in readings)
    return [reading for reading in readings if newest - reading.time_s <= within_s]


def _sample(job: Job, gpu: str, parts: Sequence[Reading], others: int) -> JobSample:
    values: dict[str, float] = {}
    for reading in reversed(parts):
        values |= reading.values
    if others:
        values[_SHARED] = max(float(others), _known(values))
    hidden = values.get(_KNOWN, 1.0) < LEAST_KNOWN
    if hidden:
        values = {name: value for name, value in values.items() if name not in _CODE}
    latest = max(parts, key=lambda reading: reading.time_s)
    shared = bool(others) or _known(values) > 0
    return JobSample(job, gpu, latest.time_s, latest.unix_s, vector(values), shared, hidden, latest.heard_s,
                     latest.every_s)  # fmt: skip


def _known(values: Mapping[str, float]) -> float:
    count = values.get(_SHARED, 0.0)
    return count if count == count else 0.0  # noqa: PLR0124  NaN is missing
