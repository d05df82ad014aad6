"""Scores runs of a trace again, block by block: judged, through the sequence graph, into evidence; in flat memory.

What decides is what decides of jobs as they are watched (`hashwarden.serve.sight`,
`hashwarden.model.sequential_rules`): the same run ends in the same state, for the same reason.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby
from typing import Final, final

import numpy as np
import numpy.typing as npt

from hashwarden.model.job.taxonomy import MINING
from hashwarden.model.sequential_calibration import EvidenceCalibration
from hashwarden.model.sequential_state import State
from hashwarden.model.trace import Run
from hashwarden.model.validity import Validity
from hashwarden.serve.calibrated import calibration_of, novelty_limit_of
from hashwarden.serve.job_scorer import JobScorer
from hashwarden.serve.sight import Presence, Sight, looked, settled
from hashwarden.serve.weighing import Weighing

__all__ = ["ALPHA", "Scored", "score_blocks", "score_run"]

F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]
I8 = npt.NDArray[np.int8]
Bools = npt.NDArray[np.bool_]

ALPHA: Final = 1e-3
"""False-alarm probability of an honest run at which it is confirmed."""


@final
@dataclass(frozen=True, slots=True)
class Scored:
    """Samples of a run, scored; T of them, the stale ones left out.

    Attributes
    ----------
    run : Run
        The piece that they are of.
    times : float64 array, shape (T,)
    probabilities : float32 array, shape (T, 6)
    families : float32 array, shape (T, 12)
    novelty : float32 array, shape (T,)
    evidence : float64 array, shape (T,)
        For ``confirmed``; 1 is none.
    states, reasons : int8 array, shape (T,)
        `State` and `Blind`.
    """

    run: Run
    times: F64
    probabilities: F32
    families: F32
    novelty: F32
    evidence: F64
    states: I8
    reasons: I8

    @property
    def confirmed(self) -> bool:
        """Whether it was ever confirmed that the run mines."""
        return bool((self.states == State.CONFIRMED).any())

    @property
    def highest(self) -> float:
        """The highest evidence, as a power of 10."""
        return float(np.log10(np.maximum(self.evidence, 1e-30)).max(initial=-30.0))


def score_blocks(scorer: JobScorer, blocks: Iterable[Run]) -> Iterator[Scored]:
    """Score runs that come whole or in pieces (`hashwarden.model.trace_read.iter_blocks`).

    Yields
    ------
    Scored
        One for each piece.

    Raises
    ------
    ModelError
        If the model carries no calibration that can be read.
    """
    calibration = calibration_of(scorer)
    for _, pieces in groupby(blocks, key=lambda piece: piece.name):
        stream = _Stream(scorer, calibration)
        for piece in pieces:
            yield stream.score(piece)


def score_run(scorer: JobScorer, run: Run) -> Scored:
    """Score a whole run."""
    return next(score_blocks(scorer, [run]))


@final
class _Stream:
    """One run, as far as it came."""

    def __init__(self, scorer: JobScorer, calibration: EvidenceCalibration) -> None:
        self._scorer, self._limit = scorer, novelty_limit_of(scorer)
        self._validity, self._presence, self._sight = Validity(), Presence(), Sight(calibration)
        self._weighing = Weighing(calibration, ALPHA)
        self._state: F32 | None = None
        self._last: float | None = None
        self._novelty: F64 = np.array(np.nan)

    def score(self, piece: Run) -> Scored:
        times, judged, held = looked(piece, self._validity, self._presence)
        seen = self._sight.look(judged, held)
        dts = np.diff(times, prepend=times[:1] if self._last is None else [self._last])
        samples = np.where(seen.masks, judged.values, np.float32(0))
        said = self._scorer.sequence(samples[None], seen.masks[None], dts[None].astype(np.float32), self._state)
        self._state, self._last = said.state, float(times[-1]) if len(times) else self._last
        probabilities, novelty = said.probabilities[0], said.novelty[0]
        chance = np.clip(probabilities[:, MINING], 0.0, 1.0).astype(np.float64)
        weighed = self._weighing.weigh(chance, dts, seen.tiers, seen.blind, self._unlike(novelty, dts))
        return Scored(piece, times, probabilities, said.families[0], novelty, *weighed)

    def _unlike(self, novelty: F32, dts: F64) -> Bools:
        """Whether work is farther from all that is known than the model allows."""
        means = settled(self._novelty, novelty.astype(np.float64), dts)
        self._novelty = means[-1] if len(means) else self._novelty
        return means > self._limit
