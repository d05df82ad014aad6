"""What can be judged of samples, decided from masks alone: their tier, what the network is shown, why nothing can be.

The same for jobs as they are watched and for archives: rows are jobs at one moment, or moments of one job.
R = rows, G = len(GROUPS), C = len(CHANNELS).
"""

from __future__ import annotations

from itertools import compress, product
from typing import Final, NamedTuple, TypeVar, final

import numpy as np
import numpy.typing as npt

from hashwarden.model.channels import CHANNELS, GROUPS, INDEX
from hashwarden.model.following import followed, pull
from hashwarden.model.sequential_calibration import EvidenceCalibration
from hashwarden.model.sequential_state import Blind
from hashwarden.model.trace import Run
from hashwarden.model.validity import Judged, Validity
from hashwarden.model.validity_frozen import latest
from hashwarden.model.validity_rules import Reason

__all__ = ["Presence", "Presences", "Seen", "Sight", "given", "looked", "settled"]

Bools = npt.NDArray[np.bool_]
F64 = npt.NDArray[np.float64]
I8 = npt.NDArray[np.int8]
I64 = npt.NDArray[np.int64]
Floats = TypeVar("Floats", npt.NDArray[np.float32], npt.NDArray[np.float64])

_HELD: Final = 3.0
"""Times its own spacing for which a group counts as there after it last spoke: launch traces and probes come less
often than counters, and the calibration knows them so."""

_FIRST_S: Final = 100.0
"""The same while its spacing is not known."""

_MEAN_S: Final = 60.0
"""Time constant of the means of what the network says: those that verdicts show, and the novelty that is compared with
the model's limit."""

_FOREIGN: Final = INDEX["foreign_process_count"]
_FAULTS: Final = (Reason.SENTINEL, Reason.OUT_OF_RANGE, Reason.FROZEN, Reason.DEAD)
_BITS: Final = 1 << np.arange(len(GROUPS))


class Seen(NamedTuple):
    """Samples that were looked at.

    Attributes
    ----------
    tiers : int64 array, shape (R,)
        Indices into the calibration's tiers; -1 is none.
    blind : int8 array, shape (R,)
        `Blind`.
    masks : bool array, shape (R, C)
        What the network is shown: nothing beyond the tier, for that is how the evidence was calibrated.
    """

    tiers: I64
    blind: I8
    masks: Bools


def given(judged: Judged) -> Bools:
    """Which groups samples hold, shape (R, G)."""
    return np.isnan(judged.blind_since)


def settled(mean: Floats, said: Floats, dts: Floats) -> Floats:
    """Means of what the network says after each of T moments; as `hashwarden.model.following.followed`."""
    return followed(mean, said, pull(dts, _MEAN_S))


@final
class Presence:
    """Which groups of channels a job has, of which not every sample holds each; one for each job."""

    __slots__ = ("_last", "_spacing")

    def __init__(self) -> None:
        self._last: F64 = np.full((1, len(GROUPS)), -np.inf)
        self._spacing: F64 = np.full((1, len(GROUPS)), np.nan)

    def see(self, times: F64, there: Bools) -> Bools:
        """Take which groups the next T samples hold, shape (T, G), none of them stale; gives which count as there."""
        now = times[:, None]
        last = latest(there, now[None], self._last)[0]
        gaps = now - np.concatenate([self._last, last[:-1]])
        spacing = latest(there & np.isfinite(gaps), gaps[None], self._spacing)[0]
        if len(times):
            self._last, self._spacing = last[-1:].copy(), spacing[-1:].copy()
        return _held(now, last, spacing)


def _held(now: F64, last: F64, spacing: F64) -> Bools:
    held: Bools = now - last <= np.where(np.isnan(spacing), _FIRST_S, _HELD * spacing)
    return held


@final
class Presences:
    """`Presence` of many jobs, by the number of their rows; one sample of each at a time."""

    def __init__(self) -> None:
        self._last: F64 = np.empty((0, len(GROUPS)))
        self._spacing: F64 = np.empty((0, len(GROUPS)))

    def grow(self, more: int) -> None:
        """Make room for more jobs."""
        self._last = np.concatenate([self._last, np.full((more, len(GROUPS)), -np.inf)])
        self._spacing = np.concatenate([self._spacing, np.full((more, len(GROUPS)), np.nan)])

    def restart(self, row: int) -> None:
        """Another job begins in a row."""
        self._last[row], self._spacing[row] = -np.inf, np.nan

    def see(self, rows: I64, times: F64, there: Bools) -> Bools:
        """Take which groups the next sample of each of n jobs holds, shape (n, G); gives which count as there."""
        now, before = times[:, None], self._last[rows]
        last, gaps = np.where(there, now, before), now - before
        spacing = np.where(there & np.isfinite(gaps), gaps, self._spacing[rows])
        self._last[rows], self._spacing[rows] = last, spacing
        return _held(now, last, spacing)


def looked(piece: Run, validity: Validity, presence: Presence) -> tuple[F64, Judged, Bools]:
    """Judge the next samples of a run, in flat memory.

    Returns
    -------
    times : float64 array, shape (T,)
        Of those that are not stale, which alone are given.
    judged : Judged
    held : bool array, shape (T, G)
        The groups that count as there.
    """
    judged = validity.block(piece.times, piece.values)
    times = piece.times[judged.fresh]
    if not judged.fresh.all():
        judged = Judged(*(getattr(judged, name)[judged.fresh] for name in Judged.__slots__))
    return times, judged, presence.see(times, given(judged))


@final
class Sight:
    """Looks at samples; the same for all jobs.

    Parameters
    ----------
    calibration : EvidenceCalibration
    """

    def __init__(self, calibration: EvidenceCalibration) -> None:
        tiers, of = list(calibration.tiers.values()), np.array([c.group for c in CHANNELS])
        sets = [frozenset(compress(GROUPS, bits[::-1])) for bits in product((0, 1), repeat=len(GROUPS))]
        self._tier_of = np.array([calibration.tier_of(groups) for groups in sets], np.int64)
        self._shown = np.array([*(np.isin(of, tier.groups) for tier in tiers), np.ones(len(of), np.bool_)])
        self._code = np.array([*("code" in tier.groups for tier in tiers), False])

    def look(self, judged: Judged, held: Bools) -> Seen:
        """Look at judged samples.

        Parameters
        ----------
        judged : Judged
        held : bool array, shape (R, G)
            The groups that count as there (`Presence`); of a stale sample it does not matter.
        """
        tiers = self._tier_of[held @ _BITS]
        masks = judged.mask & self._shown[tiers]
        return Seen(tiers, self._blind(judged, tiers, masks), masks)

    def _blind(self, judged: Judged, tiers: I64, masks: Bools) -> I8:
        """`Blind` of each sample: what is found later here is the stronger reason."""
        blind = np.zeros(len(tiers), np.int8)
        shared = judged.mask[:, _FOREIGN] & (judged.values[:, _FOREIGN] > 0)
        blind[shared & ~self._code[tiers]] = Blind.SHARED
        blind[tiers < 0] = Blind.NO_CALIBRATION
        dark = np.flatnonzero(~masks.any(axis=1) | ~given(judged).any(axis=1))
        if len(dark):
            faulty = np.isin(judged.reasons[dark], _FAULTS).any(axis=1)
            blind[dark] = np.where(faulty, np.int8(Blind.DEAD), np.int8(Blind.FEW))
        blind[~judged.fresh] = Blind.STALE
        return blind
