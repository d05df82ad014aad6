"""A proof of work in a prime field: Poseidon2 over Goldilocks as a sponge, applied twice to header and nonce.

The permutation and its parameters are the published ones (eprint 2023/323); the use of it is of the kind
that provers' coins have: four elements of header, the nonce in two, rate eight, capacity four.
"""

# ruff: noqa: ANN401, PLR0913, PLR0917  bodies take arrays, and many of them

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from hashwarden.kernels.device import device, local_array
from hashwarden.kernels.memory.recorder import begin, load
from hashwarden.kernels.workloads.mining.goldilocks import WIDTH, poseidon2
from hashwarden.kernels.workloads.mining.poseidon_constants import DIAGONAL, INNER, OUTER, PRIME
from hashwarden.kernels.workloads.mining.search import check_hits, limit_of, no_hits, report
from hashwarden.kernels.workloads.plan import Arrays, Launch, Plan, Work
from hashwarden.kernels.workloads.workload import Parameter, Settings, Workload

__all__ = ["WORKLOADS", "build_plan", "permutation", "search"]

_OPS: Final = 736 * 20 + 1_700 * 6
"""Integer instructions of a permutation: 736 products of 20 and about 1,700 sums of 6."""

_PERMUTATIONS: Final = 2


@device
def search(
    thread: Any, log: Any, header: Any, found: Any, first: Any, each: Any, turns: Any, half: Any, limit: Any
) -> None:
    """Hash ``each`` nonces that follow four elements of header: ``turns`` permutations of twice ``half`` rounds."""
    t = begin(log, thread)
    words, s = local_array(4, np.uint64), local_array(WIDTH, np.uint64)
    for i in range(4):
        t = load(log, t, 0, 0, i)
        words[i] = header[i]
    for n in range(each):
        nonce = np.uint64(first + np.uint64(thread * each + n))
        for i in range(4):
            s[i] = words[i]
        for turn in range(turns):
            for i in range(4, WIDTH):
                s[i] = np.uint64(0)
            if turn == 0:
                s[4], s[5] = np.uint64(nonce & np.uint64(0xFFFFFFFF)), np.uint64(nonce >> np.uint64(32))
            s[8] = np.uint64(1)
            poseidon2(s, half)
        t = report(log, t, 1, 1, found, nonce, s[0], limit)


def permutation(state: Sequence[int]) -> list[int]:
    """Poseidon2 of twelve integers below the prime, by matrices of whole numbers: the oracle."""
    block = np.array([[5, 7, 1, 3], [4, 6, 1, 1], [1, 3, 5, 7], [1, 1, 4, 6]], object)
    outer_matrix = np.kron(np.ones((3, 3), int) + np.eye(3, dtype=int), block)
    inner_matrix = np.ones((WIDTH, WIDTH), object) + np.diag(np.array([int(x) for x in DIAGONAL], object))
    rows = [[int(x) for x in row] for row in OUTER]
    s = outer_matrix @ np.array(state, object) % PRIME
    for number, row in enumerate(rows):
        for constant in INNER if number == 4 else ():
            s[0] = pow(int(s[0]) + int(constant), 7, PRIME)
            s = inner_matrix @ s % PRIME
        s = outer_matrix @ np.array([pow(int(x) + c, 7, PRIME) for x, c in zip(s, row, strict=True)], object) % PRIME
    return [int(x) for x in s]


def build_plan(settings: Settings, seed: int) -> Plan:
    """Plan a search of ``threads`` times ``nonces_each`` nonces a step."""
    threads, each = settings["threads"], settings["nonces_each"]
    hashes = threads * each
    header = np.random.default_rng(seed).integers(0, PRIME, 4, np.uint64)
    limit = limit_of(settings["hits"], hashes)
    arrays: Arrays = {"header": header, "found": no_hits()}

    def head_of(nonce: int) -> int:
        first = permutation([*(int(x) for x in header), nonce % 2**32, nonce >> 32, 0, 0, 1, 0, 0, 0])
        return permutation([*first[:4], 0, 0, 0, 0, 1, 0, 0, 0])[0]

    def check(results: Mapping[str, NDArray[Any]]) -> None:
        check_hits(results["found"], 0, hashes, int(limit), head_of, most=512)

    def step(number: int) -> tuple[Launch, ...]:
        counts = (np.int64(each), np.int64(_PERMUTATIONS), np.int64(4))
        return (Launch(search, threads, ("header", "found", np.uint64(number * hashes), *counts, limit)),)

    return Plan(arrays, step, Work(units=hashes, int_ops=hashes * _PERMUTATIONS * _OPS), check)


WORKLOADS: Final = (
    Workload(
        name="poseidon2-pow",
        label="mining",
        family="poseidon2-pow",
        bound="integer",
        summary="Poseidon2 over Goldilocks, twelve elements, twice over header and nonce (eprint 2023/323)",
        unit="hash",
        parameters=(
            Parameter("threads", "threads", 1, 1 << 26, "threads of a launch"),
            Parameter("nonces_each", "hashes", 1, 1 << 16, "nonces that a thread tries"),
            Parameter("hits", "hashes", 1, 1 << 12, "expected hits of a step"),
        ),
        sizes={
            "small": {"threads": 32, "nonces_each": 1, "hits": 12},
            "trace": {"threads": 1 << 13, "nonces_each": 2, "hits": 128},
            "gpu": {"threads": 1 << 19, "nonces_each": 16, "hits": 128},
        },
        build=build_plan,
    ),
)
