"""What every engine does: take the memory of a plan, launch it, give results back."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from hashwarden.errors import MemoryShortError
from hashwarden.kernels.memory.log import layout
from hashwarden.kernels.workloads.events import LaunchTally
from hashwarden.kernels.workloads.plan import Empty, Launch, NativeLaunch, Plan

__all__ = ["Engine", "Results", "free_host_bytes"]

_SPARE: Final = 64 << 20


class Results(Mapping[str, NDArray[Any]]):
    """Contents of the arrays of an engine, copied on access."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def __getitem__(self, name: str) -> NDArray[Any]:
        return self._engine.read(name)

    def __iter__(self) -> Iterator[str]:
        return iter(self._engine.plan.arrays)

    def __len__(self) -> int:
        return len(self._engine.plan.arrays)


class Engine(ABC):
    """A plan on a machine.

    Parameters
    ----------
    plan : Plan
        What to run; its memory is taken here.

    Raises
    ------
    MemoryShortError
        If less memory is free than the arrays take, before any is taken.
    """

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        free, need = self.free_bytes(), plan.nbytes + _SPARE
        if need > free:
            remedy = "Choose a smaller size, or free memory on the device."
            raise MemoryShortError(f"{free:,} bytes free", f"{need:,} bytes for this size", remedy)
        self.arrays: dict[str, Any] = {}
        try:
            for name, array in plan.arrays.items():
                self.arrays[name] = self.allocate(array)
        except BaseException:
            self.close()
            raise
        self.addresses = layout({name: int(array.nbytes) for name, array in plan.arrays.items()})
        self.tally = LaunchTally()
        self._steps = 0

    @property
    def units(self) -> float:
        """What a step does, in the workload's unit."""
        return self.plan.work.units

    @abstractmethod
    def free_bytes(self) -> int:
        """Memory that can still be taken."""

    @abstractmethod
    def allocate(self, array: NDArray[Any] | Empty) -> Any:  # noqa: ANN401  arrays of several libraries
        """Take memory where the kernels run, and fill it."""

    @abstractmethod
    def read(self, name: str) -> NDArray[Any]:
        """Copy an array to the host; waits for the kernels."""

    @abstractmethod
    def launch(self, launch: Launch | NativeLaunch) -> None:
        """Enqueue one launch."""

    @abstractmethod
    def wait(self) -> None:
        """Wait until all launches are done."""

    def setup(self) -> None:
        """Launch what is done once."""
        for launch in self.plan.setup:
            self.launch(launch)

    def step(self) -> None:
        """Launch the next step."""
        for launch in self.plan.step(self._steps):
            self.launch(launch)
            self.tally.add(launch)
        self._steps += 1

    def check(self) -> None:
        """Run set-up and step 0, and compare with the oracle.

        Raises
        ------
        CheckError
            If a result differs.
        """
        self.setup()
        self.step()
        self.plan.check(Results(self))

    def close(self) -> None:
        """Give the memory back."""
        self.arrays.clear()

    def resolve(self, arguments: Sequence[str | np.generic]) -> tuple[Any, ...]:
        """Arrays in place of their names."""
        return tuple(self.arrays[item] if isinstance(item, str) else item for item in arguments)

    def places(self, arguments: Sequence[str | np.generic]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Address and bytes of an element of each argument, zero for scalars; for the recorder."""
        names = [item if isinstance(item, str) else None for item in arguments]
        bases = [0 if name is None else self.addresses[name] for name in names]
        widths = [0 if name is None else np.dtype(self.plan.arrays[name].dtype).itemsize for name in names]
        return np.array(bases, np.int64), np.array(widths, np.int64)


def free_host_bytes() -> int:
    """Memory of the host that can be taken without swapping, in bytes (``/proc/meminfo``)."""
    with open("/proc/meminfo", encoding="ascii") as file:  # noqa: PTH123  not a file of ours
        lines = dict(line.split(":", 1) for line in file)
    return int(lines["MemAvailable"].split()[0]) * 1024
