"""Evidence that a job mines, with a bound on how many honest jobs are ever flagged, however long they run.

Each block of about 10 s is a bet that the mean score is above the null level of honest jobs. The start of mining is
not known, so the wealth is shared out over all start times; several sizes of bet run side by side. Within the horizon
of the calibration the bound needs only that the job is exchangeable with the calibration runs; beyond it bets shrink,
the threshold is higher, and Ville's inequality (1939) holds for jobs whose excursions are bounded. Theorems, proofs,
sources and measured delays: docs/evidence.md.

N = jobs, L = 3 steps of the ladder, J = fractions.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, final

import numpy as np
import numpy.typing as npt

from hashwarden.errors import DataError, UsageError
from hashwarden.model.sequential_books import Books
from hashwarden.model.sequential_calibration import EvidenceCalibration
from hashwarden.model.sequential_math import bet, boldness
from hashwarden.model.sequential_state import Blind, EvidenceState, State

__all__ = ["BLIND_S", "LONGEST_S", "Evidence"]

F64 = npt.NDArray[np.float64]
I8 = npt.NDArray[np.int8]
I64 = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

LONGEST_S: Final = 60.0
"""Longest time that one sample speaks for; what a gap has beyond it was not watched."""

BLIND_S: Final = 60.0
"""Seconds without a sample that can be judged, after which the state is ``abstain``."""

_UNKNOWN_S: Final = 120.0
"""Time constant of the share of samples that are unlike anything known; over a half is too much."""

_CONFIRMED: Final = 2


@final
class Evidence:
    """Follows the evidence of many jobs; constant memory for each.

    Parameters
    ----------
    calibration : EvidenceCalibration
    alpha : float
        Share of honest jobs that may ever be confirmed, above 0 and under 1.
    jobs : int
        How many there are; `grow` adds more.

    Raises
    ------
    UsageError
        For another alpha.
    """

    def __init__(self, calibration: EvidenceCalibration, alpha: float = 1e-3, jobs: int = 1) -> None:
        if not 0 < alpha < 1:
            raise UsageError(f"alpha {alpha}", "a share above 0 and under 1", "0.001 is one honest job in 1,000.")
        self.calibration, self.alpha = calibration, alpha
        self._fractions = np.array(calibration.fractions)
        self._nulls = calibration.nulls(alpha)
        self._within, self._beyond = (calibration.thresholds(alpha, beyond) for beyond in (False, True))
        enough = [tier.attainable_alpha <= alpha * (1 + 1e-9) for tier in calibration.tiers.values()]
        self._enough = np.array([*enough, False])
        self._books = Books.new(jobs, len(calibration.fractions))

    def __len__(self) -> int:
        return len(self._books.blocks)

    def grow(self, jobs: int) -> None:
        """Make room for more jobs, which begin with no evidence."""
        self._books = self._books.joined(Books.new(jobs, len(self.calibration.fractions)))

    def restart(self, row: int) -> None:
        """Forget a job: its row is free for another."""
        self._books.put(row, Books.new(1, len(self.calibration.fractions)))

    def update(  # noqa: PLR0913, PLR0917
        self, p_mining: F64, dt: F64, tier: I64, blind: I8 | None = None, unlike: Bools | None = None,
        rows: I64 | None = None,
    ) -> EvidenceState:  # fmt: skip
        """Take one sample of each job.

        Parameters
        ----------
        p_mining : float64 array, shape (N,)
            Probability of mining, 0 to 1; anything where the job is blind.
        dt : float64 array, shape (N,)
            Seconds since the sample before; 0 for the first.
        tier : int64 array, shape (N,)
            Index into the calibration's tiers, decided from the masks alone; -1 is none.
        blind : int8 array, shape (N,), optional
            `Blind`; a sample with a reason counts for nothing.
        unlike : bool array, shape (N,), optional
            Whether the sample is farther from all known work than the model allows. Bets go on.
        rows : int64 array, shape (N,), optional
            Which jobs, each once; all if None.

        Returns
        -------
        EvidenceState

        Raises
        ------
        DataError
            For a probability outside 0 to 1, a negative time, or a tier that is not there. Nothing is changed then.
        """
        rows = np.arange(len(self)) if rows is None else rows
        blind = np.zeros(len(rows), np.int8) if blind is None else blind
        unlike = np.zeros(len(rows), np.bool_) if unlike is None else unlike
        score, dt = np.asarray(p_mining, np.float64), np.asarray(dt, np.float64)
        self._check(score, dt, tier, blind, rows)
        blind = np.where((blind == Blind.NO) & (tier < 0), np.int8(Blind.NO_CALIBRATION), blind)
        blind = np.where((blind == Blind.NO) & ~np.isfinite(score), np.int8(Blind.NO_SCORE), blind).astype(np.int8)
        closed = self._gather(rows, score, dt, tier, blind)
        self._bet(rows[closed])
        self._notice(rows, dt, blind, unlike)
        return self._state(rows, closed)

    def state(self, rows: I64 | None = None) -> EvidenceState:
        """These jobs as they are now; all if None."""
        rows = np.arange(len(self)) if rows is None else rows
        return self._state(rows, np.zeros(len(rows), np.bool_))

    def saved(self, row: int) -> dict[str, Any]:
        """One job as JSON, so that a restart of the agent loses nothing."""
        return {"block_s": self.calibration.block_s, **self._books.record(row)}

    def restore(self, row: int, saved: Mapping[str, Any]) -> None:
        """Put a saved job back. Bets that were made under another calibration stay what they were.

        Raises
        ------
        DataError
            If it does not fit: other fields, other sizes, impossible numbers.
        """
        self._books.put(row, Books.read(saved, len(self.calibration.fractions), self.calibration.block_s))

    def _check(self, score: F64, dt: F64, tier: I64, blind: I8, rows: I64) -> None:
        wrong = ""
        if not len(score) == len(dt) == len(tier) == len(blind) == len(rows):
            wrong = f"{len(score)} scores, {len(dt)} times and {len(tier)} tiers for {len(rows)} jobs"
        elif ((score < 0) | (score > 1 + 1e-6))[blind == Blind.NO].any():
            wrong = "a probability outside 0 to 1"
        elif not (dt >= 0).all():
            wrong = "time that runs backwards or is no number"
        elif len(tier) and not -1 <= tier.min() <= tier.max() < len(self._nulls):
            wrong = "a tier that the calibration does not have"
        if wrong:
            raise DataError(wrong, "one score from 0 to 1, one time and one tier for each job", "Check the scorer.")

    def _gather(self, rows: I64, score: F64, dt: F64, tier: I64, blind: I8) -> Bools:
        """Add the samples that can be judged to their blocks; tells which blocks are full."""
        books, good = self._books, blind == Blind.NO
        at, tiers = rows[good], tier[good]
        books.score_sum[at] += self._paid(score[good], tiers)
        books.null_sum[at] += self._nulls[tiers]
        books.samples[at] += 1
        books.covered_s[at] += np.minimum(dt[good], LONGEST_S)
        books.tier[at] = tiers
        full: Bools = good & (books.covered_s[rows] >= self.calibration.block_s * (1 - 1e-6))
        return full

    def _paid(self, score: F64, tiers: I64) -> F64:
        paid = np.empty(len(score))
        for index, tier in enumerate(self.calibration.tiers.values()):
            paid[tiers == index] = tier.pays(score[tiers == index])
        return paid

    def _bet(self, at: I64) -> None:
        """Bet on the full blocks and begin new ones."""
        books, n = self._books, self._books.samples[at].astype(np.float64)
        age = books.watched_s[at] + books.covered_s[at]
        fractions = boldness(age, self.calibration.horizon_s)[:, None, None] * self._fractions
        score = np.repeat((books.score_sum[at] / n)[:, None], self._nulls.shape[1], axis=1)
        blocks = np.repeat(books.blocks[at].astype(np.float64)[:, None], self._nulls.shape[1], axis=1)
        null = books.null_sum[at] / n[:, None]
        books.wealth[at], books.evidence[at] = bet(books.wealth[at], blocks, score, null, fractions)
        books.watched_s[at] = age
        books.blocks[at] += 1
        for name in ("score_sum", "null_sum", "samples", "covered_s"):
            getattr(books, name)[at] = 0
        reached = books.evidence[at] >= self._thresholds(at)
        books.raised[at] = reached | (books.raised[at] & (books.evidence[at] >= 1.0))
        new = reached[:, _CONFIRMED] & np.isnan(books.confirmed_s[at])
        books.confirmed_s[at[new]] = age[new]

    def _thresholds(self, at: I64) -> F64:
        beyond = self._books.watched_s[at] > self.calibration.horizon_s * (1 + 1e-9)
        return np.where(beyond[:, None], self._beyond, self._within)

    def _notice(self, rows: I64, dt: F64, blind: I8, unlike: Bools) -> None:
        """What is no evidence but belongs to the state: blindness and unknown work."""
        books, good = self._books, blind == Blind.NO
        books.blind[rows] = blind
        books.blind_s[rows] = np.where(good, 0.0, books.blind_s[rows] + dt)
        share = books.unknown[rows]
        pull = -np.expm1(-np.minimum(dt, LONGEST_S) / _UNKNOWN_S) * good
        books.unknown[rows] = share + pull * (unlike - share)

    def _state(self, rows: I64, closed: Bools) -> EvidenceState:
        books = self._books
        reason = books.blind[rows].copy()
        new, odd = books.blocks[rows] == 0, books.unknown[rows] > 0.5
        reason[(reason == Blind.NO) & new] = Blind.STARTING
        reason[(reason == Blind.NO) & odd] = Blind.UNKNOWN_WORK
        abstains = new | odd | (books.blind_s[rows] >= BLIND_S)
        raised = books.raised[rows]
        state = np.where(abstains, State.ABSTAIN, np.where(raised[:, 0], State.WATCHING, State.CLEAR))
        state = np.where(raised[:, 1], State.SUSPECT, state)
        state = np.where(~np.isnan(books.confirmed_s[rows]), State.CONFIRMED, state)
        beyond = books.watched_s[rows] > self.calibration.horizon_s * (1 + 1e-9)
        return EvidenceState(
            state.astype(np.int8), reason, books.evidence[rows].copy(), self._thresholds(rows),
            books.blocks[rows].copy(), books.watched_s[rows].copy(), books.blind_s[rows].copy(),
            books.confirmed_s[rows].copy(), beyond, self._enough[books.tier[rows]], closed,
        )  # fmt: skip
