"""Breadth-first search and PageRank on a scale-free graph that is made on the device.

Edges follow the recursive matrix of Graph500 (R-MAT, SDM 2004); they are gathered into compressed sparse
rows. The search marks whole levels (Harish and Narayanan, HiPC 2007); PageRank pulls along incoming edges.
Both gather from random places that a loaded edge names.
"""

# ruff: noqa: ANN401, PLR0913, PLR0917  bodies take arrays, and many of them

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from hashwarden.kernels.device import atomic_add, device
from hashwarden.kernels.memory.recorder import atomic, begin, load, store
from hashwarden.kernels.workloads.others.mixing import mix_32
from hashwarden.kernels.workloads.others.scan import scan_arrays, scan_launches
from hashwarden.kernels.workloads.plan import Arrays, Empty, Launch, Plan, Work, require_close, require_equal
from hashwarden.kernels.workloads.workload import Parameter, Settings, Workload

__all__ = ["WORKLOADS", "build_pagerank", "build_search"]

DAMPING: Final = np.float32(0.85)
UNSEEN: Final = -1
_LEVELS: Final = 8
_ITERATIONS: Final = 2
# Graph500's chances of the four quarters of the matrix, in 65,536ths: 0.57, 0.19, 0.19, 0.05.
_A, _B, _C = 37356, 49807, 62259


@device
def _edge(number: Any, scale: Any, salt: Any) -> Any:
    """Make both ends of an edge: one quarter of the matrix for each bit."""
    source, target = np.int64(0), np.int64(0)
    bits = mix_32(np.uint32(np.uint32(number) ^ np.uint32(salt)))
    for _ in range(scale):
        bits = mix_32(np.uint32(bits + np.uint32(0x9E3779B9)))
        draw = np.int64(bits) & 0xFFFF
        down = 1 if draw >= _B else 0
        right = 1 if (_A <= draw < _B) or draw >= _C else 0
        source, target = 2 * source + down, 2 * target + right
    return source, target


@device
def count_edges(thread: Any, log: Any, rows: Any, out_degrees: Any, scale: Any, salt: Any) -> None:
    """Count the entries of each row, and how often each vertex stands in any."""
    t = begin(log, thread)
    row, column = _edge(thread, scale, salt)
    t = atomic(log, t, 0, 0, row)
    atomic_add(rows, row, np.uint32(1))
    t = atomic(log, t, 1, 1, column)
    atomic_add(out_degrees, column, np.uint32(1))


@device
def place_edge(thread: Any, log: Any, rows: Any, filled: Any, columns: Any, scale: Any, salt: Any) -> None:
    """Write edge ``thread`` to its row."""
    t = begin(log, thread)
    row, column = _edge(thread, scale, salt)
    t = load(log, t, 0, 0, row)
    t = atomic(log, t, 1, 1, row)
    place = np.int64(rows[row]) + np.int64(atomic_add(filled, row, np.uint32(1)))
    t = store(log, t, 2, 2, place, 1)
    columns[place] = np.uint32(column)


@device
def start_search(thread: Any, log: Any, levels: Any, source: Any) -> None:
    """Forget all levels but that of the source."""
    t = begin(log, thread)
    t = store(log, t, 0, 0, thread)
    levels[thread] = 0 if thread == source else UNSEEN


@device
def search_level(thread: Any, log: Any, rows: Any, columns: Any, levels: Any, level: Any) -> None:
    """Mark the unseen neighbours of vertex ``thread`` if it is of this level."""
    t = begin(log, thread)
    t = load(log, t, 0, 2, thread)
    if levels[thread] != level:
        return
    t = load(log, t, 1, 0, thread, 0, 2)
    for place in range(np.int64(rows[thread]), np.int64(rows[thread + 1])):
        t = load(log, t, 2, 1, place, 1)
        neighbour = np.int64(columns[place])
        t = load(log, t, 3, 2, neighbour, 2)
        if levels[neighbour] == UNSEEN:
            t = store(log, t, 4, 2, neighbour, 2)
            levels[neighbour] = level + 1


