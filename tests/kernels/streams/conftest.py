"""Runs the kernels of streams.cu on the CPU: compiled by g++ against the shim of the workloads' tests."""

from __future__ import annotations

import ctypes
import importlib.util
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from hashwarden.kernels.streams import raw

SHIM = Path(__file__).parent.parent / "workloads"
FLAGS = ("-std=c++17", "-O1", "-fno-strict-aliasing", "-w", "-fPIC", "-shared")


@pytest.fixture(scope="session")
def host_launch(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., None]:
    """``launch(kernel, blocks, threads, *arguments)`` as `raw.reduce_on` wants it, on the CPU."""
    assert shutil.which("g++"), "g++ is not installed: it builds the kernels for the CPU"
    folder = tmp_path_factory.mktemp("streams")
    exports = "".join(f"SHIM_EXPORT({kernel})\n" for kernel in raw.KERNELS)
    (folder / "main.cpp").write_text('#include "cuda_shim.h"\n' + raw.source() + exports)
    command = ["g++", *FLAGS, f"-I{SHIM}", str(folder / "main.cpp"), str(SHIM / "cuda_shim.cpp")]
    done = subprocess.run([*command, "-o", str(folder / "host.so")], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[:3000]
    library = ctypes.CDLL(str(folder / "host.so"))

    def launch(kernel: str, blocks: int, threads: int, *arguments: object) -> None:
        cells = []
        for argument in arguments:
            if isinstance(argument, np.ndarray):
                assert argument.flags.c_contiguous, f"{kernel} is given a view, which a GPU would misread"
                cells.append(np.array([argument.ctypes.data], np.uint64))
            else:
                assert isinstance(argument, np.generic), "pass NumPy scalars, their type is the kernel's"
                cells.append(np.array([argument]))
        pointers = (ctypes.c_void_p * len(cells))(*(cell.ctypes.data for cell in cells))
        getattr(library, f"launch_{kernel}")((ctypes.c_uint * 4)(blocks, 1, threads, 1), pointers)

    return launch


@pytest.fixture(scope="session")
def fakes() -> ModuleType:
    """The module fakes.py."""
    spec = importlib.util.spec_from_file_location("stream_fakes", Path(__file__).parent / "fakes.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module
