"""The numbers that are reported of scores on unseen lineages."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import numpy as np
import numpy.typing as npt
from sklearn.metrics import roc_auc_score

from hashwarden.model.kernel.joint import Calibration, own_log_odds, together
from hashwarden.model.kernel.taxonomy import MINING, OTHER, PLAIN
from hashwarden.training.kernel.calibrate import calibrate, places
from hashwarden.training.kernel.dataset import Dataset

__all__ = ["Measured", "measure", "measure_scores", "unseen_scores"]

F64 = npt.NDArray[np.float64]


@final
@dataclass(frozen=True, slots=True)
class Measured:
    """How well scores tell mining kernels from others, folds pooled.

    Attributes
    ----------
    auroc_plain, auroc_other : float
        Area under the ROC against plain kernels, and against other hash work.
    found : float
        Share of mining kernels above the score that one plain kernel in 1,000 passes.
    found_lineages, lineages : int
        Lineages with at least one kernel found, of all.
    by_lineage : dict of str to float
        Share found in each.
    """

    auroc_plain: float
    auroc_other: float
    found: float
    found_lineages: int
    lineages: int
    by_lineage: dict[str, float]


def measure_scores(data: Dataset, score: F64, rows: npt.NDArray[np.bool_]) -> Measured:
    """Measure one score per kernel on the given rows."""
    mining, plain, other = (rows & (data.group == group) for group in (MINING, PLAIN, OTHER))

    def auroc(negative: npt.NDArray[np.bool_]) -> float:
        both = mining | negative
        return float(roc_auc_score(mining[both], score[both]))

    # the score that exactly one plain kernel in 1,000 is above
    threshold = np.sort(score[plain])[::-1][int(plain.sum() * 1e-3)]
    found = score > threshold
    by_lineage = {
        str(name): float(found[mining & (data.lineage == name)].mean()) for name in sorted(set(data.lineage[mining]))
    }
    hit = sum(share > 0 for share in by_lineage.values())
    return Measured(auroc(plain), auroc(other), float(found[mining].mean()), hit, len(by_lineage), by_lineage)


def unseen_scores(data: Dataset, groups: npt.NDArray[np.float32], fold: npt.NDArray[np.int64]) -> tuple[F64, F64]:
    """Log-odds of mining, alone and together; each fold is calibrated on the other folds only."""
    alone, jointly = np.zeros(len(data)), np.zeros(len(data))
    objects, files, code = places(data)
    for index in sorted(set(fold.tolist()) - {-1}):
        fitted = calibrate(data, groups, data.usable & (fold >= 0) & (fold != index))
        mining = own_log_odds(groups, fitted)[1]
        here = fold == index
        alone[here], jointly[here] = mining[here], together(mining, objects, files, code, fitted)[here]
    return alone, jointly


def measure(
    data: Dataset, groups: npt.NDArray[np.float32], fold: npt.NDArray[np.int64], fitted: Calibration
) -> dict[str, Measured]:
    """Measure kernels alone and judged together, on all rows that were held out once."""
    rows = data.usable & (fold >= 0) & ~data.own
    alone, jointly = unseen_scores(data, groups, fold)
    raw = own_log_odds(groups, fitted)[1]
    return {
        "alone": measure_scores(data, raw, rows),
        "alone, calibrated per fold": measure_scores(data, alone, rows),
        "together": measure_scores(data, jointly, rows),
    }
