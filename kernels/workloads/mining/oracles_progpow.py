"""KawPoW in NumPy, all hashes and lanes at a time: it runs the CUDA C text of a period's program.

Nothing is shared with the kernels: the program comes from the writer of CUDA C, the table is a light
client's, Keccak-f[800] and KISS99 are written from their definitions. The tests prove it against published
vectors.
"""

# ruff: noqa: PLR0913, PLR0917  a hash has that many inputs

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

import numpy as np
from numpy.typing import NDArray

from hashwarden.kernels.workloads.hash.progpow import Parameters, program

__all__ = ["hashes", "keccak_f800", "registers"]

Words = NDArray[np.uint32]
Read = Callable[[NDArray[np.int64]], Words]
"""From numbers of pages, shape (N,), to their words, shape (N, 64)."""

_LANES: Final = 16
_ROUNDS: Final = 22
_OFFSET: Final = np.uint32(0x811C9DC5)


def _turned(x: Words, count: Words | int) -> Words:
    turn = np.asarray(count, np.uint64) % np.uint64(32)
    wide = x.astype(np.uint64)
    return ((wide << turn | wide >> (np.uint64(32) - turn)) & np.uint64(0xFFFFFFFF)).astype(np.uint32)


def _zeros(x: Words) -> Words:
    return (32 - np.frexp(x.astype(np.float64))[1]).astype(np.uint32)


_OPERATIONS: Final[dict[str, Callable[[Words, Words], Words]]] = {
    "(a + b)": lambda a, b: a + b,
    "(a * b)": lambda a, b: a * b,
    "(__umulhi(a, b))": lambda a, b: (a.astype(np.uint64) * b >> np.uint64(32)).astype(np.uint32),
    "(min(a, b))": np.minimum,
    "(__funnelshift_l(a, a, b))": _turned,
    "(__funnelshift_r(a, a, b))": lambda a, b: _turned(a, np.uint32(32) - b % np.uint32(32)),
    "(a & b)": np.bitwise_and,
    "(a | b)": np.bitwise_or,
    "(a ^ b)": np.bitwise_xor,
    "(__clz(a) + __clz(b))": lambda a, b: _zeros(a) + _zeros(b),
    "(__popc(a) + __popc(b))": lambda a, b: (np.bitwise_count(a) + np.bitwise_count(b)).astype(np.uint32),
}

_COMPUTED: Final = re.compile(r"\{ const unsigned a = mix\[(\d+)\], b = mix\[(\d+)\]; (.*) \}")
_ASSIGNED: Final = re.compile(r"mix\[(\d+)\] = (.*);")
_MERGES: Final = (
    re.compile(r"mix\[\d+\] \* 33u \+ (?P<data>.*)"),
    re.compile(r"\(mix\[\d+\] \^ (?P<data>.*)\) \* 33u"),
    re.compile(r"__funnelshift_l\(mix\[\d+\], mix\[\d+\], (?P<turn>\d+)\) \^ (?P<data>.*)"),
    re.compile(r"__funnelshift_r\(mix\[\d+\], mix\[\d+\], (?P<turn>\d+)\) \^ (?P<data>.*)"),
)
_CACHED: Final = re.compile(r"cache\[mix\[(\d+)\] % (\d+)u\]")


def _value(text: str, mix: list[Words], cache: Words, data: Words, pair: tuple[str, ...]) -> Words:
    cached = _CACHED.fullmatch(text)
    if cached:
        return np.asarray(cache[mix[int(cached[1])] % np.uint32(cached[2])])
    if pair:
        return _OPERATIONS[text](mix[int(pair[0])], mix[int(pair[1])])
    return np.asarray(data[..., int(text.removeprefix("data[").removesuffix("]"))])


def _execute(line: str, mix: list[Words], cache: Words, data: Words) -> None:
    computed = _COMPUTED.fullmatch(line)
    pair = computed.groups()[:2] if computed else ()
    assigned = _ASSIGNED.fullmatch(computed[3] if computed else line)
    if assigned is None:
        raise ValueError(line)
    target, text = int(assigned[1]), assigned[2]
    form, match = next((form, found) for form, rule in enumerate(_MERGES) if (found := rule.fullmatch(text)))
    a, b = mix[target], _value(match["data"], mix, cache, data, pair)
    if form < 2:
        mix[target] = (a * np.uint32(33) + b) if form == 0 else (a ^ b) * np.uint32(33)
    else:
        turn = int(match["turn"])
        mix[target] = _turned(a, turn if form == 2 else 32 - turn) ^ b


