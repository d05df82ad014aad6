"""CryptoNight-like (the CryptoNote standard 008): a scratchpad of AES output, and a loop of dependent reads and writes.

The sizes are those of the small members of the family (128 KiB, 16,384 turns), whose step takes no longer than
some tens of milliseconds; the original has 2 MiB and 524,288.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from hashwarden.kernels.workloads.native import operations
from hashwarden.kernels.workloads.native.aes import expand_key, round_of, xor
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


def _encrypted(block: bytes, round_keys: list[bytes]) -> bytes:
    for key in round_keys:
        block = round_of(block, key)
    return block


def _loop(state: bytes, pad: list[bytes], turns: int) -> None:
    a, b = xor(state[:16], state[32:48]), xor(state[16:32], state[48:64])
    for _ in range(turns):
        at = int.from_bytes(a[:4], "little") // 16 % len(pad)
        c = round_of(pad[at], a)
        pad[at], to = xor(b, c), int.from_bytes(c[:4], "little") // 16 % len(pad)
        d = pad[to]
        product = int.from_bytes(c[:8], "little") * int.from_bytes(d[:8], "little")
        low, high = int.from_bytes(a[:8], "little"), int.from_bytes(a[8:], "little")
        sums = (low + (product >> 64) & _M64, high + product & _M64)
        pad[to] = sums[0].to_bytes(8, "little") + sums[1].to_bytes(8, "little")
        a, b = xor(pad[to], d), c


def _hash(text: bytes, size: int, turns: int) -> bytes:
    state = keccak(np.frombuffer(text, np.uint8)[None], 136, 1, 200).tobytes()
    columns, pad = [state[i : i + 16] for i in range(64, 192, 16)], []
    round_keys = expand_key(state[:32], 10)
    for _ in range(size // 128):
        columns = [_encrypted(column, round_keys) for column in columns]
        pad += columns
    _loop(state, pad, turns)
    columns, round_keys = [state[i : i + 16] for i in range(64, 192, 16)], expand_key(state[32:64], 10)
    for row in range(0, len(pad), 8):
        columns = [_encrypted(xor(c, p), round_keys) for c, p in zip(columns, pad[row : row + 8], strict=True)]
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
        "scratchpad-aes",
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
