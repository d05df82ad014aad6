"""kHeavyHash: cSHAKE256, a product with a matrix of 64 x 64 nibbles, and cSHAKE256 again.

As Kaspa's public specification of its proof of work describes it: the two sponges have the names
"ProofOfWorkHash" and "HeavyHash" absorbed beforehand (NIST SP 800-185), the matrix comes from the header
and has full rank. The matrix lies in memory, four values in a word; all threads read the same word at the
same time, and a dot product of four bytes is what a GPU does in one instruction.
"""

# ruff: noqa: ANN401, PLR0913, PLR0917  bodies take arrays, and many of them

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from hashwarden.kernels.device import device, local_array
from hashwarden.kernels.memory.recorder import begin, load
from hashwarden.kernels.workloads.mining.keccak import keccak_f1600
from hashwarden.kernels.workloads.mining.search import check_hits, limit_of, no_hits, report
from hashwarden.kernels.workloads.plan import Arrays, Launch, Plan, Work
from hashwarden.kernels.workloads.workload import Parameter, Settings, Workload

__all__ = ["WORKLOADS", "build_plan", "full_rank_matrix", "prefix_state", "search"]

_OPS: Final = 2 * 24 * 190 + 1024 * 9 + 300
"""Integer instructions of a hash: two permutations, and 1,024 dot products of four bytes done in nine."""

_RATE: Final = 136
_CSHAKE_PAD, _LAST = np.uint64(4), np.uint64(1 << 63)
_NIBBLES: Final = np.uint32(0x0F0F0F0F)


@device
def _dot_four(a: Any, b: Any) -> Any:
    """Sum of the products of four bytes below 16."""
    total = np.uint32(0)
    for shift in range(0, 32, 8):
        x, y = np.uint32(a >> np.uint32(shift)), np.uint32(b >> np.uint32(shift))
        total = np.uint32(total + np.uint32(np.uint32(x & np.uint32(255)) * np.uint32(y & np.uint32(255))))
    return total


@device
def _add_product(log: Any, t: Any, matrix: Any, vector: Any, mixed: Any) -> Any:
    """Add the product of the matrix and the vector, a nibble a row without its last ten bits, to 32 bytes."""
    for row in range(len(matrix)):  # not a constant: the loop is not to be unrolled
        total = np.uint32(0)
        for i in range(16):
            t = load(log, t, 2, 2, 16 * row + i)
            total = np.uint32(total + _dot_four(matrix[row, i], vector[i]))
        place = np.uint64(4 * ((row & 15) ^ 1))
        mixed[row >> 4] ^= np.uint64(np.uint64(total >> np.uint32(10)) << place)
    return t


@device
def _split(digest: Any, vector: Any) -> None:
    """64 nibbles of 32 bytes, the high one of a byte first, four in a word."""
    for i in range(16):
        pair = np.uint32((digest[i >> 2] >> np.uint64(16 * (i & 3))) & np.uint64(0xFFFF))
        high, low = np.uint32(np.uint32(pair >> np.uint32(4)) & _NIBBLES), np.uint32(pair & _NIBBLES)
        first = np.uint32(np.uint32(high & np.uint32(255)) | np.uint32(np.uint32(low & np.uint32(255)) << np.uint32(8)))
        second = np.uint32(np.uint32(high >> np.uint32(8)) | np.uint32(np.uint32(low >> np.uint32(8)) << np.uint32(8)))
        vector[i] = np.uint32(first | np.uint32(second << np.uint32(16)))


@device
def search(
    thread: Any, log: Any, prefixes: Any, header: Any, matrix: Any, found: Any, first: Any, each: Any, limit: Any
) -> None:
    """Hash ``each`` nonces; ``prefixes`` are the two states that the sponges start from."""
    t = begin(log, thread)
    state, mixed = local_array(25, np.uint64), local_array(4, np.uint64)
    vector = local_array(16, np.uint32)
    for n in range(each):
        nonce = np.uint64(first + np.uint64(thread * each + n))
        for i in range(25):
            t = load(log, t, 0, 0, i)
            state[i] = prefixes[0, i]
        for i in range(9):
            t = load(log, t, 1, 1, i)
            state[i] ^= header[i]
        state[9] ^= nonce
        state[10] ^= _CSHAKE_PAD
        state[16] ^= _LAST
        keccak_f1600(state)
        _split(state, vector)
        for i in range(4):
            mixed[i] = state[i]
        t = _add_product(log, t, matrix, vector, mixed)
        for i in range(25):
            t = load(log, t, 3, 0, 25 + i)
            state[i] = prefixes[1, i]
        for i in range(4):
            state[i] ^= mixed[i]
        state[4] ^= _CSHAKE_PAD
        state[16] ^= _LAST
        keccak_f1600(state)
        t = report(log, t, 4, 3, found, nonce, state[3], limit)


