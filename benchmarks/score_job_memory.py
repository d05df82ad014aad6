"""Resident memory of scoring jobs, stage by stage, in a process that loads nothing else."""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["stages"]


def _resident_mib() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def stages(model: Path) -> dict[str, float]:
    """MiB after each stage."""
    found = {"start of Python": _resident_mib()}
    import numpy as np

    from hashwarden.model.channels import CHANNELS
    from hashwarden.serve.job_scorer import JobScorer

    found["import of the scorer, with onnxruntime and NumPy"] = _resident_mib()
    scorer, width = JobScorer(model), len(CHANNELS)
    found["opening the model"] = _resident_mib()
    for batch in (1, 4096, 100_000):
        sample, mask = np.ones((batch, width), np.float32), np.ones((batch, width), np.float32)
        dt, state = np.ones((batch, 1), np.float32), scorer.initial(batch)
        before = _resident_mib()
        for _ in range(3):
            state = scorer.step(sample, mask, dt, state).state
        found[f"3 steps of {batch:,} jobs, more than their samples take"] = _resident_mib() - before
        found[f"3 steps of {batch:,} jobs, in all"] = _resident_mib()
    return found
