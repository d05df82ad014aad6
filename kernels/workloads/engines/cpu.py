"""The Numba programs on the CPU: real executions, one thread after the other, with or without a log."""

from __future__ import annotations

from functools import cache
from typing import Any, final

import numba
import numpy as np
from numpy.typing import NDArray

from hashwarden.kernels.device import grid_kernels
from hashwarden.kernels.memory.log import Recorder
from hashwarden.kernels.memory.recorder import begin
from hashwarden.kernels.workloads.engines.base import Engine, free_host_bytes
from hashwarden.kernels.workloads.plan import Empty, Launch, NativeLaunch, Plan

__all__ = ["CpuEngine"]


@cache
def _compiled(body: Any) -> Any:  # noqa: ANN401  a compiled function
    return numba.njit(grid_kernels(body, begin).host)


@final
class CpuEngine(Engine):
    """Carries a plan out on the CPU.

    Parameters
    ----------
    plan : Plan
        A plan of Numba launches.
    recorder : Recorder, optional
        Takes the log of the memory accesses.
    """

    def __init__(self, plan: Plan, recorder: Recorder | None = None) -> None:
        self._recorder = recorder
        super().__init__(plan)

    def free_bytes(self) -> int:
        """Memory that can still be taken."""
        return free_host_bytes()

    def allocate(self, array: NDArray[Any] | Empty) -> Any:  # noqa: ANN401  as the base says
        """Copy an array, or make zeros."""
        if isinstance(array, Empty):
            return np.zeros(array.shape, array.dtype)
        return np.array(array, order="C")

    def read(self, name: str) -> NDArray[Any]:
        """Copy an array."""
        return np.array(self.arrays[name])

    def launch(self, launch: Launch | NativeLaunch) -> None:
        """Run all threads of a launch."""
        if isinstance(launch, NativeLaunch):
            raise TypeError("CUDA C does not run on the CPU engine")
        log = None if self._recorder is None else self._recorder.arrays(*self.places(launch.arguments))
        with np.errstate(over="ignore"):
            _compiled(launch.body)(launch.threads, log, self.resolve(launch.arguments))
        if self._recorder is not None:
            self._recorder.drain()

    def wait(self) -> None:
        """Return at once: nothing is asynchronous here."""
