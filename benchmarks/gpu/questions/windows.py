"""Does something slow another process down? Windows with and without it take turns, and the order is drawn.

The clock of a GPU falls as it warms, and what comes later is slower: a comparison of halves would say so of anything.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

__all__ = ["compared", "rate", "turns", "words"]


def turns(conditions: Sequence[Any], rounds: int, seed: int = 0) -> list[Any]:
    """Each condition once in each round, in an order drawn for each round."""
    rng = np.random.default_rng(seed)
    return [conditions[place] for _ in range(rounds) for place in rng.permutation(len(conditions))]


def rate(ends: Sequence[float], start: float, stop: float) -> float | None:
    """Steps a second between two moments, from the times at which steps ended; None for fewer than three."""
    times = np.asarray(ends)
    inside = times[(times >= start) & (times < stop)]
    return float((len(inside) - 1) / (inside[-1] - inside[0])) if len(inside) > 2 and inside[-1] > inside[0] else None


def compared(rates: dict[Any, list[float]], none: Any, draws: int = 2000) -> dict[Any, dict[str, Any]]:
    """How much slower steps are under each condition than under ``none``, in percent, with a bootstrap interval.

    Parameters
    ----------
    rates : dict
        Steps a second of each window, by condition.
    none : object
        The condition without anything.
    draws : int
        Of the bootstrap over windows.
    """
    rng, found = np.random.default_rng(1), {}
    base = np.array(rates[none])
    for condition, values in rates.items():
        if condition == none or min(len(values), len(base)) < 2:
            continue
        mine = np.array(values)
        drawn = [
            np.median(rng.choice(base, len(base))) / np.median(rng.choice(mine, len(mine))) - 1 for _ in range(draws)
        ]
        low, high = np.percentile(drawn, (2.5, 97.5))
        slower = float(np.median(base) / np.median(mine) - 1)
        found[condition] = {
            "windows": [len(base), len(mine)],
            "steps_per_s": [float(np.median(base)), float(np.median(mine))],
            "slower_percent": 100 * slower,
            "interval_95_percent": [100 * float(low), 100 * float(high)],
        }
    return found


def words(name: str, row: dict[str, Any]) -> str:
    """A sentence, which says where the interval leaves it open."""
    low, high = row["interval_95_percent"]
    doubt = "; that it is nothing is not ruled out" if low <= 0 <= high else ""
    return f"{name}: {row['slower_percent']:.2f} % slower (95 % interval {low:.2f} to {high:.2f}){doubt}."
