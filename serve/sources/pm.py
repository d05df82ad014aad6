"""The source ``pm``: what CUPTI's PM sampling saw in a burst, as channels.

Opt-in: it takes root, and one GPU's counters have one reader. So it samples for a second in thirty, at moments drawn
at random, and lets go of the counters in between. Where another reader has them it comes back later, and while a file
is there that root puts (`hold_file`), before a user profiles say, it does not sample at all. It does not look for
profilers by their names: a job that calls itself one would be rid of it.

Not tried on a GPU; `hashwarden.kernels.streams.metric_sets.UNVERIFIED` says what only a GPU can tell.
"""

from __future__ import annotations

import ctypes
import os
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Final, final
from uuid import UUID

from hashwarden.errors import HashwardenError, NoDeviceError, UsageError
from hashwarden.kernels.streams.collector import SamplerBusyError
from hashwarden.kernels.streams.privilege import lock_folder
from hashwarden.kernels.streams.sampler import Sampler
from hashwarden.serve.sources.duty import Duty
from hashwarden.serve.sources.pm_burst import RHYTHM_WINDOW_S, Burst
from hashwarden.serve.sources.source import Device, NoData, Options, Reading

__all__ = ["PmSource", "cuda_devices", "hold_file", "make"]

LEAST_BURST_S: Final = 0.1
MOST_BURST_S: Final = 4.0
"""A burst is one reading, and a reading of five seconds counts as a hang."""

POLL_S: Final = 0.1
PATIENCE: Final = 3
"""So many times in a row that somebody else has the counters are an error; fewer are none."""

LONGEST_ASIDE_S: Final = 600.0
HOLD_LOOK_S: Final = 5.0


def hold_file() -> Path:
    """The file whose existence keeps the samplers off; beside their locks, where only root can put it."""
    return lock_folder() / "pm.hold"


def make(options: Options) -> PmSource:
    """The source, not open yet."""
    return PmSource(options, clock=options.clock, unix=options.unix)


def cuda_devices() -> list[tuple[int, Device]]:
    """CUDA's number of each GPU that this process sees, and the GPU as NVML would number it: by its PCI address.

    Raises
    ------
    NoDeviceError
        If there is no driver.
    """
    try:
        cuda = ctypes.CDLL("libcuda.so.1")
    except OSError as error:
        raise NoDeviceError("libcuda.so.1 cannot be loaded", "NVIDIA's driver", "Run on a machine with it.") from error
    count = ctypes.c_int(0)
    if cuda.cuInit(0) or cuda.cuDeviceGetCount(ctypes.byref(count)):
        raise NoDeviceError("CUDA cannot be initialised", "a GPU that this process may use", "See nvidia-smi -L.")
    found = []
    for number in range(count.value):
        uuid, bus = (ctypes.c_ubyte * 16)(), ctypes.create_string_buffer(32)
        name = ctypes.create_string_buffer(96)
        cuda.cuDeviceGetUuid(uuid, number)
        cuda.cuDeviceGetPCIBusId(bus, 32, number)
        cuda.cuDeviceGetName(name, 96, number)
        found.append((bus.value, number, f"GPU-{UUID(bytes=bytes(uuid))}", name.value.decode(errors="replace")))
    return [(number, Device(uuid, place, name)) for place, (_, number, uuid, name) in enumerate(sorted(found))]


