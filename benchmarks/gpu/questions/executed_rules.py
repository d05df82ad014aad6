"""Rules that guess from code alone how often its instructions run, and how far each is off. Part of executed.py.

A rule gives every instruction a weight. What it claims is the share of each group of opcodes, and it is off by the
total variation distance between those shares and the executed ones: the part of all executed instructions that would
have to change its group, 0 to 1.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from executed_trips import trip_counts

from hashwarden.kernels.sass.flow import loop_depth
from hashwarden.model.kernel.counts import DEPTH_WEIGHTS
from hashwarden.model.kernel.groups import OP_GROUPS, op_group_of_opcode

__all__ = ["Kernel", "compared", "depth_ratios", "distance", "rules", "shares", "weights_of"]

BASES = (1.5, 2.0, 3.0, 4.0, 6.0, 8.0, 12.0, 16.0, 24.0, 32.0, 64.0, 128.0)
CAPS = (1, 2, 3, 4)
"""Levels of loops that a constant is raised to at most."""
STEPS = ((1.0, 1.5, 2.0, 3.0, 4.0, 6.0, 8.0), (2.0, 4.0, 6.0, 10.0, 16.0), (1.0, 3.0, 6.0, 12.0), (1.0, 3.0))
"""How many times as often each further level of loops may run, where every level has a constant of its own."""
Rule = Callable[["Kernel"], np.ndarray]
Row = dict[str, Any]


@dataclass
class Kernel:
    """One kernel and what was executed of it.

    Attributes
    ----------
    name, workload, label, family : str
    words : uint32 array, shape (instructions, 4)
    arch : int
        Compute capability times 10.
    executed : float64 array, shape (instructions,)
        By warps.
    """

    name: str
    workload: str
    label: str
    family: str
    words: np.ndarray
    arch: int
    executed: np.ndarray

    def __post_init__(self) -> None:
        """Find the loops once."""
        self.depth = loop_depth(self.words, self.arch)[0]
        self.group = op_group_of_opcode()[self.words[:, 0] & 511]
        self.trips = trip_counts(self.words, self.arch)


def shares(kernel: Kernel, weights: np.ndarray) -> np.ndarray:
    """The share of each group of opcodes, shape (groups,)."""
    sums = np.bincount(kernel.group, weights, len(OP_GROUPS))
    return sums / sums.sum() if sums.sum() else sums


def distance(kernel: Kernel, rule: Rule) -> float:
    """Total variation distance of a rule from what was executed."""
    return float(np.abs(shares(kernel, rule(kernel)) - shares(kernel, kernel.executed)).sum() / 2)


def weights_of(base: float, cap: int) -> Rule:
    """The rule that a level of loops runs ``base`` times as often as the one around it, up to ``cap`` levels."""
    return lambda kernel: base ** np.minimum(kernel.depth, cap).astype(float)


def weights_by_level(steps: Sequence[float]) -> Rule:
    """The rule that each level of loops has a constant of its own."""
    weights = np.cumprod([1.0, *steps])
    return lambda kernel: weights[np.minimum(kernel.depth, len(steps))]


def _present(kernel: Kernel) -> np.ndarray:
    return np.array(DEPTH_WEIGHTS)[np.minimum(kernel.depth, len(DEPTH_WEIGHTS) - 1)]


def _by_trips(kernel: Kernel, unknown: float) -> np.ndarray:
    """Trip counts where the code shows them, and a constant for each other loop."""
    weights = np.ones(len(kernel.words))
    for (first, last), turns in kernel.trips.items():
        weights[first : last + 1] *= turns or unknown
    return weights


def rules() -> dict[str, Rule]:
    """Rules without anything to fit."""
    return {
        "every instruction once": lambda kernel: np.ones(len(kernel.words)),
        "the present constants": _present,
        "trip counts where the code shows them, else 6": lambda kernel: _by_trips(kernel, 6.0),
    }


def fitted() -> dict[str, list[Rule]]:
    """Rules with a constant to fit, each with all its values."""
    return {
        "a fitted constant": [weights_of(base, cap) for base, cap in itertools.product(BASES, CAPS)],
        "a fitted constant for each level": [weights_by_level(steps) for steps in itertools.product(*STEPS)],
        "trip counts where the code shows them, else a fitted constant": [
            (lambda kernel, base=base: _by_trips(kernel, base)) for base in BASES
        ],
    }


def compared(kernels: Sequence[Kernel]) -> dict[str, Row]:
    """How far each rule is off, by kernel; constants are fitted on the kernels of all other families.

    Returns
    -------
    dict of str to dict
        By rule: mean, worst and by label; and the distances in the order of the kernels.
    """
    found = {name: [distance(kernel, rule) for kernel in kernels] for name, rule in rules().items()}
    families = [kernel.family for kernel in kernels]
    for name, choices in fitted().items():
        table = np.array([[distance(kernel, rule) for kernel in kernels] for rule in choices])
        mine = []
        for place, family in enumerate(families):
            others = [n for n, other in enumerate(families) if other != family]
            best = int(np.argmin(table[:, others].mean(axis=1))) if others else 0
            mine.append(float(table[best, place]))
        found[name] = mine
    return {name: _summary(kernels, distances) for name, distances in found.items()}


def _summary(kernels: Sequence[Kernel], distances: list[float]) -> Row:
    worst = int(np.argmax(distances))
    labels = sorted({kernel.label for kernel in kernels})
    return {
        "mean": float(np.mean(distances)), "median": float(np.median(distances)), "worst": distances[worst],
        "worst_kernel": f"{kernels[worst].workload}: {kernels[worst].name}",
        "mean_by_label": {
            label: float(np.mean([d for k, d in zip(kernels, distances, strict=True) if k.label == label]))
            for label in labels
        },
        "distances": distances,
    }  # fmt: skip


def depth_ratios(kernels: Iterable[Kernel]) -> dict[str, Row]:
    """How much more often an instruction runs than one a level of loops further out; what the constant stands for."""
    found: dict[int, list[float]] = {}
    for kernel in kernels:
        means = {
            int(depth): float(kernel.executed[kernel.depth == depth].mean()) for depth in np.unique(kernel.depth)
        }  # fmt: skip
        for depth, mean in means.items():
            if depth and means.get(depth - 1):
                found.setdefault(depth, []).append(mean / means[depth - 1])
    return {
        f"{depth} over {depth - 1}": {
            "kernels": len(values), **dict(zip(("p10", "p50", "p90"), np.percentile(values, (10, 50, 90)).tolist(),
                                               strict=True)),
        }
        for depth, values in sorted(found.items())
    }  # fmt: skip
