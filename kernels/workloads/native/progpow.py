"""KawPow: ProgPoW (EIP-1057), whose random program changes every period, with Ravencoin's padding.

The program of a new period is written as CUDA C and compiled while the miner runs, as real miners do.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from hashwarden.kernels.workloads.hash.progpow import COINS
from hashwarden.kernels.workloads.native import operations
from hashwarden.kernels.workloads.native.dag import CACHE_ITEMS, build_dag, items, light_cache
from hashwarden.kernels.workloads.native.define import NONCES, define
from hashwarden.kernels.workloads.native.progpow_oracle import Period
from hashwarden.kernels.workloads.native.search import NULL, Search, grid, header_of
from hashwarden.kernels.workloads.plan import Empty, NativeLaunch, Plan, Work
from hashwarden.kernels.workloads.workload import Parameter, Settings

__all__ = ["WORKLOADS", "build_plan"]

_SOURCE: Final = "progpow"
_PAD: Final = "rAVENCOINKAWPOW"
_LOOP_OPS: Final = 16 * (11 * 3 + 18 * 5 + 4 * 2)
"""Integer instructions of one turn of the inner loop over the sixteen lanes of a hash, about."""


def build_plan(settings: Settings, seed: int) -> Plan:
    """Plan a search over ``nonces`` nonces a step; every ``steps_a_period`` steps bring a new program."""
    nonces, pages = settings["nonces"], settings["pages"]
    coin, first_period = "tiny" if settings["tiny"] else "kawpow", seed % 1000 + 1
    header = np.frombuffer(header_of(seed, 32), "<u4")
    pad = np.array([ord(letter) for letter in _PAD], np.uint32)
    cache, counts = light_cache(seed, settings["cache_items"]), COINS[coin]

    def words(index: NDArray[np.uint32]) -> NDArray[np.uint32]:
        return items(cache, index)

    period = Period(counts, first_period, pages, header, pad, words)
    search = Search(nonces, period.digests, first=seed << 32, all_below=128)

    def launch(number: int, count: int, digests: str | np.uint64, hits: str) -> NativeLaunch:
        variant = f"COIN={coin} PERIOD={first_period + number // settings['steps_a_period']}"
        arguments = (search.start(number), search.limit, "dag", np.uint32(pages), digests, hits)
        return NativeLaunch(_SOURCE, "progpow_search", *grid(count), arguments, variant)

    def check(results: Mapping[str, NDArray[Any]]) -> None:
        search.check_probe(results["digests"])
        search.check_hits(results["hits"])

    return Plan(
        {
            "cache": cache,
            "dag": Empty((4 * pages, 16), np.uint32),
            "digests": Empty((search.probe, 8), np.uint32),
            "hits": Empty((1,), np.uint32),
            "probe_hits": Empty((1,), np.uint32),
        },
        step=lambda number: (launch(number, nonces, NULL, "hits"),),
        work=Work(
            units=nonces,
            dram_bytes=nonces * counts.cnt_dag * 256,
            int_ops=nonces * (2 * operations.KECCAK_800 + counts.cnt_dag * _LOOP_OPS),
        ),
        check=check,
        setup=(*build_dag(4 * pages, len(cache)), launch(0, search.probe, "digests", "probe_hits")),
        symbols={(_SOURCE, "c_header"): header, (_SOURCE, "c_pad"): pad},
    )


WORKLOADS: Final = (
    define(
        "kawpow-native",
        "progpow",
        "KawPow: a random program for every period, compiled while it runs, in CUDA C (EIP-1057)",
        build_plan,
        bound="memory",
        parameters=(
            NONCES,
            Parameter("pages", "pages", 64, 1 << 25, "256-byte pages of the table"),
            CACHE_ITEMS,
            Parameter("steps_a_period", "steps", 1, 1 << 20, "steps until the program changes"),
            Parameter("tiny", "", 0, 1, "1 for four turns and a cache of 1 KiB instead of KawPow's counts"),
        ),
        small={"nonces": 32, "pages": 71, "cache_items": 37, "steps_a_period": 1, "tiny": 1},
        gpu={"nonces": 1 << 20, "pages": 8388593, "cache_items": 262139, "steps_a_period": 512, "tiny": 0},
    ),
)
