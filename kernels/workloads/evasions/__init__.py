"""Evasions: ways to run a workload so that it is less easily noticed, each a wrapper over any workload."""

from __future__ import annotations

from typing import Final

from hashwarden.errors import UsageError
from hashwarden.kernels.workloads.evasions import idling, mixing, narrow
from hashwarden.kernels.workloads.evasions.evasion import Evasion

__all__ = ["EVASIONS", "find_evasion"]

EVASIONS: Final[tuple[Evasion, ...]] = (*idling.EVASIONS, *mixing.EVASIONS, *narrow.EVASIONS)


def find_evasion(name: str) -> Evasion:
    """Find the evasion of this name.

    Raises
    ------
    UsageError
        If there is none.
    """
    for evasion in EVASIONS:
        if evasion.name == name:
            return evasion
    raise UsageError(f"no evasion is called {name!r}", "one of " + ", ".join(e.name for e in EVASIONS), "Choose one.")
