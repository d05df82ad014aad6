"""All rows of all nodes at one moment."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, final

from hashwarden.serve.top.feed import Node
from hashwarden.serve.top.health import is_stale
from hashwarden.serve.top.order import Order
from hashwarden.serve.top.rows import CaseRow, GpuRow, JobRow, case_row, gpu_rows, job_row, mapping, number, sequence
from hashwarden.serve.top.words import Look, clean

__all__ = ["MOST", "View", "stale_of", "view_of"]

MOST: Final = 5000
"""Rows of a node that are shown."""

_FREE: Final = 99


@final
@dataclass(slots=True)
class View:
    """See the module.

    Attributes
    ----------
    names : dict of str to str
        Of nodes, by where they are asked.
    stale : set of str
        Nodes whose rows are old.
    gpus, jobs, ended, cases
        Rows, not sorted.
    unix_s : float
        The newest time of a node.
    order : Order
    """

    names: dict[str, str] = field(default_factory=dict)
    stale: set[str] = field(default_factory=set)
    gpus: list[GpuRow] = field(default_factory=list)
    jobs: list[JobRow] = field(default_factory=list)
    ended: list[JobRow] = field(default_factory=list)
    cases: list[CaseRow] = field(default_factory=list)
    unix_s: float = float("-inf")
    order: Order = field(default_factory=Order)

    @property
    def worst_gpus(self) -> list[GpuRow]:
        """The GPUs of the worst jobs first; else in their order."""
        rank: dict[tuple[str, str], int] = {}
        for row in self.jobs:
            for gpu in mapping(row.raw.get("verdicts")):
                rank[row.node, gpu] = min(row.rank, rank.get((row.node, gpu), row.rank))
        return sorted(self.gpus, key=lambda gpu: rank.get((gpu.node, gpu.gpu), _FREE))


def stale_of(nodes: Sequence[Node], now_s: float) -> set[str]:
    """Where the nodes are asked of which nothing is known that is of now."""
    return {node.peer.where for node in nodes if is_stale(node, now_s)}


def view_of(nodes: Sequence[Node], now_s: float, look: Look) -> View:
    """What these nodes say."""
    view = View(stale=stale_of(nodes, now_s))
    for node in nodes:
        where, pages = node.peer.where, node.pages
        view.names[where] = clean(node.name, look, 64)
        gpus = gpu_rows(where, mapping(pages.get("gpus")).get("gpus"), look)[:MOST]
        labels = {gpu.gpu: gpu.label for gpu in gpus}
        view.gpus += gpus
        view.jobs += _jobs(where, mapping(pages.get("jobs")), labels, look)
        view.ended += _jobs(where, node.ended, labels, look)
        view.cases += [case_row(where, one, look) for one in sequence(mapping(pages.get("cases")).get("cases"))[-MOST:]]
        view.unix_s = max(view.unix_s, number(mapping(pages.get("status")).get("unix_s")), view.unix_s)
    return view


def _jobs(where: str, page: Mapping[str, Any], labels: Mapping[str, str], look: Look) -> list[JobRow]:
    return [job_row(where, one, labels, look) for one in sequence(page.get("jobs"))[-MOST:]]
