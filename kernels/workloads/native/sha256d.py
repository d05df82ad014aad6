"""Double SHA-256 of an 80-byte header, from its midstate (the Bitcoin wiki's block hashing algorithm, FIPS 180-4)."""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha256
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from hashwarden.kernels.workloads.native import operations
from hashwarden.kernels.workloads.native.define import NONCES, define
from hashwarden.kernels.workloads.native.reference import SHA256_IV, sha256_compress
from hashwarden.kernels.workloads.native.search import Search, grid, header_of, last_head
from hashwarden.kernels.workloads.plan import Empty, NativeLaunch, Plan, Work
from hashwarden.kernels.workloads.workload import Settings

__all__ = ["WORKLOADS", "build_plan"]

_SOURCE: Final = "sha256d_midstate"
_VARIANT: Final = "HASHES=4"
_EACH: Final = 4
_LISTED: Final = 32
"""Hits that the kernel keeps."""


def build_plan(settings: Settings, seed: int) -> Plan:
    """Plan a search over ``nonces`` headers a step."""
    header, nonces = header_of(seed, 80), settings["nonces"]

    def oracle(span: NDArray[np.uint64]) -> NDArray[np.uint8]:
        texts = (header[:76] + int(nonce).to_bytes(4, "big") for nonce in span)
        return np.frombuffer(b"".join(sha256(sha256(text).digest()).digest() for text in texts), np.uint8).reshape(
            -1, 32
        )

    search = Search(nonces, oracle, head=last_head, all_below=1 << 17)
    limit = np.uint32(int(search.limit) >> 32)
    blocks, block = grid(nonces // _EACH)

    def check(results: Mapping[str, NDArray[Any]]) -> None:
        search.check_probe(results["digests"].astype(">u4"))
        search.check_hits(results["count"])
        listed = results["found"][: min(_LISTED, int(results["count"][0]))]
        search.check_winners(listed.astype(np.uint64))

    def step(number: int) -> tuple[NativeLaunch, ...]:
        first = np.uint32(int(search.start(number)) % 2**32)
        return (NativeLaunch(_SOURCE, "sha256d_scan", blocks, block, (first, limit, "found", "count"), _VARIANT),)

    return Plan(
        {
            "digests": Empty((search.probe, 8), np.uint32),
            "found": Empty((_LISTED,), np.uint32),
            "count": Empty((1,), np.uint32),
        },
        step=step,
        work=Work(units=nonces, int_ops=nonces * 2 * operations.SHA256),
        check=check,
        setup=(NativeLaunch(_SOURCE, "sha256d_dump", (1,), (search.probe,), (np.uint32(0), "digests"), _VARIANT),),
        symbols={
            (_SOURCE, "c_midstate"): np.array(sha256_compress(SHA256_IV, header[:64]), np.uint32),
            (_SOURCE, "c_tail"): np.frombuffer(header[64:76], ">u4").astype(np.uint32),
        },
    )


WORKLOADS: Final = (
    define(
        "sha256d-native",
        "sha256d",
        "Double SHA-256 of a block header from its midstate, in CUDA C (FIPS 180-4)",
        build_plan,
        bound="integer",
        parameters=(NONCES,),
        small={"nonces": 256},
        gpu={"nonces": 1 << 26},
    ),
)
