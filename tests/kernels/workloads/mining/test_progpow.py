"""KawPoW's parts and whole against the numbers that EIP-1057 and Ravencoin's implementation published."""

from __future__ import annotations

import numpy as np
import pytest

from hashwarden.errors import CheckError
from hashwarden.kernels.device import device
from hashwarden.kernels.memory.log import Recorder
from hashwarden.kernels.workloads.engines.base import Results
from hashwarden.kernels.workloads.engines.cpu import CpuEngine
from hashwarden.kernels.workloads.hash.progpow import Parameters
from hashwarden.kernels.workloads.mining import oracles_progpow, progpow
from hashwarden.kernels.workloads.mining.keccak import keccak_f1600
from hashwarden.kernels.workloads.mining.oracles_ethash import Table
from hashwarden.kernels.workloads.mining.progpow_lanes import fill_registers
from hashwarden.kernels.workloads.mining.progpow_program import encoded_program
from hashwarden.kernels.workloads.mining.search import no_hits

CACHE_ROWS, PAGES, PARENTS = 262_139, 4_194_296, 512
"""Epoch 0: rows of the light cache, pages of 256 bytes of the table, rows in an item."""

LANE_13 = (
    "4E46D05D 2E77E734 2C479399 70712177 A75D7FF5 BEF18D17 8D42252E 35B4FA0E 462C850A 2DD2B5D5 5F32B5EC ED5D9EED "
    "F9E2685E 1F29DC8E A78F098B 86A8687B EA7A10E7 BE732B9D 4EEBCB60 94DD7D97 39A425E9 C0E782BF BA7B870F 4823FF60 "
    "F97A5A1C B00BCAF4 02D0F8C4 28399214 B4CCB32D 83A09132 27EA8279 3837DDA3"
)
"""EIP-1057's test vectors: registers of lane 13 for the seed 0xEE304846DDD0A47B."""

VECTORS = (
    (
        0,
        "00" * 32,
        0,
        "6e97b47b134fda0c7888802988e1a373affeb28bcd813b6e9a0fc669c935d03a",
        "e601a7257a70dc48fccc97a7330d704d776047623b92883d77111fb36870f3d1",
    ),
    (
        49,
        "63155f732f2bf556967f906155b510c917e48e99685ead76ea83f4eca03ab12b",
        0x7073C07,
        "d36f7e815ee09e74eceb9c96993a3d681edf2bf0921fc7bb710364042db99777",
        "e7ced124598fd2500a55ad9f9f48e3569327fe50493c77a4ac9799b96efb9463",
    ),
)
"""Block, header hash, nonce, mix digest and digest: progpow_test_vectors.hpp of Ravencoin's cpp-kawpow."""

BLOCKS_A_PERIOD = 3


@pytest.fixture(autouse=True)
def wrapping():
    with np.errstate(over="ignore"):
        yield


def test_registers_of_the_specification():
    expected = [int(word, 16) for word in LANE_13.split()]
    mix = np.zeros(40, np.uint32)
    fill_registers(mix, 8, np.uint32(0xDDD0A47B), np.uint32(0xEE304846), 13)
    assert mix[8:].tolist() == expected
    low, high = (np.array([word], np.uint32) for word in (0xDDD0A47B, 0xEE304846))
    assert [int(words[0, 13]) for words in oracles_progpow.registers(low, high)] == expected


@pytest.mark.parametrize("counts", [Parameters(), Parameters(cnt_cache=12, cnt_math=20)])
def test_encoded_program(counts):
    one, two = encoded_program(1, counts), encoded_program(2, counts)
    assert len(one) == len(two) == counts.cnt_cache + counts.cnt_math + 4
    assert one.tolist() != two.tolist()
    assert np.bincount(one & 3).tolist() == [counts.cnt_cache, counts.cnt_math, 4]
    assert set(one >> 23) <= set(range(1, 32))
    math = one[(one & 3) == 1]
    assert ((math >> 2 & 31) != (math >> 7 & 31)).all()


@device
def keccak512(words, at, state):
    """Keccak-512 of 64 bytes in place."""
    for i in range(25):
        state[i] = np.uint64(0)
    for i in range(8):
        state[i] = words[at + i]
    state[8] = np.uint64(0x8000000000000001)
    keccak_f1600(state)
    for i in range(8):
        words[at + i] = state[i]


