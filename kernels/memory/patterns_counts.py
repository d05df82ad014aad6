"""What the engines count in a log: raw histograms, from which the features follow."""

from __future__ import annotations

from dataclasses import dataclass, field, fields

import numpy as np
from numpy.typing import NDArray

from hashwarden.kernels.memory import patterns_cells as cells

__all__ = ["Counts", "FloatArray", "IntArray", "Reuse", "Runs", "Steps"]

IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float64]


def _zeros(*shape: int) -> IntArray:
    return np.zeros(shape, np.int64)


@dataclass(frozen=True, slots=True)
class Steps:
    """Steps from one address to the next.

    Attributes
    ----------
    bins : int64, shape (81,)
        Steps in bytes by sign and log2: 40 is 0; 40 + b is 2**(b - 1) to 2**b - 1; 40 - b the same downwards;
        the outermost take all that is longer.
    kinds : int64, shape (5,)
        Steps of 0; of one access's width, up or down; steps that have a step before them, of which equal to
        it, and of which neither equal nor 0 nor one width.
    """

    bins: IntArray = field(default_factory=lambda: _zeros(cells.STEP_BINS))
    kinds: IntArray = field(default_factory=lambda: _zeros(5))


@dataclass(frozen=True, slots=True)
class Reuse:
    """Reuse distances, of sampled lines or sectors.

    Attributes
    ----------
    bins : int64, shape (41,)
        Sampled references by log2 of their distance: bin 0 is 0, bin b is 2**(b - 1) to 2**b - 1.
    cold : int
        Sampled references to what was never touched before.
    references : int
        All references, sampled or not.
    rate : float
        Share of lines or sectors that was sampled.
    """

    bins: IntArray = field(default_factory=lambda: _zeros(cells.DISTANCE_BINS))
    cold: int = 0
    references: int = 0
    rate: float = 1.0


@dataclass(frozen=True, slots=True)
class Runs:
    """Distinct values among many.

    Attributes
    ----------
    distinct : int
        How many.
    total : int
        Of how many.
    weight : float
        Sum over the values of c * log2(c), c being how often each occurs: the entropy of the values is
        log2(total) - weight / total.
    """

    distinct: int = 0
    total: int = 0
    weight: float = 0.0


@dataclass(frozen=True, slots=True)
class Counts:
    """Everything that is counted in a log.

    Attributes
    ----------
    kinds : int64, shape (3,)
        Loads, stores, atomics.
    widths : int64, shape (6,)
        Accesses of 1, 2, 4, 8, 16, 32 and more bytes, rounded down.
    bits : int64, shape (32,)
        Accesses whose address, counted from the first 2 MiB page, has bit 5, 6, ... 36 set.
    depths : int64, shape (65536,)
        Accesses by depth.
    sectors : int64, shape (3, 33)
        Requests of each kind by sectors; the last bin takes 32 and more.
    lanes : int64, shape (33,)
        Requests by lanes.
    asked, distinct_bytes : int
        Bytes that lanes asked for, and the different ones among them within each request.
    lane_steps, thread_steps : Steps
        From lane to lane of a request; from one access of a thread to its next at the same site.
    gaps : int64, shape (33,)
        Stores and atomics by log2 of the loads that their thread made since its last one.
    differences, sites : Runs
        Steps of threads as values of (launch, site, difference), and of (launch, site).
    lines, small_pages, large_pages, sector_set : Runs
        References to lines as values of line, 4 KiB page and 2 MiB page; those to sectors.
    line_classes : int64, shape (4,)
        Lines only loaded, only stored to, loaded first and changed later, others.
    windows : int64, shape (32, 9)
        Per window: accesses, loads, sum of depths, requests, sectors; references to lines, distinct lines,
        lines never seen before, lines of the window before.
    line_reuse, sector_reuse : Reuse
        Reuse distances.
    """

    kinds: IntArray = field(default_factory=lambda: _zeros(3))
    widths: IntArray = field(default_factory=lambda: _zeros(6))
    bits: IntArray = field(default_factory=lambda: _zeros(cells.BIT_COUNT))
    depths: IntArray = field(default_factory=lambda: _zeros(cells.DEPTHS))
    sectors: IntArray = field(default_factory=lambda: _zeros(3, 33))
    lanes: IntArray = field(default_factory=lambda: _zeros(33))
    asked: int = 0
    distinct_bytes: int = 0
    lane_steps: Steps = field(default_factory=Steps)
    thread_steps: Steps = field(default_factory=Steps)
    gaps: IntArray = field(default_factory=lambda: _zeros(cells.GAP_BINS))
    differences: Runs = field(default_factory=Runs)
    sites: Runs = field(default_factory=Runs)
    lines: Runs = field(default_factory=Runs)
    small_pages: Runs = field(default_factory=Runs)
    large_pages: Runs = field(default_factory=Runs)
    sector_set: Runs = field(default_factory=Runs)
    line_classes: IntArray = field(default_factory=lambda: _zeros(4))
    windows: IntArray = field(default_factory=lambda: _zeros(cells.WINDOWS, cells.WINDOW_CELLS))
    line_reuse: Reuse = field(default_factory=Reuse)
    sector_reuse: Reuse = field(default_factory=Reuse)

    def flat(self) -> dict[str, IntArray | FloatArray]:
        """Every number as an array by its name, such as ``"line_reuse.bins"``."""
        found: dict[str, IntArray | FloatArray] = {}
        for item in fields(self):
            value = getattr(self, item.name)
            if isinstance(value, Steps | Reuse | Runs):
                inner = {f"{item.name}.{part.name}": getattr(value, part.name) for part in fields(value)}
            else:
                inner = {item.name: value}
            found.update({name: np.atleast_1d(np.asarray(number)) for name, number in inner.items()})
        return found
