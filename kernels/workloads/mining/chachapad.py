"""Scratchpad hash of the Xelis kind: ChaCha8 fills a pad, a walk of 64-bit words through it, BLAKE3.

In the manner of XelisHash (xelis-project/xelis-hash), in three launches: streams of ChaCha8, each keyed by
the BLAKE3 of the key before it, fill the pad of a hash; a walk reads two words at places that the words
before them decide and one in order, combines them by one of eight operations (products, a division, a
square root, a rotation, and so on), and writes one back; BLAKE3 of the last 1,024 bytes ends it. It is not
XelisHash to the letter: no AES, and the choice of operations is our own. Each hash has one thread and its
own pad.
"""

# ruff: noqa: ANN401, PLR0911, PLR0913, PLR0917  bodies take arrays, and many of them

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from hashwarden.errors import UsageError
from hashwarden.kernels.device import device, local_array, rotate_left_32, rotate_left_64
from hashwarden.kernels.memory.recorder import begin, load, store
from hashwarden.kernels.workloads.mining import oracles_chachapad
from hashwarden.kernels.workloads.mining.blake3 import CHUNK_END, CHUNK_START, ROOT, blake3_compress, blake3_start
from hashwarden.kernels.workloads.mining.scratchpad import high_product
from hashwarden.kernels.workloads.plan import Arrays, Empty, Launch, Plan, Work, require_equal
from hashwarden.kernels.workloads.workload import Parameter, Settings, Workload

__all__ = ["WORKLOADS", "build_plan", "chacha8", "whole_root"]

STREAMS: Final = 4
BLOCK_WORDS: Final = 8  # of 64 bits, in a block of ChaCha
PAIR: Final = 2  # words of an access of 16 bytes
DIGESTED_WORDS: Final = 128
SEED: Final = bytes(range(32))
_WORDS_32: Final = np.uint64(0xFFFFFFFF)
_ONE: Final = np.uint64(1)
_SAMPLE: Final = 2


@device
def _quarter(x: Any, a: Any, b: Any, c: Any, d: Any) -> None:
    x[a] = np.uint32(x[a] + x[b])
    x[d] = rotate_left_32(x[d] ^ x[a], 16)
    x[c] = np.uint32(x[c] + x[d])
    x[b] = rotate_left_32(x[b] ^ x[c], 12)
    x[a] = np.uint32(x[a] + x[b])
    x[d] = rotate_left_32(x[d] ^ x[a], 8)
    x[c] = np.uint32(x[c] + x[d])
    x[b] = rotate_left_32(x[b] ^ x[c], 7)


@device
def chacha8(start: Any, x: Any) -> None:
    """Compute the block that the state ``start``, uint32[16], stands for in ``x``, uint32[16] (RFC 8439, 8 rounds)."""
    for i in range(16):
        x[i] = start[i]
    for _ in range(4):
        for i in range(4):
            _quarter(x, i, 4 + i, 8 + i, 12 + i)
        for i in range(4):
            _quarter(x, i, 4 + ((i + 1) & 3), 8 + ((i + 2) & 3), 12 + ((i + 3) & 3))
    for i in range(16):
        x[i] = np.uint32(x[i] + start[i])


@device
def _next_key(start: Any, cv: Any, block: Any, scratch: Any) -> None:
    """Replace the key in a ChaCha state by its BLAKE3."""
    blake3_start(cv)
    for i in range(8):
        block[i], block[8 + i] = start[4 + i], np.uint32(0)
    blake3_compress(cv, block, scratch, np.uint64(0), 32, CHUNK_START + CHUNK_END + ROOT)
    for i in range(8):
        start[4 + i] = cv[i]


