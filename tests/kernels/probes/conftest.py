"""The probes' CUDA C on the CPU, behind the interface of a GPU, and its machine code for four architectures."""

from __future__ import annotations

import ctypes
import shutil
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hashwarden.kernels.probes.cupy_device import OPTIONS, SOURCES, kernels_of, source_text
from hashwarden.kernels.probes.device import ComputeMode, DeviceFacts, Launch, Timing
from hashwarden.kernels.probes.probe import ARCHITECTURES
from hashwarden.kernels.sass.cubin import Cubin, read_cubin

HERE = Path(__file__).parent
FLAGS = ("-std=c++17", "-O1", "-fno-strict-aliasing", "-fwrapv", "-w", "-fPIC", "-shared")
SYMBOLS = ("costs", "spent", "epoch", "taken_at", "taken_for", "taken")
KINDS = (
    *("lop3", "shf", "imad", "ffma", "hfma2", "dfma", "dp4a", "mufu", "hmma", "imma"),
    *("lds", "ldg", "atom", "settle", "clock", "timer"),
)
COSTS = dict(zip(KINDS, (4, 5, 4, 4, 6, 16, 5, 20, 33, 32, 24, 220, 300, 10, 10, 40), strict=True))
LAUNCH_NS = 1_000

FACTS = DeviceFacts("CPU in disguise", (9, 0), 4, 50 << 20, ComputeMode.DEFAULT, 13000, 13000)


class HostDevice:
    """A ProbeDevice that runs the CUDA C on the CPU, on a clock that the tests set.

    ``costs`` are the cycles of each instruction; ``taken`` lists stretches (start, length) of ns on the probes' own
    clock, at which the GPU goes to others; ``steps`` says when the kernels of the last round began and ended, in ns
    from its start. ``room`` is the memory that it has, in bytes.
    """

    def __init__(self, library: Path, facts: DeviceFacts = FACTS, room: int = 1 << 40) -> None:
        self.library = ctypes.CDLL(str(library))
        self.told, self.room = facts, room
        self.costs, self.taken = dict(COSTS), []
        self.now = 1_000_000
        self.arrays: dict[str, np.ndarray] = {}
        self.opened = self.closed = 0
        self.steps: list[tuple[str, int, int]] = []

    def facts(self) -> DeviceFacts:
        return self.told

    def open(self) -> int:
        self.opened += 1
        return self.room

    def allocate(self, name: str, data: np.ndarray) -> None:
        if sum(array.nbytes for array in self.arrays.values()) + data.nbytes > self.room:
            raise MemoryError(name)
        self.arrays[name] = data.copy()

    def take(self, name: str, words: int) -> None:
        self.allocate(name, np.full(words, 0xDEADBEEF, np.uint32))

    def write(self, name: str, data: np.ndarray) -> None:
        self.arrays[name][...] = data

    def read(self, name: str) -> np.ndarray:
        return self.arrays[name].copy()

    def close(self) -> None:
        self.closed += 1
        self.arrays.clear()

    def run(self, launches: Sequence[Launch]) -> Timing:
        start, began, self.steps = self.now, self._real(self.now), []
        for launch in launches:
            at = self.now - start
            self._launch(launch)
            self.steps.append((launch.kernel, at, self.now - start))
            self.now += LAUNCH_NS
        gpu = (self._real(self.now) - began) / 1e3
        return Timing(gpu, gpu + 30)

    def _launch(self, launch: Launch) -> None:
        self._set("costs", np.array([self.costs[kind] for kind in KINDS], np.uint32))
        self._set("spent", np.zeros(4096, np.uint64))
        self._set("epoch", np.array([self.now], np.uint64))
        starts, lengths = zip(*self.taken, strict=True) if self.taken else ((), ())
        self._set("taken_at", np.array(starts, np.uint64))
        self._set("taken_for", np.array(lengths, np.uint64))
        self._set("taken", np.array([len(self.taken)], np.uint32))
        cells = [self._cell(argument) for argument in launch.arguments]
        pointers = (ctypes.c_void_p * len(cells))(*(cell.ctypes.data for cell in cells))
        getattr(self.library, f"launch_{launch.kernel}")((ctypes.c_uint * 4)(launch.grid, 1, launch.block, 1), pointers)
        spent = np.frombuffer((ctypes.c_uint64 * 4096).from_address(self._address("spent")), np.uint64)
        self.now += int(spent.max()) // 2

    def _cell(self, argument: str | tuple[str, int] | np.generic) -> np.ndarray:
        if isinstance(argument, np.generic):
            return np.array([argument])
        name, first = argument if isinstance(argument, tuple) else (argument, 0)
        array = self.arrays[name]
        assert 0 <= first < array.size
        return np.array([array.ctypes.data + first * array.itemsize], np.uint64)

    def _address(self, symbol: str) -> int:
        function = getattr(self.library, f"symbol_{symbol}")
        function.restype = ctypes.c_void_p
        return int(function())

    def _set(self, symbol: str, data: np.ndarray) -> None:
        ctypes.memmove(self._address(symbol), data.tobytes(), data.nbytes)

    def _real(self, own: int) -> int:
        for start, length in self.taken:
            own += length if own >= start else 0
        return own


@pytest.fixture(scope="session")
def host_library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    assert shutil.which("g++"), "g++ is not installed: it builds the probes for the CPU"
    folder = tmp_path_factory.mktemp("probes")
    for name in SOURCES:
        (folder / f"{name}.cu").write_text(source_text(name))
    exports = [f"SHIM_EXPORT({kernel})" for name in SOURCES for kernel in kernels_of(name)]
    lines = ['#include "cuda_shim.h"', '#include "stand_ins.h"', *(f'#include "{name}.cu"' for name in SOURCES)]
    lines += [*exports, *(f"SHIM_SYMBOL({symbol})" for symbol in SYMBOLS)]
    (folder / "main.cpp").write_text("\n".join(lines) + "\n")
    places = [f"-I{HERE}", f"-I{folder}"]
    command = ["g++", *FLAGS, *places, str(folder / "main.cpp"), str(HERE / "cuda_shim.cpp"), "-o"]
    done = subprocess.run([*command, str(folder / "host.so")], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[:3000]
    return folder / "host.so"


@pytest.fixture
def host(host_library: Path) -> Callable[..., HostDevice]:
    return lambda **settings: HostDevice(host_library, **settings)


def compile_probes(text: str, arch: str, options: Sequence[str] = OPTIONS) -> Cubin:
    from cuda import core

    defines = [tuple(option.removeprefix("-D").split("=")) for option in options]
    program = core.Program(text, "c++", core.ProgramOptions(arch=arch, define_macro=defines))
    try:
        return read_cubin(bytes(program.compile("cubin").code), f"probes.{arch}.cubin")
    finally:
        program.close()


@pytest.fixture(scope="session")
def compiled() -> Callable[..., Cubin]:
    """Compile text: ``compiled(text, arch, options)``."""
    return compile_probes


@pytest.fixture(scope="session")
def cubins() -> dict[tuple[str, str], Cubin]:
    """Every source for every architecture."""
    return {(name, arch): compile_probes(source_text(name), arch) for name in SOURCES for arch in ARCHITECTURES}


@pytest.fixture
def gpu_session() -> Any:
    """A session on the real GPU, for tests marked so."""
    from hashwarden.kernels.probes.cupy_device import CupyDevice
    from hashwarden.kernels.probes.session import ProbeSession

    with ProbeSession(CupyDevice(0), rounds_per_second=4) as session:
        yield session
