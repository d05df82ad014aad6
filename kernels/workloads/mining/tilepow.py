"""Matrix product as proof of work: a noised int8 product whose tiles are hashed.

After Komargodski, Schen and Weinstein, "Proofs of Useful Work from Arbitrary Matrix Multiplication" (2025),
in the sizes of the public Pearl miners: both operands, 7 bits wide, get noise of low rank that a seed fixes,
saturated to 7 bits; while a tile of 16x16 of the product grows, its partial sums are folded into a
transcript of 64 bytes after every ``step`` columns; a keyed BLAKE3 of the transcript judges the tile. The
noise of the left operand is new in every step, that of the right one stays. The product itself is kept, as
the useful work would be.

One thread holds 4x4 sums, 16 threads a tile, one word of the transcript each. Operands are read by 16 bytes
along the inner dimension. Miners stage them in shared memory and use tensor cores; this is the product in
plain integer instructions, and `tilepow_torch` the one on tensor cores.
"""

# ruff: noqa: ANN401, PLR0913, PLR0917  bodies take arrays, and many of them

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from hashwarden.kernels.device import atomic_add, device, local_array, rotate_left_32
from hashwarden.kernels.memory.recorder import atomic, begin, load, store
from hashwarden.kernels.workloads.mining import oracles_tilepow, tilepow_torch
from hashwarden.kernels.workloads.mining.blake3 import (
    CHUNK_END,
    CHUNK_START,
    KEYED_HASH,
    ROOT,
    blake3_compress,
    blake3_start,
)
from hashwarden.kernels.workloads.plan import Arrays, Empty, Launch, Plan, Work, require_equal
from hashwarden.kernels.workloads.workload import Parameter, Settings, Workload

__all__ = ["WORKLOADS", "build_plan"]

TILE: Final = 16
SIDE: Final = 4  # sums of a thread, in each direction
QUAD: Final = 4
MOST: Final = 63
_CHECKED_TILES: Final = 64
_LIMIT: Final = np.uint32(0x0FFFFFFF)
_STREAM: Final = CHUNK_START + CHUNK_END + ROOT
_JUDGE: Final = CHUNK_START + CHUNK_END + ROOT + KEYED_HASH


@device
def fill_factor(thread: Any, log: Any, seed: Any, factor: Any, nonce: Any, which: Any) -> None:
    """Make 64 entries, -1 to 2, from block ``thread`` of BLAKE3's output for seed, factor and nonce."""
    t = begin(log, thread)
    cv, block = local_array(8, np.uint32), local_array(16, np.uint32)
    scratch = local_array(32, np.uint32)
    blake3_start(cv)
    for i in range(8):
        t = load(log, t, 0, 0, i)
        block[i], block[8 + i] = seed[i], np.uint32(0)
    block[6], block[7] = np.uint32(block[6] ^ np.uint32(which)), np.uint32(block[7] ^ np.uint32(nonce))
    blake3_compress(cv, block, scratch, np.uint64(thread), 32, _STREAM)
    for quad in range(0, 16, QUAD):
        at = 16 * np.int64(thread) + quad
        t = store(log, t, 1, 1, at, 0, QUAD)
        for i in range(QUAD):
            word = np.uint32(0)
            for turn in range(0, 32, 8):
                low = np.uint32(np.uint32(scratch[quad + i] >> np.uint32(turn)) & np.uint32(3))
                byte = np.uint32(np.uint32(low + np.uint32(255)) & np.uint32(255))
                word = np.uint32(word | np.uint32(byte << np.uint32(turn)))
            factor[at + i] = word


@device
def _signed(word: Any, byte: Any) -> Any:
    """Signed byte of a word."""
    return np.int32(np.int32(np.uint32(np.uint32(word) << np.uint32(24 - 8 * byte))) >> np.int32(24))


@device
def add_noise(
    thread: Any, log: Any, operand: Any, left: Any, right: Any, noised: Any, words: Any, rank_words: Any
) -> None:
    """Add ``left x right`` to the four entries of word ``thread`` of an operand, saturated to 7 bits."""
    t = begin(log, thread)
    row, column = np.int64(thread) // words, SIDE * (np.int64(thread) % words)
    total = local_array(SIDE, np.int32)
    t = load(log, t, 0, 0, thread)
    for j in range(SIDE):
        total[j] = _signed(operand[thread], j)
    for quad in range(0, rank_words, QUAD):
        own = row * rank_words + quad
        t = load(log, t, 1, 1, own, 0, QUAD)
        for j in range(SIDE):
            other = (column + j) * rank_words + quad
            t = load(log, t, 2, 2, other, 0, QUAD)
            for i in range(QUAD):
                x, y = left[own + i], right[other + i]
                for byte in range(4):
                    total[j] = np.int32(total[j] + np.int32(_signed(x, byte) * _signed(y, byte)))
    word = np.uint32(0)
    for j in range(SIDE):
        clipped = np.int32(max(np.int32(-MOST), min(np.int32(MOST), total[j])))
        word = np.uint32(word | np.uint32(np.uint32(np.int64(clipped) & 255) << np.uint32(8 * j)))
    t = store(log, t, 3, 3, thread)
    noised[thread] = word


