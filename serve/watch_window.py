"""The last minute or two of a job, kept so that it can be asked what decided its score."""

from __future__ import annotations

from typing import Any, Final, final

import numpy as np
import numpy.typing as npt

from hashwarden.model.job.reasons import Deciding, deciding
from hashwarden.model.job.taxonomy import MINING

__all__ = ["SAMPLES", "SPACING_S", "Window"]

F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

SAMPLES: Final = 30
"""Samples of a part; two parts are kept, the older one whole, with the network's state at its beginning."""

SPACING_S: Final = 2.0
"""Samples that come sooner after the last one kept are left out: the network reads times, not counts."""

_LEAST: Final = 1e-6


@final
class Window:
    """Of one job; at most 2 * SAMPLES samples."""

    __slots__ = ("_next", "_older", "_parts", "_waited")

    def __init__(self) -> None:
        self._parts: list[tuple[F32, Bools, float]] = []
        self._older: F32 | None = None
        self._next: F32 | None = None
        self._waited = SPACING_S

    @property
    def seconds(self) -> float:
        """What is kept, from its first sample to its last."""
        return sum(waited for _, _, waited in self._parts[1:])

    def add(self, sample: F32, mask: Bools, dt: float, state: F32) -> None:
        """Take a sample, and the network's state before it."""
        self._waited += dt
        if self._waited < SPACING_S:
            return
        if len(self._parts) == 2 * SAMPLES:
            del self._parts[:SAMPLES]
            self._older, self._next = self._next, None
        if not self._parts:
            self._older = state.copy()
        elif len(self._parts) == SAMPLES:
            self._next = state.copy()
        self._parts.append((sample.copy(), mask.copy(), self._waited))
        self._waited = 0.0

    def decided(self, scorer: Any) -> tuple[Deciding, ...]:  # noqa: ANN401  see serve.watch.Scorer
        """What speaks most for mining in what is kept (`hashwarden.model.job.reasons.deciding`)."""
        if not self._parts or self._older is None:
            return ()
        samples = np.stack([part[0] for part in self._parts])
        masks = np.stack([part[1] for part in self._parts])
        dts = np.array([part[2] for part in self._parts], np.float32)
        before = self._older

        def log_odds(shown: Bools) -> F64:
            size = len(shown)
            said = scorer.sequence(
                np.where(shown, samples, np.float32(0)), shown.astype(np.float32),
                np.repeat(dts[None], size, axis=0), np.repeat(before[None], size, axis=0),
            )  # fmt: skip
            late: F64 = said.probabilities[:, len(dts) // 2 :, MINING].astype(np.float64).mean(axis=1)
            odds: F64 = np.log(np.maximum(late, _LEAST)) - np.log(np.maximum(1.0 - late, _LEAST))
            return odds

        return deciding(samples, masks, log_odds)
