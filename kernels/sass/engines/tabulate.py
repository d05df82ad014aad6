"""From keys per instruction to counts per kernel, by sorting: for engines that work in arrays.

Written once against the array interface that NumPy and CuPy share, so that the counting of the CUDA
engines happens where their keys are.
"""

# ruff: noqa: ANN401  arrays of numpy or of cupy, which has no types

from __future__ import annotations

from typing import Any

import numpy as np

from hashwarden.kernels.sass.batch import Counts
from hashwarden.kernels.sass.constants import PRIMITIVES, constant_table
from hashwarden.kernels.sass.engines.core import NOBODY

__all__ = ["tabulate"]

_COLUMNS = {"op": 0, "lut": 1, "mem": 4}


def tabulate(xp: Any, keys: Any, starts: Any, scalars: Any) -> Counts:
    """Count keys.

    Parameters
    ----------
    xp : module
        numpy or cupy.
    keys : int32 array of ``xp``, shape (8, instructions)
        As `core` writes them; -1 where an instruction has none, also behind the end of a kernel.
    starts : int64 array of numpy, shape (kernels + 1,)
        The instructions of each kernel.
    scalars : int64 array of ``xp``, shape (kernels, 6)
        Passed through.
    """
    kernels = len(starts) - 1
    lengths = [int(length) for length in np.diff(starts)]
    owner = xp.asarray(np.repeat(np.arange(kernels, dtype=np.int64), lengths))
    nested = {name: _count(xp, keys[column], owner, kernels) for name, column in _COLUMNS.items()}
    nested["flow"] = _flow(xp, keys[5:8], owner, kernels)
    nested["const_code"] = _constants(xp, keys[3], owner, kernels)
    shifts = _dense(xp, keys[2], owner, kernels, 10)
    order = ("op", "lut", "mem", "flow", "const_code")
    host = {}
    for name in order:
        offsets, found, counts = nested[name]
        host[name] = (_to_host(offsets), _to_host(found), _to_host(counts))
    return Counts(_to_host(scalars), shifts[:, :5].copy(), shifts[:, 5:].copy(), host)


def _to_host(array: Any) -> np.ndarray[Any, np.dtype[np.int64]]:
    return np.asarray(array.get() if hasattr(array, "get") else array, np.int64)


def _count(xp: Any, keys: Any, owner: Any, kernels: int) -> tuple[Any, Any, Any]:
    """Distinct keys of each kernel and how often each occurs."""
    there = keys >= 0
    joined, counts = xp.unique(owner[there] << 32 | keys[there].astype(np.int64), return_counts=True)
    return _offsets(xp, joined >> 32, kernels), joined & 0xFFFFFFFF, counts


def _offsets(xp: Any, owner: Any, kernels: int) -> Any:
    return xp.searchsorted(owner, xp.arange(kernels + 1, dtype=np.int64))


def _flow(xp: Any, keys: Any, owner: Any, kernels: int) -> tuple[Any, Any, Any]:
    """Pairs with the counts inner and n: keys with and without the inner bit are one pair."""
    keys = xp.where(keys >= NOBODY * 1024, -1, keys).ravel()
    offsets, found, counts = _count(xp, keys, xp.concatenate([owner] * 3), kernels)
    kernel = xp.repeat(xp.arange(kernels), [int(length) for length in xp.diff(offsets)])
    pairs, place = xp.unique(kernel << 32 | found >> 1, return_inverse=True)
    numbers = xp.zeros((len(pairs), 2), np.int64)
    inner = (found & 1).astype(bool)
    numbers[place[inner], 0] = counts[inner]
    numbers[:, 1] = numbers[:, 0]
    plain = xp.zeros(len(pairs), np.int64)
    plain[place[~inner]] = counts[~inner]
    numbers[:, 1] += plain
    return _offsets(xp, pairs >> 32, kernels), pairs & 0xFFFFFFFF, numbers


def _constants(xp: Any, keys: Any, owner: Any, kernels: int) -> tuple[Any, Any, Any]:
    """Distinct constants of each kernel, by primitive."""
    offsets, found, _ = _count(xp, keys, owner, kernels)
    kernel = xp.repeat(xp.arange(kernels), [int(length) for length in xp.diff(offsets)])
    members = xp.asarray(constant_table()[1].astype(np.int64))[found]
    sums = xp.zeros((kernels, len(PRIMITIVES)), np.int64)
    for primitive in range(len(PRIMITIVES)):
        sums[:, primitive] = xp.bincount(kernel[(members >> primitive & 1).astype(bool)], minlength=kernels)
    kernel, primitive = xp.nonzero(sums)
    return _offsets(xp, kernel, kernels), primitive, sums[kernel, primitive]


def _dense(xp: Any, keys: Any, owner: Any, kernels: int, size: int) -> Any:
    there = keys >= 0
    counts = xp.bincount(owner[there] * size + keys[there], minlength=kernels * size)
    return _to_host(counts).reshape(kernels, size)
