"""Equihash: BLAKE2b strings, and Wagner's algorithm by buckets in memory.

After Biryukov and Khovratovich (NDSS 2016) with the strings and the personalisation of Zcash: ``2**(c + 1)``
strings of ``n`` bits, where ``c = n / (k + 1)``, are cut out of BLAKE2b digests; ``k`` rounds pair those that
agree in their leading ``c`` bits. A round puts each string into the bucket that its leading bits name, at a
place that an atomic counter hands out, and then compares the strings of a bucket with one another; a pair
leaves the XOR of its strings, shifted, for the next round, and a reference of 32 bits to where it came from.
Pairs whose XOR is all zero are dropped, as are strings that find their bucket full. The last round gives
solutions, whose indices are found by walking the references back.

One thread holds a place of a bucket. GPU miners move a bucket to shared memory and compare there; here the
comparisons read memory, word by word and next to one another, and buckets are kept small.
"""

# ruff: noqa: ANN401, PLR0913, PLR0917  bodies take arrays, and many of them

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hashwarden.errors import UsageError
from hashwarden.kernels.device import atomic_add, device, local_array
from hashwarden.kernels.memory.recorder import atomic, begin, load, store
from hashwarden.kernels.workloads.mining import oracles_equihash
from hashwarden.kernels.workloads.mining.blake2b import blake2b_compress, blake2b_start
from hashwarden.kernels.workloads.mining.buckets import insert, load_words, own_string
from hashwarden.kernels.workloads.plan import Arrays, Empty, Launch, Plan, Work
from hashwarden.kernels.workloads.workload import Parameter, Settings, Workload

__all__ = ["HEADER", "WORKLOADS", "build_plan", "header_of"]

MOST_WORDS: Final = 8
HEADER_BYTES: Final = 140
HEADER: Final = bytes((7 * i + 1) % 256 for i in range(HEADER_BYTES))
PERSON: Final = int.from_bytes(b"ZcashPoW", "little")
_BLOCK_WORDS: Final = 16
_HASHED_BYTES: Final = np.uint64(HEADER_BYTES + 4)
_BLOCK_BYTES: Final = np.uint64(128)


@device
def clear(thread: Any, log: Any, counts: Any) -> None:
    """Set counter ``thread`` to zero."""
    t = begin(log, thread)
    t = store(log, t, 0, 0, thread)
    counts[thread] = np.uint32(0)


@device
def absorb(thread: Any, log: Any, header: Any, chain: Any, digest_bytes: Any, n: Any, k: Any) -> None:
    """Hash the first 128 bytes of the header, which all strings share; one thread."""
    t = begin(log, thread)
    h, m = local_array(8, np.uint64), local_array(_BLOCK_WORDS, np.uint64)
    v = local_array(_BLOCK_WORDS, np.uint64)
    blake2b_start(h, digest_bytes, np.uint64(PERSON), np.uint64(n) | (np.uint64(k) << np.uint64(32)))
    for i in range(_BLOCK_WORDS):
        t = load(log, t, 0, 0, i)
        m[i] = header[i]
    blake2b_compress(h, m, v, _BLOCK_BYTES, False)
    for i in range(8):
        t = store(log, t, 1, 1, i)
        chain[i] = h[i]


