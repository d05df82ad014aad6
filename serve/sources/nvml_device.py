"""What plain NVML says of one GPU or MIG instance, as channels."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final, final

from hashwarden.serve.sources.gpm import Gpm
from hashwarden.serve.sources.helpers import Helpers
from hashwarden.serve.sources.nvml_calls import Nvml
from hashwarden.serve.sources.nvml_energy import Energy
from hashwarden.serve.sources.source import Device

__all__ = ["POWER_REASONS", "THERMAL_REASONS", "NvmlDevice", "sees_host_pids"]

MIB: Final = float(1 << 20)
SLOW_S: Final = 1.0
"""Time between two calls of what blocks: NVML's PCIe throughput watches for 20 ms a direction."""

LIMITS_S: Final = 10.0
"""Time between two looks at limits, which somebody may change."""

POWER_REASONS: Final = 0x4 | 0x80
THERMAL_REASONS: Final = 0x20 | 0x40
"""Bits of the clocks' event reasons: software power cap and power brake; software and hardware thermal slowdown.
``HwSlowdown`` (0x8) is either, and so neither."""

_MEMORY_TEMPERATURE: Final = 82
_SM_CLOCK, _MEMORY_CLOCK = 1, 2
_REASONS: Final = ("nvmlDeviceGetCurrentClocksEventReasons", "nvmlDeviceGetCurrentClocksThrottleReasons")
_COMPUTE: Final = ("nvmlDeviceGetComputeRunningProcesses", "nvmlDeviceGetComputeRunningProcesses_v2")
_GRAPHICS: Final = ("nvmlDeviceGetGraphicsRunningProcesses", "nvmlDeviceGetGraphicsRunningProcesses_v2")
_PIDS: Final = "pid:[4026531836]"
"""The first PID namespace, by the inode number that Linux fixes for it (PROC_PID_INIT_INO)."""

Pairs = Iterator[tuple[str, float]]


def sees_host_pids(link: Path = Path("/proc/self/ns/pid")) -> bool:
    """Whether the PIDs that NVML gives, which are the host's, are those of this process's namespace."""
    try:
        return str(link.readlink()) == _PIDS
    except OSError:
        return False


