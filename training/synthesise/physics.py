"""From kernels to what they keep busy: a roofline over the real instruction mix.

Each unit of an SM needs a known number of cycles for a warp instruction; issue slots, the second-level cache, device
memory and the latency of loads (Little's law: what is in flight over the latency) have rooflines of their own. The
slowest sets the pace, and the share of the pace that is reached is drawn from the part's range. Activity of a unit =
its time over the whole. Numbers hold for the kernel alone on the whole GPU at full clocks.

K = kernels. All rates are means over a kernel's run.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, final

import numpy as np
import numpy.typing as npt

from hashwarden.training.synthesise.codes import CODE_CHANNELS, Code, draw_code
from hashwarden.training.synthesise.gpus import Gpu
from hashwarden.training.synthesise.part import Part, Range
from hashwarden.training.synthesise.parts import part_named
from hashwarden.training.synthesise.pipes import CORES, PIPES, TENSOR

__all__ = ["CYCLES", "QUANTITIES", "Activity", "activity", "cycles_of"]

F64 = npt.NDArray[np.float64]

QUANTITIES: Final[Mapping[str, str]] = {
    "sm_active": "cycles with a warp on the SM",
    "occupancy": "resident warps over the most possible",
    "issue": "issue slots used",
    "alu": "logic, shifts, additions, comparisons",
    "product": "integer multiply-add, on the FP32 pipe",
    "fp32": "FP32 arithmetic",
    "fp16": "FP16 arithmetic outside the tensor pipes",
    "fp64": "FP64 arithmetic outside the tensor pipes",
    "special": "special functions and conversions",
    "shared": "shared memory pipe",
    "tensor_half": "tensor pipe: fp16, bf16, tf32",
    "tensor_fp8": "tensor pipe: fp8 and smaller",
    "tensor_int8": "tensor pipe: int8",
    "tensor_fp64": "tensor pipe: fp64",
    "l2": "traffic between SMs and second-level cache over the most possible",
    "dram": "bandwidth of device memory in use",
}
"""Activities of `Activity.rates`, in order, each 0 to 1."""

_TENSOR: Final = {"half": "tensor_half", "tf32": "tensor_half", "fp8": "tensor_fp8", "int8": "tensor_int8",
                  "fp64": "tensor_fp64"}  # fmt: skip

CYCLES: Final[Mapping[str, float]] = {"hmma": 4096, "imma": 4096, "qmma": 4096, "hgmma": 98304, "igmma": 98304,
                                      "utcmma": 1048576, "dmma": 512}  # fmt: skip
"""FP16-equivalent operations of one warp instruction by kind. Shapes are modifiers that the tables do not hold: taken
are 16x8x16 for mma.sync, 64x192x16 for wgmma (a quarter for each warp), 128x256x16 for tcgen05 and 8x8x4 for fp64."""


@final
@dataclass(frozen=True, slots=True)
class Activity:
    """What K kernels do, each alone on the whole GPU at full clocks.

    Attributes
    ----------
    names : tuple of str
    codes : tuple of Code
        The machine code that was drawn for each.
    rates : float64 array, shape (K, len(QUANTITIES))
    read_share : float64 array, shape (K,)
        Reads among the traffic of device memory.
    miss : float64 array, shape (K,)
        Traffic that the caches did not serve.
    sm_time, dram_time : float64 array, shape (K,)
        Time that the SMs alone, and device memory alone, would need, over the time that both need together; the larger
        is 1. How a kernel slows down on fewer SMs or at lower clocks follows from them.
    launch_s, threads : float64 array, shape (K,)
        Of one launch.
    variants : float64 array, shape (K,)
        Distinct kernels behind the name.
    rebuilt : bool array, shape (K,)
    code : float64 array, shape (K, len(CODE_CHANNELS))
    """

    names: tuple[str, ...]
    codes: tuple[Code, ...]
    rates: F64
    read_share: F64
    miss: F64
    sm_time: F64
    dram_time: F64
    launch_s: F64
    threads: F64
    variants: F64
    rebuilt: npt.NDArray[np.bool_]
    code: F64

    def rate(self, quantity: str) -> F64:
        """One column of ``rates``, shape (K,)."""
        column: F64 = self.rates[:, list(QUANTITIES).index(quantity)]
        return column


def cycles_of(gpu: Gpu) -> F64:
    """Cycles that one warp instruction occupies its unit in one of the four parts of an SM, shape (len(PIPES),)."""
    lanes = {"alu": gpu.integer, "product": gpu.product, "fma": gpu.fp32, "half": 2 * gpu.integer if gpu.fp32 == 64
             else gpu.fp32, "double": gpu.fp64, "special": gpu.special, "shared": 32, "global": 32}  # fmt: skip
    cycles = {name: 128.0 / count for name, count in lanes.items()}
    cycles |= {kind: operations / (gpu.tensor / 4) for kind, operations in CYCLES.items()}
    cycles["dmma"] = CYCLES["dmma"] / max(gpu.tensor_fp64 / 4, 1)
    return np.array([cycles.get(name, 0.0) for name in PIPES])


def activity(names: Sequence[str], gpu: Gpu, rng: np.random.Generator) -> Activity:
    """Draw code and habits for each kernel of a schedule and work out what it keeps busy.

    Parameters
    ----------
    names : sequence of str
        Names of parts.
    gpu : Gpu
    rng : Generator

    Returns
    -------
    Activity

    Raises
    ------
    UsageError
        If there is no part of a name.
    """
    parts = [part_named(name) for name in names]
    codes = [_loosened(draw_code(part.picks, part.core, gpu.architecture, rng), part, rng) for part in parts]
    rows = [_one(part, code, gpu, rng) for part, code in zip(parts, codes, strict=True)]
    read, miss, sms, dram = np.array([row[1:] for row in rows]).reshape(-1, 4).T
    draws = {
        name: np.array([_log(getattr(part, name), rng) for part in parts])
        for name in ("launch_s", "threads", "variants")
    }
    return Activity(
        names=tuple(names),
        codes=tuple(codes),
        rates=np.array([row[0] for row in rows]).reshape(-1, len(QUANTITIES)),
        read_share=read,
        miss=miss,
        sm_time=sms,
        dram_time=dram,
        launch_s=draws["launch_s"],
        threads=draws["threads"],
        variants=np.maximum(np.round(draws["variants"]), 1),
        rebuilt=np.array([part.rebuilt for part in parts], bool),
        code=np.array([code.channels for code in codes]).reshape(-1, len(CODE_CHANNELS)),
    )


def _loosened(code: Code, part: Part, rng: np.random.Generator) -> Code:
    """The code with the shares of its units drawn about what the loops' assumed turns make them."""
    loose = LOOSE_BESIDE if part.core else LOOSE
    factor = rng.lognormal(0, loose, len(PIPES))
    factor[[PIPES.index(name) for name in CORES[part.core]]] = 1
    pipes = code.pipes * factor
    return replace(code, pipes=pipes / max(float(pipes.sum()), 1e-12))