@device
def make_strings(
    thread: Any,
    log: Any,
    chain: Any,
    counts: Any,
    target: Any,
    refs: Any,
    n: Any,
    total: Any,
    tail0: Any,
    tail1: Any,
    bucket_bits: Any,
    slot_bits: Any,
    stride: Any,
) -> None:
    """Hash number ``thread`` behind the header, and cut strings of ``n`` bits out of the digest."""
    t = begin(log, thread)
    h, m = local_array(8, np.uint64), local_array(_BLOCK_WORDS, np.uint64)
    v, words = local_array(_BLOCK_WORDS, np.uint64), local_array(MOST_WORDS, np.uint32)
    for i in range(8):
        t = load(log, t, 0, 0, i)
        h[i] = chain[i]
    for i in range(_BLOCK_WORDS):
        m[i] = np.uint64(0)
    m[0], m[1] = np.uint64(tail0), np.uint64(tail1) | (np.uint64(thread) << np.uint64(32))
    blake2b_compress(h, m, v, _HASHED_BYTES, True)
    parts, size, used = 512 // n, n >> 3, (n + 31) >> 5
    shape = (bucket_bits, slot_bits, stride)
    for part in range(parts):
        index = np.int64(thread) * parts + part
        if index < total:
            for i in range(used):
                words[i] = np.uint32(0)
            for i in range(size):
                at = part * size + i
                byte = np.uint32((h[at >> 3] >> np.uint64(8 * (at & 7))) & np.uint64(255))
                words[i >> 2] = np.uint32(words[i >> 2] | np.uint32(byte << np.uint32(24 - 8 * (i & 3))))
            t = insert(log, t, target, refs, counts, words, index, used, shape, 0)


@device
def _shift(words: Any, used: Any, left: Any, digit: Any) -> None:
    """Shift a string of ``used`` words to the left by ``digit`` bits; ``left`` words stay."""
    for i in range(left):
        following = words[i + 1] if i + 1 < used else np.uint32(0)
        moved = np.uint32(following >> np.uint32(32 - digit))
        words[i] = np.uint32(np.uint32(words[i] << np.uint32(digit)) | moved)


@device
def join(
    thread: Any,
    log: Any,
    source: Any,
    counts: Any,
    target: Any,
    refs: Any,
    used: Any,
    left: Any,
    digit: Any,
    level: Any,
    bucket_bits: Any,
    slot_bits: Any,
    stride: Any,
) -> None:
    """Pair the string at place ``thread`` with those before it in its bucket that agree in ``digit`` bits.

    Strings of ``source`` have ``used`` words, those made ``left``; ``level`` is the one made.
    """
    t = begin(log, thread)
    shape = (bucket_bits, slot_bits, stride)
    words, made = local_array(MOST_WORDS, np.uint32), local_array(MOST_WORDS, np.uint32)
    place = np.int64(thread)
    t, there = own_string(log, t, source, counts, place, used, shape, level - 1, words)
    if not there:
        return
    start, rest = (place >> slot_bits) << slot_bits, np.uint32(32 - digit)
    for other in range(start, place):
        t = load(log, t, 2, 0, other * stride)
        if np.uint32(np.uint32(words[0] ^ source[other * stride]) >> rest) == 0:
            t = load_words(log, t, 3, 0, other * stride, used)
            different = np.uint32(0)
            for i in range(used):
                made[i] = np.uint32(words[i] ^ source[other * stride + i])
                different = np.uint32(different | made[i])
            if different != 0:
                _shift(made, used, left, digit)
                ref = (place << slot_bits) | (other - start)
                t = insert(log, t, target, refs, counts, made, ref, left, shape, level)


@device
def finish(
    thread: Any,
    log: Any,
    source: Any,
    counts: Any,
    solutions: Any,
    used: Any,
    k: Any,
    found_at: Any,
    bucket_bits: Any,
    slot_bits: Any,
    stride: Any,
) -> None:
    """Note the pairs of equal strings of the last level as solutions."""
    t = begin(log, thread)
    shape = (bucket_bits, slot_bits, stride)
    words = local_array(MOST_WORDS, np.uint32)
    place = np.int64(thread)
    t, there = own_string(log, t, source, counts, place, used, shape, k - 1, words)
    if not there:
        return
    start = (place >> slot_bits) << slot_bits
    for other in range(start, place):
        t = load_words(log, t, 2, 0, other * stride, used)
        different = np.uint32(0)
        for i in range(used):
            different = np.uint32(different | np.uint32(words[i] ^ source[other * stride + i]))
        if different == 0:
            t = atomic(log, t, 3, 1, found_at)
            number = np.int64(atomic_add(counts, found_at, np.uint32(1)))
            if number < len(solutions):
                t = store(log, t, 4, 2, number, 1)
                solutions[number] = np.uint32((place << slot_bits) | (other - start))


