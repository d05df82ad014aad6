"""Thresholds of verdicts and the false alarms of innocent files, from kernels of unseen lineages."""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from hashwarden.model.kernel.decide import Thresholds
from hashwarden.model.kernel.joint import Calibration, own_log_odds, sigmoid
from hashwarden.model.kernel.rule import Innocent
from hashwarden.model.kernel.tail import fit_beta
from hashwarden.model.kernel.taxonomy import MINING, PLAIN
from hashwarden.training.kernel.calibrate import places
from hashwarden.training.kernel.dataset import Dataset

__all__ = ["innocent_files", "set_thresholds"]

CLAIM: Final = 1e-3
DOUBT: Final = 1e-2
F64 = npt.NDArray[np.float64]


def set_thresholds(
    data: Dataset, groups: npt.NDArray[np.float32], novelty: npt.NDArray[np.float32], rows: npt.NDArray[np.bool_],
    calibration: Calibration,
) -> Thresholds:  # fmt: skip
    """Set the thresholds at the false-alarm rates of `Thresholds` on plain kernels of unseen sources."""
    hashing, mining, kind = (sigmoid(z) for z in own_log_odds(groups, calibration))
    plain, mined = rows & (data.group == PLAIN), rows & (data.group == MINING)

    def exceeded(values: F64, share: float) -> float:
        return float(np.quantile(values[plain], 1 - share, method="higher"))

    return Thresholds(
        mining=exceeded(mining, CLAIM),
        mining_doubt=exceeded(mining, DOUBT),
        hashing=exceeded(hashing, CLAIM),
        hashing_doubt=exceeded(hashing, DOUBT),
        kind=min(0.5, float(np.quantile(kind[mined], 0.1))),
        novelty=exceeded(novelty.astype(np.float64), CLAIM),
    )


def innocent_files(
    data: Dataset, groups: npt.NDArray[np.float32], rows: npt.NDArray[np.bool_], calibration: Calibration,
    limits: Thresholds,
) -> Innocent:  # fmt: skip
    """How many kernels of each innocent source pass the thresholds, as the file rule counts them."""
    hashing, mining, kind = (sigmoid(z) for z in own_log_odds(groups, calibration))
    called_mining = (mining >= limits.mining) & (kind >= limits.kind)
    called_hash = (mining >= limits.mining) | (hashing >= limits.hashing)
    files = np.array(places(data)[1])
    plain = rows & (data.group == PLAIN)
    counts = []
    for called in (called_mining, called_hash):
        counts.append(
            [
                (int(called[plain & (files == f)].sum()), int((plain & (files == f)).sum()))
                for f in sorted(set(files[plain]))
            ]
        )
    return Innocent(mining=fit_beta(counts[0]), hashing=fit_beta(counts[1]))
