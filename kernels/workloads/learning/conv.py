"""Convolution 3 by 3 and its two gradients as implicit matrix products, pooling, and enlarging.

Images are (batch, height, width, channels); weights are (9 * channels, filters), one slice for each tap. The
product walks over the taps and never builds the matrix of patches (Chetlur et al., cuDNN, arXiv 1410.0759).
Zeros surround an image. The gradient of the weights splits the pixels over threads that add atomically.
"""

# ruff: noqa: ANN401, PLR0913, PLR0917  bodies take arrays, and many of them

from __future__ import annotations

from typing import Any, Final

import numpy as np

from hashwarden.kernels.device import device, local_array
from hashwarden.kernels.memory.recorder import begin, load, store
from hashwarden.kernels.workloads.learning.layers import NONE, biased
from hashwarden.kernels.workloads.learning.program import Program, Tensor
from hashwarden.kernels.workloads.learning.tiles import add_run, clear, corner, fetch, multiply, put, tile_threads

__all__ = ["TAPS", "Shape", "convolution", "enlarge", "pool"]

TAPS: Final = 9
_CHUNK: Final = 256

Shape = tuple[int, int]
"""Height and width."""


@device
def neighbour(pixel: Any, tap: Any, height: Any, width: Any) -> Any:
    """The pixel that a tap looks at, or -1 beyond the edge."""
    row, column = pixel // width % height + tap // 3 - 1, pixel % width + tap % 3 - 1
    if row < 0 or row >= height or column < 0 or column >= width:
        return np.int64(-1)
    return np.int64(pixel + (tap // 3 - 1) * width + tap % 3 - 1)


@device
def take_pixels(
    log: Any, t: Any, x: Any, pixel: Any, pixels: Any, tap: Any, height: Any, width: Any, depth: Any, channels: Any,
    left: Any,
) -> Any:  # fmt: skip
    """Four channels of eight pixels as a tap sees them."""
    for r in range(8):
        seen = neighbour(pixel + r, tap, height, width) if pixel + r < pixels else np.int64(-1)
        t = fetch(log, t, 0, 0, x, seen * channels + depth, channels - depth if seen >= 0 else 0, left, r, 8)
    return t


@device
def conv_forward(
    thread: Any, log: Any, x: Any, w: Any, y: Any, pixels: Any, height: Any, width: Any, channels: Any, filters: Any
) -> None:
    """``y[p, f] = sum over taps and channels of x[neighbour(p), c] w[tap, c, f]``."""
    t = begin(log, thread)
    pixel, column = corner(thread, filters)
    if pixel >= pixels or column >= filters:
        return
    left, right, sums = local_array(32, np.float32), local_array(16, np.float32), local_array(32, np.float32)
    clear(sums, 32)
    for tap in range(TAPS):
        for deep in range(0, channels, 4):
            t = take_pixels(log, t, x, pixel, pixels, tap, height, width, deep, channels, left)
            for d in range(4):
                count = filters - column if deep + d < channels else 0
                t = fetch(log, t, 1, 1, w, (tap * channels + deep + d) * filters + column, count, right, d * 4, 1)
            multiply(left, right, sums)
    for r in range(8):
        if pixel + r < pixels:
            t = put(log, t, 2, 2, y, (pixel + r) * filters + column, filters - column, sums, r * 4, 0)


@device
def conv_back(
    thread: Any, log: Any, dy: Any, w: Any, dx: Any, pixels: Any, height: Any, width: Any, channels: Any,
    filters: Any, more: Any,
) -> None:  # fmt: skip
    """``dx[p, c] = sum over taps and filters of dy[neighbour(p), f] w[8 - tap, c, f]``."""
    t = begin(log, thread)
    pixel, column = corner(thread, channels)
    if pixel >= pixels or column >= channels:
        return
    left, right, sums = local_array(32, np.float32), local_array(16, np.float32), local_array(32, np.float32)
    clear(sums, 32)
    for tap in range(TAPS):
        for deep in range(0, filters, 4):
            t = take_pixels(log, t, dy, pixel, pixels, tap, height, width, deep, filters, left)
            for d in range(4):
                count = filters - deep if column + d < channels else 0
                start = ((TAPS - 1 - tap) * channels + column + d) * filters + deep
                t = fetch(log, t, 1, 1, w, start, count, right, d, 4)
            multiply(left, right, sums)
    for r in range(8):
        if pixel + r < pixels:
            t = put(log, t, 2, 2, dx, (pixel + r) * channels + column, channels - column, sums, r * 4, more)


@device
def conv_weights(
    thread: Any, log: Any, x: Any, dy: Any, dw: Any, pixels: Any, height: Any, width: Any, channels: Any, filters: Any
) -> None:
    """``dw[tap, c, f] += sum of x[neighbour(p), c] dy[p, f]`` over a chunk of pixels, atomically."""
    t = begin(log, thread)
    tiles = ((channels + 31) // 32) * ((filters + 31) // 32) * 32
    row, column = corner(thread % tiles, filters)
    tap, first = thread // tiles % TAPS, thread // tiles // TAPS * _CHUNK
    if row >= channels or column >= filters:
        return
    left, right, sums = local_array(32, np.float32), local_array(16, np.float32), local_array(32, np.float32)
    clear(sums, 32)
    last = min(first + _CHUNK, pixels)
    for pixel in range(first, last, 4):
        for d in range(4):
            there = pixel + d < last
            seen = neighbour(pixel + d, tap, height, width) if there else np.int64(-1)
            count = channels - row if seen >= 0 else 0
            t = fetch(log, t, 0, 0, x, seen * channels + row, count, left, d * 8, 1)
            t = fetch(log, t, 1, 0, x, seen * channels + row + 4, count - 4, left, d * 8 + 4, 1)
            t = fetch(
                log, t, 2, 1, dy, (pixel + d) * filters + column, filters - column if there else 0, right, d * 4, 1
            )
        multiply(left, right, sums)
    for r in range(8):
        if row + r < channels:
            t = add_run(log, t, 3, 2, dw, (tap * channels + row + r) * filters + column, filters - column, sums, r * 4)


@device
def pool_mean(thread: Any, log: Any, x: Any, y: Any, width: Any, channels: Any, factor: Any) -> None:
    """``factor * sum`` of two by two pixels; the width is that of the small image."""
    t = begin(log, thread)
    channel, pixel = thread % channels, thread // channels
    corner_ = (pixel // width * 2) * (width * 2) + pixel % width * 2
    total = np.float32(0)
    for part in range(4):
        place = (corner_ + part // 2 * (width * 2) + part % 2) * channels + channel
        t = load(log, t, 0, 0, place)
        total += x[place]
    t = store(log, t, 1, 1, thread)
    y[thread] = factor * total


@device
def spread(thread: Any, log: Any, x: Any, y: Any, width: Any, channels: Any, factor: Any, more: Any) -> None:
    """``factor * x`` at two by two pixels, added to what is there if ``more``; the width is that of the large image."""
    t = begin(log, thread)
    channel, pixel = thread % channels, thread // channels
    place = (pixel // width // 2 * (width // 2) + pixel % width // 2) * channels + channel
    t = load(log, t, 0, 0, place)
    value = np.float32(factor * x[place])
    if more:
        t = load(log, t, 1, 1, thread)
        value += y[thread]
    t = store(log, t, 2, 1, thread)
    y[thread] = value


def convolution(program: Program, x: Tensor, name: str, shape: Shape, filters: int, kind: int = NONE) -> Tensor:
    """A convolution with bias and activation; ``x`` is (pixels, channels), ``shape`` an image's height and width."""
    weight = program.weight(f"{name}.w", TAPS * x.columns, filters)
    bias = program.weight(f"{name}.b", 1, filters, scale=0.1)
    y = program.tensor("convolved", x.rows, filters)
    sizes = (x.rows, *shape, x.columns, filters)
    ops = 2.0 * x.rows * TAPS * x.columns * filters
    program.run(conv_forward, tile_threads(x.rows, filters), x.name, weight.name, y.name, *sizes, ops=ops)

    def back() -> None:
        dy = program.gradient(y)
        if program.wants_gradient(x):
            more = program.writes(x)
            threads = tile_threads(x.rows, x.columns)
            program.run(conv_back, threads, dy, weight.name, program.gradient(x), *sizes, int(more), ops=ops)
        if not program.writes(weight):
            program.zero(program.gradient(weight), weight.size)
        threads = tile_threads(x.columns, filters) * TAPS * -(-x.rows // _CHUNK)
        program.run(conv_weights, threads, x.name, dy, program.gradient(weight), *sizes, ops=ops)

    if program.training:
        program.tape.append(back)
    return biased(program, y, bias, kind)


def pool(program: Program, x: Tensor, shape: Shape) -> Tensor:
    """Means of two by two pixels; ``shape`` is even."""
    width = shape[1]
    y = program.tensor("pooled", x.rows // 4, x.columns)
    sizes = (width // 2, x.columns, 0.25)
    program.run(pool_mean, y.size, x.name, y.name, *sizes, ops=float(x.size))

    def back() -> None:
        more = program.writes(x)
        names = (program.gradient(y), program.gradient(x))
        program.run(spread, x.size, *names, width, x.columns, 0.25, int(more), ops=float(x.size))

    if program.training:
        program.tape.append(back)
    return y


def enlarge(program: Program, x: Tensor, shape: Shape) -> Tensor:
    """Each pixel four times; ``shape`` is that of the small image."""
    width = shape[1]
    y = program.tensor("enlarged", x.rows * 4, x.columns)
    program.run(spread, y.size, x.name, y.name, 2 * width, x.columns, 1.0, 0)

    def back() -> None:
        if program.writes(x):
            message = "the result of an enlarged image's input is used once"
            raise NotImplementedError(message)
        program.run(pool_mean, x.size, program.gradient(y), program.gradient(x), width, x.columns, 1.0)

    if program.training:
        program.tape.append(back)
    return y
