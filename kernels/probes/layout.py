"""The memory of a session and the launches of a round: which kernel gets which part of which array."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, final

import numpy as np
from numpy.typing import NDArray

from hashwarden.kernels.probes.device import Launch
from hashwarden.kernels.probes.probe import BLOCKS, MOST_REPETITIONS, PERMILLES, PROBES, THREADS, Probe
from hashwarden.kernels.probes.reference import TOTALS

__all__ = [
    "CAPACITY",
    "GAP_CAPACITY",
    "WARPS",
    "WATCH",
    "Watch",
    "arrays",
    "bytes_needed",
    "counts",
    "round_of",
    "set_up",
]

WARPS: Final = THREADS // 32
CAPACITY: Final = BLOCKS * WARPS * MOST_REPETITIONS
"""Samples of a probe in one round at most; the last row is for gaps."""

GAP_CAPACITY: Final = 64
"""Gaps that a block stores; more are counted."""

_ROWS: Final = len(PROBES) + 1
_CHASES: Final = tuple(probe for probe in PROBES if probe.chase)
_BUILD_BLOCK: Final = 64
_REDUCE_BLOCK: Final = 128


@final
@dataclass(frozen=True, slots=True)
class Watch:
    """How gaps are watched for.

    Attributes
    ----------
    spin_ns : int
        How long, each round.
    threshold_ns : int
        What counts as a gap; well above the step of the timer (1,024 ns on some GPUs).
    """

    spin_ns: int = 20_000
    threshold_ns: int = 5_000


WATCH: Final = Watch()
"""How gaps are watched for unless told."""


def arrays(seed: int) -> dict[str, NDArray[Any]]:
    """The small arrays, with what they begin as; the chases are made on the device."""
    start = np.zeros((len(PROBES), BLOCKS * WARPS), np.uint32)
    for row, probe in enumerate(PROBES):
        start[row] = _starts(probe, seed)
    entries = max(probe.chase.strands for probe in _CHASES if probe.chase)
    return {
        "samples": np.zeros((_ROWS, CAPACITY), np.uint32),
        "counts": np.zeros(_ROWS, np.uint32),
        "stamps": np.zeros((len(PROBES), 2), np.uint64),
        "cursors": start,
        "entries": np.zeros(entries, np.uint32),
        "words": np.zeros(BLOCKS * THREADS, np.uint32),
        "gap_starts": np.zeros((BLOCKS, GAP_CAPACITY), np.uint64),
        "gap_lengths": np.zeros((BLOCKS, GAP_CAPACITY), np.uint64),
        "gap_counts": np.zeros(BLOCKS, np.uint32),
        "spans": np.zeros((BLOCKS, 4), np.uint64),
        "totals": np.zeros(len(TOTALS), np.uint64),
        "permilles": np.array(PERMILLES, np.uint32),
        "values": np.zeros((_ROWS, len(PERMILLES)), np.uint32),
    }


def _starts(probe: Probe, seed: int) -> NDArray[np.uint32]:
    """Where the warps of a probe begin: at random nodes of its chase, or with a random word."""
    generator = np.random.default_rng([seed, PROBES.index(probe)])
    if probe.chase is None:
        return generator.integers(0, 1 << 32, BLOCKS * WARPS, np.uint32)
    nodes = generator.choice(probe.chase.nodes, BLOCKS * WARPS, replace=False)
    return np.asarray(nodes * probe.chase.stride, np.uint32)


def bytes_needed() -> int:
    """Device memory of a session beyond its context, in bytes."""
    return sum(array.nbytes for array in arrays(0).values()) + sum(probe.bytes for probe in _CHASES)


def chase_words() -> dict[str, int]:
    """Names and words of the arrays that hold the chases."""
    return {_memory_of(probe): probe.chase.words for probe in _CHASES if probe.chase}


def _memory_of(probe: Probe) -> str:
    return f"chase_{probe.name}" if probe.chase else "words"


def set_up(seed: int) -> list[list[Launch]]:
    """The launches that build the chases, one probe after the other since they share an array."""
    built = []
    for probe in _CHASES:
        chase = probe.chase
        if chase is None:
            continue
        grid, memory = -(-chase.strands // _BUILD_BLOCK), _memory_of(probe)
        sizes = (np.uint32(chase.nodes), np.uint32(chase.strands), np.uint32(chase.stride), np.uint32(seed))
        built.append(
            [
                Launch("build_strands", grid, _BUILD_BLOCK, (memory, "entries", *sizes)),
                Launch("splice_strands", grid, _BUILD_BLOCK, (memory, "entries", sizes[1], sizes[2])),
            ]
        )
    return built


def counts(plan: Mapping[str, int], blocks: int) -> NDArray[np.uint32]:
    """Samples that each probe's row will hold; that of the gaps is written on the device."""
    return np.array([blocks * WARPS * plan[probe.name] for probe in PROBES] + [0], np.uint32)


def round_of(plan: Mapping[str, int], blocks: int, watch: Watch, seed: int) -> list[Launch]:
    """The launches of one round: the probes, the gap watch, the reductions.

    Parameters
    ----------
    plan : mapping of str to int
        Repetitions of each probe; 0 leaves it out.
    blocks : int
        Blocks of each probe.
    watch : Watch
        How gaps are watched for.
    seed : int
        Operand of the arithmetic probes.
    """
    launches = [
        Launch(probe.kernel, blocks, THREADS, _arguments(row, probe, plan[probe.name], seed))
        for row, probe in enumerate(PROBES)
        if plan[probe.name]
    ]
    gaps = ("gap_starts", "gap_lengths", "gap_counts", "spans", np.uint32(GAP_CAPACITY))
    limits = (np.uint64(watch.spin_ns), np.uint64(watch.threshold_ns), np.uint32(watch.spin_ns))
    launches.append(Launch("spin_gaps", blocks, 32, (*gaps, *limits)))
    last = len(PROBES)
    sizes = (np.uint32(blocks), np.uint32(GAP_CAPACITY))
    row_of_gaps = (("samples", last * CAPACITY), ("counts", last))
    launches.append(Launch("gap_totals", 1, 1, ("gap_lengths", "gap_counts", "spans", *sizes, "totals", *row_of_gaps)))
    rows = ("samples", "counts", np.uint32(CAPACITY), "permilles", np.uint32(len(PERMILLES)), "values")
    launches.append(Launch("row_quantiles", _ROWS, _REDUCE_BLOCK, rows))
    return launches


def _arguments(row: int, probe: Probe, repetitions: int, seed: int) -> tuple[str | tuple[str, int] | np.generic, ...]:
    places = (("samples", row * CAPACITY), ("stamps", 2 * row), _memory_of(probe), ("cursors", row * BLOCKS * WARPS))
    return (*places, np.uint32(repetitions), np.uint32(probe.passes), np.uint32(seed))
