"""CryptoNight-like (the CryptoNote standard 008): a scratchpad of AES output, and a loop of dependent reads and writes.

The sizes are those of the small members of the family (128 KiB, 16,384 turns), whose step takes no longer than
some tens of milliseconds; the original has 2 MiB and 524,288.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from hashwarden.kernels.workloads.native import operations
from hashwarden.kernels.workloads.native.define import NONCES, define
from hashwarden.kernels.workloads.native.reference import keccak, keccak_f
from hashwarden.kernels.workloads.native.search import grid, header_of, odds
from hashwarden.kernels.workloads.plan import Empty, NativeLaunch, Plan, Work, require_equal
from hashwarden.kernels.workloads.workload import Parameter, Settings

__all__ = ["WORKLOADS", "build_plan"]

_SOURCE: Final = "cryptonight"
_M64: Final = 2**64 - 1
_ROUND_OPS: Final = 16 * 2 + 16
"""Integer instructions of an AES round by tables: addresses and XORs."""
_SAMPLE: Final = 2


def _product(a: int, b: int) -> int:
    """Product in the field of AES."""
    total = 0
    while b:
        total ^= a if b & 1 else 0
        a, b = a << 1 ^ (0x11B if a & 0x80 else 0), b >> 1
    return total


@cache
def _sbox() -> tuple[int, ...]:
    """Substitution table of AES, from inverses and the affine map (FIPS 197)."""
    table = []
    for x in range(256):
        y = next((candidate for candidate in range(256) if _product(x, candidate) == 1), 0)
        turned = (y << i | y >> (8 - i) for i in range(5))
        value = 0x63
        for part in turned:
            value ^= part & 255
        table.append(value)
    return tuple(table)


@cache
def _columns() -> tuple[tuple[int, ...], ...]:
    """What each byte of a column adds to the mixed column, by its row."""
    factors = ((2, 1, 1, 3), (3, 2, 1, 1), (1, 3, 2, 1), (1, 1, 3, 2))
    return tuple(
        tuple(sum(_product(value, factor) << (8 * row) for row, factor in enumerate(column)) for value in _sbox())
        for column in factors
    )


def _round(block: bytes, key: bytes) -> bytes:
    """One forward round of AES."""
    t, words = _columns(), b""
    for c in range(0, 16, 4):
        word = t[0][block[c]] ^ t[1][block[(c + 5) % 16]] ^ t[2][block[(c + 10) % 16]] ^ t[3][block[(c + 15) % 16]]
        words += word.to_bytes(4, "little")
    return _xor(words, key)


def _xor(a: bytes, b: bytes) -> bytes:
    return (int.from_bytes(a, "little") ^ int.from_bytes(b, "little")).to_bytes(len(a), "little")


def _round_keys(key: bytes) -> list[bytes]:
    """First ten round keys of AES-256."""
    words, constant, box = [key[i : i + 4] for i in range(0, 32, 4)], 1, _sbox()
    while len(words) < 40:
        last, i = words[-1], len(words)
        if i % 8 == 0:
            last = bytes(box[b] for b in last[1:] + last[:1])
            last, constant = bytes([last[0] ^ constant]) + last[1:], constant << 1
        elif i % 8 == 4:
            last = bytes(box[b] for b in last)
        words.append(_xor(words[-8], last))
    return [b"".join(words[4 * i : 4 * i + 4]) for i in range(10)]


def _encrypted(block: bytes, round_keys: list[bytes]) -> bytes:
    for key in round_keys:
        block = _round(block, key)
    return block


def _loop(state: bytes, pad: list[bytes], turns: int) -> None:
    a, b = _xor(state[:16], state[32:48]), _xor(state[16:32], state[48:64])
    for _ in range(turns):
        at = int.from_bytes(a[:4], "little") // 16 % len(pad)
        c = _round(pad[at], a)
        pad[at], to = _xor(b, c), int.from_bytes(c[:4], "little") // 16 % len(pad)
        d = pad[to]
        product = int.from_bytes(c[:8], "little") * int.from_bytes(d[:8], "little")
        low, high = int.from_bytes(a[:8], "little"), int.from_bytes(a[8:], "little")
        sums = (low + (product >> 64) & _M64, high + product & _M64)
        pad[to] = sums[0].to_bytes(8, "little") + sums[1].to_bytes(8, "little")
        a, b = _xor(pad[to], d), c


def _hash(text: bytes, size: int, turns: int) -> bytes:
    state = keccak(np.frombuffer(text, np.uint8)[None], 136, 1, 200).tobytes()
    columns, pad = [state[i : i + 16] for i in range(64, 192, 16)], []
    round_keys = _round_keys(state[:32])
    for _ in range(size // 128):
        columns = [_encrypted(column, round_keys) for column in columns]
        pad += columns
    _loop(state, pad, turns)
    columns, round_keys = [state[i : i + 16] for i in range(64, 192, 16)], _round_keys(state[32:64])
    for row in range(0, len(pad), 8):
        columns = [_encrypted(_xor(c, p), round_keys) for c, p in zip(columns, pad[row : row + 8], strict=True)]
    whole = np.frombuffer(state[:64] + b"".join(columns) + state[192:], "<u8")
    return keccak_f(whole[:, None]).tobytes()


def build_plan(settings: Settings, seed: int) -> Plan:
    """Plan ``nonces`` hashes a step, each with a scratchpad of its own of ``pad_bytes`` bytes."""
    nonces, size, turns, text = settings["nonces"], settings["pad_bytes"], settings["turns"], header_of(seed, 76)
    variant, limit = f"SCRATCH={size} ITERATIONS={turns}", np.uint64(2**64 // odds(nonces))

    def step(number: int) -> tuple[NativeLaunch, ...]:
        one, eight = grid(nonces, 32), grid(8 * nonces, 128)
        start = np.uint32(number * nonces % 2**32)
        return (
            NativeLaunch(_SOURCE, "cn_prepare", *one, ("input", start, "states"), variant),
            NativeLaunch(_SOURCE, "cn_explode", *eight, ("states", "pads"), variant),
            NativeLaunch(_SOURCE, "cn_loop", *one, ("states", "pads"), variant),
            NativeLaunch(_SOURCE, "cn_implode", *eight, ("states", "pads"), variant),
            NativeLaunch(_SOURCE, "cn_finish", *one, ("states", np.uint32(nonces), limit, "hits"), variant),
        )

    def check(results: Mapping[str, NDArray[Any]]) -> None:
        states = results["states"]
        sample = [0, nonces - 1][:_SAMPLE]
        texts = [text[:39] + nonce.to_bytes(4, "little") + text[43:] for nonce in sample]
        expected = np.stack([np.frombuffer(_hash(it, size, turns), "<u8") for it in texts])
        require_equal("states", states[sample], expected)
        require_equal("hits", results["hits"], np.array([(states[:, 3] <= limit).sum()], np.uint32))

    blocks = size // 16
    return Plan(
        {
            "input": np.frombuffer(text.ljust(80, b"\0"), "<u8"),
            "states": Empty((nonces, 25), np.uint64),
            "pads": Empty((nonces, size), np.uint8),
            "hits": Empty((1,), np.uint32),
        },
        step=step,
        work=Work(
            units=nonces,
            dram_bytes=nonces * (2 * size + turns * 4 * 32),
            int_ops=nonces * ((20 * blocks + turns) * _ROUND_OPS + turns * 20 + 2 * operations.KECCAK_1600),
        ),
        check=check,
    )


WORKLOADS: Final = (
    define(
        "cryptonight-native",
        "cryptonight",
        "CryptoNight-like: an AES-filled scratchpad and a loop bound by latency, in CUDA C (CryptoNote 008)",
        build_plan,
        bound="latency",
        parameters=(
            NONCES,
            Parameter("pad_bytes", "bytes", 256, 1 << 21, "scratchpad of a hash", power_of_two=True),
            Parameter("turns", "turns", 1, 1 << 19, "turns of the loop"),
        ),
        small={"nonces": 32, "pad_bytes": 1024, "turns": 50},
        gpu={"nonces": 1 << 13, "pad_bytes": 1 << 17, "turns": 1 << 14},
    ),
)
