"""Scores runs of a trace again, block by block: judged, through the sequence graph, into evidence; in flat memory."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby
from typing import Final, final

import numpy as np
import numpy.typing as npt

from hashwarden.model.channels import CHANNELS, Group
from hashwarden.model.job.taxonomy import MINING
from hashwarden.model.sequential_calibration import EvidenceCalibration
from hashwarden.model.sequential_state import State
from hashwarden.model.trace import Run
from hashwarden.model.validity import Validity
from hashwarden.serve.job_scorer import JobScorer
from hashwarden.serve.weighing import Weighing

__all__ = ["ALPHA", "Scored", "score_blocks", "score_run"]

F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]
I8 = npt.NDArray[np.int8]
I64 = npt.NDArray[np.int64]
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
    """
    calibration = EvidenceCalibration.model_validate(scorer.metadata.evidence)
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
        self._scorer, self._calibration = scorer, calibration
        self._validity, self._weighing = Validity(), Weighing(calibration, ALPHA)
        self._state: F32 | None = None
        self._last: float | None = None

    def score(self, piece: Run) -> Scored:
        judged = self._validity.block(piece.times, piece.values)
        times, masks = piece.times[judged.fresh], judged.mask[judged.fresh]
        samples = np.where(masks, judged.values[judged.fresh], np.float32(0))
        first = times[:1] if self._last is None else [self._last]
        dts = np.diff(times, prepend=first)
        said = self._scorer.sequence(samples[None], masks[None], dts[None].astype(np.float32), self._state)
        self._state, self._last = said.state, float(times[-1]) if len(times) else self._last
        probabilities = said.probabilities[0]
        weighed = self._weighing.weigh(probabilities[:, MINING], dts, self._tiers(masks))
        return Scored(piece, times, probabilities, said.families[0], said.novelty[0], *weighed)

    def _tiers(self, masks: Bools) -> I64:
        """The tier of each sample, by the groups that it shows anything of."""
        names = sorted({channel.group for channel in CHANNELS})
        shown = np.stack([masks[:, [c.group == name for c in CHANNELS]].any(1) for name in names], 1)
        kinds, place = np.unique(shown, axis=0, return_inverse=True)
        groups: list[frozenset[Group]] = [frozenset(n for n, there in zip(names, row, strict=True) if there)
                                          for row in kinds]  # fmt: skip
        tiers = np.array([self._calibration.tier_of(each) for each in groups], np.int64)
        return tiers[place.reshape(-1)] if len(masks) else np.zeros(0, np.int64)
