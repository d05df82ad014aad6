"""What the searches for a nonce have in common: ranges of nonces, how rare a hit is, and how results are checked.

A miner's search kernel writes nothing but the rare hits. So the digests of a few nonces (the probe) are
written once, by the same kernel, in the set-up; the hits of the first step are compared as well.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import sqrt
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from hashwarden.errors import CheckError
from hashwarden.kernels.workloads.plan import require_equal

__all__ = ["NONE", "NULL", "Search", "big_head", "grid", "header_of", "last_head", "odds", "require_share"]

NULL: Final = np.uint64(0)
"""A null pointer, for results that are not wanted."""

NONE: Final = np.uint64(2**64 - 1)
"""What the lowest hit is before there is one."""

_CHUNK: Final = 1024
_REMEMBERED: Final = 4
_RAREST: Final = 1024
"""One hash in so many hits at most: rare enough to cost nothing, often enough to be checked."""

Oracle = Callable[[NDArray[np.uint64]], NDArray[np.uint8]]
"""From nonces to digests, one in a row."""


def grid(threads: int, block: int = 256) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Blocks, and threads of a block."""
    block = min(block, threads)
    return (-(-threads // block),), (block,)


def header_of(seed: int, size: int) -> bytes:
    """Bytes of a fixed header."""
    return np.random.default_rng(seed).bytes(size)


def odds(nonces: int) -> int:
    """Of how many hashes one is a hit."""
    return max(4, min(_RAREST, nonces // 8))


def big_head(digests: NDArray[np.uint8]) -> NDArray[np.uint64]:
    """First eight bytes as a big-endian number."""
    return np.ascontiguousarray(digests[:, :8]).view(">u8")[:, 0].astype(np.uint64)


def last_head(digests: NDArray[np.uint8]) -> NDArray[np.uint64]:
    """Last four bytes as a little-endian number, in the upper half of 64 bits."""
    return np.ascontiguousarray(digests[:, -4:]).view("<u4")[:, 0].astype(np.uint64) << np.uint64(32)


def _remembered(oracle: Oracle) -> Oracle:
    """Keep the last few answers: a probe and the hits are often of the same nonces."""
    kept: dict[bytes, NDArray[np.uint8]] = {}

    def ask(nonces: NDArray[np.uint64]) -> NDArray[np.uint8]:
        key = nonces.tobytes()
        if key not in kept:
            if len(kept) >= _REMEMBERED:
                kept.pop(next(iter(kept)))
            kept[key] = oracle(nonces)
        return kept[key]

    return ask


@dataclass(frozen=True, slots=True)
class Search:
    """A search and its oracle.

    Attributes
    ----------
    nonces : int
        Hashes of a step.
    oracle : callable
        From nonces to digests.
    first : int
        The first nonce of step 0.
    all_below : int
        Up to how many nonces of a step every hit is counted by the oracle; above, the number of hits is
        compared with what chance says.
    head : callable
        From digests to the numbers that the limit is for.
    quick : bool
        Whether the oracle can go through all nonces up to the lowest hit, however many the step has.
    """

    nonces: int
    oracle: Oracle
    first: int = 0
    all_below: int = 4096
    head: Callable[[NDArray[np.uint8]], NDArray[np.uint64]] = big_head
    quick: bool = True

    def __post_init__(self) -> None:
        object.__setattr__(self, "oracle", _remembered(self.oracle))

    @property
    def one_in(self) -> int:
        """Of how many hashes one is a hit."""
        return odds(self.nonces)

    @property
    def limit(self) -> np.uint64:
        """The largest head of a hit."""
        return np.uint64(2**64 // self.one_in)

    @property
    def probe(self) -> int:
        """Nonces whose digests are written and checked."""
        return min(self.nonces, 64)

    def start(self, step: int) -> np.uint64:
        """First nonce of a step."""
        return np.uint64((self.first + step * self.nonces) % 2**64)

    def _span(self, at: int, count: int) -> NDArray[np.uint64]:
        return np.uint64(self.first + at) + np.arange(count, dtype=np.uint64)

    def check_probe(self, digests: NDArray[Any]) -> None:
        """Compare the digests of the first nonces."""
        got = np.ascontiguousarray(digests).view(np.uint8).reshape(self.probe, -1)
        require_equal("digests", got, self.oracle(self._span(0, self.probe)))

    def hits(self, count: int) -> NDArray[np.uint64]:
        """Nonces among the first ``count`` that are hits."""
        span = self._span(0, count)
        return span[self.head(self.oracle(span)) <= self.limit]

    def check_lowest(self, best: NDArray[Any]) -> None:
        """Compare the lowest hit of step 0."""
        if not self.quick and self.nonces > self.all_below:
            self.check_winners(best)
            require_equal("hits below the lowest", (self.hits(self.probe) < best).sum(keepdims=True), np.array([0]))
            return
        expected = NONE
        for at in range(0, min(self.nonces, 64 * self.one_in), _CHUNK):
            span = self._span(at, min(_CHUNK, self.nonces - at))
            found = span[self.head(self.oracle(span)) <= self.limit]
            if len(found):
                expected = found[0]
                break
        require_equal("lowest hit", best, np.array([expected], best.dtype))

    def check_hits(self, found: NDArray[Any]) -> None:
        """Compare the number of hits of step 0: exactly where that is cheap, else with what chance says."""
        if self.nonces <= self.all_below:
            require_equal("hits", found, np.array([len(self.hits(self.nonces))], found.dtype))
        else:
            require_share("hits", int(found[0]), self.nonces, 1 / self.one_in)

    def check_winners(self, winners: NDArray[np.uint64]) -> None:
        """Make sure that nonces given as hits are hits of step 0."""
        inside = (winners >= self.first) & (winners - np.uint64(self.first) < self.nonces)
        good = inside & (self.head(self.oracle(winners)) <= self.limit) if len(winners) else inside
        require_equal("nonces of hits", winners, np.where(good, winners, ~winners))


def require_share(what: str, got: int, trials: int, chance: float) -> None:
    """Compare a count with what chance says, within eight standard deviations.

    Raises
    ------
    CheckError
        If it is further off.
    """
    mean, margin = trials * chance, 8 * sqrt(trials * chance * (1 - chance)) + 8
    if abs(got - mean) > margin:
        remedy = "The kernel, the compiler or the device is at fault."
        raise CheckError(f"{what} = {got:,}", f"{mean:,.0f} within {margin:,.0f}", remedy)