def keccak_f800(state: Words) -> Words:
    """Permute states, uint32 of shape (25, N), lane (x, y) at x + 5 y."""
    lanes, register = list(state), 1
    for _ in range(_ROUNDS):
        parity = [lanes[x] ^ lanes[x + 5] ^ lanes[x + 10] ^ lanes[x + 15] ^ lanes[x + 20] for x in range(5)]
        lanes = [lanes[i] ^ parity[(i + 4) % 5] ^ _turned(parity[(i + 1) % 5], 1) for i in range(25)]
        moved, x, y = [lanes[0]] * 25, 1, 0
        for turn in range(24):
            moved[y + 5 * ((2 * x + 3 * y) % 5)] = _turned(lanes[x + 5 * y], (turn + 1) * (turn + 2) // 2)
            x, y = y, (2 * x + 3 * y) % 5
        lanes = [moved[i] ^ (~moved[i // 5 * 5 + (i + 1) % 5] & moved[i // 5 * 5 + (i + 2) % 5]) for i in range(25)]
        for bit in range(7):
            if register & 1 and bit < 6:  # the seventh bit lies above a lane of 32 bits
                lanes[0] = lanes[0] ^ np.uint32(1 << (2**bit - 1))
            register = register << 1 ^ (0x171 if register & 0x80 else 0)
    return np.stack(lanes)


def _fnv1a(state: Words | np.uint32, word: Words) -> Words:
    return np.asarray((state ^ word) * np.uint32(0x01000193))


def registers(low: Words, high: Words) -> list[Words]:
    """Registers of all lanes of hashes with these seeds: 32 times uint32 of shape (N, 16)."""
    lane = np.arange(_LANES, dtype=np.uint32)[None, :]
    z = _fnv1a(_OFFSET, low[:, None] | lane * np.uint32(0))
    w = _fnv1a(z, high[:, None])
    jsr = _fnv1a(w, lane)
    jcong, filled = _fnv1a(jsr, lane), []
    for _ in range(32):
        z = np.uint32(36969) * (z & np.uint32(65535)) + (z >> np.uint32(16))
        w = np.uint32(18000) * (w & np.uint32(65535)) + (w >> np.uint32(16))
        jcong = np.uint32(69069) * jcong + np.uint32(1234567)
        for shift, left in ((17, True), (13, False), (5, True)):
            jsr = jsr ^ (jsr << np.uint32(shift) if left else jsr >> np.uint32(shift))
        filled.append((((z << np.uint32(16)) + w) ^ jcong) + jsr)
    return filled


def _mixed(seed: Words, period: int, counts: Parameters, pages: int, read: Read) -> Words:
    """Mix digest of seeds of shape (8, N): uint32 of shape (8, N)."""
    mix, lines, lane = registers(seed[0], seed[1]), program(period, counts), np.arange(_LANES)
    cache = read(np.arange(counts.cache_words // 64)).reshape(-1)
    for number in range(counts.cnt_dag):
        words = read((mix[0][:, number % _LANES] % np.uint32(pages)).astype(np.int64))
        data = words.reshape(-1, _LANES, 4)[:, (lane ^ number) % _LANES]
        for line in lines:
            _execute(line, mix, cache, data)
    lane_hash = _fnv1a(_OFFSET, mix[0])
    for register in mix[1:]:
        lane_hash = _fnv1a(lane_hash, register)
    halves = _fnv1a(_OFFSET, lane_hash[:, :8])
    return _fnv1a(halves, lane_hash[:, 8:]).T


def hashes(
    header: Words, pad: Words, nonces: NDArray[np.uint64], period: int, counts: Parameters, pages: int, read: Read
) -> tuple[Words, Words]:
    """Hash nonces.

    Parameters
    ----------
    header : uint32, shape (8,)
        Hash of the header.
    pad : uint32, shape (15,)
        The coin's letters.
    nonces : uint64, shape (N,)
        One for each hash.
    period : int
        Number of the period.
    counts : Parameters
        Of the coin.
    pages : int
        Pages of 256 bytes of the table.
    read : callable
        Reads pages.

    Returns
    -------
    tuple of uint32, shape (8, N)
        Mix digests and digests.
    """
    rows = [np.full(len(nonces), word, np.uint32) for word in (*header, 0, 0, *pad)]
    rows[8], rows[9] = (nonces & np.uint64(0xFFFFFFFF)).astype(np.uint32), (nonces >> np.uint64(32)).astype(np.uint32)
    seed = keccak_f800(np.stack(rows))[:8]
    mixed = _mixed(seed, period, counts, pages, read)
    last = [np.full(len(nonces), word, np.uint32) for word in pad[:9]]
    return mixed, keccak_f800(np.concatenate([seed, mixed, np.stack(last)]))[:8]
