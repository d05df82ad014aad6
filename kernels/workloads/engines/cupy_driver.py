"""The calls of CuPy that carry native launches out on a GPU, and nothing else."""

# ruff: noqa: ANN401  CuPy ships no types

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final, final

import numpy as np
from numpy.typing import NDArray

from hashwarden.errors import MemoryShortError, MissingExtraError, NoDeviceError
from hashwarden.kernels.workloads import catalogue, compiler
from hashwarden.kernels.workloads.plan import Empty, NativeLaunch

__all__ = ["CupyDriver", "arch_of", "mangled", "nvrtc_options"]

_STATIC_SHARED: Final = 48 << 10
_MAX_DYNAMIC_SHARED: Final = 8
"""CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES."""
_NO_DEVICE_REMEDY: Final = "Use the engine cpu, or a machine with an NVIDIA GPU."
_OLDEST_DRIVER: Final = {11: "450.80", 12: "525.60", 13: "580.65"}
"""First driver of each major version of CUDA, from the table of minor-version compatibility."""


@final
class CupyDriver:
    """The current device, through CuPy.

    Parameters
    ----------
    cupy : module, optional
        By default the installed one.

    Raises
    ------
    MissingExtraError
        If CuPy is not installed.
    NoDeviceError
        If there is no GPU, its driver is too old, or nothing can be compiled for it.
    """

    def __init__(self, cupy: Any = None) -> None:
        self._cupy = _import_cupy() if cupy is None else cupy
        _require_device(self._cupy)
        digits = str(self._cupy.cuda.Device().compute_capability)
        self.arch = arch_of(int(digits[:-1]), int(digits[-1]))
        self._pool = self._cupy.cuda.MemoryPool()

    def free_bytes(self) -> int:
        """Device memory that can still be taken."""
        return int(self._cupy.cuda.runtime.memGetInfo()[0])

    def take(self, array: NDArray[Any] | Empty) -> Any:
        """Take device memory and fill it."""
        try:
            with self._cupy.cuda.using_allocator(self._pool.malloc):
                if isinstance(array, Empty):
                    return self._cupy.zeros(array.shape, array.dtype)
                return self._cupy.asarray(np.ascontiguousarray(array))
        except self._cupy.cuda.memory.OutOfMemoryError as error:
            remedy = "Choose a smaller size, or free memory on the device."
            raise MemoryShortError(str(error).splitlines()[0], f"{array.nbytes:,} bytes free", remedy) from error

    def read(self, array: Any) -> NDArray[Any]:
        """Copy to the host; waits for the kernels."""
        return np.asarray(self._cupy.asnumpy(array))

    def fill(self, array: Any, byte: int) -> None:
        """Set every byte."""
        self._cupy.cuda.runtime.memsetAsync(array.data.ptr, byte, array.nbytes, self._stream())

    def load(self, source: str, variant: str, symbols: Sequence[str]) -> Any:  # noqa: ARG002  of use to other drivers
        """Compile a source for this device and load it."""
        try:
            cubin = _cubin(source, variant, self.arch)
        except MissingExtraError:  # without cuda-core CuPy compiles by itself
            return _compiled_by_cupy(self._cupy, source, variant)
        module = self._cupy.cuda.function.Module()
        module.load(cubin)
        return module

    def store(self, module: Any, symbol: str, data: Any) -> None:
        """Copy an array of the host or the device to constant memory, in the order of the launches."""
        to = _address(module.get_global_var(mangled(symbol)))
        runtime = self._cupy.cuda.runtime
        if isinstance(data, np.ndarray):
            runtime.memcpy(to, data.ctypes.data, data.nbytes, runtime.memcpyHostToDevice)
        else:
            runtime.memcpyAsync(to, data.data.ptr, data.nbytes, runtime.memcpyDeviceToDevice, self._stream())

    def launch(self, module: Any, launch: NativeLaunch, arguments: Sequence[Any]) -> None:
        """Enqueue a kernel; arrays go as pointers, NumPy scalars by value in their own type."""
        function = module.get_function(launch.kernel)
        if launch.shared_bytes > _STATIC_SHARED:
            self._cupy.cuda.driver.funcSetAttribute(function.ptr, _MAX_DYNAMIC_SHARED, launch.shared_bytes)
        cells = [_cell(argument) for argument in arguments]
        table = (ctypes.c_void_p * max(1, len(cells)))(*(cell.ctypes.data for cell in cells))
        shape = (*_three(launch.grid), *_three(launch.block))
        where = (launch.shared_bytes, self._stream(), ctypes.addressof(table), 0)
        self._cupy.cuda.driver.launchKernel(function.ptr, *shape, *where)

    def wait(self) -> None:
        """Wait until all that was enqueued is done."""
        self._cupy.cuda.get_current_stream().synchronize()

    def close(self) -> None:
        """Give the memory back to the device."""
        self._pool.free_all_blocks()

    def _stream(self) -> int:
        return int(self._cupy.cuda.get_current_stream().ptr)


