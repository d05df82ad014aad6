"""What an evasion is: a way to run a workload so that counters show less of it.

An evasion wraps a prepared run and is one itself, so that evasions can be put around one another. None
changes what the workload computes; each states which share of the full speed it keeps by construction,
and the runner measures which share it kept.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from hashwarden.errors import UsageError
from hashwarden.kernels.workloads.workload import Parameter, Settings

__all__ = ["Clock", "Evasion", "Run", "SystemClock", "Wrapper"]


class Run(Protocol):
    """A workload that is ready to take steps."""

    @property
    def units(self) -> float:
        """What a step does, in the workload's unit."""

    def step(self) -> None:
        """Enqueue one step."""

    def wait(self) -> None:
        """Wait until all steps are done."""


class Clock(Protocol):
    """Time, so that tests need not wait."""

    def now(self) -> float:
        """Seconds since some moment."""

    def sleep(self, seconds: float) -> None:
        """Let time pass."""


class SystemClock:
    """The clock of the machine."""

    def now(self) -> float:
        """Seconds of the monotonic clock."""
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        """Let time pass; the device is idle meanwhile."""
        if seconds > 0:
            time.sleep(seconds)


Wrapper = Callable[[Run, Sequence[Run], Settings, int, Clock], Run]
"""From the hidden run, its company, settings, a seed and a clock to the run that hides it."""


@dataclass(frozen=True, slots=True)
class Evasion:
    """One way to hide a workload.

    Attributes
    ----------
    name : str
        Unique.
    summary : str
        One line.
    parameters : tuple of Parameter
        What can be set.
    defaults : mapping
        Values of the parameters.
    share : callable
        From settings to the share of full speed that is kept by construction, 0 to 1, or NaN where only a
        measurement can tell.
    wrap : callable
        See `Wrapper`.
    company : tuple of str
        Names of the workloads that run beside the hidden one, unless others are named.
    most_blocks : callable, optional
        From settings to the number of blocks that a launch may have.
    """

    name: str
    summary: str
    parameters: tuple[Parameter, ...]
    defaults: Settings
    share: Callable[[Settings], float]
    wrap: Wrapper
    company: tuple[str, ...] = ()
    most_blocks: Callable[[Settings], int] | None = None

    def settings(self, changes: Settings | None = None) -> dict[str, int]:
        """Defaults with some changed.

        Raises
        ------
        UsageError
            If a parameter is unknown, or a value out of its range.
        """
        values = {**self.defaults, **(changes or {})}
        known = {parameter.name: parameter for parameter in self.parameters}
        for name, value in values.items():
            if name not in known:
                names = ", ".join(known) or "none"
                raise UsageError(f"{self.name} has no parameter {name!r}", f"one of {names}", "Correct the name.")
            known[name].check(value)
        return values
