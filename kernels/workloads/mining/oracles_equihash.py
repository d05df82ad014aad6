"""Equihash by its definition: what a solution is, and all solutions of a small problem, by hashlib and sorting."""

from __future__ import annotations

import hashlib
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hashwarden.errors import CheckError
from hashwarden.kernels.workloads.plan import require_equal

__all__ = ["MOST_DIGIT", "Problem", "all_solutions", "canonical", "require_all", "require_fill", "require_solutions"]

MOST_DIGIT: Final = 16
"""Problems with at most so many bits a round are solved by the oracle too."""

Indices = NDArray[np.int64]


class Problem(NamedTuple):
    """A header and the two parameters of Equihash."""

    header: bytes
    n: int
    k: int

    @property
    def digit(self) -> int:
        """Bits of a round."""
        return self.n // (self.k + 1)

    def string(self, index: int) -> int:
        """String of an index, as a number of ``n`` bits."""
        parts, size = 512 // self.n, self.n // 8
        person = b"ZcashPoW" + self.n.to_bytes(4, "little") + self.k.to_bytes(4, "little")
        data = self.header + (index // parts).to_bytes(4, "little")
        digest = hashlib.blake2b(data, digest_size=parts * size, person=person).digest()
        part = index % parts
        return int.from_bytes(digest[part * size : part * size + size], "big")

    def digits(self) -> Indices:
        """All strings, cut into ``k + 1`` digits: shape (2**(digit + 1), k + 1)."""
        strings = (self.string(index) for index in range(2 << self.digit))
        mask, shifts = (1 << self.digit) - 1, [self.digit * (self.k - i) for i in range(self.k + 1)]
        return np.array([[string >> shift & mask for shift in shifts] for string in strings], np.int64)


def canonical(indices: Indices) -> tuple[int, ...]:
    """Order the two halves of every subtree by their first index, as the definition asks for."""
    if len(indices) == 1:
        return (int(indices[0]),)
    halves = sorted(canonical(half) for half in np.split(indices, 2))
    return halves[0] + halves[1]


def _pairs(keys: Indices) -> tuple[Indices, Indices]:
    """All pairs of rows with equal keys."""
    order = np.argsort(keys, kind="stable")
    ordered, found, distance = keys[order], [np.zeros((2, 0), np.int64)], 1
    while True:
        at = np.flatnonzero(ordered[distance:] == ordered[:-distance])
        if not len(at):
            both = np.concatenate(found, axis=1)
            return both[0], both[1]
        found.append(np.stack([order[at], order[at + distance]]))
        distance += 1


def all_solutions(problem: Problem) -> set[tuple[int, ...]]:
    """Solve a problem by sorting; indices may repeat, pairs whose XOR is zero before the last round are dropped."""
    rows = problem.digits()
    trees = np.arange(len(rows), dtype=np.int64)[:, None]
    for _ in range(problem.k - 1):
        first, second = _pairs(rows[:, 0])
        mixed = rows[first] ^ rows[second]
        useful = mixed.any(axis=1)
        rows = mixed[useful, 1:]
        trees = np.concatenate([trees[first[useful]], trees[second[useful]]], axis=1)
    first, second = _pairs(rows[:, 0] << problem.digit | rows[:, 1])
    both = np.concatenate([trees[first], trees[second]], axis=1)
    return {canonical(row) for row in both}


def require_fill(problem: Problem, fill: NDArray[np.uint32], slots: int) -> None:
    """Compare how many strings each level made with what is expected.

    ``fill`` counts the strings of each level and bucket, whether they found a place or not. As many pairs as
    strings agree on average if no string was lost, and quadratically fewer otherwise.
    """
    total, strings = fill.sum(axis=1, dtype=np.int64), 2 << problem.digit
    kept = np.minimum(fill, slots).sum(axis=1, dtype=np.int64)
    require_equal("strings", total[:1], np.array([strings]))
    least = kept[:-1] ** 2 / strings * 0.5
    if not (total[1:] > least).all():
        raise CheckError(
            f"{total.tolist()} strings by level",
            f"more than {least.astype(int).tolist()} behind the first",
            "The kernel is at fault.",
        )


def require_solutions(problem: Problem, found: NDArray[np.uint32]) -> None:
    """Prove solutions by the definition: the XOR of every subtree of depth r begins with r digits of zero."""
    for row in found.astype(np.int64):
        values = np.array([problem.string(int(index)) for index in row], object)
        for level in range(1, problem.k + 1):
            values = values[0::2] ^ values[1::2]
            free = problem.n if level == problem.k else level * problem.digit
            if any(int(value) >> (problem.n - free) for value in values):
                remedy = "The kernel, the compiler or the device is at fault."
                raise CheckError(f"indices {row[:4]}...", f"{free} leading bits of zero at depth {level}", remedy)


def require_all(problem: Problem, found: NDArray[np.uint32]) -> None:
    """Compare found solutions with all solutions."""
    missed = all_solutions(problem) ^ {canonical(row) for row in found.astype(np.int64)}
    if missed:
        raise CheckError(f"{len(missed)} solutions found too many or too few", "none", "The kernel is at fault.")
