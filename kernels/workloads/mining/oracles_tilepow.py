"""The matrix product as proof of work in NumPy: noise, products, transcripts, digests."""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hashwarden.errors import UsageError
from hashwarden.kernels.workloads.mining.oracles_blake3 import blake3_hash
from hashwarden.kernels.workloads.workload import Settings

__all__ = ["Judged", "Problem", "Shape", "judged", "noised", "operands"]

Matrix = NDArray[np.int8]

TILE: Final = 16
MOST: Final = 63


class Shape(NamedTuple):
    """Sizes of a product, in the words of the workload's parameters."""

    rows: int
    columns: int
    inner: int
    rank: int
    step: int

    @classmethod
    def of(cls, settings: Settings) -> Shape:
        """Take the settings of a workload.

        Raises
        ------
        UsageError
            If they do not fit together.
        """
        shape = cls(*(settings[name] for name in cls._fields))
        for name, unit in (("rows", TILE), ("columns", TILE), ("rank", TILE), ("step", TILE), ("inner", shape.step)):
            if settings[name] % unit:
                raise UsageError(f"{name} = {settings[name]:,}", f"a multiple of {unit:,}", "Choose one.")
        return shape

    @property
    def tiles(self) -> int:
        """Tiles of 16x16 of the product."""
        return (self.rows // TILE) * (self.columns // TILE)


class Problem(NamedTuple):
    """Seed of the noise and key of the judgement, 32 bytes each."""

    seed: bytes
    key: bytes

    @classmethod
    def of(cls, seed: int) -> Problem:
        """Derive both from the seed of a plan."""
        both = blake3_hash(b"hashwarden" + seed.to_bytes(8, "little"), 64)
        return cls(both[:32], both[32:])

    def factor(self, rows: int, rank: int, nonce: int, which: int) -> Matrix:
        """Factor of the noise: shape (rows, rank), entries from -1 to 2."""
        words = np.frombuffer(self.seed, "<u4").copy()
        words[6] ^= np.uint32(which)
        words[7] ^= np.uint32(nonce)
        stream = np.frombuffer(blake3_hash(words.tobytes(), rows * rank), np.uint8)
        return ((stream & 3).astype(np.int8) - np.int8(1)).reshape(rows, rank)


class Judged(NamedTuple):
    """What comes out of some tiles.

    Attributes
    ----------
    tiles : int32, shape (N, 16, 16)
        The product.
    digests : uint32, shape (N, 8)
        Hashes of the transcripts.
    """

    tiles: NDArray[np.int32]
    digests: NDArray[np.uint32]


def operands(shape: Shape, seed: int) -> tuple[Matrix, Matrix]:
    """Random operands of 7 bits: the left one by rows, the right one by columns."""
    random = np.random.default_rng(seed)
    first, second = (
        random.integers(-MOST, MOST + 1, (count, shape.inner), dtype=np.int8) for count in (shape.rows, shape.columns)
    )
    return first, second


def noised(problem: Problem, shape: Shape, operand: Matrix, nonce: int, which: int) -> Matrix:
    """Operand with its noise; ``which`` is 0 for the left one and 2 for the right one."""
    left = problem.factor(len(operand), shape.rank, nonce, which)
    right = problem.factor(shape.inner, shape.rank, nonce, which + 1)
    noise = left.astype(np.float32) @ right.astype(np.float32).T  # exact: far below 2**24
    return np.clip(operand + noise, -MOST, MOST).astype(np.int8)


def _left(words: NDArray[np.uint32], count: int) -> NDArray[np.uint32]:
    return words << np.uint32(count) | words >> np.uint32(32 - count)


def judged(problem: Problem, shape: Shape, a: Matrix, b: Matrix, chosen: NDArray[np.int64]) -> Judged:
    """Multiply and judge some tiles, by rows of ``a`` and columns ``b`` that are noised already."""
    across = shape.columns // TILE
    tops, sides = ((at * TILE)[:, None] + np.arange(TILE) for at in (chosen // across, chosen % across))
    total = np.zeros((len(chosen), TILE, TILE), np.int64)
    record = np.zeros((len(chosen), 4, 4), np.uint32)
    for first in range(0, shape.inner, shape.step):
        part = slice(first, first + shape.step)
        rows, columns = a[tops, part].astype(np.float64), b[sides, part].astype(np.float64)
        total += (rows @ columns.swapaxes(1, 2)).astype(np.int64)  # exact: far below 2**53
        squares = total.astype(np.uint32).reshape(-1, 4, 4, 4, 4)  # tile, square's row, row, square's column, column
        folded = np.zeros_like(record)
        for i in range(16):
            folded = _left(folded, 3) ^ squares[:, :, i // 4, :, i % 4]
        record = _left(record, 11) ^ folded
    digests = b"".join(blake3_hash(row.astype("<u4").tobytes(), key=problem.key) for row in record)
    return Judged(total.astype(np.int32), np.frombuffer(digests, "<u4").reshape(-1, 8))
