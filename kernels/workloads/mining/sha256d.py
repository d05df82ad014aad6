"""SHA-256 twice over a header of 80 bytes, from a midstate (FIPS 180-4; Bitcoin's developer reference).

The first block of the header does not hold the nonce and is compressed on the host. Nothing but
arithmetic: what a miner reads is the midstate and the rest of the header.
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
from hashwarden.kernels.workloads.mining.search import check_hits, limit_of, no_hits, report
from hashwarden.kernels.workloads.mining.sha256 import sha256_compress, sha256_start, swap_bytes_32
from hashwarden.kernels.workloads.plan import Arrays, Launch, Plan, Work
from hashwarden.kernels.workloads.workload import Parameter, Settings, Workload

__all__ = ["WORKLOADS", "build_plan", "midstate", "search"]

_OPS: Final = 2 * 1_650
"""Integer instructions of a hash: 17 a round, 11 a word of the message schedule, twice."""


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


WORKLOADS: Final = (
    Workload(
        name="sha256d",
        label="mining",
        family="sha256d",
        bound="integer",
        summary="SHA-256 twice over an 80-byte header, from its midstate (FIPS 180-4)",
        unit="hash",
        parameters=(
            Parameter("threads", "threads", 1, 1 << 26, "threads of a launch"),
            Parameter("nonces_each", "hashes", 1, 1 << 16, "nonces that a thread tries"),
            Parameter("hits", "hashes", 1, 1 << 16, "expected hits of a step"),
        ),
        sizes={
            "small": {"threads": 64, "nonces_each": 2, "hits": 8},
            "trace": {"threads": 1 << 14, "nonces_each": 8, "hits": 256},
            "gpu": {"threads": 1 << 20, "nonces_each": 64, "hits": 256},
        },
        build=build_plan,
    ),
)
