"""Products of all pairs of a sample's vectors: how a recommender lets features meet (Naumov et al., 1906.00091)."""

# ruff: noqa: ANN401, PLR0913, PLR0917  bodies take arrays, and many of them

from __future__ import annotations

from typing import Any

import numpy as np

from hashwarden.kernels.device import device
from hashwarden.kernels.memory.recorder import begin, load, store
from hashwarden.kernels.workloads.learning.program import Program, Tensor

__all__ = ["interaction"]


@device
def read(
    log: Any, t: Any, site: Any, dense: Any, bags: Any, sample: Any, vector: Any, place: Any, tables: Any, size: Any
) -> Any:
    """One number of a sample's vector: 0 is the dense one (argument 0), the others are bags (argument 1)."""
    if vector == 0:
        at = sample * size + place
        t = load(log, t, site, 0, at)
        return t, dense[at]
    at = (sample * tables + vector - 1) * size + place
    t = load(log, t, site + 1, 1, at)
    return t, bags[at]


@device
def interact(thread: Any, log: Any, dense: Any, bags: Any, y: Any, tables: Any, size: Any) -> None:
    """A row of results: the dense vector, then the product of each pair (i, j), j < i."""
    t = begin(log, thread)
    across = size + tables * (tables + 1) // 2
    sample, column = thread // across, thread % across
    total = np.float32(0)
    if column < size:
        t = load(log, t, 0, 0, sample * size + column)
        total = dense[sample * size + column]
    else:
        one, other = 1, column - size
        while other >= one:
            other -= one
            one += 1
        for place in range(size):
            t, a = read(log, t, 1, dense, bags, sample, one, place, tables, size)
            t, b = read(log, t, 3, dense, bags, sample, other, place, tables, size)
            total += a * b
    t = store(log, t, 5, 2, thread)
    y[thread] = total


@device
def interact_back(
    thread: Any, log: Any, dense: Any, bags: Any, dy: Any, ddense: Any, dbags: Any, tables: Any, size: Any
) -> None:
    """Gradient of one number of one vector: the other vectors, weighted by the gradients of their pairs."""
    t = begin(log, thread)
    across = size + tables * (tables + 1) // 2
    place, vector, sample = thread % size, thread // size % (tables + 1), thread // size // (tables + 1)
    total = np.float32(0)
    for other in range(tables + 1):
        high, low = max(vector, other), min(vector, other)
        if other != vector:
            t, value = read(log, t, 0, dense, bags, sample, other, place, tables, size)
            pair = sample * across + size + high * (high - 1) // 2 + low
            t = load(log, t, 2, 2, pair)
            total += value * dy[pair]
    if vector == 0:
        t = load(log, t, 3, 2, sample * across + place)
        total += dy[sample * across + place]
        t = store(log, t, 4, 3, sample * size + place)
        ddense[sample * size + place] = total
    else:
        at = (sample * tables + vector - 1) * size + place
        t = store(log, t, 5, 4, at)
        dbags[at] = total


def interaction(program: Program, dense: Tensor, bags: Tensor) -> Tensor:
    """Rows of the dense vector and all products of pairs; both inputs are used nowhere else."""
    samples, size, tables = dense.rows, dense.columns, bags.rows // dense.rows
    y = program.tensor("met", samples, size + tables * (tables + 1) // 2)
    ops = 2.0 * samples * size * (y.columns - size)
    program.run(interact, y.size, dense.name, bags.name, y.name, tables, size, ops=ops)

    def back() -> None:
        names = (dense.name, bags.name, program.gradient(y), program.gradient(dense), program.gradient(bags))
        program.run(interact_back, samples * (tables + 1) * size, *names, tables, size, ops=2 * ops)

    if program.training:
        program.tape.append(back)
    return y
