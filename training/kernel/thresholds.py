"""Thresholds of verdicts and the false alarms of innocent files, from kernels of unseen lineages."""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from hashwarden.model.kernel.decide import Thresholds
from hashwarden.model.kernel.joint import Calibration, own_log_odds, sigmoid
from hashwarden.model.kernel.rule import Innocent
from hashwarden.model.kernel.tail import fit_beta
from hashwarden.model.kernel.taxonomy import MIN_INSTRUCTIONS, MINING, PLAIN
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
    """How many kernels of each innocent source pass the thresholds, counted as the file rule counts them.

    That is: distinct code only, kernels too short to judge among them. ``rows`` are all rows of the sources to fit on.
    """
    hashing, mining, kind = (sigmoid(z) for z in own_log_odds(groups, calibration))
    long = data.table.scalars["n_instr"] >= MIN_INSTRUCTIONS
    called_mining = long & (mining >= limits.mining) & (kind >= limits.kind)
    called_hash = long & ((mining >= limits.mining) | (hashing >= limits.hashing))
    _, files, code = places(data)
    seen: dict[str, dict[str, int]] = {}
    for row in np.flatnonzero(rows & (data.group == PLAIN)).tolist():
        seen.setdefault(files[row], {}).setdefault(code[row], row)
    distinct = [np.array(list(of_file.values())) for of_file in seen.values()]
    counts = [[(int(called[at].sum()), len(at)) for at in distinct] for called in (called_mining, called_hash)]
    return Innocent(mining=fit_beta(counts[0]), hashing=fit_beta(counts[1]))
