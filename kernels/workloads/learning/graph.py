"""Weighted sums over the neighbours of a node, in compressed sparse rows.

The aggregation of graph convolutions (Kipf and Welling, ICLR 2017): which rows are read comes from memory.
"""

# ruff: noqa: ANN401, PLR0913, PLR0917  bodies take arrays, and many of them

from __future__ import annotations

from typing import Any

import numpy as np

from hashwarden.kernels.device import device, local_array
from hashwarden.kernels.memory.recorder import begin, load, store
from hashwarden.kernels.workloads.learning.elementwise import place_of, quads
from hashwarden.kernels.workloads.learning.program import Program, Tensor

__all__ = ["aggregate", "aggregation"]


@device
def aggregate(thread: Any, log: Any, x: Any, offsets: Any, neighbours: Any, shares: Any, y: Any, columns: Any) -> None:
    """``y[node] = sum of share * x[neighbour]`` over the edges of a node, four neighbours of a row a thread."""
    t = begin(log, thread)
    column, start, count = place_of(thread, columns)
    node = (start - column) // columns
    sums = local_array(4, np.float32)
    for i in range(4):
        sums[i] = 0
    t = load(log, t, 0, 1, node, 0, 2)
    for edge in range(np.int64(offsets[node]), np.int64(offsets[node + 1])):
        t = load(log, t, 1, 2, edge, 1)
        t = load(log, t, 2, 3, edge, 1)
        source, share = np.int64(neighbours[edge]) * columns + column, shares[edge]
        t = load(log, t, 3, 0, source, 2, count)
        for i in range(count):
            sums[i] += share * x[source + i]
    t = store(log, t, 4, 4, start, 0, count)
    for i in range(count):
        y[start + i] = sums[i]


def aggregation(program: Program, x: Tensor, graph: tuple[str, str, str], edges: int) -> Tensor:
    """Aggregate over a symmetric graph, whose gradient is the same sum; ``x`` is used nowhere else."""
    y = program.tensor("aggregated", x.rows, x.columns)
    threads, ops = quads(x.rows, x.columns), 2.0 * edges * x.columns
    program.run(aggregate, threads, x.name, *graph, y.name, x.columns, ops=ops)
    program.moved += 4.0 * edges * x.columns  # a row for each edge

    def back() -> None:
        dy, dx = program.gradient(y), program.gradient(x)
        program.run(aggregate, threads, dy, *graph, dx, x.columns, ops=ops)
        program.moved += 4.0 * edges * x.columns

    if program.training:
        program.tape.append(back)
    return y
