"""GPM: what the units of a Hopper or newer GPU did between two samples, through NVML.

A value needs two samples at least 100 ms apart, so the last three are kept and each new one is compared with the
youngest that is old enough: at 10 Hz a tick that comes 1 ms early still gives a value, over 200 ms then.

The struct of nvmlGpmMetricsGet grows with the number of metrics that a header knows (333 in one version of go-nvml's
``nvml.h``, 477 in nvidia-ml-py 13.615), and library and binding may come from different versions. Ours is larger than
any, and each entry has to carry the number of the metric that was asked for, or nothing in it is believed.
"""

from __future__ import annotations

import ctypes
from collections import deque
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any, Final, final

import numpy as np

from hashwarden.model.channels import CHANNELS
from hashwarden.serve.sources.nvml_calls import Nvml
from hashwarden.serve.sources.source import Device

__all__ = ["BLANK", "LEAST_S", "Gpm"]

LEAST_S: Final = 0.1
"""Seconds between two samples of a pair, at least."""

BLANK: Final = 1e14
"""What is larger is no measurement but a sentinel (140737488355328.0, 9223372036854775794 …): given on unscaled, so
that whoever judges the value knows it."""

_HIT, _MISS = 164, 165
_SWITCHES: Final = tuple(range(172, 208, 5))
"""Requests for a context switch, graphics engines 0 to 7."""

_SPECIAL: Final = {"dram_cache_miss_ratio", "context_switches_per_s"}
_PLAIN: Final = {c.gpm: c for c in CHANNELS if c.gpm is not None and c.name not in _SPECIAL}
_NAMED: Final = {number: (channel.name, channel.unit == "ratio") for number, channel in _PLAIN.items()}
_OLD: Final = tuple(_PLAIN)
_NEW: Final = (_HIT, _MISS, *_SWITCHES)
"""Metrics that older drivers do not know: they are asked for apart, should the driver refuse the whole list."""

_ROOM: Final = 1024


class _Info(ctypes.Structure):
    _fields_ = (("short", ctypes.c_char_p), ("long", ctypes.c_char_p), ("unit", ctypes.c_char_p))


class _Metric(ctypes.Structure):
    _fields_ = (("id", ctypes.c_uint), ("result", ctypes.c_uint), ("value", ctypes.c_double), ("info", _Info))


class _Get(ctypes.Structure):
    """nvmlGpmMetricsGet_t, with room for more metrics than any header knows."""

    _fields_ = (
        ("version", ctypes.c_uint),
        ("count", ctypes.c_uint),
        ("first", ctypes.c_void_p),
        ("second", ctypes.c_void_p),
        ("metrics", _Metric * _ROOM),
    )


_METRIC: Final = np.dtype({
    "names": ["id", "result", "value"], "formats": ["<u4", "<u4", "<f8"], "itemsize": ctypes.sizeof(_Metric),
    "offsets": [_Metric.id.offset, _Metric.result.offset, _Metric.value.offset],
})  # fmt: skip
"""The same as NumPy reads it: an attribute of ctypes for each value would take most of a reading's time."""


@cache
def _blank(asked: tuple[int, ...]) -> bytes:
    """Entries that ask for these metrics, with nothing in them that could be taken for an answer."""
    entries = np.zeros(len(asked), _METRIC)
    entries["id"], entries["result"], entries["value"] = asked, 999, np.nan
    return entries.tobytes()


def _address(sample: Any) -> int:  # noqa: ANN401  nvidia-ml-py's pointer
    return ctypes.cast(sample, ctypes.c_void_p).value or 0


