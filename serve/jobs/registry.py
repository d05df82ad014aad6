"""All providers of jobs: one file each, one line each. Nothing registers itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, cast, final

from hashwarden.serve.registry import chosen, find, made

if TYPE_CHECKING:
    from hashwarden.serve.jobs.job import JobKind
    from hashwarden.serve.jobs.options import JobOptions
    from hashwarden.serve.jobs.provider import Provider

__all__ = ["PROVIDERS", "Registration", "find_provider", "providers"]


@final
@dataclass(frozen=True, slots=True)
class Registration:
    """One provider.

    Attributes
    ----------
    name : str
        What flags and metrics call it.
    kind : JobKind
        The jobs that it knows.
    help : str
        One line.
    default : bool
        Whether it is on unless it is turned off.
    extra : str
        The extra that brings its package, empty if it needs none.
    needs : str
        What else it needs.
    """

    name: str
    kind: JobKind
    help: str
    default: bool
    extra: str
    needs: str

    def make(self, options: JobOptions) -> Provider:
        """The provider; its file ``NAME.py`` has a function ``make``."""
        return cast("Provider", made("hashwarden.serve.jobs", self.name, options))


PROVIDERS: Final[tuple[Registration, ...]] = (
    Registration("slurm", "slurm", "jobs of Slurm", False, "", "squeue and scontrol; root for the environments"),
    Registration("kubernetes", "kubernetes", "pods of Kubernetes", False, "kubernetes", "kubelet's socket"),
    Registration("exporter", "gpu", "jobs as dcgm-exporter's labels tell", False, "", "the source dcgm"),
    Registration("drill", "process", "a job for each device of a replayed trace", False, "", "the source replay"),
    Registration("pushed", "pushed", "jobs as those say who push their samples", False, "", "hashwarden serve"),
    Registration("sessions", "process", "containers, logins and sessions", True, "", ""),
)
"""All of them, in the order in which they are asked whose a process is: the first that knows is believed."""


def find_provider(name: str) -> Registration:
    """Find the provider of this name.

    Raises
    ------
    UsageError
        If there is none.
    """
    return find(PROVIDERS, name, "provider of jobs")


def providers(names: tuple[str, ...], options: JobOptions) -> tuple[Provider, ...]:
    """The named providers in the order of the table; the defaults if none is named.

    Raises
    ------
    UsageError
        If there is no such provider.
    MissingExtraError
        If the package that one needs is not installed.
    """
    return tuple(one.make(options) for one in chosen(PROVIDERS, names, "provider of jobs"))
