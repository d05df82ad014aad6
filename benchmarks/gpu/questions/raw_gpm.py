"""Every GPM metric that a GPU answers, raw: for the scripts of this folder that ask what the metrics count.

``hashwarden.serve.sources.gpm`` reads the few metrics that are channels; here all numbers that the installed
nvidia-ml-py knows are tried once, and those with an answer are read. Not a command; it writes nothing.
"""

from __future__ import annotations

import ctypes
import time
from collections.abc import Sequence
from typing import Any, Final, final

import numpy as np

from hashwarden.errors import HashwardenError, NoDeviceError, PrivilegeError
from hashwarden.serve.sources.gpm import _METRIC, LEAST_S, _blank, _Get
from hashwarden.serve.sources.nvml_calls import Nvml

__all__ = ["APART_S", "RawGpm"]

APART_S: Final = LEAST_S + 0.02
"""Seconds between the two samples with which the metrics are tried; less gives no answer."""
TRIED_AT_ONCE: Final = 32
_PREFIX: Final = "NVML_GPM_METRIC_"


@final
class RawGpm:
    """GPM of one whole GPU, every metric in NVML's own unit.

    Parameters
    ----------
    index : int, default 0
        NVML's number of the GPU.

    Attributes
    ----------
    library : module
        nvidia-ml-py, initialised.
    handle : object
        NVML's handle of the GPU.
    names : dict of int to str
        What nvidia-ml-py calls the metrics, such as ``{4: "INTEGER_UTIL"}``; those that the GPU refuses too.
    supported : list of int
        Metrics with an answer.

    Raises
    ------
    MissingExtraError
        If nvidia-ml-py is not installed.
    NoDeviceError
        If there is no driver, no such GPU, or it has no GPM.
    PrivilegeError
        If the driver refuses samples to this user.
    """

    def __init__(self, index: int = 0) -> None:
        self._nvml = Nvml()
        self.library: Any = self._nvml.library
        constants = {key: value for key, value in vars(self.library).items() if key.startswith(_PREFIX)}
        most = constants.pop(f"{_PREFIX}MAX")
        self.names = {number: key.removeprefix(_PREFIX) for key, number in constants.items()}
        self._get, self._lists = _Get(), list[tuple[int, ...]]()
        try:
            self.handle = self._asked("nvmlDeviceGetHandleByIndex", index)
            if not self._asked("nvmlGpmQueryDeviceSupport", self.handle).isSupportedDevice:
                raise NoDeviceError(
                    "this GPU has no GPM", "Hopper or newer", "Run on such a GPU.", where=f"GPU {index}"
                )
            self.supported = self._try(range(1, most))
        except BaseException:
            self._nvml.close()
            raise

    def __enter__(self) -> RawGpm:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def sample(self) -> Any:
        """Take a sample; give it to `free` when it is done with."""
        taken = self._asked("nvmlGpmSampleAlloc")
        try:
            return self._asked("nvmlGpmSampleGet", self.handle, taken)
        except HashwardenError:
            self.free(taken)
            raise

    def between(self, first: Any, second: Any) -> dict[int, float]:
        """Values by number of the metric, of two samples at least 0.1 s apart; what has none now is absent."""
        found: dict[int, float] = {}
        for asked in self._lists:
            found |= self._compare(asked, first, second)
        return found

    def free(self, sample: Any) -> None:
        """Give a sample back."""
        self._asked("nvmlGpmSampleFree", sample)

    def close(self) -> None:
        """End the work with NVML."""
        self._nvml.close()

    def _try(self, numbers: Sequence[int]) -> list[int]:
        first = self.sample()
        time.sleep(APART_S)
        second = self.sample()
        try:
            found: list[int] = []
            for start in range(0, len(numbers), TRIED_AT_ONCE):
                found += self._answered(tuple(numbers[start : start + TRIED_AT_ONCE]), first, second)
            self._lists = self._accepted(tuple(found), first, second)
        finally:
            self.free(first)
            self.free(second)
        return found

    def _answered(self, asked: tuple[int, ...], first: Any, second: Any) -> list[int]:
        """Those with an answer; a list that is refused is halved until the one metric that spoils it is alone."""
        try:
            return list(self._compare(asked, first, second))
        except HashwardenError:
            if len(asked) == 1:
                return []
            half = len(asked) // 2
            return [*self._answered(asked[:half], first, second), *self._answered(asked[half:], first, second)]

    def _accepted(self, found: tuple[int, ...], first: Any, second: Any) -> list[tuple[int, ...]]:
        """All of them in one list, or in short ones where the driver refuses a long one."""
        if not found:
            return []
        try:
            self._compare(found, first, second)
        except HashwardenError:
            return [found[start : start + TRIED_AT_ONCE] for start in range(0, len(found), TRIED_AT_ONCE)]
        return [found]

    def _compare(self, asked: tuple[int, ...], first: Any, second: Any) -> dict[int, float]:
        get, blank = self._get, _blank(asked)
        get.version, get.count = 1, len(asked)
        get.first, get.second = (ctypes.cast(sample, ctypes.c_void_p).value for sample in (first, second))
        ctypes.memmove(ctypes.addressof(get) + _Get.metrics.offset, blank, len(blank))
        self._asked("nvmlGpmMetricsGet", get)
        filled = np.frombuffer(memoryview(get), _METRIC, len(asked), _Get.metrics.offset)
        if filled["id"].tolist() != [*asked]:
            raise HashwardenError(
                "nvmlGpmMetricsGet answers for other metrics", "those asked for", "The library's struct is another."
            )
        entries = zip(asked, filled["result"].tolist(), filled["value"].tolist(), strict=True)
        return {number: value for number, result, value in entries if result == 0}

    def _asked(self, function: str, *arguments: Any) -> Any:
        library = self.library
        try:
            return getattr(library, function)(*arguments)
        except library.NVMLError as error:
            said = f"{function}: {error}"
            if error.value == library.NVML_ERROR_NO_PERMISSION:
                raise PrivilegeError(said, "a user who may read it", "Run as root.") from error
            raise NoDeviceError(said, "a GPU and a driver that answer it", "See the driver's log.") from error
