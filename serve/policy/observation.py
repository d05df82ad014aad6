"""What is known of one job at one time: all that a policy decides on, and nothing that the job says of itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import final

from hashwarden.model.job.verdict import JobVerdict
from hashwarden.serve.jobs.job import Job

__all__ = ["Blindness", "Observation"]


class Blindness(StrEnum):
    """Why what is known of a job is no ground to act; each is told as an alert of its own."""

    STALE = "stale"
    """No sample for too long."""
    DEAD_COUNTERS = "dead-counters"
    """Counters stand still, or say what cannot be."""
    SELF_TEST = "self-test"
    """The known answers did not come out: the scorer cannot be trusted."""
    MODEL = "model"
    """The model does not match its card, its self-test, or this version."""
    SHARED = "shared"
    """Others use the GPU, and nothing says whose work its counters count."""
    SOURCE_DOWN = "source-down"
    """A source that was asked for does not answer."""
    UNMAPPED = "unmapped"
    """Nobody knows whose work it is."""
    CLOCK = "clock"
    """The wall clock jumped: times of the ladder cannot be trusted until it is steady."""
    STORAGE = "storage"
    """The audit log takes no records: what is not written down is not done."""
    CODE = "code"
    """Most of what it launches could not be told from its machine code: that tier says nothing then. Told, and left out
    of `Observation.blind`: who hides his code must not be safe from what the counters say."""
    LAUNCHES = "launches"
    """A process has other code where the probes of launches stand, or took them away: what it launches is not known.
    Told, and left out of `Observation.blind`, for the same reason."""
    UNCALIBRATED = "uncalibrated"
    """The model has no calibrated evidence for what is seen."""


@final
@dataclass(frozen=True, slots=True)
class Observation:
    """Of one job.

    Attributes
    ----------
    job : Job
    time_s, unix_s : float
        Now: monotonic clock, and since 1970.
    verdicts : mapping of str to JobVerdict
        By UUID of the GPU, newest.
    blind : frozenset of Blindness
        Any of these forbids every action but a warning of the operator.
    shared : bool
        Whether others use one of its GPUs.
    code_mining : float
        Probability of mining of the kernels that this job's own processes launched, weighted by launched threads
        (the channel ``code_mining_ratio``), newest; NaN if not known.
    gpu_seconds : mapping of str to float
        GPU-seconds of this job since it was first seen, by likeliest class; ``unknown`` where it abstained.
    borrowed : frozenset of str
        GPUs whose verdict rests on sessions of the job that ended, so far: what is there now was not seen to do it.
    """

    job: Job
    time_s: float
    unix_s: float
    verdicts: Mapping[str, JobVerdict]
    blind: frozenset[Blindness] = frozenset()
    shared: bool = False
    code_mining: float = float("nan")
    gpu_seconds: Mapping[str, float] = field(default_factory=dict)
    borrowed: frozenset[str] = frozenset()
