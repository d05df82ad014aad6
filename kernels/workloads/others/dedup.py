"""Deduplication: cut data where a rolling hash says so, digest the chunks, and look the digests up.

The Gear hash of FastCDC (USENIX ATC 2016) marks candidates in parallel, cuts are then chosen within bounds
of length (as in SS-CDC, SYSTOR 2019), chunks are digested by SHA-256, and digests go to a hash table. Hashing
at full speed, as in mining, but each byte of the data is read.
"""

# ruff: noqa: ANN401, PLR0913, PLR0917  bodies take arrays, and many of them

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from hashwarden.kernels.device import atomic_add, compare_and_swap, device, local_array
from hashwarden.kernels.memory.recorder import atomic, begin, load, store
from hashwarden.kernels.workloads.mining.sha256 import sha256_compress, sha256_start
from hashwarden.kernels.workloads.plan import Arrays, Empty, Launch, Plan, Work, require_equal
from hashwarden.kernels.workloads.workload import Parameter, Settings, Workload

__all__ = ["WORKLOADS", "build_plan"]

WINDOW: Final = 32
"""Bytes that a rolling hash of 32 bits remembers."""

STRIP: Final = 128
CHUNKS: Final = 64
"""Chunks of a segment, at most: it is 16 mean lengths, and the least length is a quarter of the mean."""

EMPTY: Final = np.uint64(0)
_SAMPLE: Final = 16


