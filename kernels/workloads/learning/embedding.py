"""Rows of tables: gathering, bags, scattering with atomic additions.

A warp takes neighbours of a row, so that a row is read in whole lines; which row it is comes from memory. Bags
are sums of several rows, as of the categorical features of a recommender (Naumov et al., arXiv 1906.00091).
"""

# ruff: noqa: ANN401, PLR0913, PLR0917  bodies take arrays, and many of them

from __future__ import annotations

from typing import Any

import numpy as np

from hashwarden.kernels.device import atomic_add, device
from hashwarden.kernels.memory.recorder import atomic, begin, load, store
from hashwarden.kernels.workloads.learning.elementwise import place_of

__all__ = ["bag", "bag_back", "copy_run", "gather", "gather_labels", "scatter"]


@device
def gather(thread: Any, log: Any, table: Any, index: Any, y: Any, columns: Any, first: Any) -> None:
    """``y[i] = table[index[first + i]]``, four neighbours a thread."""
    t = begin(log, thread)
    column, start, count = place_of(thread, columns)
    row = (start - column) // columns
    t = load(log, t, 0, 1, first + row)
    source = np.int64(index[first + row]) * columns + column
    t = load(log, t, 1, 0, source, 1, count)
    t = store(log, t, 2, 2, start, 0, count)
    for i in range(count):
        y[start + i] = table[source + i]


@device
def gather_labels(thread: Any, log: Any, table: Any, index: Any, y: Any, first: Any) -> None:
    """``y[i] = table[index[first + i]]`` for single numbers."""
    t = begin(log, thread)
    t = load(log, t, 0, 1, first + thread)
    row = np.int64(index[first + thread])
    t = load(log, t, 1, 0, row, 1)
    t = store(log, t, 2, 2, thread)
    y[thread] = table[row]


@device
def copy_run(thread: Any, log: Any, source: Any, target: Any, first: Any) -> None:
    """``target[i] = source[first + i]``."""
    t = begin(log, thread)
    t = load(log, t, 0, 0, first + thread)
    t = store(log, t, 1, 1, thread)
    target[thread] = source[first + thread]


@device
def scatter(thread: Any, log: Any, dy: Any, index: Any, dtable: Any, columns: Any, first: Any) -> None:
    """``dtable[index[first + i]] += dy[i]``, atomically, one number a thread."""
    t = begin(log, thread)
    row, column = thread // columns, thread % columns
    t = load(log, t, 0, 1, first + row)
    target = np.int64(index[first + row]) * columns + column
    t = load(log, t, 1, 0, thread)
    t = atomic(log, t, 2, 2, target, 1)
    atomic_add(dtable, target, dy[thread])


@device
def bag(thread: Any, log: Any, table: Any, index: Any, y: Any, columns: Any, hot: Any, first: Any) -> None:
    """``y[i] = sum of table[index[first + i * hot + h]]`` over the ``hot`` rows of the bag."""
    t = begin(log, thread)
    row, column = thread // columns, thread % columns
    total = np.float32(0)
    for h in range(hot):
        place = first + row * hot + h
        t = load(log, t, 0, 1, place)
        source = np.int64(index[place]) * columns + column
        t = load(log, t, 1, 0, source, 1)
        total += table[source]
    t = store(log, t, 2, 2, thread)
    y[thread] = total


@device
def bag_back(
    thread: Any, log: Any, dy: Any, index: Any, table: Any, columns: Any, hot: Any, first: Any, rate: Any
) -> None:
    """Gradient descent on the rows of a bag: ``table[...] -= rate * dy``, atomically."""
    t = begin(log, thread)
    row, column = thread // columns, thread % columns
    t = load(log, t, 0, 0, thread)
    change = np.float32(-rate * dy[thread])
    for h in range(hot):
        place = first + row * hot + h
        t = load(log, t, 1, 1, place)
        target = np.int64(index[place]) * columns + column
        t = atomic(log, t, 2, 2, target, 1)
        atomic_add(table, target, change)
