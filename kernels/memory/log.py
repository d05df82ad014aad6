"""The host side of the address log: sampling, the ring, and the log as columns."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Final, final

import numpy as np
from numpy.typing import NDArray

from hashwarden.errors import UsageError
from hashwarden.kernels.memory import recorder
from hashwarden.kernels.memory.recorder import CONTROL_WORDS, CURSOR, ENTRY_WORDS, LAUNCH, TAIL, LogArrays

__all__ = ["LIVE", "AddressLog", "Recorder", "Sampling", "layout"]

_PAGE: Final = 2 << 20
_FIRST: Final = 1 << 40
_COLUMNS: Final = ("address", "thread", "order", "launch", "depth", "site", "width", "kind")


@dataclass(frozen=True, slots=True)
class Sampling:
    """Which accesses are kept.

    Attributes
    ----------
    every_warp : int
        One warp in so many, chosen by its number; at least 1.
    every_access : int
        One access in so many of the kept warps; at least 1.
    by_line : bool
        Keep one 128-byte line in ``every_access`` and every access to it, instead of whole requests.
    seed : int
        Another seed keeps others; 0 to 2**31 - 1.
    """

    every_warp: int = 1
    every_access: int = 1
    by_line: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        for name, low, high in (("every_warp", 1, 2**31), ("every_access", 1, 2**31), ("seed", 0, 2**31 - 1)):
            value = getattr(self, name)
            if not low <= value <= high:
                raise UsageError(f"{name} = {value}", f"{low} to {high}", "Choose a value in this range.")


LIVE: Final = Sampling(every_warp=512)
"""The default for workloads that run at speed: whole requests of one warp in 512."""


@dataclass(frozen=True, slots=True)
class AddressLog:
    """Memory accesses of sampled warps, one row for each access of each lane.

    Attributes
    ----------
    address : int64, shape (N,)
        First byte. Arrays lie apart in an address space of the log's own (see `layout`), so that the
        log of one workload is the same on every engine.
    thread : int64, shape (N,)
        Thread in its launch; ``thread // 32`` is its warp.
    order : int64, shape (N,)
        How many accesses the thread had made before, kept or not.
    launch : int64, shape (N,)
        Number of the launch, from 0.
    depth : int64, shape (N,)
        Loads that had to return before the address was known.
    site : int64, shape (N,)
        Place in the body's text.
    width : int64, shape (N,)
        Bytes.
    kind : int64, shape (N,)
        `recorder.LOAD`, `STORE` or `ATOMIC`.
    sampling : Sampling
        What was kept.
    lost : int
        Accesses that would have been kept, but found the ring full.
    """

    address: NDArray[np.int64]
    thread: NDArray[np.int64]
    order: NDArray[np.int64]
    launch: NDArray[np.int64]
    depth: NDArray[np.int64]
    site: NDArray[np.int64]
    width: NDArray[np.int64]
    kind: NDArray[np.int64]
    sampling: Sampling
    lost: int

    def __len__(self) -> int:
        return len(self.address)

    def columns(self) -> dict[str, NDArray[np.int64]]:
        """The columns by name, in the order of the attributes."""
        return {name: getattr(self, name) for name in _COLUMNS}

    def canonical(self) -> AddressLog:
        """Sort by launch, order, warp, lane: as if all warps took turns, one access each.

        Threads write the log in an order that differs between engines and runs; this one does not.
        """
        rows = np.lexsort((self.thread, self.order, self.launch))
        columns: dict[str, Any] = {name: column[rows] for name, column in self.columns().items()}
        return replace(self, **columns)


def _unpack(rows: NDArray[np.int64], sampling: Sampling, lost: int) -> AddressLog:
    address, who, what = (np.ascontiguousarray(rows[:, column]) for column in range(ENTRY_WORDS))
    return AddressLog(
        address=address,
        thread=who >> 32,
        order=who & 0xFFFFFFFF,
        launch=what >> 48,
        depth=what >> 32 & 0xFFFF,
        site=what >> 16 & 0xFFFF,
        width=what >> 2 & 0x3FFF,
        kind=what & 3,
        sampling=sampling,
        lost=lost,
    )


def layout(sizes: dict[str, int]) -> dict[str, int]:
    """Give arrays addresses as a GPU's allocator would: apart, each from a page of 2 MiB on.

    Parameters
    ----------
    sizes : dict of str to int
        Bytes of each array, in order.

    Returns
    -------
    dict of str to int
        Address of each.
    """
    bases, free = {}, _FIRST
    for name, size in sizes.items():
        bases[name] = free
        free += max(-(-size // _PAGE), 1) * _PAGE
    return bases


@final
class Recorder:
    """A ring of log entries in host or device memory, and what was taken out of it.

    Parameters
    ----------
    sampling : Sampling
        What to keep.
    capacity : int
        Entries of the ring, 1 to 2**28; an entry takes 24 bytes.
    upload, download : callable
        Copy a NumPy array to where the kernels run, and back.
    """

    def __init__(
        self,
        sampling: Sampling | None = None,
        capacity: int = 1 << 20,
        upload: Callable[[Any], Any] = np.asarray,
        download: Callable[[Any], Any] = np.asarray,
    ) -> None:
        if not 1 <= capacity <= 1 << 28:
            raise UsageError(f"a ring of {capacity} entries", "1 to 2**28", "Choose a capacity in this range.")
        self.sampling = sampling or Sampling()
        self._capacity, self._upload, self._download = capacity, upload, download
        self._entries = upload(np.zeros((capacity, ENTRY_WORDS), np.int64))
        control = np.zeros(CONTROL_WORDS, np.int64)
        control[recorder.CAPACITY] = capacity
        control[recorder.SEED] = self.sampling.seed
        control[recorder.EVERY_WARP] = self.sampling.every_warp
        control[recorder.EVERY_ACCESS] = self.sampling.every_access
        control[recorder.BY_LINE] = self.sampling.by_line
        self._control = upload(control)
        self._tail, self._lost, self._launch = 0, 0, -1
        self._parts: list[NDArray[np.int64]] = []
        self._places: dict[tuple[bytes, bytes], tuple[Any, Any]] = {}

    def arrays(self, bases: NDArray[np.int64], widths: NDArray[np.int64]) -> LogArrays:
        """Begin the next launch; ``bases`` and ``widths`` belong to its arguments."""
        self._launch += 1
        self._control[LAUNCH : LAUNCH + 1] = np.array([self._launch & 0x7FFF], np.int64)
        key = (bases.tobytes(), widths.tobytes())
        if key not in self._places:
            self._places[key] = (self._upload(bases), self._upload(widths))
        return LogArrays(self._entries, self._control, *self._places[key])

    def drain(self) -> None:
        """Take what the ring holds, and count what it lost; waits for the kernels."""
        cursor = int(np.asarray(self._download(self._control))[CURSOR])
        kept = min(cursor - self._tail, self._capacity)
        self._lost += cursor - self._tail - kept
        first = self._tail % self._capacity
        wrapped = max(first + kept - self._capacity, 0)
        for start, stop in ((first, first + kept - wrapped), (0, wrapped)):
            if stop > start:
                self._parts.append(np.array(self._download(self._entries[start:stop])))
        self._tail = cursor
        self._control[TAIL : TAIL + 1] = np.array([cursor], np.int64)

    def log(self) -> AddressLog:
        """Drain, and return everything that was recorded so far."""
        self.drain()
        rows = np.concatenate([np.zeros((0, ENTRY_WORDS), np.int64), *self._parts])
        return _unpack(rows, self.sampling, self._lost)

    def forget(self) -> None:
        """Throw away what was taken out so far; the count of what was lost begins anew."""
        self.drain()
        self._parts.clear()
        self._lost = 0
