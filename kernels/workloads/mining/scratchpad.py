"""CryptoNight-like hash: Keccak, a scratchpad filled by AES, a chain of dependent reads and writes, Keccak.

After the CryptoNight standard (CNS008, 2014): the state of Keccak-1600 over a header of 76 bytes keys two
AES schedules; eight columns of ten rounds fill the pad row by row; the loop reads and writes 16 bytes at
places that the values just read decide, with one AES round and one 64-bit product a turn; eight columns
fold the pad back into the state, and Keccak ends it. The last hash of the original, one of four chosen by
the state, is left out: the permuted state is the result. Each hash has its own pad, one after the other in
memory, and one thread, as in the miners; the tables of AES, which miners keep in shared memory, are
constants here and not part of the log.
"""

# ruff: noqa: ANN401, PLR0913, PLR0917  bodies take arrays, and many of them

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from hashwarden.kernels.device import device, local_array
from hashwarden.kernels.memory.recorder import begin, load, store
from hashwarden.kernels.workloads.mining import oracles_aes, oracles_keccak
from hashwarden.kernels.workloads.mining.aes_round import ROUND_KEYS, aes256_round_keys, aes_round
from hashwarden.kernels.workloads.mining.keccak import keccak_f1600
from hashwarden.kernels.workloads.plan import Arrays, Empty, Launch, Plan, Work, require_equal
from hashwarden.kernels.workloads.workload import Parameter, Settings, Workload

__all__ = ["WORKLOADS", "build_plan", "cryptonight_states", "high_product", "message"]

LANES: Final = 25
COLUMNS: Final = 8  # blocks of 16 bytes in a row of the pad
HEADER_WORDS: Final = 10
_LOW: Final = np.uint64(0xFFFFFFFF)
_SAMPLE: Final = 2


@device
def high_product(a: Any, b: Any) -> Any:
    """Upper 64 bits of the product of two uint64."""
    a0, a1 = np.uint64(a & _LOW), np.uint64(a >> np.uint64(32))
    b0, b1 = np.uint64(b & _LOW), np.uint64(b >> np.uint64(32))
    middle = np.uint64(np.uint64(a1 * b0) + np.uint64(np.uint64(a0 * b0) >> np.uint64(32)))
    other = np.uint64(np.uint64(a0 * b1) + np.uint64(middle & _LOW))
    carries = np.uint64(np.uint64(middle >> np.uint64(32)) + np.uint64(other >> np.uint64(32)))
    return np.uint64(np.uint64(a1 * b1) + carries)


@device
def _low(wide: Any) -> Any:
    return np.uint32(wide & _LOW)


@device
def _high(wide: Any) -> Any:
    return np.uint32(wide >> np.uint64(32))


@device
def _wide(low: Any, high: Any) -> Any:
    return np.uint64(np.uint64(low) | np.uint64(np.uint64(high) << np.uint64(32)))


@device
def prepare(thread: Any, log: Any, header: Any, states: Any, first: Any) -> None:
    """Keccak of the header with nonce ``first + thread`` in its bytes 39 to 42."""
    t = begin(log, thread)
    state = local_array(LANES, np.uint64)
    for lane in range(LANES):
        state[lane] = np.uint64(0)
    for word in range(HEADER_WORDS):
        t = load(log, t, 0, 0, word)
        state[word] = header[word]
    nonce = np.uint64(np.uint64(first) + np.uint64(thread))
    state[4] = (state[4] & np.uint64(0x00FFFFFFFFFFFFFF)) | ((nonce & np.uint64(255)) << np.uint64(56))
    state[5] = (state[5] & np.uint64(0xFFFFFFFFFF000000)) | ((nonce >> np.uint64(8)) & np.uint64(0xFFFFFF))
    state[9] = (state[9] & _LOW) | np.uint64(1 << 32)
    state[16] = np.uint64(1 << 63)
    keccak_f1600(state)
    for lane in range(LANES):
        t = store(log, t, 1, 1, LANES * thread + lane)
        states[LANES * thread + lane] = state[lane]


