"""BLAKE3 of one 64-byte block with the nonce in its last eight bytes (the BLAKE3 paper, 2020)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from hashwarden.kernels.workloads.native import operations, reference
from hashwarden.kernels.workloads.native.define import NONCES, define
from hashwarden.kernels.workloads.native.search import NONE, Search, grid, header_of
from hashwarden.kernels.workloads.plan import Empty, NativeLaunch, Plan, Work
from hashwarden.kernels.workloads.workload import Settings

__all__ = ["WORKLOADS", "build_plan"]

_SOURCE: Final = "blake3_nonce"
_VARIANT: Final = "NONCES=4"
_EACH: Final = 4


def build_plan(settings: Settings, seed: int) -> Plan:
    """Plan a search over ``nonces`` nonces a step."""
    header, nonces = header_of(seed, 64), settings["nonces"]

    def oracle(span: NDArray[np.uint64]) -> NDArray[np.uint8]:
        texts = np.tile(np.frombuffer(header, np.uint8), (len(span), 1))
        texts[:, 56:] = span.astype("<u8").view(np.uint8).reshape(-1, 8)
        return reference.blake3(texts)

    search = Search(nonces, oracle, first=seed << 32)

    def check(results: Mapping[str, NDArray[Any]]) -> None:
        search.check_probe(results["digests"])
        search.check_lowest(results["best"])

    def step(number: int) -> tuple[NativeLaunch, ...]:
        arguments = (search.start(number), search.limit, "best")
        return (NativeLaunch(_SOURCE, "blake3_nonce_search", *grid(nonces // _EACH), arguments, _VARIANT),)

    dump = (search.start(0), "digests")
    return Plan(
        {"digests": Empty((search.probe, 8), np.uint32), "best": np.array([NONE])},
        step=step,
        work=Work(units=nonces, int_ops=nonces * operations.BLAKE3),
        check=check,
        setup=(NativeLaunch(_SOURCE, "blake3_nonce_dump", (1,), (search.probe,), dump, _VARIANT),),
        symbols={(_SOURCE, "header"): np.frombuffer(header, "<u4")},
    )


WORKLOADS: Final = (
    define(
        "blake3-native",
        "blake3",
        "BLAKE3 of one block with a nonce, in CUDA C (BLAKE3 paper, 2020)",
        build_plan,
        bound="integer",
        parameters=(NONCES,),
        small={"nonces": 256},
        gpu={"nonces": 1 << 27},
    ),
)
