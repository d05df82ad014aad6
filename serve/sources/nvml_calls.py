"""The one place through which NVML is called, after XuehaiPan/nvitop's ``libnvml.nvmlQuery``.

"Not available" is None, never 0. What a device does not support is not asked again. A GPU that fell off the bus and a
driver that was unloaded are errors of their own, so that the source can be opened anew.
"""

from __future__ import annotations

import ctypes
from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import Any, Final, final

from hashwarden.errors import MissingExtraError, NoDeviceError
from hashwarden.serve.sources.source import SourceLost

__all__ = ["DeviceLost", "Nvml"]


class DeviceLost(Exception):  # noqa: N818  a state: the device is left out until the source is opened anew
    """One GPU cannot be reached any longer; others may."""


_FOR_GOOD: Final = (
    "NVML_ERROR_NOT_SUPPORTED",
    "NVML_ERROR_NO_PERMISSION",
    "NVML_ERROR_FUNCTION_NOT_FOUND",
    "NVML_ERROR_ARGUMENT_VERSION_MISMATCH",
    "NVML_ERROR_DEPRECATED",
    "NVML_ERROR_INVALID_ARGUMENT",
)
"""Answers that will not change while the source is open."""

_LOST: Final = ("NVML_ERROR_GPU_IS_LOST", "NVML_ERROR_RESET_REQUIRED", "NVML_ERROR_GPU_NOT_FOUND")
_GONE: Final = ("NVML_ERROR_UNINITIALIZED", "NVML_ERROR_DRIVER_NOT_LOADED", "NVML_ERROR_LIB_RM_VERSION_MISMATCH")
_SMALL: Final = "NVML_ERROR_INSUFFICIENT_SIZE"
_PROCESS: Final = "c_nvmlProcessInfo_v3_t"
_MOST_LISTED: Final = 1 << 20
_WITHOUT: Final = ("NVML_ERROR_LIBRARY_NOT_FOUND", "NVML_ERROR_DRIVER_NOT_LOADED")


def _load() -> Any:  # noqa: ANN401  the package has no types
    try:
        import pynvml
    except ImportError as error:
        raise MissingExtraError.of("nvidia-ml-py", "node") from error
    return pynvml


@final
class Nvml:
    """NVML, initialised.

    Attributes
    ----------
    faults : Counter of str
        Answers that were neither a value nor "not supported", by name of the function; for metrics.

    Raises
    ------
    MissingExtraError
        If nvidia-ml-py is not installed.
    NoDeviceError
        If there is no driver, or it does not fit the library.
    """

    def __init__(self) -> None:
        self.library = _load()
        self.faults: Counter[str] = Counter()
        self._never: set[tuple[str, str]] = set()
        # nvidia-ml-py's own, and no NVMLError: the driver has an older version of the function
        self._mismatch: type[Exception] = getattr(self.library, "NVMLLibraryMismatchError", AttributeError)
        self._codes = {
            name: getattr(self.library, name, -1) for name in {*_FOR_GOOD, *_LOST, *_GONE, *_WITHOUT, _SMALL}
        }  # -1: an older package does not know that answer
        try:
            self.library.nvmlInit()
        except self.library.NVMLError as error:
            raise self._refused(error) from error

    def call(self, function: str, *arguments: Any, of: str = "") -> Any:  # noqa: ANN401
        """Call a function of NVML.

        Parameters
        ----------
        function : str
            Its name in nvidia-ml-py.
        *arguments
            As nvidia-ml-py takes them.
        of : str
            What is asked for of which device: an answer "not supported" is remembered under it. Empty: it is not.

        Returns
        -------
        object or None
            What it gives; None if that is not available now, or never.

        Raises
        ------
        DeviceLost
            If the GPU is lost.
        SourceLost
            If the driver is gone.
        """
        return self._answer(function, of, lambda: getattr(self.library, function)(*arguments))

    def pids(self, functions: tuple[str, ...], handle: object, of: str) -> set[int] | None:
        """Processes in a list of NVML; of the functions, the first counts that this driver has.

        With one call where nvidia-ml-py makes two, and without an object for each process: of 200 of them that is
        half of what a reading costs.
        """
        for function in functions:
            found = self._answer(function, of, partial(self._listed, function, handle))
            if found is not None:
                return set(found)
        return None

    def _listed(self, function: str, handle: object) -> list[int]:
        library = self.library
        pointer, kind = getattr(library, "_nvmlGetFunctionPointer", None), getattr(library, _PROCESS, None)
        if pointer is None or kind is None or function[-3:-1] == "_v":
            return [process.pid for process in getattr(library, function)(handle)]
        call, room = pointer(f"{function}_v3"), 64
        while True:
            count, rows = ctypes.c_uint(room), (kind * room)()
            code = call(handle, ctypes.byref(count), rows)
            if code != self._codes[_SMALL] or room > _MOST_LISTED:
                library._nvmlCheckReturn(code)
                words = ctypes.sizeof(kind) // 4  # attributes of nvidia-ml-py's structures go through Python
                numbers = (ctypes.c_uint * (words * room)).from_buffer(rows)
                return numbers[kind.pid.offset // 4 : words * min(count.value, room) : words]
            room = max(2 * room, count.value + 16)

    def _answer(self, function: str, of: str, ask: Callable[[], Any]) -> Any:  # noqa: ANN401
        key = (function, of)
        if key in self._never:
            return None
        try:
            return ask()
        except (AttributeError, self._mismatch):  # an older package, or an older driver, without this function
            self._never.add(key)
        except self.library.NVMLError as error:
            self._heed(error, function, key)
        return None

    def first(self, functions: tuple[str, ...], *arguments: Any, of: str) -> Any:  # noqa: ANN401
        """Call the first of some functions that this driver has: one was renamed."""
        for function in functions:
            found = self.call(function, *arguments, of=of)
            if found is not None:
                return found
        return None

    def supported(self, function: str, of: str) -> bool:
        """Whether it has not been refused for good."""
        return (function, of) not in self._never

    def close(self) -> None:
        """Shut NVML down; what is gone already is no error."""
        try:
            self.library.nvmlShutdown()
        except self.library.NVMLError:
            self.faults["nvmlShutdown"] += 1

    def _heed(self, error: Any, function: str, key: tuple[str, str]) -> None:  # noqa: ANN401
        value = error.value
        if any(value == self._codes[name] for name in _LOST):
            raise DeviceLost(f"{function}: {error}") from error
        if any(value == self._codes[name] for name in _GONE):
            raise SourceLost(f"{function}: {error}") from error
        if any(value == self._codes[name] for name in _FOR_GOOD):
            if key[1]:
                self._never.add(key)
        elif value not in {0, getattr(self.library, "NVML_ERROR_NOT_FOUND", 6)}:  # 0, 6: it has nothing to list
            self.faults[function] += 1

    def _refused(self, error: Any) -> NoDeviceError:  # noqa: ANN401
        if error.value == self._codes["NVML_ERROR_LIB_RM_VERSION_MISMATCH"]:
            remedy = "The driver was replaced while this program ran or the machine was up: start both anew."
            return NoDeviceError(f"NVML: {error}", "a library of the loaded driver's version", remedy)
        remedy = "Install NVIDIA's driver, or give the container its libraries (--gpus all)."
        return NoDeviceError(f"NVML: {error}", "a machine with NVIDIA's driver loaded", remedy)
