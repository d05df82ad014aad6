"""Verthash (Vertcoin): SHA3-512 digests of a header give 4,096 places in a 1.2 GB file, folded by FNV-1a."""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha3_256, sha3_512
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from hashwarden.kernels.workloads.native import operations
from hashwarden.kernels.workloads.native.chacha_pads import keys, stream_blocks
from hashwarden.kernels.workloads.native.dag import fnv1a
from hashwarden.kernels.workloads.native.define import NONCES, define
from hashwarden.kernels.workloads.native.launches import fill
from hashwarden.kernels.workloads.native.reference import rotate
from hashwarden.kernels.workloads.native.search import grid, header_of, odds
from hashwarden.kernels.workloads.plan import Empty, NativeLaunch, Plan, Work, require_equal
from hashwarden.kernels.workloads.workload import Parameter, Settings

__all__ = ["WORKLOADS", "build_plan"]

_SOURCE: Final = "verthash"
_OFFSET: Final = np.uint32(0x811C9DC5)
_SAMPLE: Final = 8

U32 = NDArray[np.uint32]


class _File:
    """The file, made on demand: chunks of ChaCha8 output, the number of the chunk as its nonce."""

    def __init__(self, seed: bytes, chunk_words: int) -> None:
        self._key, self._blocks = keys(seed, 1)[0], chunk_words // 8

    def read(self, place: U32) -> U32:
        """Eight words from places of 16 bytes, shape (places, 8)."""
        at = place.astype(np.int64) // 4
        both = np.concatenate([at, at + 1])
        nonce = np.zeros((3, len(both)), np.uint32)
        nonce[0] = both // self._blocks
        blocks = stream_blocks(self._key, (both % self._blocks).astype(np.uint32), nonce)
        wide = np.concatenate([blocks[: len(at)], blocks[len(at) :]], axis=1)
        return np.take_along_axis(wide, (place % 4 * 4).astype(np.int64)[:, None] + np.arange(8), axis=1)


def _hashes(header: bytes, nonces: NDArray[np.int64], file: _File, places: int, rotations: int) -> U32:
    texts = [header[:76] + int(nonce).to_bytes(4, "little") for nonce in nonces]
    stepped = ([bytes([(text[0] + k) % 256]) + text[1:] for k in range(1, 9)] for text in texts)
    seeds = np.stack([np.frombuffer(b"".join(sha3_512(t).digest() for t in eight), "<u4") for eight in stepped])
    p = np.stack([np.frombuffer(sha3_256(text).digest(), "<u4") for text in texts])
    accumulator = np.full(len(nonces), _OFFSET)
    for turn in range(rotations):
        for seek in rotate(seeds, turn).T:
            words = file.read(fnv1a(seek, accumulator) % np.uint32(places))
            p = fnv1a(p, words)
            for word in words.T:
                accumulator = fnv1a(accumulator, word)
    return p


def _fill_file(chunks: int, words: int) -> NativeLaunch:
    block = min(64, chunks & -chunks)  # the kernel asks no thread whether it has a chunk
    shape, variant = ((chunks // block,), (block,)), f"PAD_WORDS={words} STREAMS=1"
    return NativeLaunch("chacha_pad", "pad_fill", *shape, ("key", np.uint32(0), "file"), variant)


def build_plan(settings: Settings, seed: int) -> Plan:
    """Plan ``nonces`` hashes a step over a file of ``chunks`` times ``8 * chunk_words`` bytes."""
    nonces, chunks, words = settings["nonces"], settings["chunks"], settings["chunk_words"]
    rotations, header, key = settings["rotations"], header_of(seed, 80), header_of(seed + 1, 32)
    places = chunks * words // 2 - 1
    file, limit = _File(key, words), np.uint32(2**32 // odds(nonces))
    variant = f"ROTATIONS={rotations}"

    def step(number: int) -> tuple[NativeLaunch, ...]:
        start, shape = np.uint32(number * nonces % 2**32), grid(8 * nonces, 128)
        last = ("state", np.uint32(nonces), limit, "best")
        return (
            fill("best", 255),
            NativeLaunch(_SOURCE, "verthash_prepare", *shape, (start, "seeds", "state"), variant),
            NativeLaunch(_SOURCE, "verthash_walk", *shape, ("file", np.uint32(places), "seeds", "state"), variant),
            NativeLaunch(_SOURCE, "verthash_check", *grid(nonces), last, variant),
        )

    def check(results: Mapping[str, NDArray[Any]]) -> None:
        sample, state = np.arange(0, nonces, max(1, nonces // _SAMPLE)), results["state"]
        require_equal("digests", state[sample], _hashes(header, sample, file, places, rotations))
        low = np.flatnonzero(state[:, 7] <= limit)
        require_equal("lowest hit", results["best"], np.array([*low[:1], 2**32 - 1][:1], np.uint32))

    return Plan(
        {
            "key": np.frombuffer(key, "<u4"),
            "file": Empty((chunks, words), np.uint64),
            "seeds": Empty((nonces, 128), np.uint32),
            "state": Empty((nonces, 8), np.uint32),
            "best": Empty((1,), np.uint32),
        },
        step=step,
        work=Work(nonces, nonces * rotations * 128 * 48, nonces * (17 * operations.KECCAK_1600 + rotations * 128 * 36)),
        check=check,
        setup=(_fill_file(chunks, words),),
        symbols={(_SOURCE, "header80"): np.frombuffer(header, "<u8")},
    )


WORKLOADS: Final = (
    define(
        "verthash-native",
        "verthash",
        "Verthash: 4,096 dependent reads of 32 bytes a hash from a 1.2 GB file, in CUDA C (Vertcoin)",
        build_plan,
        bound="memory",
        parameters=(
            NONCES,
            Parameter("chunks", "chunks", 64, 1 << 15, "parts of the file"),
            Parameter("chunk_words", "words", 64, 1 << 14, "64-bit words of a part", power_of_two=True),
            Parameter("rotations", "turns", 1, 32, "times that the 128 seeds are used"),
        ),
        small={"nonces": 32, "chunks": 64, "chunk_words": 64, "rotations": 2},
        gpu={"nonces": 1 << 16, "chunks": 18752, "chunk_words": 1 << 13, "rotations": 32},
    ),
)
