"""The source ``replay``: a trace, played as if it were live, one device a run."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from typing import Final, final

import numpy as np

from hashwarden.errors import UsageError
from hashwarden.model.channels import CHANNELS
from hashwarden.model.trace import Run
from hashwarden.serve.sources.source import Device, NoData, Options, Reading

__all__ = ["ReplaySource", "make"]

STEP: Final = 0.0
"""The speed at which every reading gives one sample of each run, however fast it is asked."""


def make(options: Options) -> ReplaySource:
    """The source, not open yet.

    Raises
    ------
    UsageError
        If no trace is named, or the speed cannot be meant.
    """
    path = options.trace
    if path is None:
        raise UsageError("the source 'replay' without a trace", "a trace file", "Name one.")

    def runs() -> list[Run]:
        from hashwarden.model.trace_read import read_runs

        return list(read_runs(path))

    return ReplaySource(runs, options, options.clock, options.unix)


@final
class ReplaySource:
    """Runs, played.

    Parameters
    ----------
    runs : callable
        Gives them when the source is opened; each stands for a device of its own, called like the run.
    options : Options
        Its speed: 1 is real time, 2 twice as fast, 0 one sample a reading.
    clock, unix : callable
        Seconds of the monotonic clock, and since 1970.

    Raises
    ------
    UsageError
        If the speed is negative or no number.
    """

    def __init__(
        self,
        runs: Callable[[], Sequence[Run]],
        options: Options,
        clock: Callable[[], float] = time.monotonic,
        unix: Callable[[], float] = time.time,
    ) -> None:
        if not 0 <= options.speed < float("inf"):
            raise UsageError(f"a speed of {options.speed}", "0 (step by step) or more", "Choose 1 for real time.")
        self._load, self._options, self._clock, self._unix = runs, options, clock, unix
        self._runs: Sequence[Run] = ()
        self._next: list[int] = []
        self._start_s = self._start_unix_s = 0.0

    @property
    def done(self) -> bool:
        """Whether every run was played to its end."""
        return all(place >= len(run) for place, run in zip(self._next, self._runs, strict=True))

    def open(self) -> Sequence[Device]:
        """Load the runs, and start the clock; DataError if the file is no good trace."""
        every = [(_device(run, i), run) for i, run in enumerate(self._load())]
        chosen = [(device, run) for device, run in every if self._options.wants(device)]
        self._devices, self._runs = [device for device, _ in chosen], [run for _, run in chosen]
        self._next = [0] * len(self._runs)
        self._start_s, self._start_unix_s = self._clock(), self._unix()
        return self._devices

    def read(self) -> Sequence[Reading]:
        """The newest sample that is due of each run; samples between two readings are passed over, as live."""
        readings = [r for place in range(len(self._runs)) if (r := self._due(place)) is not None]
        if not readings:
            raise NoData("all was played" if self.done else "no sample is due yet")
        return readings

    def close(self) -> None:
        """Forget the runs."""
        self._runs, self._next = (), []

    def _due(self, place: int) -> Reading | None:
        run, first = self._runs[place], self._next[place]
        speed = self._options.speed
        last = first
        if speed:
            played = (self._clock() - self._start_s) * speed
            last = int(np.searchsorted(run.times, played, side="right")) - 1
        if last < first or last >= len(run):
            return None
        self._next[place] = last + 1
        at = float(run.times[last]) / (speed or 1.0)
        return Reading(run.name, place, self._start_s + at, self._start_unix_s + at, dict(_values(run, last)))


def _device(run: Run, index: int) -> Device:
    return Device(run.name, index, run.info.gpu, run.info.architecture, run.info.driver)


def _values(run: Run, row: int) -> Iterator[tuple[str, float]]:
    for channel, value in zip(CHANNELS, run.values[row].tolist(), strict=True):
        if value == value:  # noqa: PLR0124  NaN is missing
            yield channel.name, value
