"""From channels to what the network reads: which of them, and on which scale.

Every value passes through ``log(1 + value / scale)``. What the table of channels calls linear has a scale of 1 here: a
ratio of 1 becomes 0.69. The bend costs the network nothing, and one formula for all channels is one node in the graph.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from hashwarden.model.channels import CHANNELS, INDEX, NETWORK

__all__ = ["COLUMNS", "SCALES", "STRAIGHT", "transformed"]

F32 = npt.NDArray[np.float32]

STRAIGHT: Final = 1.0
"""Scale of the channels that are called linear; none of them exceeds 2."""

COLUMNS: Final[tuple[int, ...]] = tuple(INDEX[name] for name in NETWORK)
"""Places in `CHANNELS` of the channels that the network reads, in the order of `NETWORK`."""

SCALES: Final[tuple[float, ...]] = tuple(CHANNELS[i].scale or STRAIGHT for i in COLUMNS)
"""What a value is divided by, by channel of the network."""


def transformed(values: F32) -> F32:
    """What the network sees of samples before it standardises them.

    Parameters
    ----------
    values : float32 array, shape (..., len(CHANNELS))
        Judged samples; NaN is missing and stays NaN.

    Returns
    -------
    float32 array, shape (..., len(NETWORK))
        The mean and deviation of its columns over the training data are what `JobNet.set_normalisation` takes.
    """
    chosen = values[..., list(COLUMNS)] / np.asarray(SCALES, np.float32)
    return np.log1p(chosen)
