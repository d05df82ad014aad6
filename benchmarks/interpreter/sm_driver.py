"""The interpreter as a device of the CuPy engine: plans of CUDA C launches, carried out without a GPU."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

import numpy as np
from sm_module import Module

from hashwarden.kernels.workloads import catalogue, compiler
from hashwarden.kernels.workloads.engines.cupy import CupyEngine
from hashwarden.kernels.workloads.plan import Empty, NativeLaunch, Plan

__all__ = ["ARCH", "Driver", "cubin_of", "engine", "module_of"]

ARCH = "sm_90"


class Driver:
    """A `hashwarden.kernels.workloads.engines.cupy.Driver` whose device is the interpreter; arrays are NumPy's."""

    def __init__(self, arch: str = ARCH) -> None:
        self.arch = arch
        self.modules: dict[tuple[str, str], Module] = {}
        self.closed = False

    def free_bytes(self) -> int:
        """Memory that can still be taken; enough for what is run here."""
        return 1 << 30

    def take(self, array: np.ndarray | Empty) -> np.ndarray:
        """Copy an array, or make one of zeros."""
        made = np.zeros(array.shape, array.dtype) if isinstance(array, Empty) else np.array(array, order="C")
        assert made.flags.c_contiguous
        return made

    def read(self, array: np.ndarray) -> np.ndarray:
        """Copy it back."""
        return array.copy()

    def fill(self, array: np.ndarray, byte: int) -> None:
        """Set every byte."""
        array.view(np.uint8)[...] = byte

    def load(self, source: str, variant: str, _symbols: Sequence[str]) -> Module:
        """Compile a source, unless that is done, with variables of its own."""
        key = (source, variant)
        if key not in self.modules:
            self.modules[key] = Module(cubin_of(source, variant, self.arch))
        return self.modules[key]

    def store(self, module: Module, symbol: str, data: np.ndarray) -> None:
        """Copy an array to constant memory."""
        module.write(symbol, np.ascontiguousarray(data))

    def launch(self, module: Module, launch: NativeLaunch, arguments: Sequence[Any]) -> None:
        """Run a kernel to its end."""
        module.launch(launch.kernel, launch.grid, launch.block, *arguments, shared_bytes=launch.shared_bytes)

    def wait(self) -> None:
        """Nothing is asynchronous here."""

    def close(self) -> None:
        """Remember that it was called."""
        self.closed = True


@lru_cache(maxsize=256)
def cubin_of(source: str, variant: str, arch: str = ARCH) -> bytes:
    """Machine code of a source of the catalogue."""
    return compiler.compile_cubin(catalogue.find(source), catalogue.parse_variant(variant), arch)


def module_of(text: str, defines: Sequence[tuple[str, str]] = ()) -> Module:
    """Compile CUDA C, as CuPy would for `ARCH`, and load it."""
    from cuda import core

    program = core.Program(text, "c++", core.ProgramOptions(arch=ARCH, define_macro=list(defines) or None))
    try:
        return Module(bytes(program.compile("cubin").code))
    finally:
        program.close()


@contextmanager
def engine(plan: Plan, driver: Driver | None = None) -> Iterator[CupyEngine]:
    """The engine with a plan, on the interpreter."""
    made = CupyEngine(plan, driver or Driver())
    try:
        yield made
    finally:
        made.close()
