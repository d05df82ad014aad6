"""Scores an operator's runs in every tier that they show, as live evidence would count them there.

A run that shows all channels is seen four times over: as plain NVML, with GPM, with code, whole. So each tier is
calibrated on exactly what it is shown in service (`hashwarden.serve.sight`). T = samples, K = tiers, C = channels.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from typing import Final, final

import numpy as np
import numpy.typing as npt

from hashwarden.model.channels import TIERS, Group
from hashwarden.model.job.own_run import OwnRun
from hashwarden.model.job.taxonomy import MINING
from hashwarden.model.sequential_calibration import EvidenceCalibration, TierCalibration
from hashwarden.model.sequential_rules import blindness
from hashwarden.model.sequential_state import Blind
from hashwarden.model.trace import Run
from hashwarden.model.validity import Validity
from hashwarden.serve.job_scorer import JobScorer
from hashwarden.serve.sight import Presence, Sight, looked

__all__ = ["MOST_S", "score_tiers"]

F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]

MOST_S: Final = 14_400.0
"""Seconds of a run that are scored unless a longer horizon is asked for: memory is for what is scored of all runs."""


def score_tiers(
    scorer: JobScorer, blocks: Iterable[Run], tiers: Sequence[str] = tuple(TIERS), most_s: float = MOST_S
) -> Iterator[OwnRun]:
    """Score runs in each of some tiers.

    Parameters
    ----------
    scorer : JobScorer
    blocks : iterable of Run
        Of one trace, whole or in pieces (`hashwarden.model.trace_read.iter_blocks`).
    tiers : sequence of str
        Of `hashwarden.model.channels.TIERS`.
    most_s : float
        What comes later in a run is left out.

    Yields
    ------
    OwnRun
        One for each run; a tier that none of its samples shows is not in it.
    """
    sights = {tier: Sight(_alone(TIERS[tier])) for tier in tiers}
    for _, pieces in groupby(blocks, key=lambda piece: piece.name):
        yield _Reading(scorer, sights, most_s).whole(pieces)


def _alone(groups: tuple[Group, ...]) -> EvidenceCalibration:
    """A calibration that knows one tier; only what it shows is asked of it."""
    tier = TierCalibration(groups=groups, levels=(1.0,), runs=1, hours=0, longest_s=0, origins={})
    return EvidenceCalibration(tiers={"alone": tier}, horizon_s=1.0)


@final
class _Reading:
    """One run, as far as it came."""

    def __init__(self, scorer: JobScorer, sights: Mapping[str, Sight], most_s: float) -> None:
        self._scorer, self._sights, self._most_s = scorer, sights, most_s
        self._validity, self._presence = Validity(), Presence()
        self._state: F32 | None = None
        self._first = self._last = np.nan

    def whole(self, pieces: Iterable[Run]) -> OwnRun:
        found = []
        for piece in pieces:
            run = piece
            found.append(self._score(piece))
        times, chances, novelty = (np.concatenate(parts, axis=-1) for parts in zip(*found, strict=True))
        shown = [(k, tier) for k, tier in enumerate(self._sights) if np.isfinite(chances[k]).any()]
        return OwnRun(
            run.name, run.label, run.info.labelled_by, run.info.origin, times,
            {tier: chances[k] for k, tier in shown}, {tier: novelty[k] for k, tier in shown},
        )  # fmt: skip

    def _score(self, piece: Run) -> tuple[F64, F64, F32]:
        """Times (T,), probabilities of mining (K, T), novelties (K, T)."""
        times, judged, held = looked(piece, self._validity, self._presence)
        if len(times) and np.isnan(self._first):
            self._first = self._last = float(times[0])
        seen = [sight.look(judged, held) for sight in self._sights.values()]
        masks, size = np.stack([each.masks for each in seen]), int((times - self._first <= self._most_s).sum())
        dts = np.diff(times, prepend=self._last)[:size].astype(np.float32)
        samples = np.where(masks, judged.values, np.float32(0))[:, :size]
        said = self._scorer.sequence(samples, masks[:, :size], np.tile(dts, (len(seen), 1)), self._state)
        self._state, self._last = said.state, float(times[-1]) if len(times) else self._last
        chances = np.clip(said.probabilities[..., MINING], 0.0, 1.0).astype(np.float64)
        for chance, each in zip(chances, seen, strict=True):
            chance[blindness(each.blind[:size], each.tiers[:size], chance) != Blind.NO] = np.nan
        return times[:size], chances, said.novelty
