"""The judge of many streams at once, one sample of each: what `hashwarden.model.validity` does, for all jobs of a node.

To the last bit the same answers as one `Validity` for each; the rules are the same functions. What one call of NumPy
costs is paid once a step and not once a job (benchmarks/agent.py measures ticks by the number of jobs).

N = streams, n = those of one step, C = len(CHANNELS), W = `WATCHED`, R = rules of dead counters.
"""

from __future__ import annotations

from typing import Any, Final, final

import numpy as np
import numpy.typing as npt

from hashwarden.model.channels import CHANNELS, GROUPS, INDEX
from hashwarden.model.validity_blind import KEY_CHANNELS, blind_groups
from hashwarden.model.validity_dead import RULES, killed, tell
from hashwarden.model.validity_frozen import STEP, WATCHED, frozen_values
from hashwarden.model.validity_result import Judged
from hashwarden.model.validity_rules import CLOCK_STEP, FIRST_FAULT, Reason
from hashwarden.model.validity_values import look_at_values

__all__ = ["Validities"]

Bools = npt.NDArray[np.bool_]
F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]
I8 = npt.NDArray[np.int8]
I64 = npt.NDArray[np.int64]

_C: Final = len(CHANNELS)
_CLOCK: Final = INDEX["sm_clock_ratio"]
_PER_CYCLE: Final = np.array([c.per_cycle for c in CHANNELS])


def _fresh(size: int) -> dict[str, npt.NDArray[Any]]:
    """What is kept of streams that have not begun; the streams are the first axis."""
    return {
        "time": np.full(size, -np.inf), "clock": np.full(size, np.nan),
        "before": np.full((size, WATCHED), np.nan, np.float32), "start": np.zeros((size, 3, WATCHED)),
        "rows": np.zeros(size), "moves": np.zeros(size),
        "total": np.zeros((size, 2, RULES)), "base": np.zeros((size, 2, RULES)), "last": np.full(size, np.nan),
        "expected": np.zeros((size, len(KEY_CHANNELS)), bool), "was": np.zeros((size, len(GROUPS)), bool),
        "since": np.full((size, len(GROUPS)), np.nan),
    }  # fmt: skip


@final
class Validities:
    """Judges of streams, by the number of their rows; each is fed in order of time."""

    def __init__(self) -> None:
        self._of = _fresh(0)

    def __len__(self) -> int:
        return len(self._of["time"])

    def grow(self, more: int) -> None:
        """Make room for more streams."""
        self._of = {name: np.concatenate([kept, new]) for (name, kept), new in
                    zip(self._of.items(), _fresh(more).values(), strict=True)}  # fmt: skip

    def restart(self, row: int) -> None:
        """Another stream begins in a row."""
        for name, new in _fresh(1).items():
            self._of[name][row] = new[0]

    def step(self, rows: I64, times: F64, values: F32) -> Judged:
        """Judge the next sample of each of some streams.

        Parameters
        ----------
        rows : int64 array, shape (n,)
            Which, each once.
        times : float64 array, shape (n,)
            Seconds. A sample whose time is not finite or not after that before it is stale.
        values : float32 array, shape (n, C)
            As the source gave them.

        Returns
        -------
        Judged
            With streams instead of samples as the first axis.
        """
        fresh: Bools = (self._of["time"][rows] < times) & (times < np.inf)
        if fresh.all():
            return self._judge(rows, times, values, fresh)
        out = np.full(values.shape, np.nan, np.float32)
        reasons = np.full(values.shape, Reason.STALE, np.int8)
        since = self._of["since"][rows]
        if fresh.any():
            inner = self._judge(rows[fresh], times[fresh], values[fresh], fresh[fresh])
            out[fresh], reasons[fresh], since[fresh] = inner.values, inner.reasons, inner.blind_since
        return Judged(out, reasons < FIRST_FAULT, reasons, since, fresh)

    def _judge(self, rows: I64, times: F64, values: F32, fresh: Bools) -> Judged:
        """Samples that are all fresh."""
        self._of["time"][rows] = times
        out, reasons = look_at_values(values)
        frozen = self._frozen(rows, times, out[:, :WATCHED])
        if frozen is not None:
            out[:, :WATCHED][frozen], reasons[:, :WATCHED][frozen] = np.nan, Reason.FROZEN
        dead = self._dead(rows, times, out)
        if dead is not None:
            out[dead], reasons[dead] = np.nan, Reason.DEAD
        self._mark_clock(rows, out[:, _CLOCK].astype(np.float64), reasons)
        mask = reasons < FIRST_FAULT
        return Judged(out, mask, reasons, self._blind_since(rows, times, mask), fresh)

    def _frozen(self, rows: I64, times: F64, now: F32) -> Bools | None:
        of = self._of
        before = of["before"][rows]
        of["moves"][rows] += (np.abs(now - before) > STEP).any(axis=1)
        clocks = np.stack([times, of["rows"][rows], of["moves"][rows]], axis=1)[:, :, None]
        start = np.where((now != before)[:, None], clocks, of["start"][rows])
        of["start"][rows], of["before"][rows] = start, now
        of["rows"][rows] += 1
        return frozen_values(now, (clocks - start).transpose(1, 0, 2))

    def _dead(self, rows: I64, times: F64, values: F32) -> Bools | None:
        of = self._of
        told, above = tell(values)
        last = of["last"][rows]
        passed = np.where(np.isnan(last), 0.0, times - last)
        of["last"][rows] = times
        total = of["total"][rows]
        total += np.where(told[:, None], np.stack([passed, np.ones(len(rows))], axis=1)[:, :, None], 0.0)
        base = np.where(above[:, None], total, of["base"][rows])
        of["total"][rows], of["base"][rows] = total, base
        return killed((total - base).transpose(1, 0, 2), values)

    def _mark_clock(self, rows: I64, clock: F64, reasons: I8) -> None:
        moved = np.abs(clock - self._of["clock"][rows]) >= CLOCK_STEP
        self._of["clock"][rows] = clock
        if moved.any():
            reasons[moved[:, None] & _PER_CYCLE & (reasons == Reason.OK)] = Reason.CLOCK_MOVED

    def _blind_since(self, rows: I64, times: F64, mask: Bools) -> F64:
        of = self._of
        credible = mask[:, KEY_CHANNELS]
        expected = of["expected"][rows] | credible
        blind = blind_groups(credible, expected)
        since: F64 = np.where(blind, np.where(of["was"][rows], of["since"][rows], times[:, None]), np.nan)
        of["expected"][rows], of["was"][rows], of["since"][rows] = expected, blind, since
        return since
