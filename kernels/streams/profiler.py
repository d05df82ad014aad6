"""What the collectors of a process share: CUPTI's profiler, its libraries, and a context where CUPTI wants one.

CUPTI has one profiler for a process, and ends it without counting who uses it; cupti-python's collector ends it when
it is disabled, or when enabling fails. With two GPUs the first to end would take the other's counters, and to end it
twice crashes the process (PyTorch's sampler counts for the same reason: pytorch/pytorch pull request 188849). So
here the collectors are counted, and the last one out ends it.

Not tried on a GPU.
"""

# ruff: noqa: ANN401  the package's own types

from __future__ import annotations

import ctypes
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from hashwarden.errors import NoDeviceError

__all__ = ["PrimaryContext", "Profiler", "SharedCollector", "load_perfworks"]

_PERFWORKS: Final = ("libnvperf_host.so", "libnvperf_target.so")
_END: Final = "_profiler_deinitialize"


def load_perfworks() -> list[str]:
    """Load Perfworks from beside CUPTI: as a Python package they lie where the dynamic linker does not look.

    Returns
    -------
    list of str
        Paths of what was loaded; empty where CUPTI is not found, which it says itself when it is used.
    """
    try:
        from cuda.pathfinder import load_nvidia_dynamic_lib

        folder = Path(str(load_nvidia_dynamic_lib("cupti").abs_path)).parent
    except Exception:  # its errors are of many kinds, and what is missing CUPTI says itself
        return []
    loaded = []
    for name in _PERFWORKS:
        with suppress(OSError):
            loaded.append(str(folder / name))
            ctypes.CDLL(loaded[-1])
    return loaded


class Profiler:
    """CUPTI's profiler of this process, and how many collectors use it.

    Attributes
    ----------
    users : int
        Collectors that are enabled.
    """

    def __init__(self) -> None:
        self.users = 0
        self.lock = threading.RLock()
        self._ends: dict[type, Callable[[], object]] = {}

    def adopt(self, kind: type) -> None:
        """From now on a collector of this kind that would end the profiler ends it only if nobody else uses it."""
        with self.lock:
            end = getattr(kind, _END, None)
            if end is None or kind in self._ends:  # a package that has learned to count needs no help
                return
            self._ends[kind] = end
            setattr(kind, _END, staticmethod(lambda: self._asked(kind)))

    def _asked(self, kind: type) -> None:
        with self.lock:
            if not self.users:
                self._ends[kind]()


class PrimaryContext:
    """A GPU's primary context, kept alive while CUPTI counts on it.

    Parameters
    ----------
    device : int
        CUDA index of the GPU.

    Raises
    ------
    NoDeviceError
        If CUDA gives none: out of memory, or a GPU in exclusive mode that another process has.
    """

    def __init__(self, device: int) -> None:
        self._handle = ctypes.c_int()
        try:
            self._cuda = ctypes.CDLL("libcuda.so.1")
        except OSError as error:
            raise NoDeviceError("libcuda.so.1 cannot be loaded", "NVIDIA's driver", "Run where it is.") from error
        context = ctypes.c_void_p()
        status = (
            self._cuda.cuInit(0)
            or self._cuda.cuDeviceGet(ctypes.byref(self._handle), device)
            or self._cuda.cuDevicePrimaryCtxRetain(ctypes.byref(context), self._handle)
        )
        if status:
            raise NoDeviceError(
                f"CUDA's error {status} for a context on GPU {device}",
                "a GPU with memory left for a context, not in exclusive mode",
                "Use counters of NVML or DCGM instead.",
            )

    def release(self) -> None:
        """Let go of it."""
        self._cuda.cuDevicePrimaryCtxRelease_v2(self._handle)


class SharedCollector:
    """A collector of cupti-python that leaves the profiler to those of other GPUs.

    Parameters
    ----------
    inner : cupti.pm_sampling.Collector
        What it stands for; all but enabling and disabling is handed on.
    named : callable
        Asks CUPTI for the chip's name, and raises if it cannot be had.
    profiler : Profiler
    context : callable
        Makes a context on the GPU.
    """

    def __init__(
        self,
        inner: Any,
        named: Callable[[], object],
        profiler: Profiler,
        context: Callable[[], PrimaryContext],
    ) -> None:
        self._inner, self._named, self._profiler, self._make_context = inner, named, profiler, context
        self._context: PrimaryContext | None = None
        self._enabled = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    @property
    def has_context(self) -> bool:
        """Whether it had to make a context on the GPU."""
        return self._context is not None

    def enable(self) -> None:
        """Enable, with a context of our own if CUPTI cannot even name the chip without one.

        PyTorch's developers saw that on GPUs that their process did not use; others sample without a context.
        """
        with self._profiler.lock:
            self._profiler.adopt(type(self._inner))
            try:
                self._inner.enable()
            except (PermissionError, MemoryError, RuntimeError):
                raise
            except Exception:
                if self._has_name():
                    raise
                self._context = self._make_context()
                try:
                    self._inner.enable()
                except BaseException:
                    self._let_go()
                    raise
            self._enabled = True
            self._profiler.users += 1

    def disable(self) -> None:
        """Disable, if it is enabled; the last collector of the process ends CUPTI's profiler."""
        with self._profiler.lock:
            if self._enabled:
                self._enabled = False
                self._profiler.users -= 1
            try:
                self._inner.disable()
            finally:
                self._let_go()

    def _has_name(self) -> bool:
        try:
            self._named()
        except Exception:  # whatever it is, the name is not to be had
            return False
        return True

    def _let_go(self) -> None:
        context, self._context = self._context, None
        if context is not None:
            context.release()
