"""Writes what the sources say to a trace: one run a device, at ticks that do not drift.

Samples go to a journal at once (`hashwarden.serve.journal`) and are made into a trace at the end, so that a recorder
that is killed, or whose disk is full, loses nothing that it had written.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import Final, final

import numpy as np

from hashwarden.errors import DataError, UsageError
from hashwarden.model.channels import CHANNELS
from hashwarden.model.trace import Run, RunInfo
from hashwarden.model.trace_write import TraceWriter
from hashwarden.serve.journal import Journal, StorageError, journal_of, recover
from hashwarden.serve.sources.runner import Runner
from hashwarden.serve.sources.source import F32, Device, Reading, vector
from hashwarden.serve.ticker import Ticker
from hashwarden.version import __version__

__all__ = [
    "LONGEST_S",
    "SHORTEST_S",
    "Recording",
    "Sample",
    "Tally",
    "check_period",
    "joined",
    "record",
    "run_of",
    "seal",
]

SHORTEST_S: Final = 0.1
LONGEST_S: Final = 60.0
"""Bounds of the period."""


@final
@dataclass(frozen=True, slots=True)
class Sample:
    """What all sources said of one device at one tick.

    Attributes
    ----------
    gpu : str
        UUID.
    time_s, unix_s : float
        Of the first reading in it; monotonic clock, and since 1970.
    values : float32 array, shape (len(CHANNELS),)
        NaN is missing.
    """

    gpu: str
    time_s: float
    unix_s: float
    values: F32


@final
@dataclass(slots=True)
class Tally:
    """How a recording went.

    Attributes
    ----------
    ticks, missed : int
        Ticks that came, and that passed while a reading took too long.
    silent : int
        Ticks at which no source gave anything.
    samples : int
        Samples that the sources gave.
    cpu_s : float
        CPU time of this process, all threads.
    """

    ticks: int = 0
    missed: int = 0
    silent: int = 0
    samples: int = 0
    cpu_s: float = 0.0


def joined(readings: Sequence[Reading], within_s: float) -> list[Sample]:
    """Put the readings of one device that belong together into one sample.

    Parameters
    ----------
    readings : sequence of Reading
        In the order of the sources: the first one's word counts where two know the same channel.
    within_s : float
        Readings that lie further apart are samples of their own.

    Returns
    -------
    list of Sample
        By time.
    """
    groups: dict[str, list[list[Reading]]] = {}
    for reading in readings:
        open_groups = groups.setdefault(reading.gpu, [])
        near = [group for group in open_groups if abs(group[0].time_s - reading.time_s) <= within_s]
        near[-1].append(reading) if near else open_groups.append([reading])
    samples = [_sample(group) for found in groups.values() for group in found]
    return sorted(samples, key=lambda sample: sample.time_s)


def _sample(group: Sequence[Reading]) -> Sample:
    values: dict[str, float] = {}
    for reading in reversed(group):
        values |= reading.values
    return Sample(group[0].gpu, group[0].time_s, group[0].unix_s, vector(values))


def record(  # noqa: PLR0913
    runner: Runner,
    take: Callable[[Sequence[Sample]], object],
    *,
    period_s: float,
    stop: Event,
    done: Callable[[float], bool],
    extra: Callable[[Sequence[Reading]], Iterable[Reading]] = lambda _: (),
    clock: Callable[[], float] = time.monotonic,
) -> Tally:
    """Give samples to `take` at every tick until `done` or `stop`.

    Parameters
    ----------
    runner : Runner
        Its sources are open.
    take : callable
        Called at every tick, without samples if there are none; what it raises ends the recording.
    period_s : float
        `SHORTEST_S` to `LONGEST_S`.
    stop : Event
        Set from a signal handler or another thread.
    done : callable
        From the seconds since the start to whether that was enough.
    extra : callable
        From the readings of a tick to further ones that come from elsewhere.
    clock : callable
        Seconds of a monotonic clock.

    Raises
    ------
    UsageError
        If the period cannot be had.
    """
    check_period(period_s)
    ticker, tally, start, cpu = Ticker(period_s, stop, clock), Tally(), clock(), time.process_time()
    while not done(clock() - start) and ticker.wait():
        readings = runner.read(0.9 * period_s)
        samples = joined([*readings, *extra(readings)], period_s / 2)
        tally.samples += len(samples)
        tally.silent += not samples
        take(samples)
    tally.ticks, tally.missed, tally.cpu_s = ticker.ticks, ticker.missed, time.process_time() - cpu
    return tally


def check_period(period_s: float) -> None:
    """Refuse a period that cannot be had."""
    if not SHORTEST_S <= period_s <= LONGEST_S:
        expected = f"{SHORTEST_S:g} to {LONGEST_S:g} s"
        raise UsageError(f"a period of {period_s:g} s", expected, "Choose one in this range.")


def run_of(device: Device, period_s: float, name: str, parameters: Mapping[str, object]) -> Run:
    """An unlabelled run of a device that has no samples yet."""
    info = RunInfo(
        origin="recorded",
        gpu=device.name,
        architecture=device.architecture,
        driver=device.driver,
        made_by=f"hashwarden {__version__}",
        period_s=period_s,
        share=float("nan"),
        parameters={"gpu_uuid": device.gpu, "cuda": device.cuda, **parameters},
    )
    return Run(name, np.empty(0), np.empty((0, len(CHANNELS)), np.float32), info=info)


@final
class Recording:
    """A trace that grows.

    Parameters
    ----------
    path : Path
        Of the trace.
    runs : mapping of str to Run
        What is known of the run of each device, by its UUID.

    Raises
    ------
    UsageError
        If the trace or its journal exists.
    StorageError
        If the folder cannot be written.
    """

    def __init__(self, path: Path, runs: Mapping[str, Run]) -> None:
        if path.exists():
            raise UsageError("it exists", "a new file", "Choose another name, or remove it.", where=str(path))
        self.path, self._numbers = path, {gpu: number for number, gpu in enumerate(runs)}
        self._start_s: dict[str, float] = {}
        self._last_s: dict[str, float] = {}
        self._journal = Journal(path, list(runs.values()))

    @property
    def samples(self) -> int:
        """Samples written."""
        return self._journal.samples

    def take(self, samples: Iterable[Sample]) -> None:
        """Write samples; of a device that is none of its own, and such as are no later than the last, are left out."""
        for sample in samples:
            start = self._start_s.setdefault(sample.gpu, sample.time_s)
            at = sample.time_s - start
            if sample.gpu in self._numbers and at > self._last_s.get(sample.gpu, -1.0):
                self._last_s[sample.gpu] = at
                self._journal.append(self._numbers[sample.gpu], at, sample.unix_s, sample.values)

    def seal(self, finished: Callable[[Run], Run] = lambda run: run) -> int:
        """Make the trace of the journal.

        Parameters
        ----------
        finished : callable
            Adds to a run what is known now: its label, its settings.

        Returns
        -------
        int
            Runs in it.

        Raises
        ------
        DataError
            If not a single sample came; nothing is left then.
        StorageError
            If there is no room; the journal is kept.
        """
        self._journal.close()
        return seal(self.path, finished)

    def salvage(self) -> None:
        """Make a trace of what was written, if there is room; else the journal is kept."""
        self._journal.close()
        with suppress(DataError):  # the error that led here is the one to tell
            seal(self.path)

    def drop(self) -> None:
        """Leave nothing."""
        self._journal.close()
        self._journal.path.unlink(missing_ok=True)


def seal(path: Path, finished: Callable[[Run], Run] = lambda run: run) -> int:
    """Make a trace of its journal, and remove that; also after a crash.

    Parameters
    ----------
    path : Path
        Of the trace.
    finished : callable
        Adds to a run what was not known when it began.

    Returns
    -------
    int
        Runs in it.

    Raises
    ------
    UsageError
        If the trace exists, or another process still records it.
    DataError
        If there is no journal or no sample in it; an empty journal is removed.
    StorageError
        If there is no room; the journal is kept.
    """
    if path.exists():
        raise UsageError("it exists", "a new file", "Move it away first.", where=str(path))
    channels, counted = _seen(recover(path))
    if not counted:
        journal_of(path).unlink(missing_ok=True)
        remedy = "Look at what the sources said; see docs/recording.md."
        raise DataError("not a single sample came", "at least one", remedy, where=str(path))
    try:
        with TraceWriter(path, channels) as writer:
            for run in recover(path):
                writer.write(finished(run))
    except DataError as error:
        if not isinstance(error.__cause__, OSError):
            raise
        got = f"the trace {error.got}; the journal of {counted} runs is kept"
        remedy = f"Make room, then: hashwarden record --recover --output {path}"
        raise StorageError(got, "room on the disk", remedy, where=str(journal_of(path))) from error
    journal_of(path).unlink(missing_ok=True)
    return counted


def _seen(runs: Iterable[Run]) -> tuple[list[str], int]:
    """Channels of which some run has a value, and the number of runs; one run is in memory at a time."""
    seen, count = np.zeros(len(CHANNELS), bool), 0
    for run in runs:
        seen |= ~np.isnan(run.values).all(axis=0)
        count += 1
    return [channel.name for channel, there in zip(CHANNELS, seen, strict=True) if there], count