def _import_cupy() -> Any:
    try:
        import cupy
    except ImportError as error:
        raise MissingExtraError.of("cupy", "cuda13") from error
    return cupy


def _require_device(cupy: Any) -> None:
    runtime = cupy.cuda.runtime
    try:
        if runtime.getDeviceCount() > 0:
            return
        reason = "no CUDA GPU is visible"
    except runtime.CUDARuntimeError as error:
        reason = str(error).splitlines()[0]
    has, needs = int(runtime.driverGetVersion()), int(runtime.runtimeGetVersion())
    if has == 0:
        raise NoDeviceError("no NVIDIA driver answers", "an NVIDIA GPU and its driver", _NO_DEVICE_REMEDY)
    if has // 1000 < needs // 1000:
        oldest = _OLDEST_DRIVER.get(needs // 1000, "newer")
        got = f"a driver for CUDA {has // 1000}.{has % 1000 // 10}"
        expected = f"one for CUDA {needs // 1000}.0 or newer (driver {oldest})"
        raise NoDeviceError(got, expected, "Update the driver, or install CuPy for the older CUDA (extra cuda12).")
    raise NoDeviceError(reason, "an NVIDIA GPU", _NO_DEVICE_REMEDY)


def arch_of(major: int, minor: int) -> str:
    """Architecture to compile for: the device's own, or the nearest older one of its major version.

    Raises
    ------
    NoDeviceError
        If there is none: machine code runs only within a major version.
    """
    numbers = sorted(int(name.removeprefix("sm_")) for name in compiler.ARCHES)
    fitting = [number for number in numbers if number // 10 == major and number % 10 <= minor]
    if not fitting:
        known = ", ".join(compiler.ARCHES)
        remedy = "Use another GPU, or the engine cpu."
        raise NoDeviceError(f"a GPU of compute capability {major}.{minor}", f"one that runs one of {known}", remedy)
    return f"sm_{fitting[-1]}"


def mangled(symbol: str) -> str:
    """Name of a variable in machine code (Itanium C++ ABI): ``gold::c_outer`` is ``_ZN4gold7c_outerE``."""
    parts = symbol.split("::")
    return symbol if len(parts) == 1 else "_ZN" + "".join(f"{len(part)}{part}" for part in parts) + "E"


def nvrtc_options(variant: catalogue.Variant) -> tuple[str, ...]:
    """Options of NVRTC for a variant, without the folder of the headers."""
    defines = (f"-D{name}={value}" for name, value in variant.defines)
    flags = (f"--ptxas-options={flag}" if flag.startswith("-O") else flag for flag in variant.flags)
    return (*defines, *flags)


@lru_cache(maxsize=128)
def _cubin(source: str, variant: str, arch: str) -> bytes:
    return compiler.compile_cubin(catalogue.find(source), catalogue.parse_variant(variant), arch)


def _compiled_by_cupy(cupy: Any, source: str, variant: str) -> Any:
    found, chosen = catalogue.find(source), catalogue.parse_variant(variant)
    with TemporaryDirectory(prefix="hashwarden-") as folder:
        for name, text in compiler.headers(found, chosen).items():
            Path(folder, name).write_text(text, encoding="utf-8")
        options = (*nvrtc_options(chosen), f"-I{folder}")
        return cupy.RawModule(code=compiler.source_text(found), options=options, backend="nvrtc").module


def _cell(argument: Any) -> NDArray[Any]:
    """Memory that holds one argument as the kernel expects it."""
    if isinstance(argument, np.generic):
        return np.array([argument])
    return np.array([argument.data.ptr], np.uint64)


def _three(sides: tuple[int, ...]) -> tuple[int, int, int]:
    x, y, z = (*sides, 1, 1, 1)[:3]
    return x, y, z


def _address(pointer: Any) -> int:
    """CuPy gives a pointer object or a number, by version."""
    return int(getattr(pointer, "ptr", pointer))
