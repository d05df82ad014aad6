"""The NumPy reference of what the probes compute beside latencies: chains, quantiles, gap totals.

These are the definitions; build.cu, reduce.cu and numba_engine.py must give the same numbers.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from hashwarden.kernels.probes.probe import Chase

__all__ = ["BINS", "NOTHING", "TOTALS", "bin_edges", "bin_of", "build_chase", "gap_totals", "row_quantiles"]

Words = NDArray[np.uint32]

BINS: Final = 1728
"""Bins of the histogram: 128 of one value each, then 64 for each power of two up to 2**32."""

NOTHING: Final = 0xFFFFFFFF
"""The quantile of a row without samples."""

TOTALS: Final = ("gaps", "stored", "lost_ns", "longest_ns", "watched_ns")
"""What `gap_totals` sums up."""

_MASK: Final = (1 << 64) - 1


def bin_of(values: Words) -> NDArray[np.int64]:
    """Bin of each value: the value below 128, then six bits after the leading one."""
    wide = np.asarray(values, np.int64)
    shift = np.maximum(np.frexp(wide.astype(np.float64))[1] - 7, 0)
    return np.asarray(shift * 64 + (wide >> shift), np.int64)


def bin_edges() -> NDArray[np.int64]:
    """Smallest value of each bin, shape (BINS,)."""
    bins = np.arange(BINS)
    shift = np.maximum(bins // 64 - 1, 0)
    return np.asarray((bins - shift * 64) << shift, np.int64)


def row_quantiles(samples: Words, counts: Words, permilles: Words) -> Words:
    """Quantiles of the samples of each row, as lower edges of histogram bins.

    The quantile q of n samples is the ceil(n q)-th smallest one (NumPy's "inverted_cdf"), rounded down to its bin:
    exact below 128, at most 1/64 too low above.

    Parameters
    ----------
    samples : uint32 array, shape (rows, capacity)
        Latencies, in cycles or in nanoseconds.
    counts : uint32 array, shape (rows,)
        How many places of each row are filled.
    permilles : uint32 array, shape (quantiles,)
        Quantiles in thousandths, 0 to 1000.

    Returns
    -------
    uint32 array, shape (rows, quantiles)
        `NOTHING` in a row without samples.
    """
    values = np.full((len(counts), len(permilles)), NOTHING, np.uint32)
    for row, count in enumerate(counts.tolist()):
        if count == 0:
            continue
        below = np.cumsum(np.bincount(bin_of(samples[row, :count]), minlength=BINS))
        ranks = np.maximum(-(-count * permilles.astype(np.int64) // 1000), 1)
        values[row] = bin_edges()[np.searchsorted(below, ranks)]
    return values


def gap_totals(
    lengths: NDArray[np.uint64], counts: Words, spans: NDArray[np.uint64]
) -> tuple[NDArray[np.uint64], Words]:
    """Sum up what the gap watch wrote.

    Parameters
    ----------
    lengths : uint64 array, shape (blocks, capacity)
        Gap lengths in nanoseconds.
    counts : uint32 array, shape (blocks,)
        Gaps found by each block; more than ``capacity`` were not stored.
    spans : uint64 array, shape (blocks, 4)
        First and last reading of the timer (ns), SM clock at both (cycles).

    Returns
    -------
    totals : uint64 array, shape (5,)
        In the order of `TOTALS`; lengths that were not stored are in none of the sums.
    row : uint32 array, shape (stored,)
        The stored lengths, saturated, block by block.
    """
    kept = [lengths[block, : min(int(count), lengths.shape[1])] for block, count in enumerate(counts)]
    stored = np.concatenate([*kept, np.zeros(0, np.uint64)])
    watched = int((spans[:, 1] - spans[:, 0]).sum())
    longest = int(stored.max()) if len(stored) else 0
    totals = [int(counts.sum()), len(stored), int(stored.sum()), longest, watched]
    return np.array(totals, np.uint64), np.minimum(stored, NOTHING).astype(np.uint32)


def build_chase(chase: Chase, seed: int) -> Words:
    """Build a cycle of pointers on the host, as build.cu does on the device.

    Parameters
    ----------
    chase : Chase
        Its size.
    seed : int
        Seed of the random numbers, 0 to 2**32 - 1.

    Returns
    -------
    uint32 array, shape (chase.words,)
        The word number of its successor at each node's first word, zero elsewhere.
    """
    memory = np.zeros(chase.words, np.uint32)
    heads = np.arange(chase.strands) * chase.stride
    for strand in range(chase.strands):
        places = np.arange(strand, chase.nodes, chase.strands) * chase.stride
        memory[places] = _cycle(places, seed << 32 | strand)
    memory[heads] = np.roll(memory[heads], -1)
    return memory


def _cycle(places: NDArray[np.int64], state: int) -> NDArray[np.int64]:
    """Sattolo's algorithm: the successor of each place, all in one cycle."""
    after = places.copy()
    for i in range(len(places) - 1, 0, -1):
        state, other = _random_below(state, i)
        after[i], after[other] = after[other], after[i]
    return after


def _random_below(state: int, limit: int) -> tuple[int, int]:
    """SplitMix64, its upper half scaled to 0 ... limit - 1."""
    state = (state + 0x9E3779B97F4A7C15) & _MASK
    z = ((state ^ state >> 30) * 0xBF58476D1CE4E5B9) & _MASK
    z = ((z ^ z >> 27) * 0x94D049BB133111EB) & _MASK
    z ^= z >> 31
    return state, (z >> 32) * limit >> 32
