"""Which hardware counters are sampled on which GPU, under names that are the same on all of them.

All are in percent of what the hardware sustains at most, over all units and elapsed cycles: comparable
between GPUs, and what `StreamState` takes. The names are those of Perfworks, as Nsight Compute's profiling
guide (https://docs.nvidia.com/nsight-compute/ProfilingGuide, "Metrics Structure") explains them. That each
exists on each chip, and that a set fits into a single pass, is checked without a GPU by asking Perfworks' host
library (libnvperf_host, which CUPTI brings) in the tests. What only a GPU can tell is in `UNVERIFIED`.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, Literal

from hashwarden.errors import NoDeviceError, UsageError

__all__ = [
    "ARCHITECTURES",
    "CORE",
    "METRIC_SETS",
    "UNVERIFIED",
    "Width",
    "architecture_of",
    "metric_set",
    "times_by_clock",
]

Width = Literal["wide", "core"]

_SUFFIX: Final = ".avg.pct_of_peak_sustained_elapsed"

ARCHITECTURES: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "sm_80": ("GA100",),
        "sm_86": ("GA102", "GA103", "GA104", "GA106", "GA107"),
        "sm_89": ("AD102", "AD103", "AD104", "AD106", "AD107"),
        "sm_90": ("GH100",),
        "sm_100": ("GB100", "GB102"),
        "sm_120": ("GB202", "GB203", "GB205", "GB206", "GB207"),
    }
)
"""Architectures that are sampled, and their chips as CUPTI names them."""

CORE: Final = ("sm_active", "inst", "alu", "tensor", "dram_read", "dram_write")
"""Channels of the narrow set: what is left when a GPU refuses the wide one."""

_AMPERE: Final = {
    "sm_active": "sm__cycles_active",
    "inst": "sm__inst_executed_realtime",
    "alu": "sm__inst_executed_pipe_alu_realtime",
    "fma": "sm__inst_executed_pipe_fma",
    "xu": "sm__inst_executed_pipe_xu_realtime",
    "tensor": "sm__pipe_tensor_cycles_active",
    "l1": "l1tex__t_sectors_pipe_lsu",
    "l2": "lts__t_sectors",
    "dram_read": "dram__bytes_read",
    "dram_write": "dram__bytes_write",
}
_ADA: Final = _AMPERE | {"fma_heavy": "sm__inst_executed_pipe_fmaheavy"}
_HOPPER: Final = _AMPERE | {
    "tensor": "sm__pipe_tensor_cycles_active_realtime",
    "fma_heavy": "sm__inst_executed_pipe_fmaheavy_realtime",
    "uniform": "sm__inst_executed_pipe_uniform_realtime",
    "fp64": "sm__pipe_fp64_cycles_active_realtime",
}

METRIC_SETS: Final[Mapping[str, Mapping[str, str]]] = MappingProxyType(
    {
        "sm_80": MappingProxyType(_AMPERE),
        "sm_86": MappingProxyType(_ADA),
        "sm_89": MappingProxyType(_ADA),
        "sm_90": MappingProxyType(_HOPPER),
        "sm_100": MappingProxyType(_HOPPER | {"fp64": "sm__inst_executed_pipe_fp64", "l2": "lts__t_sectors_realtime"}),
        "sm_120": MappingProxyType(
            _ADA
            | {
                "alu": "sm__inst_executed_pipe_alu",
                "xu": "sm__inst_executed_pipe_xu",
                "tensor": "sm__pipe_tensor_cycles_active_realtime",
                "fma_heavy": "sm__inst_executed_pipe_fmaheavy_realtime",
                "l2": "lts__t_sectors_realtime",
                "dram_read": "fbpa__dram_read_bytes",
                "dram_write": "fbpa__dram_write_bytes",
            }
        ),
    }
)
"""By architecture, the base metric of each channel of the wide set; `fma_heavy` is where IMAD runs."""

UNVERIFIED: Final = (
    "that the driver schedules each set in one pass of PM sampling: the host library says so, no GPU was asked",
    "that values read while a known kernel runs are what the kernel does",
    "bytes of the hardware buffer that a sample takes",
    "how fast samples are decoded on the host",
    "that sampling goes on after a full buffer once it is stopped and started",
    "how CUPTI answers while another process, Nsight or DCGM say, reads the counters",
    "the system clock of GA100, by which its samples are timed",
    "whether CUPTI wants a context on a GPU to sample it, and whether sampling several GPUs at once ends well",
    "by how much sampling moves the GPU's clocks, which others say that it locks",
)
"""What was not tried on a GPU."""


def architecture_of(chip: str) -> str:
    """Architecture of a chip.

    Raises
    ------
    NoDeviceError
        If no metric set is known for it.
    """
    for architecture, chips in ARCHITECTURES.items():
        if chip in chips:
            return architecture
    known = ", ".join(chip for chips in ARCHITECTURES.values() for chip in chips)
    raise NoDeviceError(
        f"the GPU is a {chip or 'chip without a name'}",
        f"one of {known}",
        "Use counters of NVML or DCGM on this GPU, or add a metric set for it.",
    )


def times_by_clock(architecture: str) -> bool:
    """Whether samples come every so many cycles of the system clock: GA100 cannot time them by nanoseconds."""
    return architecture == "sm_80"


def metric_set(architecture: str, width: Width = "wide") -> dict[str, str]:
    """Metrics to sample, by the name of their channel.

    Parameters
    ----------
    architecture : str
        One of `ARCHITECTURES`.
    width : {"wide", "core"}, default "wide"
        All channels, or `CORE`.

    Returns
    -------
    dict of str to str
        Full Perfworks names, in percent of the sustained peak.

    Raises
    ------
    UsageError
        If there is no such architecture or width.
    """
    if architecture not in METRIC_SETS or width not in {"wide", "core"}:
        raise UsageError(
            f"metric set {width!r} of {architecture!r}",
            f"'wide' or 'core' of one of {', '.join(METRIC_SETS)}",
            "Name one of them.",
        )
    metrics = METRIC_SETS[architecture]
    channels = CORE if width == "core" else tuple(metrics)
    return {channel: metrics[channel] + _SUFFIX for channel in channels}
