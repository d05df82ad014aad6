"""Numba's CUDA programs on the interpreter: plans of Numba launches, carried out without a GPU."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any
from unittest import mock

import numba.cuda
import numpy as np
from sm_driver import ARCH
from sm_module import Module

from hashwarden.kernels.workloads.engines.base import Engine, free_host_bytes
from hashwarden.kernels.workloads.engines.offline import ptx_of
from hashwarden.kernels.workloads.plan import Empty, Launch, NativeLaunch, Plan

__all__ = ["NumbaEngine", "flattened", "linked", "numba_module"]

COMPUTE_CAPABILITY = (9, 0)
cuda: Any = numba.cuda


def flattened(argument: Any) -> Iterator[Any]:
    """What a kernel of Numba gets for one argument: of an array its owners, sizes, data, shape and strides."""
    if not isinstance(argument, np.ndarray):
        yield argument
        return
    yield from (np.uint64(0), np.uint64(0), np.int64(argument.size), np.int64(argument.itemsize), argument)
    yield from (np.int64(side) for side in (*argument.shape, *argument.strides))


def linked(ptx: str) -> bytes:
    """Machine code that can be loaded: assembled and linked, as Numba does with nvJitLink."""
    from cuda import core

    linker = core.Linker(core.ObjectCode.from_ptx(ptx.encode()), options=core.LinkerOptions(arch=ARCH))
    try:
        return bytes(linker.link("cubin").code)
    finally:
        linker.close()


def numba_module(kernel: Any, signature: tuple[Any, ...]) -> Module:
    """Compile a kernel of Numba for `ARCH` and load it.

    Parameters
    ----------
    kernel : callable
        What `numba.cuda.jit` would be given.
    signature : tuple of Numba types
        Of its arguments.
    """
    # compile_ptx is told the architecture, yet numba-cuda asks the present GPU about it for device functions.
    nobody = SimpleNamespace(compute_capability=COMPUTE_CAPABILITY)
    with mock.patch("numba.cuda.dispatcher.get_current_device", return_value=nobody):
        return Module(linked(cuda.compile_ptx(kernel, signature, cc=COMPUTE_CAPABILITY)[0]))


class NumbaEngine(Engine):
    """Carries a plan out: each launch is compiled for `ARCH`, once for its body and types, and run to its end.

    Parameters
    ----------
    plan : Plan
        A plan of Numba launches.
    ptx : callable, optional
        Gives the PTX of a launch of the plan, as `hashwarden.kernels.workloads.engines.offline.ptx_of`.
    """

    def __init__(self, plan: Plan, ptx: Callable[[Launch, Plan], str] = ptx_of) -> None:
        self.modules: dict[tuple[Any, ...], Module] = {}
        self._ptx = ptx
        super().__init__(plan)

    def free_bytes(self) -> int:
        """Memory that can still be taken."""
        return free_host_bytes()

    def allocate(self, array: np.ndarray | Empty) -> np.ndarray:
        """Copy an array, or make one of zeros."""
        return np.zeros(array.shape, array.dtype) if isinstance(array, Empty) else np.array(array, order="C")

    def read(self, name: str) -> np.ndarray:
        """Copy an array."""
        return self.arrays[name].copy()

    def launch(self, launch: Launch | NativeLaunch) -> None:
        """Run one launch to its end."""
        assert isinstance(launch, Launch), "CUDA C goes to sm_driver"
        arguments = self.resolve(launch.arguments)
        module = self._module(launch, arguments)
        given = [part for argument in arguments for part in flattened(argument)]
        blocks = -(-launch.threads // launch.block)
        module.launch(module.cubin.names[0], blocks, launch.block, np.int64(launch.threads), *given, shared_bytes=0)

    def _module(self, launch: Launch, arguments: Any) -> Module:
        types = tuple((argument.dtype.str, getattr(argument, "ndim", 0)) for argument in arguments)
        if (launch.body, types) not in self.modules:
            self.modules[launch.body, types] = Module(linked(self._ptx(launch, self.plan)))
        return self.modules[launch.body, types]

    def wait(self) -> None:
        """Nothing is asynchronous here."""

    def close(self) -> None:
        """Give the memory back."""
        self.arrays = {}
