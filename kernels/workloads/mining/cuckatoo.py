"""Cuckatoo: lean edge trimming of a random bipartite graph.

Cuckoo Cycle (Tromp, 2014), in the Cuckatoo form that Grin uses: edge ``e`` joins node
``siphash(2 e) mod 2**edge_bits`` of one side to node ``siphash(2 e + 1) mod 2**edge_bits`` of the other,
and an edge can be part of a cycle only if some edge ends at the partner (the node's number with its last
bit turned) of each of its ends. A round marks the ends of all live edges of one side in a bitmap, by
atomics at random words, and drops the edges whose partner is not marked. One bit an edge, one bit a node:
the lean way of a GPU with little memory. The search for cycles in the few edges left is not part of it.
"""

# ruff: noqa: ANN401, PLR0913, PLR0917  bodies take arrays, and many of them

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from hashwarden.errors import CheckError, UsageError
from hashwarden.kernels.device import atomic_or, device
from hashwarden.kernels.memory.recorder import atomic, begin, load, store
from hashwarden.kernels.workloads.mining.siphash import siphash24_word
from hashwarden.kernels.workloads.plan import Arrays, Empty, Launch, Plan, Work, require_equal
from hashwarden.kernels.workloads.workload import Parameter, Settings, Workload

__all__ = ["WORKLOADS", "build_plan", "edge_ends", "trim"]

WORD_BITS: Final = 32
_EXACT_EDGES: Final = 1 << 22  # up to here the oracle trims the whole graph
_SAMPLE: Final = 4096
_ALL: Final = np.uint32(0xFFFFFFFF)


@device
def revive(thread: Any, log: Any, alive: Any) -> None:
    """Begin a graph: all edges of word ``thread`` are alive."""
    t = begin(log, thread)
    t = store(log, t, 0, 0, thread)
    alive[thread] = _ALL


@device
def forget(thread: Any, log: Any, nodes: Any) -> None:
    """Unmark the nodes of word ``thread``."""
    t = begin(log, thread)
    t = store(log, t, 0, 0, thread)
    nodes[thread] = np.uint32(0)


@device
def mark(
    thread: Any, log: Any, alive: Any, nodes: Any, k0: Any, k1: Any, k2: Any, k3: Any, side: Any, mask: Any
) -> None:
    """Mark the ends of the live edges of word ``thread`` on one side."""
    t = begin(log, thread)
    t = load(log, t, 0, 0, thread)
    bits = np.uint32(alive[thread])
    for bit in range(WORD_BITS):
        if np.uint32(bits >> np.uint32(bit)) & np.uint32(1):
            word = 2 * (np.int64(thread) * WORD_BITS + bit) + side
            node = np.int64(siphash24_word(k0, k1, k2, k3, np.uint64(word)) & mask)
            t = atomic(log, t, 1, 1, node >> 5, 1)
            atomic_or(nodes, node >> 5, np.uint32(np.uint32(1) << np.uint32(node & 31)))


@device
def drop(
    thread: Any, log: Any, alive: Any, nodes: Any, k0: Any, k1: Any, k2: Any, k3: Any, side: Any, mask: Any
) -> None:
    """Drop the edges of word ``thread`` whose end has no marked partner."""
    t = begin(log, thread)
    t = load(log, t, 0, 0, thread)
    bits = np.uint32(alive[thread])
    left = bits
    for bit in range(WORD_BITS):
        if np.uint32(bits >> np.uint32(bit)) & np.uint32(1):
            word = 2 * (np.int64(thread) * WORD_BITS + bit) + side
            node = np.int64(siphash24_word(k0, k1, k2, k3, np.uint64(word)) & mask) ^ 1
            t = load(log, t, 1, 1, node >> 5, 1)
            if not np.uint32(nodes[node >> 5] >> np.uint32(node & 31)) & np.uint32(1):
                left = np.uint32(left ^ np.uint32(np.uint32(1) << np.uint32(bit)))
    t = store(log, t, 2, 0, thread)
    alive[thread] = left


def _rotated(value: NDArray[np.uint64], count: int) -> NDArray[np.uint64]:
    return value << np.uint64(count) | value >> np.uint64(64 - count)


def edge_ends(keys: tuple[int, ...], edges: NDArray[np.uint64], side: int, edge_bits: int) -> NDArray[np.int64]:
    """Nodes at which edges end on a side: the oracle's SipHash, whole arrays at a time."""
    word = np.uint64(2) * edges + np.uint64(side)
    a, b, c, d = (np.full(len(word), key, np.uint64) for key in keys)
    d ^= word
    for turn in range(6):
        if turn == 2:
            a ^= word
            c ^= np.uint64(0xFF)
        a += b
        c += d
        b, d = _rotated(b, 13) ^ a, _rotated(d, 16) ^ c
        a = _rotated(a, 32) + d
        c += b
        b, d = _rotated(b, 17) ^ c, _rotated(d, 21) ^ a
        c = _rotated(c, 32)
    return ((a ^ b ^ c ^ d) & np.uint64((1 << edge_bits) - 1)).astype(np.int64)


def trim(keys: tuple[int, ...], edge_bits: int, count: int, rounds: int) -> NDArray[np.uint64]:
    """Which of the first ``count`` edges are alive after some rounds, by the ends that are taken."""
    edges = np.arange(count, dtype=np.uint64)
    for turn in range(rounds):
        ends = edge_ends(keys, edges, turn & 1, edge_bits)
        taken = np.zeros(1 << edge_bits, bool)
        taken[ends] = True
        edges = edges[taken[ends ^ 1]]
    return edges


