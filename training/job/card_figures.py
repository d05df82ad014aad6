"""What the card says of a model: classes, ranks and evidence on runs that neither fit nor calibration saw."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, final

import numpy as np
import numpy.typing as npt

from hashwarden.model.channels import TIERS
from hashwarden.model.job.network import JobNet
from hashwarden.model.job.taxonomy import CLASSES, HASH_OTHER, MINING
from hashwarden.model.sequential import Evidence
from hashwarden.model.sequential_calibration import EvidenceCalibration
from hashwarden.model.sequential_state import State
from hashwarden.training.job.dataset import Dataset
from hashwarden.training.job.predict import Said, predict
from hashwarden.training.job.store import CLASS, DT

__all__ = ["ALPHA", "TierFigures", "measured"]

F64 = npt.NDArray[np.float64]
I64 = npt.NDArray[np.int64]

ALPHA: Final = 1e-3
"""The false-alarm probability of an honest run that the card speaks of."""


@final
@dataclass(frozen=True, slots=True)
class TierFigures:
    """One tier.

    Attributes
    ----------
    auroc : float
        Of the mean P(mining) of runs, mining against the rest.
    log_loss : float
        Mean over samples whose class is known, each run counting the same.
    classes : list of list of int
        Runs by true class (row) and by the class of the highest mean probability over the run (column).
    families : dict of str to (int, int)
        Mining runs of each family that were confirmed, and all of them.
    strategies : dict of str to (int, int)
    honest, honest_confirmed : int
        Runs that neither mine nor hash otherwise, and those of them that were confirmed at `ALPHA`: false alarms.
    hashing, hashing_confirmed : int
        Runs of hash work that is no mining, which the bound does not cover, and those that were confirmed.
    attainable_alpha : float
        The lowest false-alarm probability that the calibration can answer for.
    """

    auroc: float
    log_loss: float
    classes: list[list[int]]
    families: dict[str, tuple[int, int]]
    strategies: dict[str, tuple[int, int]]
    honest: int
    honest_confirmed: int
    hashing: int
    hashing_confirmed: int
    attainable_alpha: float


def measured(network: JobNet, data: Dataset, evidence: EvidenceCalibration) -> dict[str, TierFigures]:
    """Measure a network on labelled runs, in each tier that the evidence knows and that some of the runs show.

    Where none shows all of any tier, in all tiers.
    """
    shown = [tier for tier in evidence.tiers if data.shows(TIERS[tier]).any()]
    return {tier: _tier(network, data, evidence, tier) for tier in shown or evidence.tiers}


def _tier(network: JobNet, data: Dataset, evidence: EvidenceCalibration, tier: str) -> TierFigures:
    rows = data.showing(np.arange(len(data)), TIERS[tier])
    table = np.zeros((len(CLASSES), len(CLASSES)), int)
    score, losses, chances = np.full(len(data), np.nan), [], {}
    for said in predict(network, data, rows, TIERS[tier]):
        probabilities = np.exp(said.classes.astype(np.float64))
        means = probabilities.mean(0)
        table[data.label[said.run], means.argmax()] += 1
        score[said.run] = means[MINING]
        losses.append(_loss(said, data))
        chances[said.run] = np.minimum(probabilities[:, MINING], 1.0)
    confirmed = _confirmed(data, rows, chances, evidence, tier)
    mines = data.label[rows] == MINING
    hashes = data.label[rows] == HASH_OTHER
    mining, rest, honest = rows[mines], rows[~mines], ~mines & ~hashes
    return TierFigures(
        _auroc(score[mining], score[rest]), float(np.nanmean(losses)), table.tolist(),
        _counts(data.family[mining], confirmed[mines]), _counts(data.strategy[mining], confirmed[mines]),
        int(honest.sum()), int(confirmed[honest].sum()), int(hashes.sum()), int(confirmed[hashes].sum()),
        evidence.tiers[tier].attainable_alpha,
    )  # fmt: skip


def _loss(said: Said, data: Dataset) -> float:
    truth = data.read(said.run)[:, CLASS].astype(int)
    known = np.flatnonzero(truth >= 0)
    return float(-said.classes[known, truth[known]].mean()) if len(known) else float("nan")


def _confirmed(
    data: Dataset, rows: I64, chances: dict[int, F64], calibration: EvidenceCalibration, tier: str
) -> npt.NDArray[np.bool_]:
    """Whether the evidence of each run ever confirms that it mines; all runs go side by side."""
    evidence, index = Evidence(calibration, ALPHA, len(rows)), calibration.names.index(tier)
    times = [data.read(run)[:, DT].astype(np.float64) for run in rows.tolist()]
    for step in range(max(map(len, times))):
        at = np.flatnonzero([len(some) > step for some in times])
        chance = np.array([chances[int(rows[i])][step] for i in at])
        evidence.update(chance, np.array([times[i][step] for i in at]), np.full(len(at), index), rows=at)
    confirmed: npt.NDArray[np.bool_] = evidence.state().state == State.CONFIRMED
    return confirmed


def _auroc(mining: F64, honest: F64) -> float:
    """Chance that a mining run scores higher than one that does not mine, ties a half."""
    return float((mining[:, None] > honest).mean() + (mining[:, None] == honest).mean() / 2)


def _counts(names: npt.NDArray[np.object_], confirmed: npt.NDArray[np.bool_]) -> dict[str, tuple[int, int]]:
    return {str(name): (int(confirmed[names == name].sum()), int((names == name).sum())) for name in sorted(set(names))}
