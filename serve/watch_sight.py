"""What can be judged of a sample, decided from masks alone: its tier, what the network is shown, why nothing can be."""

from __future__ import annotations

from typing import Final, NamedTuple, final

import numpy as np
import numpy.typing as npt

from hashwarden.model.channels import CHANNELS, GROUPS, INDEX, Group
from hashwarden.model.sequential_calibration import EvidenceCalibration
from hashwarden.model.sequential_state import Blind
from hashwarden.model.validity import Judged
from hashwarden.model.validity_rules import Reason

__all__ = ["Presence", "Seen", "Sight"]

Bools = npt.NDArray[np.bool_]
F64 = npt.NDArray[np.float64]

_HELD: Final = 3.0
"""Times its own spacing for which a group counts as there after it last spoke: launch traces and probes come less
often than counters, and the calibration knows them so."""

_FIRST_S: Final = 100.0
"""The same while its spacing is not known."""

_FOREIGN: Final = INDEX["foreign_process_count"]
_FAULTS: Final = (Reason.SENTINEL, Reason.OUT_OF_RANGE, Reason.FROZEN, Reason.DEAD)


class Seen(NamedTuple):
    """One sample.

    Attributes
    ----------
    tier : int
        Index into the calibration's tiers; -1 is none.
    blind : Blind
    mask : bool array, shape (C,)
        What the network is shown: nothing beyond the tier, for that is how the evidence was calibrated.
    groups : frozenset of Group
        Those that count as there.
    """

    tier: int
    blind: Blind
    mask: Bools
    groups: frozenset[Group]


@final
class Presence:
    """Which groups of channels a job has, of which not every sample holds each; one for each job."""

    __slots__ = ("_last", "_spacing")

    def __init__(self) -> None:
        self._last: F64 = np.full(len(GROUPS), -np.inf)
        self._spacing: F64 = np.full(len(GROUPS), np.nan)

    def see(self, time_s: float, there: Bools) -> Bools:
        """Take which groups the next sample holds, shape (len(GROUPS),); gives which count as there."""
        gap = time_s - self._last
        known = there & np.isfinite(gap)
        self._spacing[known] = gap[known]
        self._last[there] = time_s
        held: Bools = time_s - self._last <= np.where(np.isnan(self._spacing), _FIRST_S, _HELD * self._spacing)
        return held


@final
class Sight:
    """Looks at samples; the same for all jobs.

    Parameters
    ----------
    calibration : EvidenceCalibration
    """

    def __init__(self, calibration: EvidenceCalibration) -> None:
        self._calibration = calibration
        self._tiers: dict[bytes, tuple[int, frozenset[Group]]] = {}
        of = np.array([c.group for c in CHANNELS])
        self._shown = [np.isin(of, tier.groups) for tier in calibration.tiers.values()]
        self._code = ["code" in tier.groups for tier in calibration.tiers.values()]

    def look(self, judged: Judged, time_s: float, presence: Presence) -> Seen:
        """Look at one judged sample of the job whose presence that is."""
        there = np.isnan(judged.blind_since)
        tier, groups = self._tier(presence.see(time_s, there) if judged.fresh else there)
        mask = judged.mask & self._shown[tier] if tier >= 0 else judged.mask
        return Seen(tier, self._blind(judged, tier, mask), mask, groups)

    def _tier(self, there: Bools) -> tuple[int, frozenset[Group]]:
        key = there.tobytes()
        if key not in self._tiers:
            groups = frozenset(group for group, seen in zip(GROUPS, there.tolist(), strict=True) if seen)
            self._tiers[key] = self._calibration.tier_of(groups), groups
        return self._tiers[key]

    def _blind(self, judged: Judged, tier: int, mask: Bools) -> Blind:
        if not judged.fresh:
            return Blind.STALE
        if not mask.any() or np.all(~np.isnan(judged.blind_since)):
            return Blind.DEAD if np.isin(judged.reasons, _FAULTS).any() else Blind.FEW
        if tier < 0:
            return Blind.NO_CALIBRATION
        if judged.mask[_FOREIGN] and judged.values[_FOREIGN] > 0 and not self._code[tier]:
            return Blind.SHARED
        return Blind.NO
