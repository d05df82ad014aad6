"""Synthesis beside a fit: the fit keeps one processor busy, the traces that come after it can be made on another."""

from __future__ import annotations

import logging
import os
import signal
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path

from hashwarden.training.job.material import kept, to_make
from hashwarden.training.orphans import end_with_parent
from hashwarden.training.synthesise.plans import CorpusPlan

__all__ = ["made_beside"]

_log = logging.getLogger(__name__)


@contextmanager
def made_beside(plans: Sequence[CorpusPlan], cache: Path) -> Iterator[None]:
    """Make the traces of plans in a process of their own while the block runs; leaving it waits for them.

    What fails there is left: whoever needs the trace makes it again, and meets the error where it can be told. Nothing
    is done beside on a single processor, nor for few runs.

    Parameters
    ----------
    plans : sequence of CorpusPlan
    cache : Path
        As of `hashwarden.training.job.material.kept`.
    """
    plans = [plan for plan in plans if to_make(plan, cache)]
    if not plans:
        yield
        return
    with ProcessPoolExecutor(1, get_context("spawn"), _begin) as pool:
        waiting: list[Future[Path]] = [pool.submit(kept, _sent(plan), cache, _silent, 1) for plan in plans]
        try:
            yield
        except BaseException:
            if not all(each.done() for each in waiting):
                for process in pool._processes:
                    os.kill(process, signal.SIGINT)  # unlike a kill it lets the half of a trace be removed
            pool.shutdown(cancel_futures=True)
            raise
        for plan, each in zip(plans, waiting, strict=True):
            if each.exception() is not None:
                _log.warning("%s: not made beside the fit, so it is made after it: %s", plan.name, each.exception())


def _begin() -> None:
    """A program that a shell has put into the background ignores SIGINT, and so would this process."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    end_with_parent()


def _sent(plan: CorpusPlan) -> CorpusPlan:
    """The plan as another process can be given it: with plain mappings."""
    return replace(plan, shares=dict(plan.shares))


def _silent(_: str) -> None:
    """The fit is what is told of meanwhile."""
