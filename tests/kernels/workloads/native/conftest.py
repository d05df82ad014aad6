"""Carries native plans out on the CPU: the engine under test, over kernels that g++ compiled."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import pytest

from hashwarden.kernels.workloads.engines.cupy import CupyEngine
from hashwarden.kernels.workloads.plan import Empty, Plan


class HostDriver:
    """A driver of `CupyEngine` whose device is the CPU."""

    def __init__(self, host: Callable[..., object]) -> None:
        self.host, self.loaded, self.closed = host, [], False

    def free_bytes(self) -> int:
        return 1 << 30

    def take(self, array: np.ndarray | Empty) -> np.ndarray:
        made = np.zeros(array.shape, array.dtype) if isinstance(array, Empty) else np.array(array, order="C")
        assert made.flags.c_contiguous
        return made

    def read(self, array: np.ndarray) -> np.ndarray:
        return array.copy()

    def fill(self, array: np.ndarray, byte: int) -> None:
        array.view(np.uint8)[...] = byte

    def load(self, source: str, variant: str, symbols: Sequence[str]) -> object:
        self.loaded.append((source, variant))
        names = {symbol: symbol.replace("::", "__") for symbol in symbols}
        aliases = " ".join(f"static auto &{plain} = {symbol};" for symbol, plain in names.items() if plain != symbol)
        return self.host(source, variant, tuple(names.values()), aliases)

    def store(self, module: object, symbol: str, data: np.ndarray) -> None:
        module.write(symbol.replace("::", "__"), np.ascontiguousarray(data))

    def launch(self, module: object, launch: object, arguments: Sequence[object]) -> None:
        sides = [side if len(side) > 1 else (side[0], 1) for side in (launch.grid, launch.block)]
        module.launch(launch.kernel, *sides, *arguments)

    def wait(self) -> None:
        """Nothing is asynchronous here."""

    def close(self) -> None:
        self.closed = True


@pytest.fixture(scope="session")
def native_engine(host: Callable[..., object]) -> Callable[[Plan], object]:
    """``with native_engine(plan) as engine``: the engine over the CPU."""

    @contextmanager
    def make(plan: Plan) -> Iterator[CupyEngine]:
        engine = CupyEngine(plan, HostDriver(host))
        try:
            yield engine
        finally:
            engine.close()

    return make
