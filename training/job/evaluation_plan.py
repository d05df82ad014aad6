"""The corpus of an evaluation: every class, family, strategy and GPU, all counters, runs long enough to be judged.

Which tier sees what is decided when a run is scored, so here every run shows all channels; its seed is shared with no
corpus that anything shipped was fitted or calibrated on.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import Final

from hashwarden.model.trace import Run
from hashwarden.model.trace_read import iter_runs
from hashwarden.training.synthesise.corpus import CorpusPlan, corpus

__all__ = ["evaluation_key", "evaluation_plan", "evaluation_runs"]

_SHARES: Final = {
    "training": 0.2, "inference": 0.2, "mining": 0.37, "hash-other": 0.08, "hpc-other": 0.12, "idle": 0.03,
}  # fmt: skip
_PERIODS: Final = (1.0, 2.0, 5.0, 10.0, 15.0, 30.0)
_SEED: Final = 5000


def evaluation_plan(runs: int, seconds: float, seed: int = 0) -> CorpusPlan:
    """Plan a corpus of ``runs`` runs of ``seconds`` seconds each, sampled every 1 to 30 s."""
    most = max(1, int(seconds))
    return CorpusPlan(
        "evaluation-job", "Each run of one length, all channels", runs, _SEED + seed, _SHARES, (most, most),
        float(seconds), _PERIODS, tiers=("all",),
    )  # fmt: skip


def evaluation_runs(plan: CorpusPlan, workers: int, traces: Sequence[Path] = ()) -> Iterator[Run]:
    """Give the recorded runs of trace files, then synthesise the plan's."""
    return chain(*(iter_runs(path) for path in traces), corpus(plan, workers))


def evaluation_key(plan: CorpusPlan, traces: Sequence[Path] = ()) -> str:
    """Say how the corpus was made, for the cache."""
    named = ",".join(f"{path.name}:{path.stat().st_size}" for path in traces)
    return f"runs={plan.runs} seconds={plan.most_s:g} seed={plan.seed}" + (f" traces={named}" if named else "")
