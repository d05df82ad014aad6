"""The CUDA C programs on a GPU, through CuPy.

`CupyEngine` holds what is worth testing without a GPU: which module a launch needs, when it is compiled,
when its constant memory is written, what is given back. The few calls that need a GPU are a `Driver`;
`hashwarden.kernels.workloads.engines.cupy_driver` has the one of CuPy.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Any, Final, Protocol, final

import numpy as np
from numpy.typing import NDArray

from hashwarden.errors import UsageError
from hashwarden.kernels.workloads.engines.base import Engine
from hashwarden.kernels.workloads.native.launches import Fill, Store
from hashwarden.kernels.workloads.plan import Empty, Launch, NativeLaunch, Plan

__all__ = ["CupyEngine", "Driver"]

_MOST_MODULES: Final = 32
"""Compiled sources kept on the device; a plan that writes a new program every period would fill it up."""


class Driver(Protocol):
    """What an engine needs of a device. Memory and modules are whatever the driver makes them."""

    def free_bytes(self) -> int:
        """Device memory that can still be taken."""

    def take(self, array: NDArray[Any] | Empty) -> Any:  # noqa: ANN401  a driver's own array
        """Take memory and fill it; an index in front gives a part that shares it."""

    def read(self, array: Any) -> NDArray[Any]:  # noqa: ANN401  a driver's own array
        """Copy to the host; waits for the kernels."""

    def fill(self, array: Any, byte: int) -> None:  # noqa: ANN401  a driver's own array
        """Set every byte."""

    def load(self, source: str, variant: str, symbols: Sequence[str]) -> Any:  # noqa: ANN401  its own module
        """Compile a source, unless that is done, and bring it to the device."""

    def store(self, module: Any, symbol: str, data: Any) -> None:  # noqa: ANN401  host or device array
        """Copy an array to constant memory."""

    def launch(self, module: Any, launch: NativeLaunch, arguments: Sequence[Any]) -> None:  # noqa: ANN401
        """Enqueue a kernel; the arguments are taken arrays and NumPy scalars."""

    def wait(self) -> None:
        """Wait until all that was enqueued is done."""

    def close(self) -> None:
        """Give everything back."""


@final
class CupyEngine(Engine):
    """Carries a plan of CUDA C launches out.

    Parameters
    ----------
    plan : Plan
        A plan of native launches. An argument ``"name[3]"`` is the fourth part of an array.
    driver : Driver, optional
        By default CuPy's on the current device.

    Raises
    ------
    MissingExtraError
        If CuPy is not installed.
    NoDeviceError
        If there is no GPU, its driver is too old, or nothing can be compiled for it.
    MemoryShortError
        If less memory is free than the arrays take; nothing stays taken.
    """

    def __init__(self, plan: Plan, driver: Driver | None = None) -> None:
        if driver is None:
            from hashwarden.kernels.workloads.engines.cupy_driver import CupyDriver

            driver = CupyDriver()
        self._driver = driver
        self._modules: OrderedDict[tuple[str, str], Any] = OrderedDict()
        super().__init__(plan)

    def free_bytes(self) -> int:
        """Device memory that can still be taken."""
        return self._driver.free_bytes()

    def allocate(self, array: NDArray[Any] | Empty) -> Any:  # noqa: ANN401  as the base says
        """Take device memory and fill it."""
        return self._driver.take(array)

    def read(self, name: str) -> NDArray[Any]:
        """Copy an array to the host; waits for the kernels."""
        return self._driver.read(self.arrays[name])

    def launch(self, launch: Launch | NativeLaunch) -> None:
        """Enqueue one launch, a fill or a copy to constant memory; compiles what is new."""
        if isinstance(launch, Launch):
            raise TypeError("a Numba body does not run on the CuPy engine")
        arguments = self.resolve(launch.arguments)
        if isinstance(launch, Fill):
            self._driver.fill(arguments[0], int(arguments[1]))
            return
        module = self._module(launch.source, launch.variant)
        if isinstance(launch, Store):
            self._driver.store(module, launch.kernel, arguments[0])
            return
        self._driver.launch(module, launch, arguments)

    def wait(self) -> None:
        """Wait until all launches are done."""
        self._driver.wait()

    def close(self) -> None:
        """Give the memory and the modules back."""
        self.arrays = {}
        self._modules.clear()
        self._driver.close()

    def resolve(self, arguments: Sequence[str | np.generic]) -> tuple[Any, ...]:
        """Arrays, or parts of them, in place of their names."""
        return tuple(self._array(item) if isinstance(item, str) else item for item in arguments)

    def _array(self, words: str) -> Any:  # noqa: ANN401  a driver's own array
        name, _, part = words.partition("[")
        if name not in self.arrays:
            raise UsageError(f"an argument {words!r}", "an array of the plan", "This is a fault of hashwarden.")
        return self.arrays[name][int(part.removesuffix("]"))] if part else self.arrays[name]

    def _module(self, source: str, variant: str) -> Any:  # noqa: ANN401  a driver's own module
        key = (source, variant)
        if key not in self._modules:
            symbols = self._symbols(source)
            module = self._driver.load(source, variant, tuple(symbols))
            for symbol, data in symbols.items():
                self._driver.store(module, symbol, np.ascontiguousarray(data))
            self._modules[key] = module
            self._forget_oldest()
        self._modules.move_to_end(key)
        return self._modules[key]

    def _symbols(self, source: str) -> Mapping[str, NDArray[Any]]:
        return {symbol: data for (owner, symbol), data in self.plan.symbols.items() if owner == source}

    def _forget_oldest(self) -> None:
        if len(self._modules) > _MOST_MODULES:
            self._driver.wait()  # a module may not go while one of its kernels runs
            self._modules.popitem(last=False)
