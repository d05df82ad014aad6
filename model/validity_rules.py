"""What the faults of counters look like: the tables that `hashwarden.model.validity` judges by.

Sentinels: NVIDIA/DCGM ``dcgmlib/dcgm_structs.h`` (``DCGM_INT32_BLANK``, ``DCGM_INT64_BLANK``, ``DCGM_FP64_BLANK`` and
the three codes above each), ``NVML_VALUE_NOT_AVAILABLE`` of ``nvml.h``, and what exporters were seen to pass on
(guilbaults/slurm-job-exporter issue 30). The levels and times are ours.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from types import MappingProxyType
from typing import Final, final

import numpy as np
import numpy.typing as npt

from hashwarden.model.channels import CHANNELS, INDEX, Group

__all__ = [
    "CLAMP_TO", "CLOCK_STEP", "DEAD", "DEAD_S", "FIRST_FAULT", "FROZEN_S", "FROZEN_SAMPLES", "KEYS", "NEVER_ZERO",
    "REASON_TEXT", "SENTINELS", "SENTINEL_FROM", "Dead", "Reason",
]  # fmt: skip


class Reason(IntEnum):
    """Why a value is as it is; from `FIRST_FAULT` on it is not credible and reads as NaN."""

    OK = 0
    CLAMPED = 1
    CLOCK_MOVED = 2
    MISSING = 8
    SENTINEL = 9
    OUT_OF_RANGE = 10
    FROZEN = 11
    DEAD = 12
    STALE = 13


FIRST_FAULT: Final = Reason.MISSING

REASON_TEXT: Final[Mapping[Reason, str]] = MappingProxyType(
    {
        Reason.OK: "as the source gave it",
        Reason.CLAMPED: "a ratio a little above 1, read as 1",
        Reason.CLOCK_MOVED: "a ratio of cycles over an interval in which the clock moved: kept, but no mean over time",
        Reason.MISSING: "the source gave nothing",
        Reason.SENTINEL: "the source's sign for nothing, passed on as if it were a number",
        Reason.OUT_OF_RANGE: "a value that cannot be true",
        Reason.FROZEN: "the same to the last bit for too long while the GPU works",
        Reason.DEAD: "0 while other counters say that the GPU works",
        Reason.STALE: "a sample whose time is not after the one before it: shown again, not measured again",
    }
)

CLAMP_TO: Final = 1.05
"""A ratio up to here is rounding and reads as 1."""

CLOCK_STEP: Final = 0.1
"""Change of the SM clock between two samples, over the highest clock, from which ratios of cycles are marked."""

FROZEN_S: Final = 30.0
FROZEN_SAMPLES: Final = 8
"""Both have to be reached by samples of the same bits. dcgm-exporter's 30 s give 4 minutes."""

DEAD_S: Final = 10.0
"""Seconds of contradiction after which a lasting 0 is not believed; longer than the lag between two sources (DCGM
shows new values about 300 ms late: DCGM issue 170) and than the driver's own period of 1 s."""

SENTINEL_FROM: Final = 1e6
"""Sentinels below this after a division by the source are normal values: 0xFFFFFFFF bytes are 4096 MiB. Such a
division has to be caught before it, in the source."""

_BLANKS: Final = (
    *(0x7FFFFFF0 + code for code in range(4)),  # DCGM, 32 bits
    *(0x7FFFFFFFFFFFFFF0 + code for code in range(4)),  # DCGM, 64 bits: ...792 and ...794 are two of them
    *(2**47 + code for code in range(4)),  # DCGM, double: 140737488355328.0
    2**31 - 1, 2**32 - 1, 2**63 - 1, 2**64 - 1,
)  # fmt: skip
_DIVISORS: Final = (1, 100, 1000, 1024, 10**6, 2**20, 10**9)


def _sentinels() -> npt.NDArray[np.float32]:
    exact = np.array([blank / divisor for blank in _BLANKS for divisor in _DIVISORS])
    rounded = exact[exact >= SENTINEL_FROM].astype(np.float32)
    around = [np.nextafter(rounded, np.float32(side)) for side in (0, np.inf)]
    found = np.sort(np.concatenate([rounded, *around]))
    first = np.concatenate([np.ones(1, np.bool_), found[1:] != found[:-1]])
    return np.asarray(found[first])  # as np.unique, which imports masked arrays: 9 ms


SENTINELS: Final = _sentinels()
"""Sorted, after the divisions that sources make and after rounding to float32, with both neighbours."""

