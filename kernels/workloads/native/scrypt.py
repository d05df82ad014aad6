"""scrypt with r = 1 and p = 1 over an 80-byte header, as Litecoin has it (RFC 7914)."""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import scrypt
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from hashwarden.errors import UsageError
from hashwarden.kernels.workloads.native import operations
from hashwarden.kernels.workloads.native.define import NONCES, define
from hashwarden.kernels.workloads.native.search import NULL, Search, grid, header_of, last_head
from hashwarden.kernels.workloads.plan import Empty, NativeLaunch, Plan, Work
from hashwarden.kernels.workloads.workload import Parameter, Settings

__all__ = ["WORKLOADS", "build_plan"]

_SOURCE: Final = "scrypt"
_MOST_ROWS: Final = 1 << 29


def _hashes(header: bytes, cost: int, nonces: NDArray[np.uint64]) -> NDArray[np.uint8]:
    texts = [header[:76] + int(nonce % 2**32).to_bytes(4, "big") for nonce in nonces]
    digests = (scrypt(text, salt=text, n=cost, r=1, p=1, dklen=32) for text in texts)
    return np.frombuffer(b"".join(digests), np.uint8).reshape(-1, 32)


def build_plan(settings: Settings, seed: int) -> Plan:
    """Plan a search over ``nonces`` nonces a step, each with a pad of its own of ``128 << log_n`` bytes.

    Raises
    ------
    UsageError
        If the pads are larger than the kernel's 32-bit places reach.
    """
    header, nonces, log_n = header_of(seed, 80), settings["nonces"], settings["log_n"]
    if nonces << log_n > _MOST_ROWS:
        expected = f"at most {_MOST_ROWS >> log_n:,} for log_n = {log_n}"
        raise UsageError(f"nonces = {nonces:,}", expected, "Choose fewer nonces a step.")
    cost = 1 << log_n
    search = Search(nonces, lambda span: _hashes(header, cost, span), head=last_head)

    def launches(first: np.uint64, count: int, digests: str | np.uint64, hits: str) -> tuple[NativeLaunch, ...]:
        nonce, limit = np.uint32(int(first) % 2**32), np.uint32(int(search.limit) >> 32)
        stages = (
            ("scrypt_begin", (nonce, "states")),
            ("scrypt_mix", ("states", "pad")),
            ("scrypt_end", (nonce, "states", limit, digests, hits)),
        )
        return tuple(NativeLaunch(_SOURCE, name, *grid(count, 64), it, f"LOG_N={log_n}") for name, it in stages)

    def check(results: Mapping[str, NDArray[Any]]) -> None:
        search.check_probe(results["digests"].astype(">u4"))
        search.check_hits(results["hits"])

    return Plan(
        {
            "states": Empty((nonces, 32), np.uint32),
            "pad": Empty((nonces * cost, 32), np.uint32),
            "digests": Empty((search.probe, 8), np.uint32),
            "hits": Empty((1,), np.uint32),
            "probe_hits": Empty((1,), np.uint32),
        },
        step=lambda number: launches(search.start(number), nonces, NULL, "hits"),
        work=Work(
            units=nonces,
            dram_bytes=nonces * cost * 128 * 2,
            int_ops=nonces * (2 * cost * 2 * operations.SALSA8 + 20 * operations.SHA256),
        ),
        check=check,
        setup=launches(search.start(0), search.probe, "digests", "probe_hits"),
        symbols={(_SOURCE, "c_header"): np.frombuffer(header, ">u4").astype(np.uint32)},
    )


WORKLOADS: Final = (
    define(
        "scrypt-native",
        "scrypt",
        "scrypt(1024, 1, 1) of a block header, a pad of 128 KiB a hash, in CUDA C (RFC 7914)",
        build_plan,
        bound="memory",
        parameters=(NONCES, Parameter("log_n", "", 4, 14, "logarithm of the cost")),
        small={"nonces": 64, "log_n": 5},
        gpu={"nonces": 1 << 15, "log_n": 10},
    ),
)
