"""SHA3-256 three times over a nonce and a 33-byte header, as Tari's SHA3x does (FIPS 202)."""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha3_256
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from hashwarden.kernels.workloads.native import operations
from hashwarden.kernels.workloads.native.define import NONCES, define
from hashwarden.kernels.workloads.native.search import NONE, NULL, Search, grid, header_of
from hashwarden.kernels.workloads.plan import Empty, NativeLaunch, Plan, Work
from hashwarden.kernels.workloads.workload import Settings

__all__ = ["WORKLOADS", "build_plan"]

_SOURCE: Final = "sha3x"
_HEADER: Final = 33
_TIMES: Final = 3


def _thrice(text: bytes) -> bytes:
    for _ in range(_TIMES):
        text = sha3_256(text).digest()
    return text


def build_plan(settings: Settings, seed: int) -> Plan:
    """Plan a search over ``nonces`` nonces a step."""
    header, nonces = header_of(seed, _HEADER), settings["nonces"]
    by_value = np.frombuffer(header.ljust(40, b"\0"), [("word", "<u8", 5)])[0]

    def oracle(span: NDArray[np.uint64]) -> NDArray[np.uint8]:
        digests = (_thrice(int(nonce).to_bytes(8, "little") + header) for nonce in span)
        return np.frombuffer(b"".join(digests), np.uint8).reshape(-1, 32)

    search = Search(nonces, oracle, first=seed << 32)

    def launch(first: np.uint64, count: int, digests: str | np.uint64, best: str) -> NativeLaunch:
        arguments = (by_value, first, search.limit, digests, best)
        return NativeLaunch(_SOURCE, "sha3x_search", *grid(count), arguments)

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
        work=Work(units=nonces, int_ops=nonces * _TIMES * operations.KECCAK_1600),
        check=check,
        setup=(launch(search.start(0), search.probe, "digests", "probe_best"),),
    )


WORKLOADS: Final = (
    define(
        "sha3x-native",
        "keccak",
        "SHA3-256 three times over nonce and header, in CUDA C (Tari SHA3x, FIPS 202)",
        build_plan,
        bound="integer",
        parameters=(NONCES,),
        small={"nonces": 256},
        gpu={"nonces": 1 << 24},
    ),
)
