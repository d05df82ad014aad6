"""Local alignment of many pairs of sequences with affine gaps, one pair for each thread.

Smith and Waterman (1981) with Gotoh's gaps (1982), letters and rows interleaved so that a warp reads
neighbours (as CUDASW++ lays them out, BMC Research Notes 2009): small integer work on a stream of rows.
"""

# ruff: noqa: ANN401, PLR0913, PLR0917  bodies take arrays, and many of them

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from hashwarden.kernels.device import device
from hashwarden.kernels.memory.recorder import begin, load, store
from hashwarden.kernels.workloads.plan import Arrays, Empty, Launch, Plan, Work, require_equal
from hashwarden.kernels.workloads.workload import Parameter, Settings, Workload

__all__ = ["WORKLOADS", "best_scores", "build_plan"]

OPEN: Final = 5
"""Cost of the first letter of a gap."""

EXTEND: Final = 2
MATCH: Final = 2
MISMATCH: Final = -3
_SAMPLE: Final = 256


@device
def clear(thread: Any, log: Any, scores: Any, gaps: Any) -> None:
    """Begin with an empty row."""
    t = begin(log, thread)
    t = store(log, t, 0, 0, thread)
    scores[thread] = 0
    t = store(log, t, 1, 1, thread)
    gaps[thread] = -OPEN


@device
def align(thread: Any, log: Any, queries: Any, targets: Any, costs: Any, scores: Any, gaps: Any, best: Any) -> None:
    """Best local score of pair ``thread``; ``scores`` and ``gaps`` hold one row of each pair."""
    t = begin(log, thread)
    pairs = len(best)
    highest = np.int32(0)
    for row in range(len(queries) // pairs):
        t = load(log, t, 0, 0, row * pairs + thread)
        letter = 4 * np.int64(queries[row * pairs + thread])
        diagonal, left, gap = np.int32(0), np.int32(0), np.int32(-OPEN)
        for column in range(len(targets) // pairs):
            place = column * pairs + thread
            t = load(log, t, 1, 1, place)
            cost = letter + np.int64(targets[place])
            t = load(log, t, 2, 2, cost, 1)
            t = load(log, t, 3, 3, place)
            t = load(log, t, 4, 4, place)
            above = np.int32(scores[place])
            gap = max(np.int32(gap - EXTEND), np.int32(left - OPEN))
            down = max(np.int32(gaps[place] - EXTEND), np.int32(above - OPEN))
            left = max(np.int32(diagonal + costs[cost]), np.int32(0), gap, down)
            diagonal = above
            t = store(log, t, 5, 3, place)
            scores[place] = left
            t = store(log, t, 6, 4, place)
            gaps[place] = down
            highest = max(highest, left)
    t = store(log, t, 7, 5, thread)
    best[thread] = highest


def best_scores(queries: NDArray[np.uint8], targets: NDArray[np.uint8]) -> NDArray[np.int32]:
    """Oracle: the recurrence as written, on all pairs at once.

    Parameters
    ----------
    queries, targets : uint8, shape (pairs, letters)
        Letters 0 to 3.
    """
    pairs, rows = queries.shape
    columns = targets.shape[1]
    table, across, down = (np.zeros((rows + 1, columns + 1, pairs), np.int32) for _ in range(3))
    across[:, 0], down[0] = -(1 << 20), -(1 << 20)
    for i in range(1, rows + 1):
        for j in range(1, columns + 1):
            across[i, j] = np.maximum(across[i, j - 1] - EXTEND, table[i, j - 1] - OPEN)
            down[i, j] = np.maximum(down[i - 1, j] - EXTEND, table[i - 1, j] - OPEN)
            paired = table[i - 1, j - 1] + np.where(queries[:, i - 1] == targets[:, j - 1], MATCH, MISMATCH)
            table[i, j] = np.maximum.reduce([paired, across[i, j], down[i, j], np.zeros_like(paired)])
    return np.asarray(table.max(axis=(0, 1)), np.int32)


def build_plan(settings: Settings, seed: int) -> Plan:
    """Plan alignments of ``pairs`` pairs; targets are queries with changes, or unrelated."""
    pairs, rows, columns = settings["pairs"], settings["query"], settings["target"]
    random = np.random.default_rng(seed)
    queries = random.integers(0, 4, (rows, pairs), np.uint8)
    targets = np.resize(queries, (columns, pairs))
    changed = random.random((columns, pairs)) < random.uniform(0, 1, pairs)
    targets[changed] = random.integers(0, 4, int(changed.sum()), np.uint8)
    targets = np.roll(targets, columns // 8, axis=0)
    costs = np.where(np.eye(4, dtype=bool), MATCH, MISMATCH).astype(np.int32)
    arrays: Arrays = {
        "queries": queries.reshape(-1),
        "targets": targets.reshape(-1),
        "costs": costs.reshape(-1),
        "scores": Empty((columns * pairs,), np.int32),
        "gaps": Empty((columns * pairs,), np.int32),
        "best": Empty((pairs,), np.int32),
    }
    launches = (
        Launch(clear, columns * pairs, ("scores", "gaps")),
        Launch(align, pairs, ("queries", "targets", "costs", "scores", "gaps", "best")),
    )

    def check(results: Mapping[str, NDArray[Any]]) -> None:
        chosen = random.integers(0, pairs, min(pairs, _SAMPLE))
        expected = best_scores(queries[:, chosen].T, targets[:, chosen].T)
        require_equal("best", results["best"][chosen], expected)

    cells = pairs * rows * columns
    return Plan(arrays, lambda _: launches, Work(units=cells, dram_bytes=17 * cells, int_ops=12 * cells), check)


WORKLOADS: Final = (
    Workload(
        name="smith-waterman",
        label="hpc-other",
        family="alignment",
        bound="memory",
        summary="Local alignment of many pairs of sequences with affine gaps (Gotoh 1982)",
        unit="cell",
        parameters=(
            Parameter("pairs", "pairs", 1, 1 << 18, "pairs, a thread each"),
            Parameter("query", "letters", 1, 256, "letters of a query"),
            Parameter("target", "letters", 1, 256, "letters of a target"),
        ),
        sizes={
            "small": {"pairs": 64, "query": 6, "target": 8},
            "trace": {"pairs": 1024, "query": 20, "target": 24},
            "gpu": {"pairs": 1 << 17, "query": 128, "target": 128},
        },
        build=build_plan,
    ),
)
