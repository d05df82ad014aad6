"""Carries native plans out on the CPU: the engine under test, over kernels that g++ compiled."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from hashwarden.kernels.workloads import catalogue
from hashwarden.kernels.workloads.engines.cupy import CupyEngine
from hashwarden.kernels.workloads.plan import Empty, Plan

NO_TENSOR_CORES = "template <class... T> static void mma_f16_16x8x16(T &&...) { __builtin_trap(); }"
"""For sources with a kernel on tensor cores beside the one that is run."""


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
def any_host(host: Callable[..., object], tmp_path_factory: pytest.TempPathFactory) -> Callable[..., object]:
    """As ``host`` of the folder above, for sources of both packages."""
    folder = Path(__file__).parent.parent
    spec = importlib.util.spec_from_file_location("native_parent_conftest", folder / "conftest.py")
    parent = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(parent)
    built: dict[tuple[object, ...], object] = {}

    def get(name: str, variant: str, symbols: Sequence[str], before: str) -> object:
        if catalogue.find(name).package == "hash":
            return host(name, variant, symbols, before)
        if (name, variant) not in built:
            made = tmp_path_factory.mktemp("plain")
            # The quoted include finds this file first, beside the source that includes it.
            (made / "cuda_shim.h").write_text(f'#include "{folder / "plain" / "plain_shim.h"}"\n{NO_TENSOR_CORES}\n')
            built[name, variant] = parent.build(made, name, variant, symbols, before)
        return built[name, variant]

    return get


@pytest.fixture(scope="session")
def native_engine(any_host: Callable[..., object]) -> Callable[[Plan], object]:
    """``with native_engine(plan) as engine``: the engine over the CPU."""

    @contextmanager
    def make(plan: Plan) -> Iterator[CupyEngine]:
        engine = CupyEngine(plan, HostDriver(any_host))
        try:
            yield engine
        finally:
            engine.close()

    return make
