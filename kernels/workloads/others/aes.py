"""AES-128 in counter mode, by tables in memory: encryption of bulk data.

FIPS 197 and NIST SP 800-38A. The four tables of the classic software form join byte substitution and column
mixing; each round's look-ups go where the round before said: dependent random loads inside 4 KiB.
"""

# ruff: noqa: ANN401, PLR0913, PLR0917  bodies take arrays, and many of them

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from hashwarden.kernels.device import device
from hashwarden.kernels.memory.recorder import begin, load, store
from hashwarden.kernels.workloads.others.mixing import mix_32
from hashwarden.kernels.workloads.plan import Arrays, Empty, Launch, Plan, Work, require_equal
from hashwarden.kernels.workloads.workload import Parameter, Settings, Workload

__all__ = ["WORKLOADS", "build_plan", "encrypt_blocks", "expand_key", "substitution", "tables"]

ROUNDS: Final = 10
_SAMPLE: Final = 4096


@device
def fill(thread: Any, log: Any, text: Any, salt: Any) -> None:
    """Make word ``thread`` of the plain text."""
    t = begin(log, thread)
    t = store(log, t, 0, 0, thread)
    text[thread] = mix_32(np.uint32(np.uint32(thread) + np.uint32(salt)))


@device
def _byte(word: Any, place: Any) -> Any:
    """Byte ``place`` of a big-endian word."""
    return (np.int64(word) >> (24 - 8 * place)) & 255


@device
def _mixed(log: Any, t: Any, table: Any, keys: Any, place: Any, depth: Any, a: Any, b: Any, c: Any, d: Any) -> Any:
    """One column of a middle round: four look-ups and a word of the round key."""
    t = load(log, t, 1, 0, place)
    t = load(log, t, 2, 1, _byte(a, 0), depth)
    t = load(log, t, 3, 1, 256 + _byte(b, 1), depth)
    t = load(log, t, 4, 1, 512 + _byte(c, 2), depth)
    t = load(log, t, 5, 1, 768 + _byte(d, 3), depth)
    left = np.uint32(table[_byte(a, 0)] ^ table[256 + _byte(b, 1)])
    right = np.uint32(table[512 + _byte(c, 2)] ^ table[768 + _byte(d, 3)])
    return np.uint32(np.uint32(left ^ right) ^ keys[place]), t


@device
def _last(log: Any, t: Any, table: Any, keys: Any, place: Any, a: Any, b: Any, c: Any, d: Any) -> Any:
    """One column of the last round, which does not mix: S(x) is a middle byte of the first table's entry."""
    t = load(log, t, 6, 0, place)
    t = load(log, t, 7, 1, _byte(a, 0), ROUNDS)
    t = load(log, t, 8, 1, _byte(b, 1), ROUNDS)
    t = load(log, t, 9, 1, _byte(c, 2), ROUNDS)
    t = load(log, t, 10, 1, _byte(d, 3), ROUNDS)
    left = (_byte(table[_byte(a, 0)], 1) << 24) | (_byte(table[_byte(b, 1)], 1) << 16)
    right = (_byte(table[_byte(c, 2)], 1) << 8) | _byte(table[_byte(d, 3)], 1)
    return np.uint32(np.uint32(left | right) ^ keys[place]), t


@device
def encrypt(thread: Any, log: Any, keys: Any, table: Any, counter: Any, text: Any, cipher: Any, first: Any) -> None:
    """Encrypt block ``thread``, whose counter is ``counter + first + thread`` in its lowest 32 bits."""
    t = begin(log, thread)
    t = load(log, t, 0, 2, 0, 0, 4)
    t = load(log, t, 1, 0, 0, 0, 4)
    a, b, c = np.uint32(counter[0] ^ keys[0]), np.uint32(counter[1] ^ keys[1]), np.uint32(counter[2] ^ keys[2])
    d = np.uint32(np.uint32(counter[3] + np.uint32(np.int64(first) + thread)) ^ keys[3])
    for turn in range(1, ROUNDS):
        e, t = _mixed(log, t, table, keys, 4 * turn, turn, a, b, c, d)
        f, t = _mixed(log, t, table, keys, 4 * turn + 1, turn, b, c, d, a)
        g, t = _mixed(log, t, table, keys, 4 * turn + 2, turn, c, d, a, b)
        d, t = _mixed(log, t, table, keys, 4 * turn + 3, turn, d, a, b, c)
        a, b, c = e, f, g
    e, t = _last(log, t, table, keys, 4 * ROUNDS, a, b, c, d)
    f, t = _last(log, t, table, keys, 4 * ROUNDS + 1, b, c, d, a)
    g, t = _last(log, t, table, keys, 4 * ROUNDS + 2, c, d, a, b)
    h, t = _last(log, t, table, keys, 4 * ROUNDS + 3, d, a, b, c)
    t = load(log, t, 11, 3, 4 * thread, 0, 4)
    t = store(log, t, 12, 4, 4 * thread, 0, 4)
    cipher[4 * thread] = np.uint32(text[4 * thread] ^ e)
    cipher[4 * thread + 1] = np.uint32(text[4 * thread + 1] ^ f)
    cipher[4 * thread + 2] = np.uint32(text[4 * thread + 2] ^ g)
    cipher[4 * thread + 3] = np.uint32(text[4 * thread + 3] ^ h)


