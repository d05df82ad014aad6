"""The evidence of one run that is at hand, many samples at a time: the same as sample by sample.

The rules are those of the live evidence (`hashwarden.model.sequential_rules`), and so is what is kept from one piece to
the next. T = samples, G = those of them that count, K = blocks of about 10 s that they fill.
"""

from __future__ import annotations

from typing import Final, NamedTuple, final

import numpy as np
import numpy.typing as npt

from hashwarden.model.sequential_books import Books
from hashwarden.model.sequential_calibration import EvidenceCalibration
from hashwarden.model.sequential_rules import (
    CONFIRMED,
    LONGEST_S,
    Terms,
    blindness,
    block_ends,
    block_sums,
    noticed,
    states,
)
from hashwarden.model.sequential_state import Blind

__all__ = ["Weighing"]

F64 = npt.NDArray[np.float64]
I8 = npt.NDArray[np.int8]
I64 = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

_NO: Final = np.int8(Blind.NO)
_BOOK: Final = {"score": "score_sum", "null": "null_sum", "samples": "samples", "covered_s": "covered_s"}
"""Where the sums of a block that is not full are kept."""


class _Course(NamedTuple):
    """Before the first bet of a piece and after each: evidence (K + 1,), raised (K + 1, 3), confirmed (K + 1,)."""

    evidence: F64
    raised: Bools
    confirmed: Bools


class _Sums(NamedTuple):
    """Of blocks, or of one that is not full: payoffs, null levels, samples, seconds; (K,), (K, 3), (K,), (K,)."""

    score: F64
    null: F64
    samples: F64
    covered_s: F64


@final
class Weighing:
    """Weighs a run, piece by piece.

    Parameters
    ----------
    calibration : EvidenceCalibration
    alpha : float
        False-alarm probability of an honest run.
    """

    def __init__(self, calibration: EvidenceCalibration, alpha: float) -> None:
        self._terms = Terms(calibration, alpha)
        self._books = Books.new(1, len(calibration.fractions))

    def weigh(self, chance: F64, dts: F64, tiers: I64, blind: I8, unlike: Bools) -> tuple[F64, I8, I8]:
        """Weigh the next T samples; parameters as of `hashwarden.model.sequential.Evidence.update`, shape (T,).

        Returns
        -------
        evidence : float64 array, shape (T,)
            For ``confirmed``.
        states, reasons : int8 array, shape (T,)
        """
        if not len(dts):
            return np.ones(0), np.zeros(0, np.int8), np.zeros(0, np.int8)
        reasons, before = blindness(blind, tiers, chance), self._books.blocks[0]
        good = reasons == _NO
        blind_s, unknown = self._notice(dts, good, unlike)
        full = good.copy()
        full[good], course = self._gather(chance[good], np.minimum(dts[good], LONGEST_S), tiers[good])
        block = np.cumsum(full)
        found = states(before + block, unknown, reasons, blind_s, course.raised[block], course.confirmed[block])
        return course.evidence[block], *found

    def _notice(self, dts: F64, good: Bools, unlike: Bools) -> tuple[F64, F64]:
        books = self._books
        now = noticed(books.blind_s, books.unknown, dts[:, None], good[:, None], unlike[:, None])
        books.blind_s[:], books.unknown[:] = now[0][-1], now[1][-1]
        return now[0][:, 0], now[1][:, 0]

    def _gather(self, chance: F64, lasts: F64, tiers: I64) -> tuple[Bools, _Course]:
        """Fill blocks with G samples that count, and bet on the full ones; tells which samples fill one."""
        ends = block_ends(self._books.covered_s[0] + np.cumsum(lasts), self._terms.full_s)
        full = np.zeros(len(lasts), np.bool_)
        full[ends] = True
        columns = _Sums(self._terms.paid(chance, tiers), self._terms.nulls[tiers], np.ones(len(lasts)), lasts)
        sums = _Sums(*(self._sums(name, column, ends) for name, column in columns._asdict().items()))
        return full, self._bet(sums)

    def _sums(self, name: str, column: F64, ends: I64) -> F64:
        """Sums over each full block; what fills none stays in the books."""
        book, used = getattr(self._books, _BOOK[name]), int(ends[-1]) + 1 if len(ends) else 0
        sums = block_sums(column, ends)
        sums[:1] += book
        rest = column[used:].sum(axis=0)
        book[:] = rest if used else book + rest
        return sums

    def _bet(self, sums: _Sums) -> _Course:
        books, size = self._books, len(sums.score)
        ages = books.watched_s + np.cumsum(sums.covered_s)
        numbers = (books.blocks + np.arange(size)).astype(np.float64)
        null = sums.null / sums.samples[:, None]
        played = self._terms.play(
            books.wealth, books.raised, numbers[:, None], (sums.score / sums.samples)[:, None], null[:, None],
            ages[:, None],
        )  # fmt: skip
        course = _Course(
            np.concatenate([books.evidence, played.evidence[:, 0]])[:, CONFIRMED],
            np.concatenate([books.raised, played.raised[:, 0]]),
            np.logical_or.accumulate(np.concatenate([~np.isnan(books.confirmed_s), played.reached[:, 0, CONFIRMED]])),
        )
        if size:
            books.wealth[:], books.evidence[:] = played.wealth[-1], played.evidence[-1]
            books.raised[:], books.watched_s[:] = played.raised[-1], ages[-1]
            books.blocks += size
            if course.confirmed[-1] and np.isnan(books.confirmed_s[0]):
                books.confirmed_s[:] = ages[course.confirmed[1:].argmax()]
        return course
