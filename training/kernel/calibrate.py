"""Fitting the calibration on kernels whose lineage the network had not seen."""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from typing import Final

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize

from hashwarden.model.kernel.joint import CAP, Calibration, company, own_log_odds, sigmoid
from hashwarden.model.kernel.taxonomy import MINING, OTHER, PLAIN
from hashwarden.training.kernel.dataset import Dataset

__all__ = ["calibrate", "places"]

F64 = npt.NDArray[np.float64]
BACKGROUNDS: Final = (0.05, 0.1)
WEIGHTS: Final = (0.0, 1.0, 2.0, 4.0)


def places(data: Dataset) -> tuple[list[str], list[str], list[str]]:
    """Object, file and code of each row of the training tables.

    A repository is built into one program, so its source is the file and its cubins are the objects. A package's
    table names the library; one per architecture, as a fat binary carries the same kernels for each.
    """
    arch = data.table.scalars["arch"]
    files = [f"{source}|{a}" for source, a in zip(data.source, arch, strict=True)]
    objects = [f"{file}|{name}" for file, name in zip(files, data.table.text["file"], strict=True)]
    return objects, files, list(data.table.text["code_sha1"])


def _fit(column: F64, wanted: npt.NDArray[np.bool_], sloped: bool) -> tuple[float, float]:
    """Fit the offset, and the slope if it is free, of a logistic regression; the slope is not negative."""

    def loss(x: F64) -> float:
        z = x[0] * column + x[1]
        return float(np.mean(np.logaddexp(0, z) - wanted * z)) + 1e-3 * float(x[0] - 1) ** 2

    bounds = [(0.0, 2.0) if sloped else (1.0, 1.0), (-10.0, 10.0)]
    slope, offset = minimize(loss, np.array([1.0, 0.0]), bounds=bounds, method="L-BFGS-B").x
    return float(slope), float(offset)


def calibrate(data: Dataset, groups: npt.NDArray[np.float32], rows: npt.NDArray[np.bool_]) -> Calibration:
    """Fit all numbers of a `Calibration`.

    The slopes against plain work stay 1: with a dozen lineages a free slope follows whichever lineage is
    hardest, and scores of different folds could not be compared.

    Parameters
    ----------
    data : Dataset
    groups : float32 array, shape (kernels, 3)
        Log-probabilities of each kernel from a network that had not seen its lineage.
    rows : bool array, shape (kernels,)
        The rows to fit on.
    """
    plain, other, mine = groups.astype(np.float64).T
    group = data.group
    _, of_hash = _fit((np.logaddexp(other, mine) - plain)[rows], (group != PLAIN)[rows], sloped=False)
    against_plain = rows & (group != OTHER)
    _, of_mining = _fit((mine - plain)[against_plain], (group == MINING)[against_plain], sloped=False)
    hashing = rows & (group != PLAIN)
    kind = _fit((mine - other)[hashing], (group == MINING)[hashing], sloped=True)
    alone = Calibration(of_hash, of_mining, *kind, background=BACKGROUNDS[0], beside_object=0.0, beside_file=0.0)
    return _with_company(data, groups, against_plain, alone)


def _with_company(
    data: Dataset, groups: npt.NDArray[np.float32], rows: npt.NDArray[np.bool_], alone: Calibration
) -> Calibration:
    """Choose the weights of company by likelihood on a coarse grid, mining against plain work."""
    mining = own_log_odds(groups, alone)[1]
    objects, files, code = places(data)
    wanted, best = (data.group == MINING)[rows], (np.inf, alone)
    for background in BACKGROUNDS:
        beside = np.stack([company(sigmoid(mining), place, code, background) for place in (objects, files)])[:, rows]
        for weights in product(WEIGHTS, repeat=2):
            z = mining[rows] + np.minimum(np.array(weights) @ beside, CAP)
            loss = float(np.mean(np.logaddexp(0, z) - wanted * z))
            if loss < best[0]:
                chosen = replace(alone, background=background, beside_object=weights[0], beside_file=weights[1])
                best = (loss, chosen)
    return best[1]
