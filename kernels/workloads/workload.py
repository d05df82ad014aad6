"""What a workload is: a labelled program that can be run at several sizes, on several engines."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from hashwarden.errors import UsageError
from hashwarden.kernels.workloads.catalogue import Bound
from hashwarden.kernels.workloads.plan import Plan

__all__ = ["LABELS", "SIZES", "Builder", "JobLabel", "Parameter", "Settings", "TorchBuilder", "TorchRun", "Workload"]

JobLabel = Literal["mining", "training", "inference", "hash-other", "hpc-other"]
LABELS = ("mining", "training", "inference", "hash-other", "hpc-other")

SIZES = ("small", "trace", "gpu")
"""For the simulator; for a trace on a CPU; for a GPU."""

Settings = Mapping[str, int]
"""Value of each parameter."""

Builder = Callable[[Settings, int], Plan]
"""From settings and a seed to a plan."""


class TorchRun(Protocol):
    """A workload in torch, prepared on one device."""

    units: float
    """What a step does, in the workload's unit."""

    def step(self) -> None:
        """Enqueue one step."""

    def wait(self) -> None:
        """Wait until the device has done all steps."""

    def check(self) -> None:
        """Compare with an oracle; raises CheckError."""


TorchBuilder = Callable[[Settings, int, str], TorchRun]
"""From settings, a seed and a torch device ("cpu", "cuda") to a prepared run."""


@dataclass(frozen=True, slots=True)
class Parameter:
    """One number that sizes a workload.

    Attributes
    ----------
    name : str
        As in the settings.
    unit : str
        Such as "bytes", "hashes", "tokens"; empty for a plain count.
    low, high : int
        Smallest and largest value, both allowed.
    meaning : str
        One line.
    power_of_two : bool
        Whether only powers of two are allowed.
    """

    name: str
    unit: str
    low: int
    high: int
    meaning: str
    power_of_two: bool = False

    def check(self, value: int) -> None:
        """Raise UsageError if the value is out of range."""
        fits = self.low <= value <= self.high
        if not fits or (self.power_of_two and value & (value - 1)):
            kind = "a power of two" if self.power_of_two else "a number"
            limits = f"{kind} from {self.low:,} to {self.high:,} {self.unit}".rstrip()
            raise UsageError(f"{self.name} = {value:,}", limits, "Choose a value in this range.")


@dataclass(frozen=True, slots=True)
class Workload:
    """A labelled, inert program for a GPU.

    Attributes
    ----------
    name : str
        Unique, lower case, words joined by hyphens.
    label : str
        What a job that runs it is.
    family : str
        Kin: workloads of one family share an algorithm and are split together.
    bound : str
        What limits it on a GPU.
    summary : str
        One line on what it computes and from which specification.
    unit : str
        What is counted, in the singular: "hash", "sample", "token".
    parameters : tuple of Parameter
        What can be set.
    sizes : mapping
        Settings of each name in `SIZES`.
    build : callable, optional
        The Numba program: traced on the CPU, in the simulator, on a GPU.
    native : callable, optional
        The CUDA C program, whose launches are NativeLaunch.
    torch : callable, optional
        The torch program.
    """

    name: str
    label: JobLabel
    family: str
    bound: Bound
    summary: str
    unit: str
    parameters: tuple[Parameter, ...]
    sizes: Mapping[str, Settings]
    build: Builder | None = None
    native: Builder | None = None
    torch: TorchBuilder | None = None

    def engines(self) -> tuple[str, ...]:
        """Names of the engines that can run it."""
        found: dict[str, Any] = {"cpu": self.build, "numba": self.build, "cupy": self.native, "torch": self.torch}
        return tuple(name for name, program in found.items() if program is not None)

    def settings(self, size: str, changes: Settings | None = None) -> dict[str, int]:
        """Settings of a size, with some changed.

        Raises
        ------
        UsageError
            If the size or a parameter is unknown, or a value out of its range.
        """
        if size not in self.sizes:
            raise UsageError(f"the size {size!r}", "one of " + ", ".join(self.sizes), "Choose one of them.")
        values = {**self.sizes[size], **(changes or {})}
        known = {parameter.name: parameter for parameter in self.parameters}
        for name, value in values.items():
            if name not in known:
                names = ", ".join(known) or "none"
                raise UsageError(f"{self.name} has no parameter {name!r}", f"one of {names}", "Correct the name.")
            known[name].check(value)
        return values
