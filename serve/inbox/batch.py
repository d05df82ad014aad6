"""What goes into the inbox and what is given for it: batches, bounds, tickets, and the words when there is no room."""

from __future__ import annotations

from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any, Final, final

import numpy as np
import numpy.typing as npt

from hashwarden.errors import HashwardenError, LimitError
from hashwarden.serve.inbox.jobs import Facts

__all__ = ["LEAST_RETRY_S", "Batch", "InboxClosedError", "InboxFullError", "Limits", "Part", "Ticket"]

F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]

LEAST_RETRY_S: Final = 1.0


@final
class InboxFullError(LimitError):
    """There is no room; nothing of the request was taken.

    Attributes
    ----------
    retry_s : float
        After so long there may be.
    """

    retry_s: float = LEAST_RETRY_S


@final
class InboxClosedError(HashwardenError):
    """The desk ends, or has failed."""


@final
@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds.

    Attributes
    ----------
    samples : int
        That wait.
    mib : int
        That they take.
    jobs, gpus : int
        Jobs known, and jobs on GPUs.
    silent_s : float
        A job of which nothing was heard for so long is over.
    left_s : float
        A GPU on which a job was silent for so long is another's as soon as that speaks.
    """

    samples: int = 65_536
    mib: int = 64
    jobs: int = 4096
    gpus: int = 8192
    silent_s: float = 900.0
    left_s: float = 60.0


@final
@dataclass(frozen=True, slots=True)
class Part:
    """Samples of one job on one GPU.

    Attributes
    ----------
    job : int
        Place of the job in its batch.
    gpu : str
        As the client calls it.
    unix : float64 array, shape (n,)
        The client's clock, seconds since 1970; not falling.
    values : float32 array, shape (n, len(CHANNELS))
        NaN is missing.
    """

    job: int
    gpu: str
    unix: F64
    values: F32


@final
@dataclass(frozen=True, slots=True)
class Batch:
    """What one request brings; no job twice, no GPU of a job twice."""

    jobs: tuple[Facts, ...]
    parts: tuple[Part, ...] = ()


@final
@dataclass(slots=True, eq=False)
class Ticket:
    """A request that was taken.

    Attributes
    ----------
    names : list of tuple
        Keys of jobs and names of GPUs that it speaks of.
    taken, duplicates, late, jumps : int
        See `hashwarden.serve.inbox.clock`.
    left : int
        Samples that wait.
    done : Future
        Of what the agent says then: when all of them were judged.
    """

    names: list[tuple[str, str]] = field(default_factory=list)
    taken: int = 0
    duplicates: int = 0
    late: int = 0
    jumps: int = 0
    left: int = 0
    done: Future[Any] = field(default_factory=Future)
