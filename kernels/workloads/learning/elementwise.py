"""Elementwise kernels: bias and activation with derivatives, sums, gated activation, and deterministic filling.

A thread takes up to four neighbours of a row, as the vectorised elementwise kernels of PyTorch do. GELU is the
tanh form (Hendrycks and Gimpel, 2016).
"""

# ruff: noqa: ANN401, PLR0913, PLR0917  bodies take arrays, and many of them

from __future__ import annotations

import math
from typing import Any, Final

import numpy as np

from hashwarden.kernels.device import device
from hashwarden.kernels.memory.recorder import begin, load, store

__all__ = [
    "GELU",
    "NONE",
    "RELU",
    "SILU",
    "activate",
    "activate_back",
    "add",
    "fill",
    "fill_random",
    "gate",
    "place_of",
    "quads",
    "value_of",
]

NONE: Final = 0
RELU: Final = 1
GELU: Final = 2
SILU: Final = 3
"""Kinds of activation."""

_ROOT: Final = np.float32(math.sqrt(2 / math.pi))
_CUBIC: Final = np.float32(0.044715)
_ONE: Final = np.float32(1)
_HALF: Final = np.float32(0.5)
_THREE: Final = np.float32(3)


def quads(rows: int, columns: int) -> int:
    """Threads that take four neighbours of a row each."""
    return rows * -(-columns // 4)


@device
def place_of(thread: Any, columns: Any) -> Any:
    """First column of a thread, its flat index, and how many elements the thread takes."""
    across = (columns + 3) // 4
    column = (thread % across) * 4
    return column, (thread // across) * columns + column, min(4, columns - column)


@device
def value_of(x: Any, kind: Any) -> Any:
    """The activation of one number."""
    if kind == RELU:
        return max(x, np.float32(0))
    if kind == GELU:
        return np.float32(_HALF * x * (_ONE + np.float32(math.tanh(_ROOT * (x + _CUBIC * x * x * x)))))
    if kind == SILU:
        return np.float32(x / (_ONE + np.float32(math.exp(-x))))
    return x


@device
def slope_of(x: Any, kind: Any) -> Any:
    """The derivative of the activation at one number."""
    if kind == RELU:
        return _ONE if x > np.float32(0) else np.float32(0)
    if kind == GELU:
        bend = np.float32(math.tanh(_ROOT * (x + _CUBIC * x * x * x)))
        inner = np.float32(_ROOT * (_ONE + _THREE * _CUBIC * x * x))
        return np.float32(_HALF * (_ONE + bend) + _HALF * x * (_ONE - bend * bend) * inner)
    if kind == SILU:
        gate_ = np.float32(_ONE / (_ONE + np.float32(math.exp(-x))))
        return np.float32(gate_ * (_ONE + x * (_ONE - gate_)))
    return _ONE


@device
def activate(thread: Any, log: Any, x: Any, bias: Any, y: Any, columns: Any, kind: Any) -> None:
    """``y = f(x + bias)`` with one bias for each column."""
    t = begin(log, thread)
    column, start, count = place_of(thread, columns)
    t = load(log, t, 0, 0, start, 0, count)
    t = load(log, t, 1, 1, column, 0, count)
    t = store(log, t, 2, 2, start, 0, count)
    for i in range(count):
        y[start + i] = value_of(np.float32(x[start + i] + bias[column + i]), kind)


@device
def activate_back(thread: Any, log: Any, x: Any, bias: Any, dy: Any, dx: Any, columns: Any, kind: Any) -> None:
    """``dx = dy f'(x + bias)``."""
    t = begin(log, thread)
    column, start, count = place_of(thread, columns)
    t = load(log, t, 0, 0, start, 0, count)
    t = load(log, t, 1, 1, column, 0, count)
    t = load(log, t, 2, 2, start, 0, count)
    t = store(log, t, 3, 3, start, 0, count)
    for i in range(count):
        dx[start + i] = dy[start + i] * slope_of(np.float32(x[start + i] + bias[column + i]), kind)


@device
def add(thread: Any, log: Any, a: Any, b: Any, c: Any, size: Any, scale: Any) -> None:
    """``c = a + scale * b``."""
    t = begin(log, thread)
    start = thread * 4
    count = min(4, size - start)
    t = load(log, t, 0, 0, start, 0, count)
    t = load(log, t, 1, 1, start, 0, count)
    t = store(log, t, 2, 2, start, 0, count)
    for i in range(count):
        c[start + i] = a[start + i] + scale * b[start + i]


@device
def gate(thread: Any, log: Any, a: Any, b: Any, c: Any, size: Any) -> None:
    """``c = silu(a) * b``, the gate of SwiGLU (Shazeer, 2020)."""
    t = begin(log, thread)
    start = thread * 4
    count = min(4, size - start)
    t = load(log, t, 0, 0, start, 0, count)
    t = load(log, t, 1, 1, start, 0, count)
    t = store(log, t, 2, 2, start, 0, count)
    for i in range(count):
        c[start + i] = value_of(a[start + i], SILU) * b[start + i]


@device
def fill(thread: Any, log: Any, x: Any, size: Any, value: Any) -> None:
    """``x = value``."""
    t = begin(log, thread)
    start = thread * 4
    count = min(4, size - start)
    t = store(log, t, 0, 0, start, 0, count)
    for i in range(count):
        x[start + i] = value


@device
def fill_random(thread: Any, log: Any, x: Any, size: Any, seed: Any, scale: Any) -> None:
    """``x`` uniform in ``-scale`` to ``scale``, by a mixing of the index (Steele and Vigna's SplitMix, 32 bits)."""
    t = begin(log, thread)
    start = thread * 4
    count = min(4, size - start)
    t = store(log, t, 0, 0, start, 0, count)
    for i in range(count):
        z = np.uint32(np.uint32(start + i) * np.uint32(0x9E3779B9) + np.uint32(seed))
        z = np.uint32(np.uint32(z ^ np.uint32(z >> np.uint32(16))) * np.uint32(0x85EBCA6B))
        z = np.uint32(np.uint32(z ^ np.uint32(z >> np.uint32(13))) * np.uint32(0xC2B2AE35))
        z = np.uint32(z ^ np.uint32(z >> np.uint32(16)))
        x[start + i] = scale * (np.float32(np.int64(z >> np.uint32(8)) - 8388608) / np.float32(8388608))
