"""Ethash: 64 random reads of 128 bytes from a large table, between two Keccaks.

After the Ethash specification (Ethereum, revision 23): a cache of 64-byte rows gives the items of the
table (Keccak-512, 256 parents mixed by FNV, Keccak-512); a hash reads 64 pages of 128 bytes, each at a
place that the mix so far decides, folds the mix to 32 bytes and ends with Keccak-256.

Two programs, both as miners write them. ``ethash`` gives a hash to eight threads that read 16 bytes each,
so that a warp reads four pages of 128 bytes at once. Miners hold the mix in registers and hand it around by
shuffles; here a launch is one read of every hash and the mix lies in memory between launches. The reads of
the table are those of a miner, thread by thread, and their depth counts the reads before them, through that
memory; the coalesced traffic of the mix comes on top. ``ethash-thread`` gives a hash to one thread that
reads each page by eight accesses of 16 bytes, 32 pages at once in a warp.

The cache of the specification is a chain that the host computes; here a row is the Keccak-512 of its
number, so that no host work is needed, and everything behind it is the same. Pages from ``built`` on stay
zero: a trace needs the reads of a large table, not all of its building.
"""

# ruff: noqa: ANN401, PLR0913, PLR0917  bodies take arrays, and many of them

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from hashwarden.kernels.device import device, local_array
from hashwarden.kernels.memory.recorder import begin, load, store
from hashwarden.kernels.workloads.mining import oracles_ethash
from hashwarden.kernels.workloads.mining.keccak import keccak_f1600
from hashwarden.kernels.workloads.plan import Arrays, Empty, Launch, Plan, Work, require_equal
from hashwarden.kernels.workloads.workload import Parameter, Settings, Workload

__all__ = [
    "HEADER",
    "ITEM_WORDS",
    "PAGE_WORDS",
    "WORKLOADS",
    "build_items",
    "build_lanes",
    "build_thread",
    "fill_cache",
    "fnv",
    "fold",
    "search",
    "setup_launches",
    "table_parameters",
]

ITEM_WORDS: Final = 16
PAGE_WORDS: Final = 32
LANES: Final = 8
QUAD: Final = 4  # words of an access of 16 bytes
KECCAK_LANES: Final = 25
HEADER: Final = bytes(range(32))
_PRIME: Final = np.uint32(0x01000193)
_LOW: Final = np.uint64(0xFFFFFFFF)
_LAST_BIT: Final = np.uint64(1 << 63)
_SAMPLE: Final = 4


@device
def fnv(a: Any, b: Any) -> Any:
    """Mix two uint32 as Ethash does (FNV-1 by words)."""
    return np.uint32(np.uint32(np.uint32(a) * _PRIME) ^ np.uint32(b))


@device
def _clear(state: Any, first: Any) -> None:
    for lane in range(first, KECCAK_LANES):
        state[lane] = np.uint64(0)


@device
def _keccak512_words(words: Any, state: Any) -> None:
    """Keccak-512 of the 64 bytes in ``words``, in place."""
    _clear(state, 0)
    for i in range(8):
        state[i] = np.uint64(words[2 * i]) | (np.uint64(words[2 * i + 1]) << np.uint64(32))
    state[8] = _LAST_BIT | np.uint64(1)
    keccak_f1600(state)
    for i in range(8):
        words[2 * i] = np.uint32(state[i] & _LOW)
        words[2 * i + 1] = np.uint32(state[i] >> np.uint64(32))


@device
def _store_item(log: Any, t: Any, site: Any, argument: Any, array: Any, item: Any, words: Any) -> Any:
    for quad in range(0, ITEM_WORDS, QUAD):
        at = ITEM_WORDS * np.int64(item) + quad
        t = store(log, t, site, argument, at, 0, QUAD)
        for i in range(QUAD):
            array[at + i] = words[quad + i]
    return t


@device
def fill_cache(thread: Any, log: Any, cache: Any) -> None:
    """Make row ``thread`` of the cache."""
    t = begin(log, thread)
    words, state = local_array(ITEM_WORDS, np.uint32), local_array(KECCAK_LANES, np.uint64)
    for i in range(ITEM_WORDS):
        words[i] = np.uint32(0)
    words[0] = np.uint32(thread)
    _keccak512_words(words, state)
    _store_item(log, t, 0, 0, cache, thread, words)


