"""One burst of one GPU's sampler, as channels of the group ``pm``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final, final

import numpy as np
import numpy.typing as npt

from hashwarden.kernels.streams.sampler import Block, Sampler
from hashwarden.kernels.streams.state import StreamState
from hashwarden.serve.sources.source import Device

__all__ = ["MEANS", "RHYTHM_WINDOW_S", "Burst"]

F64 = npt.NDArray[np.float64]

MEANS: Final = {
    "pm_sm_active_ratio": "sm_active",
    "pm_issue_ratio": "inst",
    "pm_alu_ratio": "alu",
    "pm_fma_ratio": "fma",
    "pm_tensor_ratio": "tensor",
    "pm_l2_ratio": "l2",
    "pm_dram_read_ratio": "dram_read",
    "pm_dram_write_ratio": "dram_write",
}
"""Channels that are the mean of a counter of the burst; counters are in percent of the sustained peak."""

GAP_S: Final = 0.001
IDLE_PERCENT: Final = 0.1
"""An interval of `GAP_S` is without work if SMs were active for less of it."""

RHYTHM_WINDOW_S: Final = 10.0
"""Rhythms are looked for in so much of the past, or in the burst if that is shorter."""

RHYTHM_EVERY_S: Final = 1.0


@final
class Burst:
    """One GPU's sampler, and the window in which its rhythm is looked for."""

    def __init__(self, device: Device, sampler: Sampler, window_s: float) -> None:
        self.device, self._sampler, self._window_s = device, sampler, window_s
        self._state: StreamState | None = None
        self._rhythm_s = float("-inf")
        self._blocks: list[Block] = []

    def poll(self) -> None:
        """Take what came."""
        blocks = self._sampler.poll()
        self._blocks += blocks
        if blocks and self._state is None:  # only now is the interval known on every GPU
            self._state = self._sampler.state(self._window_s)

    def finished(self) -> dict[str, float]:
        """Channels of all that came since the last call, the rhythm among them."""
        blocks, self._blocks = self._blocks, []
        if not blocks or self._state is None:
            return {}
        return _present(dict(_of_blocks(blocks, self._sampler)) | dict(_rhythm(self._state)))

    def values(self, now_s: float) -> dict[str, float]:
        """Channels of what came since the last call; the rhythm once in `RHYTHM_EVERY_S`."""
        new = self._state is None
        self.poll()
        blocks, self._blocks = self._blocks, []
        if not blocks or self._state is None:
            return {}
        if new:
            self._rhythm_s = now_s
        found = dict(_of_blocks(blocks, self._sampler))
        if now_s - self._rhythm_s >= RHYTHM_EVERY_S:
            self._rhythm_s = now_s
            found |= _rhythm(self._state)
        return _present(found)


def _of_blocks(blocks: Sequence[Block], sampler: Sampler) -> Iterator[tuple[str, float]]:
    yield from _means(blocks)
    yield "pm_idle_gap_ratio", _idle(blocks, sampler.interval_s)


def _present(found: Mapping[str, float]) -> dict[str, float]:
    return {name: value for name, value in found.items() if value == value}  # noqa: PLR0124  NaN is missing


def _column(block: Block, name: str) -> F64:
    return block.values[:, block.names.index(name)]


def _means(blocks: Sequence[Block]) -> Iterator[tuple[str, float]]:
    """Means over the samples that are there; NaN if none is."""
    for channel, name in MEANS.items():
        if name in blocks[0].names:
            column = np.concatenate([_column(block, name) for block in blocks])
            there = column[np.isfinite(column)]
            yield channel, float(there.mean()) / 100 if len(there) else float("nan")


def _idle(blocks: Sequence[Block], interval_s: float) -> float:
    """Share of intervals of `GAP_S` in which no SM worked."""
    width = max(1, round(GAP_S / interval_s))
    parts = [_column(block, "sm_active") for block in blocks]
    rows = [part[: len(part) // width * width].reshape(-1, width) for part in parts]
    active = np.concatenate([row.mean(axis=1) for row in rows])
    active = active[np.isfinite(active)]
    return float((active < IDLE_PERCENT).mean()) if len(active) else float("nan")


def _rhythm(state: StreamState) -> Mapping[str, float]:
    """Period and its strength of the busier of the tensor and the integer pipe."""
    features = state.features()
    pipe = max(("tensor", "alu"), key=lambda name: np.nan_to_num(features[f"{name}.mean"]))
    strength = features[f"{pipe}.period_strength"]
    return {"pm_rhythm_seconds": features[f"{pipe}.period"], "pm_rhythm_strength_ratio": min(1.0, max(0.0, strength))}