def _expected_share(rounds: int, load: float) -> float:
    """Share of edges that live on, when the graph is large and has ``load`` edges for each node of a side.

    A node of either side has a Poisson number of edges. An edge survives a round of one side if its partner
    there has a live edge; whether that partner's edge is alive depends on the other side's last round alone.
    """
    kept = [1.0, 1.0]
    for turn in range(rounds):
        kept[turn & 1] = 1.0 - float(np.exp(-load * kept[1 - turn & 1]))
    return kept[0] * kept[1]


def _keys(graph: int) -> tuple[int, ...]:
    """State words of a graph: BLAKE2b of a fixed header and the graph's number, as the miners derive them."""
    digest = hashlib.blake2b(b"hashwarden fixed header".ljust(76, b"\0") + graph.to_bytes(4, "little"), digest_size=32)
    return tuple(int(word) for word in np.frombuffer(digest.digest(), "<u8"))


def _launches(graph: int, edge_bits: int, edges: int, rounds: int) -> tuple[Launch, ...]:
    words, node_words = edges // WORD_BITS, (1 << edge_bits) // WORD_BITS
    keys, mask = tuple(np.uint64(key) for key in _keys(graph)), np.uint64((1 << edge_bits) - 1)
    launches = [Launch(revive, words, ("alive",))]
    for turn in range(rounds):
        arguments: tuple[str | np.generic, ...] = ("alive", "nodes", *keys, np.int64(turn & 1), mask)
        launches += [
            Launch(forget, node_words, ("nodes",)),
            Launch(mark, words, arguments),
            Launch(drop, words, arguments),
        ]
    return tuple(launches)


def _check_sample(
    alive: NDArray[np.uint32], nodes: NDArray[np.uint32], keys: tuple[int, ...], edge_bits: int, rounds: int
) -> None:
    """Compare the share that is alive with what theory expects, and each sampled edge with the bitmap of nodes."""
    count = len(alive) * WORD_BITS
    share = float(np.bitwise_count(alive).sum(dtype=np.int64)) / count
    expected = _expected_share(rounds, count / (1 << edge_bits))
    if abs(share - expected) > 1e-3:
        raise CheckError(f"{share:.4f} of the edges alive", f"{expected:.4f}", "The kernel or the device is at fault.")
    edges = np.random.default_rng(0).integers(0, count, _SAMPLE)
    ends = edge_ends(keys, edges.astype(np.uint64), (rounds - 1) & 1, edge_bits)
    lives, marked, partner = (
        (bits[at >> 5] >> (at & 31) & 1).astype(bool) for bits, at in ((alive, edges), (nodes, ends), (nodes, ends ^ 1))
    )
    # A dead edge may have died in an earlier round; a live one needs both marks.
    require_equal("marks of live edges", (marked & partner)[lives], np.ones(int(lives.sum()), bool))


def build_plan(settings: Settings, seed: int) -> Plan:
    """Plan ``rounds`` rounds of trimming of a graph of ``edges`` edges; every step takes a new graph."""
    edge_bits, edges, rounds = settings["edge_bits"], settings["edges"], settings["rounds"]
    if edges > 1 << edge_bits:
        raise UsageError(f"edges = {edges:,}", f"at most 2**edge_bits = {1 << edge_bits:,}", "Choose fewer edges.")
    words, node_words = edges // WORD_BITS, (1 << edge_bits) // WORD_BITS
    arrays: Arrays = {"alive": Empty((words,), np.uint32), "nodes": Empty((node_words,), np.uint32)}

    def check(results: Mapping[str, NDArray[Any]]) -> None:
        alive, keys = results["alive"], _keys(seed)
        if edges > _EXACT_EDGES:
            _check_sample(alive, results["nodes"], keys, edge_bits, rounds)
            return
        expected = np.zeros(edges, np.uint8)
        expected[trim(keys, edge_bits, edges, rounds).astype(np.int64)] = 1
        require_equal("live edges", np.unpackbits(alive.view(np.uint8), bitorder="little"), expected)

    hashed = 2 * edges * sum(_expected_share(turn, edges / (1 << edge_bits)) for turn in range(rounds))
    bitmaps = rounds * (3 * words + node_words) * 4
    return Plan(
        arrays,
        step=lambda number: _launches(seed + number, edge_bits, edges, rounds),
        # A mark or a look-up is a sector of 32 bytes; a hash is 6 rounds of 14 operations on pairs of words.
        work=Work(units=edges, dram_bytes=hashed * 32 + bitmaps, int_ops=hashed * 6 * 14 * 2),
        check=check,
    )


WORKLOADS: Final = (
    Workload(
        name="cuckatoo",
        label="mining",
        family="cuckoo",
        bound="memory",
        summary="Lean edge trimming of a Cuckatoo graph by SipHash-2-4 and bitmaps (Cuckoo Cycle, Tromp 2014)",
        unit="edge",
        parameters=(
            Parameter("edge_bits", "bits", 6, 32, "each side has two to this power nodes"),
            Parameter("edges", "edges", 64, 1 << 32, "edges; in the real graph as many as nodes of a side", True),
            Parameter("rounds", "rounds", 1, 256, "trimming rounds, sides in turn"),
        ),
        sizes={
            "small": {"edge_bits": 10, "edges": 1 << 10, "rounds": 3},
            # A part of the edges of a graph whose bitmap of nodes takes 4 MiB.
            "trace": {"edge_bits": 25, "edges": 1 << 20, "rounds": 2},
            "gpu": {"edge_bits": 29, "edges": 1 << 29, "rounds": 2},
        },
        build=build_plan,
    ),
)