@device
def recover(
    thread: Any,
    log: Any,
    solutions: Any,
    counts: Any,
    refs: Any,
    indices: Any,
    k: Any,
    found_at: Any,
    bucket_bits: Any,
    slot_bits: Any,
) -> None:
    """Walk from solution ``thread >> k`` to its leaf ``thread % 2**k``."""
    t = begin(log, thread)
    number, mask = np.int64(thread) >> k, (1 << slot_bits) - 1
    t = load(log, t, 0, 1, found_at)
    if number >= np.int64(counts[found_at]):
        return
    t = load(log, t, 1, 0, number)
    ref = np.int64(solutions[number])
    for down in range(k):
        level = k - 1 - down
        slot = ref & mask if (np.int64(thread) >> level) & 1 else (ref >> slot_bits) & mask
        place = ((ref >> (2 * slot_bits)) << slot_bits) + slot + (np.int64(level) << (bucket_bits + slot_bits))
        t = load(log, t, 2, 2, place, down + 1)
        ref = np.int64(refs[place])
    t = store(log, t, 3, 3, thread)
    indices[thread] = np.uint32(ref)


class _Sizes(NamedTuple):
    """What follows from the settings."""

    n: int
    k: int
    bucket_bits: int
    slot_bits: int

    @property
    def digit(self) -> int:
        """Bits that a round lets agree."""
        return self.n // (self.k + 1)

    @property
    def strings(self) -> int:
        return 2 << self.digit

    @property
    def places(self) -> int:
        """Places of a level."""
        return 1 << (self.bucket_bits + self.slot_bits)

    @property
    def found_at(self) -> int:
        """Where the solutions are counted, behind the fill of the buckets of each level."""
        return self.k << self.bucket_bits

    def words(self, level: int) -> int:
        """Words of a string of a level."""
        return (self.n - level * self.digit + 31) // 32

    @property
    def stride(self) -> int:
        """Words of a place: a power of two, so that accesses are aligned."""
        return 1 << (self.words(0) - 1).bit_length()


def _sizes(settings: Settings) -> _Sizes:
    """Check what has to fit together."""
    n, k, slots = settings["n"], settings["k"], settings["slots"]
    sizes = _Sizes(n, k, settings["bucket_bits"], slots.bit_length() - 1)
    if n % 8 or n % (k + 1) or sizes.digit > 26 or sizes.words(k - 1) > 2:
        raise UsageError(
            f"n = {n}, k = {k}", "n a multiple of 8 and of k + 1, n / (k + 1) at most 26", "Try 200 and 9."
        )
    if not 0 < sizes.bucket_bits <= sizes.digit or sizes.bucket_bits + 2 * sizes.slot_bits > 32:
        given = f"bucket_bits = {sizes.bucket_bits}, slots = {slots}"
        raise UsageError(given, f"at most {sizes.digit} bits, and 32 with twice the bits of slots", "Choose fewer.")
    return sizes


def header_of(number: int) -> bytes:
    """Header of 140 bytes whose nonce ends in ``number``."""
    return HEADER[:-8] + number.to_bytes(8, "little")


