"""What all engines agree on before they count: valid logs, the first page, how many lines are sampled."""

from __future__ import annotations

from typing import Final

import numpy as np

from hashwarden.errors import DataError
from hashwarden.kernels.memory.log import AddressLog, Sampling
from hashwarden.kernels.memory.patterns_cells import PAGE
from hashwarden.kernels.memory.patterns_counts import IntArray

__all__ = ["base_of", "require_single", "require_valid", "scale_of", "threshold_of"]

_LIMITS: Final = {
    "address": (0, 1 << 62),
    "thread": (0, 1 << 31),
    "order": (0, 1 << 32),
    "launch": (0, 1 << 15),
    "depth": (0, 1 << 16),
    "site": (0, 1 << 16),
    "width": (1, 1 << 14),
    "kind": (0, 3),
}


def require_valid(log: AddressLog) -> None:
    """Make sure that a log holds what the recorder can write.

    Raises
    ------
    DataError
        If columns differ in length, or a value is out of its range.
    """
    for name, (low, high) in _LIMITS.items():
        column = getattr(log, name)
        if len(column) != len(log):
            raise DataError(f"{len(column):,} values of {name}", f"{len(log):,}, as of address", _REMEDY)
        if len(log) and not (low <= column.min() and column.max() < high):
            found = f"{name} from {column.min()} to {column.max()}"
            raise DataError(found, f"{low} to {high - 1}", _REMEDY)


def require_single(twins: int) -> None:
    """Make sure that no thread made two accesses at once.

    Raises
    ------
    DataError
        If ``twins`` is not 0.
    """
    if twins:
        found = f"{twins:,} accesses with the launch, thread and order of another"
        raise DataError(found, "one access of a thread at a time", _REMEDY)


def base_of(log: AddressLog) -> int:
    """The 2 MiB page that addresses are counted from."""
    return int(log.address.min()) // PAGE * PAGE


def scale_of(sampling: Sampling) -> int:
    """By how much a distance among the kept lines is too small."""
    return sampling.every_access if sampling.by_line else 1


def threshold_of(buckets: IntArray, most: int) -> tuple[int, int]:
    """How many buckets, from the first on, hold at most ``most`` lines, but at least one; and how many they hold."""
    held = np.cumsum(buckets)
    threshold = max(int(np.searchsorted(held, most, side="right")), int(np.searchsorted(held, 1)) + 1)
    return threshold, int(held[threshold - 1])


_REMEDY: Final = "Take the log from a Recorder, and put two runs into two logs."
