"""KawPoW: 64 reads of 256 bytes between two Keccak-f[800], and a random program of the period in between.

After EIP-1057 (ProgPoW 0.9.3) and Ravencoin's KawPoW, which pads with its own letters. A hash has 16 lanes
with 32 registers each. Every round one lane's register names a page of the table; each lane reads its 16
bytes of it, then runs the program: reads of a cache of 16 KiB, integer operations, merges.

A lane is a thread here as in a miner, its registers are private, and a launch does all rounds. What a
miner exchanges by a shuffle, the page that the leading lane names, is prepared for a few batches of nonces
by `exchange`, in set-up: the difference between the page and the lane's own first register. So every address
follows from the lane's registers as it does in a miner, a warp reads two whole pages at once, and
one coalesced read of 4 bytes a round stands for the shuffle. Steps go through the prepared batches again and
again. The program is interpreted, not compiled; the cache lies in global memory, not in shared memory.

The table is Ethash's (`hashwarden.kernels.workloads.mining.ethash`); items from ``built`` on stay zero.
"""

# ruff: noqa: ANN401, PLR0913, PLR0917  bodies take arrays, and many of them

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from hashwarden.kernels.device import device, local_array
from hashwarden.kernels.memory.recorder import begin, load, store
from hashwarden.kernels.workloads.hash.progpow import Parameters
from hashwarden.kernels.workloads.mining import oracles_ethash, oracles_progpow
from hashwarden.kernels.workloads.mining.ethash import ITEM_WORDS, build_items, fill_cache
from hashwarden.kernels.workloads.mining.keccak import keccak_f800
from hashwarden.kernels.workloads.mining.progpow_lanes import (
    FNV_OFFSET,
    LANES,
    REGISTERS,
    WORDS,
    fill_registers,
    fnv1a,
    run_program,
)
from hashwarden.kernels.workloads.mining.progpow_program import MOST_STEPS, encoded_program
from hashwarden.kernels.workloads.mining.search import check_hits, limit_of, no_hits, report, swap_bytes_64
from hashwarden.kernels.workloads.plan import Arrays, Empty, Launch, Plan, Work, require_equal
from hashwarden.kernels.workloads.workload import Parameter, Settings, Workload

__all__ = ["PAD", "WORKLOADS", "build_plan", "copy_cache", "exchange", "finish", "mix_lanes", "start"]

PAD: Final = np.frombuffer(b"rAVENCOINKAWPOW", np.uint8).astype(np.uint32)
"""What KawPoW fills Keccak's state up with."""

_PAGE_WORDS: Final = LANES * WORDS
_ALL_REGISTERS: Final = LANES * REGISTERS
_OPS: Final = 11 * 5 + 18 * 6 + 4 * 3
"""Integer instructions of a lane in a round: cached words, operations, words of the table."""

_KECCAK_OPS: Final = 22 * 95
_SAMPLE: Final = 64


@device
def start(thread: Any, log: Any, header: Any, seeds: Any, first: Any) -> None:
    """First Keccak of hash ``thread``; ``header`` is 8 words and the padding."""
    t = begin(log, thread)
    state = local_array(25, np.uint32)
    nonce = np.uint64(first + np.uint64(thread))
    for i in range(23):
        t = load(log, t, 0, 0, i)
        state[i if i < 8 else i + 2] = header[i]
    state[8], state[9] = np.uint32(nonce & np.uint64(0xFFFFFFFF)), np.uint32(nonce >> np.uint64(32))
    keccak_f800(state)
    for i in range(8):
        t = store(log, t, 1, 1, 8 * thread + i)
        seeds[8 * thread + i] = state[i]


@device
def _read_program(log: Any, t: Any, program: Any, own: Any) -> Any:
    for i in range(len(program)):
        t = load(log, t, 0, 0, i)
        own[i] = program[i]
    return t


