"""Published figures that the physical model is held against, and how far off it is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, final

import numpy as np
import numpy.typing as npt

from hashwarden.training.synthesise.gpus import Gpu, gpu_named
from hashwarden.training.synthesise.physics import activity
from hashwarden.training.synthesise.schedule import Schedule
from hashwarden.training.synthesise.truth import Truth, truth

__all__ = ["ANCHORS", "Anchor", "measured", "run_alone"]

F64 = npt.NDArray[np.float64]
TICKS: Final = 50
DRAWS: Final = 40


def _of(name: str) -> Callable[[Truth, Gpu], float]:
    return lambda true, _: float(true.rates[name].mean())


def _watts(true: Truth, _: Gpu) -> float:
    return float(true.watts.mean())


def _of_limit(true: Truth, gpu: Gpu) -> float:
    return float(true.watts.mean()) / gpu.limit_watts


@final
@dataclass(frozen=True, slots=True)
class Anchor:
    """One published figure.

    Attributes
    ----------
    part, gpu : str
        What runs alone, and on what.
    says : str
        What the figure is.
    value : callable
        The model's value of it.
    low, high : float
        What was published.
    tolerance : float
        By how much the middle four fifths of the model's draws may lie outside, in the figure's unit.
    source : str
    """

    part: str
    gpu: str
    says: str
    value: Callable[[Truth, Gpu], float]
    low: float
    high: float
    tolerance: float
    source: str


ANCHORS: Final[tuple[Anchor, ...]] = (
    Anchor("ethash", "A100 SXM 80GB", "hash rate x 8 KiB over bandwidth", _of("dram"), 0.90, 0.93, 0.06,
           "164 to 170 MH/s on a GA100 board with 1.49 TB/s (CMP 170HX; t3n and ComputerBase, September 2021)"),
    Anchor("attention-prefill", "A100 SXM 80GB", "share of the tensor pipe's peak", _of("tensor_half"), 0.50, 0.73,
           0.15, "FlashAttention-2, arXiv 2307.08691"),
    Anchor("attention-prefill", "H100 SXM", "share of the tensor pipe's peak", _of("tensor_half"), 0.35, 0.75, 0.05,
           "FlashAttention-2 and -3 on H100, arXiv 2407.08608"),
    Anchor("gemm-fp8", "H100 SXM", "share of the tensor pipe's peak, at best", _of("tensor_fp8"), 0.0, 0.78, 0.08,
           "up to 1,550 TFLOP/s of 1,979 on an H800 (deepseek-ai/DeepGEMM, README)"),
    Anchor("attention-decode", "H200", "watts, bound by memory", _watts, 137, 300, 60,
           "decode on H200, arXiv 2605.11999"),
    Anchor("gemv-bf16", "H200", "watts, bound by memory", _watts, 137, 300, 60, "decode on H200, arXiv 2605.11999"),
    Anchor("gemm-fp64", "H200", "watts over the limit, DGEMM", _of_limit, 0.95, 1.0, 0.30,
           "DGEMM runs into the limit of 700 W, arXiv 2604.11391; the tables hold no tensor DGEMM"),
    Anchor("burn-tensor", "H100 SXM", "watts over the limit", _of_limit, 0.95, 1.0, 0.15,
           "stress tests run into the limit"),
    Anchor("sha256d", "A100 SXM 80GB", "logic pipe, bound by it", _of("alu"), 0.90, 1.0, 0.05,
           "logic and additions are nearly all of the code: nothing else can bound it"),
    Anchor("sha256d", "A100 SXM 80GB", "device memory", _of("dram"), 0.0, 0.01, 0.01, "a header of 80 bytes"),
)  # fmt: skip
"""What was published, and what the model makes of it."""


def run_alone(part: str, gpu: Gpu, rng: np.random.Generator) -> Truth:
    """What a kernel that runs all the time does to a GPU, over five seconds."""
    host = {"fb_mib": np.full(TICKS, 8000, np.float32)}
    schedule = Schedule((part,), np.ones((TICKS, 1), np.float32), None, host)
    return truth(schedule, activity((part,), gpu, rng), gpu, rng)


def measured(anchor: Anchor, draws: int = DRAWS) -> F64:
    """The model's values: tenth, middle and ninetieth percentile over seeds, shape (3,)."""
    gpu = gpu_named(anchor.gpu)
    values = [anchor.value(run_alone(anchor.part, gpu, np.random.default_rng([7, n])), gpu) for n in range(draws)]
    return np.percentile(values, (10, 50, 90))