@final
class PmSource:
    """Samplers of the wanted GPUs.

    Parameters
    ----------
    options : Options
        Which GPUs, how many samples a second, and the duty cycle: for ``burst_s`` in every ``every_s``, or all the
        time where these are the same.
    devices : callable
        See `cuda_devices`.
    sampler : callable, optional
        From CUDA's number of a GPU to its sampler.
    clock, unix : callable
        Seconds of the monotonic clock, and since 1970.
    wait : callable
        Waits so many seconds.
    hold : Path, optional
        See `hold_file`.
    uniform : callable, optional
        See `hashwarden.serve.sources.duty.Duty`.

    Attributes
    ----------
    aside : int
        Bursts that were left to somebody else.

    Raises
    ------
    UsageError
        If the duty cycle cannot be meant.
    """

    def __init__(  # noqa: PLR0913, PLR0917
        self,
        options: Options,
        devices: Callable[[], Sequence[tuple[int, Device]]] = cuda_devices,
        sampler: Callable[[int], Sampler] | None = None,
        clock: Callable[[], float] = time.monotonic,
        unix: Callable[[], float] = time.time,
        wait: Callable[[float], object] = time.sleep,
        hold: Path | None = None,
        uniform: Callable[[], float] | None = None,
    ) -> None:
        self._always = options.burst_s >= options.every_s
        if not self._always and not LEAST_BURST_S <= options.burst_s <= MOST_BURST_S:
            got = f"bursts of {options.burst_s:g} s in every {options.every_s:g} s"
            raise UsageError(got, f"{LEAST_BURST_S:g} to {MOST_BURST_S:g} s, or all the time", "Choose such a burst.")
        self._options, self._devices, self._clock, self._unix = options, devices, clock, unix
        self._sampler, self._wait, self._hold = sampler or self._make_sampler, wait, hold or hold_file()
        self._chosen: list[tuple[int, Device]] = []
        self._open: list[Burst] = []
        self._cleanup = ExitStack()
        self._duty = Duty(options.every_s) if uniform is None else Duty(options.every_s, uniform)
        self._busy = self.aside = 0
        self._error: HashwardenError | None = None

    def open(self) -> Sequence[Device]:
        """Find the GPUs, and see that they can be sampled.

        Raises
        ------
        HashwardenError
            As `hashwarden.kernels.streams.sampler.Sampler`; nothing stays enabled. That somebody else reads the
            counters now is none.
        """
        self._chosen = [(number, device) for number, device in self._devices() if self._options.wants(device)]
        if not self._chosen:
            wanted = ", ".join(self._options.gpus)
            raise NoDeviceError(f"no GPU of CUDA is {wanted}", "a number or UUID of `nvidia-smi -L`", "Correct it.")
        self._busy, self._error = 0, None
        self._options.helpers.add(os.getpid())  # CUPTI may need a context, and then this process stands on the GPU
        self._duty.wait(self._clock(), 0.0)
        with suppress(SamplerBusyError):
            self._begin()
        if not self._always:
            self._end()
        return [device for _, device in self._chosen]

    def read(self) -> Sequence[Reading]:
        """One burst, if it is time for one; or what was sampled since the last reading, if it samples all the time.

        Raises
        ------
        NoData
            If it is not time, or the counters are left to somebody else.
        SamplerBusyError
            If somebody else has had them `PATIENCE` times in a row.
        """
        if not self._duty.due(self._clock()):
            raise self._error or NoData("it is not time for a burst")
        self._error = None
        if self._hold.exists():
            self._end()
            self.aside += 1
            self._duty.wait(self._clock(), min(self._options.every_s, HOLD_LOOK_S))
            raise NoData(f"{self._hold} is there: the counters are left to somebody else")
        if not self._open:
            self._begin_or_step_aside()
        keep = False
        try:
            found = (
                [(burst.device, burst.values(self._clock())) for burst in self._open] if self._always else self._burst()
            )
            keep = self._always
        except HashwardenError as error:
            self._error = error
            raise
        finally:
            if not keep:
                self._end()
        return self._readings(found)

    def close(self) -> None:
        """Stop sampling, and let go of the GPUs."""
        self._end()
        self._options.helpers.discard(os.getpid())

    def _begin_or_step_aside(self) -> None:
        """Begin a burst; who is refused because of another reader comes back later and later."""
        now = self._clock()
        try:
            self._begin()
        except SamplerBusyError as error:
            self.aside += 1
            self._busy += 1
            self._duty.wait(now, min(self._options.every_s * 2 ** min(self._busy, 10), LONGEST_ASIDE_S))
            if self._busy >= PATIENCE:
                self._error = error
                raise
            raise NoData("somebody else reads the counters") from None
        self._busy = 0
        if not self._always:
            self._duty.looked(now)

    def _begin(self) -> None:
        """Enable the samplers of all GPUs that nobody else samples.

        Raises
        ------
        SamplerBusyError
            If there is none.
        """
        with ExitStack() as stack:
            found, busy = [], None
            for number, device in self._chosen:
                try:
                    found.append(Burst(device, stack.enter_context(self._sampler(number)), self._window_s))
                except SamplerBusyError as error:
                    busy = error
            if busy is not None and not found:
                raise busy
            self._open, self._cleanup = found, stack.pop_all()

    def _end(self) -> None:
        """Disable all samplers: between bursts the counters are whoever wants them's."""
        self._open = []
        self._cleanup.close()

    @property
    def _window_s(self) -> float:
        return RHYTHM_WINDOW_S if self._always else min(RHYTHM_WINDOW_S, self._options.burst_s)

    def _burst(self) -> list[tuple[Device, dict[str, float]]]:
        """Poll until the burst is over."""
        until = self._clock() + self._options.burst_s
        while (left := until - self._clock()) > 0.001:
            self._wait(min(POLL_S, left))
            for burst in self._open:
                burst.poll()
        return [(burst.device, burst.finished()) for burst in self._open]

    def _readings(self, found: Sequence[tuple[Device, dict[str, float]]]) -> list[Reading]:
        now, unix = self._clock(), self._unix()
        readings = [Reading(device.gpu, device.index, now, unix, values) for device, values in found if values]
        if not readings:
            raise NoData("no sample came yet")
        return readings

    def _make_sampler(self, number: int) -> Sampler:
        poll = min(10.0, max(0.1, self._options.period_s)) if self._always else POLL_S
        return Sampler(number, rate_hz=self._options.burst_hz, poll_s=poll)
