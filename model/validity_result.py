"""What `hashwarden.model.validity` answers: judged samples, blind groups, and a summary of a stream.

T = samples, C = len(CHANNELS).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import numpy as np
import numpy.typing as npt

from hashwarden.model.channels import Group
from hashwarden.model.validity_rules import Reason

__all__ = ["Blind", "Judged", "Summary"]

F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]
I8 = npt.NDArray[np.int8]
Bools = npt.NDArray[np.bool_]


@final
@dataclass(frozen=True, slots=True)
class Judged:
    """Samples after judgement; for one sample the axis T is missing.

    Attributes
    ----------
    values : float32 array, shape (T, C)
        NaN where not credible.
    mask : bool array, shape (T, C)
        True where credible.
    reasons : int8 array, shape (T, C)
        `Reason` of each value.
    blind_since : float64 array, shape (T, len(GROUPS))
        Time since when each group is blind, NaN where it is not (`Blindness`).
    fresh : bool array, shape (T,)
        False for a stale sample: it is to be skipped, as if it had not come.
    """

    values: F32
    mask: Bools
    reasons: I8
    blind_since: F64
    fresh: Bools


@final
@dataclass(frozen=True, slots=True)
class Blind:
    """A group that says nothing now.

    Attributes
    ----------
    group : Group
    since_s : float
        Time of the first sample of this spell; NaN before any sample.
    reason : Reason
        The commonest among its key channels.
    """

    group: Group
    since_s: float
    reason: Reason


@final
@dataclass(frozen=True, slots=True)
class Summary:
    """What became of a stream so far.

    Attributes
    ----------
    samples : int
        Stale ones included.
    valid : dict of Group to float
        Credible values over all values of the channels that were given at least once; NaN for a group of which
        nothing was given.
    reasons : dict of str to dict of Reason to int
        For each channel that was given at least once or had a fault, how often each reason; `OK` included.
    """

    samples: int
    valid: dict[Group, float]
    reasons: dict[str, dict[Reason, int]]
