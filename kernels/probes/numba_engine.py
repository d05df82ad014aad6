"""The reductions of a round in Numba: on the CPU, on a GPU, and in Numba's simulator.

Each body is one thread's part of a launch, as hashwarden.kernels.device describes; reference.py is the definition.
"""

# ruff: noqa: ANN401, ARG001, PLR0913, PLR0917  compiled code takes arrays and numbers of any type

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any, Final

import numba.cuda
import numpy as np
from numpy.typing import NDArray

from hashwarden.kernels.device import atomic_add, device, grid_kernels
from hashwarden.kernels.probes.reference import BINS, NOTHING, TOTALS

cuda: Any = numba.cuda

__all__ = [
    "Launcher",
    "count_samples",
    "gap_totals",
    "pick_quantiles",
    "row_quantiles",
    "run_on_cpu",
    "run_on_gpu",
    "sum_gaps",
]

Launcher = Callable[[Any, int, tuple[Any, ...]], None]
"""``launch(body, threads, arguments)`` runs a body; the arrays are changed in place."""

_EXACT: Final = 128
_BLOCK: Final = 64


@device
def _bin(value: Any) -> Any:
    shift = 0
    while np.int64(value) >> shift >= _EXACT:
        shift += 1
    return np.int64(shift * 64 + (np.int64(value) >> shift))


@device
def count_samples(thread: Any, log: Any, samples: Any, counts: Any, histogram: Any) -> Any:
    """Count one place of one row; ``histogram`` is zero at first."""
    row, place = thread // samples.shape[1], thread % samples.shape[1]
    if place < np.int64(counts[row]):
        atomic_add(histogram, (row, _bin(samples[row, place])), np.uint32(1))


@device
def pick_quantiles(thread: Any, log: Any, counts: Any, histogram: Any, permilles: Any, values: Any) -> Any:
    """Find one quantile of one row."""
    row, q = thread // permilles.size, thread % permilles.size
    count = np.int64(counts[row])
    if count == 0:
        values[row, q] = np.uint32(NOTHING)
        return
    rank: Any = max((count * np.int64(permilles[q]) + 999) // 1000, 1)
    found, below = 0, np.int64(histogram[row, 0])
    while below < rank:
        found += 1
        below += np.int64(histogram[row, found])
    shift = max(found // 64 - 1, 0)
    values[row, q] = np.uint32((found - shift * 64) << shift)


@device
def sum_gaps(thread: Any, log: Any, lengths: Any, counts: Any, spans: Any, totals: Any, row: Any) -> Any:
    """Sum up all blocks, in one thread."""
    stored, capacity = 0, lengths.shape[1]
    for block in range(counts.size):
        totals[0] += np.uint64(counts[block])
        totals[4] += np.uint64(spans[block, 1] - spans[block, 0])
        for i in range(min(np.int64(counts[block]), capacity)):
            length = np.uint64(lengths[block, i])
            row[stored] = np.uint32(min(length, np.uint64(NOTHING)))
            stored += 1
            totals[2] += length
            totals[3] = max(np.uint64(totals[3]), length)
    totals[1] = np.uint64(stored)


def row_quantiles(
    samples: NDArray[np.uint32], counts: NDArray[np.uint32], permilles: NDArray[np.uint32], launch: Launcher
) -> NDArray[np.uint32]:
    """Quantiles of each row; see the reference."""
    histogram = np.zeros((len(counts), BINS), np.uint32)
    values = np.zeros((len(counts), len(permilles)), np.uint32)
    if samples.size:
        launch(count_samples, samples.size, (samples, counts, histogram))
    launch(pick_quantiles, values.size, (counts, histogram, permilles, values))
    return values


def gap_totals(
    lengths: NDArray[np.uint64], counts: NDArray[np.uint32], spans: NDArray[np.uint64], launch: Launcher
) -> tuple[NDArray[np.uint64], NDArray[np.uint32]]:
    """Totals of the gap watch; see the reference."""
    totals, row = np.zeros(len(TOTALS), np.uint64), np.zeros(max(lengths.size, 1), np.uint32)
    launch(sum_gaps, 1, (lengths, counts, spans, totals, row))
    return totals, row[: int(totals[1])]


@device
def _unrecorded(log: Any, thread: Any) -> Any:
    """Record no thread: the reductions are not what is studied."""
    return -1


@cache
def _for_cpu(body: Any) -> Any:
    return device(grid_kernels(body, _unrecorded).host)


@cache
def _for_gpu(body: Any) -> Any:
    return cuda.jit(grid_kernels(body, _unrecorded).plain)


def run_on_cpu(body: Any, threads: int, arguments: tuple[Any, ...]) -> None:
    """Run a body on the CPU, one thread after the other."""
    _for_cpu(body)(threads, None, arguments)


def run_on_gpu(body: Any, threads: int, arguments: tuple[Any, ...]) -> None:
    """Run a body on a GPU, or in the simulator; the arrays are copied there and back."""
    there = tuple(cuda.to_device(array) for array in arguments)
    _for_gpu(body)[-(-threads // _BLOCK), _BLOCK](threads, there)
    for array, copy in zip(arguments, there, strict=True):
        copy.copy_to_host(array)
