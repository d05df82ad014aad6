"""An operator's own traces alone: which runs teach, which calibrate the evidence, which the card is measured on.

Whole runs, each in one part. What calibrates is honest work of the place itself, so the bound is about that place; how
low a false-alarm probability it can answer for hangs on how many runs there are.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final, final

import numpy as np
import numpy.typing as npt

from hashwarden.errors import DataError
from hashwarden.model.job.taxonomy import HASH_OTHER, MINING
from hashwarden.model.sequential_calibration import WITHIN, ladder
from hashwarden.training.job.calibrate import LEAST_S
from hashwarden.training.job.dataset import Dataset, hold_out

__all__ = ["LEAST_HONEST", "Parts", "parted"]

I64 = npt.NDArray[np.int64]

_UNSEEN: Final = 0.2
_CALIBRATES: Final = 0.5

LEAST_HONEST: Final = math.ceil(1 / (WITHIN * ladder(1e-3)[0])) - 1
"""Runs that calibrate at least: with fewer not even ``watching``, the lowest state, can be answered for."""


@final
@dataclass(frozen=True, slots=True)
class Parts:
    """Places of the runs of each part.

    Attributes
    ----------
    learn, honest, unseen : int64 array
        Learned from; calibrates the evidence; the card is measured on.
    """

    learn: I64
    honest: I64
    unseen: I64


def parted(data: Dataset, seed: int) -> Parts:
    """Part the runs: a fifth for the card, half of the honest rest for the evidence, what is left to learn from.

    Parameters
    ----------
    data : Dataset
    seed : int

    Raises
    ------
    DataError
        If there are too few runs, or nothing to tell apart.
    """
    rest, unseen = hold_out(data, np.arange(len(data)), _UNSEEN, seed)
    long_enough = (data.length * data.period_s)[rest] >= LEAST_S
    able = rest[_honest(data, rest) & long_enough]
    honest = hold_out(data, able, _CALIBRATES, seed + 1)[1] if len(able) else able
    parts = Parts(np.setdiff1d(rest, honest), honest, unseen)
    _check(data, parts)
    return parts


def _honest(data: Dataset, rows: I64) -> npt.NDArray[np.bool_]:
    """What the bound covers: neither mining nor other hash work."""
    honest: npt.NDArray[np.bool_] = ~np.isin(data.label[rows], (MINING, HASH_OTHER))
    return honest


def _check(data: Dataset, parts: Parts) -> None:
    both = all((data.label[rows] == MINING).any() and _honest(data, rows).any() for rows in (parts.learn, parts.unseen))
    if both and len(parts.honest) >= LEAST_HONEST:
        return
    mines, works = int((data.label == MINING).sum()), int(_honest(data, np.arange(len(data))).sum())
    whole = math.ceil(LEAST_HONEST / _CALIBRATES / (1 - _UNSEEN)) + 2
    raise DataError(
        f"{mines} mining runs and {works} honest ones, {len(parts.honest)} of them of {LEAST_S:g} s to calibrate",
        f"about 10 mining runs and {whole} honest ones, so that {LEAST_HONEST} can calibrate",
        "Record more, or learn from synthesised runs as well: leave out --plan none.",
        where=", ".join(data.digests),
    )
