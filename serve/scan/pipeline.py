"""Reading targets: this process opens, sandboxed workers parse, events come back in order."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from tempfile import gettempdir
from typing import Final, final

import pyarrow as pa

from hashwarden.errors import DataError, TargetError, UsageError, WorkerError, target_error
from hashwarden.kernels.sass.limits import Limits
from hashwarden.kernels.sass.parquet import from_arrow
from hashwarden.kernels.sass.ptx import find_ptxas
from hashwarden.serve.scan.broker import Broker, Means
from hashwarden.serve.scan.events import Event, Finished, Kernels, Unreadable
from hashwarden.serve.scan.opening import Opened, OpenedMemory, OpenedProcess, open_path
from hashwarden.serve.scan.order import Item, Ordered
from hashwarden.serve.scan.pool import Pool
from hashwarden.serve.scan.sandbox import Bounds
from hashwarden.serve.scan.tasks import Files, Reading

__all__ = ["Held", "Process", "Progress", "Target", "read_targets", "spool_folder"]


@final
@dataclass(frozen=True, slots=True)
class Process:
    """A running process as a target (``--pid``)."""

    pid: int


@final
@dataclass(frozen=True, slots=True)
class Held:
    """What the caller opens himself.

    Attributes
    ----------
    name : str
        For messages.
    items : callable
        Gives the open files and memory, or what is wrong with them; called when the target's turn comes. The
        descriptors are closed here.
    """

    name: str
    items: Callable[[], Iterator[Opened | OpenedMemory | TargetError]]


Target = str | Path | Process | Held
"""A file, a folder, a process, or what is open already."""


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
    targets : sequence of str, Path, Process or Held
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
    if jobs is not None and jobs < 1:
        raise UsageError(f"{jobs} jobs", "at least 1", "Leave --jobs out to use every core.")
    limits = limits or Limits()
    workers = jobs or len(os.sched_getaffinity(0))
    folder = spool_folder()
    with ExitStack() as stack:
        bounds = Bounds(limits.memory_bytes, limits.expanded_bytes, _CPU_SECONDS)
        pool, ordered, files = Pool(bounds), Ordered(folder), Files(folder)
        broker = Broker(Means(pool, ordered, files, limits, workers, find_ptxas()))
        for one in (ordered, files, pool, broker):
            stack.callback(one.close)
        yield from _events(
            broker, ordered, [_name(target) for target in targets], _readings(targets, ordered), progress
        )


_CPU_SECONDS: Final = 24 * 3600
_PROGRESS_EVERY: Final = 0.2


def spool_folder() -> str:
    """Where temporary files go: TMPDIR, else /var/tmp, which is a disk where /tmp is often memory."""
    given = os.environ.get("TMPDIR")
    return given or ("/var/tmp" if os.access("/var/tmp", os.W_OK) else gettempdir())  # noqa: S108  unlinked files only


def _name(target: Target) -> str:
    if isinstance(target, Held):
        return target.name
    return f"pid {target.pid}" if isinstance(target, Process) else os.fsencode(target).decode("utf-8", "replace")


def _readings(targets: Sequence[Target], ordered: Ordered) -> Iterator[Reading]:
    """The targets one by one, each opened when its turn comes."""
    for index, target in enumerate(targets):
        node = ordered.root.child()
        if isinstance(target, Process):
            process = OpenedProcess(target.pid)
            yield Reading(index, process.name, node, process.items(), process)
        elif isinstance(target, Held):
            yield Reading(index, target.name, node, target.items())
        else:
            yield Reading(index, _name(target), node, open_path(os.fspath(target)))
    ordered.root.done = True


def _events(
    broker: Broker,
    ordered: Ordered,
    names: list[str],
    coming: Iterator[Reading],
    progress: Callable[[Progress], None] | None,
) -> Iterator[Event]:
    told, going_on = 0.0, True
    while going_on:
        going_on = broker.step(coming)
        for item, blob in ordered.ready():
            yield _event(item, blob, names)
        if progress is not None and broker.readings and time.monotonic() - told > _PROGRESS_EVERY:
            told = time.monotonic()
            first = broker.readings[0]
            stats = broker.total()
            progress(Progress(first.index, first.name, broker.now, stats.bytes_read, stats.code_bytes, stats.kernels))


def _event(item: Item, blob: bytes, names: list[str]) -> Event:
    said = item.said
    if said["t"] == "finished":
        return Finished(item.target, names[item.target], said["stats"])
    if said["t"] == "problem":
        texts = (said[name] for name in ("error", "got", "expected", "remedy", "where"))
        return Unreadable(item.target, target_error(*texts))
    try:
        with pa.ipc.open_stream(blob) as stream:
            arrow = stream.read_all()
        arrow.validate(full=True)
        return Kernels(item.target, from_arrow(arrow, said["where"]), said["from_table"])
    except (pa.ArrowException, DataError, ValueError) as error:
        return Unreadable(item.target, WorkerError(
            f"a worker sent a damaged table ({type(error).__name__})", "kernel mixes", "Do not trust this object.",
            where=said["where"],
        ))  # fmt: skip
