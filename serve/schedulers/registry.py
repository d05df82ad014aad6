"""All schedulers: one file each, one line each. Nothing registers itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, cast, final

from hashwarden.serve.registry import find, made

if TYPE_CHECKING:
    from hashwarden.serve.jobs.job import JobKind
    from hashwarden.serve.schedulers.options import SchedulerOptions
    from hashwarden.serve.schedulers.scheduler import Scheduler

__all__ = ["SCHEDULERS", "Registration", "find_scheduler"]


@final
@dataclass(frozen=True, slots=True)
class Registration:
    """One scheduler.

    Attributes
    ----------
    name : str
        What flags and metrics call it.
    kind : JobKind
        The jobs that it knows.
    help : str
        One line.
    extra : str
        The extra that brings its package, empty if it needs none.
    needs : str
        What else it needs.
    """

    name: str
    kind: JobKind
    help: str
    extra: str
    needs: str

    def make(self, options: SchedulerOptions) -> Scheduler:
        """The scheduler; its file ``NAME.py`` has a function ``make``."""
        return cast("Scheduler", made("hashwarden.serve.schedulers", self.name, options))


SCHEDULERS: Final[tuple[Registration, ...]] = (
    Registration("slurm", "slurm", "Slurm, by its own commands", "", "scontrol and scancel; a Slurm operator"),
    Registration("kubernetes", "kubernetes", "Kubernetes, by its API", "kubernetes", "a service account"),
    Registration("process", "process", "processes of this machine, by signals", "", "root or the same user"),
)
"""All of them."""


def find_scheduler(name: str) -> Registration:
    """Find the scheduler of this name.

    Raises
    ------
    UsageError
        If there is none.
    """
    return find(SCHEDULERS, name, "scheduler")
