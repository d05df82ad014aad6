"""Octopus-like (Conflux): a polynomial of 1,024 SipHash words at chained points, and 32 reads of 256 bytes a hash."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from hashwarden.kernels.workloads.native import operations
from hashwarden.kernels.workloads.native.dag import CACHE_ITEMS, build_dag, fnv, items, light_cache
from hashwarden.kernels.workloads.native.define import NONCES, define
from hashwarden.kernels.workloads.native.reference import sip_absorb, sip_finish
from hashwarden.kernels.workloads.native.search import NULL, Search, last_head
from hashwarden.kernels.workloads.plan import Empty, NativeLaunch, Plan, Work
from hashwarden.kernels.workloads.workload import Parameter, Settings

__all__ = ["WORKLOADS", "build_plan"]

_SOURCE: Final = "octopus"
_MODULUS: Final = 1032193
_TERMS: Final = 1024
_READS: Final = 32
_WARPS: Final = 4
"""Hashes of a block, one a warp."""

U32 = NDArray[np.uint32]
U64 = NDArray[np.uint64]


def _sip(keys: list[U64], word: U64) -> U32:
    state = [np.broadcast_to(key, word.shape).copy() for key in keys]
    sip_absorb(state, word)
    value = sip_finish(state)
    return (value ^ value >> np.uint64(32)).astype(np.uint32)


def _points(terms: NDArray[np.int64], point: NDArray[np.int64]) -> NDArray[np.int64]:
    """Values of polynomials, shape (hashes, terms), each at a point of its own, from its powers."""
    powers, step = np.ones((len(point), 1), np.int64), point.copy()
    while powers.shape[1] < terms.shape[1]:
        powers = np.concatenate([powers, powers * step[:, None] % _MODULUS], axis=1)
        step = step * step % _MODULUS
    return np.asarray((terms * powers % _MODULUS).sum(axis=1) % _MODULUS, np.int64)


def _hash(keys: U64, cache: U32, rows: int, nonces: U64) -> NDArray[np.uint8]:
    words = np.asarray(nonces[:, None] * np.uint64(_TERMS) + np.arange(_TERMS, dtype=np.uint64), np.uint64)
    terms = (_sip(list(keys), words) % np.uint32(_MODULUS)).astype(np.int64)
    mix = np.stack([terms[:, :32], terms[:, 32:64]], axis=2).astype(np.uint32)
    point = (nonces % np.uint64(_MODULUS)).astype(np.int64)
    for k in range(_READS):
        value = _points(terms, point)
        index = fnv(value.astype(np.uint32) ^ np.uint32(k), mix[:, k % 32, 0]) % np.uint32(rows)
        parts = index[:, None] * np.uint32(4) + np.arange(4, dtype=np.uint32)
        mix = fnv(mix, items(cache, parts.reshape(-1)).reshape(len(nonces), 32, 2))
        point = (point + value + 1) % _MODULUS
    folded = fnv(mix[:, :, 0], mix[:, :, 1])
    for distance in (16, 8, 4, 2, 1):
        folded = fnv(folded, folded[:, np.arange(32) ^ distance])
    last = [*(np.full(len(nonces), key) for key in keys[:3]), keys[3] ^ folded[:, 0].astype(np.uint64)]
    return _sip(last, nonces).view(np.uint8).reshape(-1, 4)


def build_plan(settings: Settings, seed: int) -> Plan:
    """Plan a search over ``nonces`` nonces a step in a table of ``rows`` rows of 256 bytes."""
    nonces, rows = settings["nonces"], settings["rows"]
    keys = np.random.default_rng(seed).integers(0, 2**64, 4, np.uint64)
    cache = light_cache(seed, settings["cache_items"])
    search = Search(
        nonces, lambda span: _hash(keys, cache, rows, span), head=last_head, first=seed << 32, all_below=128
    )

    def launch(first: np.uint64, count: int, results: str | np.uint64, hits: str) -> NativeLaunch:
        arguments = ("table", np.uint32(rows), first, np.uint32(int(search.limit) >> 32), results, hits)
        return NativeLaunch(_SOURCE, "octopus_warp", (count // _WARPS,), (32 * _WARPS,), arguments)

    def check(results: Mapping[str, NDArray[Any]]) -> None:
        search.check_probe(results["digests"])
        search.check_hits(results["hits"])

    return Plan(
        {
            "cache": cache,
            "table": Empty((4 * rows, 16), np.uint32),
            "digests": Empty((search.probe,), np.uint32),
            "hits": Empty((1,), np.uint32),
            "probe_hits": Empty((1,), np.uint32),
        },
        step=lambda number: (launch(search.start(number), nonces, NULL, "hits"),),
        work=Work(
            units=nonces,
            dram_bytes=nonces * _READS * 256,
            int_ops=nonces * (_TERMS * operations.SIPHASH + _READS * (_TERMS * 8 + 64 * 2)),
        ),
        check=check,
        setup=(
            *build_dag(4 * rows, len(cache), table="table"),
            launch(search.start(0), search.probe, "digests", "probe_hits"),
        ),
        symbols={(_SOURCE, "c_keys"): keys},
    )


WORKLOADS: Final = (
    define(
        "octopus-native",
        "octopus",
        "Octopus-like: a polynomial at chained points and 32 reads of 256 bytes a hash, in CUDA C (Conflux)",
        build_plan,
        bound="memory",
        parameters=(
            NONCES,
            Parameter("rows", "rows", 16, 1 << 25, "256-byte rows of the table"),
            CACHE_ITEMS,
        ),
        small={"nonces": 32, "rows": 71, "cache_items": 37},
        gpu={"nonces": 1 << 19, "rows": 8388593, "cache_items": 262139},
    ),
)