@final
class Gpm:
    """The GPM of one GPU or MIG instance.

    Parameters
    ----------
    nvml : Nvml
        The driver.
    device : Device
        Which.
    handle : object
        NVML's handle of the whole GPU, of a MIG instance too.
    """

    def __init__(self, nvml: Nvml, device: Device, handle: Any) -> None:  # noqa: ANN401
        self._nvml, self._device, self._handle = nvml, device, handle
        self._free: list[Any] = []
        self._taken: deque[tuple[float, Any]] = deque()
        self._asked = self._supported()
        self._get = _Get()

    @property
    def works(self) -> bool:
        """Whether the GPU has it and nothing spoke against it yet."""
        return bool(self._asked)

    def values(self, now_s: float) -> dict[str, float]:
        """Take a sample, and compare it with the youngest that is old enough; empty if there is none.

        Parameters
        ----------
        now_s : float
            Seconds of the monotonic clock.
        """
        if not self.works:
            return {}
        taken = self._take()
        if taken is None:
            return {}
        old = [(at, sample) for at, sample in self._taken if now_s - at >= LEAST_S]
        found = self._compare(old[-1][1], taken, now_s - old[-1][0]) if old else {}
        self._taken.append((now_s, taken))
        while len(self._taken) > 3:
            self._free.append(self._taken.popleft()[1])
        return found

    def close(self) -> None:
        """Free the samples."""
        for sample in [*self._free, *(sample for _, sample in self._taken)]:
            self._nvml.call("nvmlGpmSampleFree", sample)
        self._free, self._taken = [], deque()

    def _supported(self) -> list[tuple[int, ...]]:
        said = self._nvml.call("nvmlGpmQueryDeviceSupport", self._handle, of=self._device.gpu)
        return [(*_OLD, *_NEW)] if said is not None and said.isSupportedDevice else []

    def _take(self) -> Any:  # noqa: ANN401
        sample = self._free.pop() if self._free else self._nvml.call("nvmlGpmSampleAlloc", of="gpm")
        if sample is None:
            return None
        key, mig = self._device.gpu, self._device.mig
        if mig is None:
            done = self._nvml.call("nvmlGpmSampleGet", self._handle, sample, of=key)
        else:
            done = self._nvml.call("nvmlGpmMigSampleGet", self._handle, mig, sample, of=key)
        if done is None:
            self._free.append(sample)
        return done

    def _compare(self, first: Any, second: Any, seconds: float) -> dict[str, float]:  # noqa: ANN401
        raw: dict[int, float] = {}
        for asked in list(self._asked):
            found = self._metrics(asked, first, second)
            if found is None:
                self._narrow(asked)
            else:
                raw |= found
        return dict(_channels(raw, seconds))

    def _metrics(self, asked: tuple[int, ...], first: Any, second: Any) -> dict[int, float] | None:  # noqa: ANN401
        """Values by number of the metric; None if the driver refuses the list for good, or answers another one."""
        get = self._get
        get.version, get.count, get.first, get.second = 1, len(asked), _address(first), _address(second)
        blank = _blank(asked)
        ctypes.memmove(ctypes.addressof(get) + _Get.metrics.offset, blank, len(blank))
        key = f"{self._device.gpu} {len(asked)} {asked[0]}"
        if self._nvml.call("nvmlGpmMetricsGet", get, of=key) is None:
            return {} if self._nvml.supported("nvmlGpmMetricsGet", key) else None
        filled = np.frombuffer(memoryview(get), _METRIC, len(asked), _Get.metrics.offset)
        numbers = filled["id"].tolist()
        if numbers != [*asked]:
            self._nvml.faults["nvmlGpmMetricsGet: the library's struct is another"] += 1
            return None
        entries = zip(numbers, filled["result"].tolist(), filled["value"].tolist(), strict=True)
        return {number: value for number, result, value in entries if result == 0}

    def _narrow(self, asked: tuple[int, ...]) -> None:
        """Ask for old metrics and new ones apart; what is refused even so is not asked for again."""
        self._asked.remove(asked)
        if set(asked) == {*_OLD, *_NEW}:
            self._asked += [_OLD, _NEW]


def _channels(raw: Mapping[int, float], seconds: float) -> Iterator[tuple[str, float]]:
    """From GPM's numbers and units to channels."""
    for number, (name, is_ratio) in _NAMED.items():
        if number in raw:
            value = raw[number]
            yield name, value / 100 if is_ratio and abs(value) < BLANK else value
    hit, miss = raw.get(_HIT), raw.get(_MISS)
    if hit is not None and miss is not None and hit + miss > 0:
        yield "dram_cache_miss_ratio", miss if miss >= BLANK else miss / (hit + miss)
    switches = [raw[number] for number in _SWITCHES if number in raw]
    if switches:
        most = max(switches)
        yield "context_switches_per_s", most if most >= BLANK else sum(switches) / seconds