@device
def build_items(thread: Any, log: Any, cache: Any, table: Any, parents: Any) -> None:
    """Make item ``thread`` of the table, half a page, from rows of the cache."""
    t = begin(log, thread)
    words, state = local_array(ITEM_WORDS, np.uint32), local_array(KECCAK_LANES, np.uint64)
    rows, index = np.uint32(len(cache) // ITEM_WORDS), np.uint32(thread)
    row = ITEM_WORDS * np.int64(np.uint32(index % rows))
    for quad in range(0, ITEM_WORDS, QUAD):
        t = load(log, t, 0, 0, row + quad, 0, QUAD)
        for i in range(QUAD):
            words[quad + i] = cache[row + quad + i]
    words[0] = np.uint32(words[0] ^ index)
    _keccak512_words(words, state)
    for parent in range(parents):
        picked = fnv(np.uint32(index ^ np.uint32(parent)), words[parent & 15])
        row = ITEM_WORDS * np.int64(np.uint32(picked % rows))
        for quad in range(0, ITEM_WORDS, QUAD):
            t = load(log, t, 1, 0, row + quad, parent + 1, QUAD)
            for i in range(QUAD):
                words[quad + i] = fnv(words[quad + i], cache[row + quad + i])
    _keccak512_words(words, state)
    _store_item(log, t, 2, 1, table, thread, words)


@device
def _seed(log: Any, t: Any, header: Any, nonce: Any, state: Any) -> Any:
    """Keccak-512 of header and nonce, in the first 8 lanes; the header is argument 0, its loads site 0."""
    _clear(state, 0)
    for lane in range(4):
        t = load(log, t, 0, 0, lane)
        state[lane] = header[lane]
    state[4], state[5], state[8] = np.uint64(nonce), np.uint64(1), _LAST_BIT
    keccak_f1600(state)
    return t


@device
def _word(state: Any, i: Any) -> Any:
    """Word ``i`` of the seed."""
    return np.uint32((state[i >> 1] >> np.uint64(32 * (i & 1))) & _LOW)


@device
def fold(a: Any, b: Any, c: Any, d: Any) -> Any:
    """Compress four words of the mix to one."""
    return fnv(fnv(fnv(a, b), c), d)


@device
def _finish(state: Any) -> None:
    """Keccak-256 of the seed and the folded mix in the first 12 lanes, in the first 4."""
    _clear(state, 12)
    state[12], state[16] = np.uint64(1), _LAST_BIT
    keccak_f1600(state)


@device
def search(thread: Any, log: Any, header: Any, table: Any, digests: Any, first: Any, pages: Any, reads: Any) -> None:
    """Hash nonce ``first + thread``, all by one thread."""
    t = begin(log, thread)
    state, mix = local_array(KECCAK_LANES, np.uint64), local_array(PAGE_WORDS, np.uint32)
    t = _seed(log, t, header, np.uint64(first) + np.uint64(thread), state)
    for i in range(PAGE_WORDS):
        mix[i] = _word(state, i & 15)
    first_word = _word(state, 0)
    for read in range(reads):
        picked = fnv(np.uint32(np.uint32(read) ^ first_word), mix[read & 31])
        page = PAGE_WORDS * np.int64(np.uint32(picked % np.uint32(pages)))
        for quad in range(0, PAGE_WORDS, QUAD):
            t = load(log, t, 1 + (quad >> 2), 1, page + quad, read + 1, QUAD)
            for i in range(QUAD):
                mix[quad + i] = fnv(mix[quad + i], table[page + quad + i])
    for i in range(4):
        low = fold(mix[8 * i], mix[8 * i + 1], mix[8 * i + 2], mix[8 * i + 3])
        high = fold(mix[8 * i + 4], mix[8 * i + 5], mix[8 * i + 6], mix[8 * i + 7])
        state[8 + i] = np.uint64(low) | (np.uint64(high) << np.uint64(32))
    _finish(state)
    for lane in range(4):
        t = store(log, t, 9, 2, 4 * thread + lane)
        digests[4 * thread + lane] = state[lane]


@device
def lanes_begin(thread: Any, log: Any, header: Any, seeds: Any, mixes: Any, first: Any) -> None:
    """Seed and first mix of nonce ``first + thread``."""
    t = begin(log, thread)
    state = local_array(KECCAK_LANES, np.uint64)
    t = _seed(log, t, header, np.uint64(first) + np.uint64(thread), state)
    for lane in range(8):
        t = store(log, t, 1, 1, 8 * thread + lane)
        seeds[8 * thread + lane] = state[lane]
    for quad in range(0, PAGE_WORDS, QUAD):
        t = store(log, t, 2, 2, PAGE_WORDS * thread + quad, 0, QUAD)
        for i in range(QUAD):
            mixes[PAGE_WORDS * thread + quad + i] = _word(state, (quad + i) & 15)


@device
def lanes_read(thread: Any, log: Any, table: Any, seeds: Any, mixes: Any, mixed: Any, pages: Any, read: Any) -> None:
    """Read 16 bytes of the next page of hash ``thread // 8``, and mix them in."""
    t = begin(log, thread)
    owner, own = np.int64(thread) >> 3, QUAD * np.int64(thread)
    t = load(log, t, 0, 1, 8 * owner)
    first_word = np.uint32(seeds[8 * owner] & _LOW)
    chosen = PAGE_WORDS * owner + (np.int64(read) & 31)
    t = load(log, t, 1, 2, chosen)
    picked = fnv(np.uint32(np.uint32(read) ^ first_word), mixes[chosen])
    page = PAGE_WORDS * np.int64(np.uint32(picked % np.uint32(pages))) + QUAD * (np.int64(thread) & 7)
    t = load(log, t, 2, 0, page, read + 1, QUAD)
    t = load(log, t, 3, 2, own, 0, QUAD)
    t = store(log, t, 4, 3, own, 0, QUAD)
    for i in range(QUAD):
        mixed[own + i] = fnv(mixes[own + i], table[page + i])


@device
def lanes_end(thread: Any, log: Any, seeds: Any, mixes: Any, digests: Any) -> None:
    """Fold the mix of hash ``thread`` and end it."""
    t = begin(log, thread)
    state = local_array(KECCAK_LANES, np.uint64)
    for lane in range(8):
        t = load(log, t, 0, 0, 8 * thread + lane)
        state[lane] = seeds[8 * thread + lane]
    for i in range(4):
        at = PAGE_WORDS * np.int64(thread) + 8 * i
        t = load(log, t, 1, 1, at, 0, QUAD)
        low = fold(mixes[at], mixes[at + 1], mixes[at + 2], mixes[at + 3])
        t = load(log, t, 2, 1, at + QUAD, 0, QUAD)
        high = fold(mixes[at + 4], mixes[at + 5], mixes[at + 6], mixes[at + 7])
        state[8 + i] = np.uint64(low) | (np.uint64(high) << np.uint64(32))
    _finish(state)
    for lane in range(4):
        t = store(log, t, 3, 2, 4 * thread + lane)
        digests[4 * thread + lane] = state[lane]


def setup_launches(settings: Settings) -> tuple[Launch, ...]:
    """Launches that fill arrays ``cache`` and ``table``."""
    built = min(settings["built"], settings["pages"])
    return (
        Launch(fill_cache, settings["cache_rows"], ("cache",)),
        Launch(build_items, 2 * built, ("cache", "table", np.int64(settings["parents"]))),
    )


def _plan(settings: Settings, seed: int, arrays: Arrays, launches: Any) -> Plan:
    """Plan what both programs share; ``launches`` is from the first nonce to the launches of a step."""
    hashes, reads, pages = settings["hashes"], settings["reads"], settings["pages"]
    shared: Arrays = {
        "header": np.frombuffer(HEADER, "<u8").copy(),
        "cache": Empty((settings["cache_rows"] * ITEM_WORDS,), np.uint32),
        "table": Empty((pages * PAGE_WORDS,), np.uint32),
        "digests": Empty((hashes * 4,), np.uint64),
    }

    def check(results: Mapping[str, NDArray[Any]]) -> None:
        chosen = np.unique(np.random.default_rng(seed).integers(0, hashes, _SAMPLE))
        light = oracles_ethash.Table(
            results["cache"].reshape(-1, ITEM_WORDS), pages, settings["built"], settings["parents"]
        )
        expected = oracles_ethash.hashimoto(light, HEADER, chosen.astype(np.uint64) + np.uint64(seed), reads)
        require_equal("digests", results["digests"].reshape(-1, 4)[chosen], expected.view("<u8"))
        oracles_ethash.require_cache(results["cache"].reshape(-1, ITEM_WORDS), seed)

    return Plan(
        {**shared, **arrays},
        step=lambda number: launches(np.uint64(seed + number * hashes)),
        # A page costs one FNV a word; a Keccak is 24 rounds of some 150 operations on pairs of words.
        work=Work(hashes, hashes * (reads * 128 + 32), hashes * (reads * PAGE_WORDS * 2 + 2 * 24 * 150 * 2)),
        check=check,
        setup=setup_launches(settings),
    )


def build_lanes(settings: Settings, seed: int) -> Plan:
    """Plan ``hashes`` hashes by eight threads each; nonces go on from step to step."""
    hashes, reads, pages = settings["hashes"], settings["reads"], np.uint32(settings["pages"])
    arrays: Arrays = {
        "seeds": Empty((hashes * 8,), np.uint64),
        "mix0": Empty((hashes * PAGE_WORDS,), np.uint32),
        "mix1": Empty((hashes * PAGE_WORDS,), np.uint32),
    }

    def launches(first: np.uint64) -> tuple[Launch, ...]:
        rounds = (
            Launch(
                lanes_read,
                hashes * LANES,
                ("table", "seeds", f"mix{read & 1}", f"mix{1 - read & 1}", pages, np.int64(read)),
            )
            for read in range(reads)
        )
        return (
            Launch(lanes_begin, hashes, ("header", "seeds", "mix0", first)),
            *rounds,
            Launch(lanes_end, hashes, ("seeds", f"mix{reads & 1}", "digests")),
        )

    return _plan(settings, seed, arrays, launches)


def build_thread(settings: Settings, seed: int) -> Plan:
    """Plan ``hashes`` hashes by one thread each; nonces go on from step to step."""
    scalars = (np.uint32(settings["pages"]), np.int64(settings["reads"]))

    def launches(first: np.uint64) -> tuple[Launch, ...]:
        return (Launch(search, settings["hashes"], ("header", "table", "digests", first, *scalars)),)

    return _plan(settings, seed, {}, launches)


def table_parameters(parents: int) -> tuple[Parameter, ...]:
    """Parameters of a table made from a cache; ``parents`` is the number of the specification."""
    return (
        Parameter("cache_rows", "rows", 1, 1 << 24, "rows of the cache, 64 bytes each"),
        Parameter("pages", "pages", 1, 1 << 28, "pages of the table, 128 bytes each"),
        Parameter("built", "pages", 1, 1 << 28, "pages that set-up fills; those behind them stay zero"),
        Parameter("parents", "rows", 1, 1 << 12, f"rows of the cache mixed into an item; {parents} in the original"),
    )


_PARAMETERS: Final = (
    *table_parameters(256),
    Parameter("reads", "pages", 1, 1 << 12, "pages that a hash reads; 64 in the original"),
    Parameter("hashes", "hashes", 1, 1 << 24, "hashes a step"),
)
_SMALL: Final = {"cache_rows": 31, "pages": 61, "built": 24, "parents": 4, "reads": 8, "hashes": 32}
_TRACE: Final = {"cache_rows": 16381, "pages": 1 << 19, "built": 1 << 14, "parents": 8, "reads": 64, "hashes": 1024}
_GPU: Final = {  # the sizes of epoch 0
    "cache_rows": 262139,
    "pages": 8388593,
    "built": 8388593,
    "parents": 256,
    "reads": 64,
    "hashes": 1 << 18,
}

WORKLOADS: Final = (
    Workload(
        name="ethash",
        label="mining",
        family="ethash",
        bound="memory",
        summary="Ethash with eight threads a hash: random 128-byte reads of a table (Ethash revision 23)",
        unit="hash",
        parameters=_PARAMETERS,
        sizes={"small": _SMALL, "trace": _TRACE, "gpu": _GPU},
        build=build_lanes,
    ),
    Workload(
        name="ethash-thread",
        label="mining",
        family="ethash",
        bound="memory",
        summary="Ethash with one thread a hash: random 128-byte reads of a table (Ethash revision 23)",
        unit="hash",
        parameters=_PARAMETERS,
        sizes={"small": _SMALL, "trace": {**_TRACE, "hashes": 2048}, "gpu": {**_GPU, "hashes": 1 << 20}},
        build=build_thread,
    ),
)
