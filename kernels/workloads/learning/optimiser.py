"""Adam with decoupled weight decay, one launch for each parameter.

Kingma and Ba, ICLR 2015, algorithm 1; the decay of Loshchilov and Hutter, ICLR 2019, algorithm 2.
"""

# ruff: noqa: ANN401, PLR0913, PLR0917  bodies take arrays, and many of them

from __future__ import annotations

import math
from typing import Any, Final

import numpy as np

from hashwarden.kernels.device import device
from hashwarden.kernels.memory.recorder import begin, load, store
from hashwarden.kernels.workloads.plan import Launch

__all__ = ["BETA_1", "BETA_2", "DECAY", "EPSILON", "RATE", "adam", "adam_launch"]

RATE: Final = 1e-3
BETA_1: Final = 0.9
BETA_2: Final = 0.999
EPSILON: Final = 1e-8
DECAY: Final = 0.01
"""The settings of a step: learning rate, decays of the two moments, guard of the division, weight decay."""

_BETA_1: Final = np.float32(BETA_1)
_BETA_2: Final = np.float32(BETA_2)
_REST_1: Final = np.float32(1 - BETA_1)
_REST_2: Final = np.float32(1 - BETA_2)
_EPSILON: Final = np.float32(EPSILON)
_KEPT: Final = np.float32(1 - RATE * DECAY)


@device
def adam(
    thread: Any, log: Any, value: Any, gradient: Any, first: Any, second: Any, size: Any, pace: Any, spread: Any
) -> None:
    """Update four parameters; ``pace`` is rate / (1 - beta1^n), ``spread`` is 1 / sqrt(1 - beta2^n)."""
    t = begin(log, thread)
    start = thread * 4
    count = min(4, size - start)
    for site in range(4):
        t = load(log, t, site, site, start, 0, count)
    t = store(log, t, 4, 2, start, 0, count)
    t = store(log, t, 5, 3, start, 0, count)
    t = store(log, t, 6, 0, start, 0, count)
    for i in range(start, start + count):
        slope = gradient[i]
        mean = np.float32(_BETA_1 * first[i] + _REST_1 * slope)
        power = np.float32(_BETA_2 * second[i] + _REST_2 * slope * slope)
        first[i] = mean
        second[i] = power
        value[i] = value[i] * _KEPT - pace * mean / (np.float32(math.sqrt(power)) * spread + _EPSILON)


def adam_launch(step: int, name: str, size: int) -> Launch:
    """Update of parameter ``name`` in step ``step``, from 0; its gradient and moments are ``d_``, ``m_``, ``v_``."""
    pace = np.float32(RATE / (1 - BETA_1 ** (step + 1)))
    spread = np.float32(1 / math.sqrt(1 - BETA_2 ** (step + 1)))
    arrays = (name, f"d_{name}", f"m_{name}", f"v_{name}")
    return Launch(adam, -(-size // 4), (*arrays, np.int64(size), pace, spread))
