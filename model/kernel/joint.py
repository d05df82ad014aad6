"""From the network's output to probabilities: calibration, and kernels judged together.

A miner is not one kernel. A stage that sorts or multiplies looks like any sort or GEMM; what gives it away
is the company it keeps: it lies in one object and one file with kernels that hash. So each kernel's log-odds
get an addition that grows with the share of *other* kernels beside it that look like hash work.

The addition is never negative and starts only above a background share: company can accuse, it cannot
acquit. Diluting a miner with innocent kernels takes the addition away and no more.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, final

import numpy as np
import numpy.typing as npt

__all__ = ["CAP", "Calibration", "company", "logit", "own_log_odds", "sigmoid", "together"]

F64 = npt.NDArray[np.float64]
PRIOR_KERNELS: Final = 4.0
"""Weight of the background share, in kernels: a file of one or two kernels has no company to speak of."""
CAP: Final = 6.0
"""Most that company may add, in log-odds: it was learned from a few dozen files, not from thousands."""


@final
@dataclass(frozen=True, slots=True)
class Calibration:
    """Numbers fitted on kernels of lineages that the network had not seen.

    Attributes
    ----------
    hash_offset : float
        Added to the network's log-odds of hash work against plain work.
    mining_offset : float
        Added to its log-odds of mining against plain work.
    kind_slope, kind_offset : float
        Log-odds that hash work is mining, from the network's own; slope not negative.
    background : float
        Share of hash-like kernels, 0 to 1, up to which company says nothing.
    beside_object, beside_file : float
        Weight of company in the same object (cubin) and in the same file, not negative.
    """

    hash_offset: float
    mining_offset: float
    kind_slope: float
    kind_offset: float
    background: float
    beside_object: float
    beside_file: float


def sigmoid(x: F64) -> F64:
    """Probabilities of log-odds."""
    return 1 / (1 + np.exp(-np.clip(x, -60, 60)))


def logit(p: F64) -> F64:
    """Log-odds of probabilities."""
    p = np.clip(p, 1e-12, 1 - 1e-12)
    return np.log(p) - np.log1p(-p)


def own_log_odds(groups: npt.NDArray[np.floating], fitted: Calibration) -> tuple[F64, F64, F64]:
    """Calibrated log-odds of kernels judged alone.

    Parameters
    ----------
    groups : float array, shape (kernels, 3)
        The network's log-probabilities: plain, other hash, mining.
    fitted : Calibration

    Returns
    -------
    hashing : float64 array, shape (kernels,)
        Hash work of any kind against plain work.
    mining : float64 array, shape (kernels,)
        Mining against plain work: "if it is hash work at all, it is a miner's".
    kind : float64 array, shape (kernels,)
        Mining against other hash work.
    """
    plain, other, mine = np.asarray(groups, np.float64).T
    hashing = np.logaddexp(other, mine) - plain + fitted.hash_offset
    mining = mine - plain + fitted.mining_offset
    return np.maximum(hashing, mining), mining, fitted.kind_slope * (mine - other) + fitted.kind_offset


def company(p: F64, place: Sequence[str], code: Sequence[str], background: float) -> F64:
    """How much more hash work lies beside each kernel than in innocent code.

    Parameters
    ----------
    p : float64 array, shape (kernels,)
        Probability of each kernel alone.
    place : sequence of str
        The object or file that each lies in; kernels of one place keep each other company.
    code : sequence of str
        Identity of the code: copies count once.
    background : float
        Share of hash-like kernels of innocent code.

    Returns
    -------
    float64 array, shape (kernels,)
        Logarithm of the share among the others over the background, at least 0.
    """
    if not len(p):
        return np.zeros(0)
    _, group = np.unique(np.asarray(place, dtype=object).astype(str), return_inverse=True)
    twin = np.array([f"{g}|{c or index}" for index, (g, c) in enumerate(zip(group, code, strict=True))])
    _, first = np.unique(twin, return_index=True)
    one = np.zeros(len(p))
    one[first] = 1
    others = np.bincount(group, one)[group] - 1
    beside = np.maximum(np.bincount(group, one * p)[group] - p, 0)
    share = (beside + PRIOR_KERNELS * background) / (np.maximum(others, 0) + PRIOR_KERNELS)
    return np.maximum(np.log(share / background), 0)


def together(
    alone: F64, in_object: Sequence[str], in_file: Sequence[str], code: Sequence[str], fitted: Calibration
) -> F64:
    """Log-odds of kernels judged together, at least those that they have alone."""
    p = sigmoid(alone)
    added = fitted.beside_object * company(p, in_object, code, fitted.background)
    added += fitted.beside_file * company(p, in_file, code, fitted.background)
    return alone + np.minimum(added, CAP)
