"""SHA-256 twice over a header of 80 bytes, from a midstate, and SHA-512/256 twice (FIPS 180-4).

The header is Bitcoin's (its developer reference). For SHA-256 its first block does not hold the nonce and is
compressed on the host; a block of SHA-512 holds it whole. Nothing but arithmetic: what a miner reads is the
midstate or the header.
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
from hashwarden.kernels.workloads.mining.search import check_hits, limit_of, no_hits, report, swap_bytes_64
from hashwarden.kernels.workloads.mining.sha256 import sha256_compress, sha256_start, swap_bytes_32
from hashwarden.kernels.workloads.mining.sha512 import sha512_256_start, sha512_compress
from hashwarden.kernels.workloads.plan import Arrays, Launch, Plan, Work
from hashwarden.kernels.workloads.workload import Parameter, Settings, Workload

__all__ = ["WORKLOADS", "build_plan", "build_plan_512", "midstate", "search", "search_512"]

_OPS: Final = 2 * 1_650
"""Integer instructions of a hash: 17 a round, 11 a word of the message schedule, twice."""

_OPS_512: Final = 2 * (80 * 36 + 64 * 24)
"""The same on halves of 32 bits: 36 a round, 24 a word of the message schedule."""


@device
def _pad(w: Any, used: Any, bits: Any) -> None:
    """End the message behind ``used`` words of its last block."""
    for i in range(used, 15):
        w[i] = np.uint32(0)
    w[used] = np.uint32(0x80000000)
    w[15] = np.uint32(bits)


@device
def search(thread: Any, log: Any, middle: Any, tail: Any, found: Any, first: Any, each: Any, limit: Any) -> None:
    """Hash ``each`` nonces: ``middle`` is the midstate, ``tail`` are the three words before the nonce."""
    t = begin(log, thread)
    start, rest = local_array(8, np.uint32), local_array(3, np.uint32)
    h, w = local_array(8, np.uint32), local_array(16, np.uint32)
    for i in range(8):
        t = load(log, t, 0, 0, i)
        start[i] = middle[i]
    for i in range(3):
        t = load(log, t, 1, 1, i)
        rest[i] = tail[i]
    for n in range(each):
        nonce = np.uint64(first + np.uint64(thread * each + n))
        for i in range(8):
            h[i] = start[i]
        w[0], w[1], w[2], w[3] = rest[0], rest[1], rest[2], np.uint32(nonce & np.uint64(0xFFFFFFFF))
        _pad(w, 4, 640)
        sha256_compress(h, w)
        for i in range(8):
            w[i] = h[i]
        _pad(w, 8, 256)
        sha256_start(h)
        sha256_compress(h, w)
        head = (np.uint64(swap_bytes_32(h[7])) << np.uint64(32)) | np.uint64(swap_bytes_32(h[6]))
        t = report(log, t, 2, 2, found, nonce, head, limit)


@device
def _pad_512(w: Any, used: Any, bits: Any) -> None:
    """End the message behind ``used`` words of its last block."""
    for i in range(used, 15):
        w[i] = np.uint64(0)
    w[used] = np.uint64(0x8000000000000000)
    w[15] = np.uint64(bits)


@device
def search_512(thread: Any, log: Any, header: Any, found: Any, first: Any, each: Any, limit: Any) -> None:
    """Hash ``each`` nonces, which are the last 4 bytes of the header's ten words."""
    t = begin(log, thread)
    words, h, w = local_array(10, np.uint64), local_array(8, np.uint64), local_array(16, np.uint64)
    for i in range(10):
        t = load(log, t, 0, 0, i)
        words[i] = header[i]
    for n in range(each):
        nonce = np.uint64(first + np.uint64(thread * each + n))
        for i in range(10):
            w[i] = words[i]
        w[9] |= np.uint64(nonce & np.uint64(0xFFFFFFFF))
        _pad_512(w, 10, 640)
        sha512_256_start(h)
        sha512_compress(h, w)
        for i in range(4):
            w[i] = h[i]
        _pad_512(w, 4, 256)
        sha512_256_start(h)
        sha512_compress(h, w)
        t = report(log, t, 1, 1, found, nonce, swap_bytes_64(h[3]), limit)


