"""A GPU through CuPy: the device that sessions run on.

A round is captured once as a CUDA graph and submitted with one call, so that the GPU does not wait for Python
between kernels. Memory comes straight from the driver, not from CuPy's pool, and goes straight back. What cannot be
given back is the CUDA context (some hundred megabytes): it belongs to the process and ends with it.
"""

# ruff: noqa: ANN401  cupy and pynvml have no types

from __future__ import annotations

import time
from collections.abc import Sequence
from importlib import import_module
from importlib.resources import files
from typing import Any, Final, final

import numpy as np
from numpy.typing import NDArray

from hashwarden.errors import MemoryShortError, MissingExtraError, NoDeviceError
from hashwarden.kernels.probes.device import ComputeMode, DeviceFacts, Launch, Timing
from hashwarden.kernels.probes.probe import LINKS, PROBES

__all__ = ["OPTIONS", "SOURCES", "CupyDevice", "kernels_of", "source_text"]

SOURCES: Final = ("chains", "build", "gaps", "reduce")
"""The package's CUDA C files."""

OPTIONS: Final = (f"-DLINKS={LINKS}",)
"""What they are compiled with."""

_KEPT_GRAPHS: Final = 4
_CAPABILITY_MAJOR: Final = 75  # cudaDevAttrComputeCapabilityMajor, which CuPy has no name for
_CAPABILITY_MINOR: Final = 76


def source_text(name: str) -> str:
    """The text of one of `SOURCES`."""
    return files("hashwarden.kernels.probes").joinpath(f"{name}.cu").read_text(encoding="utf-8")


