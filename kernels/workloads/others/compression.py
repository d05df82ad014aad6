"""Compression to LZ4 blocks by chains of equal hashes, and decompression.

The LZ4 block format and the match finder of its high-compression mode, one block of data for each thread.
Dependent loads, byte by byte, through tables that each thread has for itself.
"""

# ruff: noqa: ANN401, PLR0913, PLR0917  bodies take arrays, and many of them

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from hashwarden.kernels.device import device
from hashwarden.kernels.memory.recorder import begin, load, store
from hashwarden.kernels.workloads.plan import Arrays, Empty, Launch, Plan, Work, require_equal
from hashwarden.kernels.workloads.workload import Parameter, Settings, Workload

__all__ = ["WORKLOADS", "build_plan", "decompress", "room"]

LEAST: Final = 4
"""Bytes of the shortest match."""

TAIL: Final = 5
"""Bytes at the end of a block that must not be matched."""

MARGIN: Final = 12
"""No match begins in the last bytes of a block."""

FARTHEST: Final = 65535
_SAMPLE: Final = 64


def room(block: int) -> int:
    """Bytes that a block takes at most, when nothing in it repeats."""
    return block + block // 255 + 16


@device
def forget(thread: Any, log: Any, heads: Any) -> None:
    """Empty the head of a chain."""
    t = begin(log, thread)
    t = store(log, t, 0, 0, thread)
    heads[thread] = np.uint32(0)


@device
def _head(log: Any, t: Any, data: Any, place: Any, bits: Any) -> Any:
    """Hash of the four bytes from ``place`` on."""
    t = load(log, t, 0, 0, place, 0, 4)
    low = np.uint32(np.uint32(data[place]) | np.uint32(np.uint32(data[place + 1]) << np.uint32(8)))
    high = np.uint32(np.uint32(data[place + 2]) | np.uint32(np.uint32(data[place + 3]) << np.uint32(8)))
    mixed = np.uint32(np.uint32(low | np.uint32(high << np.uint32(16))) * np.uint32(2654435761))
    return np.int64(np.uint32(mixed >> np.uint32(32 - bits))), t


@device
def _common(log: Any, t: Any, data: Any, place: Any, earlier: Any, last: Any, depth: Any) -> Any:
    """How many bytes from two places on are equal, up to ``last``."""
    length = 0
    while place + length < last:
        t = load(log, t, 1, 0, place + length)
        t = load(log, t, 2, 0, earlier + length, depth)
        if data[place + length] != data[earlier + length]:
            break
        length += 1
    return length, t


@device
def _enter(log: Any, t: Any, heads: Any, chains: Any, head: Any, place: Any) -> Any:
    """Put a place before the others of its chain."""
    t = load(log, t, 3, 1, head, 1)
    t = store(log, t, 4, 2, place)
    chains[place] = heads[head]
    t = store(log, t, 5, 1, head, 1)
    heads[head] = np.uint32(place + 1)
    return t


@device
def _find(log: Any, t: Any, data: Any, heads: Any, chains: Any, head: Any, place: Any, last: Any, tries: Any) -> Any:
    """The longest match among the first places of a chain: its length and place."""
    best, where, depth = 0, np.int64(0), 2
    t = load(log, t, 6, 1, head, 1)
    earlier = np.int64(heads[head]) - 1
    for _ in range(tries):
        if earlier < 0 or place - earlier > FARTHEST:
            break
        length, t = _common(log, t, data, place, earlier, last, depth)
        if length > best:
            best, where = length, earlier
        t = load(log, t, 7, 2, earlier, depth)
        earlier, depth = np.int64(chains[earlier]) - 1, depth + 1
    return best, where, t


@device
def _put(log: Any, t: Any, packed: Any, out: Any, value: Any) -> Any:
    t = store(log, t, 8, 3, out, 1)
    packed[out] = np.uint8(value)
    return out + 1, t


