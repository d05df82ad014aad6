"""AES-128 in counter mode over a large buffer (FIPS 197, SP 800-38A): encryption of files or of traffic."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from hashwarden.kernels.workloads.native.aes import encrypt, expand_key, xor
from hashwarden.kernels.workloads.native.define import define
from hashwarden.kernels.workloads.native.search import header_of
from hashwarden.kernels.workloads.plan import Empty, NativeLaunch, Plan, Work, require_equal
from hashwarden.kernels.workloads.workload import Parameter, Settings

__all__ = ["WORKLOADS", "build_plan"]

_SOURCE: Final = "crypto_aes"
_VARIANT: Final = "TABLES=4"
_ROUNDS: Final = 10
_ROUND_OPS: Final = 16 * 2 + 16
_SAMPLE: Final = 256
_BLOCKS_AT_MOST: Final = 4096


def build_plan(settings: Settings, seed: int) -> Plan:
    """Plan the encryption of ``blocks`` blocks of 16 bytes a step; every step encrypts the last one's output."""
    blocks, key = settings["blocks"], expand_key(header_of(seed, 16), _ROUNDS + 1)
    nonces = [header_of(seed + number, 12) + bytes(4) for number in range(64)]

    def step(number: int) -> tuple[NativeLaunch, ...]:
        nonce = np.frombuffer(nonces[number % len(nonces)], [("word", "<u4", 4)])[0]
        ends = ("text", "sealed") if number % 2 == 0 else ("sealed", "text")
        shape = ((min(-(-blocks // 256), _BLOCKS_AT_MOST),), (256,))
        return (NativeLaunch(_SOURCE, "aes_ctr", *shape, ("keys", nonce, *ends, np.uint32(blocks)), _VARIANT),)

    def check(results: Mapping[str, NDArray[Any]]) -> None:
        sealed = results["sealed"]
        sample = np.unique([0, blocks - 1, *np.random.default_rng(seed).integers(0, blocks, _SAMPLE)])
        counters = (nonces[0][:12] + int(i).to_bytes(4, "big") for i in sample)
        expected = b"".join(xor(encrypt(counter, key), bytes(16)) for counter in counters)
        require_equal("blocks", sealed[sample], np.frombuffer(expected, "<u4").reshape(-1, 4))

    return Plan(
        {
            "keys": np.frombuffer(b"".join(key), "<u4"),
            "text": Empty((blocks, 4), np.uint32),
            "sealed": Empty((blocks, 4), np.uint32),
        },
        step=step,
        work=Work(units=16 * blocks, dram_bytes=32 * blocks, int_ops=blocks * _ROUNDS * _ROUND_OPS),
        check=check,
    )


WORKLOADS: Final = (
    define(
        "aes-ctr-native",
        "aes",
        "AES-128 in counter mode over a large buffer, by tables in shared memory, in CUDA C (FIPS 197)",
        build_plan,
        bound="shared",
        parameters=(Parameter("blocks", "blocks", 32, 1 << 30, "16-byte blocks of a step"),),
        small={"blocks": 300},
        gpu={"blocks": 1 << 26},
        unit="byte",
        label="hpc-other",
    ),
)
