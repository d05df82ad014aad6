"""SHA3-256 three times, and Keccak-256 once, over a short header (FIPS 202; Tari's RFC-0131 for the first).

Nothing but arithmetic on 25 lanes of 64 bits: what a miner reads is the header.
"""

# ruff: noqa: ANN401, PLR0913, PLR0917  bodies take arrays, and many of them

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from hashwarden.kernels.device import device, local_array
from hashwarden.kernels.memory.recorder import begin, load
from hashwarden.kernels.workloads.mining.keccak import keccak_f1600
from hashwarden.kernels.workloads.mining.search import check_hits, limit_of, no_hits, report, swap_bytes_64
from hashwarden.kernels.workloads.plan import Arrays, Launch, Plan, Work
from hashwarden.kernels.workloads.workload import Parameter, Settings, Workload

__all__ = ["WORKLOADS", "build_keccak", "build_sha3x", "keccak_search", "sha3x_search"]

_OPS: Final = 24 * 190
"""Integer instructions of a permutation: 190 a round, on halves of 32 bits."""

_SHA3_PAD, _KECCAK_PAD, _LAST = np.uint64(6), np.uint64(1), np.uint64(1 << 63)
_WORDS: Final = 5


@device
def _pad(state: Any, used: Any, suffix: Any) -> None:
    """End a message of ``used`` lanes at the rate of 256 bits of digest, and clear the rest."""
    for i in range(used, 25):
        state[i] = np.uint64(0)
    state[used] = suffix
    state[16] ^= _LAST


@device
def sha3x_search(thread: Any, log: Any, header: Any, found: Any, first: Any, each: Any, limit: Any) -> None:
    """Hash ``each`` nonces three times; the header's last word holds one byte and the padding."""
    t = begin(log, thread)
    words, state = local_array(_WORDS, np.uint64), local_array(25, np.uint64)
    for i in range(_WORDS):
        t = load(log, t, 0, 0, i)
        words[i] = header[i]
    for n in range(each):
        nonce = np.uint64(first + np.uint64(thread * each + n))
        state[0] = nonce
        for i in range(_WORDS):
            state[1 + i] = words[i]
        _pad(state, 6, np.uint64(0))
        keccak_f1600(state)
        for _ in range(2):
            _pad(state, 4, _SHA3_PAD)
            keccak_f1600(state)
        t = report(log, t, 1, 1, found, nonce, swap_bytes_64(state[0]), limit)


@device
def keccak_search(thread: Any, log: Any, header: Any, found: Any, first: Any, each: Any, limit: Any) -> None:
    """Hash ``each`` nonces that follow a header of 40 bytes."""
    t = begin(log, thread)
    words, state = local_array(_WORDS, np.uint64), local_array(25, np.uint64)
    for i in range(_WORDS):
        t = load(log, t, 0, 0, i)
        words[i] = header[i]
    for n in range(each):
        nonce = np.uint64(first + np.uint64(thread * each + n))
        for i in range(_WORDS):
            state[i] = words[i]
        state[5] = nonce
        _pad(state, 6, _KECCAK_PAD)
        keccak_f1600(state)
        t = report(log, t, 1, 1, found, nonce, swap_bytes_64(state[0]), limit)


def _sha3x_head(header: bytes, nonce: int) -> int:
    digest = nonce.to_bytes(8, "little") + header
    for _ in range(3):
        digest = hashlib.sha3_256(digest).digest()
    return int.from_bytes(digest[:8], "big")


def _keccak_head(header: bytes, nonce: int) -> int:
    from Crypto.Hash import keccak

    digest = keccak.new(data=header + nonce.to_bytes(8, "little"), digest_bits=256).digest()
    return int.from_bytes(digest[:8], "big")


def _plan(settings: Settings, words: bytes, body: Any, rounds: int, head_of: Callable[[int], int]) -> Plan:
    threads, each = settings["threads"], settings["nonces_each"]
    hashes = threads * each
    limit = limit_of(settings["hits"], hashes)
    arrays: Arrays = {"header": np.frombuffer(words, "<u8").astype(np.uint64), "found": no_hits()}

    def check(results: Mapping[str, NDArray[Any]]) -> None:
        check_hits(results["found"], 0, hashes, int(limit), head_of)

    def step(number: int) -> tuple[Launch, ...]:
        return (Launch(body, threads, ("header", "found", np.uint64(number * hashes), np.int64(each), limit)),)

    return Plan(arrays, step, Work(units=hashes, int_ops=hashes * rounds * _OPS), check)


def build_sha3x(settings: Settings, seed: int) -> Plan:
    """Plan a search of SHA3-256 three times over a nonce and a header of 33 bytes."""
    header = np.random.default_rng(seed).bytes(33)
    return _plan(settings, header + b"\x06" + bytes(6), sha3x_search, 3, partial(_sha3x_head, header))


def build_keccak(settings: Settings, seed: int) -> Plan:
    """Plan a search of Keccak-256 over a header of 40 bytes and a nonce."""
    header = np.random.default_rng(seed).bytes(40)
    return _plan(settings, header, keccak_search, 1, partial(_keccak_head, header))


_PARAMETERS: Final = (
    Parameter("threads", "threads", 1, 1 << 26, "threads of a launch"),
    Parameter("nonces_each", "hashes", 1, 1 << 16, "nonces that a thread tries"),
    Parameter("hits", "hashes", 1, 1 << 16, "expected hits of a step"),
)

WORKLOADS: Final = (
    Workload(
        name="sha3x",
        label="mining",
        family="keccak",
        bound="integer",
        summary="SHA3-256 three times over a nonce and a header of 33 bytes (FIPS 202)",
        unit="hash",
        parameters=_PARAMETERS,
        sizes={
            "small": {"threads": 64, "nonces_each": 2, "hits": 16},
            "trace": {"threads": 1 << 13, "nonces_each": 8, "hits": 256},
            "gpu": {"threads": 1 << 19, "nonces_each": 32, "hits": 256},
        },
        build=build_sha3x,
    ),
    Workload(
        name="keccak-256",
        label="mining",
        family="keccak",
        bound="integer",
        summary="Keccak-256 with the original padding over a header of 40 bytes and a nonce (Keccak reference 3.0)",
        unit="hash",
        parameters=_PARAMETERS,
        sizes={
            "small": {"threads": 96, "nonces_each": 2, "hits": 16},
            "trace": {"threads": 1 << 14, "nonces_each": 8, "hits": 256},
            "gpu": {"threads": 1 << 20, "nonces_each": 32, "hits": 256},
        },
        build=build_keccak,
    ),
)