def midstate(block: bytes) -> NDArray[np.uint32]:
    """SHA-256's hash value after the first 64 bytes of a message."""
    h, w = np.zeros(8, np.uint32), np.frombuffer(block, ">u4").astype(np.uint32)
    with np.errstate(over="ignore"):
        sha256_start(h)
        sha256_compress(h, w)
    return h


def build_plan(settings: Settings, seed: int) -> Plan:
    """Plan a search of ``threads`` times ``nonces_each`` nonces a step."""
    threads, each = settings["threads"], settings["nonces_each"]
    hashes = threads * each
    header, limit = np.random.default_rng(seed).bytes(76), limit_of(settings["hits"], hashes)
    arrays: Arrays = {
        "middle": midstate(header[:64]),
        "tail": np.frombuffer(header[64:], ">u4").astype(np.uint32),
        "found": no_hits(),
    }

    def head_of(nonce: int) -> int:
        digest = hashlib.sha256(hashlib.sha256(header + (nonce % 2**32).to_bytes(4, "big")).digest()).digest()
        return int.from_bytes(digest[24:], "little")

    def check(results: Mapping[str, NDArray[Any]]) -> None:
        check_hits(results["found"], 0, hashes, int(limit), head_of)

    def step(number: int) -> tuple[Launch, ...]:
        scalars = (np.uint64(number * hashes), np.int64(each), limit)
        return (Launch(search, threads, ("middle", "tail", "found", *scalars)),)

    return Plan(arrays, step, Work(units=hashes, int_ops=hashes * _OPS), check)


def build_plan_512(settings: Settings, seed: int) -> Plan:
    """Plan a search of SHA-512/256 twice over ``threads`` times ``nonces_each`` nonces a step."""
    threads, each = settings["threads"], settings["nonces_each"]
    hashes = threads * each
    header, limit = np.random.default_rng(seed).bytes(76), limit_of(settings["hits"], hashes)
    arrays: Arrays = {"header": np.frombuffer(header + bytes(4), ">u8").astype(np.uint64), "found": no_hits()}

    def head_of(nonce: int) -> int:
        first = hashlib.new("sha512_256", header + (nonce % 2**32).to_bytes(4, "big")).digest()
        return int.from_bytes(hashlib.new("sha512_256", first).digest()[24:], "little")

    def check(results: Mapping[str, NDArray[Any]]) -> None:
        check_hits(results["found"], 0, hashes, int(limit), head_of)

    def step(number: int) -> tuple[Launch, ...]:
        scalars = (np.uint64(number * hashes), np.int64(each), limit)
        return (Launch(search_512, threads, ("header", "found", *scalars)),)

    return Plan(arrays, step, Work(units=hashes, int_ops=hashes * _OPS_512), check)


_PARAMETERS: Final = (
    Parameter("threads", "threads", 1, 1 << 26, "threads of a launch"),
    Parameter("nonces_each", "hashes", 1, 1 << 16, "nonces that a thread tries"),
    Parameter("hits", "hashes", 1, 1 << 16, "expected hits of a step"),
)

WORKLOADS: Final = (
    Workload(
        name="sha256d",
        label="mining",
        family="sha256d",
        bound="integer",
        summary="SHA-256 twice over an 80-byte header, from its midstate (FIPS 180-4)",
        unit="hash",
        parameters=_PARAMETERS,
        sizes={
            "small": {"threads": 64, "nonces_each": 2, "hits": 8},
            "trace": {"threads": 1 << 14, "nonces_each": 8, "hits": 256},
            "gpu": {"threads": 1 << 20, "nonces_each": 64, "hits": 256},
        },
        build=build_plan,
    ),
    Workload(
        name="sha512-256d",
        label="mining",
        family="sha512",
        bound="integer",
        summary="SHA-512/256 twice over an 80-byte header (FIPS 180-4; Radiant's proof of work)",
        unit="hash",
        parameters=_PARAMETERS,
        sizes={
            "small": {"threads": 64, "nonces_each": 1, "hits": 8},
            "trace": {"threads": 1 << 13, "nonces_each": 8, "hits": 256},
            "gpu": {"threads": 1 << 20, "nonces_each": 32, "hits": 256},
        },
        build=build_plan_512,
    ),
)
