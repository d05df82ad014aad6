"""The GPUs that runs are synthesised for: what their makers publish, and what has to be assumed.

Sources, by the key that `ASSUMED` and the page use:
A100: NVIDIA A100 data sheet (June 2021) and "NVIDIA A100 Tensor Core GPU Architecture" (2020).
H100: NVIDIA H100 data sheet and "NVIDIA H100 Tensor Core GPU Architecture" (2022). H200: NVIDIA H200 data sheet
(2024). L40S: NVIDIA L40S data sheet (2023) and "NVIDIA Ada GPU Architecture". B200: NVIDIA DGX B200 data sheet and
"NVIDIA Blackwell Architecture Technical Brief" (2024). Lanes of an SM: CUDA C++ Programming Guide, table of arithmetic
throughput.
Power sensors: Yang, Adamek, Armour, arXiv 2312.02741. Latencies: Luo et al., arXiv 2402.13499.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, final

from hashwarden.errors import UsageError

__all__ = ["ASSUMED", "GPUS", "Gpu", "gpu_named"]


@final
@dataclass(frozen=True, slots=True)
class Gpu:
    """One product.

    Attributes
    ----------
    name : str
        As in `GPUS`.
    architecture : int
        Compute capability times 10.
    sms, warps : int
        Multiprocessors, and the most resident warps on one.
    clock_mhz, idle_clock_mhz : float
        Highest SM clock, and the clock without work.
    fp32, integer, fp64, special : int
        Lanes of an SM: results per cycle. ``integer`` is for logic, shifts and additions.
    product : int
        Results of integer multiply-add per cycle and SM.
    tensor : float
        Dense FP16 operations (a multiply-add is two) per cycle and SM; int8 and fp8 do twice that, tf32 half.
    tensor_fp64 : float
        Double-precision operations of the tensor pipe per cycle and SM; 0 if it has none.
    l2_mib, dram_gb_per_s, dram_mib : float
        Second-level cache, bandwidth and size of device memory.
    l2_bytes_per_cycle : float
        Highest traffic between the SMs and the cache, whole GPU.
    dram_latency_s : float
        Of a load that misses every cache.
    limit_watts, idle_watts : float
        Default power limit; drawn without work and without a context.
    power_window_s, power_seen : float
        What NVML's power is a mean over, 0 for at once; share of the time in which the sensor looks.
    gpm, hbm : bool
        Whether NVML's GPM is there; whether the memory has a temperature.
    nvlink_mib_per_s, pcie_mib_per_s : float
        Each way; 0 for none.
    """

    name: str
    architecture: int
    sms: int
    warps: int
    clock_mhz: float
    idle_clock_mhz: float
    fp32: int
    integer: int
    product: int
    fp64: int
    special: int
    tensor: float
    tensor_fp64: float
    l2_mib: float
    l2_bytes_per_cycle: float
    dram_gb_per_s: float
    dram_mib: float
    dram_latency_s: float
    limit_watts: float
    idle_watts: float
    power_window_s: float
    power_seen: float
    gpm: bool
    hbm: bool
    nvlink_mib_per_s: float
    pcie_mib_per_s: float

    @property
    def cycles_per_s(self) -> float:
        """SM cycles a second at the highest clock."""
        return self.clock_mhz * 1e6


_A100: Final = Gpu(
    "A100 SXM 80GB", 80, 108, 64, 1410, 210, 64, 64, 64, 32, 16, 2048, 128, 40, 5120, 2039, 81920, 4.0e-7,
    400, 55, 0.0, 0.25, False, True, 286_000, 30_000,
)  # fmt: skip
_H100: Final = Gpu(
    "H100 SXM", 90, 132, 64, 1980, 345, 128, 64, 64, 64, 16, 4096, 256, 50, 5632, 3350, 81559, 3.5e-7,
    700, 70, 1.0, 0.25, True, True, 429_000, 60_000,
)  # fmt: skip
_H200: Final = Gpu(
    "H200", 90, 132, 64, 1980, 345, 128, 64, 64, 64, 16, 4096, 256, 50, 5632, 4800, 143771, 3.5e-7,
    700, 75, 1.0, 0.25, True, True, 429_000, 60_000,
)  # fmt: skip
_L40S: Final = Gpu(
    "L40S", 89, 142, 48, 2520, 210, 128, 64, 64, 2, 16, 1024, 0, 96, 4608, 864, 46068, 3.2e-7,
    350, 35, 1.0, 1.0, False, False, 0, 30_000,
)  # fmt: skip
_B200: Final = Gpu(
    "B200", 100, 148, 64, 1965, 345, 128, 128, 64, 64, 16, 8192, 256, 126, 10240, 8000, 183359, 4.2e-7,
    1000, 140, 1.0, 1.0, True, True, 858_000, 60_000,
)  # fmt: skip

GPUS: Final[Mapping[str, Gpu]] = MappingProxyType({gpu.name: gpu for gpu in (_A100, _H100, _H200, _L40S, _B200)})
"""The GPUs by name."""

ASSUMED: Final[Mapping[str, str]] = MappingProxyType(
    {
        "idle_watts": "all: of the order that operators report; differs by tens of watts between boards",
        "idle_clock_mhz": "all: the lowest clocks that public nvidia-smi listings show",
        "clock_mhz": "B200: not in the data sheet; 1965 MHz from public nvidia-smi listings",
        "l2_bytes_per_cycle": "all but A100 (5,120, white paper): scaled from it with SMs and published comparisons",
        "dram_latency_s": "all: of the order that arXiv 2402.13499 measured on A100, H100 PCIe and RTX 4090",
        "power_seen": "L40S, B200: not measured in arXiv 2312.02741; taken as all of the time",
        "power_window_s": "B200: as on Hopper",
        "tensor": "B200: 8,192, from 2.25 PFLOP/s dense; L40S: 1,024, from 362 TFLOP/s dense",
        "tensor_fp64": "B200: as on Hopper",
        "product": "B200: as on Hopper",
    }
)
"""Attributes with values that no data sheet states, and what they were taken from."""


def gpu_named(name: str) -> Gpu:
    """The GPU of a name.

    Raises
    ------
    UsageError
        If there is none.
    """
    if name not in GPUS:
        raise UsageError(f"a GPU named {name!r}", ", ".join(GPUS), "Name one of these.")
    return GPUS[name]