@device
def _take_keys(log: Any, t: Any, states: Any, at: Any, keys: Any) -> Any:
    """Read four lanes of the state and make round keys of them."""
    for pair in range(4):
        t = load(log, t, 0, 0, at + pair)
        keys[2 * pair], keys[2 * pair + 1] = _low(states[at + pair]), _high(states[at + pair])
    aes256_round_keys(keys)
    return t


@device
def _encrypt(x0: Any, x1: Any, x2: Any, x3: Any, keys: Any) -> Any:
    for r in range(0, 4 * ROUND_KEYS, 4):
        x0, x1, x2, x3 = aes_round(x0, x1, x2, x3, keys[r], keys[r + 1], keys[r + 2], keys[r + 3])
    return x0, x1, x2, x3


@device
def explode(thread: Any, log: Any, states: Any, pads: Any, rows: Any) -> None:
    """Fill column ``thread % 8`` of pad ``thread // 8`` with a chain of AES rounds."""
    t = begin(log, thread)
    instance, column = np.int64(thread) >> 3, np.int64(thread) & 7
    state = LANES * instance
    keys = local_array(40, np.uint32)
    t = _take_keys(log, t, states, state, keys)
    text = state + 8 + 2 * column
    t = load(log, t, 1, 0, text)
    x0, x1 = _low(states[text]), _high(states[text])
    t = load(log, t, 2, 0, text + 1)
    x2, x3 = _low(states[text + 1]), _high(states[text + 1])
    for row in range(rows):
        x0, x1, x2, x3 = _encrypt(x0, x1, x2, x3, keys)
        at = 4 * ((instance * rows + row) * COLUMNS + column)
        t = store(log, t, 3, 1, at, 0, 4)
        pads[at], pads[at + 1], pads[at + 2], pads[at + 3] = x0, x1, x2, x3


@device
def implode(thread: Any, log: Any, states: Any, pads: Any, rows: Any) -> None:
    """Fold column ``thread % 8`` of pad ``thread // 8`` into the state."""
    t = begin(log, thread)
    instance, column = np.int64(thread) >> 3, np.int64(thread) & 7
    state = LANES * instance
    keys = local_array(40, np.uint32)
    t = _take_keys(log, t, states, state + 4, keys)
    text = state + 8 + 2 * column
    t = load(log, t, 1, 0, text)
    x0, x1 = _low(states[text]), _high(states[text])
    t = load(log, t, 2, 0, text + 1)
    x2, x3 = _low(states[text + 1]), _high(states[text + 1])
    for row in range(rows):
        at = 4 * ((instance * rows + row) * COLUMNS + column)
        t = load(log, t, 3, 1, at, 0, 4)
        x0, x1 = np.uint32(x0 ^ pads[at]), np.uint32(x1 ^ pads[at + 1])
        x2, x3 = np.uint32(x2 ^ pads[at + 2]), np.uint32(x3 ^ pads[at + 3])
        x0, x1, x2, x3 = _encrypt(x0, x1, x2, x3, keys)
    t = store(log, t, 4, 0, text)
    states[text] = _wide(x0, x1)
    t = store(log, t, 5, 0, text + 1)
    states[text + 1] = _wide(x2, x3)


