"""The rules of the evidence, written once for many jobs at one moment and for one job at many moments.

`hashwarden.model.sequential` follows jobs live; `hashwarden.serve.weighing` weighs a run that is at hand.

T = moments, N = jobs, 3 steps of the ladder, J = fractions. One of T and N is 1 in practice.
"""

from __future__ import annotations

from typing import Final, NamedTuple, final

import numpy as np
import numpy.typing as npt

from hashwarden.errors import UsageError
from hashwarden.model.following import followed, pull
from hashwarden.model.sequential_calibration import EvidenceCalibration
from hashwarden.model.sequential_math import bets, boldness
from hashwarden.model.sequential_state import Blind, State
from hashwarden.model.validity_frozen import latest

__all__ = [
    "BLIND_S",
    "CONFIRMED",
    "LONGEST_S",
    "Played",
    "Terms",
    "blindness",
    "block_ends",
    "block_sums",
    "full_s",
    "noticed",
    "states",
]

F64 = npt.NDArray[np.float64]
I8 = npt.NDArray[np.int8]
I64 = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

LONGEST_S: Final = 60.0
"""Longest time that one sample speaks for; what a gap has beyond it was not watched."""

BLIND_S: Final = 60.0 * (1 - 1e-6)
"""Seconds without a sample that can be judged, after which the state is ``abstain``; a minute, whatever the order in
which its parts are summed up."""

CONFIRMED: Final = 2
"""The step of the ladder."""

_UNKNOWN_S: Final = 120.0
"""Time constant of the share of samples that are unlike anything known; over a half is too much."""

_ROUNDING: Final = 1e-6
_NO, _STARTING, _NO_CALIBRATION, _NO_SCORE, _UNKNOWN_WORK = (
    np.int8(why) for why in (Blind.NO, Blind.STARTING, Blind.NO_CALIBRATION, Blind.NO_SCORE, Blind.UNKNOWN_WORK)
)

_CLEAR, _WATCHING, _SUSPECT, _CONFIRMED = (
    np.int8(state) for state in (State.CLEAR, State.WATCHING, State.SUSPECT, State.CONFIRMED)
)


class Played(NamedTuple):
    """After each of T bets: wealth (T, N, 3, J), evidence, thresholds reached now, and still raised (T, N, 3)."""

    wealth: F64
    evidence: F64
    reached: Bools
    raised: Bools


@final
class Terms:
    """What a calibration asks for at an alpha.

    Parameters
    ----------
    calibration : EvidenceCalibration
    alpha : float
        Share of honest jobs that may ever be confirmed, above 0 and under 1.

    Attributes
    ----------
    nulls : float64 array, shape (tiers, 3)
    enough : bool array, shape (tiers + 1,)
        Whether the tier has runs enough for ``confirmed``; the last is for no tier.
    full_s : float
        Seconds at which a block is full.

    Raises
    ------
    UsageError
        For another alpha.
    """

    __slots__ = ("_beyond", "_fractions", "_horizon_s", "_tiers", "_within", "enough", "full_s", "nulls")

    def __init__(self, calibration: EvidenceCalibration, alpha: float) -> None:
        if not 0 < alpha < 1:
            raise UsageError(f"alpha {alpha}", "a share above 0 and under 1", "0.001 is one honest job in 1,000.")
        self._tiers, self._horizon_s = tuple(calibration.tiers.values()), calibration.horizon_s
        self._fractions = np.array(calibration.fractions)
        self._within, self._beyond = (calibration.thresholds(alpha, beyond) for beyond in (False, True))
        self.nulls = calibration.nulls(alpha)
        self.enough = np.array([*(tier.attainable_alpha <= alpha * (1 + 1e-9) for tier in self._tiers), False])
        self.full_s = full_s(calibration.block_s)

    def paid(self, score: F64, tiers: I64) -> F64:
        """What probabilities of mining pay, each in its tier; both of one shape."""
        paid = np.empty(score.shape)
        for index, tier in enumerate(self._tiers):
            of = tiers == index
            if of.any():
                paid[of] = tier.pays(score[of])
        return paid

    def beyond(self, watched_s: F64) -> Bools:
        """Whether a job was watched for longer than the calibration runs."""
        longer: Bools = watched_s > self._horizon_s * (1 + 1e-9)
        return longer

    def thresholds(self, watched_s: F64) -> F64:
        """What the evidence has to reach after so many seconds, shape (..., 3)."""
        return np.where(self.beyond(watched_s)[..., None], self._beyond, self._within)

    def play(  # noqa: PLR0913, PLR0917  all that a bet needs
        self, wealth: F64, raised: Bools, blocks: F64, score: F64, null: F64, age_s: F64
    ) -> Played:
        """Bet on full blocks.

        Parameters
        ----------
        wealth : float64 array, shape (N, 3, J)
        raised : bool array, shape (N, 3)
            Whether the threshold was reached and the evidence has not fallen back to none since.
        blocks, score, age_s : float64 arrays, shape (T, N)
            Bets before this one, mean payoff of the block, seconds watched at its end.
        null : float64 array, shape (T, N, 3)
        """
        fractions = boldness(age_s, self._horizon_s)[..., None, None] * self._fractions
        wealth, evidence = bets(wealth, blocks[..., None], score[..., None], null, fractions)
        reached: Bools = evidence >= self.thresholds(age_s)
        shape = len(score), raised.size
        decided, now = (reached | (evidence < 1.0)).reshape(shape), reached.reshape(shape).astype(np.float64)
        still = latest(decided, now[None], raised.reshape(1, -1).astype(np.float64))[0] > 0
        return Played(wealth, evidence, reached, still.reshape(reached.shape))


