"""Samples the counters of a whole GPU at kilohertz through CUPTI, for everyone who wants them.

A GPU has one set of counters, so there is one sampler for it: users attach to it instead of opening their own.
Samples that are lost are counted and come as gaps, never as zeros. Where the counters are another's, or not to
be had, it says so and leaves nothing enabled.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from types import TracebackType
from typing import Final

import numpy as np
import numpy.typing as npt

from hashwarden.errors import UsageError
from hashwarden.kernels.streams import collector as layer
from hashwarden.kernels.streams import metric_sets
from hashwarden.kernels.streams.privilege import DRIVER_PARAMETERS, STATUS, DeviceLock, check_privilege, lock_folder
from hashwarden.kernels.streams.state import StreamState

__all__ = ["Block", "Loss", "Sampler", "buffer_bytes"]

LEAST_HZ: Final = 1.0
MOST_HZ: Final = 100_000.0
"""CUPTI's own default is one sample in 10,000 ns."""

SAMPLE_BYTES: Final = 64 << 10
"""Room that a sample is given in the hardware buffer; not measured on a GPU."""

LEAST_BUFFER: Final = 16 << 20
MOST_BUFFER: Final = 512 << 20
"""CUPTI's own default."""


@dataclass(frozen=True)
class Block:
    """Samples without a gap between them.

    Attributes
    ----------
    names : tuple of str
        Channels.
    values : ndarray of shape (samples, channels)
        Percent of the sustained peak; NaN is missing.
    start_ns, end_ns : int
        When the first began and the last ended, by the GPU's clock.
    lost : int
        Samples lost just before it.
    """

    names: tuple[str, ...]
    values: npt.NDArray[np.float64]
    start_ns: int
    end_ns: int
    lost: int


@dataclass
class Loss:
    """What a sampler got and what it lost.

    Attributes
    ----------
    samples : int
        Samples that came.
    lost : int
        Samples that did not: gaps in time, in units of the interval.
    incomplete : int
        Samples that the hardware began and did not complete.
    overflows : int
        Times that the hardware buffer was full; sampling was started anew after each.
    odd : int
        Samples that were left out for their time: the first of a session may come without a start, and a decoding
        may give what an earlier one gave.
    """

    samples: int = 0
    lost: int = 0
    incomplete: int = 0
    overflows: int = 0
    odd: int = 0


def buffer_bytes(rate_hz: float, poll_s: float) -> int:
    """Hardware buffer for twice the samples between two polls.

    Parameters
    ----------
    rate_hz : float
        Samples per second.
    poll_s : float
        Seconds between polls.

    Returns
    -------
    int
        Bytes, from `LEAST_BUFFER` to `MOST_BUFFER`.
    """
    return int(min(max(2 * rate_hz * poll_s * SAMPLE_BYTES, LEAST_BUFFER), MOST_BUFFER))


