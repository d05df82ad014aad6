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

__all__ = ["Seen", "Sight"]

Bools = npt.NDArray[np.bool_]

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
        Those that say something.
    """

    tier: int
    blind: Blind
    mask: Bools
    groups: frozenset[Group]


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

    def look(self, judged: Judged) -> Seen:
        """Look at one judged sample."""
        there = np.isnan(judged.blind_since)
        tier, groups = self._tier(there)
        mask = judged.mask & self._shown[tier] if tier >= 0 else judged.mask
        return Seen(tier, self._blind(judged, tier, groups), mask, groups)

    def _tier(self, there: Bools) -> tuple[int, frozenset[Group]]:
        key = there.tobytes()
        if key not in self._tiers:
            groups = frozenset(group for group, seen in zip(GROUPS, there.tolist(), strict=True) if seen)
            self._tiers[key] = self._calibration.tier_of(groups), groups
        return self._tiers[key]

    def _blind(self, judged: Judged, tier: int, groups: frozenset[Group]) -> Blind:
        if not judged.fresh:
            return Blind.STALE
        if tier < 0 and not groups:
            return Blind.DEAD if np.isin(judged.reasons, _FAULTS).any() else Blind.FEW
        if tier < 0:
            return Blind.NO_CALIBRATION
        if judged.mask[_FOREIGN] and judged.values[_FOREIGN] > 0 and not self._code[tier]:
            return Blind.SHARED
        return Blind.NO
