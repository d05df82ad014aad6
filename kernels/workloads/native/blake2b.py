"""BLAKE2b-256 of an 80-byte header with the nonce in its fifth word, as Sia does (RFC 7693)."""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import blake2b
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from hashwarden.kernels.workloads.native import operations
from hashwarden.kernels.workloads.native.define import NONCES, define
from hashwarden.kernels.workloads.native.search import NONE, NULL, Search, grid, header_of
from hashwarden.kernels.workloads.plan import Empty, NativeLaunch, Plan, Work
from hashwarden.kernels.workloads.workload import Settings

__all__ = ["WORKLOADS", "build_plan"]

_SOURCE: Final = "blake2b_pow"


def build_plan(settings: Settings, seed: int) -> Plan:
    """Plan a search over ``nonces`` nonces a step."""
    header, nonces = header_of(seed, 80), settings["nonces"]

    def oracle(span: NDArray[np.uint64]) -> NDArray[np.uint8]:
        texts = (header[:32] + int(nonce).to_bytes(8, "little") + header[40:] for nonce in span)
        return np.frombuffer(b"".join(blake2b(text, digest_size=32).digest() for text in texts), np.uint8).reshape(
            -1, 32
        )

    search = Search(nonces, oracle, first=seed << 32)

    def launch(first: np.uint64, count: int, digests: str | np.uint64, best: str) -> NativeLaunch:
        return NativeLaunch(_SOURCE, "blake2b_search", *grid(count), (first, search.limit, digests, best))

    def check(results: Mapping[str, NDArray[Any]]) -> None:
        search.check_probe(results["digests"])
        search.check_lowest(results["best"])

    return Plan(
        {
            "digests": Empty((search.probe, 4), np.uint64),
            "best": np.array([NONE]),
            "probe_best": np.array([NONE]),
        },
        step=lambda number: (launch(search.start(number), nonces, NULL, "best"),),
        work=Work(units=nonces, int_ops=nonces * operations.BLAKE2B),
        check=check,
        setup=(launch(search.start(0), search.probe, "digests", "probe_best"),),
        symbols={(_SOURCE, "c_header"): np.frombuffer(header, "<u8")},
    )


WORKLOADS: Final = (
    define(
        "blake2b-native",
        "blake2b",
        "BLAKE2b-256 of a header with a nonce, in CUDA C (RFC 7693)",
        build_plan,
        bound="integer",
        parameters=(NONCES,),
        small={"nonces": 256},
        gpu={"nonces": 1 << 26},
    ),
)
