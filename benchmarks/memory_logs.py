"""Address logs whose patterns are known, for the benchmark and the picture of memory patterns."""

from __future__ import annotations

from typing import Any

import numpy as np

from hashwarden.kernels.memory.log import AddressLog, Sampling

__all__ = ["gather", "gemm", "log_of", "stream"]

FIRST = 1 << 40


def log_of(address: Any, **columns: Any) -> AddressLog:
    """Accesses of shape (steps, threads); other columns have that shape too, or are broadcast to it."""
    address = np.asarray(address, np.int64)
    order, thread = np.indices(address.shape)
    given = {"site": 0, "kind": 0, "width": 4, "depth": 0, "launch": 0, "thread": thread, "order": order, **columns}
    full = {name: np.broadcast_to(np.asarray(c, np.int64), address.shape).ravel() for name, c in given.items()}
    return AddressLog(address=FIRST + address.ravel(), **full, sampling=Sampling(), lost=0)


def stream(threads: int = 4096, steps: int = 32) -> AddressLog:
    """Each thread reads its word, and goes on behind those of all others."""
    return log_of((np.arange(steps)[:, None] * threads + np.arange(threads)) * 4)


def gemm(size: int = 128, tile: int = 8) -> AddressLog:
    """C = A B of float32, a thread for each element, threads in tiles: rows of A, columns of B, then C."""
    y, x = (index.ravel() for index in np.indices((size, size)))
    order = np.lexsort((x % tile, y % tile, x // tile, y // tile))
    y, x, k = y[order], x[order], np.arange(size)[:, None]
    a, b = (y * size + k) * 4, (1 << 21) + (k * size + x) * 4
    loads = np.stack([a, b], 1).reshape(2 * size, -1)
    site = np.append(np.tile([0, 1], size), 2)[:, None]
    return log_of(np.vstack([loads, (2 << 21) + (y * size + x)[None] * 4]), site=site, kind=site == 2)


def gather(threads: int = 4096, steps: int = 64, entries: int = 1 << 22, seed: int = 0) -> AddressLog:
    """Each thread reads words of a table at random, the next address made from the last word."""
    address = np.random.default_rng(seed).integers(0, entries, (steps, threads)) * 4
    return log_of(address, depth=np.arange(steps)[:, None])
