"""Kernels that reduce rows: layer and RMS norm with gradient, softmax, cross-entropy; and sums over columns.

A warp takes a row and its lanes stride over the columns, so that the warp reads neighbours. Without warp
shuffles the lanes exchange what they found through memory: a first launch leaves two numbers of each lane, and
a second one reads the 32 pairs of its row. Softmax keeps a running maximum and sum (Milakov and Gimelshein,
arXiv 1805.02867). Layer norm: Ba, Kiros and Hinton, arXiv 1607.06450; RMS norm: Zhang and Sennrich, NeurIPS 2019.
"""

# ruff: noqa: ANN401, PLR0913, PLR0917  bodies take arrays, and many of them

from __future__ import annotations

import math
from typing import Any, Final

import numpy as np

from hashwarden.kernels.device import atomic_add, device
from hashwarden.kernels.memory.recorder import atomic, begin, load, store

__all__ = [
    "COLUMN_CHUNK",
    "cross_entropy",
    "extremes",
    "layer_norm",
    "moments",
    "norm_back",
    "norm_back_columns",
    "norm_back_sums",
    "rms_norm",
    "softmax",
    "sum_columns",
]

COLUMN_CHUNK: Final = 64
"""Rows that one thread of a sum over columns goes through."""

LOWEST: Final = np.float32(-3.0e38)
EPSILON: Final = np.float32(1e-5)
_ZERO: Final = np.float32(0)
_ONE: Final = np.float32(1)


@device
def leave(log: Any, t: Any, site: Any, argument: Any, partial: Any, thread: Any, first: Any, second: Any) -> Any:
    """Leave a lane's two numbers for the other lanes of its row."""
    t = store(log, t, site, argument, thread * 2, 0, 2)
    partial[thread * 2] = first
    partial[thread * 2 + 1] = second
    return t


@device
def pair_sums(log: Any, t: Any, site: Any, argument: Any, partial: Any, row: Any) -> Any:
    """Sums of the two numbers over all lanes of a row."""
    first, second = _ZERO, _ZERO
    for lane in range(0, 32, 2):
        place = (row * 32 + lane) * 2
        t = load(log, t, site, argument, place, 0, 4)
        first += partial[place] + partial[place + 2]
        second += partial[place + 1] + partial[place + 3]
    return t, first, second