@device
def fill(thread: Any, log: Any, seed: Any, pads: Any, first: Any, words: Any) -> None:
    """Fill pad ``thread``, of ``words`` words, for nonce ``first + thread``."""
    t = begin(log, thread)
    start, x = local_array(16, np.uint32), local_array(16, np.uint32)
    cv, block = local_array(8, np.uint32), local_array(16, np.uint32)
    scratch = local_array(32, np.uint32)
    start[0], start[1] = np.uint32(0x61707865), np.uint32(0x3320646E)
    start[2], start[3] = np.uint32(0x79622D32), np.uint32(0x6B206574)
    for i in range(8):
        t = load(log, t, 0, 0, i)
        start[4 + i] = seed[i]
    start[13], start[14], start[15] = np.uint32(np.uint32(first) + np.uint32(thread)), np.uint32(0), np.uint32(0)
    at = words * np.int64(thread)
    for _ in range(STREAMS):
        _next_key(start, cv, block, scratch)
        for counter in range(words // (STREAMS * BLOCK_WORDS)):
            start[12] = np.uint32(counter)
            chacha8(start, x)
            for pair in range(0, BLOCK_WORDS, PAIR):
                t = store(log, t, 1, 1, at, 0, PAIR)
                for i in range(PAIR):
                    low, high = np.uint64(x[2 * (pair + i)]), np.uint64(x[2 * (pair + i) + 1])
                    pads[at + i] = low | (high << np.uint64(32))
                at += PAIR
        start[14], start[15] = x[0], x[15]


@device
def whole_root(x: Any) -> Any:
    """Square root of a uint64, rounded down: the floating one, corrected."""
    wide = np.uint64(x)
    root = np.uint64(min(math.sqrt(np.float64(wide)), 4294967295.0))
    while np.uint64(root * root) > wide:
        root = np.uint64(root - _ONE)
    while root < _WORDS_32 and np.uint64(np.uint64(root + _ONE) * np.uint64(root + _ONE)) <= wide:
        root = np.uint64(root + _ONE)
    return root


@device
def _combine(r: Any, x: Any, y: Any, z: Any) -> Any:
    """Do one of eight operations, which the words themselves choose."""
    choice = np.int64((x ^ y ^ r) & np.uint64(7))
    if choice == 0:
        return r ^ np.uint64(np.uint64(x * y) + z)
    if choice == 1:
        return r ^ np.uint64(high_product(x, y) + z)
    if choice == 2:
        return r ^ np.uint64(np.uint64(x // (y | _ONE)) + z)
    if choice == 3:
        return r ^ np.uint64(whole_root(x) * z)
    if choice == 4:
        turn = y & np.uint64(63)
        return r ^ ((x << turn) | (x >> ((np.uint64(64) - turn) & np.uint64(63))))
    if choice == 5:
        return r ^ np.uint64(np.uint64(x % (z | _ONE)) + y)
    if choice == 6:
        return np.uint64(r + ((x & ~y) ^ z))
    return np.uint64(r - (x ^ (y | z)))


@device
def walk(thread: Any, log: Any, pads: Any, results: Any, words: Any, turns: Any) -> None:
    """Walk through pad ``thread``: two dependent reads, one in order, and a write at each word."""
    t = begin(log, thread)
    base, size = words * np.int64(thread), np.uint64(words)
    t = load(log, t, 0, 0, base)
    a = np.uint64(pads[base])
    t = load(log, t, 1, 0, base + words // 2)
    b, r = np.uint64(pads[base + words // 2]), np.uint64(0)
    for turn in range(turns):
        for i in range(words):
            depth = turn * words + i + 1
            at = base + np.int64(a % size)
            t = load(log, t, 2, 0, at, depth)
            x = np.uint64(pads[at])
            at = base + np.int64(b % size)
            t = load(log, t, 3, 0, at, depth)
            y = np.uint64(pads[at])
            t = load(log, t, 4, 0, base + i)
            z = np.uint64(pads[base + i])
            r = rotate_left_64(_combine(r, x, y, z), 1)
            t = store(log, t, 5, 0, base + i)
            pads[base + i] = z ^ r
            a, b = a ^ r, np.uint64(b + (r ^ np.uint64(i)))
    t = store(log, t, 6, 1, thread)
    results[thread] = r


@device
def digest(thread: Any, log: Any, pads: Any, digests: Any, words: Any) -> None:
    """BLAKE3 of the last 1,024 bytes of pad ``thread``."""
    t = begin(log, thread)
    cv, block = local_array(8, np.uint32), local_array(16, np.uint32)
    scratch = local_array(32, np.uint32)
    blake3_start(cv)
    at = words * (np.int64(thread) + 1) - DIGESTED_WORDS
    for number in range(16):
        for pair in range(0, BLOCK_WORDS, PAIR):
            t = load(log, t, 0, 0, at, 0, PAIR)
            for i in range(PAIR):
                block[2 * (pair + i)] = np.uint32(pads[at + i] & _WORDS_32)
                block[2 * (pair + i) + 1] = np.uint32(pads[at + i] >> np.uint64(32))
            at += PAIR
        flags = CHUNK_START if number == 0 else 0
        flags = flags + CHUNK_END + ROOT if number == 15 else flags
        blake3_compress(cv, block, scratch, np.uint64(0), 64, flags)
    for i in range(8):
        t = store(log, t, 1, 1, 8 * thread + i)
        digests[8 * thread + i] = cv[i]


def build_plan(settings: Settings, seed: int) -> Plan:
    """Plan ``hashes`` hashes with pads of ``pad_words`` words; nonces go on from step to step."""
    hashes, words, turns = settings["hashes"], settings["pad_words"], settings["turns"]
    if words % (STREAMS * BLOCK_WORDS):
        raise UsageError(f"pad_words = {words:,}", f"a multiple of {STREAMS * BLOCK_WORDS}", "Choose one.")
    arrays: Arrays = {
        "seed": np.frombuffer(SEED, "<u4").copy(),
        "pads": Empty((hashes * words,), np.uint64),
        "results": Empty((hashes,), np.uint64),
        "digests": Empty((hashes * 8,), np.uint32),
    }

    def step(number: int) -> tuple[Launch, ...]:
        first, size = np.uint32((seed + number * hashes) & 0xFFFFFFFF), np.int64(words)
        return (
            Launch(fill, hashes, ("seed", "pads", first, size)),
            Launch(walk, hashes, ("pads", "results", size, np.int64(turns)), 32),
            Launch(digest, hashes, ("pads", "digests", size)),
        )

    def check(results: Mapping[str, NDArray[Any]]) -> None:
        for chosen in np.random.default_rng(seed).integers(0, hashes, _SAMPLE):
            last, expected = oracles_chachapad.hashed(SEED, (seed + int(chosen)) % 2**32, words, turns)
            require_equal("results", results["results"][chosen : chosen + 1], np.array([last], np.uint64))
            digests = results["digests"][8 * chosen : 8 * chosen + 8]
            require_equal("digests", digests, np.frombuffer(expected, "<u4"))

    return Plan(
        arrays,
        step=step,
        # Two random reads of a sector each; one word in order is read and written.
        work=Work(
            hashes, hashes * words * (8 + turns * (2 * 32 + 16)), int_ops=hashes * words * (4 * 8 * 12 / 8 + turns * 60)
        ),
        check=check,
    )


WORKLOADS: Final = (
    Workload(
        name="chacha-pad",
        label="mining",
        family="scratchpad-chacha",
        bound="latency",
        summary="Scratchpad hash of ChaCha8, 64-bit arithmetic and BLAKE3 (in the manner of XelisHash)",
        unit="hash",
        parameters=(
            Parameter("hashes", "hashes", 1, 1 << 20, "hashes a step, each with a pad of its own"),
            Parameter("pad_words", "words", 128, 1 << 20, "64-bit words of a pad; 69,632 in XelisHash v3"),
            Parameter("turns", "turns", 1, 64, "walks through the pad"),
        ),
        sizes={
            "small": {"hashes": 32, "pad_words": 128, "turns": 1},
            "trace": {"hashes": 96, "pad_words": 8192, "turns": 1},
            "gpu": {"hashes": 4096, "pad_words": 69632, "turns": 1},
        },
        build=build_plan,
    ),
)
