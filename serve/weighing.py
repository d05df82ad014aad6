"""The evidence of one run that is at hand as a whole: the same as sample by sample, at the cost of its blocks.

Evidence changes where a block of about 10 s is full. A block whose samples are all judged in one tier goes in as one
sample that pays what they pay on average and lasts as long as they last; everything else goes in one by one.
"""

from __future__ import annotations

from typing import Final, final

import numpy as np
import numpy.typing as npt

from hashwarden.model.sequential import LONGEST_S, Evidence
from hashwarden.model.sequential_calibration import EvidenceCalibration
from hashwarden.model.sequential_state import Blind

__all__ = ["Weighing"]

F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]
I8 = npt.NDArray[np.int8]
I64 = npt.NDArray[np.int64]

_CONFIRMED: Final = 2
_WHOLE: Final = 1 - 1e-6
_SEEING: Final = (Blind.NO, Blind.STARTING)


@final
class Weighing:
    """Weighs a run, piece by piece.

    Parameters
    ----------
    calibration : EvidenceCalibration
    alpha : float
        False-alarm probability of an honest run.
    """

    def __init__(self, calibration: EvidenceCalibration, alpha: float) -> None:
        self._tiers = list(calibration.tiers.values())
        paid = {name: tier.model_copy(update={"payoff": None}) for name, tier in calibration.tiers.items()}
        self._evidence = Evidence(calibration.model_copy(update={"tiers": paid}), alpha)
        self._block_s = calibration.block_s
        self._begun = False
        self._now = self._evidence.state()

    def weigh(self, chance: F32, dts: F64, tiers: I64) -> tuple[F64, I8, I8]:
        """Weigh the next T samples.

        Parameters
        ----------
        chance : float32 array, shape (T,)
            Probability of mining.
        dts : float64 array, shape (T,)
        tiers : int64 array, shape (T,)
            -1 is none.

        Returns
        -------
        evidence : float64 array, shape (T,)
            For ``confirmed``.
        states, reasons : int8 array, shape (T,)
        """
        size = len(chance)
        evidence, states, reasons = np.ones(size), np.zeros(size, np.int8), np.zeros(size, np.int8)
        paid = self._paid(chance, tiers)
        covered = np.cumsum(np.minimum(dts, LONGEST_S))
        changes = np.flatnonzero(np.diff(tiers, prepend=tiers[:1]))
        start = 0
        while start < size:
            alone = self._begun or self._now.blind[0] not in _SEEING
            stop = start + 1 if alone else self._end(start, covered, tiers, changes)
            last = stop - 1
            self._put(slice(start, last), evidence, states, reasons)
            lasted = covered[last] - (covered[start - 1] if start else 0.0) if last > start else dts[start]
            mean = paid[start:stop].mean(keepdims=True)
            self._now = self._evidence.update(mean, np.array([lasted]), tiers[start : start + 1])
            self._put(slice(last, stop), evidence, states, reasons)
            self._begun = not self._now.closed[0] if tiers[start] >= 0 else self._begun
            start = stop
        return evidence, states, reasons

    def _put(self, at: slice, evidence: F64, states: I8, reasons: I8) -> None:
        now = self._now
        evidence[at], states[at], reasons[at] = now.evidence[0, _CONFIRMED], now.state[0], now.blind[0]

    def _end(self, start: int, covered: F64, tiers: I64, changes: I64) -> int:
        """Where the block that begins here is full; after one sample where it is no block of one tier."""
        full = (covered[start - 1] if start else 0.0) + self._block_s * _WHOLE
        stop = int(np.searchsorted(covered, full)) + 1
        crossed = np.searchsorted(changes, start, side="right") < np.searchsorted(changes, stop, side="left")
        return start + 1 if stop > len(covered) or crossed or tiers[start] < 0 else stop

    def _paid(self, chance: F32, tiers: I64) -> F64:
        paid = np.clip(chance.astype(np.float64), 0.0, 1.0)
        for index, tier in enumerate(self._tiers):
            paid[tiers == index] = tier.pays(paid[tiers == index])
        return paid
