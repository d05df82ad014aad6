"""FishHash: 32 rounds of three 128-byte reads from a table, between two BLAKE3.

After the FishHash specification (Iron Fish, fish-hash): the table is that of Ethash with 512 parents an
item, so the launches that fill it are Ethash's; a hash takes 64 bytes of BLAKE3 over a header of 180 bytes
that ends with the nonce, reads three pages a round at places that the mix decides, mixes them by FNV, XOR
and 64-bit multiply-add, folds the mix, and ends with BLAKE3. One thread a hash reads each page by eight
accesses of 16 bytes, turn by turn with the two other pages. The cache is filled as `ethash` says, and
pages from ``built`` on stay zero.
"""

# ruff: noqa: ANN401, PLR0913, PLR0917  bodies take arrays, and many of them

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from hashwarden.kernels.device import device, local_array
from hashwarden.kernels.memory.recorder import begin, load, store
from hashwarden.kernels.workloads.mining.blake3 import CHUNK_END, CHUNK_START, ROOT, blake3_compress, blake3_start
from hashwarden.kernels.workloads.mining.ethash import PAGE_WORDS, fnv, fold, setup_launches, table_parameters
from hashwarden.kernels.workloads.mining.oracles_blake3 import blake3_hash
from hashwarden.kernels.workloads.mining.oracles_ethash import Table, require_cache
from hashwarden.kernels.workloads.mining.oracles_ethash import fnv as fnv_arrays
from hashwarden.kernels.workloads.plan import Arrays, Empty, Launch, Plan, Work, require_equal
from hashwarden.kernels.workloads.workload import Parameter, Settings, Workload

__all__ = ["HEADER", "WORKLOADS", "build_plan", "fish_digests"]

HEADER: Final = bytes((3 * i) % 256 for i in range(180))
HEADER_WORDS: Final = 45
BLOCK_WORDS: Final = 16
QUAD: Final = 4
_LOW: Final = np.uint64(0xFFFFFFFF)
_SAMPLE: Final = 4


@device
def _seed(log: Any, t: Any, header: Any, nonce: Any, cv: Any, block: Any, scratch: Any) -> Any:
    """BLAKE3 of the header with its last 8 bytes replaced; 64 bytes of output lie in ``scratch``."""
    blake3_start(cv)
    for first in range(0, HEADER_WORDS, BLOCK_WORDS):
        for i in range(BLOCK_WORDS):
            at = first + i
            if at < HEADER_WORDS - 2:
                t = load(log, t, 0, 0, at)
                block[i] = header[at]
            else:
                block[i] = np.uint32(0)
            if at == HEADER_WORDS - 2:
                block[i] = np.uint32(nonce & _LOW)
            if at == HEADER_WORDS - 1:
                block[i] = np.uint32(nonce >> np.uint64(32))
        flags = CHUNK_START if first == 0 else 0
        last = first + BLOCK_WORDS >= HEADER_WORDS
        length = 4 * (HEADER_WORDS - first) if last else 4 * BLOCK_WORDS
        blake3_compress(cv, block, scratch, np.uint64(0), length, flags + CHUNK_END + ROOT if last else flags)
    return t


@device
def _wide(low: Any, high: Any) -> Any:
    return np.uint64(low) | (np.uint64(high) << np.uint64(32))


@device
def _mix_pair(mix: Any, i: Any, table: Any, p0: Any, p1: Any, p2: Any) -> None:
    """Mix two words of three pages into two words of the mix."""
    first = _wide(table[p0 + i], table[p0 + i + 1])
    second = _wide(fnv(mix[i], table[p1 + i]), fnv(mix[i + 1], table[p1 + i + 1]))
    third = _wide(mix[i] ^ table[p2 + i], mix[i + 1] ^ table[p2 + i + 1])
    mixed = np.uint64(np.uint64(first * second) + third)
    mix[i], mix[i + 1] = np.uint32(mixed & _LOW), np.uint32(mixed >> np.uint64(32))


@device
def search(thread: Any, log: Any, header: Any, table: Any, digests: Any, first: Any, pages: Any, rounds: Any) -> None:
    """Hash nonce ``first + thread``."""
    t = begin(log, thread)
    cv, block = local_array(8, np.uint32), local_array(BLOCK_WORDS, np.uint32)
    seed, mix, scratch = (
        local_array(BLOCK_WORDS, np.uint32),
        local_array(PAGE_WORDS, np.uint32),
        local_array(32, np.uint32),
    )
    t = _seed(log, t, header, np.uint64(np.uint64(first) + np.uint64(thread)), cv, block, scratch)
    for i in range(BLOCK_WORDS):
        seed[i] = scratch[i]
        mix[i], mix[BLOCK_WORDS + i] = seed[i], seed[i]
    for turn in range(rounds):
        p0 = PAGE_WORDS * np.int64(np.uint32(mix[0] % np.uint32(pages)))
        p1 = PAGE_WORDS * np.int64(np.uint32(mix[4] % np.uint32(pages)))
        p2 = PAGE_WORDS * np.int64(np.uint32(mix[8] % np.uint32(pages)))
        for quad in range(0, PAGE_WORDS, QUAD):
            t = load(log, t, 1, 1, p0 + quad, turn + 1, QUAD)
            t = load(log, t, 2, 1, p1 + quad, turn + 1, QUAD)
            t = load(log, t, 3, 1, p2 + quad, turn + 1, QUAD)
            _mix_pair(mix, quad, table, p0, p1, p2)
            _mix_pair(mix, quad + 2, table, p0, p1, p2)
    blake3_start(cv)
    blake3_compress(cv, seed, scratch, np.uint64(0), 64, CHUNK_START)
    for i in range(8):
        block[i], block[8 + i] = fold(mix[4 * i], mix[4 * i + 1], mix[4 * i + 2], mix[4 * i + 3]), np.uint32(0)
    blake3_compress(cv, block, scratch, np.uint64(0), 32, CHUNK_END + ROOT)
    for i in range(8):
        t = store(log, t, 4, 2, 8 * thread + i)
        digests[8 * thread + i] = cv[i]


