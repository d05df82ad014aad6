"""kHeavyHash: cSHAKE256, a 64 x 64 matrix of nibbles, cSHAKE256 (the Kaspa specification, NIST SP 800-185)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from hashwarden.errors import CheckError
from hashwarden.kernels.workloads.native import operations, reference
from hashwarden.kernels.workloads.native.define import NONCES, define
from hashwarden.kernels.workloads.native.search import NULL, grid, odds
from hashwarden.kernels.workloads.plan import Empty, NativeLaunch, Plan, Work, require_equal
from hashwarden.kernels.workloads.workload import Settings

__all__ = ["WORKLOADS", "build_plan"]

_SOURCE: Final = "heavyhash"
_EVERY: Final = np.uint64(2**64 - 1)
_PROBE: Final = 64
_CSHAKE: Final = 4
_RATE: Final = 136

U8 = NDArray[np.uint8]
U64 = NDArray[np.uint64]


def _middle(digests: U8, matrix: U8) -> U8:
    """Matrix times the nibbles of a digest, each sum cut to four bits, added to the digest by XOR."""
    nibbles = np.stack([digests >> 4, digests & 15], axis=2).reshape(len(digests), 64).astype(np.int64)
    sums = (nibbles @ matrix.T.astype(np.int64)) >> 10
    return digests ^ (sums[:, ::2] << 4 | sums[:, 1::2]).astype(np.uint8)


def _oracle(header: bytes, matrix: U8, nonces: U64) -> U8:
    texts = np.zeros((len(nonces), 80), np.uint8)
    texts[:, :72] = np.frombuffer(header, np.uint8)
    texts[:, 72:] = nonces.astype("<u8").view(np.uint8).reshape(-1, 8)
    first = reference.keccak(texts, _RATE, _CSHAKE, 32, reference.cshake_prefix(b"ProofOfWorkHash"))
    return reference.keccak(_middle(first, matrix), _RATE, _CSHAKE, 32, reference.cshake_prefix(b"HeavyHash"))


def _next(states: U64) -> U64:
    """Marsaglia's xorshift with 13, 7 and 17."""
    states = states ^ states << np.uint64(13)
    states = states ^ states >> np.uint64(7)
    return states ^ states << np.uint64(17)


def build_plan(settings: Settings, seed: int) -> Plan:
    """Plan a search over ``nonces`` nonces a step; every thread draws its own by xorshift."""
    random, nonces = np.random.default_rng(seed), settings["nonces"]
    header = random.bytes(40) + bytes(32)
    matrix = random.integers(0, 16, (64, 64)).astype(np.uint8)
    states = random.integers(1, 2**63, nonces).astype(np.uint64)
    top = 2**64 // odds(nonces) - 1
    probe = min(_PROBE, nonces)

    def launch(count: int, array: str, found: str, digests: str | np.uint64) -> NativeLaunch:
        arguments = (_EVERY, np.uint64(0), array, np.uint64(count), found, digests)
        return NativeLaunch(_SOURCE, "heavy_hash", *grid(count), arguments)

    def check(results: Mapping[str, NDArray[Any]]) -> None:
        expected = _oracle(header, matrix, states[:probe])
        require_equal("digests", results["digests"].view(np.uint8), expected)
        require_equal("states of the generators", results["states"], _next(states))
        _check_found(results["found"], lambda some: _oracle(header, matrix, some), states, top)

    return Plan(
        {
            "states": states,
            "found": Empty((1,), np.uint64),
            "probe_states": states[:probe].copy(),
            "probe_found": Empty((1,), np.uint64),
            "digests": Empty((probe, 4), np.uint64),
        },
        step=lambda _: (launch(nonces, "states", "found", NULL),),
        work=Work(units=nonces, dram_bytes=16 * nonces, int_ops=nonces * (2 * operations.KECCAK_1600 + 64 * 16 + 300)),
        check=check,
        setup=(launch(probe, "probe_states", "probe_found", "digests"),),
        symbols={
            (_SOURCE, "c_pow_state"): reference.cshake_prefix(b"ProofOfWorkHash"),
            (_SOURCE, "c_heavy_state"): reference.cshake_prefix(b"HeavyHash"),
            (_SOURCE, "c_header"): np.frombuffer(header, "<u8"),
            (_SOURCE, "c_matrix"): matrix,
            (_SOURCE, "c_target"): np.array([2**64 - 1] * 3 + [top], np.uint64),
        },
    )


def _check_found(found: U64, oracle: Any, states: U64, top: int) -> None:  # noqa: ANN401  a function
    """The kernel keeps any one hit, the first that comes."""
    if found[0]:
        drawn = bool(np.any(states == found[0]))
        head = int.from_bytes(oracle(found)[0, 24:].tobytes(), "little")
        if drawn and head <= top:
            return
    got = f"the nonce {int(found[0])} as a hit"
    raise CheckError(got, "a nonce whose hash is low enough", "The kernel, the compiler or the device is at fault.")


WORKLOADS: Final = (
    define(
        "heavyhash-native",
        "kheavyhash",
        "kHeavyHash: cSHAKE256 around a 64 x 64 product of nibbles, in CUDA C (Kaspa)",
        build_plan,
        bound="integer",
        parameters=(NONCES,),
        small={"nonces": 256},
        gpu={"nonces": 1 << 23},
    ),
)
