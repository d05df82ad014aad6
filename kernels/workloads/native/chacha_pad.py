"""A scratchpad hash of the Xelis kind: ChaCha8 fills a pad, 64-bit words are read and written where they say."""

from __future__ import annotations

from collections.abc import Mapping
from math import isqrt
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from hashwarden.kernels.workloads.native import operations
from hashwarden.kernels.workloads.native.chacha_pads import fill_pads
from hashwarden.kernels.workloads.native.define import NONCES, define
from hashwarden.kernels.workloads.native.reference import blake3
from hashwarden.kernels.workloads.native.search import grid, header_of, odds
from hashwarden.kernels.workloads.plan import Empty, NativeLaunch, Plan, Work, require_equal
from hashwarden.kernels.workloads.workload import Parameter, Settings

__all__ = ["WORKLOADS", "build_plan"]

_SOURCE: Final = "chacha_pad"
_STREAMS: Final = 4
_SAMPLE: Final = 8
_M64: Final = 2**64 - 1


def _changed(choice: int, r: int, x: int, y: int, z: int) -> int:
    """One of eight changes of the register."""
    turn = y % 64
    forms = (
        lambda: r ^ (x * y + z & _M64),
        lambda: r ^ ((x * y >> 64) + z & _M64),
        lambda: r ^ (x // (y | 1) + z & _M64),
        lambda: r ^ (isqrt(x) * z & _M64),
        lambda: r ^ (x << turn & _M64 | x >> (64 - turn) % 64),
        lambda: r ^ (x % (z | 1) + y & _M64),
        lambda: r + (x & ~y ^ z) & _M64,
        lambda: r - (x ^ (y | z)) & _M64,
    )
    return forms[choice]()


def _walk(pad: list[int], turns: int) -> int:
    """Change a pad in place, and give the last register."""
    size = len(pad)
    a, b, r = pad[0], pad[size // 2], 0
    for i in list(range(size)) * turns:
        x, y, z = pad[a % size], pad[b % size], pad[i]
        r = _changed((x ^ y ^ r) % 8, r, x, y, z)
        r = r << 1 & _M64 | r >> 63
        pad[i] = z ^ r
        a ^= r
        b = b + (r ^ i) & _M64
    return r


def build_plan(settings: Settings, seed: int) -> Plan:
    """Plan ``nonces`` hashes a step, each with a pad of ``pad_words`` 64-bit words."""
    nonces, words, turns, key = settings["nonces"], settings["pad_words"], settings["turns"], header_of(seed, 32)
    variant, limit = f"PAD_WORDS={words} TURNS={turns} STREAMS={_STREAMS}", np.uint64(2**64 // odds(nonces))

    def step(number: int) -> tuple[NativeLaunch, ...]:
        start, shape = np.uint32(number * nonces % 2**32), grid(nonces, 64)
        return (
            NativeLaunch(_SOURCE, "pad_fill", *shape, ("seed", start, "pads"), variant),
            NativeLaunch(_SOURCE, "pad_walk", *shape, ("pads", "results"), variant),
            NativeLaunch(_SOURCE, "pad_digest", *shape, ("pads", limit, "digests", "hits"), variant),
        )

    def check(results: Mapping[str, NDArray[Any]]) -> None:
        sample = np.arange(0, nonces, max(1, nonces // _SAMPLE))
        pads = [pad.tolist() for pad in fill_pads(key, sample.astype(np.uint32), words, _STREAMS)]
        walked = np.array([_walk(pad, turns) for pad in pads], np.uint64)
        require_equal("results of walks", results["results"][sample], walked)
        ends = np.array([pad[-128:] for pad in pads], np.uint64).view(np.uint8)
        digests = results["digests"]
        require_equal("digests", digests[sample].view(np.uint8), blake3(ends))
        hits = (np.ascontiguousarray(digests[:, 6:]).view("<u8")[:, 0] <= limit).sum()
        require_equal("hits", results["hits"], np.array([hits], np.uint32))

    return Plan(
        {
            "seed": np.frombuffer(key, "<u4"),
            "pads": Empty((nonces, words), np.uint64),
            "results": Empty((nonces,), np.uint64),
            "digests": Empty((nonces, 8), np.uint32),
            "hits": Empty((1,), np.uint32),
        },
        step=step,
        work=Work(
            units=nonces,
            dram_bytes=nonces * words * (8 + turns * (2 * 32 + 16)),
            int_ops=nonces * (words // 8 * operations.CHACHA8 + turns * words * 40 + 16 * operations.BLAKE3),
        ),
        check=check,
    )


WORKLOADS: Final = (
    define(
        "chacha-pad-native",
        "scratchpad-chacha",
        "A ChaCha8-filled pad of 64 KiB a hash, walked word by word, in CUDA C (after XelisHash)",
        build_plan,
        bound="latency",
        parameters=(
            NONCES,
            Parameter("pad_words", "words", 128, 1 << 16, "64-bit words of a pad", power_of_two=True),
            Parameter("turns", "turns", 1, 16, "times that a pad is walked"),
        ),
        small={"nonces": 32, "pad_words": 128, "turns": 2},
        gpu={"nonces": 1 << 14, "pad_words": 1 << 13, "turns": 3},
    ),
)
