"""A proof of work over the field of 2^64 - 2^32 + 1: a Poseidon2-like permutation twice (Grassi and others, 2023)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from hashwarden.kernels.workloads.native.define import NONCES, define
from hashwarden.kernels.workloads.native.search import NONE, NULL, Search, grid
from hashwarden.kernels.workloads.plan import Empty, NativeLaunch, Plan, Work
from hashwarden.kernels.workloads.workload import Settings

__all__ = ["PERMUTE_OPS", "PRIME", "WIDTH", "WORKLOADS", "Permutation", "build_plan", "constants"]

_SOURCE: Final = "poseidon2_pow"
PRIME: Final = 2**64 - 2**32 + 1
WIDTH: Final = 12
_OUTER: Final = 8
_INNER: Final = 22
_BLOCK: Final = ((5, 7, 1, 3), (4, 6, 1, 1), (1, 3, 5, 7), (1, 1, 4, 6))
_MULTIPLY: Final = 14
"""Integer instructions of a product in the field: four wide products, and the reduction."""
PERMUTE_OPS: Final = (_OUTER * WIDTH + _INNER) * (4 * _MULTIPLY + 4) + _INNER * WIDTH * (_MULTIPLY + 8) + 9 * 60 * 4

Objects = NDArray[np.object_]


class Permutation:
    """The permutation by Python integers, for many states at once."""

    def __init__(self, outer: NDArray[np.uint64], inner: NDArray[np.uint64], diagonal: NDArray[np.uint64]) -> None:
        self._outer, self._inner = outer.astype(object), inner.astype(object)
        self._diagonal, groups = diagonal.astype(object), WIDTH // 4
        self._matrix = np.kron(np.ones((groups, groups), int) + np.eye(groups, dtype=int), _BLOCK).astype(object)

    def __call__(self, states: Objects) -> Objects:
        """Permute states, shape (states, width)."""
        s = self._mixed(states)
        for r in range(_OUTER // 2):
            s = self._mixed((s + self._outer[r]) ** 7 % PRIME)
        for constant in self._inner:
            s[:, 0] = (s[:, 0] + constant) ** 7 % PRIME
            s = (s * self._diagonal + s.sum(axis=1)[:, None]) % PRIME
        for r in range(_OUTER // 2, _OUTER):
            s = self._mixed((s + self._outer[r]) ** 7 % PRIME)
        return s

    def _mixed(self, states: Objects) -> Objects:
        return np.asarray(states @ self._matrix.T % PRIME)


def constants(source: str, seed: int) -> tuple[dict[tuple[str, str], NDArray[np.uint64]], Permutation]:
    """Random round constants: as constant memory of a source, and the permutation with them."""
    random = np.random.default_rng(seed)
    outer, inner, diagonal = (random.integers(0, PRIME, shape, np.uint64) for shape in ((_OUTER, WIDTH), _INNER, WIDTH))
    parts = {"gold::c_outer": outer, "gold::c_inner": inner, "gold::c_diagonal": diagonal}
    return {(source, name): part for name, part in parts.items()}, Permutation(outer, inner, diagonal)


def _sponge(permute: Permutation, header: NDArray[np.uint64], nonces: NDArray[np.uint64]) -> NDArray[np.uint8]:
    state = np.zeros((len(nonces), WIDTH), object)
    state[:, :4] = header.astype(object)
    state[:, 4] = (nonces & np.uint64(2**32 - 1)).astype(object)
    state[:, 5] = (nonces >> np.uint64(32)).astype(object)
    state[:, 8] = 1
    state = permute(state)
    state[:, 4:] = 0
    state[:, 8] = 1
    return permute(state)[:, :4].astype(np.uint64).view(np.uint8).reshape(-1, 32)


def _head(digests: NDArray[np.uint8]) -> NDArray[np.uint64]:
    return np.ascontiguousarray(digests[:, :8]).view("<u8")[:, 0]


def build_plan(settings: Settings, seed: int) -> Plan:
    """Plan a search over ``nonces`` nonces a step, with random round constants."""
    nonces, (symbols, permute) = settings["nonces"], constants(_SOURCE, seed)
    header = np.random.default_rng(seed + 1).integers(0, PRIME, 4, np.uint64)
    search = Search(nonces, lambda span: _sponge(permute, header, span), first=2**32 - 16, head=_head)

    def launch(first: np.uint64, count: int, digests: str | np.uint64, best: str) -> NativeLaunch:
        return NativeLaunch(_SOURCE, "poseidon_search", *grid(count), ("header", first, search.limit, digests, best))

    def check(results: Mapping[str, NDArray[Any]]) -> None:
        search.check_probe(results["digests"])
        search.check_lowest(results["best"])

    return Plan(
        {
            "header": header,
            "digests": Empty((search.probe, 4), np.uint64),
            "best": np.array([NONE]),
            "probe_best": np.array([NONE]),
        },
        step=lambda number: (launch(search.start(number), nonces, NULL, "best"),),
        work=Work(units=nonces, int_ops=nonces * 2 * PERMUTE_OPS),
        check=check,
        setup=(launch(search.start(0), search.probe, "digests", "probe_best"),),
        symbols=symbols,
    )


WORKLOADS: Final = (
    define(
        "poseidon2-native",
        "poseidon2-pow",
        "A Poseidon2-like sponge over the Goldilocks field with a nonce, in CUDA C (Grassi and others 2023)",
        build_plan,
        bound="integer",
        parameters=(NONCES,),
        small={"nonces": 128},
        gpu={"nonces": 1 << 22},
    ),
)
