"""The algebra of the evidence: one bet a block, start times and boldness mixed, nothing but NumPy.

N = jobs, L = null levels followed at once, J = fractions. Wealth is kept as a plain number under `CAP`: it cannot
underflow, for every block adds the weight of starting now, and a cap only lowers it, which keeps every bound.
docs/evidence.md holds the two theorems and what each assumes.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

__all__ = ["CAP", "FRACTIONS", "LEVEL", "START_BLOCKS", "bet", "bets", "boldness", "levels", "remaining"]

F64 = npt.NDArray[np.float64]

FRACTIONS: Final = (0.1, 0.25, 0.5, 0.9)
"""Shares of the wealth that are bet, over the largest that cannot be lost in debt (1 / null level): the small ones for
a score a little above the null level, the large ones for a miner at full speed."""

START_BLOCKS: Final = 6.0
"""Blocks after which half of the weight of start times is about used up (59 %): a minute."""

CAP: Final = 1e12
"""Highest wealth: far above any threshold, low enough that suspicion can end."""

LEVEL: Final = 4.0
"""Evidence that a calibration run must not reach at its null level. Low on purpose: the null level is then close to
the highest score that a run sustains, which is what a watch beyond the length of the calibration runs rests on."""

_LOWEST: Final = 1e-6
_HALVINGS: Final = 20


def remaining(blocks: F64 | float) -> F64:
    """Weight of all start times after so many blocks: 1 at none, and it never ends.

    1 / (1 + ln(1 + t / START_BLOCKS)): what start time t gets falls as 1 / (t log(t)**2), about as slowly as weights
    with a finite sum can.
    """
    return np.asarray(1.0 / (1.0 + np.log1p(np.asarray(blocks, np.float64) / START_BLOCKS)))


def boldness(age_s: F64, horizon_s: float) -> F64:
    """Factor of all fractions: 1 within the horizon, then falling as the square root of horizon over age.

    A longer watch sees longer honest excursions; smaller bets average over longer times.
    """
    return np.sqrt(horizon_s / np.maximum(age_s, horizon_s))


def bet(wealth: F64, blocks: F64, score: F64, null: F64, fractions: F64) -> tuple[F64, F64]:
    """Bet on one more block.

    Parameters
    ----------
    wealth : float64 array, shape (..., J)
        Of each fraction, over all start times so far.
    blocks : float64 array, shape (...,)
        Blocks bet on before this one.
    score : float64 array, shape (...,)
        Of this block, 0 to 1.
    null : float64 array, shape (...,)
        Null level, above 0, at most 1: fixed before the score is looked at.
    fractions : float64 array, shape (..., J) or (J,)
        0 to 1: fixed before the score is looked at.

    Returns
    -------
    wealth : float64 array, shape (..., J)
    evidence : float64 array, shape (...,)
        Mean wealth and the weight that has not started yet; 1 before the first block.
    """
    grown, evidence = bets(wealth, blocks[None], score[None], null[None], fractions[None])
    return grown[0], evidence[0]


def bets(wealth: F64, blocks: F64, score: F64, null: F64, fractions: F64) -> tuple[F64, F64]:
    """Bet on K blocks, one after the other: `bet`, with K as the first axis of all but the wealth before them."""
    before, after = remaining(blocks), remaining(blocks + 1.0)
    factor: F64 = 1.0 - fractions + fractions * (score / null)[..., None]
    grown = np.empty(factor.shape)
    for now, weight, times in zip(grown, (before - after)[..., None], factor, strict=True):
        np.add(wealth, weight, out=now)
        np.multiply(now, times, out=now)
        wealth = np.minimum(now, CAP, out=now)
    return grown, grown.mean(axis=-1) + after


def levels(scores: F64, fractions: tuple[float, ...] = FRACTIONS, reach: float = LEVEL) -> F64:
    """The smallest null level of each run at which its evidence stays below ``reach`` all the time.

    Evidence falls as the null level rises, so it is found by bisection; all runs at once.

    Parameters
    ----------
    scores : float64 array, shape (R, T)
        Block scores, 0 to 1; NaN after the end of a run.
    reach : float
        Above 1.

    Returns
    -------
    float64 array, shape (R,)
        Never below the true level and at most 0.002 % above; 1e-6 where nothing was ever scored.
    """
    low, high = np.full(len(scores), np.log(_LOWEST)), np.zeros(len(scores))
    over = _highest(scores, np.full(len(scores), _LOWEST), fractions) >= reach
    high[~over] = low[~over]
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        over = _highest(scores, np.exp(middle), fractions) >= reach
        low, high = np.where(over, middle, low), np.where(over, high, middle)
    return np.exp(high)


def _highest(scores: F64, null: F64, fractions: tuple[float, ...]) -> F64:
    """Highest evidence of each run over its time, shape (R,): `bet`, written for one block number at a time."""
    sizes = np.array(fractions)[:, None]
    wealth, factor = np.zeros((len(fractions), len(scores))), np.empty((len(fractions), len(scores)))
    highest, left = np.ones(len(scores)), remaining(np.arange(scores.shape[1] + 1.0))
    wins = np.nan_to_num(scores.T / null, nan=0.0) - 1.0  # after its end a run only loses
    for block, win in enumerate(wins):
        np.multiply(sizes, win, out=factor)
        factor += 1.0
        wealth += left[block] - left[block + 1]
        wealth *= factor
        np.minimum(wealth, CAP, out=wealth)
        np.maximum(highest, wealth.mean(axis=0) + left[block + 1], out=highest)
    return highest