@device
def loop(thread: Any, log: Any, states: Any, pads: Any, rows: Any, turns: Any) -> None:
    """Walk through pad ``thread``: two dependent reads and two writes of 16 bytes a turn."""
    t = begin(log, thread)
    state = LANES * np.int64(thread)
    for lane in range(8):
        t = load(log, t, 0, 0, state + lane)
    a0, a1 = states[state] ^ states[state + 4], states[state + 1] ^ states[state + 5]
    b0, b1 = states[state + 2] ^ states[state + 6], states[state + 3] ^ states[state + 7]
    base, blocks = 4 * COLUMNS * rows * np.int64(thread), COLUMNS * rows
    for turn in range(turns):
        depth = 2 * turn + 1
        at = base + 4 * ((np.int64(_low(a0)) >> 4) & (blocks - 1))
        t = load(log, t, 1, 1, at, depth, 4)
        x0, x1, x2, x3 = aes_round(
            pads[at], pads[at + 1], pads[at + 2], pads[at + 3], _low(a0), _high(a0), _low(a1), _high(a1)
        )
        t = store(log, t, 2, 1, at, depth, 4)
        pads[at], pads[at + 1] = np.uint32(x0 ^ _low(b0)), np.uint32(x1 ^ _high(b0))
        pads[at + 2], pads[at + 3] = np.uint32(x2 ^ _low(b1)), np.uint32(x3 ^ _high(b1))
        b0, b1 = _wide(x0, x1), _wide(x2, x3)
        at = base + 4 * ((np.int64(x0) >> 4) & (blocks - 1))
        t = load(log, t, 3, 1, at, depth + 1, 4)
        d0, d1 = _wide(pads[at], pads[at + 1]), _wide(pads[at + 2], pads[at + 3])
        a0, a1 = np.uint64(a0 + high_product(b0, d0)), np.uint64(a1 + np.uint64(b0 * d0))
        t = store(log, t, 4, 1, at, depth + 1, 4)
        pads[at], pads[at + 1], pads[at + 2], pads[at + 3] = _low(a0), _high(a0), _low(a1), _high(a1)
        a0, a1 = a0 ^ d0, a1 ^ d1


@device
def finish(thread: Any, log: Any, states: Any) -> None:
    """Permute state ``thread`` once more."""
    t = begin(log, thread)
    state = local_array(LANES, np.uint64)
    for lane in range(LANES):
        t = load(log, t, 0, 0, LANES * thread + lane)
        state[lane] = states[LANES * thread + lane]
    keccak_f1600(state)
    for lane in range(LANES):
        t = store(log, t, 1, 0, LANES * thread + lane)
        states[LANES * thread + lane] = state[lane]


def message(nonce: int) -> bytes:
    """Header of 76 bytes that a nonce gives."""
    data = bytes((11 * i + 3) % 256 for i in range(76))
    return data[:39] + nonce.to_bytes(4, "little") + data[43:]


def cryptonight_states(messages: list[bytes], scratch: int, turns: int) -> NDArray[np.uint64]:
    """Final states by the definition: the oracle.

    Parameters
    ----------
    messages : list of bytes
        76 bytes each.
    scratch : int
        Bytes of a pad.
    turns : int
        Turns of the loop.

    Returns
    -------
    uint64, shape (len(messages), 25)
    """
    count, rows = len(messages), scratch // 128
    data = np.frombuffer(b"".join(messages), np.uint8).reshape(count, -1)
    states = oracles_keccak.keccak(data, 136, 200).copy()
    text, pads = states[:, 64:192].reshape(-1, 16), np.zeros((count, rows, 128), np.uint8)
    keys = [np.repeat(k, COLUMNS, axis=0) for k in _schedules(states[:, :32])]
    for row in range(rows):
        for key in keys:
            text = oracles_aes.aes_rounds(text, key)
        pads[:, row] = text.reshape(count, 128)
    for state, pad in zip(states, pads.reshape(count, -1, 16), strict=True):
        _walk(state, pad, turns)
    text = states[:, 64:192].reshape(-1, 16)
    keys = [np.repeat(k, COLUMNS, axis=0) for k in _schedules(states[:, 32:64])]
    for row in range(rows):
        text = text ^ pads[:, row].reshape(-1, 16)
        for key in keys:
            text = oracles_aes.aes_rounds(text, key)
    states[:, 64:192] = text.reshape(count, 128)
    return np.ascontiguousarray(oracles_keccak.keccak_permutation(states.view("<u8").T).T)