@device
def start_ranks(thread: Any, log: Any, ranks: Any) -> None:
    """Give all vertices the same rank."""
    t = begin(log, thread)
    t = store(log, t, 0, 0, thread)
    ranks[thread] = np.float32(1.0) / np.float32(len(ranks))


@device
def share_rank(thread: Any, log: Any, ranks: Any, out_degrees: Any, shares: Any) -> None:
    """Divide the rank of a vertex among its outgoing edges."""
    t = begin(log, thread)
    t = load(log, t, 0, 0, thread)
    t = load(log, t, 1, 1, thread)
    degree = out_degrees[thread]
    t = store(log, t, 2, 2, thread)
    shares[thread] = ranks[thread] / np.float32(degree) if degree else np.float32(0)


@device
def pull_rank(thread: Any, log: Any, rows: Any, columns: Any, shares: Any, ranks: Any) -> None:
    """Add up what comes to a vertex."""
    t = begin(log, thread)
    t = load(log, t, 0, 0, thread, 0, 2)
    total = np.float32(0)
    for place in range(np.int64(rows[thread]), np.int64(rows[thread + 1])):
        t = load(log, t, 1, 1, place, 1)
        neighbour = np.int64(columns[place])
        t = load(log, t, 2, 2, neighbour, 2)
        total = np.float32(total + shares[neighbour])
    t = store(log, t, 3, 3, thread)
    ranks[thread] = np.float32((np.float32(1) - DAMPING) / np.float32(len(ranks)) + DAMPING * total)


def _graph(settings: Settings, seed: int) -> tuple[dict[str, Any], list[Launch]]:
    """Arrays and set-up launches of the graph: ``rows``, ``columns``, ``out_degrees``."""
    scale = settings["scale"]
    vertices, edges = 1 << scale, settings["edges_per_vertex"] << scale
    shape = (np.int64(scale), np.uint32((seed * 0x85EBCA77) & 0xFFFFFFFF))
    arrays = {
        **scan_arrays("rows", vertices + 1),
        "filled": Empty((vertices,), np.uint32),
        "out_degrees": Empty((vertices,), np.uint32),
        "columns": Empty((edges,), np.uint32),
    }
    launches = [
        Launch(count_edges, edges, ("rows", "out_degrees", *shape)),
        *scan_launches("rows", vertices + 1),
        Launch(place_edge, edges, ("rows", "filled", "columns", *shape)),
    ]
    return arrays, launches


def _levels(rows: NDArray[Any], columns: NDArray[Any], source: int) -> NDArray[Any]:
    """Oracle: breadth-first search by sets of vertices."""
    found = np.full(len(rows) - 1, UNSEEN, np.int32)
    frontier, starts = np.array([source]), rows.astype(np.int64)
    found[source] = 0
    for level in range(1, _LEVELS + 1):
        lengths = starts[frontier + 1] - starts[frontier]
        firsts = np.repeat(starts[frontier] - np.cumsum(lengths) + lengths, lengths)
        reached = np.unique(columns[firsts + np.arange(len(firsts))])
        frontier = reached[found[reached] == UNSEEN].astype(np.int64)
        found[frontier] = level
    return found


def _check_rows(rows: NDArray[Any], columns: NDArray[Any], out_degrees: NDArray[Any]) -> None:
    require_equal("edges", rows[-1:], np.array([len(columns)], np.uint32))
    require_equal("out_degrees", out_degrees, np.bincount(columns, minlength=len(rows) - 1).astype(np.uint32))


