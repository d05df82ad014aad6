"""FishHash (its specification, 2023; used by Iron Fish and Karlsen): BLAKE3 around 32 times three table reads."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from hashwarden.kernels.workloads.native import operations, reference
from hashwarden.kernels.workloads.native.dag import CACHE_ITEMS, fnv, items, light_cache
from hashwarden.kernels.workloads.native.define import NONCES, define
from hashwarden.kernels.workloads.native.search import NONE, NULL, Search, grid, header_of
from hashwarden.kernels.workloads.plan import Empty, NativeLaunch, Plan, Work
from hashwarden.kernels.workloads.workload import Parameter, Settings

__all__ = ["WORKLOADS", "build_plan"]

_SOURCE: Final = "fishhash"
_HEADER: Final = 180
_ACCESSES: Final = 32
_PARENTS: Final = 512
_AT_ONCE: Final = 1 << 20
"""Items built by one launch, so that no launch lasts long."""

U32 = NDArray[np.uint32]


def _rows(cache: U32, index: U32) -> U32:
    both = np.stack([2 * index, 2 * index + 1], axis=1).reshape(-1)
    return items(cache, both, _PARENTS).reshape(-1, 32)


def _wide(words: U32) -> NDArray[np.uint64]:
    return np.ascontiguousarray(words).view("<u8")


def _hash(header: bytes, cache: U32, count: int, nonces: NDArray[np.uint64]) -> NDArray[np.uint8]:
    texts = np.tile(np.frombuffer(header, np.uint8), (len(nonces), 1))
    texts[:, -8:] = nonces.astype("<u8").view(np.uint8).reshape(-1, 8)
    seed = reference.blake3(texts, 64)
    half = np.ascontiguousarray(seed).view("<u4")
    mix = np.concatenate([half, half], axis=1)
    for _ in range(_ACCESSES):
        index = mix[:, [0, 4, 8]] % np.uint32(count)
        first, second, third = _rows(cache, index.T.reshape(-1)).reshape(3, len(nonces), 32)
        product = _wide(first) * _wide(fnv(mix, second)) + _wide(mix ^ third)
        mix = product.view("<u4")
    folded = mix[:, ::4]
    for part in range(1, 4):
        folded = fnv(folded, mix[:, part::4])
    return reference.blake3(np.concatenate([seed, np.ascontiguousarray(folded).view(np.uint8)], axis=1))


def _build(count: int, cache_items: int) -> tuple[NativeLaunch, ...]:
    return tuple(
        NativeLaunch(
            _SOURCE,
            "fish_build",
            *grid(2 * min(_AT_ONCE, count - at), 128),
            ("cache", np.uint32(cache_items), np.uint32(at), np.uint32(min(_AT_ONCE, count - at)), "table"),
        )
        for at in range(0, count, _AT_ONCE)
    )


def build_plan(settings: Settings, seed: int) -> Plan:
    """Plan a search over ``nonces`` nonces a step in a table of ``items`` items of 128 bytes."""
    header, nonces, count = header_of(seed, _HEADER), settings["nonces"], settings["items"]
    cache = light_cache(seed, settings["cache_items"])
    search = Search(
        nonces, lambda span: _hash(header, cache, count, span), first=seed << 32, all_below=256, quick=False
    )

    def launch(first: np.uint64, threads: int, digests: str | np.uint64, best: str) -> NativeLaunch:
        arguments = ("table", np.uint32(count), first, search.limit, digests, best)
        return NativeLaunch(_SOURCE, "fish_search", *grid(threads, 128), arguments)

    def check(results: Mapping[str, NDArray[Any]]) -> None:
        search.check_probe(results["digests"])
        search.check_lowest(results["best"])

    return Plan(
        {
            "cache": cache,
            "table": Empty((count, 32), np.uint32),
            "digests": Empty((search.probe, 8), np.uint32),
            "best": np.array([NONE]),
            "probe_best": np.array([NONE]),
        },
        step=lambda number: (launch(search.start(number), nonces, NULL, "best"),),
        work=Work(
            units=nonces,
            dram_bytes=nonces * _ACCESSES * 3 * 128,
            int_ops=nonces * (5 * operations.BLAKE3 + _ACCESSES * (32 * 3 + 16 * 6)),
        ),
        check=check,
        setup=(*_build(count, len(cache)), launch(search.start(0), search.probe, "digests", "probe_best")),
        symbols={(_SOURCE, "c_header"): np.frombuffer(header.ljust(192, b"\0"), "<u4")},
    )


WORKLOADS: Final = (
    define(
        "fishhash-native",
        "fishhash",
        "FishHash: three reads of 128 bytes 32 times over a hash, in CUDA C (Iron Fish, Karlsen)",
        build_plan,
        bound="memory",
        parameters=(
            NONCES,
            Parameter("items", "items", 16, 1 << 26, "128-byte items of the table"),
            CACHE_ITEMS,
        ),
        small={"nonces": 64, "items": 41, "cache_items": 37},
        gpu={"nonces": 1 << 21, "items": 16777213, "cache_items": 262139},
    ),
)
