"""Reading targets: this process opens, sandboxed workers parse, events come back in order."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import final

from hashwarden.kernels.sass.limits import Limits
from hashwarden.serve.scan.events import Event

__all__ = ["Process", "Progress", "Target", "read_targets"]


@final
@dataclass(frozen=True, slots=True)
class Process:
    """A running process as a target (``--pid``)."""

    pid: int


Target = str | Path | Process
"""A file, a folder, or a process."""


@final
@dataclass(frozen=True, slots=True)
class Progress:
    """Where the reading stands; given to the caller's function a few times a second.

    Attributes
    ----------
    target : int
        Index of the target whose events come next.
    name : str
        Its name.
    now : str
        An object in it that is being read.
    bytes_read, code_bytes, kernels : int
        So far, over all targets.
    """

    target: int
    name: str
    now: str
    bytes_read: int
    code_bytes: int
    kernels: int


def read_targets(
    targets: Sequence[Target],
    limits: Limits | None = None,
    *,
    jobs: int | None = None,
    progress: Callable[[Progress], None] | None = None,
) -> Iterator[Event]:
    """Read the GPU code of all targets.

    Parameters
    ----------
    targets : sequence of str, Path or Process
        What to read, in order. Nothing about them is checked before the first event is asked for.
    limits : Limits, optional
        What reading one target may cost.
    jobs : int, optional
        Worker processes; as many as there are usable cores if None. One large file keeps all of them busy.
    progress : callable, optional
        Called in this thread while events are awaited.

    Yields
    ------
    Kernels, Unreadable or Finished
        All events of target 0, then all of target 1, and so on; the last event of each target is its `Finished`.
        Nothing raises for a bad target: what is wrong with one comes as an `Unreadable`, including a missing,
        empty or unreadable file, a target without GPU code, a limit, PTX that was not judged and a dead worker;
        what was found before stays. The order of kernels is the same for every number of jobs.
        Closing the generator early ends the workers.

    Raises
    ------
    WorkerError
        If no worker process can be started at all.
    UsageError
        If ``jobs`` is below 1.
    """
    raise NotImplementedError
    yield