def _times(a: int, b: int) -> int:
    """Multiply in the field of FIPS 197, section 4.2."""
    product = 0
    while b:
        product ^= a if b & 1 else 0
        a = (a << 1) ^ (0x11B if a & 0x80 else 0)
        b >>= 1
    return product


def substitution() -> NDArray[np.uint8]:
    """The S-box of FIPS 197, section 5.1.1, from its definition."""
    powers = [1]
    while len(powers) < 255:
        powers.append(_times(powers[-1], 3))
    inverse = {powers[i]: powers[-i % 255] for i in range(255)} | {0: 0}
    turned = (inverse[value] * 0x101 for value in range(256))
    return np.array([(v ^ v >> 4 ^ v >> 5 ^ v >> 6 ^ v >> 7 ^ 0x63) & 255 for v in turned], np.uint8)


def tables() -> NDArray[np.uint32]:
    """The four tables one after the other, uint32[1024]."""
    box = [int(value) for value in substitution()]
    columns = [(_times(s, 2) << 24) | (s << 16) | (s << 8) | _times(s, 3) for s in box]
    turned = [[(word >> 8 * turn | word << (32 - 8 * turn)) & 0xFFFFFFFF for word in columns] for turn in range(4)]
    return np.array(turned, np.uint32).reshape(-1)


def expand_key(key: bytes) -> NDArray[np.uint32]:
    """Round keys of a 16-byte key, uint32[44] (FIPS 197, section 5.2)."""
    box, added = substitution(), 1
    words = [list(key[i : i + 4]) for i in range(0, 16, 4)]
    for number in range(4, 4 * ROUNDS + 4):
        word = list(words[-1])
        if number % 4 == 0:
            word = [int(box[byte]) for byte in (*word[1:], word[0])]
            word[0] ^= added
            added = _times(added, 2)
        words.append([old ^ new for old, new in zip(words[number - 4], word, strict=True)])
    return np.array([int.from_bytes(bytes(word), "big") for word in words], np.uint32)


def encrypt_blocks(blocks: NDArray[np.uint8], key: bytes) -> NDArray[np.uint8]:
    """Oracle: AES-128 of blocks of shape (N, 16), byte by byte as FIPS 197 is written, without tables of words."""
    box, keys = substitution(), expand_key(key).astype(">u4").view(np.uint8).reshape(-1, 16)
    shifted = [(place + 4 * (place % 4)) % 16 for place in range(16)]
    state = blocks ^ keys[0]
    for turn in range(1, ROUNDS + 1):
        state = box[state][:, shifted]
        if turn < ROUNDS:
            columns = state.reshape(-1, 4, 4)
            doubled = (columns << 1) ^ ((columns >> 7) * np.uint8(0x1B))
            after = np.roll(columns, -1, 2)
            others = np.roll(columns, -2, 2) ^ np.roll(columns, -3, 2)
            state = (doubled ^ np.roll(doubled, -1, 2) ^ after ^ others).reshape(-1, 16)
        state = state ^ keys[turn]
    return np.asarray(state, np.uint8)


def build_plan(settings: Settings, seed: int) -> Plan:
    """Plan the encryption of ``blocks`` blocks a step; the counter goes on."""
    count = settings["blocks"]
    random = np.random.default_rng(seed)
    key, counter = random.bytes(16), random.integers(0, 1 << 32, 4).astype(np.uint32)
    arrays: Arrays = {
        "keys": expand_key(key),
        "table": tables(),
        "counter": counter,
        "text": Empty((4 * count,), np.uint32),
        "cipher": Empty((4 * count,), np.uint32),
    }

    def step(number: int) -> tuple[Launch, ...]:
        first = np.uint32((number * count) & 0xFFFFFFFF)
        return (Launch(encrypt, count, ("keys", "table", "counter", "text", "cipher", first)),)

    def check(results: Mapping[str, NDArray[Any]]) -> None:
        chosen = np.random.default_rng(seed).integers(0, count, min(count, _SAMPLE))
        blocks = np.tile(counter.astype(">u4"), (len(chosen), 1))
        blocks[:, 3] = (counter[3] + chosen) % 2**32
        stream = encrypt_blocks(blocks.view(np.uint8).reshape(-1, 16), key)
        text, cipher = (results[name].reshape(-1, 4)[chosen] for name in ("text", "cipher"))
        require_equal("cipher", cipher, text ^ np.ascontiguousarray(stream).view(">u4"))

    return Plan(
        arrays,
        step=step,
        work=Work(units=16 * count, dram_bytes=32 * count, int_ops=count * 4 * ROUNDS * 16),
        check=check,
        setup=(Launch(fill, 4 * count, ("text", np.uint32((seed * 0x9E3779B1) & 0xFFFFFFFF))),),
    )


WORKLOADS: Final = (
    Workload(
        name="aes-ctr",
        label="hpc-other",
        family="aes",
        bound="latency",
        summary="Encryption by AES-128 in counter mode through tables (FIPS 197, SP 800-38A)",
        unit="byte",
        parameters=(Parameter("blocks", "blocks of 16 bytes", 1, 1 << 30, "blocks of a step, a thread each"),),
        sizes={"small": {"blocks": 64}, "trace": {"blocks": 1 << 13}, "gpu": {"blocks": 1 << 26}},
        build=build_plan,
    ),
)
