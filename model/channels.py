"""The one table of channels: every number that the job model may read of a GPU, a job or a probe.

Sources fill it, the network reads it, the ONNX files carry its hash, the pages show it. A channel is a physical
quantity, not a counter's spelling: the same one comes from NVML's GPM, from a DCGM field or from a synthesised sensor.
A value that is not there is NaN in memory and null in a file, never 0.

Identifiers: GPM metric numbers from NVIDIA/go-nvml ``gen/nvml/nvml.h``, field numbers from NVIDIA/DCGM
``dcgmlib/dcgm_fields.h``. Ratios lie between 0 and 1, whatever the counter calls a percentage.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, Literal, final

__all__ = ["CHANNELS", "GROUPS", "INDEX", "NETWORK", "NETWORK_PLACES", "TIERS", "Channel", "Group", "schema_hash"]

Group = Literal["nvml", "gpm", "pm", "launch", "code", "probe"]
GROUPS: Final[tuple[Group, ...]] = ("nvml", "gpm", "pm", "launch", "code", "probe")
"""Who can say it: plain NVML, GPM or DCGM's profiling fields, CUPTI PM sampling, launch tracing, the kernel model on
the code of what was launched, our probes."""

TIERS: Final[Mapping[str, tuple[Group, ...]]] = MappingProxyType(
    {
        "nvml": ("nvml",),
        "gpm": ("nvml", "gpm"),
        "gpm+code": ("nvml", "gpm", "launch", "code"),
        "all": GROUPS,
    }
)
"""The sets of groups for which evidence is calibrated and which reports tell apart, from least to most."""

_INF: Final = math.inf


@final
@dataclass(frozen=True, slots=True)
class Channel:
    """One named scalar.

    Attributes
    ----------
    name : str
        Fixed: a trace, a model and a page rely on it. Ends with the unit where there is one.
    unit : str
        ``ratio``, ``watts``, ``celsius``, ``mhz``, ``mib``, ``mib/s``, ``1/s``, ``count``, ``seconds``.
    low, high : float
        What can be true; anything outside is a fault of the counter.
    group : Group
        Who can say it.
    meaning : str
        In a few words.
    notes : str
        What differs between architectures, and known faults.
    gpm : int or None
        GPM metric number.
    dcgm : int or None
        DCGM field number.
    scale : float
        Typical size of a value that spans orders of magnitude, where its logarithm begins to be of use; 0 for others.
    network : bool
        Whether the network reads it. What names the GPU rather than the work (watts, MiB, MHz) is for people only.
    per_cycle : bool
        A ratio of the clock cycles of the interval: at changing clocks it is no average over time
        (open-gpu-kernel-modules issue 1122).
    noisy : bool
        A healthy counter of a busy GPU never repeats itself to the last bit for long: one that does is frozen.
    """

    name: str
    unit: str
    low: float
    high: float
    group: Group
    meaning: str
    notes: str = ""
    gpm: int | None = None
    dcgm: int | None = None
    scale: float = 0.0
    network: bool = True
    per_cycle: bool = False
    noisy: bool = False


def _ratio(  # noqa: PLR0913, PLR0917
    name: str, group: Group, meaning: str, notes: str = "", gpm: int | None = None, dcgm: int | None = None
) -> Channel:
    cycle = group == "gpm"
    return Channel(f"{name}_ratio", "ratio", 0, 1, group, meaning, notes, gpm, dcgm, per_cycle=cycle, noisy=cycle)


def _rate(  # noqa: PLR0913, PLR0917
    name: str, high: float, group: Group, meaning: str, notes: str = "", gpm: int | None = None,
    dcgm: int | None = None, scale: float = 1.0,
) -> Channel:  # fmt: skip
    unit = "mib/s" if "mib" in name else "1/s"
    return Channel(name, unit, 0, high, group, meaning, notes, gpm, dcgm, scale)


_NVML: Final = (
    _ratio("gpu_util", "nvml", "share of the driver's period in which a kernel ran",
           "says nothing of how much of the GPU works; not on MIG; garbage above 1 was seen (nvtop issue 110)",
           dcgm=203),
    _ratio("memory_util", "nvml", "share of the driver's period in which device memory was read or written", dcgm=204),
    Channel("power_watts", "watts", 0, 3000, "nvml", "power drawn",
            "mean of 1 s since Ampere (GA100: at once); on A100 and H100 the sensor sees a quarter of the time",
            dcgm=155, network=False, noisy=True),
    Channel("power_ratio", "ratio", 0, 2, "nvml", "power drawn over the enforced limit", "see power_watts"),
    Channel("energy_power_ratio", "ratio", 0, 2, "nvml", "energy used since the last sample over limit and time",
            "from the energy counter, which never skips; 32-bit wrap and a reset at driver load were seen", dcgm=156),
    Channel("temperature_celsius", "celsius", 0, 130, "nvml", "temperature of the chip", dcgm=150, network=False),
    Channel("memory_temperature_celsius", "celsius", 0, 130, "nvml", "temperature of the device memory",
            "HBM parts only", dcgm=140, network=False),
    Channel("sm_clock_mhz", "mhz", 0, 5000, "nvml", "clock of the SMs", dcgm=100, network=False),
    _ratio("sm_clock", "nvml", "clock of the SMs over the highest that the GPU offers", "pinning is a weak sign"),
    _ratio("memory_clock", "nvml", "clock of the memory over the highest that the GPU offers",
           "miners of integer hashes lower it", dcgm=101),
    _ratio("power_capped", "nvml", "1 while clocks are held down by the power limit, else 0"),
    _ratio("thermal_capped", "nvml", "1 while clocks are held down by heat, else 0"),
    Channel("fb_used_mib", "mib", 0, 2e6, "nvml", "device memory in use", dcgm=252, network=False),
    _ratio("fb_used", "nvml", "device memory in use over all of it", "reserved memory counts since driver 510"),
    _rate("pcie_tx_mib_per_s", 3e5, "nvml", "sent over PCIe by the GPU", "NVML looks at 20 ms only", 20, 1009),
    _rate("pcie_rx_mib_per_s", 3e5, "nvml", "received over PCIe by the GPU", "NVML looks at 20 ms only", 21, 1010),
    _ratio("encoder_util", "nvml", "share of time in which the video encoder worked", dcgm=206),
    _ratio("decoder_util", "nvml", "share of time in which the video decoder worked", dcgm=207),
    Channel("process_count", "count", 0, 1e5, "nvml", "processes with a context on the GPU",
            "host PIDs only; a namespace or a rootkit can hide some", scale=1.0),
    Channel("foreign_process_count", "count", 0, 1e5, "nvml", "processes on the GPU that are not the job's",
            "above 0 the counters of the GPU do not belong to the job alone", network=False),
    _ratio("process_sm_util", "nvml", "highest share of SM time of one process", "not on MIG; sampled, often stale"),
)  # fmt: skip

_GPM: Final = (
    _ratio("graphics_active", "gpm", "share of cycles with any work",
           "DCGM: 0 for good after weeks (dcgm-exporter 662)", 1, 1001),
    _ratio("sm_active", "gpm", "share of cycles in which an SM held a warp, mean over SMs", "", 2, 1002),
    _ratio("sm_occupancy", "gpm", "resident warps over the most possible, mean over SMs and cycles", "", 3, 1003),
    _ratio("integer_active", "gpm", "share of cycles in which the integer pipe worked",
           "Hopper has 64 integer lanes an SM, Blackwell 128 shared with FP32: the same work shows half; whether LOP3, "
           "SHF and dp4a count is not documented", 4, 1016),
    _ratio("tensor_active", "gpm", "share of cycles in which any tensor pipe worked", "", 5, 1004),
    _ratio("tensor_dfma_active", "gpm", "the same, double precision", "", 6, 1015),
    _ratio("tensor_hmma_active", "gpm", "the same, half precision", "where fp8 counts is not documented", 7, 1014),
    _ratio("tensor_imma_active", "gpm", "the same, int8", "whether wgmma of int8 counts is not documented", 9, 1013),
    _ratio("dram_active", "gpm", "share of the highest memory bandwidth in use",
           "DCGM field 1005 hangs an A40 (DCGM issue 144)", 10, 1005),
    _ratio("fp64_active", "gpm", "share of cycles in which the FP64 pipe worked", "", 11, 1006),
    _ratio("fp32_active", "gpm", "share of cycles in which the FP32 pipe worked", "", 12, 1007),
    _ratio("fp16_active", "gpm", "share of cycles in which the FP16 pipe worked", "", 13, 1008),
    _rate("nvlink_rx_mib_per_s", 4e6, "gpm", "received over NVLink, all links", "", 60, 1012),
    _rate("nvlink_tx_mib_per_s", 4e6, "gpm", "sent over NVLink, all links", "", 61, 1011),
    _ratio("dram_cache_miss", "gpm", "misses over hits and misses of the cache before device memory",
           "from GPM 164 and 165; support and meaning are to be tested", 165),
    _rate("context_switches_per_s", 1e6, "gpm", "switches between contexts, all engines",
           "from GPM 170 to 209; support is to be tested", 170, scale=0.1),
)  # fmt: skip

_PM: Final = (
    _ratio("pm_sm_active", "pm", "cycles with a warp on the SM, mean of the burst of samples"),
    _ratio("pm_issue", "pm", "instructions issued over the most possible"),
    _ratio("pm_alu", "pm", "integer and logic pipe"),
    _ratio("pm_fma", "pm", "FP32 and integer multiply pipe"),
    _ratio("pm_tensor", "pm", "tensor pipes"),
    _ratio("pm_l2", "pm", "requests to the second-level cache over the most possible"),
    _ratio("pm_dram_read", "pm", "reads of device memory over the most possible"),
    _ratio("pm_dram_write", "pm", "writes of device memory over the most possible"),
    Channel("pm_rhythm_seconds", "seconds", 0, 60, "pm", "strongest period of the burst's tensor or integer activity",
            scale=0.001),
    _ratio("pm_rhythm_strength", "pm", "share of the variance that this period explains"),
    _ratio("pm_idle_gap", "pm", "share of 1 ms intervals without work"),
)  # fmt: skip

_LAUNCH: Final = (
    _rate("launches_per_s", 1e7, "launch", "kernel launches", "graphs hide theirs"),
    _rate("graph_launches_per_s", 1e6, "launch", "graph launches", scale=0.1),
    _rate("module_loads_per_s", 1e5, "launch", "modules loaded: new machine code", "KawPoW: one in about 3 minutes",
          scale=0.001),
    Channel("distinct_kernels", "count", 0, 1e6, "launch", "kernels launched at least once in the interval", scale=1.0),
    _ratio("top_kernel", "launch", "share of launches of the commonest kernel"),
    _ratio("new_kernel", "launch", "share of launches of kernels that the job had not launched before"),
    Channel("threads_per_launch", "count", 0, 1e13, "launch", "mean threads of a launch", scale=1000.0),
    Channel("launch_interval_variation", "ratio", 0, 1e4, "launch",
            "deviation over mean of the time between two launches of the commonest kernel", scale=0.1),
)  # fmt: skip

_CODE: Final = (
    _ratio("code_known", "code", "share of launches whose machine code was found and judged"),
    _ratio("code_mining", "code", "probability of mining of the kernels launched, mean over launched threads"),
    _ratio("code_mining_top", "code", "the highest among kernels with a tenth of the launched threads"),
    _ratio("code_hash", "code", "probability of any hash work, mean over launched threads"),
    Channel("code_novelty", "ratio", 0, 1e3, "code", "distance of the kernels from all that the kernel model knows",
            scale=1.0),
    _ratio("code_logic", "code", "logic, shifts and rotates among instructions, loops weighted"),
    _ratio("code_integer", "code", "integer additions and products among instructions, loops weighted"),
    _ratio("code_float", "code", "floating-point arithmetic among instructions, loops weighted"),
    _ratio("code_hmma", "code", "floating-point tensor instructions among instructions, loops weighted"),
    _ratio("code_imma", "code", "integer tensor instructions among instructions, loops weighted"),
    _ratio("code_memory", "code", "global memory instructions among instructions, loops weighted"),
    _ratio("code_dependent_load", "code", "loads whose address follows from loaded data, among loads"),
)  # fmt: skip

_PROBE: Final = (
    *(
        Channel(f"probe_{name}_ratio", "ratio", 0, 1e4, "probe",
                f"latency of the probe {name} over that of the idle GPU", scale=1.0)
        for name in ("lop3", "imad", "ffma", "hmma", "imma", "l2", "dram")
    ),
    _ratio("probe_gap", "probe", "share of the watched time in which the probe did not run"),
)  # fmt: skip

CHANNELS: Final[tuple[Channel, ...]] = (*_NVML, *_GPM, *_PM, *_LAUNCH, *_CODE, *_PROBE)
"""Every channel, in the order of all arrays and files."""

INDEX: Final[Mapping[str, int]] = MappingProxyType({channel.name: i for i, channel in enumerate(CHANNELS)})
"""Place of each channel in `CHANNELS`."""

NETWORK: Final[tuple[str, ...]] = tuple(channel.name for channel in CHANNELS if channel.network)
"""Names of the channels that the network reads, in order."""

NETWORK_PLACES: Final[tuple[int, ...]] = tuple(INDEX[name] for name in NETWORK)
"""Places in `CHANNELS` of the channels that the network reads, in the order of `NETWORK`."""


def schema_hash() -> str:
    """SHA-256 over what a trace or a model relies on: names, units, ranges, groups and scales, in order."""
    lines = [f"{c.name} {c.unit} {c.low:g} {c.high:g} {c.group} {c.scale:g} {c.network}" for c in CHANNELS]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()