def _schedules(keys: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Round keys by round and instance, shape (rounds, N, 16)."""
    return np.stack([oracles_aes.aes256_keys(key.tobytes(), ROUND_KEYS) for key in keys], axis=1)


def _walk(state: NDArray[np.uint8], pad: NDArray[np.uint8], turns: int) -> None:
    """Do the loop of one hash, in place."""
    a, b = state[0:16] ^ state[32:48], state[16:32] ^ state[48:64]
    for _ in range(turns):
        place = int.from_bytes(a[:4].tobytes(), "little") // 16 % len(pad)
        c = oracles_aes.aes_rounds(pad[place : place + 1], a[None])[0]
        pad[place] = b ^ c
        place = int.from_bytes(c[:4].tobytes(), "little") // 16 % len(pad)
        d = pad[place].copy()
        product = int.from_bytes(c[:8].tobytes(), "little") * int.from_bytes(d[:8].tobytes(), "little")
        halves = (product >> 64, product % 2**64)
        words = [(int(word) + half) % 2**64 for word, half in zip(a.view("<u8"), halves, strict=True)]
        pad[place] = np.array(words, "<u8").view(np.uint8)
        a, b = pad[place] ^ d, c


def build_plan(settings: Settings, seed: int) -> Plan:
    """Plan ``hashes`` hashes with pads of ``scratch`` bytes; nonces go on from step to step."""
    hashes, scratch, turns = settings["hashes"], settings["scratch"], settings["turns"]
    rows = np.int64(scratch // 128)
    words = np.frombuffer(message(0).ljust(8 * HEADER_WORDS, b"\0"), "<u8").copy()
    arrays: Arrays = {
        "header": words,
        "states": Empty((hashes * LANES,), np.uint64),
        "pads": Empty((hashes * scratch // 4,), np.uint32),
    }

    def step(number: int) -> tuple[Launch, ...]:
        first = np.uint32((seed + number * hashes) & 0xFFFFFFFF)
        return (
            Launch(prepare, hashes, ("header", "states", first)),
            Launch(explode, hashes * COLUMNS, ("states", "pads", rows)),
            Launch(loop, hashes, ("states", "pads", rows, np.int64(turns)), 32),
            Launch(implode, hashes * COLUMNS, ("states", "pads", rows)),
            Launch(finish, hashes, ("states",)),
        )

    def check(results: Mapping[str, NDArray[Any]]) -> None:
        chosen = np.unique(np.random.default_rng(seed).integers(0, hashes, _SAMPLE))
        expected = cryptonight_states([message((seed + int(i)) % 2**32) for i in chosen], scratch, turns)
        require_equal("states", results["states"].reshape(-1, LANES)[chosen], expected)

    aes = hashes * (2 * ROUND_KEYS * scratch // 16 + turns)
    return Plan(
        arrays,
        step=step,
        # A 16-byte access takes a sector of 32 bytes; the pad is written and read once around the loop.
        work=Work(units=hashes, dram_bytes=hashes * (2 * scratch + 4 * 32 * turns), int_ops=aes * 80),
        check=check,
    )


WORKLOADS: Final = (
    Workload(
        name="cryptonight-like",
        label="mining",
        family="scratchpad-aes",
        bound="latency",
        summary="Scratchpad hash of AES rounds and 64-bit products (CryptoNight, CNS008)",
        unit="hash",
        parameters=(
            Parameter("hashes", "hashes", 1, 1 << 20, "hashes a step, each with a pad of its own"),
            Parameter("scratch", "bytes", 128, 1 << 22, "pad of one hash; 2 MiB in the original", True),
            Parameter("turns", "turns", 1, 1 << 20, "turns of the loop; 2**18 in the original"),
        ),
        sizes={
            "small": {"hashes": 32, "scratch": 256, "turns": 16},
            "trace": {"hashes": 64, "scratch": 1 << 18, "turns": 1 << 13},
            "gpu": {"hashes": 1024, "scratch": 1 << 21, "turns": 1 << 12},
        },
        build=build_plan,
    ),
)
