"""The beta-binomial distribution: how many false alarms innocent files hold.

False alarms come in clusters: a library with one odd kernel has its ten instantiations too. A binomial
count would call that impossible; the beta-binomial lets the rate itself differ from file to file.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import exp, lgamma
from typing import Final

__all__ = ["at_least", "fit_beta", "log_probability"]

_MANY: Final = 20_000


def _log_beta(a: float, b: float) -> float:
    return lgamma(a) + lgamma(b) - lgamma(a + b)


def log_probability(k: int, n: int, a: float, b: float) -> float:
    """Log-probability of ``k`` of ``n`` when the rate is drawn from Beta(a, b)."""
    choose = lgamma(n + 1) - lgamma(k + 1) - lgamma(n - k + 1)
    return choose + _log_beta(k + a, n - k + b) - _log_beta(a, b)


def at_least(k: int, n: int, a: float, b: float) -> float:
    """Probability of ``k`` or more of ``n``, 0 to 1.

    Beyond 20,000 the exact sum is replaced by that of the same share of 20,000, which is larger.
    """
    if k <= 0:
        return 1.0
    if k > n:
        return 0.0
    if n > _MANY:
        k, n = max(1, k * _MANY // n), _MANY
    term = total = 1.0  # in units of the first: one minus the rest would lose what is rare
    for j in range(k, n):
        term *= (n - j) * (j + a) / ((j + 1) * (n - j - 1 + b))
        total += term
    return min(1.0, total * exp(log_probability(k, n, a, b)))


def fit_beta(counts: Sequence[tuple[int, int]]) -> tuple[float, float]:
    """The most likely (a, b) for observed ``(k, n)`` of innocent files, on a logarithmic grid.

    One more file with half a false alarm in fifty is added: a handful of clean files does not prove a rate of 0.
    """
    seen = [(float(k), float(n)) for k, n in counts if n > 0] + [(0.5, 50.0)]

    def likelihood(a: float, b: float) -> float:
        return sum(_log_beta(k + a, n - k + b) - _log_beta(a, b) for k, n in seen)

    rates = [10 ** (-4 + 0.1 * i) for i in range(31)]
    sizes = [10 ** (-0.5 + 0.1 * i) for i in range(41)]
    grid = ((rate * size, (1 - rate) * size) for rate in rates for size in sizes)
    return max(grid, key=lambda ab: likelihood(*ab))