@final
class NvmlDevice:
    """One device.

    Parameters
    ----------
    nvml : Nvml
        The driver.
    device : Device
        Which.
    handle, whole : object
        NVML's handle of the device, and of the GPU that it is or is a part of.
    own_pids : callable
        From the device's UUID to the processes of the job that it belongs to; an empty set if unknown.
    host_pids : bool
        See `sees_host_pids`.
    helpers : Helpers
        This program's own processes, which do not count.

    Attributes
    ----------
    pids : frozenset of int, optional
        Processes with a context on the device when `values` was last called; None if that is not known.
    """

    def __init__(  # noqa: PLR0913, PLR0917
        self, nvml: Nvml, device: Device, handle: Any, whole: Any,  # noqa: ANN401
        own_pids: Callable[[str], frozenset[int]], host_pids: bool, helpers: Helpers,
    ) -> None:  # fmt: skip
        self.device = device
        self._nvml, self._handle = nvml, handle
        self._own_pids, self._host_pids, self._helpers = own_pids, host_pids, helpers
        self._gpm, self._energy = Gpm(nvml, device, whole), Energy()
        self._limits: dict[str, float] = {}
        self._limits_s = float("-inf")
        self._slow_s: float | None = None
        self._seen_us = 0
        self.pids: frozenset[int] | None = None

    def values(self, now_s: float) -> dict[str, float]:
        """Everything that can be said now.

        Raises
        ------
        DeviceLost, SourceLost
            See `hashwarden.serve.sources.nvml_calls.Nvml.call`.
        """
        if now_s - self._limits_s >= LIMITS_S:
            self._limits, self._limits_s = dict(self._read_limits()), now_s
        counted = self._gpm.values(now_s)  # first: its window ends where the reading begins
        found = dict(self._utilisation()) | dict(self._power(now_s)) | dict(self._clocks())
        found |= dict(self._memory()) | dict(self._processes())
        if not self._gpm.works and self._is_time(now_s):
            found |= dict(self._pcie())
        return found | counted

    def _is_time(self, now_s: float) -> bool:
        """Whether slow calls may be made again; GPUs take turns, so that they do not all hold up the same tick."""
        if self._slow_s is None:
            self._slow_s = now_s - SLOW_S + SLOW_S * (self.device.index % 8) / 8
        due = now_s - self._slow_s >= SLOW_S
        self._slow_s = now_s if due else self._slow_s
        return due

    def close(self) -> None:
        """Free what the driver holds for it."""
        self._gpm.close()

    def _ask(self, function: str, *arguments: object) -> Any:  # noqa: ANN401
        of = f"{self.device.gpu} {arguments}" if arguments else self.device.gpu
        return self._nvml.call(function, self._handle, *arguments, of=of)

    def _read_limits(self) -> Pairs:
        asked = {
            "watts": (self._ask("nvmlDeviceGetEnforcedPowerLimit"), 1000.0),
            "sm": (self._ask("nvmlDeviceGetMaxClockInfo", _SM_CLOCK), 1.0),
            "memory": (self._ask("nvmlDeviceGetMaxClockInfo", _MEMORY_CLOCK), 1.0),
        }
        for name, (value, scale) in asked.items():
            if value:
                yield name, value / scale

    def _utilisation(self) -> Pairs:
        used = self._ask("nvmlDeviceGetUtilizationRates")
        if used is not None:
            yield "gpu_util_ratio", used.gpu / 100
            yield "memory_util_ratio", used.memory / 100
        for name, function in (("encoder", "nvmlDeviceGetEncoderUtilization"),
                               ("decoder", "nvmlDeviceGetDecoderUtilization")):  # fmt: skip
            coder = self._ask(function)
            if coder is not None:
                yield f"{name}_util_ratio", coder[0] / 100

    def _power(self, now_s: float) -> Pairs:
        milliwatts, limit = self._ask("nvmlDeviceGetPowerUsage"), self._limits.get("watts")
        mean = self._energy.watts(now_s, self._ask("nvmlDeviceGetTotalEnergyConsumption"))
        if milliwatts is not None:
            yield "power_watts", milliwatts / 1000
        if limit and milliwatts is not None:
            yield "power_ratio", milliwatts / 1000 / limit
        if limit and mean is not None:
            yield "energy_power_ratio", mean / limit
        chip = self._ask("nvmlDeviceGetTemperature", 0)
        if chip is not None:
            yield "temperature_celsius", float(chip)
        yield from self._memory_temperature()

    def _memory_temperature(self) -> Pairs:
        fields = self._ask("nvmlDeviceGetFieldValues", (_MEMORY_TEMPERATURE,))
        if fields is not None and fields[0].nvmlReturn == 0:
            yield "memory_temperature_celsius", float(_number(fields[0]))

    def _clocks(self) -> Pairs:
        sm, memory = self._ask("nvmlDeviceGetClockInfo", _SM_CLOCK), self._ask("nvmlDeviceGetClockInfo", _MEMORY_CLOCK)
        if sm is not None:
            yield "sm_clock_mhz", float(sm)
        if sm is not None and "sm" in self._limits:
            yield "sm_clock_ratio", sm / self._limits["sm"]
        if memory is not None and "memory" in self._limits:
            yield "memory_clock_ratio", memory / self._limits["memory"]
        reasons = self._nvml.first(_REASONS, self._handle, of=self.device.gpu)
        if reasons is not None:
            yield "power_capped_ratio", float(bool(reasons & POWER_REASONS))
            yield "thermal_capped_ratio", float(bool(reasons & THERMAL_REASONS))

    def _memory(self) -> Pairs:
        memory = self._ask("nvmlDeviceGetMemoryInfo")
        if memory is not None:
            yield "fb_used_mib", memory.used / MIB
            if memory.total:
                yield "fb_used_ratio", memory.used / memory.total

    def _processes(self) -> Pairs:
        self.pids = None
        compute, graphics = (self._nvml.pids(kind, self._handle, self.device.gpu) for kind in (_COMPUTE, _GRAPHICS))
        if compute is not None:
            pids = frozenset(compute | (graphics or set())) - self._helpers.pids
            yield "process_count", float(len(pids))
            own = self._own_pids(self.device.gpu)
            ours = self._host_pids or bool(pids & own)  # whether the numbers are those of our namespace
            self.pids = pids if ours else None
            if own and ours:
                yield "foreign_process_count", float(len(pids - own))
        samples = self._ask_samples()
        if samples:
            newest = {s.pid: s for s in sorted(samples, key=lambda s: s.timeStamp)}
            yield "process_sm_util_ratio", max(s.smUtil for s in newest.values()) / 100

    def _ask_samples(self) -> Any:  # noqa: ANN401
        samples = self._nvml.call(
            "nvmlDeviceGetProcessUtilization", self._handle, self._seen_us, of=self.device.gpu
        )  # fmt: skip
        if samples:
            self._seen_us = max(self._seen_us, *(s.timeStamp for s in samples))
            return [s for s in samples if s.pid]
        return None

    def _pcie(self) -> Pairs:
        for name, direction in (("tx", 0), ("rx", 1)):
            kilobytes = self._ask("nvmlDeviceGetPcieThroughput", direction)
            if kilobytes is not None:
                yield f"pcie_{name}_mib_per_s", kilobytes / 1024


def _number(field: Any) -> float:  # noqa: ANN401
    """The value of a field, by its type (nvmlValueType_t)."""
    names = ("dVal", "uiVal", "ulVal", "ullVal", "sllVal", "siVal", "usVal")
    kind = int(field.valueType)
    known = kind < len(names) and isinstance(field.value, ctypes.Union)
    return float(getattr(field.value, names[kind])) if known else float("nan")
