"""A proof of work on tensor cores, of the kind of Pearl's: int8 products with BLAKE3 noise, whose tiles are hashed.

Low-rank noise of a nonce is added to both operands; every 16 x 16 tile of the product is folded every 128 inner
columns, and the folded words are hashed (after the public description of matrix proofs of useful work,
Komargodski, Schen and Weinstein 2025).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from hashwarden.kernels.workloads.native import operations
from hashwarden.kernels.workloads.native.define import define
from hashwarden.kernels.workloads.native.reference import BLAKE3_IV, blake3, blake3_compress, rotate
from hashwarden.kernels.workloads.native.search import grid, header_of
from hashwarden.kernels.workloads.plan import Arrays, Empty, NativeLaunch, Plan, Work, require_equal
from hashwarden.kernels.workloads.workload import Parameter, Settings

__all__ = ["WORKLOADS", "build_plan"]

_NOISE: Final = "tilepow_noise"
_PRODUCT: Final = "tilepow_mma"
_RANK: Final = 64
"""Of the noise."""
_FOLD: Final = 128
"""Inner columns between two folds."""
_TILE: Final = 16
_STRIP: Final = 2
"""Tiles of a warp, side by side."""
_WARPS: Final = 4
_SEEDS: Final = 64
_ODDS: Final = 64
_SAMPLE: Final = 8
_FACTORS: Final = ("left_a", "right_a", "left_b", "right_b")

I8 = NDArray[np.int8]
U32 = NDArray[np.uint32]


def _factor(seed: U32, rows: range, width: int) -> NDArray[np.int64]:
    """Rows of a matrix of ``width`` small numbers from BLAKE3's output stream."""
    counter = np.arange(rows.start * width // 64, rows.stop * width // 64, dtype=np.uint64)
    block = np.zeros((16, len(counter)), np.uint32)
    block[:8] = seed[:, None]
    stream = np.ascontiguousarray(blake3_compress(BLAKE3_IV, block, 32, 11, counter).T).view(np.uint8)
    return (stream.reshape(len(rows), width) & 3).astype(np.int64) - 1


def _folded(part: NDArray[np.int64]) -> U32:
    """One word a lane of the accumulators of a tile, which lie as the tensor core's fragments do."""
    lanes = np.arange(32)
    word: U32 = np.zeros(32, np.uint32)
    for column in (0, 8):
        for i in range(4):
            value = part[lanes // 4 + 8 * (i // 2), column + lanes % 4 * 2 + i % 2]
            word = np.asarray(rotate(word, 13) ^ (value & 0xFFFFFFFF).astype(np.uint32), np.uint32)
    return word


class _Oracle:
    """Tiles of the product for one set of seeds: the operands', then the factors'."""

    def __init__(self, seeds: U32, n: int, k: int) -> None:
        self._seeds, self._n, self._k = seeds, n, k
        self._right = [_factor(seeds[2 + 2 * which + 1], range(k), _RANK) for which in (0, 1)]

    def _rows(self, which: int, tile: int) -> NDArray[np.int64]:
        rows = range(_TILE * tile, _TILE * (tile + 1))
        noise = _factor(self._seeds[2 + 2 * which], rows, _RANK) @ self._right[which].T
        return np.clip(_factor(self._seeds[which], rows, self._k) + noise, -63, 63)

    def tile(self, number: int) -> tuple[NDArray[np.int32], NDArray[np.uint8]]:
        """Contents and digest of a tile."""
        row, column = divmod(number, self._n // _TILE)
        a, b = self._rows(0, row), self._rows(1, column)
        record, part = np.zeros(32, np.uint32), np.zeros((_TILE, _TILE), np.int64)
        for at in range(0, self._k, _FOLD):
            part = part + a[:, at : at + _FOLD] @ b[:, at : at + _FOLD].T
            record = rotate(record, 7) ^ _folded(part)
        return part.astype(np.int32), blake3(np.ascontiguousarray(record).view(np.uint8)[None])[0]


def _empty(n: int, k: int) -> Arrays:
    """Arrays that the kernels fill."""
    factors = {name: Empty((n if "left" in name else k, _RANK), np.int8) for name in _FACTORS}
    operands = {name: Empty((n, k), np.int8) for name in ("a", "b", "noised_a", "noised_b")}
    digests = Empty(((n // _TILE) ** 2, 8), np.uint32)
    return {
        **factors,
        **operands,
        "product": Empty((n, n), np.int32),
        "digests": digests,
        "hits": Empty((1,), np.uint32),
    }


def _work(n: int, k: int) -> Work:
    tiles = (n // _TILE) ** 2
    int_ops = 2 * n * k * (_RANK // 4 + 4) + tiles * (2 * operations.BLAKE3 + k // _FOLD * 32 * 18)
    return Work(units=1, dram_bytes=6 * n * k + 4 * n * n + 32 * tiles, int_ops=int_ops, tensor_ops=2 * n * n * k)


def build_plan(settings: Settings, seed: int) -> Plan:
    """Plan one noisy product of ``n`` x ``k`` by ``k`` x ``n`` a step."""
    n, k = settings["n"], settings["k"]
    seeds = np.frombuffer(header_of(seed, 32 * (_SEEDS + 2)), "<u4").reshape(-1, 8)
    tiles, limit = (n // _TILE) ** 2, np.uint32(2**32 // _ODDS)
    oracle = _Oracle(seeds[[-2, -1, 0, 1, 2, 3]], n, k)

    def noise(which: int, count: int, array: str) -> NativeLaunch:
        arguments = (f"seeds[{which}]", np.uint32(count // 64), array)
        return NativeLaunch(_NOISE, "noise_fill", *grid(count // 64, 128), arguments)

    def noised(which: str) -> NativeLaunch:
        arguments = (f"left_{which}", f"right_{which}", np.int32(k), which, f"noised_{which}")
        return NativeLaunch(_NOISE, "noise_add", (k // _TILE, n // _TILE), (_TILE, _TILE), arguments)

    def step(number: int) -> tuple[NativeLaunch, ...]:
        first, sizes = len(_FACTORS) * number, (n, k, n, k)
        factors = zip(_FACTORS, sizes, strict=True)
        fills = [noise((first + i) % _SEEDS, size * _RANK, name) for i, (name, size) in enumerate(factors)]
        arguments = ("noised_a", "noised_b", np.int32(k), np.int32(n), limit, "product", "digests", "hits")
        shape = ((tiles // (_STRIP * _WARPS),), (32 * _WARPS,))
        return (*fills, noised("a"), noised("b"), NativeLaunch(_PRODUCT, "tilepow_tensor", *shape, arguments))

    def check(results: Mapping[str, NDArray[Any]]) -> None:
        digests, product = results["digests"], results["product"]
        chosen = [0, *np.random.default_rng(seed + 1).integers(0, tiles, _SAMPLE - 1).tolist()]
        for number in chosen:
            part, digest = oracle.tile(number)
            row, column = (_TILE * at for at in divmod(number, n // _TILE))
            require_equal("a tile", product[row : row + _TILE, column : column + _TILE], part)
            require_equal("digest of a tile", digests[number].view(np.uint8), digest)
        require_equal("hits", results["hits"], np.array([(digests[:, 0] <= limit).sum()], np.uint32))

    return Plan(
        {"seeds": seeds, **_empty(n, k)},
        step=step,
        work=_work(n, k),
        check=check,
        setup=(noise(_SEEDS, n * k, "a"), noise(_SEEDS + 1, n * k, "b")),
    )


WORKLOADS: Final = (
    define(
        "tilepow-native",
        "tilepow",
        "Noisy int8 products on tensor cores whose tiles are folded and hashed, in CUDA C (proof of useful work)",
        build_plan,
        bound="tensor",
        parameters=(
            Parameter("n", "", 64, 1 << 15, "rows of both operands", power_of_two=True),
            Parameter("k", "", 128, 1 << 15, "inner columns", power_of_two=True),
        ),
        small={"n": 64, "k": 256},
        gpu={"n": 8192, "k": 8192},
        unit="product",
    ),
)
