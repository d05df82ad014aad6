"""What telemetry.py asks of NVML, function by function. Not a command; it writes nothing."""

from __future__ import annotations

import ctypes
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from hashwarden.serve.sources.gpm import _METRIC, BLANK, _blank, _Get

__all__ = ["CALLS", "ENTRIES", "credible", "entries", "filled", "numbers", "words"]

POWER_NOW = 186
"""NVML_FI_DEV_POWER_INSTANT: nvmlDeviceGetPowerUsage is a mean over a second on some GPUs."""

CALLS: tuple[tuple[str, tuple[Any, ...]], ...] = (
    ("nvmlDeviceGetUtilizationRates", ()),
    ("nvmlDeviceGetEncoderUtilization", ()),
    ("nvmlDeviceGetDecoderUtilization", ()),
    ("nvmlDeviceGetPowerUsage", ()),
    ("nvmlDeviceGetFieldValues", ([POWER_NOW],)),
    ("nvmlDeviceGetTotalEnergyConsumption", ()),
    ("nvmlDeviceGetEnforcedPowerLimit", ()),
    ("nvmlDeviceGetTemperature", (0,)),
    ("nvmlDeviceGetClockInfo", (1,)),
    ("nvmlDeviceGetClockInfo", (2,)),
    ("nvmlDeviceGetCurrentClocksThrottleReasons", ()),
    ("nvmlDeviceGetMemoryInfo", ()),
    ("nvmlDeviceGetComputeRunningProcesses", ()),
    ("nvmlDeviceGetGraphicsRunningProcesses", ()),
    ("nvmlDeviceGetProcessUtilization", (0,)),
)
"""Each with its arguments after the handle: all that the source nvml asks for at every tick, and the power of now."""

ENTRIES = 64
"""Metrics asked for in one call while looking for those that are refused."""


def words(error: Exception) -> str:
    """An error as NVML words it, with the function's code where it is one of NVML's."""
    code = getattr(error, "value", None)
    return f"{error} (code {code})" if isinstance(code, int) else f"{type(error).__name__}: {error}"[:300]


def credible(value: float | None) -> float | None:
    """The value, or None for what is no number or stands for no answer."""
    return value if value is not None and math.isfinite(value) and abs(value) < BLANK else None


def filled(asked: tuple[int, ...], first: Any, second: Any) -> _Get:
    """The question for these metrics of GPM between two samples."""
    get, blank = _Get(), _blank(asked)
    get.version, get.count = 1, len(asked)
    get.first, get.second = (ctypes.cast(sample, ctypes.c_void_p).value for sample in (first, second))
    ctypes.memmove(ctypes.addressof(get) + _Get.metrics.offset, blank, len(blank))
    return get


def entries(library: Any, asked: tuple[int, ...], first: Any, second: Any) -> dict[int, tuple[int, float]]:
    """NVML's code and value of each metric; where a list is refused, halves of it, and of a single one its code."""
    get = filled(asked, first, second)
    try:
        library.nvmlGpmMetricsGet(get)
    except library.NVMLError as error:
        if len(asked) == 1:
            return {asked[0]: (int(error.value), math.nan)}
        half = len(asked) // 2
        return entries(library, asked[:half], first, second) | entries(library, asked[half:], first, second)
    rows = np.frombuffer(memoryview(get), _METRIC, len(asked), _Get.metrics.offset)
    if rows["id"].tolist() != [*asked]:
        return dict.fromkeys(asked, (999, math.nan))
    return dict(zip(asked, zip(rows["result"].tolist(), rows["value"].tolist(), strict=True), strict=True))


def numbers(library: Any, handle: Any) -> dict[str, Callable[[], float]]:
    """What of NVML changes with time, each as a question."""

    def plain(function: str, *arguments: Any) -> Callable[[], float]:
        return lambda: float(getattr(library, function)(handle, *arguments))

    def power_now() -> float:
        field = library.nvmlDeviceGetFieldValues(handle, [POWER_NOW])[0]
        if field.nvmlReturn:
            raise library.NVMLError(field.nvmlReturn)
        return float(field.value.uiVal)

    return {
        "power": plain("nvmlDeviceGetPowerUsage"),
        "power, instantaneous": power_now,
        "energy": plain("nvmlDeviceGetTotalEnergyConsumption"),
        "GPU utilisation": lambda: float(library.nvmlDeviceGetUtilizationRates(handle).gpu),
        "memory utilisation": lambda: float(library.nvmlDeviceGetUtilizationRates(handle).memory),
        "SM clock": plain("nvmlDeviceGetClockInfo", 1),
        "memory clock": plain("nvmlDeviceGetClockInfo", 2),
        "temperature": plain("nvmlDeviceGetTemperature", 0),
        "memory in use": lambda: float(library.nvmlDeviceGetMemoryInfo(handle).used),
    }
