"""BLAKE3 over a header of several blocks, hashed twice, and BLAKE2b-256 over a header of 80 bytes.

The first is as Alephium's white paper and miner protocol describe it: 24 bytes of nonce before the header,
a chain index in the digest's last byte. Specifications: the BLAKE3 paper, section 2; RFC 7693.
"""

# ruff: noqa: ANN401, PLR0913, PLR0917  bodies take arrays, and many of them

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from hashwarden.kernels.device import device, local_array
from hashwarden.kernels.memory.recorder import begin, load
from hashwarden.kernels.workloads.mining.blake2b import blake2b_compress, blake2b_start
from hashwarden.kernels.workloads.mining.blake3 import CHUNK_END, CHUNK_START, ROOT, blake3_compress, blake3_start
from hashwarden.kernels.workloads.mining.search import check_hits, limit_of, no_hits, report, swap_bytes_64
from hashwarden.kernels.workloads.plan import Arrays, Launch, Plan, Work
from hashwarden.kernels.workloads.workload import Parameter, Settings, Workload

__all__ = ["WORKLOADS", "blake2b_search", "blake3_search", "build_blake2b", "build_blake3"]

_OPS3: Final = 700
_OPS2B: Final = 96 * 26
"""Integer instructions of a compression: 56 mixings of 12 and a few; 96 mixings of 26 on halves of 32 bits."""

_CHAINS: Final = np.uint64(15)


@device
def blake3_search(
    thread: Any, log: Any, header: Any, found: Any, first: Any, each: Any, size: Any, chain: Any, limit: Any
) -> None:
    """Hash ``each`` nonces in front of a header of ``size`` bytes with them, twice; keep hits of one chain.

    The header is read again for every nonce, as by a miner that has no registers for it.
    """
    t = begin(log, thread)
    cv, m, scratch = local_array(8, np.uint32), local_array(16, np.uint32), local_array(32, np.uint32)
    blocks = (size + 63) // 64
    for n in range(each):
        nonce = np.uint64(first + np.uint64(thread * each + n))
        blake3_start(cv)
        for block in range(blocks):
            for i in range(16):
                t = load(log, t, 0, 0, 16 * block + i)
                m[i] = header[16 * block + i]
            flags, length = 0, 64
            if block == 0:
                m[0], m[1] = np.uint32(nonce & np.uint64(0xFFFFFFFF)), np.uint32(nonce >> np.uint64(32))
                flags = CHUNK_START
            if block == blocks - 1:
                flags, length = flags | CHUNK_END | ROOT, size - 64 * block
            blake3_compress(cv, m, scratch, np.uint64(0), length, flags)
        for i in range(8):
            m[i], m[8 + i] = cv[i], np.uint32(0)
        blake3_start(cv)
        blake3_compress(cv, m, scratch, np.uint64(0), 32, CHUNK_START | CHUNK_END | ROOT)
        if (np.uint64(cv[7]) >> np.uint64(24)) & _CHAINS == np.uint64(chain):
            head = swap_bytes_64((np.uint64(cv[1]) << np.uint64(32)) | np.uint64(cv[0]))
            t = report(log, t, 1, 1, found, nonce, head, limit)


@device
def blake2b_search(thread: Any, log: Any, header: Any, found: Any, first: Any, each: Any, limit: Any) -> None:
    """Hash ``each`` nonces, which are the fifth word of a header of ten words."""
    t = begin(log, thread)
    h, m, v = local_array(8, np.uint64), local_array(16, np.uint64), local_array(16, np.uint64)
    for i in range(10):
        t = load(log, t, 0, 0, i)
        m[i] = header[i]
    for i in range(10, 16):
        m[i] = np.uint64(0)
    for n in range(each):
        nonce = np.uint64(first + np.uint64(thread * each + n))
        m[4] = nonce
        blake2b_start(h, 32, np.uint64(0), np.uint64(0))
        blake2b_compress(h, m, v, np.uint64(80), 1)
        t = report(log, t, 1, 1, found, nonce, swap_bytes_64(h[0]), limit)


