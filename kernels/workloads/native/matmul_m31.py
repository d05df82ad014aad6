"""A proof of work by matrix products over 2^31 - 1: rank-8 noise a nonce, the product, SHA-256 of every tile."""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha256
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from hashwarden.kernels.workloads.native import operations
from hashwarden.kernels.workloads.native.define import define
from hashwarden.kernels.workloads.native.search import grid, header_of
from hashwarden.kernels.workloads.plan import Arrays, Empty, NativeLaunch, Plan, Work, require_equal
from hashwarden.kernels.workloads.workload import Parameter, Settings

__all__ = ["WORKLOADS", "build_plan"]

_SOURCE: Final = "matmul_m31"
_PRIME: Final = 2**31 - 1
_TILE: Final = 16
_RANK: Final = 8
_NONCES: Final = 64
"""Nonces, one a step, before they come again."""
_ODDS: Final = 64
_SAMPLE: Final = 4

Objects = NDArray[np.object_]


def _element(seed: bytes, index: int) -> int:
    attempt = 0
    while True:
        words = (
            np.frombuffer(seed, "<u4").astype(">u4").tobytes() + index.to_bytes(4, "big") + attempt.to_bytes(4, "big")
        )
        candidate = int.from_bytes(sha256(words).digest()[:4], "big") & _PRIME
        if candidate < _PRIME:
            return candidate
        attempt += 1


def _matrix(seed: bytes, rows: range, columns: range, width: int) -> Objects:
    """Part of a matrix of ``width`` columns."""
    return np.array([[_element(seed, r * width + c) for c in columns] for r in rows], object)


class _Oracle:
    """Tiles of the product for the first nonce."""

    def __init__(
        self, seeds: NDArray[np.uint32], n: int, weights: NDArray[np.uint32], nonce: NDArray[np.uint32]
    ) -> None:
        self._a, self._b, self._left, self._right = (row.tobytes() for row in seeds[[-2, -1, 0, 1]])
        self._n, self._weights, self._nonce = n, weights.astype(object), nonce

    def tile(self, row: int, column: int) -> Objects:
        rows, columns = (range(_TILE * at, _TILE * (at + 1)) for at in (row, column))
        every, rank = range(self._n), range(_RANK)
        noise = _matrix(self._left, rows, rank, _RANK) @ _matrix(self._right, rank, every, self._n)
        a = (_matrix(self._a, rows, every, self._n) + noise) % _PRIME
        return np.asarray(a @ _matrix(self._b, every, columns, self._n) % _PRIME)

    def digest(self, row: int, column: int) -> NDArray[np.uint32]:
        compressed = self.tile(row, column) @ self._weights % _PRIME
        text = np.concatenate([compressed.astype(np.uint32), self._nonce]).astype(">u4").tobytes()
        return np.frombuffer(sha256(text).digest(), ">u4").astype(np.uint32)


def _empty(n: int) -> Arrays:
    """Arrays that the kernels fill."""
    squares = {name: Empty((n, n), np.uint32) for name in ("a", "b", "noised", "product")}
    thin = {name: Empty((n * _RANK,), np.uint32) for name in ("left", "right")}
    return {**squares, **thin, "digests": Empty(((n // _TILE) ** 2, 8), np.uint32), "hits": Empty((1,), np.uint32)}


def _work(n: int) -> Work:
    hashes = 2 * (n // _TILE) ** 2
    int_ops = n * n * (n * 6 + _RANK * 8 + 4) + hashes * operations.SHA256
    return Work(units=1, dram_bytes=4 * n * n * 5, int_ops=int_ops)


def build_plan(settings: Settings, seed: int) -> Plan:
    """Plan one product of ``n`` by ``n`` matrices a step."""
    n, random = settings["n"], np.random.default_rng(seed)
    seeds = np.frombuffer(header_of(seed, 32 * (2 * _NONCES + 2)), "<u4").reshape(-1, 8)
    weights = random.integers(0, _PRIME, _TILE).astype(np.uint32)
    nonces = np.stack([np.arange(_NONCES), np.full(_NONCES, seed)], axis=1).astype(np.uint32)
    limit, tiles = np.uint32(2**32 // _ODDS), n // _TILE
    oracle = _Oracle(seeds, n, weights, nonces[0])

    def field(which: int, count: int, array: str) -> NativeLaunch:
        return NativeLaunch(_SOURCE, "field_matrix", *grid(count), (f"seeds[{which}]", np.uint32(count), array))

    def step(number: int) -> tuple[NativeLaunch, ...]:
        at, side, wide = number % _NONCES, np.int32(n), min(128, n)
        last = ("product", "weights", side, f"nonces[{at}]", limit, "digests", "hits")
        noise = ("a", "left", "right", side, "noised")
        return (
            field(2 * at, n * _RANK, "left"),
            field(2 * at + 1, n * _RANK, "right"),
            NativeLaunch(_SOURCE, "low_rank_noise", (-(-n // wide), n), (wide, 1), noise),
            NativeLaunch(_SOURCE, "matmul_field", (tiles, tiles), (_TILE, _TILE), ("noised", "b", side, "product")),
            NativeLaunch(_SOURCE, "tile_transcript", *grid(tiles * tiles, 64), last),
        )

    def check(results: Mapping[str, NDArray[Any]]) -> None:
        digests, product = results["digests"], results["product"]
        chosen = [0, *np.random.default_rng(seed + 1).integers(0, tiles * tiles, _SAMPLE - 1).tolist()]
        expected = np.stack([oracle.digest(*divmod(tile, tiles)) for tile in chosen])
        require_equal("digests of tiles", digests[chosen], expected)
        require_equal("a tile", product[:_TILE, :_TILE], oracle.tile(0, 0).astype(np.uint32))
        require_equal("hits", results["hits"], np.array([(digests[:, 0] <= limit).sum()], np.uint32))

    return Plan(
        {"seeds": seeds, "nonces": nonces, "weights": weights, **_empty(n)},
        step=step,
        work=_work(n),
        check=check,
        setup=(field(2 * _NONCES, n * n, "a"), field(2 * _NONCES + 1, n * n, "b")),
    )


WORKLOADS: Final = (
    define(
        "matmul-m31-native",
        "btx-matmul",
        "Products of matrices over 2^31 - 1 with low-rank noise, and SHA-256 of their tiles, in CUDA C",
        build_plan,
        bound="integer",
        parameters=(Parameter("n", "", 32, 16384, "side of the matrices", power_of_two=True),),
        small={"n": 32},
        gpu={"n": 4096},
        unit="product",
    ),
)
