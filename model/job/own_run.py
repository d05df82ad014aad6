"""A run as the model sees it in each tier: what scoring finds and calibrating asks for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import final

import numpy as np
import numpy.typing as npt

__all__ = ["OwnRun"]

F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]


@final
@dataclass(frozen=True, slots=True)
class OwnRun:
    """One run, T samples that are not stale.

    Attributes
    ----------
    name : str
        Unique among the runs that are looked at together.
    label, labelled_by, origin : str
        As in `hashwarden.model.trace.Run` and ``RunInfo``.
    times : float64 array, shape (T,)
        Seconds, rising.
    p_mining : mapping of str to float64 array, shape (T,)
        By tier; NaN where live evidence would not count the sample in that tier. A tier that the run never shows is
        left out.
    novelty : mapping of str to float32 array, shape (T,)
        By the same tiers.
    """

    name: str
    label: str
    labelled_by: str
    origin: str
    times: F64
    p_mining: Mapping[str, F64]
    novelty: Mapping[str, F32]
