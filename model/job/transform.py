"""From channels to what the network reads: which of them, and on which scale.

Every value passes through ``factor * log(1 + value / scale)``. For what the table of channels calls linear the scale
is so far above the values that the curve is nearly straight (a ratio of 1 becomes 0.94): one formula for all channels
is one chain of nodes in the ONNX graph.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from hashwarden.model.channels import CHANNELS, INDEX, NETWORK

__all__ = ["COLUMNS", "FACTORS", "SCALES", "STRAIGHT", "transformed"]

F32 = npt.NDArray[np.float32]

STRAIGHT: Final = 8.0
"""Scale of the channels that are read as they are; none of them exceeds 2."""

COLUMNS: Final[tuple[int, ...]] = tuple(INDEX[name] for name in NETWORK)
"""Places in `CHANNELS` of the channels that the network reads, in the order of `NETWORK`."""

SCALES: Final[tuple[float, ...]] = tuple(CHANNELS[i].scale or STRAIGHT for i in COLUMNS)
"""What a value is divided by, by channel of the network."""

FACTORS: Final[tuple[float, ...]] = tuple(1.0 if CHANNELS[i].scale else STRAIGHT for i in COLUMNS)
"""What the logarithm is multiplied by, by channel of the network."""


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
    return np.asarray(np.log1p(chosen) * np.asarray(FACTORS, np.float32), np.float32)