def _launches(sizes: _Sizes, number: int, candidates: int) -> tuple[Launch, ...]:
    n, k = np.int64(sizes.n), np.int64(sizes.k)
    shape = (np.int64(sizes.bucket_bits), np.int64(sizes.slot_bits), np.int64(sizes.stride))
    tail = header_of(number)[128:]
    tails = (np.uint64(int.from_bytes(tail[:8], "little")), np.uint64(int.from_bytes(tail[8:], "little")))
    hashes, found_at = -(-sizes.strings // (512 // sizes.n)), np.int64(sizes.found_at)
    total = np.int64(sizes.strings)
    rounds = (
        Launch(
            join,
            sizes.places,
            (
                f"level{(level - 1) & 1}",
                "counts",
                f"level{level & 1}",
                "refs",
                np.int64(sizes.words(level - 1)),
                np.int64(sizes.words(level)),
                np.int64(sizes.digit),
                np.int64(level),
                *shape,
            ),
        )
        for level in range(1, sizes.k)
    )
    last, used = f"level{(sizes.k - 1) & 1}", np.int64(sizes.words(sizes.k - 1))
    return (
        Launch(clear, sizes.found_at + 1, ("counts",)),
        Launch(make_strings, hashes, ("chain", "counts", "level0", "refs", n, total, *tails, *shape)),
        *rounds,
        Launch(finish, sizes.places, (last, "counts", "solutions", used, k, found_at, *shape)),
        Launch(recover, candidates << sizes.k, ("solutions", "counts", "refs", "indices", k, found_at, *shape[:2])),
    )


def build_plan(settings: Settings, seed: int) -> Plan:
    """Plan a solver of Equihash ``n``, ``k``; every step takes another header."""
    sizes, candidates = _sizes(settings), settings["candidates"]
    arrays: Arrays = {
        "header": np.frombuffer(HEADER[:128], "<u8").copy(),
        "chain": Empty((8,), np.uint64),
        "level0": Empty((sizes.places * sizes.stride,), np.uint32),
        "level1": Empty((sizes.places * sizes.stride,), np.uint32),
        "refs": Empty((sizes.k * sizes.places,), np.uint32),
        "counts": Empty((sizes.found_at + 1,), np.uint32),
        "solutions": Empty((candidates,), np.uint32),
        "indices": Empty((candidates << sizes.k,), np.uint32),
    }

    def check(results: Mapping[str, NDArray[Any]]) -> None:
        counts = results["counts"]
        fill, found = counts[:-1].reshape(sizes.k, -1), int(counts[-1])
        kept = results["indices"].reshape(candidates, -1)[:found]
        problem = oracles_equihash.Problem(header_of(seed), sizes.n, sizes.k)
        oracles_equihash.require_fill(problem, fill, settings["slots"])
        oracles_equihash.require_solutions(problem, kept)
        if sizes.digit <= oracles_equihash.MOST_DIGIT and fill.max() <= settings["slots"] and found <= candidates:
            oracles_equihash.require_all(problem, kept)

    digest_bytes = np.int64(512 // sizes.n * sizes.n // 8)
    pairs, place = sizes.strings * sizes.k, 4 * sizes.stride
    return Plan(
        arrays,
        step=lambda number: _launches(sizes, seed + number, candidates),
        work=Work(
            units=1,
            # A round reads each string and writes one, with a counter and a reference.
            dram_bytes=pairs * (2 * place + 2 * 32),
            int_ops=sizes.strings * (12 * 8 * 14 * 2 / (512 // sizes.n)) + pairs * (1 << sizes.slot_bits),
        ),
        check=check,
        setup=(Launch(absorb, 1, ("header", "chain", digest_bytes, np.int64(sizes.n), np.int64(sizes.k)), 32),),
    )


WORKLOADS: Final = (
    Workload(
        name="equihash",
        label="mining",
        family="equihash",
        bound="memory",
        summary="Generalised birthday problem by buckets (Equihash, NDSS 2016; strings as in Zcash)",
        unit="header",
        parameters=(
            Parameter("n", "bits", 24, 200, "bits of a string"),
            Parameter("k", "rounds", 3, 9, "rounds; a solution has two to this power indices"),
            Parameter("bucket_bits", "bits", 1, 24, "a level has two to this power buckets"),
            Parameter("slots", "strings", 2, 256, "strings that a bucket holds", True),
            Parameter("candidates", "solutions", 1, 1 << 16, "solutions that are kept"),
        ),
        sizes={
            "small": {"n": 24, "k": 3, "bucket_bits": 2, "slots": 64, "candidates": 32},
            "trace": {"n": 112, "k": 7, "bucket_bits": 12, "slots": 32, "candidates": 1024},
            "gpu": {"n": 200, "k": 9, "bucket_bits": 18, "slots": 32, "candidates": 1024},
        },
        build=build_plan,
    ),
)
