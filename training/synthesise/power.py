"""What a GPU draws, how a power limit lowers its clock, and how warm it gets.

Power = idle + (limit - idle) x (sum of `WEIGHTS` x activity), the SMs' part with clock and voltage squared. Under a
limit the clock of the SMs falls until the sum fits: their power goes as the cube of the clock while voltage falls with
it. The weights are assumed; docs/synthesis.md says how far from published figures they lead.

T = ticks, K = kernels.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np
import numpy.typing as npt
from scipy.signal import lfilter

from hashwarden.training.synthesise.gpus import Gpu
from hashwarden.training.synthesise.physics import QUANTITIES, Activity
from hashwarden.training.synthesise.schedule import TICK_S

__all__ = [
    "DRAM_WATTS",
    "LEAST_VOLTAGE",
    "SPREAD",
    "WEIGHTS",
    "clock_under_limit",
    "sm_weight",
    "temperature",
    "voltage",
]

F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]

WEIGHTS: Final[Mapping[str, float]] = {
    "sm_active": 0.06,
    "issue": 0.16,
    "alu": 0.26,
    "product": 0.22,
    "fp32": 0.34,
    "fp16": 0.25,
    "fp64": 0.55,
    "special": 0.15,
    "shared": 0.14,
    "tensor_half": 0.85,
    "tensor_fp8": 0.80,
    "tensor_int8": 0.62,
    "tensor_fp64": 0.85,
    "l2": 0.12,
}
"""Share of the power between idle and limit that each activity of the SMs and the cache draws when it is 1. Assumed."""

DRAM_WATTS: Final = 0.18
"""The same for device memory, which does not follow the SMs' clock. Assumed."""

LEAST_VOLTAGE: Final = 0.72
"""Voltage does not fall below this share of the highest, however low the clock. Assumed."""

LEAST_CLOCK: Final = 0.15

SPREAD: Final = 0.1
"""Deviation of the weights' logarithms from run to run. Assumed."""


def sm_weight(kernels: Activity, rng: np.random.Generator) -> F64:
    """Share of the power between idle and limit that the SMs draw in each kernel at full clocks, shape (K,).

    Boards, and what the bits of the data are, differ: each weight is drawn about its value.
    """
    weights = np.array([WEIGHTS.get(name, 0.0) for name in QUANTITIES]) * rng.lognormal(0, SPREAD, len(QUANTITIES))
    result: F64 = kernels.rates @ weights
    return result


def voltage(clock: F32) -> F32:
    """Voltage over the highest, of the clock over the highest."""
    return np.maximum(clock, np.float32(LEAST_VOLTAGE))


def clock_under_limit(asked: F32, sms: F32, rest: F32, room: F32) -> F32:
    """The clock that fits under a power limit, shape (T,).

    Parameters
    ----------
    asked : float32 array, shape (T,)
        Clock that is asked for, over the highest.
    sms, rest, room : float32 array, shape (T,)
        Watts of the SMs at that clock, of the rest, and those that the limit allows.
    """
    left = np.maximum(room - rest, 1.0)
    factor = np.cbrt(np.minimum(left / np.maximum(sms, 1e-3), 1.0))
    # under the least voltage power only falls with the clock itself
    linear = left / np.maximum(sms, 1e-3) * (np.maximum(asked, LEAST_VOLTAGE) / LEAST_VOLTAGE) ** 2
    result: F32 = np.maximum(asked * np.where(asked * factor < LEAST_VOLTAGE, np.minimum(linear, 1.0), factor),
                             LEAST_CLOCK).astype(np.float32)  # fmt: skip
    return result


def temperature(power: F32, gpu: Gpu, rng: np.random.Generator) -> tuple[F32, F32]:
    """Temperatures of chip and memory, degrees Celsius, each of shape (T,): first-order lags behind the power."""
    inlet, per_watt = rng.uniform(24, 36), rng.uniform(28, 48) / gpu.limit_watts
    chip = _lag(inlet + per_watt * power, rng.uniform(8, 30))
    memory = _lag(inlet + 6 + per_watt * rng.uniform(1.05, 1.3) * power, rng.uniform(20, 60))
    return chip, memory


def _lag(aim: F32, seconds: float) -> F32:
    """A first-order lag, starting at the first aim."""
    if not len(aim):
        return aim
    share = TICK_S / (seconds + TICK_S)
    out, _ = lfilter([share], [1, share - 1], aim, zi=[(1 - share) * float(aim[0])])
    result: F32 = np.asarray(out, np.float32)
    return result