def prefix_state(name: bytes) -> NDArray[np.uint64]:
    """State of cSHAKE256 after the block that holds a customisation of up to 31 bytes (NIST SP 800-185)."""
    block = (b"\x01\x88\x01\x00\x01" + bytes([8 * len(name)]) + name).ljust(_RATE, b"\0")
    state = np.zeros(25, np.uint64)
    state[: _RATE // 8] = np.frombuffer(block, "<u8")
    keccak_f1600(state)
    return state


def full_rank_matrix(random: np.random.Generator) -> NDArray[np.uint8]:
    """Draw 64 x 64 values below 16 until they have full rank."""
    while True:
        matrix = random.integers(0, 16, (64, 64), np.uint8)
        if np.linalg.matrix_rank(matrix.astype(np.float64)) == 64:
            return matrix


def _head(header: bytes, matrix: NDArray[np.uint8], nonce: int) -> int:
    """The oracle."""
    from Crypto.Hash import cSHAKE256

    digest = cSHAKE256.new(data=header + nonce.to_bytes(8, "little"), custom=b"ProofOfWorkHash").read(32)
    nibbles = np.array([nibble for byte in digest for nibble in (byte >> 4, byte & 15)])
    product = (matrix.astype(np.int64) @ nibbles) >> 10
    mixed = bytes(int(16 * a + b) for a, b in product.reshape(32, 2))
    middle = bytes(a ^ b for a, b in zip(digest, mixed, strict=True))
    return int.from_bytes(cSHAKE256.new(data=middle, custom=b"HeavyHash").read(32)[24:], "little")


def build_plan(settings: Settings, seed: int) -> Plan:
    """Plan a search of ``threads`` times ``nonces_each`` nonces a step."""
    threads, each = settings["threads"], settings["nonces_each"]
    hashes, random = threads * each, np.random.default_rng(seed)
    header, matrix = random.bytes(40) + bytes(32), full_rank_matrix(random)
    limit = limit_of(settings["hits"], hashes)
    arrays: Arrays = {
        "prefixes": np.stack([prefix_state(b"ProofOfWorkHash"), prefix_state(b"HeavyHash")]),
        "header": np.frombuffer(header, "<u8").astype(np.uint64),
        "matrix": np.ascontiguousarray(matrix).view("<u4").astype(np.uint32),
        "found": no_hits(),
    }

    def check(results: Mapping[str, NDArray[Any]]) -> None:
        check_hits(results["found"], 0, hashes, int(limit), lambda nonce: _head(header, matrix, nonce), most=4096)

    def step(number: int) -> tuple[Launch, ...]:
        scalars = (np.uint64(number * hashes), np.int64(each), limit)
        return (Launch(search, threads, ("prefixes", "header", "matrix", "found", *scalars)),)

    return Plan(arrays, step, Work(units=hashes, int_ops=hashes * _OPS), check)


WORKLOADS: Final = (
    Workload(
        name="kheavyhash",
        label="mining",
        family="kheavyhash",
        bound="integer",
        summary="cSHAKE256, a product with 64 x 64 nibbles, and cSHAKE256 again (Kaspa's kHeavyHash)",
        unit="hash",
        parameters=(
            Parameter("threads", "threads", 1, 1 << 26, "threads of a launch"),
            Parameter("nonces_each", "hashes", 1, 1 << 12, "nonces that a thread tries"),
            Parameter("hits", "hashes", 1, 1 << 12, "expected hits of a step"),
        ),
        sizes={
            "small": {"threads": 32, "nonces_each": 1, "hits": 12},
            "trace": {"threads": 1 << 10, "nonces_each": 2, "hits": 128},
            "gpu": {"threads": 1 << 20, "nonces_each": 8, "hits": 128},
        },
        build=build_plan,
    ),
)