@final
class CupyDevice:
    """One GPU, or one MIG instance.

    Parameters
    ----------
    index : int
        CUDA's number of it in this process.

    Raises
    ------
    MissingExtraError
        If CuPy is not installed.
    """

    def __init__(self, index: int = 0) -> None:
        try:
            import cupy
        except ImportError as error:
            raise MissingExtraError.of("cupy", "cuda13") from error
        self._cupy: Any = cupy
        self._index = index
        self._stream: Any = None
        self._kernels: dict[str, Any] = {}
        self._arrays: dict[str, Any] = {}
        self._graphs: dict[tuple[Launch, ...], Any] = {}

    def facts(self) -> DeviceFacts:
        """Ask the runtime and NVML; no context is opened.

        Raises
        ------
        NoDeviceError
            If there is no driver, or no such GPU.
        """
        runtime = self._cupy.cuda.runtime
        driver, oldest = int(runtime.driverGetVersion()), int(runtime.runtimeGetVersion())
        try:
            count = int(runtime.getDeviceCount())
        except runtime.CUDARuntimeError as error:
            got = f"the driver knows CUDA {driver}" if driver else "no CUDA driver"
            remedy = "Run nvidia-smi; install or update the driver, or leave the probes off."
            raise NoDeviceError(f"{got} ({error})", f"a GPU and a driver for CUDA {oldest}", remedy) from error
        if not 0 <= self._index < count:
            raise NoDeviceError(f"GPU {self._index}", f"0 to {count - 1}", "Choose one that this process may see.")
        free, mig = _nvml(str(runtime.deviceGetPCIBusId(self._index)))
        return DeviceFacts(
            name=runtime.getDeviceProperties(self._index)["name"].decode(),
            capability=(self._ask(_CAPABILITY_MAJOR), self._ask(_CAPABILITY_MINOR)),
            multiprocessors=self._ask(runtime.cudaDevAttrMultiProcessorCount),
            l2_bytes=self._ask(runtime.cudaDevAttrL2CacheSize),
            compute_mode=ComputeMode(self._ask(runtime.cudaDevAttrComputeMode)),
            driver=driver,
            runtime=oldest,
            mig=mig,
            free_bytes=free,
        )

    def _ask(self, attribute: int) -> int:
        return int(self._cupy.cuda.runtime.deviceGetAttribute(attribute, self._index))

    def open(self) -> int:
        """Open the context and compile the kernels; gives the free device memory in bytes.

        Raises
        ------
        NoDeviceError
            If the driver refuses the context.
        """
        cupy = self._cupy
        try:
            with cupy.cuda.Device(self._index):
                free = int(cupy.cuda.runtime.memGetInfo()[0])
        except cupy.cuda.runtime.CUDARuntimeError as error:
            remedy = "Free memory on the GPU, or look at its compute mode with nvidia-smi -q -d COMPUTE."
            raise NoDeviceError(f"no context on GPU {self._index}: {error}", "room for one", remedy) from error
        with cupy.cuda.Device(self._index):
            self._stream = cupy.cuda.Stream(non_blocking=True)
            for name in SOURCES:
                module = cupy.RawModule(code=source_text(name), options=OPTIONS)
                self._kernels.update({kernel: module.get_function(kernel) for kernel in kernels_of(name)})
        return free

    def allocate(self, name: str, data: NDArray[Any]) -> None:
        """Take memory and fill it."""
        with self._cupy.cuda.Device(self._index):
            self._arrays[name] = self._new(data.shape, data.dtype)
        self.write(name, data)

    def take(self, name: str, words: int) -> None:
        """Take memory of so many 32-bit words, not filled."""
        with self._cupy.cuda.Device(self._index):
            self._arrays[name] = self._new((words,), np.dtype(np.uint32))

    def _new(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Any:
        size = max(int(np.prod(shape)) * dtype.itemsize, 1)
        try:
            memory = self._cupy.cuda.Memory(size)
        except self._cupy.cuda.runtime.CUDARuntimeError as error:
            remedy = "Leave the probes off while the job runs, or start the agent before it."
            raise MemoryShortError(f"no room ({error})", f"{size:,} bytes of device memory", remedy) from error
        return self._cupy.ndarray(shape, dtype, memptr=self._cupy.cuda.MemoryPointer(memory, 0))

    def write(self, name: str, data: NDArray[Any]) -> None:
        """Fill an array again."""
        with self._cupy.cuda.Device(self._index):
            self._arrays[name].set(np.ascontiguousarray(data), stream=self._stream)
            self._stream.synchronize()

    def run(self, launches: Sequence[Launch]) -> Timing:
        """Submit kernels as one graph, wait for them, and time them."""
        cupy = self._cupy
        with cupy.cuda.Device(self._index), self._stream:
            graph = self._graph(tuple(launches))
            before, after = cupy.cuda.Event(), cupy.cuda.Event()
            started = time.perf_counter()
            before.record(self._stream)
            graph.launch(self._stream)
            after.record(self._stream)
            after.synchronize()
            wall = time.perf_counter() - started
            return Timing(1e3 * float(cupy.cuda.get_elapsed_time(before, after)), 1e6 * wall)

    def _graph(self, launches: tuple[Launch, ...]) -> Any:
        """The graph of some launches; the last few are kept."""
        if launches not in self._graphs:
            if len(self._graphs) >= _KEPT_GRAPHS:
                self._graphs.pop(next(iter(self._graphs)))
            self._stream.begin_capture()
            for launch in launches:
                arguments = tuple(self._argument(item) for item in launch.arguments)
                self._kernels[launch.kernel]((launch.grid,), (launch.block,), arguments)
            self._graphs[launches] = self._stream.end_capture()
        return self._graphs[launches]

    def _argument(self, item: str | tuple[str, int] | np.generic) -> Any:
        if isinstance(item, tuple):
            return self._arrays[item[0]].reshape(-1)[item[1] :]
        return self._arrays[item] if isinstance(item, str) else item

    def read(self, name: str) -> NDArray[Any]:
        """Copy an array to the host."""
        with self._cupy.cuda.Device(self._index):
            copied = np.asarray(self._arrays[name].get(stream=self._stream))
            self._stream.synchronize()  # older versions of CuPy copy in the background
            return copied

    def close(self) -> None:
        """Give all memory back; may be called twice."""
        self._graphs.clear()
        self._arrays.clear()
        self._kernels.clear()
        self._stream = None


def kernels_of(source: str) -> list[str]:
    """Names of the kernels in one of `SOURCES`."""
    fixed = {
        "build": ["build_strands", "splice_strands"],
        "gaps": ["spin_gaps"],
        "reduce": ["row_quantiles", "gap_totals"],
    }
    return fixed.get(source) or [probe.kernel for probe in PROBES]


def _nvml(bus: str) -> tuple[int | None, bool]:
    """Free memory of a GPU without a context, and whether MIG is on; None and False where NVML does not tell."""
    try:
        pynvml: Any = import_module("pynvml")
    except ImportError:
        return None, False
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        return None, False
    try:
        handle = pynvml.nvmlDeviceGetHandleByPciBusId(bus)
        if _mig(pynvml, handle):
            return None, True
        return int(pynvml.nvmlDeviceGetMemoryInfo(handle).free), False
    except pynvml.NVMLError:
        return None, False
    finally:
        pynvml.nvmlShutdown()


def _mig(nvml: Any, handle: Any) -> bool:
    try:
        return bool(nvml.nvmlDeviceGetMigMode(handle)[0])
    except nvml.NVMLError:
        return False