@device
def _multiply_word(a: Any, b: Any, at_a: Any, at_b: Any, words: Any, total: Any, x: Any, y: Any) -> None:
    """Add the products of one word of four rows and four columns: 64 of them."""
    for i in range(SIDE):
        word_a, word_b = a[at_a + i * words], b[at_b + i * words]
        for byte in range(4):
            x[4 * i + byte], y[4 * i + byte] = _signed(word_a, byte), _signed(word_b, byte)
    for i in range(SIDE):
        for j in range(SIDE):
            s = total[SIDE * i + j]
            for byte in range(4):
                s = np.int32(s + np.int32(x[4 * i + byte] * y[4 * j + byte]))
            total[SIDE * i + j] = s


@device
def multiply(
    thread: Any, log: Any, a: Any, b: Any, product: Any, transcripts: Any, columns: Any, words: Any, step_words: Any
) -> None:
    """Compute 4x4 entries of the product, and word ``thread % 16`` of the transcript of their tile."""
    t = begin(log, thread)
    tile, part = np.int64(thread) >> 4, np.int64(thread) & 15
    across = columns // TILE
    row = TILE * (tile // across) + SIDE * (part >> 2)
    column = TILE * (tile % across) + SIDE * (part & 3)
    total, x = local_array(16, np.int32), local_array(16, np.int32)
    y, record = local_array(16, np.int32), np.uint32(0)
    for i in range(16):
        total[i] = np.int32(0)
    for first in range(0, words, step_words):
        for quad in range(first, first + step_words, QUAD):
            for i in range(SIDE):
                t = load(log, t, 0, 0, (row + i) * words + quad, 0, QUAD)
            for i in range(SIDE):
                t = load(log, t, 1, 1, (column + i) * words + quad, 0, QUAD)
            for i in range(QUAD):
                _multiply_word(a, b, row * words + quad + i, column * words + quad + i, words, total, x, y)
        folded = np.uint32(0)
        for i in range(16):
            folded = np.uint32(rotate_left_32(folded, 3) ^ np.uint32(np.int64(total[i]) & 0xFFFFFFFF))
        record = np.uint32(rotate_left_32(record, 11) ^ folded)
    for i in range(SIDE):
        at = (row + i) * columns + column
        t = store(log, t, 2, 2, at, 0, QUAD)
        for j in range(SIDE):
            product[at + j] = total[SIDE * i + j]
    t = store(log, t, 3, 3, thread)
    transcripts[thread] = record


@device
def judge(thread: Any, log: Any, key: Any, transcripts: Any, digests: Any, hits: Any) -> None:
    """Hash the transcript of tile ``thread`` under a key, and count it if its first word is small."""
    t = begin(log, thread)
    cv, block = local_array(8, np.uint32), local_array(16, np.uint32)
    scratch = local_array(32, np.uint32)
    for i in range(8):
        t = load(log, t, 0, 0, i)
        cv[i] = key[i]
    for quad in range(0, 16, QUAD):
        at = 16 * np.int64(thread) + quad
        t = load(log, t, 1, 1, at, 0, QUAD)
        for i in range(QUAD):
            block[quad + i] = transcripts[at + i]
    blake3_compress(cv, block, scratch, np.uint64(0), 64, _JUDGE)
    for quad in range(0, 8, QUAD):
        at = 8 * np.int64(thread) + quad
        t = store(log, t, 2, 2, at, 0, QUAD)
        for i in range(QUAD):
            digests[at + i] = cv[quad + i]
    if cv[0] <= _LIMIT:
        t = atomic(log, t, 3, 3, 0)
        atomic_add(hits, 0, np.uint32(1))


def _noise(name: str, shape: oracles_tilepow.Shape, rows: int, nonce: int, which: int) -> tuple[Launch, ...]:
    """Launches that noise operand ``name``, which has so many rows."""
    words, rank_words = np.int64(shape.inner // 4), np.int64(shape.rank // 4)
    fills = (
        Launch(fill_factor, count * shape.rank // 64, ("seed", factor, np.uint32(nonce), np.uint32(which + i)))
        for i, (factor, count) in enumerate(((f"left_{name}", rows), (f"right_{name}", shape.inner)))
    )
    arguments = (name, f"left_{name}", f"right_{name}", f"noised_{name}", words, rank_words)
    return (*fills, Launch(add_noise, rows * int(words), arguments))


def _arrays(shape: oracles_tilepow.Shape, problem: oracles_tilepow.Problem, a: Any, b: Any) -> Arrays:
    words, rank_words = shape.inner // 4, shape.rank // 4
    arrays: dict[str, NDArray[Any] | Empty] = {
        "seed": np.frombuffer(problem.seed, "<u4").copy(),
        "key": np.frombuffer(problem.key, "<u4").copy(),
        "a": a.view("<u4").reshape(-1),
        "b": b.view("<u4").reshape(-1),
        "product": Empty((shape.rows * shape.columns,), np.int32),
        "transcripts": Empty((shape.tiles * 16,), np.uint32),
        "digests": Empty((shape.tiles * 8,), np.uint32),
        "hits": Empty((1,), np.uint32),
    }
    for name, rows in (("a", shape.rows), ("b", shape.columns)):
        arrays[f"left_{name}"] = Empty((rows * rank_words,), np.uint32)
        arrays[f"right_{name}"] = Empty((shape.inner * rank_words,), np.uint32)
        arrays[f"noised_{name}"] = Empty((rows * words,), np.uint32)
    return arrays


def _work(shape: oracles_tilepow.Shape) -> Work:
    multiplied, noised = shape.rows * shape.columns * shape.inner, shape.rows * shape.inner * shape.rank
    return Work(
        units=shape.tiles,
        dram_bytes=shape.rows * shape.inner * 2 + shape.columns * shape.inner + shape.rows * shape.columns * 4,
        int_ops=multiplied + noised + shape.tiles * 7 * 8 * 14,
    )


def build_plan(settings: Settings, seed: int) -> Plan:
    """Plan products of ``rows`` x ``inner`` by ``inner`` x ``columns``; every step brings new noise."""
    shape = oracles_tilepow.Shape.of(settings)
    problem = oracles_tilepow.Problem.of(seed)
    a, b = oracles_tilepow.operands(shape, seed)
    scalars = (np.int64(shape.columns), np.int64(shape.inner // 4), np.int64(shape.step // 4))

    def step(number: int) -> tuple[Launch, ...]:
        return (
            *_noise("a", shape, shape.rows, number, 0),
            Launch(multiply, shape.tiles * 16, ("noised_a", "noised_b", "product", "transcripts", *scalars)),
            Launch(judge, shape.tiles, ("key", "transcripts", "digests", "hits")),
        )

    def check(results: Mapping[str, NDArray[Any]]) -> None:
        noised_a = oracles_tilepow.noised(problem, shape, a, nonce=0, which=0)
        noised_b = oracles_tilepow.noised(problem, shape, b, nonce=0, which=2)
        require_equal("noised a", results["noised_a"].view(np.int8).reshape(a.shape), noised_a)
        require_equal("noised b", results["noised_b"].view(np.int8).reshape(b.shape), noised_b)
        chosen = np.unique(np.random.default_rng(seed).integers(0, shape.tiles, _CHECKED_TILES))
        expected = oracles_tilepow.judged(problem, shape, noised_a, noised_b, chosen)
        product = results["product"].reshape(shape.rows // TILE, TILE, -1, TILE).swapaxes(1, 2)
        require_equal("product", product.reshape(-1, TILE, TILE)[chosen], expected.tiles)
        digests = results["digests"].reshape(-1, 8)
        require_equal("digests", digests[chosen], expected.digests)
        hits = np.array([np.count_nonzero(digests[:, 0] <= _LIMIT)], np.uint32)
        require_equal("hits", results["hits"], hits)

    arrays = _arrays(shape, problem, a, b)
    return Plan(arrays, step, _work(shape), check, setup=_noise("b", shape, shape.columns, 0, 2))


_PARAMETERS: Final = (
    Parameter("rows", "rows", 32, 1 << 18, "rows of the product"),
    Parameter("columns", "columns", 32, 1 << 18, "columns of the product"),
    Parameter("inner", "columns", 16, 1 << 17, "columns of the left operand"),
    Parameter("rank", "columns", 16, 1 << 10, "rank of the noise"),
    Parameter("step", "columns", 16, 1 << 17, "columns of the left operand between two entries of the transcript"),
)

WORKLOADS: Final = (
    Workload(
        name="tilepow",
        label="mining",
        family="tilepow",
        bound="integer",
        summary="Noised int8 matrix product with hashed tiles, in integer instructions (cuPOW, as Pearl uses it)",
        unit="tile",
        parameters=_PARAMETERS,
        sizes={
            "small": {"rows": 32, "columns": 64, "inner": 32, "rank": 16, "step": 16},
            "trace": {"rows": 512, "columns": 512, "inner": 256, "rank": 32, "step": 64},
            "gpu": {"rows": 4096, "columns": 4096, "inner": 1024, "rank": 64, "step": 256},
        },
        build=build_plan,
    ),
    Workload(
        name="tilepow-tensor",
        label="mining",
        family="tilepow",
        bound="tensor",
        summary="Noised int8 matrix product with hashed tiles, on tensor cores through torch (cuPOW, as Pearl uses it)",
        unit="tile",
        parameters=_PARAMETERS,
        sizes={
            "small": {"rows": 32, "columns": 64, "inner": 32, "rank": 16, "step": 16},
            "trace": {"rows": 512, "columns": 512, "inner": 512, "rank": 64, "step": 256},
            "gpu": {"rows": 8192, "columns": 8192, "inner": 16384, "rank": 256, "step": 8192},
        },
        torch=tilepow_torch.build_run,
    ),
)