@device
def light_cache(words, rows, state, row):
    """Ethash's cache from its first 8 words: a chain of hashes, then three rounds of mixing."""
    for n in range(1, rows):
        for i in range(8):
            words[8 * n + i] = words[8 * n - 8 + i]
        keccak512(words, 8 * n, state)
    for _ in range(3):
        for n in range(rows):
            other = 8 * np.int64((words[8 * n] & np.uint64(0xFFFFFFFF)) % np.uint64(rows))
            before = 8 * ((n + rows - 1) % rows)
            for i in range(8):
                row[i] = words[before + i] ^ words[other + i]
            keccak512(row, 0, state)
            for i in range(8):
                words[8 * n + i] = row[i]


@pytest.fixture(scope="module")
def light():
    """The light cache of epoch 0, whose seed is 32 zero bytes."""
    words, state, row = np.zeros(8 * CACHE_ROWS, np.uint64), np.zeros(25, np.uint64), np.zeros(8, np.uint64)
    state[4], state[8] = 1, 1 << 63  # Keccak-512 of 32 bytes
    keccak_f1600(state)
    words[:8] = state[:8]
    light_cache(words, CACHE_ROWS, state, row)
    return words.view(np.uint32).reshape(CACHE_ROWS, 16)


@pytest.mark.parametrize(("block", "header", "nonce", "mixed", "digest"), VECTORS)
def test_published_hashes(light, block, header, nonce, mixed, digest):
    """The oracle reads a light client's table; the kernels then read, from a table of 1 GiB, what it read."""
    counts, words = Parameters(), np.frombuffer(bytes.fromhex(header), "<u4").astype(np.uint32)
    table, dag = Table(light, 0, 0, PARENTS), np.zeros((PAGES, 64), np.uint32)

    def read(pages):
        items = table.items((4 * pages[:, None] + np.arange(4)).astype(np.uint32).reshape(-1))
        dag[pages] = items.reshape(-1, 64)
        return dag[pages]

    period = block // BLOCKS_A_PERIOD
    got = oracles_progpow.hashes(words, progpow.PAD, np.array([nonce], np.uint64), period, counts, PAGES, read)
    assert [part[:, 0].tobytes().hex() for part in got] == [mixed, digest]

    program, seeds, lanes = encoded_program(period, counts), np.zeros(8, np.uint32), np.zeros(16, np.uint32)
    flat, links, found = dag.reshape(-1), np.zeros(64 * 16, np.uint32), no_hits()
    full = np.concatenate([words, progpow.PAD])
    progpow.start(0, None, full, seeds, np.uint64(nonce))
    progpow.exchange(0, None, program, seeds, flat[:4096], flat, links, 0, 64)
    for lane in range(16):
        progpow.mix_lanes(lane, None, program, seeds, flat[:4096], flat, links, lanes, 0, 64)
    progpow.finish(0, None, full, seeds, lanes, found, np.uint64(nonce), np.uint64(2**64 - 1))
    assert int(found[nonce % 64]) == nonce
    assert int(found[64 + nonce % 64]) == int(digest[:16], 16)


def small_results():
    (workload,) = progpow.WORKLOADS
    plan = workload.build(workload.settings("small", {"hits": 2}), 3)
    engine = CpuEngine(plan)
    engine.check()
    return plan, {name: Results(engine)[name] for name in plan.arrays}


def test_falsified_results_are_refused():
    plan, results = small_results()
    for name, place in (("found", 64), ("cache", 100), ("light", 3)):
        wrong = results[name].copy()
        wrong[place] ^= wrong.dtype.type(1)
        with pytest.raises(CheckError):
            plan.check({**results, name: wrong})


def test_accesses_of_a_warp_are_two_whole_pages_a_round():
    """Sixteen lanes read 256 bytes in a row, and each address depends on all that was read before."""
    (workload,) = progpow.WORKLOADS
    settings = workload.settings("small")
    recorder = Recorder(capacity=1 << 16)
    engine = CpuEngine(workload.build(settings, 0), recorder)
    engine.check()
    log, base = recorder.log().canonical(), engine.addresses["dag"]
    last = log.launch.max() - 1
    rows = (log.launch == last) & (log.address >= base) & (log.address < base + 64 * settings["items"])
    pages = ((log.address[rows] - base) // 256).reshape(settings["rounds"], 2, 16)
    assert (pages == pages[:, :, :1]).all()
    parts = np.sort(log.address[rows].reshape(settings["rounds"], 2, 16) - base, axis=2) % 256
    assert (parts == 16 * np.arange(16)).all()
    assert (log.width[rows] == 16).all()
    depths = log.depth[rows].reshape(settings["rounds"], 32)
    assert (np.diff(depths, axis=0) >= 1).all()