LOOSE: Final = 0.15
LOOSE_BESIDE: Final = 0.5
"""Deviation of the logarithm of a unit's share from run to run: of any kernel, and of what runs beside a core. Turns of
loops are not in the code. Assumed."""


def _within(limits: Range, rng: np.random.Generator) -> float:
    return float(rng.uniform(*limits))


def _log(limits: Range, rng: np.random.Generator) -> float:
    return float(np.exp(rng.uniform(*np.log(limits))))


def _one(part: Part, code: Code, gpu: Gpu, rng: np.random.Generator) -> tuple[F64, float, float, float, float]:
    """Rates, share of reads, misses, and the times of SMs and memory, of one kernel."""
    occupancy, reach, peak = (_within(limits, rng) for limits in (part.occupancy, part.reach, part.dram))
    moved, read = _traffic(part, code, rng)
    miss = _within(part.miss, rng)
    if part.core:
        times = _core_times(part, code, moved, gpu, rng)
        miss = min(miss, times.dram_bytes / max(moved, 1e-9))
    else:
        declared = 32 * _within(part.per_instruction, rng)
        times = _times(code, max(moved, declared), declared or moved * miss, gpu)
        times.stall = _latency(code, miss, occupancy, part, gpu, rng)
    sms = times.bound() / reach
    total = max(sms, times.dram / peak)
    return _rates(times, total, occupancy, part), read, miss, sms / total, times.dram / peak / total


def _traffic(part: Part, code: Code, rng: np.random.Generator) -> tuple[float, float]:
    """Bytes that a warp instruction moves beyond the SM on average, and the share of reads."""
    scatter = _within(part.scatter, rng)
    lanes = code.load_bytes + code.store_bytes
    accesses = float(code.pipes[PIPES.index("global")])
    width = lanes / accesses if accesses else 4.0
    moved = 32 * lanes + scatter * accesses * 32 * max(0.0, 32 - width)
    return moved, (code.load_bytes + 1e-6) / (lanes + 1e-6)


@final
@dataclass(slots=True)
class _Times:
    """Cycles for each warp instruction of a quarter SM, by what limits; ``dram_bytes`` are bytes."""

    units: dict[str, float]
    pipes: list[float]
    issue: float
    l2: float
    dram: float
    dram_bytes: float
    stall: float = 0.0

    def bound(self) -> float:
        """The longest of all but device memory."""
        return max(*self.pipes, self.issue, self.l2, self.stall)


