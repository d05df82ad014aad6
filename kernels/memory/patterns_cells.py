"""Where the engines count what: the layout of their counters, the same for all of them."""

from __future__ import annotations

from typing import Final

__all__ = [
    "ASKED",
    "BIT_COUNT",
    "BUCKETS",
    "CHAINED",
    "COLD",
    "COLUMN_CELLS",
    "CONSTANT",
    "DEPTHS",
    "DIFFERENCE_BITS",
    "DISTANCE_BINS",
    "DISTANCE_CELLS",
    "DISTINCT",
    "FIRST_BIT",
    "GAP_BINS",
    "IRREGULAR",
    "LANES",
    "NO_DIFFERENCE",
    "PAGE",
    "REQUEST_CELLS",
    "REQUEST_STEPS",
    "SECTORS",
    "SITE_SLOTS",
    "STEP_BINS",
    "STEP_CELLS",
    "STEP_MIDDLE",
    "THREAD_CELLS",
    "TWINS",
    "UNIT",
    "WIDTHS",
    "WINDOWS",
    "WINDOW_CELLS",
    "ZERO",
]

PAGE: Final = 2 << 20
"""Addresses are counted from the 2 MiB page of the lowest one."""

WINDOWS: Final = 32
"""Equal parts of the log."""

# A window: accesses, loads, sum of depths, requests, sectors; references to lines, distinct lines, lines
# never seen before, lines of the window before.
WINDOW_CELLS: Final = 9

# Steps from one address to another, in log2 bins with sign: bin STEP_MIDDLE is 0, STEP_MIDDLE + b is
# 2**(b - 1) to 2**b - 1 bytes, STEP_MIDDLE - b the same downwards. Behind them five kinds.
STEP_MIDDLE: Final = 40
STEP_BINS: Final = 81
ZERO: Final = 81
UNIT: Final = 82
CHAINED: Final = 83
CONSTANT: Final = 84
IRREGULAR: Final = 85
STEP_CELLS: Final = 86

# Requests: 33 counts of sectors (1 to 31, 32 and more) for each kind, 33 of lanes, the steps, three sums.
SECTORS: Final = 33
LANES: Final = 99
REQUEST_STEPS: Final = 132
TWINS: Final = 218
ASKED: Final = 219
DISTINCT: Final = 220
REQUEST_CELLS: Final = 221

# Columns: 3 kinds, 6 widths, 32 bits.
WIDTHS: Final = 3
FIRST_BIT: Final = 5
BIT_COUNT: Final = 32
COLUMN_CELLS: Final = 41
DEPTHS: Final = 1 << 16

# Threads: the steps, and 33 bins of loads between stores.
GAP_BINS: Final = 33
THREAD_CELLS: Final = 119
SITE_SLOTS: Final = 64

# Difference and site are hashed together to so many bits; what has no difference sorts behind.
DIFFERENCE_BITS: Final = 48
NO_DIFFERENCE: Final = (1 << 48) - 1

# Reuse distances: bin 0 is distance 0, bin b is 2**(b - 1) to 2**b - 1; then what was never seen before.
DISTANCE_BINS: Final = 41
COLD: Final = 41
DISTANCE_CELLS: Final = 42
BUCKETS: Final = 1 << 16