def full_s(block_s: float) -> float:
    """Seconds at which a block is full, whatever the order in which its parts are summed up."""
    return block_s * (1 - _ROUNDING)


def block_ends(covered_s: F64, full: float) -> I64:
    """The samples that fill a block.

    Parameters
    ----------
    covered_s : float64 array, shape (G,)
        Seconds that were covered from the beginning of the first block to each sample that counts, rising.
    full : float
        What `full_s` says.

    Returns
    -------
    int64 array, shape (K,)
    """
    after = np.searchsorted(covered_s, covered_s + full).tolist()
    ends, end = list[int](), int(np.searchsorted(covered_s, full))
    while end < len(covered_s):
        ends.append(end)
        end = after[end]
    return np.array(ends, np.int64)


def block_sums(column: F64, ends: I64) -> F64:
    """Sums over each full block, shape (K, ...), of a column of shape (G, ...)."""
    if not len(ends):
        return column[:0]
    return np.add.reduceat(column[: ends[-1] + 1], np.concatenate([[0], ends[:-1] + 1]))


def blindness(blind: I8, tier: I64, score: F64) -> I8:
    """Why each sample counts for nothing, 0 if it counts; all of one shape."""
    blind = np.where((blind == _NO) & (tier < 0), _NO_CALIBRATION, blind)
    return np.where((blind == _NO) & ~np.isfinite(score), _NO_SCORE, blind)


def noticed(blind_s: F64, unknown: F64, dt: F64, good: Bools, unlike: Bools) -> tuple[F64, F64]:
    """What is no evidence but belongs to the state.

    Parameters
    ----------
    blind_s, unknown : float64 arrays, shape (N,)
        Seconds since the last sample that counted, and the share of unknown work, before.
    dt : float64 array, shape (T, N)
    good, unlike : bool arrays, shape (T, N)
        Whether the sample counts, and whether it is farther from all known work than the model allows.

    Returns
    -------
    blind_s, unknown : float64 arrays, shape (T, N)
    """
    passed = np.cumsum(dt, axis=0)
    silent = passed - latest(good, passed[None], -blind_s[None])[0]
    pulls = np.where(good, pull(np.minimum(dt, LONGEST_S), _UNKNOWN_S), 0.0)
    return silent, followed(unknown, unlike.astype(np.float64), pulls)


def states(  # noqa: PLR0913, PLR0917  all that a state is made of
    blocks: I64, unknown: F64, blind: I8, blind_s: F64, raised: Bools, confirmed: Bools
) -> tuple[I8, I8]:
    """State, and why nothing new can be said.

    Parameters
    ----------
    blocks, unknown, blind, blind_s : arrays, shape (R,)
        Bets so far; the others as `noticed` and `blindness` give them.
    raised : bool array, shape (R, 3)
    confirmed : bool array, shape (R,)
        Whether it ever was.

    Returns
    -------
    states, reasons : int8 array, shape (R,)
        `State` and `Blind`.
    """
    new, odd = blocks == 0, unknown > 0.5
    reason = np.where((blind == _NO) & new, _STARTING, blind)
    reason = np.where((reason == _NO) & odd, _UNKNOWN_WORK, reason)
    abstains = new | odd | (blind_s >= BLIND_S)
    state = np.where(abstains, np.int8(State.ABSTAIN), np.where(raised[:, 0], _WATCHING, _CLEAR))
    state = np.where(raised[:, 1], _SUSPECT, state)
    return np.where(confirmed, _CONFIRMED, state), reason