def _times(code: Code, moved: float, dram: float, gpu: Gpu) -> _Times:
    """The roofline's times of a kernel whose bound the code decides."""
    quarters = 4.0 * gpu.sms
    units = dict(zip(PIPES, (code.pipes * cycles_of(gpu)).tolist(), strict=True))
    units["shared"] = max(units["shared"], code.shared_bytes)
    own_half = gpu.architecture == GA100
    fma = units["fma"] + units["product"] + (0.0 if own_half else units["half"])
    both = units["alu"] / 2 + fma if gpu.architecture == ADA else units["alu"] + fma if gpu.integer > ALONE else 0.0
    rest = [units[name] for name in ("alu", "half", "double", "special", "shared", "global")]
    pipes = [fma, both, *rest, sum(units[kind] for kind in TENSOR)]
    # a quarter SM's share of the bandwidths, so that all times are of the same cycles
    per_byte = quarters * gpu.cycles_per_s / (gpu.dram_gb_per_s * 1e9)
    return _Times(units, pipes, 1.0, moved * quarters / gpu.l2_bytes_per_cycle, dram * per_byte, dram)


GA100: Final = 80
"""FP16 arithmetic has lanes of its own there."""
ADA: Final = 89
"""Half of the FP32 lanes also do integer arithmetic."""
ALONE: Final = 64
"""Integer lanes an SM up to which they stand beside the FP32 lanes."""


def _core_times(part: Part, code: Code, moved: float, gpu: Gpu, rng: np.random.Generator) -> _Times:
    """The times of a tuned kernel: nothing on the SM takes longer than its core.

    Where the code says otherwise the weights of its loops are wrong, not the kernel: all but the core is scaled down.
    """
    times = _times(code, moved, 0.0, gpu)
    core = sum(times.units[name] for name in CORES[part.core])
    beside = [value for name, value in times.units.items() if name not in CORES[part.core]]
    most = max(*beside, times.l2, (1.0 if part.core in TENSOR_CORES else 0.0))
    scale = min(1.0, core * _within(BESIDE, rng) / max(most, 1e-12))
    units = {n: value if n in CORES[part.core] else value * scale for n, value in times.units.items()}
    issue = scale if part.core in TENSOR_CORES else min(1.0, core)
    if part.core not in TENSOR_CORES:
        core = max(core, issue)
    operations = core * OPERATIONS[part.kind](gpu) / 4
    dram = operations / _log(part.intensity, rng)
    per_byte = 4.0 * gpu.sms * gpu.cycles_per_s / (gpu.dram_gb_per_s * 1e9)
    return _Times(units, [core], issue, times.l2 * scale, dram * per_byte, dram)


TENSOR_CORES: Final = ("tensor", "int8")
"""Cores that one instruction keeps busy for many cycles, so that they leave issue slots free."""

BESIDE: Final = (0.3, 0.75)
"""Most that another unit is busy beside the core of a tuned kernel, over the core."""

OPERATIONS: Final[Mapping[str, Callable[[Gpu], float]]] = {
    "half": lambda gpu: gpu.tensor,
    "tf32": lambda gpu: gpu.tensor / 2,
    "fp8": lambda gpu: gpu.tensor * 2,
    "int8": lambda gpu: gpu.tensor * 2,
    "fp64": lambda gpu: gpu.fp64 * 2,
    "fp32": lambda gpu: gpu.fp32 * 2,
}
"""Operations per cycle and SM of a core at full rate, by what is multiplied."""


def _latency(  # noqa: PLR0913, PLR0917
    code: Code, miss: float, occupancy: float, part: Part, gpu: Gpu, rng: np.random.Generator
) -> float:
    """Cycles for each warp instruction of a quarter SM that waiting for loads takes (Little's law)."""
    latency = gpu.dram_latency_s * gpu.cycles_per_s * (miss + L2_LATENCY * (1 - miss))
    warps = max(occupancy * gpu.warps / 4, 1.0)
    return float(code.pipes[PIPES.index("global")]) * latency / (warps * _within(part.flight, rng))


L2_LATENCY: Final = 0.5
"""Latency of a load that the second-level cache serves, over one of device memory (arXiv 2402.13499: 0.5 to 0.6)."""


def _rates(times: _Times, total: float, occupancy: float, part: Part) -> F64:
    """Activities in the order of `QUANTITIES`."""
    unit = {name: value / total for name, value in times.units.items()}
    tensor = dict.fromkeys(_TENSOR.values(), 0.0)
    kinds = {"half": ("hmma", "hgmma", "utcmma"), "int8": ("imma", "igmma"), "fp64": ("dmma",), "fp8": ("qmma",)}
    for kind, names in kinds.items():
        into = part.kind if part.core in TENSOR_CORES and kind != "fp64" else kind
        tensor[_TENSOR[into]] += sum(unit[name] for name in names)
    rates = {"sm_active": SM_ACTIVE, "occupancy": occupancy * SM_ACTIVE, "issue": times.issue / total,
             "fp32": unit["fma"], "fp16": unit["half"], "fp64": unit["double"], **tensor,
             "l2": times.l2 / total, "dram": times.dram / total}  # fmt: skip
    return np.clip([rates[name] if name in rates else unit[name] for name in QUANTITIES], 0.0, 1.0)


SM_ACTIVE: Final = 0.985
"""While a kernel runs on the whole GPU: launches have heads and tails."""