NEVER_ZERO: Final = (
    "power_watts", "power_ratio", "energy_power_ratio", "temperature_celsius", "memory_temperature_celsius",
    *(channel.name for channel in CHANNELS if channel.group == "probe" and channel.high > 1),
)  # fmt: skip
"""What an exact 0 cannot be true of, whatever the GPU does."""


@final
@dataclass(frozen=True, slots=True)
class Dead:
    """A lasting 0 that others contradict.

    Attributes
    ----------
    zeros : tuple of str
        Channels that are all exactly 0 (missing ones do not count, one has to be there).
    witnesses : mapping of str to float
        A channel at this level or above says that the zeros are wrong; one is enough.
    kills : tuple of str
        Channels that are not credible then.
    samples : int
        Contradictions needed, besides `DEAD_S`; more where NVML looks at a moment and not at the whole interval.
    """

    zeros: tuple[str, ...]
    witnesses: Mapping[str, float]
    kills: tuple[str, ...]
    samples: int = 4


_ALL_GPM: Final = tuple(channel.name for channel in CHANNELS if channel.group == "gpm")
_PIPES: Final = tuple(f"{pipe}_active_ratio" for pipe in ("fp16", "fp32", "fp64", "tensor"))
_GPM_WORK: Final = (*(f"{n}_active_ratio" for n in ("graphics", "sm", "integer", "dram")), *_PIPES)
_PM: Final = tuple(channel.name for channel in CHANNELS if channel.group == "pm")
_BUSY: Final = {
    "gpu_util_ratio": 0.5, "process_sm_util_ratio": 0.5, "power_ratio": 0.6, "energy_power_ratio": 0.6,
}  # fmt: skip
_SPLIT: Final = {f"tensor_{kind}_active_ratio": 0.02 for kind in ("dfma", "hmma", "imma")}
_SMS: Final = {"sm_active_ratio": 0.8}
_KERNELS: Final = {"sm_active_ratio": 0.2, "gpu_util_ratio": 0.5}


def _one(name: str, witnesses: Mapping[str, float], samples: int = 4) -> Dead:
    return Dead((name,), witnesses, (name,), samples)


DEAD: Final = (
    Dead(_GPM_WORK, _BUSY, _ALL_GPM),
    _one("graphics_active_ratio", {**_BUSY, "sm_active_ratio": 0.05}),  # dcgm-exporter issue 662
    Dead(("sm_active_ratio",), _BUSY, ("sm_active_ratio", "sm_occupancy_ratio")),
    _one("sm_occupancy_ratio", {"sm_active_ratio": 0.05}),
    _one("integer_active_ratio", dict.fromkeys(_PIPES, 0.05)),  # there is no arithmetic without addresses
    _one("tensor_active_ratio", _SPLIT),
    _one("dram_active_ratio", {"memory_util_ratio": 0.2, "pm_dram_read_ratio": 0.05}),
    Dead(("pm_sm_active_ratio",), {**_BUSY, "sm_active_ratio": 0.2}, _PM),
    _one("gpu_util_ratio", _SMS, 8),
    _one("process_sm_util_ratio", _SMS, 8),
    _one("memory_util_ratio", {"dram_active_ratio": 0.6}, 8),
    _one("fb_used_mib", _KERNELS),
    _one("fb_used_ratio", _KERNELS),
    _one("sm_clock_mhz", _KERNELS),
    _one("sm_clock_ratio", _KERNELS),
    _one("memory_clock_ratio", _KERNELS),
)
"""Power is a witness only where ``gpu_util_ratio`` is known: NVML gives none for a MIG instance, whose power is that of
the whole board."""


def _ratios(group: Group) -> tuple[str, ...]:
    return tuple(channel.name for channel in CHANNELS if channel.group == group and channel.unit == "ratio")


def _keys(*names: str) -> tuple[int, ...]:
    return tuple(INDEX[name] for name in names)


KEYS: Final[Mapping[Group, tuple[int, ...]]] = MappingProxyType(
    {
        "nvml": _keys("gpu_util_ratio", "memory_util_ratio", "power_ratio", "energy_power_ratio"),
        "gpm": _keys(*_ratios("gpm")),
        "pm": _keys(*_ratios("pm")),
        "launch": _keys("launches_per_s", "graph_launches_per_s"),
        "code": _keys("code_known_ratio"),
        "probe": _keys(*_ratios("probe")),
    }
)
"""The channels of each group, as indices, without which it says nothing of the work."""
