"""The source ``nvml``: every GPU and MIG instance that NVML knows, with GPM where there is some.

A GPU that is lost costs only itself; NVML is then opened anew, later and later, for it may come back after a reset.
If the driver was unloaded or all GPUs are lost, the runner opens the source anew. Where the driver was *replaced*, the
library that this process has loaded stays the old one, and only starting the program anew helps: the error says so.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any, Final, final

from hashwarden.errors import HashwardenError, NoDeviceError
from hashwarden.serve.sources.health import Backoff
from hashwarden.serve.sources.nvml_calls import DeviceLost, Nvml
from hashwarden.serve.sources.nvml_device import NvmlDevice, sees_host_pids
from hashwarden.serve.sources.source import Device, Options, Reading, SourceLost

__all__ = ["NvmlSource", "found_devices", "make"]

EMPTY_READS: Final = 3
"""So many readings in a row without a single value, and the device counts as lost: its handle is stale, as after a
change of the MIG layout."""


def make(options: Options) -> NvmlSource:
    """The source, not open yet."""
    return NvmlSource(options, options.clock, options.unix)


@final
class NvmlSource:
    """See the module.

    Parameters
    ----------
    options : Options
        Which GPUs, and whose processes are one's own.
    clock, unix : callable
        Seconds of the monotonic clock, and since 1970.
    backoff : Backoff, optional
        The wait before NVML is opened anew for a GPU that was lost.
    """

    def __init__(
        self,
        options: Options,
        clock: Callable[[], float] = time.monotonic,
        unix: Callable[[], float] = time.time,
        backoff: Backoff | None = None,
    ) -> None:
        self._options, self._clock, self._unix = options, clock, unix
        self._backoff = backoff or Backoff()
        self._nvml: Nvml | None = None
        self._open: list[NvmlDevice] = []
        self._lost: dict[str, str] = {}
        self._empty: Counter[str] = Counter()

    @property
    def faults(self) -> Counter[str]:
        """Answers that were neither a value nor "not supported", by name of the function."""
        return Counter() if self._nvml is None else self._nvml.faults

    @property
    def lost(self) -> tuple[str, ...]:
        """UUIDs of the devices that are lost now."""
        return tuple(self._lost)

    def open(self) -> Sequence[Device]:
        """Initialise NVML, and find the devices.

        Raises
        ------
        MissingExtraError, NoDeviceError
            If the package, the driver or the wanted device is not there.
        """
        self._nvml = Nvml()
        host = sees_host_pids()
        found = [
            NvmlDevice(self._nvml, device, handle, whole, self._options.own_pids, host, self._options.helpers)
            for device, handle, whole in found_devices(self._nvml)
            if self._options.wants(device)
        ]
        if not found:
            wanted = ", ".join(self._options.gpus) or "any"
            raise NoDeviceError(f"no GPU of NVML is {wanted}", "a number or UUID of `nvidia-smi -L`", "Correct it.")
        self._open = found
        return [device.device for device in found]

    def read(self) -> Sequence[Reading]:
        """A reading of every device that is not lost."""
        now = self._clock()
        if self._lost and self._backoff.ready(now):
            self._reopen(now)
        readings = [reading for device in list(self._open) if (reading := self._reading(device)) is not None]
        if not self._open:
            raise SourceLost("; ".join(self._lost.values()) or "no device is left")
        return readings

    def close(self) -> None:
        """Free samples, and shut NVML down."""
        if self._nvml is not None:
            for device in self._open:
                with suppress(DeviceLost, SourceLost):
                    device.close()
            self._nvml.close()
        self._nvml, self._open = None, []

    def _reading(self, device: NvmlDevice) -> Reading | None:
        now, unix, which = self._clock(), self._unix(), device.device
        try:
            values = device.values(now)
            self._empty[which.gpu] = 0 if values else self._empty[which.gpu] + 1
            if self._empty[which.gpu] >= EMPTY_READS:
                raise DeviceLost("it answers nothing any longer")
        except DeviceLost as error:
            self._open.remove(device)
            self._lost[which.gpu] = f"GPU {which.index}: {error}"
            self._backoff.failed(now)
            return None
        return Reading(which.gpu, which.index, now, unix, values, pids=device.pids)

    def _reopen(self, now: float) -> None:
        lost = dict(self._lost)
        self.close()
        try:
            self.open()
        except (HashwardenError, DeviceLost) as error:
            raise SourceLost(str(error)) from error
        self._lost, self._empty = {}, Counter()
        here = {device.device.gpu for device in self._open}
        self._lost = {gpu: why for gpu, why in lost.items() if gpu not in here}
        if self._lost:
            self._backoff.failed(now)


def found_devices(nvml: Nvml) -> Iterator[tuple[Device, Any, Any]]:
    """Every device with its handle and the handle of its whole GPU; a GPU that cannot be reached is passed over."""
    driver = nvml.call("nvmlSystemGetDriverVersion") or ""
    version = nvml.call("nvmlSystemGetCudaDriverVersion") or 0
    cuda = f"{version // 1000}.{version % 1000 // 10}" if version else ""
    for index in range(nvml.call("nvmlDeviceGetCount") or 0):
        with suppress(DeviceLost):
            whole = nvml.call("nvmlDeviceGetHandleByIndex", index)
            if whole is not None:
                yield from _parts(nvml, whole, index, (driver, cuda))


def _parts(nvml: Nvml, whole: Any, index: int, versions: tuple[str, str]) -> Iterator[tuple[Device, Any, Any]]:  # noqa: ANN401
    """The GPU, or its MIG instances where it is cut into such."""
    major, minor = nvml.call("nvmlDeviceGetCudaComputeCapability", whole) or (0, 0)
    architecture = 10 * major + minor
    mode = nvml.call("nvmlDeviceGetMigMode", whole)
    if not mode or mode[0] != 1:
        yield _device(nvml, whole, index, architecture, versions), whole, whole
        return
    uuid = nvml.call("nvmlDeviceGetUUID", whole)
    for place in range(nvml.call("nvmlDeviceGetMaxMigDeviceCount", whole) or 0):
        part = nvml.call("nvmlDeviceGetMigDeviceHandleByIndex", whole, place)
        instance = None if part is None else nvml.call("nvmlDeviceGetGpuInstanceId", part)
        if instance is not None:
            device = _device(nvml, part, index, architecture, versions)
            yield replace(device, mig=instance, alias=f"{uuid}/{instance}" if uuid else ""), part, whole


def _device(nvml: Nvml, handle: Any, index: int, architecture: int, versions: tuple[str, str]) -> Device:  # noqa: ANN401
    uuid = nvml.call("nvmlDeviceGetUUID", handle) or f"GPU-without-UUID-{index}"
    name = nvml.call("nvmlDeviceGetName", handle) or ""
    return Device(uuid, index, name, architecture, *versions)
