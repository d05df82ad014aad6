"""Evidence that a job mines, with a bound on how many honest jobs are ever flagged, however long they run.

Each block of about 10 s is a bet that the mean score is above the null level of honest jobs. The start of mining is
not known, so the wealth is shared out over all start times; several sizes of bet run side by side. Within the horizon
of the calibration the bound needs only that the job is exchangeable with the calibration runs; beyond it bets shrink,
the threshold is higher, and Ville's inequality (1939) holds for jobs whose excursions are bounded. Theorems, proofs,
sources and measured delays: docs/evidence.md.

The rules lie in `hashwarden.model.sequential_rules`. N = jobs, J = fractions.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, final

import numpy as np
import numpy.typing as npt

from hashwarden.errors import DataError
from hashwarden.model.sequential_books import Books
from hashwarden.model.sequential_calibration import EvidenceCalibration
from hashwarden.model.sequential_rules import BLIND_S, CONFIRMED, LONGEST_S, Terms, blindness, noticed, states
from hashwarden.model.sequential_state import Blind, EvidenceState

__all__ = ["BLIND_S", "LONGEST_S", "Evidence"]

F64 = npt.NDArray[np.float64]
I8 = npt.NDArray[np.int8]
I64 = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

_NO: Final = np.int8(Blind.NO)


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
        self.calibration, self.alpha = calibration, alpha
        self._terms = Terms(calibration, alpha)
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
        blind = blindness(blind, tier, score)
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
        elif ((score < 0) | (score > 1 + 1e-6))[blind == _NO].any():
            wrong = "a probability outside 0 to 1"
        elif not (dt >= 0).all():
            wrong = "time that runs backwards or is no number"
        elif len(tier) and not -1 <= tier.min() <= tier.max() < len(self._terms.nulls):
            wrong = "a tier that the calibration does not have"
        if wrong:
            raise DataError(wrong, "one score from 0 to 1, one time and one tier for each job", "Check the scorer.")

    def _gather(self, rows: I64, score: F64, dt: F64, tier: I64, blind: I8) -> Bools:
        """Add the samples that can be judged to their blocks; tells which blocks are full."""
        books, good = self._books, blind == _NO
        at, tiers = rows[good], tier[good]
        books.score_sum[at] += self._terms.paid(score[good], tiers)
        books.null_sum[at] += self._terms.nulls[tiers]
        books.samples[at] += 1
        books.covered_s[at] += np.minimum(dt[good], LONGEST_S)
        books.tier[at] = tiers
        full: Bools = good & (books.covered_s[rows] >= self._terms.full_s)
        return full

    def _bet(self, at: I64) -> None:
        """Bet on the full blocks and begin new ones."""
        if not len(at):
            return
        books, n = self._books, self._books.samples[at].astype(np.float64)
        age = books.watched_s[at] + books.covered_s[at]
        played = self._terms.play(
            books.wealth[at], books.raised[at], books.blocks[at].astype(np.float64)[None],
            (books.score_sum[at] / n)[None], (books.null_sum[at] / n[:, None])[None], age[None],
        )  # fmt: skip
        books.wealth[at], books.evidence[at], books.raised[at] = played.wealth[0], played.evidence[0], played.raised[0]
        books.watched_s[at] = age
        books.blocks[at] += 1
        for name in ("score_sum", "null_sum", "samples", "covered_s"):
            getattr(books, name)[at] = 0
        new = played.reached[0, :, CONFIRMED] & np.isnan(books.confirmed_s[at])
        books.confirmed_s[at[new]] = age[new]

    def _notice(self, rows: I64, dt: F64, blind: I8, unlike: Bools) -> None:
        """What is no evidence but belongs to the state: blindness and unknown work."""
        books = self._books
        books.blind[rows] = blind
        now = noticed(books.blind_s[rows], books.unknown[rows], dt[None], (blind == _NO)[None], unlike[None])
        books.blind_s[rows], books.unknown[rows] = now[0][0], now[1][0]

    def _state(self, rows: I64, closed: Bools) -> EvidenceState:
        books, terms, confirmed_s = self._books, self._terms, self._books.confirmed_s[rows]
        watched_s, blind_s, raised = books.watched_s[rows], books.blind_s[rows], books.raised[rows]
        state, reason = states(
            books.blocks[rows], books.unknown[rows], books.blind[rows], blind_s, raised, ~np.isnan(confirmed_s)
        )
        return EvidenceState(
            state, reason, books.evidence[rows], terms.thresholds(watched_s), books.blocks[rows], watched_s, blind_s,
            confirmed_s, terms.beyond(watched_s), terms.enough[books.tier[rows]], closed,
        )  # fmt: skip
