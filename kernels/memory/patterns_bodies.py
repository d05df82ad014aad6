"""All bodies by name, as the machines look them up; patterns.cu has kernels of the same names."""

from __future__ import annotations

from hashwarden.kernels.memory.patterns_lines import (
    bins,
    chain,
    classify,
    fill_buckets,
    mark,
    pick,
    place,
    relink,
    runs,
    turnover,
)
from hashwarden.kernels.memory.patterns_requests import columns, emit, gather, pack, requests, sort_keys
from hashwarden.kernels.memory.patterns_sort import (
    add_offsets,
    count_digits,
    distance_of,
    merge,
    move,
    start_merge,
    sum_blocks,
)
from hashwarden.kernels.memory.patterns_threads import threads

__all__ = [
    "add_offsets",
    "bins",
    "chain",
    "classify",
    "columns",
    "count_digits",
    "distance_of",
    "emit",
    "fill_buckets",
    "gather",
    "mark",
    "merge",
    "move",
    "pack",
    "pick",
    "place",
    "relink",
    "requests",
    "runs",
    "sort_keys",
    "start_merge",
    "sum_blocks",
    "threads",
    "turnover",
]
