"""What the job model is made from: plans of synthesised runs, kept as traces in a cache, and traces that are given."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Final

from hashwarden.model.channels import GROUPS, schema_hash
from hashwarden.model.trace import Run
from hashwarden.model.trace_write import write_runs
from hashwarden.training.synthesise.corpus import corpus
from hashwarden.training.synthesise.plans import CorpusPlan, plan_named

__all__ = ["HORIZON_S", "calibration_plan", "card_plan", "default_cache", "kept", "processors", "to_make"]

Told = Callable[[str], None]

HORIZON_S: Final = 900.0
"""Each run that calibrates the evidence is watched for so long."""

_CALIBRATION_RUNS: Final = 4900
"""Some never launch anything, some only choose what scores pay; with the 4,000 that are left in each tier the null
level of 1 in 1,000 is that of the third run, not of a single odd one (1,333 are the least)."""

_CARD_RUNS: Final = 400
_CARD_S: Final = 600.0
_WORTH_SHARING: Final = 100


def default_cache() -> Path:
    """``$HASHWARDEN_CACHE``, else ``hashwarden`` in the user's cache folder; synthesised traces lie in it."""
    own = os.environ.get("HASHWARDEN_CACHE")
    if own:
        return Path(own) / "traces"
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "hashwarden" / "traces"


def calibration_plan(runs: int = _CALIBRATION_RUNS) -> CorpusPlan:
    """Honest runs, each as long as the horizon and seen by all groups, so that each counts in every tier."""
    plan = plan_named("calibration")
    items = (replace(item, groups=GROUPS, seconds=HORIZON_S) for item in plan.items())
    return replace(plan, runs=runs, items_given=tuple(items))


def card_plan(runs: int = _CARD_RUNS) -> CorpusPlan:
    """Runs that neither the fit nor the calibration sees, with all groups: what the card is measured on."""
    plan = plan_named("evaluation")
    items = (replace(item, groups=GROUPS, seconds=max(item.seconds, _CARD_S)) for item in plan.items())
    return replace(plan, name="card", runs=runs, items_given=tuple(items))


def processors() -> int:
    """Processors that this process may use."""
    return len(os.sched_getaffinity(0))


def kept(plan: CorpusPlan, cache: Path, told: Told, workers: int | None = None) -> Path:
    """The trace of a plan, synthesised now if the cache does not hold it.

    Parameters
    ----------
    plan : CorpusPlan
    cache : Path
        Folder; a trace in it is named by what it was made from, so that one of other code is never taken.
    told : callable
    workers : int, optional
        Processes; the runs are the same for any number.
    """
    path = _path(plan, cache)
    if not path.exists():
        cache.mkdir(parents=True, exist_ok=True)
        told(f"{plan.name}: {plan.runs} runs to synthesise")
        write_runs(path, _counted(corpus(plan, workers or _workers(plan)), plan, told))
    return path


def to_make(plan: CorpusPlan, cache: Path) -> bool:
    """Whether the cache lacks the trace of a plan, and it is worth a process of its own."""
    return not _path(plan, cache).exists() and _workers(plan) > 1


def _path(plan: CorpusPlan, cache: Path) -> Path:
    return cache / f"{plan.name}-{_digest(plan)}.parquet"


def _workers(plan: CorpusPlan) -> int:
    """One process where starting others takes longer than the runs."""
    return processors() if plan.runs >= _WORTH_SHARING else 1


def _counted(runs: Iterable[Run], plan: CorpusPlan, told: Told) -> Iterator[Run]:
    for number, run in enumerate(runs, 1):
        if number % 250 == 0:
            told(f"{plan.name}: {number} of {plan.runs} runs")
        yield run


def _digest(plan: CorpusPlan) -> str:
    """Of the plan's runs and of all that makes them."""
    digest = hashlib.sha256(schema_hash().encode())
    for item in plan.items():
        digest.update(repr(item).encode())
    folder = Path(__file__).parents[1] / "synthesise"
    for path in sorted(folder.rglob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]