@device
def moments(thread: Any, log: Any, x: Any, partial: Any, columns: Any) -> None:
    """Sum and sum of squares of a lane's part of a row."""
    t = begin(log, thread)
    start = (thread // 32) * columns
    total, squares = _ZERO, _ZERO
    for column in range(thread % 32, columns, 32):
        t = load(log, t, 0, 0, start + column)
        value = x[start + column]
        total += value
        squares += value * value
    t = leave(log, t, 1, 1, partial, thread, total, squares)


@device
def layer_norm(
    thread: Any, log: Any, x: Any, gain: Any, shift: Any, partial: Any, y: Any, stats: Any, columns: Any
) -> None:
    """``y = (x - mean) / deviation * gain + shift``; mean and 1 / deviation stay in ``stats`` for the gradient."""
    t = begin(log, thread)
    row, lane = thread // 32, thread % 32
    t, total, squares = pair_sums(log, t, 0, 3, partial, row)
    mean = np.float32(total / np.float32(columns))
    variance = max(np.float32(squares / np.float32(columns) - mean * mean), _ZERO)
    scale = np.float32(_ONE / np.float32(math.sqrt(variance + EPSILON)))
    if lane == 0:
        t = leave(log, t, 1, 5, stats, row, mean, scale)
    for column in range(lane, columns, 32):
        place = row * columns + column
        t = load(log, t, 2, 0, place)
        t = load(log, t, 3, 1, column)
        t = load(log, t, 4, 2, column)
        t = store(log, t, 5, 4, place)
        y[place] = (x[place] - mean) * scale * gain[column] + shift[column]


@device
def rms_norm(thread: Any, log: Any, x: Any, gain: Any, partial: Any, y: Any, columns: Any) -> None:
    """``y = x / root mean square * gain``."""
    t = begin(log, thread)
    row, lane = thread // 32, thread % 32
    t, _, squares = pair_sums(log, t, 0, 2, partial, row)
    scale = np.float32(_ONE / np.float32(math.sqrt(squares / np.float32(columns) + EPSILON)))
    for column in range(lane, columns, 32):
        place = row * columns + column
        t = load(log, t, 1, 0, place)
        t = load(log, t, 2, 1, column)
        t = store(log, t, 3, 3, place)
        y[place] = x[place] * scale * gain[column]


@device
def norm_back_sums(thread: Any, log: Any, x: Any, stats: Any, gain: Any, dy: Any, partial: Any, columns: Any) -> None:
    """Sums of ``dy gain`` and of ``dy gain normalised(x)`` over a lane's part of a row."""
    t = begin(log, thread)
    row = thread // 32
    t = load(log, t, 0, 1, row * 2, 0, 2)
    mean, scale = stats[row * 2], stats[row * 2 + 1]
    plain, along = _ZERO, _ZERO
    for column in range(thread % 32, columns, 32):
        place = row * columns + column
        t = load(log, t, 1, 0, place)
        t = load(log, t, 2, 2, column)
        t = load(log, t, 3, 3, place)
        slope = dy[place] * gain[column]
        plain += slope
        along += slope * (x[place] - mean) * scale
    t = leave(log, t, 4, 4, partial, thread, plain, along)


@device
def norm_back(
    thread: Any, log: Any, x: Any, stats: Any, gain: Any, dy: Any, partial: Any, dx: Any, columns: Any, more: Any
) -> None:
    """Gradient of layer norm's input, added to what is there if ``more``."""
    t = begin(log, thread)
    row = thread // 32
    t, plain, along = pair_sums(log, t, 0, 4, partial, row)
    t = load(log, t, 1, 1, row * 2, 0, 2)
    mean, scale = stats[row * 2], stats[row * 2 + 1]
    plain, along = np.float32(plain / np.float32(columns)), np.float32(along / np.float32(columns))
    for column in range(thread % 32, columns, 32):
        place = row * columns + column
        t = load(log, t, 2, 0, place)
        t = load(log, t, 3, 2, column)
        t = load(log, t, 4, 3, place)
        slope = scale * (dy[place] * gain[column] - plain - (x[place] - mean) * scale * along)
        if more:
            t = load(log, t, 5, 5, place)
            slope += dx[place]
        t = store(log, t, 6, 5, place)
        dx[place] = slope


@device
def norm_back_columns(
    thread: Any, log: Any, x: Any, stats: Any, dy: Any, dgain: Any, dshift: Any, rows: Any, columns: Any
) -> None:
    """Gradients of gain and shift: a thread adds up one column over 64 rows."""
    t = begin(log, thread)
    column, first = thread % columns, (thread // columns) * COLUMN_CHUNK
    gains, shifts = _ZERO, _ZERO
    for row in range(first, min(first + COLUMN_CHUNK, rows)):
        place = row * columns + column
        t = load(log, t, 0, 1, row * 2, 0, 2)
        t = load(log, t, 1, 0, place)
        t = load(log, t, 2, 2, place)
        slope = dy[place]
        gains += slope * (x[place] - stats[row * 2]) * stats[row * 2 + 1]
        shifts += slope
    t = atomic(log, t, 3, 3, column)
    atomic_add(dgain, column, gains)
    t = atomic(log, t, 4, 4, column)
    atomic_add(dshift, column, shifts)


@device
def sum_columns(thread: Any, log: Any, x: Any, sums: Any, rows: Any, columns: Any) -> None:
    """``sums += sum of x over its rows``: a thread adds up one column over 64 rows."""
    t = begin(log, thread)
    column, first = thread % columns, (thread // columns) * COLUMN_CHUNK
    total = _ZERO
    for row in range(first, min(first + COLUMN_CHUNK, rows)):
        t = load(log, t, 0, 0, row * columns + column)
        total += x[row * columns + column]
    t = atomic(log, t, 1, 1, column)
    atomic_add(sums, column, total)


@device
def extremes(thread: Any, log: Any, x: Any, partial: Any, columns: Any) -> None:
    """Maximum of a lane's part of a row, and the sum of the exponentials below it."""
    t = begin(log, thread)
    start = (thread // 32) * columns
    peak, total = LOWEST, _ZERO
    for column in range(thread % 32, columns, 32):
        t = load(log, t, 0, 0, start + column)
        value = x[start + column]
        if value > peak:
            total = np.float32(total * np.float32(math.exp(max(peak - value, np.float32(-80))))) + _ONE
            peak = value
        else:
            total += np.float32(math.exp(value - peak))
    t = leave(log, t, 1, 1, partial, thread, peak, total)


@device
def pair_extremes(log: Any, t: Any, site: Any, argument: Any, partial: Any, row: Any) -> Any:
    """Maximum of a row and sum of the exponentials below it, from all lanes."""
    peak, total = LOWEST, _ZERO
    for lane in range(0, 32, 2):
        t = load(log, t, site, argument, (row * 32 + lane) * 2, 0, 4)
        for place in range((row * 32 + lane) * 2, (row * 32 + lane) * 2 + 4, 2):
            other = partial[place]
            top = max(peak, other)
            old = np.float32(total * np.float32(math.exp(max(peak - top, np.float32(-80)))))
            total = np.float32(old + partial[place + 1] * np.float32(math.exp(max(other - top, np.float32(-80)))))
            peak = top
    return t, peak, total


@device
def softmax(thread: Any, log: Any, x: Any, partial: Any, y: Any, columns: Any) -> None:
    """``y = exp(x - maximum) / sum`` over each row."""
    t = begin(log, thread)
    row = thread // 32
    t, peak, total = pair_extremes(log, t, 0, 1, partial, row)
    for column in range(thread % 32, columns, 32):
        place = row * columns + column
        t = load(log, t, 1, 0, place)
        t = store(log, t, 2, 2, place)
        y[place] = np.float32(math.exp(x[place] - peak)) / total


@device
def cross_entropy(
    thread: Any, log: Any, x: Any, labels: Any, partial: Any, loss: Any, dx: Any, columns: Any, share: Any
) -> None:
    """Loss of each row's logits against its label, and ``share`` times the gradient."""
    t = begin(log, thread)
    row = thread // 32
    t, peak, total = pair_extremes(log, t, 0, 2, partial, row)
    t = load(log, t, 1, 1, row)
    label = labels[row]
    if thread % 32 == 0:
        t = load(log, t, 2, 0, row * columns + label, 1)
        t = store(log, t, 3, 3, row)
        loss[row] = np.float32(math.log(total)) + peak - x[row * columns + label]
    for column in range(thread % 32, columns, 32):
        place = row * columns + column
        t = load(log, t, 4, 0, place)
        t = store(log, t, 5, 4, place)
        part = np.float32(math.exp(x[place] - peak)) / total
        dx[place] = share * (part - _ONE if column == label else part)
