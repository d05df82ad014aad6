"""Ethash (appendix J of the Ethereum yellow paper): Keccak, 64 reads of 128 bytes from a large table, Keccak."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from hashwarden.kernels.workloads.native import operations
from hashwarden.kernels.workloads.native.dag import CACHE_ITEMS, build_dag, fnv, items, light_cache
from hashwarden.kernels.workloads.native.define import NONCES, define
from hashwarden.kernels.workloads.native.reference import keccak
from hashwarden.kernels.workloads.native.search import NULL, Search, grid, header_of
from hashwarden.kernels.workloads.plan import Empty, NativeLaunch, Plan, Work
from hashwarden.kernels.workloads.workload import Parameter, Settings

__all__ = ["WORKLOADS", "build_plan"]

_SOURCE: Final = "ethash"
_ACCESSES: Final = 64
_KEPT: Final = 4
"""Hits whose nonces the kernel keeps."""

U32 = NDArray[np.uint32]


def _pages(cache: U32, index: U32) -> U32:
    both = np.stack([2 * index, 2 * index + 1], axis=1).reshape(-1)
    return items(cache, both).reshape(-1, 32)


def _hashimoto(header: bytes, cache: U32, pages: int, nonces: NDArray[np.uint64]) -> NDArray[np.uint8]:
    texts = np.zeros((len(nonces), 40), np.uint8)
    texts[:, :32] = np.frombuffer(header, np.uint8)
    texts[:, 32:] = nonces.astype("<u8").view(np.uint8).reshape(-1, 8)
    seed = keccak(texts, 72, 1, 64)
    first = np.ascontiguousarray(seed).view("<u4")
    mix = np.concatenate([first, first], axis=1)
    for access in range(_ACCESSES):
        index = fnv(first[:, 0] ^ np.uint32(access), mix[:, access % 32]) % np.uint32(pages)
        mix = fnv(mix, _pages(cache, index))
    folded = mix[:, ::4]
    for part in range(1, 4):
        folded = fnv(folded, mix[:, part::4])
    whole = np.concatenate([seed, np.ascontiguousarray(folded).view(np.uint8)], axis=1)
    return keccak(whole, 136, 1, 32)


def build_plan(settings: Settings, seed: int) -> Plan:
    """Plan a search over ``nonces`` nonces a step in a table of ``pages`` pages."""
    header, nonces, pages = header_of(seed, 32), settings["nonces"], settings["pages"]
    cache = light_cache(seed, settings["cache_items"])
    search = Search(nonces, lambda span: _hashimoto(header, cache, pages, span), first=seed << 32, all_below=128)

    def launch(first: np.uint64, count: int, digests: str | np.uint64, found: str) -> NativeLaunch:
        arguments = ("dag", np.uint32(pages), first, digests, f"{found}count", f"{found}winners")
        return NativeLaunch(_SOURCE, "ethash_search", *grid(count, 128), arguments)

    def check(results: Mapping[str, NDArray[Any]]) -> None:
        search.check_probe(results["digests"])
        search.check_hits(results["count"])
        search.check_winners(results["winners"][: int(results["count"][0])])

    return Plan(
        {
            "cache": cache,
            "dag": Empty((2 * pages, 16), np.uint32),
            "digests": Empty((search.probe, 4), np.uint64),
            "count": Empty((1,), np.uint32),
            "winners": Empty((_KEPT,), np.uint64),
            "probe_count": Empty((1,), np.uint32),
            "probe_winners": Empty((_KEPT,), np.uint64),
        },
        step=lambda number: (launch(search.start(number), nonces, NULL, ""),),
        work=Work(
            units=nonces,
            dram_bytes=nonces * _ACCESSES * 128,
            int_ops=nonces * (2 * operations.KECCAK_1600 + _ACCESSES * 32 * 2),
        ),
        check=check,
        setup=(
            *build_dag(2 * pages, len(cache)),
            launch(search.start(0), search.probe, "digests", "probe_"),
        ),
        symbols={
            (_SOURCE, "g_header"): np.frombuffer(header, "<u4").reshape(4, 2),
            (_SOURCE, "g_target"): np.array([search.limit]),
        },
    )


WORKLOADS: Final = (
    define(
        "ethash-native",
        "ethash",
        "Ethash: 64 dependent reads of 128 bytes a hash from a table, in CUDA C (Ethereum yellow paper)",
        build_plan,
        bound="memory",
        parameters=(
            NONCES,
            Parameter("pages", "pages", 32, 1 << 26, "128-byte pages of the table"),
            CACHE_ITEMS,
        ),
        small={"nonces": 64, "pages": 97, "cache_items": 37},
        gpu={"nonces": 1 << 21, "pages": 16777213, "cache_items": 262139},
    ),
)