def build_search(settings: Settings, seed: int) -> Plan:
    """Plan searches over 8 levels, from another of the best connected vertices in each step."""
    graph, setup = _graph(settings, seed)
    vertices = 1 << settings["scale"]
    edges = settings["edges_per_vertex"] << settings["scale"]
    arrays: Arrays = {**graph, "levels": Empty((vertices,), np.int32)}

    def step(number: int) -> tuple[Launch, ...]:
        source = np.int64(number % min(16, vertices))
        levels = (
            Launch(search_level, vertices, ("rows", "columns", "levels", np.int32(level))) for level in range(_LEVELS)
        )
        return (Launch(start_search, vertices, ("levels", source)), *levels)

    def check(results: Mapping[str, NDArray[Any]]) -> None:
        rows, columns = results["rows"], results["columns"]
        _check_rows(rows, columns, results["out_degrees"])
        require_equal("levels", results["levels"], _levels(rows, columns, 0))

    work = Work(units=edges, dram_bytes=edges * 36 + vertices * 4 * (_LEVELS + 3), int_ops=edges * 8)
    return Plan(arrays, step=step, work=work, check=check, setup=setup)


def build_pagerank(settings: Settings, seed: int) -> Plan:
    """Plan two iterations of PageRank a step."""
    graph, setup = _graph(settings, seed)
    vertices = 1 << settings["scale"]
    edges = settings["edges_per_vertex"] << settings["scale"]
    arrays: Arrays = {**graph, "ranks": Empty((vertices,), np.float32), "shares": Empty((vertices,), np.float32)}
    iteration = (
        Launch(share_rank, vertices, ("ranks", "out_degrees", "shares")),
        Launch(pull_rank, vertices, ("rows", "columns", "shares", "ranks")),
    )

    def check(results: Mapping[str, NDArray[Any]]) -> None:
        rows, columns, degrees = results["rows"], results["columns"], results["out_degrees"]
        _check_rows(rows, columns, degrees)
        lengths = rows[1:].astype(np.int64) - rows[:-1].astype(np.int64)
        owners = np.repeat(np.arange(vertices), lengths)
        ranks = np.full(vertices, 1 / vertices)
        for _ in range(_ITERATIONS):
            shares = ranks / np.maximum(degrees, 1)
            pulled = np.bincount(owners, weights=shares[columns], minlength=vertices)
            ranks = (1 - float(DAMPING)) / vertices + float(DAMPING) * pulled
        require_close("ranks", results["ranks"], ranks, relative=1e-3, absolute=1e-3 / vertices)

    # An edge is 4 bytes of column and a 32-byte sector of shares.
    moved = _ITERATIONS * (edges * 36 + vertices * 24)
    work = Work(units=_ITERATIONS * edges, dram_bytes=moved, int_ops=edges * 10, float_ops=_ITERATIONS * edges)
    start = Launch(start_ranks, vertices, ("ranks",))
    return Plan(arrays, lambda _: iteration * _ITERATIONS, work, check, setup=(*setup, start))


_PARAMETERS: Final = (
    Parameter("scale", "", 3, 26, "the graph has two to this power of vertices"),
    Parameter("edges_per_vertex", "edges", 1, 32, "edges for each vertex, on average"),
)
_SIZES: Final = {
    "small": {"scale": 6, "edges_per_vertex": 4},
    "trace": {"scale": 15, "edges_per_vertex": 12},
    "gpu": {"scale": 23, "edges_per_vertex": 16},
}

WORKLOADS: Final = (
    Workload(
        name="breadth-first-search",
        label="hpc-other",
        family="graph",
        bound="memory",
        summary="Breadth-first search by levels on a Graph500-like graph (HiPC 2007)",
        unit="edge",
        parameters=_PARAMETERS,
        sizes=_SIZES,
        build=build_search,
    ),
    Workload(
        name="pagerank",
        label="hpc-other",
        family="graph",
        bound="memory",
        summary="PageRank along incoming edges of a Graph500-like graph",
        unit="edge",
        parameters=_PARAMETERS,
        sizes=_SIZES,
        build=build_pagerank,
    ),
)
