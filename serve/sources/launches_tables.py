"""The tables that the probes fill, as arrays; their layout is that of the structs in ``launches_probes.c``."""

from __future__ import annotations

import struct
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cache
from typing import Any, Final, final

import numpy as np
import numpy.typing as npt

from hashwarden.serve.sources.launches_bpf import ARRAY, HASH, LRU_HASH, RING, Map

__all__ = ["GAP_NS", "MOST_FUNCTIONS", "RING_BYTES", "Lost", "Rows", "Tables"]

MOST_FUNCTIONS: Final = 16_384
"""Functions of all processes that one burst keeps apart."""

RING_BYTES: Final = 1 << 22
"""Look-ups that wait to be read: 24,966 of names of 120 characters, which take 168 bytes each."""

GAP_NS: Final = 32
"""Unit of the gaps."""

_PROCESSES: Final = 8192
_LOADERS: Final = 2048
"""Processes between two looks, of which there are two a second; the larger the table, the longer each look takes."""

_CALLS: Final = 8192
_U32: Final = bytes(4)

_FUNCTION: Final = np.dtype([("pid", "<u4"), ("zero", "<u4"), ("handle", "<u8")])
_LAUNCH: Final = np.dtype([(n, "<u8") for n in ("count", "threads", "first", "last", "gaps", "squares", "library")])
_LOAD: Final = np.dtype([(name, "<u8") for name in ("count", "names", "first", "last")])
_BURST: Final = np.dtype([(name, "<u8") for name in ("graphs", "dropped", "functions", "first", "library")])
_PID: Final = np.dtype([("pid", "<u4")])

Rows = npt.NDArray[Any]
"""Records: keys and values side by side."""


@final
@dataclass(frozen=True, slots=True)
class Lost:
    """What the probes could not keep, since they were opened.

    Attributes
    ----------
    loads, bursts : int
        Calls of processes for which there was no room.
    look_ups : int
        Names that found no room in the ring, or came from a process that looks up too much.
    unreadable : int
        Names and sizes that could not be read from the caller's memory.
    """

    loads: int = 0
    bursts: int = 0
    look_ups: int = 0
    unreadable: int = 0


@cache
def _none(key: np.dtype[Any], value: np.dtype[Any]) -> Rows:
    return np.zeros(0, [*key.descr, *value.descr])


@final
class Tables:
    """All maps; sizes are fixed, so that no process can make them grow (8.0 MiB of the kernel's memory in all)."""

    def __init__(self) -> None:
        self.maps: dict[str, Map] = {}
        sizes = {
            "control": (ARRAY, 4, 8, 1),
            "lost": (ARRAY, 4, 8, 4),
            "calls": (LRU_HASH, 8, 24, _CALLS),
            "launches": (HASH, _FUNCTION.itemsize, _LAUNCH.itemsize, MOST_FUNCTIONS),
            "loads": (HASH, 4, _LOAD.itemsize, _LOADERS),
            "bursts": (HASH, 4, _BURST.itemsize, _PROCESSES),
            "ring": (RING, 0, 0, RING_BYTES),
        }
        with ExitStack() as stack:
            for name, size in sizes.items():
                self.maps[name] = made = Map(*size)
                stack.callback(made.close)
            self._cleanup = stack.pop_all()

    def counting(self, on: bool) -> None:
        """Let launches count, or not."""
        self.maps["control"].put(_U32, struct.pack("<Q", on))

    def take_launches(self) -> Rows:
        """Since it was last asked, by process and function: pid, handle, count, threads, first, last, gaps, squares."""
        return self._take("launches", _FUNCTION, _LAUNCH)

    def take_loads(self) -> Rows:
        """Loads by process since it was last asked: pid, count, names, first, last."""
        return self._take("loads", _PID, _LOAD)

    def take_bursts(self) -> Rows:
        """By process since it was last asked: pid, graphs, dropped, functions, first."""
        return self._take("bursts", _PID, _BURST)

    def lost(self) -> Lost:
        """What was not kept."""
        return Lost(
            *(struct.unpack("<Q", self.maps["lost"].get(struct.pack("<I", i)) or bytes(8))[0] for i in range(4))
        )

    def close(self) -> None:
        """Give the maps back; programs that still run keep them."""
        self._cleanup.close()

    def _take(self, name: str, key: np.dtype[Any], value: np.dtype[Any]) -> Rows:
        keys, values = self.maps[name].take()
        if not keys:  # most looks, of which there are two a second
            return _none(key, value)
        left, right = np.frombuffer(keys, key), np.frombuffer(values, value)
        rows = np.zeros(len(left), [*key.descr, *value.descr])
        for part in (left, right):
            for column in part.dtype.names or ():
                rows[column] = part[column]
        return rows