def build_blake3(settings: Settings, seed: int) -> Plan:
    """Plan a search of BLAKE3 twice over ``header_bytes`` bytes, nonce included."""
    from blake3 import blake3

    threads, each, size = settings["threads"], settings["nonces_each"], settings["header_bytes"]
    hashes, blocks, chain = threads * each, -(-size // 64), seed % 16
    header = bytes(24) + np.random.default_rng(seed).bytes(size - 24)
    limit = limit_of(settings["hits"] * 16, hashes)
    arrays: Arrays = {
        "header": np.frombuffer(header.ljust(64 * blocks, b"\0"), "<u4").astype(np.uint32),
        "found": no_hits(),
    }

    def head_of(nonce: int) -> int:
        digest = blake3(blake3(nonce.to_bytes(24, "little") + header[24:]).digest()).digest()
        return int.from_bytes(digest[:8], "big") if digest[31] & 15 == chain else 1 << 64

    def check(results: Mapping[str, NDArray[Any]]) -> None:
        check_hits(results["found"], 0, hashes, int(limit), head_of)

    def step(number: int) -> tuple[Launch, ...]:
        scalars = (np.uint64(number * hashes), np.int64(each), np.int64(size), np.uint64(chain), limit)
        return (Launch(blake3_search, threads, ("header", "found", *scalars)),)

    return Plan(arrays, step, Work(units=hashes, int_ops=hashes * (blocks + 1) * _OPS3), check)


def build_blake2b(settings: Settings, seed: int) -> Plan:
    """Plan a search of BLAKE2b-256 over a header of 80 bytes."""
    threads, each = settings["threads"], settings["nonces_each"]
    hashes = threads * each
    header, limit = np.random.default_rng(seed).bytes(80), limit_of(settings["hits"], hashes)
    arrays: Arrays = {"header": np.frombuffer(header, "<u8").astype(np.uint64), "found": no_hits()}

    def head_of(nonce: int) -> int:
        text = header[:32] + nonce.to_bytes(8, "little") + header[40:]
        return int.from_bytes(hashlib.blake2b(text, digest_size=32).digest()[:8], "big")

    def check(results: Mapping[str, NDArray[Any]]) -> None:
        check_hits(results["found"], 0, hashes, int(limit), head_of)

    def step(number: int) -> tuple[Launch, ...]:
        scalars = (np.uint64(number * hashes), np.int64(each), limit)
        return (Launch(blake2b_search, threads, ("header", "found", *scalars)),)

    return Plan(arrays, step, Work(units=hashes, int_ops=hashes * _OPS2B), check)


_PARAMETERS: Final = (
    Parameter("threads", "threads", 1, 1 << 26, "threads of a launch"),
    Parameter("nonces_each", "hashes", 1, 1 << 16, "nonces that a thread tries"),
    Parameter("hits", "hashes", 1, 1 << 12, "expected hits of a step"),
)

WORKLOADS: Final = (
    Workload(
        name="blake3-blocks",
        label="mining",
        family="blake3",
        bound="integer",
        summary="BLAKE3 over a nonce and a header of several blocks, twice (the BLAKE3 paper; Alephium's use of it)",
        unit="hash",
        parameters=(*_PARAMETERS, Parameter("header_bytes", "bytes", 32, 1024, "header with its nonce of 24 bytes")),
        sizes={
            "small": {"threads": 64, "nonces_each": 2, "hits": 8, "header_bytes": 150},
            "trace": {"threads": 1 << 11, "nonces_each": 8, "hits": 64, "header_bytes": 326},
            "gpu": {"threads": 1 << 19, "nonces_each": 64, "hits": 64, "header_bytes": 326},
        },
        build=build_blake3,
    ),
    Workload(
        name="blake2b-256",
        label="mining",
        family="blake2b",
        bound="integer",
        summary="BLAKE2b-256 over a header of 80 bytes with its nonce in the middle (RFC 7693)",
        unit="hash",
        parameters=_PARAMETERS,
        sizes={
            "small": {"threads": 64, "nonces_each": 4, "hits": 16},
            "trace": {"threads": 1 << 14, "nonces_each": 8, "hits": 256},
            "gpu": {"threads": 1 << 20, "nonces_each": 64, "hits": 256},
        },
        build=build_blake2b,
    ),
)