class Sampler:
    """The sampler of one GPU, a context manager.

    Parameters
    ----------
    device : int, default 0
        CUDA index of the GPU.
    rate_hz : float, default 2000
        Samples per second, `LEAST_HZ` to `MOST_HZ`.
    poll_s : float, default 0.1
        Longest time that the user means to leave between two calls of `poll`.
    width : {"wide", "core"}, default "wide"
        The metric set; where the GPU refuses "wide", "core" is tried (see `names`).
    driver : Driver, default cupti-python
        What reaches the hardware.
    parameters, status, locks : Path
        Where the driver's parameters and this process's status are read, and the lock is kept.

    Raises
    ------
    UsageError
        If rate or time cannot be meant.
    MissingExtraError
        If cupti-python is not installed.
    NoDeviceError, PrivilegeError, SamplerBusyError
        On entering, if there is no such GPU, no right to its counters, or another sampler.
    """

    def __init__(  # noqa: PLR0913  three of them are for tests
        self,
        device: int = 0,
        *,
        rate_hz: float = 2000.0,
        poll_s: float = 0.1,
        width: metric_sets.Width = "wide",
        driver: layer.Driver | None = None,
        parameters: Path = DRIVER_PARAMETERS,
        status: Path = STATUS,
        locks: Path | None = None,
    ) -> None:
        if not LEAST_HZ <= rate_hz <= MOST_HZ:
            raise UsageError(f"{rate_hz} samples a second", f"{LEAST_HZ:g} to {MOST_HZ:g}", "Choose another rate.")
        if not 0 < poll_s <= 10:
            raise UsageError(f"{poll_s} s between polls", "more than 0 and at most 10", "Poll more often.")
        self.device, self.rate_hz, self.interval_s = device, rate_hz, 1 / rate_hz
        self.loss = Loss()
        self.names: tuple[str, ...] = ()
        self._width, self._most = width, max(64, int(2 * rate_hz * poll_s))
        self._buffer = buffer_bytes(rate_hz, poll_s)
        self._driver, self._files = driver, (parameters, status, locks)
        self._users: list[Callable[[Block], None]] = []
        self._cleanup = ExitStack()
        self._collector: layer.Collector | None = None
        self._last_end = -1
        self._by_clock = False

    def __enter__(self) -> Sampler:
        if self._collector is not None:
            raise UsageError("a sampler that runs already", "one that is entered once", "Attach to it instead.")
        with ExitStack() as stack:
            parameters, status, locks = self._files
            driver = self._driver or layer.CuptiDriver()
            check_privilege(parameters, status)
            stack.enter_context(DeviceLock(self.device, locks or lock_folder()))
            stack.enter_context(layer.translated(self.device))
            collector = driver.collector(self.device)
            stack.callback(collector.disable)  # also where enabling fails half-way
            collector.enable()
            self._configure(driver, collector, metric_sets.architecture_of(driver.chip(self.device)))
            collector.start()
            stack.callback(_stop, collector)
            self._collector, self._last_end = collector, -1
            self._cleanup = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Stop, disable the collector and let go of the GPU; a second call does nothing."""
        self._collector = None
        self._cleanup.close()

    def attach(self, user: Callable[[Block], None] | StreamState) -> None:
        """Give every block from now on to another user as well.

        Parameters
        ----------
        user : callable or StreamState
            Called with each `Block`; a state is fed its values and told its gaps.
        """
        self._users.append(_feeder(user) if isinstance(user, StreamState) else user)

    def state(self, window_s: float, *, engine: str = "numba") -> StreamState:
        """Make a window over this sampler's channels, attached to it; the sampler must run.

        On GA100, which counts cycles, poll once before: the interval is known from the first samples only.
        """
        self._running()
        state = StreamState(self.names, self.interval_s, window_s, activity="sm_active", engine=engine)
        self.attach(state)
        return state

    def poll(self) -> list[Block]:
        """Decode what came since the last call, and give it to all users too.

        Returns
        -------
        list of Block
            Oldest first; a new one after each gap, and none if nothing came.

        Raises
        ------
        UsageError
            If the sampler does not run.
        NoDeviceError, PrivilegeError
            If the GPU can be read no longer; leave the context then.
        Exception
            What a user raised, after all users were given the blocks.
        """
        collector = self._running()
        with layer.translated(self.device):
            try:
                decoded = collector.decode(max_samples=self._most)
            except MemoryError:
                self.loss.overflows += 1
                _stop(collector)
                collector.start()
                return []
            times, values = layer.rows(decoded)
            sound = _sound(times, self._last_end)
            times, values = times[sound], values[sound]
            self.loss.odd += int((~sound).sum())
            self.loss.incomplete += decoded.num_populated_samples - decoded.num_completed_samples
        blocks = list(self._blocks(times, values))
        self._deliver(blocks)
        return blocks

    def _deliver(self, blocks: list[Block]) -> None:
        """Give every block to every user; one that fails costs the others nothing, and its error is raised last."""
        failure: Exception | None = None
        for user in self._users:
            try:
                for block in blocks:
                    user(block)
            except Exception as error:
                failure = failure or error
        if failure is not None:
            raise failure

    def _running(self) -> layer.Collector:
        if self._collector is None:
            raise UsageError("a sampler that does not run", "one inside of its with-block", "Enter it first.")
        return self._collector

    def _configure(self, driver: layer.Driver, collector: layer.Collector, architecture: str) -> None:
        """Configure the wide set or, where the GPU refuses it, the narrow one."""
        self._by_clock = metric_sets.times_by_clock(architecture)
        widths: tuple[metric_sets.Width, ...] = ("wide", "core") if self._width == "wide" else ("core",)
        for width in widths:
            metrics = metric_sets.metric_set(architecture, width)
            try:
                collector.configure(
                    metrics=list(metrics.values()),
                    hardware_buffer_size=self._buffer,
                    sampling_interval=round(1e9 / self.rate_hz),  # ns, or cycles of a clock taken for 1 GHz
                    trigger_mode=driver.trigger_mode(self._by_clock),
                    hw_buffer_append_mode=driver.append_mode(),
                )
            except ValueError:
                if width == widths[-1]:
                    raise
            else:
                self.names = tuple(metrics)
                return

    def _blocks(self, times: npt.NDArray[np.int64], values: npt.NDArray[np.float64]) -> Iterator[Block]:
        """Cut samples at gaps in time; a gap is more than half of an interval."""
        if not len(times):
            return
        interval = self._interval_ns(times)
        before = np.concatenate([[self._last_end if self._last_end >= 0 else times[0, 0]], times[:-1, 1]])
        lost = np.maximum(np.rint((times[:, 0] - before) / interval), 0).astype(np.int64)
        self.loss.samples += len(times)
        self.loss.lost += int(lost.sum())
        self._last_end = int(times[-1, 1])
        cuts = [0, *(np.flatnonzero(lost[1:]) + 1).tolist(), len(times)]
        for start, end in pairwise(cuts):
            span = int(times[start, 0]), int(times[end - 1, 1])
            yield Block(self.names, values[start:end], *span, lost=int(lost[start]))

    def _interval_ns(self, times: npt.NDArray[np.int64]) -> float:
        """What a sample really took: GA100 counts cycles of a clock that is not known beforehand."""
        measured = float(np.median(times[:, 1] - times[:, 0]))
        if not measured > 0:
            return self.interval_s * 1e9
        if self._by_clock:
            self.interval_s = measured / 1e9
        return measured


def _sound(times: npt.NDArray[np.int64], last_end: int) -> npt.NDArray[np.bool_]:
    """Which samples have a time of their own: a start, an end after it, and neither before the last one's end.

    That the first sample of a session can start at 0, and that a decoding can repeat a sample, was seen on GPUs by the
    authors of PyTorch's sampler and of a vLLM worker.
    """
    starts, ends = times[:, 0], times[:, 1]
    good: npt.NDArray[np.bool_] = (starts > 0) & (ends > starts)
    before = np.concatenate([[last_end], ends[:-1]]) if len(times) else ends
    slack = (ends - starts) // 2
    if bool((good & (starts >= before - slack)).all()):
        return good
    for place in np.flatnonzero(good):
        good[place] = starts[place] >= last_end - slack[place]
        if good[place]:
            last_end = int(ends[place])
    return good


def _stop(collector: layer.Collector) -> None:
    """Stop; what has stopped already, with the GPU or by itself, need not be told."""
    with suppress(RuntimeError):
        collector.stop()


def _feeder(state: StreamState) -> Callable[[Block], None]:
    def feed(block: Block) -> None:
        state.skip(block.lost)
        state.push(block.values)

    return feed
