"""Autolykos2 (the Ergo white paper and its second version): a table of BLAKE2b digests, 32 gathered and added."""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import blake2b
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from hashwarden.kernels.workloads.native import operations
from hashwarden.kernels.workloads.native.define import NONCES, define
from hashwarden.kernels.workloads.native.search import NULL, Search, grid, header_of
from hashwarden.kernels.workloads.plan import Empty, NativeLaunch, Plan, Work
from hashwarden.kernels.workloads.workload import Parameter, Settings

__all__ = ["WORKLOADS", "build_plan"]

_SOURCE: Final = "autolykos"
_HEIGHT: Final = 614400
_GATHERS: Final = 32
_CONSTANTS: Final = b"".join(number.to_bytes(8, "big") for number in range(1024))


def _blake(text: bytes) -> bytes:
    return blake2b(text, digest_size=32).digest()


def _element(index: int) -> bytes:
    return _blake(index.to_bytes(4, "big") + _HEIGHT.to_bytes(4, "big") + _CONSTANTS)[1:]


def _hash(message: bytes, nonce: bytes, count: int) -> bytes:
    first = int.from_bytes(_blake(message + nonce)[24:], "big") % count
    seed = _blake(_element(first) + message + nonce)
    window = seed + seed[:3]
    indices = (int.from_bytes(window[i : i + 4], "big") % count for i in range(_GATHERS))
    return _blake(sum(int.from_bytes(_element(index), "big") for index in indices).to_bytes(32, "big"))


def build_plan(settings: Settings, seed: int) -> Plan:
    """Plan a search over ``nonces`` nonces a step in a table of ``elements`` numbers."""
    message, nonces, count = header_of(seed, 32), settings["nonces"], settings["elements"]

    def oracle(span: NDArray[np.uint64]) -> NDArray[np.uint8]:
        digests = (_hash(message, int(nonce).to_bytes(8, "big"), count) for nonce in span)
        return np.frombuffer(b"".join(digests), np.uint8).reshape(-1, 32)

    search = Search(nonces, oracle, first=seed << 32)

    def launch(first: np.uint64, threads: int, digests: str | np.uint64, hits: str) -> NativeLaunch:
        limit = search.limit + np.uint64(1)  # the kernel wants less than this
        arguments = (first, np.uint32(count), "table", NULL, limit, digests, hits)
        return NativeLaunch(_SOURCE, "autolykos_mine", *grid(threads, 64), arguments)

    def check(results: Mapping[str, NDArray[Any]]) -> None:
        search.check_probe(results["digests"])
        search.check_hits(results["hits"])

    fill = (np.uint32(_HEIGHT), np.uint32(count), "table")
    return Plan(
        {
            "table": Empty((count, 8), np.uint32),
            "digests": Empty((search.probe, 4), np.uint64),
            "hits": Empty((1,), np.uint32),
            "probe_hits": Empty((1,), np.uint32),
        },
        step=lambda number: (launch(search.start(number), nonces, NULL, "hits"),),
        work=Work(
            units=nonces,
            dram_bytes=nonces * (_GATHERS + 1) * 32,
            int_ops=nonces * (3 * operations.BLAKE2B + _GATHERS * 8),
        ),
        check=check,
        setup=(
            NativeLaunch(_SOURCE, "autolykos_table", *grid(count, 128), fill),
            launch(search.start(0), search.probe, "digests", "probe_hits"),
        ),
        symbols={(_SOURCE, "c_message"): np.frombuffer(message, "<u8")},
    )


WORKLOADS: Final = (
    define(
        "autolykos-native",
        "autolykos",
        "Autolykos2: 32 elements of a table gathered and added a hash, in CUDA C (Ergo)",
        build_plan,
        bound="memory",
        parameters=(
            NONCES,
            Parameter("elements", "elements", 32, 1 << 31, "32-byte elements of the table"),
        ),
        small={"nonces": 64, "elements": 50},
        gpu={"nonces": 1 << 23, "elements": 1 << 26},
    ),
)
