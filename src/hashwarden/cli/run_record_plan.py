"""What ``hashwarden record`` starts by itself: the workloads that there are, a plan of them, and their labels."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from hashwarden.cli.extras import needs_extra
from hashwarden.errors import UsageError
from hashwarden.serve.campaign import IDLE, Candidate, Item, items_of
from hashwarden.serve.campaign_plan import items_in
from hashwarden.serve.labels import labels_of
from hashwarden.serve.record_work import Done, Plan, record_work
from hashwarden.serve.workload_process import Work

__all__ = ["candidates", "planned", "record_labelled"]


def candidates() -> list[Candidate]:
    """All workloads."""
    with needs_extra("cuda13"):
        from hashwarden.kernels.workloads.registry import workloads
    return [Candidate(w.name, w.label, w.family, w.engines()) for w in workloads()]


def planned(plan: Path | None, known: Sequence[Candidate], engine: str) -> list[Item]:
    """The recordings of a plan file, or of all workloads and evasions.

    Raises
    ------
    DataError, UsageError
        If the plan cannot be read, or names what cannot be run: not one recording is made then.
    """
    from hashwarden.kernels.workloads.evasions import EVASIONS

    if plan is None:
        return items_of(known, [evasion.name for evasion in EVASIONS], engine)
    items = items_in(plan, known, engine)
    for item in items:
        try:
            _check(item)
        except UsageError as error:
            raise UsageError(error.got, error.expected, error.remedy, where=f"{plan}: {item.stem}") from error
    return items


def _check(item: Item) -> None:
    """Sizes, parameters, evasions and company, as the workload's own process would refuse them an hour later."""
    from hashwarden.kernels.workloads.evasions import find_evasion
    from hashwarden.kernels.workloads.registry import find

    if item.name == IDLE:
        if item.evasion or item.settings or item.evasion_settings or item.company or item.beside:
            raise UsageError("an idle GPU that does something", "no evasion, settings or company", "Leave them out.")
        return
    find(item.name).settings(item.size or "gpu", _numbers(item.settings))
    if item.evasion:
        find_evasion(item.evasion).settings(_numbers(item.evasion_settings))
    elif item.evasion_settings or item.company:
        raise UsageError("settings or company of an evasion", "an evasion", "Name the evasion.")
    for name in (*item.company, *item.beside):
        find(name)


def _numbers(words: Sequence[str]) -> dict[str, int]:
    return {name: int(value) for name, _, value in (word.partition("=") for word in words)}


def record_labelled(plan: Plan, work: Work, candidate: Candidate, path: Path, beside: Sequence[Work] = ()) -> Done:
    """Record a workload under its own label; what runs beside it has processes of its own.

    Raises
    ------
    HashwardenError
        As `hashwarden.serve.record_work.record_work` says.
    """
    names = labels_of(candidate.label, candidate.family, work.evasion)
    more = {"workload_family": candidate.family, "sources": list(plan.runner.health), "cut_s": plan.cut_s}
    return record_work(plan, work, path, names, more, beside)