@device
def mark(thread: Any, log: Any, data: Any, gear: Any, marks: Any, bits: Any) -> None:
    """Mark the bytes of a strip after which the rolling hash begins with ``bits`` zeros."""
    t = begin(log, thread)
    rolling, found = np.uint32(0), np.uint32(0)
    first = thread * STRIP
    for word in range(max(first - WINDOW, 0) // 4, (first + STRIP) // 4):
        t = load(log, t, 0, 0, word)
        held = np.int64(data[word])
        for byte in range(4):
            value = (held >> (8 * byte)) & 255
            t = load(log, t, 1, 1, value, 1)
            rolling = np.uint32(np.uint32(rolling << np.uint32(1)) + gear[value])
            if np.uint32(rolling >> np.uint32(32 - bits)) == 0:
                found = np.uint32(found | np.uint32(np.uint32(1) << np.uint32((4 * word + byte) % 32)))
        if word % 8 == 7:
            if 4 * word >= first:
                t = store(log, t, 2, 2, word // 8)
                marks[word // 8] = found
            found = np.uint32(0)


@device
def choose(thread: Any, log: Any, marks: Any, ends: Any, counts: Any, bits: Any) -> None:
    """Choose the cuts of a segment: chunks of a quarter of to four times the mean length."""
    t = begin(log, thread)
    mean, segment = 1 << bits, 16 << bits
    start, last, chunk = thread * segment, (thread + 1) * segment, 0
    held, word = np.int64(0), np.int64(-1)
    place = start + mean // 4 - 1
    while start < last:
        if place // 32 != word:
            word = place // 32
            t = load(log, t, 0, 0, word)
            held = np.int64(marks[word])
        if (held >> (place % 32)) & 1 or place - start + 1 == 4 * mean or place == last - 1:
            t = store(log, t, 1, 1, thread * CHUNKS + chunk, 1)
            ends[thread * CHUNKS + chunk] = np.uint32(place + 1)
            chunk += 1
            start = place + 1
            place = min(place + mean // 4, last - 1)
        else:
            place += 1
    t = store(log, t, 2, 2, thread)
    counts[thread] = chunk


@device
def digest(thread: Any, log: Any, data: Any, ends: Any, counts: Any, digests: Any, bits: Any) -> None:
    """SHA-256 of chunk ``thread % CHUNKS`` of a segment, if there is one."""
    t = begin(log, thread)
    segment, chunk = thread // CHUNKS, thread % CHUNKS
    t = load(log, t, 0, 2, segment)
    if chunk >= counts[segment]:
        return
    start = segment * (16 << bits)
    if chunk:
        t = load(log, t, 1, 1, thread - 1)
        start = np.int64(ends[thread - 1])
    t = load(log, t, 2, 1, thread)
    length = np.int64(ends[thread]) - start
    state, words = local_array(8, np.uint32), local_array(16, np.uint32)
    sha256_start(state)
    held, at = np.int64(0), np.int64(-1)
    blocks = (length + 9 + 63) // 64
    for block in range(blocks):
        for word in range(16):
            packed = np.int64(0)
            for place in range(64 * block + 4 * word, 64 * block + 4 * word + 4):
                byte = np.int64(128) if place == length else np.int64(0)
                if place < length:
                    if (start + place) // 4 != at:
                        at = (start + place) // 4
                        t = load(log, t, 3, 0, at, 1)
                        held = np.int64(data[at])
                    byte = (held >> (8 * ((start + place) % 4))) & 255
                packed = packed * 256 + byte
            words[word] = np.uint32(packed)
        if block == blocks - 1:
            words[15] = np.uint32(8 * length)
        sha256_compress(state, words)
    t = store(log, t, 4, 3, 8 * thread, 0, 8)
    for word in range(8):
        digests[8 * thread + word] = state[word]


@device
def forget(thread: Any, log: Any, table: Any, uses: Any, unique: Any) -> None:
    """Empty a slot of the table."""
    t = begin(log, thread)
    t = store(log, t, 0, 0, thread)
    table[thread] = EMPTY
    t = store(log, t, 1, 1, thread)
    uses[thread] = np.uint32(0)
    if thread == 0:
        t = store(log, t, 2, 2, 0)
        unique[0] = np.uint32(0)


@device
def enter(thread: Any, log: Any, digests: Any, counts: Any, table: Any, uses: Any, unique: Any) -> None:
    """Count a chunk in the table, under the first 64 bits of its digest."""
    t = begin(log, thread)
    t = load(log, t, 0, 1, thread // CHUNKS)
    if thread % CHUNKS >= counts[thread // CHUNKS]:
        return
    t = load(log, t, 1, 0, 8 * thread, 0, 2)
    key = np.uint64((np.uint64(digests[8 * thread]) << np.uint64(32)) | np.uint64(digests[8 * thread + 1]))
    slot = np.int64(digests[8 * thread + 1]) & (len(table) - 1)
    while True:
        t = atomic(log, t, 2, 2, slot, 1)
        held = compare_and_swap(table, slot, EMPTY, key)
        if held == EMPTY:
            t = atomic(log, t, 3, 4, 0)
            atomic_add(unique, 0, np.uint32(1))
            break
        if held == key:
            break
        slot = (slot + 1) & (len(table) - 1)
    t = atomic(log, t, 4, 3, slot, 1)
    atomic_add(uses, slot, np.uint32(1))


def _repetitive(random: np.random.Generator, count: int) -> NDArray[np.uint8]:
    """Bytes of which about half were there before."""
    stock = random.integers(0, 256, count // 2, np.uint8)
    parts, filled = [], 0
    while filled < count:
        length = int(random.integers(count // 64, count // 16))
        start = int(random.integers(0, len(stock) - length))
        parts.append(stock[start : start + length])
        filled += length
    return np.concatenate(parts)[:count]


def _candidates(data: NDArray[np.uint8], gear: NDArray[np.uint32], bits: int) -> NDArray[np.bool_]:
    """Oracle: which bytes may end a chunk; the rolling hash as a sum over the last 32 bytes."""
    values = gear[data]
    total = np.zeros(len(data), np.uint32)
    for age in range(min(WINDOW, len(data))):
        total[age:] += values[: len(data) - age] << np.uint32(age)
    return total < np.uint32(1 << (32 - bits))


def _ends(candidates: NDArray[np.bool_], mean: int) -> list[int]:
    """Oracle: ends of the chunks of a segment."""
    places, ends, start = np.flatnonzero(candidates) + 1, [], 0
    while start < len(candidates):
        later = places[places >= start + mean // 4]
        natural = int(later[0]) if len(later) else len(candidates)
        start = min(natural, start + 4 * mean, len(candidates))
        ends.append(start)
    return ends


def _check(results: Mapping[str, NDArray[Any]], bits: int, seed: int) -> None:
    data, size = results["data"].view(np.uint8), 16 << bits
    counts, ends = results["counts"], results["ends"].reshape(-1, CHUNKS)
    digests = results["digests"].reshape(-1, CHUNKS, 8)
    for segment in np.random.default_rng(seed).integers(0, len(counts), min(len(counts), _SAMPLE)):
        before = min(segment * size, WINDOW)
        part = data[segment * size - before : (segment + 1) * size]
        expected = _ends(_candidates(part, results["gear"], bits)[before:], 1 << bits)
        require_equal("count", counts[segment : segment + 1], np.array([len(expected)], np.int32))
        own = np.array(expected)
        require_equal("ends", ends[segment, : len(own)].astype(np.int64), own + segment * size)
        pieces = np.split(part[before:], own[:-1])
        wanted = np.frombuffer(b"".join(hashlib.sha256(piece.tobytes()).digest() for piece in pieces), ">u4")
        require_equal("digests", digests[segment, : len(own)], wanted.reshape(-1, 8).astype(np.uint32))
    used = np.arange(CHUNKS) < counts[:, None]
    different = len(np.unique(digests[used][:, :2], axis=0))
    require_equal("unique", results["unique"], np.array([different], np.uint32))
    require_equal("uses", results["uses"].sum(keepdims=True), np.array([counts.sum()], np.uint64))


def build_plan(settings: Settings, seed: int) -> Plan:
    """Plan the deduplication of ``bytes`` bytes, about half of them repeated."""
    count, bits = settings["bytes"], settings["mean_bits"]
    bits = min(bits, count.bit_length() - 5)
    random = np.random.default_rng(seed)
    segments = count // (16 << bits)
    slots = 1 << (2 * segments * CHUNKS - 1).bit_length()
    arrays: Arrays = {
        "data": np.ascontiguousarray(_repetitive(random, count)).view(np.uint32),
        "gear": random.integers(0, 1 << 32, 256, np.uint32),
        "marks": Empty((count // 32,), np.uint32),
        "ends": Empty((segments * CHUNKS,), np.uint32),
        "counts": Empty((segments,), np.int32),
        "digests": Empty((segments * CHUNKS * 8,), np.uint32),
        "table": Empty((slots,), np.uint64),
        "uses": Empty((slots,), np.uint32),
        "unique": Empty((1,), np.uint32),
    }
    chunks, scale = segments * CHUNKS, np.int64(bits)
    launches = (
        Launch(forget, slots, ("table", "uses", "unique")),
        Launch(mark, count // STRIP, ("data", "gear", "marks", scale)),
        Launch(choose, segments, ("marks", "ends", "counts", scale)),
        Launch(digest, chunks, ("data", "ends", "counts", "digests", scale)),
        Launch(enter, chunks, ("digests", "counts", "table", "uses", "unique")),
    )
    moved = 2 * count + slots * 12 + chunks * 100
    return Plan(
        arrays,
        step=lambda _: launches,
        work=Work(units=count, dram_bytes=moved, int_ops=count * 60),
        check=lambda results: _check(results, bits, seed),
    )


WORKLOADS: Final = (
    Workload(
        name="deduplication",
        label="hash-other",
        family="deduplication",
        bound="integer",
        summary="Content-defined chunks, SHA-256 of each, and a table of digests (USENIX ATC 2016)",
        unit="byte",
        parameters=(
            Parameter("bytes", "bytes", 1024, 1 << 26, "data", power_of_two=True),
            Parameter("mean_bits", "", 4, 16, "chunks are about two to this power of bytes long"),
        ),
        sizes={
            "small": {"bytes": 2048, "mean_bits": 5},
            "trace": {"bytes": 1 << 20, "mean_bits": 9},
            "gpu": {"bytes": 1 << 26, "mean_bits": 11},
        },
        build=build_plan,
    ),
)
