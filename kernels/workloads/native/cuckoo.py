"""Cuckoo cycle (Tromp 2015): lean trimming of Cuckatoo, mean trimming of Cuckaroo.

What is left after the rounds is not searched for a cycle: that takes a thousandth of the time and another
program.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import exp
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from hashwarden.errors import UsageError
from hashwarden.kernels.workloads.native import operations
from hashwarden.kernels.workloads.native.define import define
from hashwarden.kernels.workloads.native.launches import fill, store
from hashwarden.kernels.workloads.native.reference import sip_absorb, sip_finish
from hashwarden.kernels.workloads.native.search import require_share
from hashwarden.kernels.workloads.plan import Empty, NativeLaunch, Plan, Work, require_equal
from hashwarden.kernels.workloads.workload import Parameter, Settings

__all__ = ["WORKLOADS", "build_lean_plan", "build_mean_plan"]

_LEAN: Final = "cuckatoo_lean"
_MEAN: Final = "cuckaroo_mean"
_GRAPHS: Final = 64
"""Keys, one a graph, before they come again."""
_BLOCK: Final = 64
"""Edges whose hashes are chained in Cuckaroo."""
_SAMPLE: Final = 1 << 18
_ALL_BELOW: Final = 1 << 16
_MOST_NODE_BITS: Final = 17
_MOST_BLOCKS: Final = 8192

U64 = NDArray[np.uint64]


def _alive(rounds: int) -> float:
    """Share of edges left after rounds in a random graph with as many edges as nodes on a side."""
    now, before = 1.0, 1.0
    for _ in range(rounds):
        now, before = 1 - exp(-now), now
    return now * before if rounds else 1.0


def _keys(seed: int) -> U64:
    return np.random.default_rng(seed).integers(0, 2**64, (_GRAPHS, 4), np.uint64)


def _ends(keys: U64, edges: U64, side: int, bits: int) -> U64:
    """Nodes of edges on one side in Cuckatoo."""
    state = [np.full(len(edges), key) for key in keys]
    sip_absorb(state, edges * np.uint64(2) + np.uint64(side))
    return sip_finish(state) & np.uint64((1 << bits) - 1)


def _bit(words: NDArray[np.uint32], at: U64) -> NDArray[np.bool_]:
    return np.asarray(words[at >> np.uint64(5)] >> (at & np.uint64(31)).astype(np.uint32) & np.uint32(1), np.bool_)


def _ones(words: NDArray[np.uint32]) -> int:
    table = np.unpackbits(np.arange(1 << 16, dtype=np.uint16).view(np.uint8).reshape(-1, 2), axis=1).sum(axis=1)
    halves = words.view(np.uint16)
    return sum(int(table[halves[i : i + (1 << 22)]].sum()) for i in range(0, len(halves), 1 << 22))


def build_lean_plan(settings: Settings, seed: int) -> Plan:
    """Plan trimming of Cuckatoo graphs, one round a step, ``rounds`` rounds a graph."""
    bits, rounds, keys = settings["edge_bits"], settings["rounds"], _keys(seed)
    words = (1 << bits) // 32
    by_value = [np.frombuffer(row.tobytes(), [("keys", "<u8", 4)])[0] for row in keys]
    block = min(256, words)
    shape = ((min(words // block, _MOST_BLOCKS),), (block,))

    def step(number: int) -> tuple[NativeLaunch, ...]:
        graph, turn = divmod(number, rounds)
        arguments = (by_value[graph % _GRAPHS], "alive", np.uint32(turn % 2), "nodes")
        census = ("alive", np.uint32(words), "total")
        variant = f"EDGE_BITS={bits}"
        return (
            *([fill("alive", 255)] if turn == 0 else []),
            fill("nodes"),
            fill("total"),
            NativeLaunch(_LEAN, "lean_mark", *shape, arguments, variant),
            NativeLaunch(_LEAN, "lean_kill", *shape, arguments, variant),
            NativeLaunch(_LEAN, "lean_census", *shape, census, variant),
        )

    mean = sum(_alive(turn) for turn in range(rounds)) / rounds * (1 << bits)
    return Plan(
        {
            "alive": Empty((words,), np.uint32),
            "nodes": Empty((words,), np.uint32),
            "total": Empty((1,), np.uint32),
        },
        step=step,
        work=Work(units=mean, dram_bytes=words * 4 * 5 + mean * 3 * 32, int_ops=mean * 2 * operations.SIPHASH),
        check=lambda results: _check_lean(results, keys[0], bits),
    )


def _check_lean(results: Mapping[str, NDArray[Any]], keys: U64, bits: int) -> None:
    alive, nodes, total = results["alive"], results["nodes"], int(results["total"][0])
    count = 1 << bits
    everything = count <= _ALL_BELOW
    random = np.random.default_rng(1)
    edges = np.arange(count, dtype=np.uint64) if everything else random.integers(0, count, _SAMPLE, np.uint64)
    ends = _ends(keys, edges, 0, bits)
    require_equal("nodes marked by edges", _bit(nodes, ends), np.ones(len(edges), bool))
    require_equal("edges alive", _bit(alive, edges), _bit(nodes, ends ^ np.uint64(1)))
    require_equal("census", np.array([total]), np.array([_ones(alive)]))
    if everything:
        require_equal("marked nodes", np.array([_ones(nodes)]), np.array([len(np.unique(ends))]))
    else:
        require_share("marked nodes", _ones(nodes), count, 1 - exp(-1))
        require_share("edges alive", total, count, _alive(1))


def _chained(keys: U64, blocks: U64, bits: int) -> NDArray[np.uint32]:
    """Edges of whole blocks of Cuckaroo, shape (64 times blocks, 2)."""
    state = [np.full(len(blocks), key) for key in keys]
    values = []
    for edge in range(_BLOCK):
        sip_absorb(state, blocks * np.uint64(_BLOCK) + np.uint64(edge))
        values.append(sip_finish(state))
    mixed = np.stack([*(value ^ values[-1] for value in values[:-1]), values[-1]], axis=1).reshape(-1)
    mask = np.uint64((1 << bits) - 1)
    return np.stack([mixed & mask, mixed >> np.uint64(32) & mask], axis=1).astype(np.uint32)


def build_mean_plan(settings: Settings, seed: int) -> Plan:
    """Plan trimming of Cuckaroo graphs, a whole graph a step: its edges, and ``rounds`` rounds.

    Raises
    ------
    UsageError
        If the nodes of a bucket are too many for two bits each in shared memory.
    """
    bits, x_bits, rounds, keys = settings["edge_bits"], settings["bucket_bits"], settings["rounds"], _keys(seed)
    if not 2 <= bits - x_bits <= _MOST_NODE_BITS:
        expected = f"from edge_bits - {_MOST_NODE_BITS} to edge_bits - 2"
        raise UsageError(f"bucket_bits = {x_bits} for edge_bits = {bits}", expected, "Choose a value in this range.")
    count, buckets = 1 << bits, 1 << x_bits
    mean = count // buckets
    capacity = mean + 8 * int(mean**0.5) + 64
    nodes = max(1 << (bits - x_bits), 1 << 10)
    variant = f"EDGEBITS={bits} XBITS={x_bits} CAPACITY={capacity} TRIM_NODES={nodes}"
    block = min(256, count // _BLOCK)

    def step(number: int) -> tuple[NativeLaunch, ...]:
        seeds = (np.uint64(count), "edges[0]", "fill[0]")
        trims = [(f"edges[{r % 2}]", f"fill[{r}]", f"edges[{(r + 1) % 2}]", f"fill[{r + 1}]") for r in range(rounds)]
        return (
            store(_MEAN, variant, "sip_key", f"keys[{number % _GRAPHS}]"),
            fill("fill"),
            NativeLaunch(_MEAN, "mean_seed", (count // _BLOCK // block,), (block,), seeds, variant),
            *(NativeLaunch(_MEAN, "mean_trim", (buckets,), (block,), trim, variant) for trim in trims),
        )

    touched = sum(_alive(r) + _alive(r + 1) for r in range(rounds))
    return Plan(
        {
            "keys": keys,
            "edges": Empty((2, buckets, capacity, 2), np.uint32),
            "fill": Empty((rounds + 1, buckets), np.uint32),
        },
        step=step,
        work=Work(
            units=1, dram_bytes=8 * count * (1 + touched), int_ops=count * (operations.SIPHASH + 8 * (1 + touched))
        ),
        check=lambda results: _check_mean(results, keys[0], bits, rounds),
        symbols={(_MEAN, "sip_key"): keys[0]},
    )


def _check_mean(results: Mapping[str, NDArray[Any]], keys: U64, bits: int, rounds: int) -> None:
    filled, edges = results["fill"][rounds], results["edges"][rounds % 2]
    shift = np.uint32(bits - (len(filled) - 1).bit_length())
    require_equal("edges made", results["fill"][0].sum(dtype=np.int64, keepdims=True), np.array([1 << bits]))
    left = np.concatenate([bucket[:size] for bucket, size in zip(edges, filled, strict=True)])
    require_equal("buckets of edges", left[:, 0] >> shift, np.repeat(np.arange(len(filled), dtype=np.uint32), filled))
    got = left if rounds % 2 == 0 else left[:, ::-1]
    if 1 << bits <= _ALL_BELOW:
        expected = _trimmed(_chained(keys, np.arange((1 << bits) // _BLOCK, dtype=np.uint64), bits), rounds)
        require_equal("edges left", _sorted(got), _sorted(expected))
        return
    require_share("edges left", len(got), 1 << bits, _alive(rounds))
    _, degrees = np.unique(left[:, 1], return_counts=True)
    require_equal("ends met once only", np.array([(degrees < 2).sum()]), np.array([0]))
    every = (1 << bits) // _BLOCK
    blocks = np.random.default_rng(1).choice(every, min(every, _SAMPLE // _BLOCK), replace=False)
    some = _chained(keys, blocks.astype(np.uint64), bits)
    require_share("edges of a sample left", int(np.isin(_joined(some), _joined(got)).sum()), len(some), _alive(rounds))


def _joined(edges: NDArray[np.uint32]) -> U64:
    return edges[:, 0].astype(np.uint64) << np.uint64(32) | edges[:, 1]


def _sorted(edges: NDArray[np.uint32]) -> U64:
    return np.sort(_joined(edges))


def _trimmed(edges: NDArray[np.uint32], rounds: int) -> NDArray[np.uint32]:
    for turn in range(rounds):
        side = edges[:, turn % 2]
        edges = edges[np.bincount(side)[side] >= 2]
    return edges


_ROUNDS: Final = Parameter("rounds", "rounds", 1, 512, "rounds of trimming of a graph")

WORKLOADS: Final = (
    define(
        "cuckatoo-lean-native",
        "cuckoo",
        "Cuckatoo by lean trimming: a bit an edge and a bit a node, one round a step, in CUDA C (Tromp 2015)",
        build_lean_plan,
        bound="memory",
        parameters=(Parameter("edge_bits", "bits", 10, 31, "logarithm of the number of edges"), _ROUNDS),
        small={"edge_bits": 12, "rounds": 2},
        gpu={"edge_bits": 30, "rounds": 16},
        unit="edge",
    ),
    define(
        "cuckaroo-mean-native",
        "cuckoo",
        "Cuckaroo by mean trimming: edges sorted into buckets, a graph a step, in CUDA C (Tromp 2015)",
        build_mean_plan,
        bound="memory",
        parameters=(
            Parameter("edge_bits", "bits", 10, 26, "logarithm of the number of edges"),
            Parameter("bucket_bits", "bits", 2, 9, "logarithm of the number of buckets"),
            _ROUNDS,
        ),
        small={"edge_bits": 14, "bucket_bits": 4, "rounds": 4},
        gpu={"edge_bits": 26, "bucket_bits": 9, "rounds": 8},
        unit="graph",
    ),
)