@device
def _put_length(log: Any, t: Any, packed: Any, out: Any, rest: Any) -> Any:
    """Write what of a length does not fit into its nibble."""
    if rest >= 15:
        rest -= 15
        while rest >= 255:
            out, t = _put(log, t, packed, out, 255)
            rest -= 255
        out, t = _put(log, t, packed, out, rest)
    return out, t


@device
def _sequence(
    log: Any, t: Any, data: Any, packed: Any, out: Any, anchor: Any, literals: Any, offset: Any, length: Any
) -> Any:
    """Write literals, and a match unless ``length`` is 0."""
    more = max(length - LEAST, 0)
    out, t = _put(log, t, packed, out, 16 * min(literals, 15) + min(more, 15))
    out, t = _put_length(log, t, packed, out, literals)
    for place in range(anchor, anchor + literals):
        t = load(log, t, 9, 0, place)
        out, t = _put(log, t, packed, out, data[place])
    if length:
        out, t = _put(log, t, packed, out, offset & 255)
        out, t = _put(log, t, packed, out, offset >> 8)
        out, t = _put_length(log, t, packed, out, more)
    return out, t


@device
def compress(
    thread: Any,
    log: Any,
    data: Any,
    heads: Any,
    chains: Any,
    packed: Any,
    sizes: Any,
    block: Any,
    bits: Any,
    tries: Any,
) -> None:
    """Compress block ``thread``."""
    t = begin(log, thread)
    place = thread * block
    anchor, end, base = place, place + block, thread << bits
    start = thread * (block + block // 255 + 16)
    out = start
    while place + MARGIN <= end:
        head, t = _head(log, t, data, place, bits)
        length, where, t = _find(log, t, data, heads, chains, base + head, place, end - TAIL, tries)
        t = _enter(log, t, heads, chains, base + head, place)
        place += 1
        if length >= LEAST:
            literals = place - 1 - anchor
            out, t = _sequence(log, t, data, packed, out, anchor, literals, place - 1 - where, length)
            anchor = place - 1 + length
            while place < anchor:
                head, t = _head(log, t, data, place, bits)
                t = _enter(log, t, heads, chains, base + head, place)
                place += 1
    out, t = _sequence(log, t, data, packed, out, anchor, end - anchor, 0, 0)
    t = store(log, t, 10, 4, thread)
    sizes[thread] = np.uint32(out - start)


@device
def _get_length(log: Any, t: Any, packed: Any, place: Any, nibble: Any, depth: Any) -> Any:
    """Read the rest of a length."""
    length = np.int64(nibble)
    if nibble == 15:
        more = np.int64(255)
        while more == 255:
            t = load(log, t, 0, 0, place, depth)
            more = np.int64(packed[place])
            place, length = place + 1, length + more
    return length, place, t


@device
def expand(thread: Any, log: Any, packed: Any, sizes: Any, restored: Any, block: Any) -> None:
    """Decompress block ``thread``."""
    t = begin(log, thread)
    t = load(log, t, 1, 1, thread)
    place, out, depth = thread * (block + block // 255 + 16), thread * block, 0
    end = place + np.int64(sizes[thread])
    while place < end:
        t = load(log, t, 2, 0, place, depth)
        token, depth = np.int64(packed[place]), depth + 1
        literals, place, t = _get_length(log, t, packed, place + 1, token >> 4, depth)
        for item in range(literals):
            t = load(log, t, 3, 0, place + item, depth)
            t = store(log, t, 4, 2, out + item, depth)
            restored[out + item] = packed[place + item]
        place, out = place + literals, out + literals
        if place < end:
            t = load(log, t, 5, 0, place, depth, 2)
            offset = np.int64(packed[place]) + 256 * np.int64(packed[place + 1])
            length, place, t = _get_length(log, t, packed, place + 2, token & 15, depth)
            for item in range(length + LEAST):
                t = load(log, t, 6, 2, out + item - offset, depth + 1)
                t = store(log, t, 7, 2, out + item, depth)
                restored[out + item] = restored[out + item - offset]
            out += length + LEAST


def decompress(packed: bytes) -> bytes:
    """Oracle: decode an LZ4 block as its format is described."""
    out, place = bytearray(), 0

    def length(nibble: int) -> int:
        nonlocal place
        total = nibble
        while nibble in {15, 255} and (total == 15 or nibble == 255):
            nibble = packed[place]
            total += nibble
            place += 1
            if nibble != 255:
                break
        return total

    while True:
        token = packed[place]
        place += 1
        count = length(token >> 4)
        out += packed[place : place + count]
        place += count
        if place >= len(packed):
            return bytes(out)
        offset = int.from_bytes(packed[place : place + 2], "little")
        place += 2
        for _ in range(length(token & 15) + 4):
            out.append(out[-offset])


def _text(random: np.random.Generator, count: int) -> NDArray[np.uint8]:
    """Invented words, some of them frequent, in random order."""
    words = [random.integers(97, 123, int(size)).astype(np.uint8) for size in random.integers(2, 10, 512)]
    words = [np.append(word, np.uint8(32)) for word in words]
    ranks = np.minimum(random.zipf(1.3, count // 3 + 1), 512) - 1
    return np.concatenate([words[rank] for rank in ranks])[:count]


def build_plan(settings: Settings, seed: int) -> Plan:
    """Plan the round trip of ``blocks`` blocks of ``block`` bytes."""
    block, blocks, bits = settings["block"], settings["blocks"], settings["hash_bits"]
    random, count = np.random.default_rng(seed), settings["block"] * settings["blocks"]
    data = np.resize(_text(random, min(count, 1 << 22)), count)
    arrays: Arrays = {
        "data": data,
        "heads": Empty((blocks << bits,), np.uint32),
        "chains": Empty((count,), np.uint32),
        "packed": Empty((blocks * room(block),), np.uint8),
        "sizes": Empty((blocks,), np.uint32),
        "restored": Empty((count,), np.uint8),
    }
    finder = (np.int64(block), np.int64(bits), np.int64(settings["tries"]))
    launches = (
        Launch(forget, blocks << bits, ("heads",)),
        Launch(compress, blocks, ("data", "heads", "chains", "packed", "sizes", *finder), block=32),
        Launch(expand, blocks, ("packed", "sizes", "restored", finder[0]), block=32),
    )

    def check(results: Mapping[str, NDArray[Any]]) -> None:
        require_equal("restored", results["restored"], data)
        packed, sizes = results["packed"].reshape(blocks, room(block)), results["sizes"]
        for number in random.integers(0, blocks, min(blocks, _SAMPLE)):
            decoded = decompress(packed[number, : sizes[number]].tobytes())
            expected = data[number * block : (number + 1) * block]
            require_equal("decoded", np.frombuffer(decoded, np.uint8), expected)

    work = Work(units=count, dram_bytes=count * 16 + (blocks << bits) * 4, int_ops=count * 120)
    return Plan(arrays, lambda _: launches, work, check)


WORKLOADS: Final = (
    Workload(
        name="compression",
        label="hpc-other",
        family="compression",
        bound="latency",
        summary="Compression to LZ4 blocks by hash chains, and decompression",
        unit="byte",
        parameters=(
            Parameter("blocks", "blocks", 1, 1 << 14, "blocks, a thread each"),
            Parameter("block", "bytes", 16, 1 << 14, "bytes of a block"),
            Parameter("hash_bits", "", 4, 16, "a thread has two to this power of chains"),
            Parameter("tries", "", 1, 256, "places of a chain that are compared"),
        ),
        sizes={
            "small": {"blocks": 32, "block": 64, "hash_bits": 5, "tries": 2},
            "trace": {"blocks": 32, "block": 4096, "hash_bits": 12, "tries": 4},
            "gpu": {"blocks": 1 << 13, "block": 4096, "hash_bits": 12, "tries": 4},
        },
        build=build_plan,
    ),
)
