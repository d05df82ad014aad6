"""The Numba programs on a GPU, or in Numba's simulator."""

from __future__ import annotations

from functools import cache
from typing import Any, Final, final

import numba.cuda
import numpy as np
from numpy.typing import NDArray

from hashwarden.errors import NoDeviceError
from hashwarden.kernels.device import SIMULATED, grid_kernels, require_numba_cuda
from hashwarden.kernels.memory.log import Recorder
from hashwarden.kernels.memory.recorder import begin
from hashwarden.kernels.workloads.engines.base import Engine, free_host_bytes
from hashwarden.kernels.workloads.plan import Empty, Launch, NativeLaunch, Plan

cuda: Any = numba.cuda
config: Any = numba.config

__all__ = ["MOST_BLOCKS", "NumbaEngine", "recorder_for_gpu", "require_gpu"]

MOST_BLOCKS: Final = 1 << 20
"""More than that is covered by each thread doing several."""


@cache
def _plain(body: Any) -> Any:  # noqa: ANN401  a compiled function
    return cuda.jit(grid_kernels(body, begin).plain)


@cache
def _logged(body: Any) -> Any:  # noqa: ANN401  a compiled function
    return cuda.jit(grid_kernels(body, begin).logged)


def require_gpu() -> None:
    """Make sure that Numba can use a GPU.

    Raises
    ------
    MissingExtraError
        If the package numba-cuda is not installed.
    NoDeviceError
        If there is none, or if its driver does not answer.
    """
    require_numba_cuda()
    if SIMULATED:
        return
    config.CUDA_LOW_OCCUPANCY_WARNINGS = 0  # a launch that leaves most of the GPU idle is meant so
    try:
        found = cuda.is_available()
        reason = "no CUDA GPU or driver answers"
    except Exception as error:
        found, reason = False, f"the CUDA driver fails: {error}".splitlines()[0]
    if not found:
        raise NoDeviceError(reason, "an NVIDIA GPU and its driver", "Use the engine cpu, or a machine with a GPU.")


@final
class NumbaEngine(Engine):
    """Carries a plan out through Numba CUDA.

    Parameters
    ----------
    plan : Plan
        A plan of Numba launches.
    recorder : Recorder, optional
        Takes the log of the memory accesses; made with ``upload=cuda.to_device`` (see `recorder_for_gpu`).
    most_blocks : int
        Blocks of a launch at most; fewer than the GPU has SMs leaves the others idle.
    """

    def __init__(self, plan: Plan, recorder: Recorder | None = None, most_blocks: int = MOST_BLOCKS) -> None:
        require_gpu()
        self._recorder, self._most = recorder, most_blocks
        super().__init__(plan)

    def free_bytes(self) -> int:
        """Device memory that can still be taken."""
        if SIMULATED:
            return free_host_bytes()
        return int(cuda.current_context().get_memory_info().free)

    def allocate(self, array: NDArray[Any] | Empty) -> Any:  # noqa: ANN401  as the base says
        """Take device memory and fill it."""
        if not isinstance(array, Empty):
            return cuda.to_device(np.ascontiguousarray(array))
        if SIMULATED:
            return cuda.to_device(np.zeros(array.shape, array.dtype))
        taken = cuda.device_array(array.shape, array.dtype)
        if array.nbytes:
            cuda.driver.device_memset(taken, 0, array.nbytes)
        return taken

    def read(self, name: str) -> NDArray[Any]:
        """Copy an array to the host; waits for the kernels."""
        return np.asarray(self.arrays[name].copy_to_host())

    def launch(self, launch: Launch | NativeLaunch) -> None:
        """Enqueue one launch."""
        if isinstance(launch, NativeLaunch):
            raise TypeError("CUDA C does not run on the Numba engine")
        blocks = min(-(-launch.threads // launch.block), self._most)
        arguments = self.resolve(launch.arguments)
        with np.errstate(over="ignore"):
            if self._recorder is None:
                _plain(launch.body)[blocks, launch.block](launch.threads, arguments)
                return
            log = self._recorder.arrays(*self.places(launch.arguments))
            _logged(launch.body)[blocks, launch.block](launch.threads, log, arguments)
        self._recorder.drain()

    def wait(self) -> None:
        """Wait until all launches are done."""
        cuda.synchronize()


def recorder_for_gpu(**options: Any) -> Recorder:  # noqa: ANN401  options of Recorder
    """Make a recorder whose ring lies in device memory; the options are those of `Recorder`."""
    return Recorder(**options, upload=cuda.to_device, download=lambda array: array.copy_to_host())
