"""The runs of a plan, one after another, by one process or several."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

from hashwarden.errors import UsageError
from hashwarden.model.trace import Run
from hashwarden.model.trace_write import write_runs
from hashwarden.training.orphans import end_with_parent
from hashwarden.training.synthesise.evasions import STRATEGY_PARAMETERS
from hashwarden.training.synthesise.plans import PLANS, CorpusPlan, Item, plan_named
from hashwarden.training.synthesise.run import make_run

__all__ = [
    "PLANS",
    "STRATEGY_PARAMETERS",
    "CorpusPlan",
    "Item",
    "corpus",
    "make_item",
    "make_run",
    "plan_named",
    "write_corpus",
]


def make_item(item: Item) -> Run:
    """Synthesise the run of an item."""
    return make_run(
        item.label, item.family, item.strategy, item.gpu, item.seconds, item.period_s, item.groups, item.seed,
        item.changes,
    )  # fmt: skip


def corpus(plan: CorpusPlan, workers: int = 1) -> Iterator[Run]:
    """Synthesise the runs of a plan, in order.

    Parameters
    ----------
    plan : CorpusPlan
    workers : int
        Processes; the runs are the same for any number.

    Raises
    ------
    UsageError
        If there are to be no workers.
    """
    if workers < 1:
        raise UsageError(f"{workers} workers", "at least 1", "Give more.")
    if workers == 1:
        yield from map(make_item, plan.items())
        return
    with ProcessPoolExecutor(workers, get_context("spawn"), end_with_parent) as pool:
        waiting: deque[Future[Run]] = deque()
        for item in plan.items():
            waiting.append(pool.submit(make_item, item))
            if len(waiting) >= 8 * workers:  # memory stays bounded when the reader is slower
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def write_corpus(plan: CorpusPlan, output: Path, workers: int = 1, told: Callable[[str], None] | None = None) -> int:
    """Synthesise the runs of a plan into a trace file; memory stays bounded.

    Parameters
    ----------
    plan : CorpusPlan
    output : Path
    workers : int
        Processes.
    told : callable, optional
        Is told how far it got, every hundred runs.

    Returns
    -------
    int
        Runs that were written.
    """
    count = 0

    def counted() -> Iterator[Run]:
        nonlocal count
        for run in corpus(plan, workers):
            count += 1
            if told is not None and count % 100 == 0:
                told(f"{count:,} of {plan.runs:,} runs")
            yield run

    write_runs(output, counted())
    return count
