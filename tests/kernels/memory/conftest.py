"""Address logs with known answers, and the CUDA C passes without a GPU."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from sm_driver import module_of

from hashwarden.kernels.device import grid_kernels
from hashwarden.kernels.memory import patterns_bodies, patterns_cupy
from hashwarden.kernels.memory.log import AddressLog, Sampling
from hashwarden.kernels.memory.patterns_passes import merged_distances
from hashwarden.kernels.memory.recorder import begin

FIRST = 1 << 40


def make_log(address, *, site=0, kind=0, width=4, depth=0, launch=0, sampling=None, lost=0) -> AddressLog:
    """Accesses of shape (steps, threads); the other columns are of that shape too, or broadcast to it."""
    address = np.asarray(address, np.int64)
    order, thread = np.indices(address.shape)
    columns = {"thread": thread, "order": order, "launch": launch, "depth": depth, "site": site, "width": width}
    columns |= {"kind": kind}
    full = {name: np.broadcast_to(np.asarray(c, np.int64), address.shape).ravel() for name, c in columns.items()}
    return AddressLog(address=FIRST + address.ravel(), **full, sampling=sampling or Sampling(), lost=lost)


def make_random_log(seed: int, threads: int = 70, steps: int = 12, by_line: bool = False) -> AddressLog:
    """Two launches with sites that share a slot, missing lanes, wide and crossing accesses, rows in any order."""
    random = np.random.default_rng(seed)
    parts = []
    for launch in range(2):
        order, thread = np.indices((steps, threads))
        near, far = thread * 4 + order * 256, random.integers(0, 1 << 21, order.shape) * random.choice([1, 4])
        parts.append(
            make_log(
                np.where(random.random(order.shape) < 0.5, near, far),
                site=order % 3 + 64 * (random.random(order.shape) < 0.1),
                kind=random.choice(3, order.shape, p=[0.6, 0.3, 0.1]),
                width=random.choice([1, 2, 4, 8, 16, 64, 300], order.shape),
                depth=random.integers(0, 5, order.shape),
                launch=launch,
                sampling=Sampling(every_access=4 if by_line else 1, by_line=by_line),
            )
        )
    columns = {name: np.concatenate([part.columns()[name] for part in parts]) for name in parts[0].columns()}
    kept = random.permutation(len(columns["address"]))[: int(0.9 * len(columns["address"]))]
    return replace(parts[0], **{name: column[kept] for name, column in columns.items()})


@pytest.fixture(scope="session")
def log_of() -> Callable[..., AddressLog]:
    return make_log


@pytest.fixture(scope="session")
def random_log() -> Callable[..., AddressLog]:
    return make_random_log


class HostMachine:
    """The kernels of patterns.cu in the interpreter; NumPy sorts, as CuPy does on a GPU."""

    def __init__(self, module) -> None:
        self.module = module

    def chunk(self, n):
        return max(n // 50, 7)

    def upload(self, array):
        return np.ascontiguousarray(array)

    def download(self, array):
        return array

    def empty(self, *shape):
        return np.full(shape, -77, np.int64)

    def zeros(self, *shape):
        return np.zeros(shape, np.int64)

    def floats(self, n):
        return np.full(n, np.nan)

    def run(self, name, threads, *arguments):
        # Fewer threads than asked for, so that the loop over the grid is tried too.
        self.module.launch(name, 1, 32, np.int64(threads), *arguments)

    def order(self, keys, n, bits):
        assert n == 0 or 0 <= keys[:n].min() <= keys[:n].max() < 1 << bits
        order = np.argsort(keys[:n], kind="stable")
        return order, keys[order]

    def ordered(self, keys, n, bits):
        return self.order(keys, n, bits)[1]

    def distances(self, previous, n):
        return merged_distances(self, previous, n)


class NumbaMachine(HostMachine):
    """The same passes as Numba compiles them for a GPU."""

    def __init__(self) -> None:
        super().__init__(None)
        self.modules = {}

    def run(self, name, threads, *arguments):
        from sm_numba import flattened

        module = self.compiled(name, tuple(getattr(argument, "ndim", 0) for argument in arguments), arguments)
        numbers = [part for argument in arguments for part in flattened(argument)]
        numbers = [np.int64(part) if isinstance(part, int) else part for part in numbers]
        module.launch(module.cubin.names[0], 1, 32, np.int64(threads), *numbers)

    def compiled(self, name, shape, arguments):
        if (name, shape) not in self.modules:
            from numba import types
            from sm_numba import numba_module

            kinds = [
                types.Array(types.float64 if it.dtype.kind == "f" else types.int64, it.ndim, "C")
                if isinstance(it, np.ndarray) else types.int64 for it in arguments
            ]  # fmt: skip
            kernel = grid_kernels(getattr(patterns_bodies, name), begin).plain
            self.modules[name, shape] = numba_module(kernel, (types.int64, types.Tuple(tuple(kinds))))
        return self.modules[name, shape]


@pytest.fixture(scope="session")
def numba_machine() -> NumbaMachine:
    """The bodies as machine code for sm_90, in the interpreter."""
    return NumbaMachine()


@pytest.fixture(scope="session")
def host_machine() -> HostMachine:
    """patterns.cu as machine code for sm_90, in the interpreter."""
    return HostMachine(module_of(patterns_cupy.source()))
