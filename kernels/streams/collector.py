"""The thin layer over CUPTI's PM sampling: the only place that touches cupti-python.

Everything it raises is one of hashwarden's errors. `Driver` and `Collector` are what the sampler needs of the
package; a test holds their signatures against it, and so tells when the package changes.
"""

# ruff: noqa: ANN401, D102, PLR0913  the package's own types, methods and signatures

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final, Protocol

import numpy as np
import numpy.typing as npt

from hashwarden.errors import HashwardenError, MissingExtraError, NoDeviceError, PrivilegeError, UsageError
from hashwarden.kernels.streams.profiler import PrimaryContext, Profiler, SharedCollector, load_perfworks

__all__ = ["Collector", "CuptiDriver", "Decoded", "Driver", "Sample", "SamplerBusyError", "rows", "translated"]

_PERMISSION: Final = (
    "Run as root or with CAP_SYS_ADMIN, or let all users profile: "
    "https://developer.nvidia.com/nvidia-development-tools-solutions-err_nvgpuctrperm-permission-issue-performance-counters"
)


class SamplerBusyError(NoDeviceError):
    """The GPU's counters are in use by another process, or another sampler of this one; try again later."""


_MEANINGS: Final[tuple[tuple[tuple[str, ...], type[HashwardenError], str, str], ...]] = (
    (
        ("already enabled", "BUSY", "MULTIPLE_SUBSCRIBERS"),
        SamplerBusyError,
        "counters that nothing else reads",
        "Try again when the other reader is done.",
    ),
    (("PRIVILEGES",), PrivilegeError, "the right to read its counters", _PERMISSION),
    (("driver is not found",), NoDeviceError, "a machine with NVIDIA's driver", "Run on one."),
    (("nvperf",), NoDeviceError, "libnvperf_host.so beside libcupti.so", "Add its folder to LD_LIBRARY_PATH."),
    (("device_index",), NoDeviceError, "the index of a GPU of this machine", "See nvidia-smi -L."),
)
"""What a word in an error of the package, or in the name of its status, means."""


class Sample(Protocol):
    """One sample, as `cupti.pm_sampling.Sample`."""

    start_timestamp: int
    end_timestamp: int
    metric_values: list[float]


class Decoded(Protocol):
    """What a decoding gives, as `cupti.pm_sampling.CounterData`; iterating gives `Sample`."""

    num_total_samples: int
    num_populated_samples: int
    num_completed_samples: int

    def __iter__(self) -> Iterator[Any]: ...


class Collector(Protocol):
    """A collector of one GPU, as `cupti.pm_sampling.Collector`."""

    def enable(self) -> None: ...
    def configure(
        self,
        *,
        metrics: list[str],
        hardware_buffer_size: int,
        sampling_interval: int,
        trigger_mode: Any,
        hw_buffer_append_mode: Any,
        single_pass_metric_set_name: str | None = None,
    ) -> None: ...
    def start(self) -> None: ...
    def stop(self) -> None: ...
    def decode(self, max_samples: int = 10000) -> Any: ...
    def disable(self) -> None: ...


class Driver(Protocol):
    """What stands between the sampler and the package."""

    def collector(self, device: int) -> Collector: ...
    def chip(self, device: int) -> str: ...
    def trigger_mode(self, by_clock: bool) -> Any: ...
    def append_mode(self) -> Any: ...


_PROFILER: Final = Profiler()


class CuptiDriver:
    """The real one.

    Raises
    ------
    MissingExtraError
        If cupti-python is not installed.
    """

    def __init__(self) -> None:
        try:
            import cupti.cupti
            import cupti.pm_sampling
        except ImportError as error:
            raise MissingExtraError.of("cupti-python", "pm") from error
        load_perfworks()
        self._pm: Any = cupti.pm_sampling
        self._low: Any = cupti.cupti

    def collector(self, device: int) -> Collector:
        """Make the collector of a GPU; nothing is enabled yet."""
        return SharedCollector(
            self._pm.Collector(device), lambda: self.chip(device), _PROFILER, lambda: PrimaryContext(device)
        )

    def chip(self, device: int) -> str:
        """Name of the chip, such as "GH100"."""
        kind = getattr(self._low, "DeviceGetChipNameParams", None)  # since 13.4
        parameters = self._low.Device_GetChipName_Params() if kind is None else kind()
        parameters.struct_size = self._low.DEVICE_GET_CHIP_NAME_PARAMS_STRUCT_SIZE
        parameters.device_index = device
        self._low.device_get_chip_name(parameters.ptr)
        return str(parameters.p_chip_name)

    def scopes(self, device: int, metrics: Sequence[str]) -> dict[str, str]:
        """Whether CUPTI collects each metric over the whole GPU ("DEVICE") or over one context ("CONTEXT")."""
        import cupti.profiler_host

        host = cupti.profiler_host.ProfilerHost(self.chip(device), self._low.ProfilerType.PM_SAMPLING)
        host.initialize()
        try:
            return {name: host.get_metric_properties(name).metric_collection_scope.name for name in metrics}
        finally:
            host.deinitialize()

    def trigger_mode(self, by_clock: bool) -> Any:
        """Sample every so many cycles of the system clock, or every so many nanoseconds."""
        modes = self._pm.TriggerMode
        return modes.GPU_SYSCLK_INTERVAL if by_clock else modes.GPU_TIME_INTERVAL

    def append_mode(self) -> Any:
        """Keep the oldest samples when the buffer is full: then, and only then, CUPTI says that it was."""
        modes = getattr(self._pm, "HardwareBufferAppendMode", None)  # since 13.4
        return (self._pm.HardwareBuffer_AppendMode if modes is None else modes).KEEP_OLDEST


def rows(decoded: Decoded) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    """Samples of a decoding as arrays.

    Returns
    -------
    times : ndarray of shape (samples, 2)
        Start and end of each, in ns of the GPU's clock.
    values : ndarray of shape (samples, metrics)
    """
    found: Sequence[Any] = list(decoded)
    if not found:
        return np.empty((0, 2), np.int64), np.empty((0, 0))
    times = np.array([(s.start_timestamp, s.end_timestamp) for s in found], np.int64)
    return times, np.array([s.metric_values for s in found], np.float64)


@contextmanager
def translated(device: int) -> Iterator[None]:
    """Turn what cupti-python raises into hashwarden's errors; MemoryError passes, for it means lost samples."""
    try:
        yield
    except (HashwardenError, MemoryError):
        raise
    except PermissionError as error:
        raise PrivilegeError(f"GPU {device}: {error}", "the right to read its counters", _PERMISSION) from error
    except Exception as error:
        raise _translation(error, device) from error


def _translation(error: Exception, device: int) -> HashwardenError:
    status = getattr(getattr(error, "status", None), "name", "")
    said = f"{error} {status}"
    text = f"GPU {device}: {error}"
    for words, kind, expected, remedy in _MEANINGS:
        if any(word in said for word in words):
            return kind(text, expected, remedy)
    if isinstance(error, ValueError):
        return UsageError(text, "a configuration that this GPU can sample", "Try the metric set 'core'.")
    limits = "a GPU whose counters can be sampled: no vGPU, MIG, WSL or confidential computing"
    return NoDeviceError(f"{text} ({type(error).__name__})", limits, "Use counters of NVML or DCGM instead.")
