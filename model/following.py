"""Means that follow what is measured, forgetting the past exponentially: of one moment, or of many at once.

T = moments, which come first; what follows are jobs, columns, or nothing.
"""

from __future__ import annotations

from typing import TypeVar

import numpy as np
import numpy.typing as npt

__all__ = ["followed", "pull"]

Floats = TypeVar("Floats", npt.NDArray[np.float32], npt.NDArray[np.float64])


def pull(dt: Floats, constant_s: float) -> Floats:
    """How far a mean goes towards a value that lasted ``dt`` seconds, 0 to 1."""
    gone: Floats = -np.expm1(-dt / dt.dtype.type(constant_s))
    return gone


def followed(mean: Floats, values: Floats, pulls: Floats) -> Floats:
    """The mean after each moment.

    Parameters
    ----------
    mean : float array, shape (...)
        Before the first moment; NaN where nothing was seen yet.
    values : float array, shape (T, ...)
        NaN forgets everything: the next value is the mean.
    pulls : float array, shape (T, ...)
        Of each moment (`pull`).

    Returns
    -------
    float array, shape (T, ...)

    Notes
    -----
    A linear recurrence by doubling (Kogge and Stone 1973): log2(T) passes, nothing that can overflow.
    """
    lost = np.isnan(values)
    first = np.concatenate([np.isnan(mean)[None], lost[:-1]])[: len(values)]
    pulls = np.where(first, values.dtype.type(1), pulls)
    found, keep = pulls * np.where(lost, values.dtype.type(0), values), 1 - pulls
    found[:1] += np.where(first[:1], values.dtype.type(0), keep[:1] * mean)
    step = 1
    while step < len(found):
        found[step:] += keep[step:] * found[:-step]
        keep[step:] *= keep[:-step]
        step *= 2
    found[lost] = np.nan
    return found
