"""Reads recorded runs for the questions that need no more of a GPU than what it told while it was recorded."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from hashwarden.model.channels import INDEX
from hashwarden.model.trace import Run
from hashwarden.model.trace_read import iter_runs

__all__ = ["MIX", "RECORDED", "runs_below", "while_active"]

RECORDED = Path(__file__).resolve().parents[3] / "data" / "job" / "recorded"
ACTIVE = 0.1
"""Below this share of active multiprocessors the rest is too small to be divided by it."""

MIX = (
    "integer_active_ratio", "fp16_active_ratio", "fp32_active_ratio", "fp64_active_ratio", "tensor_active_ratio",
    "tensor_hmma_active_ratio", "tensor_imma_active_ratio", "dram_active_ratio",
)  # fmt: skip
"""What units do, of all the time; GPM counts multiprocessors that are idle as time too."""


def runs_below(folder: Path, name: str = "counters") -> Iterator[Run]:
    """All runs of a set that were recorded on a GPU and whose label somebody stands for.

    Raises
    ------
    HashwardenError
        If a trace cannot be read.
    """
    for path in sorted(folder.rglob(f"recordings-{name}*.parquet")):
        for run in iter_runs(path):
            if run.info.origin == "recorded" and run.info.labelled_by:
                yield run


def while_active(run: Run) -> dict[str, np.ndarray]:
    """Of each channel of `MIX`, what it is for an active multiprocessor; of ``active``, how many are.

    Samples in which fewer than `ACTIVE` of them are, or that lack the channel, are left out, the same in all.
    """
    active = run.values[:, INDEX["sm_active_ratio"]].astype(float)
    seen = {name: run.values[:, INDEX[name]].astype(float) for name in MIX}
    seen = {name: values for name, values in seen.items() if np.isfinite(values).any()}
    good = np.isfinite(active) & (active >= ACTIVE)
    for values in seen.values():
        good &= np.isfinite(values)
    return {"active": active[good]} | {name: values[good] / active[good] for name, values in seen.items()}
