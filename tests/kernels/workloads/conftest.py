"""Runs a workload's kernels on the CPU: the `.cu` file is compiled by g++ against `cuda_shim.h`."""

from __future__ import annotations

import ctypes
import importlib.util
import shutil
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from hashwarden.kernels.workloads import catalogue, compiler

HERE = Path(__file__).parent
FLAGS = ("-std=c++17", "-O1", "-fno-strict-aliasing", "-fwrapv", "-w", "-fPIC", "-shared")


class HostModule:
    """The kernels of one workload as functions of the CPU, with CUDA's way of passing arguments."""

    def __init__(self, library: Path) -> None:
        self.library = ctypes.CDLL(str(library))

    def launch(
        self, kernel: str, grid: int | tuple[int, int], block: int | tuple[int, int], *arguments: object
    ) -> None:
        """Run a kernel; arrays are passed as pointers, NumPy scalars by value in their own type."""
        cells = [self._cell(argument) for argument in arguments]
        pointers = (ctypes.c_void_p * max(1, len(cells)))(*(cell.ctypes.data for cell in cells))
        sides = [side if isinstance(side, tuple) else (side, 1) for side in (grid, block)]
        getattr(self.library, f"launch_{kernel}")((ctypes.c_uint * 4)(*sides[0], *sides[1]), pointers)

    @staticmethod
    def _cell(argument: object) -> np.ndarray:
        if isinstance(argument, np.ndarray):
            assert argument.flags.c_contiguous
            return np.array([argument.ctypes.data], dtype=np.uint64)
        assert isinstance(argument, np.generic), "pass NumPy scalars, their type is the kernel's"
        return np.array([argument])

    def write(self, symbol: str, data: np.ndarray | bytes) -> None:
        """Set a constant or global variable that was named in ``symbols``."""
        address = getattr(self.library, f"symbol_{symbol}")
        address.restype = ctypes.c_void_p
        raw = data if isinstance(data, bytes) else data.tobytes()
        ctypes.memmove(address(), raw, len(raw))


def build(folder: Path, name: str, variant: str, symbols: Sequence[str], before: str) -> HostModule:
    workload, chosen = catalogue.find(name), catalogue.parse_variant(variant)
    for header, text in compiler.headers(workload, chosen).items():
        (folder / header).write_text(text)
    for override in (HERE / "host_headers").glob("*.cuh"):
        shutil.copy(override, folder)
    (folder / workload.source).write_text(compiler.source_text(workload))
    exports = [f"SHIM_EXPORT({kernel})" for kernel, _ in workload.entries] + [f"SHIM_SYMBOL({it})" for it in symbols]
    defines = [f"#define {key} {value}" for key, value in chosen.defines]
    lines = ['#include "cuda_shim.h"', *defines, f'#include "{workload.source}"', before, *exports]
    (folder / "main.cpp").write_text("\n".join(lines) + "\n")
    sources = [str(folder / "main.cpp"), str(HERE / "cuda_shim.cpp")]
    command = ["g++", *FLAGS, f"-I{HERE}", f"-I{folder}", *sources, "-o", str(folder / "host.so")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[:3000]
    return HostModule(folder / "host.so")


@pytest.fixture(scope="session")
def host(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., HostModule]:
    """Build a workload for the CPU once a session: ``host(name, variant="", symbols=(), before="")``."""
    assert shutil.which("g++"), "g++ is not installed: it builds the kernels for the CPU"
    built: dict[tuple[object, ...], HostModule] = {}

    def get(name: str, variant: str = "", symbols: Sequence[str] = (), before: str = "") -> HostModule:
        key = (name, variant, tuple(symbols), before)
        if key not in built:
            built[key] = build(tmp_path_factory.mktemp("host"), name, variant, symbols, before)
        return built[key]

    return get


@pytest.fixture(scope="session")
def oracles() -> ModuleType:
    """Plain Python references of `oracles.py`, each checked itself against hashlib or a published vector."""
    spec = importlib.util.spec_from_file_location("workload_oracles", HERE / "oracles.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