def fish_digests(table: Table, nonces: list[int], rounds: int) -> bytes:
    """Digests of nonces by the definition, one after the other: the oracle."""
    messages = [HEADER[:-8] + nonce.to_bytes(8, "little") for nonce in nonces]
    seeds = [blake3_hash(message, 64) for message in messages]
    words = np.stack([np.frombuffer(seed, "<u4") for seed in seeds])
    mix = np.concatenate([words, words], axis=1)
    for _ in range(rounds):
        first, second, third = (table.read(mix[:, i] % np.uint32(table.pages)) for i in (0, 4, 8))
        second, third = fnv_arrays(mix, second), mix ^ third
        wide = [np.ascontiguousarray(part).view("<u8") for part in (first, second, third)]
        mix = (wide[0] * wide[1] + wide[2]).view("<u4")
    folded = fnv_arrays(fnv_arrays(fnv_arrays(mix[:, 0::4], mix[:, 1::4]), mix[:, 2::4]), mix[:, 3::4])
    return b"".join(blake3_hash(seed + row.tobytes(), 32) for seed, row in zip(seeds, folded, strict=True))


def build_plan(settings: Settings, seed: int) -> Plan:
    """Plan ``hashes`` hashes of ``rounds`` rounds; nonces go on from step to step."""
    hashes, rounds, pages = settings["hashes"], settings["rounds"], settings["pages"]
    arrays: Arrays = {
        "header": np.frombuffer(HEADER, "<u4").copy(),
        "cache": Empty((settings["cache_rows"] * BLOCK_WORDS,), np.uint32),
        "table": Empty((pages * PAGE_WORDS,), np.uint32),
        "digests": Empty((hashes * 8,), np.uint32),
    }

    def check(results: Mapping[str, NDArray[Any]]) -> None:
        cache = results["cache"].reshape(-1, BLOCK_WORDS)
        require_cache(cache, seed)
        chosen = np.unique(np.random.default_rng(seed).integers(0, hashes, _SAMPLE))
        table = Table(cache, pages, settings["built"], settings["parents"])
        expected = fish_digests(table, [seed + int(i) for i in chosen], rounds)
        digests = results["digests"].reshape(-1, 8)[chosen]
        require_equal("digests", digests, np.frombuffer(expected, "<u4").reshape(-1, 8))

    def step(number: int) -> tuple[Launch, ...]:
        scalars = (np.uint64(seed + number * hashes), np.uint32(pages), np.int64(rounds))
        return (Launch(search, hashes, ("header", "table", "digests", *scalars)),)

    return Plan(
        arrays,
        step=step,
        # Two words cost two FNV, two XOR and a 64-bit multiply-add; a compression is 7 rounds of 8 mixings of 14.
        work=Work(hashes, hashes * (rounds * 384 + 32), hashes * (rounds * 16 * 14 + 5 * 7 * 8 * 14)),
        check=check,
        setup=setup_launches(settings),
    )


WORKLOADS: Final = (
    Workload(
        name="fishhash",
        label="mining",
        family="fishhash",
        bound="memory",
        summary="BLAKE3 and 32 rounds of three random 128-byte reads of a table (FishHash, Iron Fish)",
        unit="hash",
        parameters=(
            *table_parameters(512),
            Parameter("rounds", "rounds", 1, 1 << 12, "rounds of three reads; 32 in the original"),
            Parameter("hashes", "hashes", 1, 1 << 24, "hashes a step, one thread each"),
        ),
        sizes={
            "small": {"cache_rows": 29, "pages": 59, "built": 20, "parents": 4, "rounds": 4, "hashes": 32},
            "trace": {
                "cache_rows": 16381,
                "pages": 1 << 19,
                "built": 1 << 14,
                "parents": 8,
                "rounds": 32,
                "hashes": 2048,
            },
            # The original has 37,748,717 pages and 1,179,641 rows of cache.
            "gpu": {
                "cache_rows": 1179641,
                "pages": 1 << 24,
                "built": 1 << 24,
                "parents": 512,
                "rounds": 32,
                "hashes": 1 << 19,
            },
        },
        build=build_plan,
    ),
)