@device
def _read_page(log: Any, t: Any, dag: Any, page: Any, part: Any, depth: Any, data: Any) -> Any:
    """Read 16 bytes of a page."""
    at = (np.int64(page) * LANES + part) * WORDS
    t = load(log, t, 5, 3, at, depth, WORDS)
    for i in range(WORDS):
        data[i] = dag[at + i]
    return t


@device
def exchange(
    thread: Any, log: Any, program: Any, seeds: Any, cache: Any, dag: Any, links: Any, first: Any, rounds: Any
) -> None:
    """Run all lanes of hash ``thread``, and keep what its lanes have to be told in each round."""
    t = begin(log, thread)
    own, data = local_array(MOST_STEPS, np.int64), local_array(WORDS, np.uint32)
    mix, depths = local_array(_ALL_REGISTERS, np.uint32), local_array(_ALL_REGISTERS, np.int64)
    t = _read_program(log, t, program, own)
    t = load(log, t, 1, 1, 8 * thread, 0, 2)
    for lane in range(LANES):
        fill_registers(mix, lane * REGISTERS, seeds[8 * thread], seeds[8 * thread + 1], lane)
    for i in range(_ALL_REGISTERS):
        depths[i] = 1
    pages, lanes = np.uint32(len(dag) // _PAGE_WORDS), np.int64(len(seeds) // 8 * LANES)
    for number in range(rounds):
        leading = (number & (LANES - 1)) * REGISTERS
        page, depth = np.uint32(mix[leading] % pages), np.int64(depths[leading])
        for lane in range(LANES):
            place = first + number * lanes + thread * LANES + lane
            t = store(log, t, 4, 4, place)
            links[place] = np.uint32(page ^ mix[lane * REGISTERS])
            t = _read_page(log, t, dag, page, (lane ^ number) & (LANES - 1), depth, data)
            base = lane * REGISTERS
            t = run_program(log, t, own, len(program), cache, data, depth + 1, mix, depths, base)


@device
def mix_lanes(
    thread: Any,
    log: Any,
    program: Any,
    seeds: Any,
    cache: Any,
    dag: Any,
    links: Any,
    lane_hashes: Any,
    first: Any,
    rounds: Any,
) -> None:
    """Run lane ``thread % 16`` of hash ``thread // 16``, all rounds."""
    t = begin(log, thread)
    own, data = local_array(MOST_STEPS, np.int64), local_array(WORDS, np.uint32)
    mix, depths = local_array(REGISTERS, np.uint32), local_array(REGISTERS, np.int64)
    seed, lane = 8 * (thread // LANES), thread & (LANES - 1)
    t = _read_program(log, t, program, own)
    t = load(log, t, 1, 1, seed, 0, 2)
    fill_registers(mix, 0, seeds[seed], seeds[seed + 1], lane)
    for i in range(REGISTERS):
        depths[i] = 1
    lanes = np.int64(len(lane_hashes))
    for number in range(rounds):
        place = first + number * lanes + thread
        t = load(log, t, 4, 4, place)
        page, depth = np.uint32(links[place] ^ mix[0]), np.int64(depths[0])
        t = _read_page(log, t, dag, page, (lane ^ number) & (LANES - 1), depth, data)
        t = run_program(log, t, own, len(program), cache, data, depth + 1, mix, depths, 0)
    lane_hash = FNV_OFFSET
    for i in range(REGISTERS):
        lane_hash = fnv1a(lane_hash, mix[i])
    t = store(log, t, 6, 5, thread)
    lane_hashes[thread] = lane_hash


@device
def finish(
    thread: Any, log: Any, header: Any, seeds: Any, lane_hashes: Any, found: Any, first: Any, limit: Any
) -> None:
    """Fold the lanes of hash ``thread`` to 32 bytes, and do the last Keccak."""
    t = begin(log, thread)
    state = local_array(25, np.uint32)
    for i in range(8):
        t = load(log, t, 0, 1, 8 * thread + i)
        state[i], state[8 + i] = seeds[8 * thread + i], FNV_OFFSET
    for i in range(LANES):
        t = load(log, t, 1, 2, LANES * thread + i)
        state[8 + (i & 7)] = fnv1a(state[8 + (i & 7)], lane_hashes[LANES * thread + i])
    for i in range(9):
        t = load(log, t, 2, 0, 8 + i)
        state[16 + i] = header[8 + i]
    keccak_f800(state)
    head = swap_bytes_64((np.uint64(state[1]) << np.uint64(32)) | np.uint64(state[0]))
    report(log, t, 3, 3, found, np.uint64(first + np.uint64(thread)), head, limit)


@device
def copy_cache(thread: Any, log: Any, dag: Any, cache: Any) -> None:
    """Copy word ``thread`` of the table to the cache."""
    t = begin(log, thread)
    t = load(log, t, 0, 0, thread)
    store(log, t, 1, 1, thread)
    cache[thread] = dag[thread]


def _setup(settings: Settings) -> tuple[Launch, ...]:
    hashes, rounds = settings["hashes"], settings["rounds"]
    launches = [
        Launch(fill_cache, settings["cache_rows"], ("light",)),
        Launch(build_items, settings["built"], ("light", "dag", np.int64(settings["parents"]))),
        Launch(copy_cache, settings["cache_words"], ("dag", "cache")),
    ]
    for batch in range(settings["batches"]):
        launches.append(Launch(start, hashes, ("header", "seeds", np.uint64(batch * hashes))))
        scalars = (np.int64(batch * rounds * hashes * LANES), np.int64(rounds))
        launches.append(Launch(exchange, hashes, ("program", "seeds", "cache", "dag", "links", *scalars)))
    return tuple(launches)


def _step(number: int, settings: Settings, limit: np.uint64) -> tuple[Launch, ...]:
    hashes, rounds, batch = settings["hashes"], settings["rounds"], number % settings["batches"]
    first = np.uint64(batch * hashes)
    scalars = (np.int64(batch * rounds * hashes * LANES), np.int64(rounds))
    arrays = ("program", "seeds", "cache", "dag", "links", "lane_hashes")
    return (
        Launch(start, hashes, ("header", "seeds", first)),
        Launch(mix_lanes, hashes * LANES, (*arrays, *scalars)),
        Launch(finish, hashes, ("header", "seeds", "lane_hashes", "found", first, limit)),
    )


def _reader(results: Mapping[str, NDArray[Any]], settings: Settings) -> oracles_progpow.Read:
    """Table of a light client, with the kernels' cache of the first stage, which is checked before."""
    light = results["light"].reshape(-1, ITEM_WORDS)
    oracles_ethash.require_cache(light, 0)
    table = oracles_ethash.Table(light, 0, 0, settings["parents"])

    def read(pages: NDArray[np.int64]) -> NDArray[np.uint32]:
        numbers = (4 * pages[:, None] + np.arange(4)).astype(np.uint32).reshape(-1)
        made = np.flatnonzero(numbers < settings["built"])
        words = np.zeros((len(numbers), ITEM_WORDS), np.uint32)
        if len(made):
            words[made] = table.items(numbers[made])
        return words.reshape(len(pages), _PAGE_WORDS)

    return read


def build_plan(settings: Settings, seed: int) -> Plan:
    """Plan a search of ``hashes`` nonces a step, 16 threads each."""
    hashes, rounds, items = settings["hashes"], settings["rounds"], settings["items"]
    counts = Parameters(cnt_dag=rounds, cache_words=settings["cache_words"])
    header = np.random.default_rng(seed).integers(0, 1 << 32, 8, np.uint32)
    limit = limit_of(settings["hits"], hashes)
    arrays: Arrays = {
        "light": Empty((settings["cache_rows"] * ITEM_WORDS,), np.uint32),
        "dag": Empty((items * ITEM_WORDS,), np.uint32),
        "cache": Empty((settings["cache_words"],), np.uint32),
        "program": encoded_program(settings["period"], counts),
        "header": np.concatenate([header, PAD]),
        "seeds": Empty((hashes * 8,), np.uint32),
        "links": Empty((settings["batches"] * rounds * hashes * LANES,), np.uint32),
        "lane_hashes": Empty((hashes * LANES,), np.uint32),
        "found": no_hits(),
    }

    def check(results: Mapping[str, NDArray[Any]]) -> None:
        found, read = results["found"], _reader(results, settings)
        named = found[: len(found) // 2]
        inside = [int(nonce) for nonce in named if nonce < hashes]
        nonces = np.array(sorted({*range(min(hashes, _SAMPLE)), *inside}), np.uint64)
        pages = items * ITEM_WORDS // _PAGE_WORDS
        _, digests = oracles_progpow.hashes(header, PAD, nonces, settings["period"], counts, pages, read)
        heads = {int(n): int.from_bytes(d[:2].tobytes(), "big") for n, d in zip(nonces, digests.T, strict=True)}
        require_equal("cache", results["cache"], read(np.arange(settings["cache_words"] // _PAGE_WORDS)).reshape(-1))
        check_hits(found, 0, hashes, int(limit), lambda nonce: heads.get(nonce, 1 << 64), most=_SAMPLE)

    reads = hashes * rounds * LANES
    work = Work(
        units=hashes,
        dram_bytes=reads * 4 * (WORDS + 1),
        int_ops=reads * _OPS + hashes * 2 * _KECCAK_OPS,
    )
    return Plan(arrays, lambda number: _step(number, settings, limit), work, check, _setup(settings))


WORKLOADS: Final = (
    Workload(
        name="kawpow",
        label="mining",
        family="progpow",
        bound="memory",
        summary="64 reads of 256 bytes a hash, each by 16 lanes, and a random program (EIP-1057, KawPoW)",
        unit="hash",
        parameters=(
            Parameter("hashes", "hashes", 1, 1 << 22, "hashes of a step, 16 threads each"),
            Parameter("rounds", "reads", 1, 64, "pages that a hash reads; 64 in the specification"),
            Parameter("items", "items", 64, 1 << 27, "items of the table, 64 bytes each", power_of_two=True),
            Parameter("built", "items", 64, 1 << 27, "items that are built; those behind are zero"),
            Parameter("parents", "rows", 1, 512, "rows of the light cache in an item; 512 in the specification"),
            Parameter("cache_rows", "rows", 8, 1 << 22, "rows of the light cache, 64 bytes each"),
            Parameter("cache_words", "words", 256, 4096, "words of the small cache", power_of_two=True),
            Parameter("batches", "batches", 1, 64, "batches of nonces that are prepared"),
            Parameter("period", "", 0, (1 << 63) - 1, "number of the period, which decides the program"),
            Parameter("hits", "hashes", 1, 1 << 12, "expected hits of a step"),
        ),
        sizes={
            "small": {
                "hashes": 2,
                "rounds": 8,
                "items": 64,
                "built": 64,
                "parents": 1,
                "cache_rows": 16,
                "cache_words": 256,
                "batches": 1,
                "period": 5,
                "hits": 2,
            },
            "trace": {
                "hashes": 64,
                "rounds": 64,
                "items": 1 << 20,
                "built": 1 << 14,
                "parents": 8,
                "cache_rows": 1 << 12,
                "cache_words": 4096,
                "batches": 2,
                "period": 5,
                "hits": 32,
            },
            "gpu": {
                "hashes": 1 << 18,
                "rounds": 64,
                "items": 1 << 24,
                "built": 1 << 24,
                "parents": 512,
                "cache_rows": 1 << 18,
                "cache_words": 4096,
                "batches": 2,
                "period": 5,
                "hits": 128,
            },
        },
        build=build_plan,
    ),
)
