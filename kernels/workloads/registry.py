"""All workloads: one line for each file of a family.

Nothing registers itself: what is not named here does not exist. Each named module exposes a tuple
``WORKLOADS``.
"""

from __future__ import annotations

from importlib import import_module
from typing import Final

from hashwarden.errors import UsageError
from hashwarden.kernels.workloads.workload import Workload

__all__ = ["FAMILIES", "find", "workloads"]

FAMILIES: Final = (
    "others.hash_join",
)  # fmt: skip
"""Modules below this package."""


def workloads() -> tuple[Workload, ...]:
    """All workloads, in a fixed order."""
    modules = (import_module(f"hashwarden.kernels.workloads.{name}") for name in FAMILIES)
    return tuple(workload for module in modules for workload in module.WORKLOADS)


def find(name: str) -> Workload:
    """Find the workload of this name.

    Raises
    ------
    UsageError
        If there is none; the message names those that are spelled alike.
    """
    from difflib import get_close_matches

    known = {workload.name: workload for workload in workloads()}
    if name in known:
        return known[name]
    alike = get_close_matches(name, known, n=3, cutoff=0.5)
    expected = "one of " + ", ".join(alike) if alike else "a known name"
    raise UsageError(f"no workload is called {name!r}", expected, "List them: hashwarden workloads list.")
