"""What is not documented about the counters, and how a site reads them: drawn for each run, so that none is learned.

FP32's counter: NVIDIA's DCGM user guide says "FMA and integer pipe" of it. Which instructions the integer counter
counts, where fp8 and wgmma's int8 go, and whether the cache metrics answer is documented nowhere. NVIDIA's Perfworks
describes counters by which fp8 would show as half precision and int8 as itself (docs/gpu-findings.md), but does not say
that these are GPM's; what is drawn here stays even until a GPU was asked.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Self, final

import numpy as np

from hashwarden.training.synthesise.gpus import Gpu

__all__ = ["Site"]


@final
@dataclass(frozen=True, slots=True)
class Site:
    """How one GPU's counters come out.

    Attributes
    ----------
    source : str
        ``gpm``, or ``dcgm``: later by its lag, and never more often than every second.
    fields : str
        Of DCGM: ``all``, or those that dcgm-exporter reads by ``default``.
    integer_counts : str
        What the integer counter counts: ``all``, ``logic`` (no multiplications) or ``products`` (nothing else).
    products_in_fp32 : bool
        Whether integer multiplications show in the FP32 counter too.
    fp8_in_half, int8_counted : bool
        Whether fp8 shows in the counter of half precision, and int8 in its own; both always show in that of any tensor
        work.
    cache, switches : bool
        Whether the metrics of cache misses and of context switches answer.
    driver_period_s : float
        Period of the driver's utilisation, 1/6 to 1 s (nvml.h).
    saturation : float
        Utilisation = 1 - (1 - share of time) to this power: short gaps go unseen.
    power_gain : float
        Of the power sensor; arXiv 2312.02741 found several per cent, fixed for a board.
    lag_s : float
        Of DCGM (DCGM issue 170: about 300 ms).
    """

    source: Literal["gpm", "dcgm"] = "gpm"
    fields: Literal["all", "default"] = "all"
    integer_counts: Literal["all", "logic", "products"] = "all"
    products_in_fp32: bool = True
    fp8_in_half: bool = True
    int8_counted: bool = True
    cache: bool = True
    switches: bool = True
    driver_period_s: float = 1 / 6
    saturation: float = 1.5
    power_gain: float = 1.0
    lag_s: float = 0.3

    @classmethod
    def drawn(cls, gpu: Gpu, rng: np.random.Generator) -> Self:
        """A site, its chances assumed. GPUs without GPM have DCGM; those with it have DCGM at one site in six."""
        dcgm = not gpu.gpm or rng.random() < 1 / 6
        counts: tuple[Literal["all", "logic", "products"], ...] = ("all", "logic", "products")
        return cls(
            source="dcgm" if dcgm else "gpm",
            fields="default" if dcgm and rng.random() < 0.15 else "all",
            integer_counts=counts[int(rng.choice(3, p=(0.5, 0.3, 0.2)))],
            products_in_fp32=bool(rng.random() < 0.7),
            fp8_in_half=bool(rng.random() < 0.5),
            int8_counted=bool(rng.random() < 0.85),
            cache=bool(rng.random() < 0.6) and not dcgm,
            switches=bool(rng.random() < 0.6) and not dcgm,
            driver_period_s=float(rng.uniform(1 / 6, 1)),
            saturation=float(rng.uniform(1, 3)),
            power_gain=float(np.clip(rng.normal(1, 0.02), 0.95, 1.05)),
            lag_s=float(rng.uniform(0.2, 0.45)),
        )
