"""The last minutes of raw samples of every job, within one bound on memory: what a case is proved with."""

from __future__ import annotations

from collections import deque
from typing import Final, final

import numpy as np

from hashwarden.model.channels import CHANNELS
from hashwarden.model.trace import Run, RunInfo
from hashwarden.serve.agent.joining import JobSample
from hashwarden.serve.sources.source import F32, Device
from hashwarden.version import __version__

__all__ = ["RawWindow", "Row"]

_ROW_BYTES: Final = 4 * len(CHANNELS) + 250
"""A row with what Python keeps beside it."""

Row = tuple[float, float, F32]


@final
class RawWindow:
    """See the module.

    Parameters
    ----------
    seconds : float
        Kept of each job and GPU, if there is room.
    memory_bytes : int
        For all; each job and GPU has an equal share of it.
    """

    def __init__(self, seconds: float, memory_bytes: int) -> None:
        self._seconds, self._most = seconds, max(1, memory_bytes // _ROW_BYTES)
        self._kept: dict[str, dict[str, deque[Row]]] = {}
        self._parts = 0

    @property
    def rows(self) -> int:
        """Samples held."""
        return sum(len(rows) for gpus in self._kept.values() for rows in gpus.values())

    def add(self, sample: JobSample) -> None:
        """Keep a sample; the oldest of the same job and GPU go."""
        gpus = self._kept.setdefault(sample.job.key, {})
        if sample.gpu not in gpus:
            gpus[sample.gpu] = deque()
            self._parts += 1
        rows = gpus[sample.gpu]
        rows.append((sample.time_s, sample.unix_s, sample.values))
        share = max(1, self._most // self._parts)
        while len(rows) > share or rows[0][0] < sample.time_s - self._seconds:
            rows.popleft()

    def rows_of(self, job: str, gpu: str) -> list[Row]:
        """What is kept of a job on a GPU, oldest first: monotonic clock, since 1970, values. From any thread."""
        return list(self._kept.get(job, {}).get(gpu, ()))

    def newest(self, job: str, gpu: str) -> Row | None:
        """The last of them. From any thread."""
        rows = self._kept.get(job, {}).get(gpu)
        return rows[-1] if rows else None  # rows are taken away only after others were added

    def forget(self, job: str) -> None:
        """A job has ended."""
        self._parts -= len(self._kept.pop(job, {}))

    def runs(self, job: str, devices: dict[str, Device] | None = None, *, period_s: float = 1.0) -> list[Run]:
        """What is kept of a job, as a run for each GPU; empty if nothing is."""
        known = devices or {}
        return [_run(job, gpu, list(rows), known.get(gpu), period_s) for gpu, rows in self._kept.get(job, {}).items()]


def _run(job: str, gpu: str, rows: list[Row], device: Device | None, period_s: float) -> Run:
    first = rows[0][0]
    info = RunInfo(
        origin="recorded",
        gpu="" if device is None else device.name,
        architecture=0 if device is None else device.architecture,
        driver="" if device is None else device.driver,
        made_by=f"hashwarden {__version__}",
        period_s=period_s,
        share=float("nan"),
        parameters={"job": job, "gpu_uuid": gpu, "unix_s": rows[0][1]},
    )
    times = np.array([row[0] - first for row in rows])
    return Run(f"{job}@{gpu}", times, np.stack([row[2] for row in rows]), info=info)
