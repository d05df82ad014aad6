"""Layers of networks as launches: linear, activation, norm, sums, gathering of batches, losses."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np

from hashwarden.kernels.workloads.learning import elementwise, rows
from hashwarden.kernels.workloads.learning.elementwise import GELU, NONE, RELU, SILU, quads
from hashwarden.kernels.workloads.learning.gemm import gemm, gemm_nn, gemm_nt, gemm_tn
from hashwarden.kernels.workloads.learning.program import Program, Tensor

__all__ = [
    "GELU",
    "NONE",
    "RELU",
    "SILU",
    "add",
    "biased",
    "cross_entropy",
    "layer_norm",
    "linear",
    "product",
    "rms_norm",
    "softmax",
]

_OPS: Final = {NONE: 1.0, RELU: 2.0, GELU: 12.0, SILU: 5.0}
"""Floating-point operations of an activation, bias included; special functions count as one."""


def product(program: Program, x: Tensor, weight: Tensor) -> Tensor:
    """``x`` times a weight of shape (inputs, outputs)."""
    m, n, k = x.rows, weight.columns, x.columns
    y = program.tensor("product", m, n)
    ops = 2.0 * m * n * k
    program.launch(gemm(gemm_nn, (x.name, weight.name, y.name), m, n, k), ops)

    def back() -> None:
        dy = program.gradient(y)
        if program.wants_gradient(x):
            more = program.writes(x)
            program.launch(gemm(gemm_nt, (dy, weight.name, program.gradient(x)), m, k, n, more), ops)
        more = program.writes(weight)
        program.launch(gemm(gemm_tn, (x.name, dy, program.gradient(weight)), k, n, m, more), ops)

    _record(program, back)
    return y


def biased(program: Program, x: Tensor, bias: Tensor, kind: int = NONE) -> Tensor:
    """``f(x + bias)``; ``x`` is used nowhere else."""
    y = program.tensor("active", x.rows, x.columns)
    threads, ops = quads(x.rows, x.columns), _OPS[kind] * x.size
    program.run(elementwise.activate, threads, x.name, bias.name, y.name, x.columns, kind, ops=ops)

    def back() -> None:
        if kind == NONE:
            program.share_gradient(x, y)
        else:
            names = (x.name, bias.name, program.gradient(y), program.gradient(x))
            program.run(elementwise.activate_back, threads, *names, x.columns, kind, ops=2 * ops)
        column_sums(program, x, bias)

    _record(program, back)
    return y


def column_sums(program: Program, x: Tensor, bias: Tensor) -> None:
    """Gradient of what was added to every row of ``x``."""
    gradient = program.gradient(bias)
    if not program.writes(bias):
        program.zero(gradient, bias.size)
    threads = x.columns * -(-x.rows // rows.COLUMN_CHUNK)
    program.run(rows.sum_columns, threads, program.gradient(x), gradient, x.rows, x.columns, ops=float(x.size))


def linear(program: Program, x: Tensor, name: str, width: int, kind: int = NONE) -> Tensor:
    """A linear layer with bias and activation; its parameters are ``name.w`` and ``name.b``."""
    weight = program.weight(f"{name}.w", x.columns, width)
    bias = program.weight(f"{name}.b", 1, width, scale=0.1)
    return biased(program, product(program, x, weight), bias, kind)


def layer_norm(program: Program, x: Tensor, name: str) -> Tensor:
    """Layer norm with parameters ``name.g`` and ``name.s``."""
    gain = program.weight(f"{name}.g", 1, x.columns, scale=0.1, centre=1.0)
    shift = program.weight(f"{name}.s", 1, x.columns, scale=0.1)
    partial, stats = program.scratch("partial", x.rows * 64), program.scratch("stats", x.rows * 2)
    y = program.tensor("norm", x.rows, x.columns)
    program.run(rows.moments, x.rows * 32, x.name, partial, x.columns, ops=3.0 * x.size)
    names = (x.name, gain.name, shift.name, partial, y.name, stats)
    program.run(rows.layer_norm, x.rows * 32, *names, x.columns, ops=4.0 * x.size)

    def back() -> None:
        dy = program.gradient(y)
        start = (x.name, stats, gain.name, dy, partial)
        program.run(rows.norm_back_sums, x.rows * 32, *start, x.columns, ops=6.0 * x.size)
        more = program.writes(x)
        program.run(rows.norm_back, x.rows * 32, *start, program.gradient(x), x.columns, int(more), ops=8.0 * x.size)
        sums = (program.gradient(gain), program.gradient(shift))
        for name_, tensor in zip(sums, (gain, shift), strict=True):
            if not program.writes(tensor):
                program.zero(name_, x.columns)
        threads = x.columns * -(-x.rows // rows.COLUMN_CHUNK)
        program.run(rows.norm_back_columns, threads, x.name, stats, dy, *sums, x.rows, x.columns, ops=5.0 * x.size)

    _record(program, back)
    return y


def rms_norm(program: Program, x: Tensor, name: str) -> Tensor:
    """RMS norm with parameter ``name.g``; inference only."""
    gain = program.weight(f"{name}.g", 1, x.columns, scale=0.1, centre=1.0)
    partial = program.scratch("partial", x.rows * 64)
    y = program.tensor("norm", x.rows, x.columns)
    program.run(rows.moments, x.rows * 32, x.name, partial, x.columns, ops=3.0 * x.size)
    program.run(rows.rms_norm, x.rows * 32, x.name, gain.name, partial, y.name, x.columns, ops=2.0 * x.size)
    return y


def add(program: Program, a: Tensor, b: Tensor, scale: float = 1.0) -> Tensor:
    """``a + scale * b``."""
    c = program.tensor("sum", a.rows, a.columns)
    program.run(elementwise.add, -(-a.size // 4), a.name, b.name, c.name, a.size, scale, ops=2.0 * a.size)

    def back() -> None:
        for source, factor in ((b, scale), (a, 1.0)):
            if program.wants_gradient(source):
                pass_on(program, c, source, factor)

    _record(program, back)
    return c


def pass_on(program: Program, result: Tensor, source: Tensor, factor: float = 1.0) -> None:
    """Add ``factor`` times the gradient of ``result`` to that of ``source``."""
    target = program.gradient(source)
    if not program.writes(source):
        program.zero(target, source.size)
    names = (target, program.gradient(result), target)
    program.run(elementwise.add, -(-source.size // 4), *names, source.size, factor, ops=2.0 * source.size)


def softmax(program: Program, x: Tensor) -> Tensor:
    """Softmax of each row; inference only."""
    partial = program.scratch("partial", x.rows * 64)
    y = program.tensor("shares", x.rows, x.columns)
    program.run(rows.extremes, x.rows * 32, x.name, partial, x.columns, ops=3.0 * x.size)
    program.run(rows.softmax, x.rows * 32, x.name, partial, y.name, x.columns, ops=3.0 * x.size)
    return y


def cross_entropy(program: Program, logits: Tensor, labels: str) -> str:
    """Mean cross-entropy against int32 labels; returns the array of each row's loss."""
    count, columns = logits.rows, logits.columns
    partial = program.scratch("partial", count * 64)
    program.run(rows.extremes, count * 32, logits.name, partial, columns, ops=3.0 * logits.size)
    loss = program.scratch("loss", count)
    names = (logits.name, labels, partial, loss, program.gradient(logits))
    program.run(rows.cross_entropy, count * 32, *names, columns, np.float32(1 / count), ops=5.0 * logits.size)
    return loss


def _record(program: Program, back: Callable[[], None]) -> None:
    if program.training:
        program.tape.append(back)
