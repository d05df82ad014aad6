"""The source ``probe``: contention that probe kernels of our own feel, in a process of their own for each GPU.

Opt-in: the process holds a CUDA context (some hundred megabytes of the GPU) as long as it lives, and its rounds take
up to 200 microseconds each from whoever works there, four a second for ``burst_s`` in every ``every_s``. Where the
compute mode lets in one process only there are no probes, and where memory becomes short the process ends.

Not tried on a GPU as a source; docs/probes.md says what only a GPU can tell of the probes.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final, final

from hashwarden.errors import HashwardenError, NoDeviceError, UsageError
from hashwarden.serve.sources.nvml import found_devices
from hashwarden.serve.sources.nvml_calls import DeviceLost, Nvml
from hashwarden.serve.sources.probe_gpu import ProbeGpu, baseline_folder
from hashwarden.serve.sources.probe_process import ProbeProcess
from hashwarden.serve.sources.source import Device, NoData, Options, Reading, SourceLost

__all__ = ["LEAST_EVERY_S", "MOST_BURST_S", "ProbeSource", "make"]

MOST_BURST_S: Final = 10.0
LEAST_EVERY_S: Final = 1.0
_CLOSE_S: Final = 1.0


def make(options: Options) -> ProbeSource:
    """The source, not open yet."""
    return ProbeSource(options, clock=options.clock, unix=options.unix)


@final
class ProbeSource:
    """See the module.

    Parameters
    ----------
    options : Options
        Which GPUs, and the duty cycle.
    clock, unix : callable
        Seconds of the monotonic clock, and since 1970.
    start : callable
        From the UUID of a GPU to its process.
    folder : Path, optional
        Where baselines are kept; see `hashwarden.serve.sources.probe_gpu.baseline_folder`.
    uniform : callable, optional
        See `hashwarden.serve.sources.duty.Duty`.

    Raises
    ------
    UsageError
        If the duty cycle cannot be meant.
    """

    def __init__(  # noqa: PLR0913
        self,
        options: Options,
        *,
        clock: Callable[[], float] = time.monotonic,
        unix: Callable[[], float] = time.time,
        start: Callable[[str], ProbeProcess] = ProbeProcess,
        folder: Path | None = None,
        uniform: Callable[[], float] | None = None,
    ) -> None:
        burst, every = options.burst_s, options.every_s
        if not (0 < burst <= MOST_BURST_S and every >= max(2 * burst, LEAST_EVERY_S)):
            expected = f"bursts of up to {MOST_BURST_S:g} s, at most half of the time"
            raise UsageError(f"probes for {burst:g} s in every {every:g} s", expected, "Probe less.")
        self._options, self._clock, self._unix, self._start = options, clock, unix, start
        self._folder, self._uniform = folder or baseline_folder(), uniform
        self._nvml: Nvml | None = None
        self._gpus: list[ProbeGpu] = []

    def open(self) -> Sequence[Device]:
        """Find GPUs that may be probed; no context is opened yet.

        Raises
        ------
        MissingExtraError, NoDeviceError
            If there is no driver, or no wanted GPU.
        PrivilegeError
            If the compute mode of every wanted GPU refuses a second process.
        """
        self._nvml = nvml = Nvml()
        wanted = [found for found in found_devices(nvml) if self._options.wants(found[0])]
        if not wanted:
            which = ", ".join(self._options.gpus) or "any"
            raise NoDeviceError(f"no GPU of NVML is {which}", "a number or UUID of `nvidia-smi -L`", "Correct it.")
        refused: HashwardenError | None = None
        for device, handle, whole in wanted:
            gpu = ProbeGpu(nvml, device, (handle, whole), self._options, self._start, self._folder, self._uniform)
            try:
                gpu.require_mode()
            except HashwardenError as error:
                refused = error
            else:
                self._gpus.append(gpu)
        if refused is not None and not self._gpus:
            raise refused
        return [gpu.device for gpu in self._gpus]

    def read(self) -> Sequence[Reading]:
        """What the processes have told since the last call; starts, orders and ends them as it is time. Never waits.

        Raises
        ------
        NoData
            If they have told nothing.
        HashwardenError
            If no GPU can be probed now.
        """
        now, readings, errors = self._clock(), [], []
        for gpu in self._gpus:
            try:
                values = gpu.step(now)
            except (DeviceLost, SourceLost) as error:
                raise SourceLost(str(error)) from error
            except HashwardenError as error:
                errors.append(error)
                continue
            if values:
                readings.append(Reading(gpu.device.gpu, gpu.device.index, now, self._unix(), values))
        if readings:
            return readings
        if errors and len(errors) == len(self._gpus):
            raise errors[0]
        raise NoData("the probes have told nothing yet")

    def close(self) -> None:
        """End the processes: their contexts go with them."""
        for gpu in self._gpus:
            with suppress(DeviceLost, SourceLost):
                gpu.close(_CLOSE_S)
        if self._nvml is not None:
            self._nvml.close()
        self._nvml, self._gpus = None, []
