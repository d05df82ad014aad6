"""The Merkle tree of a prover's trace by a Poseidon2-like sponge (Grassi and others, 2023): honest hashing.

It has the permutation of the proof of work in `hashwarden.kernels.workloads.native.poseidon2`.
"""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha256
from itertools import pairwise
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from hashwarden.kernels.workloads.native.define import define
from hashwarden.kernels.workloads.native.poseidon2 import PERMUTE_OPS, PRIME, WIDTH, Permutation, constants
from hashwarden.kernels.workloads.native.search import grid, header_of
from hashwarden.kernels.workloads.plan import Empty, NativeLaunch, Plan, Work, require_equal
from hashwarden.kernels.workloads.workload import Parameter, Settings

__all__ = ["WORKLOADS", "build_plan"]

_SOURCE: Final = "poseidon2_merkle"
_RATE: Final = 8
_SEEDS: Final = 4
_SAMPLE: Final = 16
_M31: Final = 2**31 - 1


def _half(seed: bytes, index: int) -> int:
    """One 31-bit half of an element, as `matmul_m31` draws it: the first candidate below the prime."""
    words = b"".join(seed[i : i + 4][::-1] for i in range(0, 32, 4)) + index.to_bytes(4, "big")
    candidates = (int.from_bytes(sha256(words + n.to_bytes(4, "big")).digest()[:4], "big") & _M31 for n in range(99))
    return next(candidate for candidate in candidates if candidate < _M31)


def _leaf(permute: Permutation, column: list[int]) -> NDArray[np.uint64]:
    state = np.zeros((1, WIDTH), object)
    for at in range(0, len(column), _RATE):
        part = column[at : at + _RATE]
        state[0, : len(part)] = part
        state = permute(state)
    return np.array(state[0, :4], np.uint64)


def _parents(permute: Permutation, children: NDArray[np.uint64]) -> NDArray[np.uint64]:
    state = np.zeros((len(children), WIDTH), object)
    state[:, :_RATE] = children.astype(object) % PRIME
    return permute(state)[:, :4].astype(np.uint64)


def _draw(which: int, halves: int) -> NativeLaunch:
    arguments = (f"seeds[{which}]", np.uint32(halves), f"trace[{which}]")
    return NativeLaunch("matmul_m31", "field_matrix", *grid(halves), arguments)


def build_plan(settings: Settings, seed: int) -> Plan:
    """Plan one whole tree a step over ``rows`` rows of ``columns`` elements."""
    rows, columns, depth = settings["rows"], settings["columns"], settings["rows"].bit_length() - 1
    names = [f"level_{level}" for level in range(depth + 1)]
    seeds, (symbols, permute) = header_of(seed, 32 * _SEEDS), constants(_SOURCE, seed)

    def step(number: int) -> tuple[NativeLaunch, ...]:
        leaves = (f"trace[{number % _SEEDS}]", np.uint32(columns), np.uint32(rows), names[0])
        levels = (
            NativeLaunch(_SOURCE, "merkle_level", *grid(rows >> level, 128), (below, np.uint32(rows >> level), above))
            for level, (below, above) in enumerate(pairwise(names), 1)
        )
        return (NativeLaunch(_SOURCE, "merkle_leaves", *grid(rows, 128), leaves), *levels)

    def check(results: Mapping[str, NDArray[Any]]) -> None:
        random, below = np.random.default_rng(seed), results[names[0]]
        for row in np.unique([0, *random.integers(0, rows, _SAMPLE)]).tolist():
            places = (2 * (column * rows + row) for column in range(columns))
            column = [_half(seeds[:32], at + 1) << 32 | _half(seeds[:32], at) for at in places]
            require_equal("a leaf", below[row], _leaf(permute, column))
        for name in names[1:]:
            above = results[name]
            some = np.unique([0, *random.integers(0, len(above), _SAMPLE)])
            require_equal("parents", above[some], _parents(permute, below.reshape(-1, 8)[some]))
            below = above

    hashes = rows * -(-columns // _RATE) + rows - 1
    return Plan(
        {
            "seeds": np.frombuffer(seeds, "<u4").reshape(_SEEDS, 8),
            "trace": Empty((_SEEDS, columns, rows), np.uint64),
            **{name: Empty((rows >> level, 4), np.uint64) for level, name in enumerate(names)},
        },
        step=step,
        work=Work(units=hashes, dram_bytes=rows * (8 * columns + 3 * 32), int_ops=hashes * PERMUTE_OPS),
        check=check,
        setup=tuple(_draw(which, 2 * rows * columns) for which in range(_SEEDS)),
        symbols=symbols,
    )


WORKLOADS: Final = (
    define(
        "merkle-native",
        "zk-merkle",
        "The Merkle tree of a prover's trace by a Poseidon2-like sponge, in CUDA C (Grassi and others 2023)",
        build_plan,
        bound="integer",
        parameters=(
            Parameter("rows", "rows", 2, 1 << 22, "rows of the trace, leaves of the tree", power_of_two=True),
            Parameter("columns", "elements", 1, 256, "elements of a row"),
        ),
        small={"rows": 32, "columns": 10},
        gpu={"rows": 1 << 20, "columns": 32},
        unit="permutation",
        label="hash-other",
    ),
)
