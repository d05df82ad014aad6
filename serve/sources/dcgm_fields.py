"""DCGM's fields by name, old and new, and what they are as channels.

Names and numbers: NVIDIA/DCGM ``dcgmlib/dcgm_fields.h``, where 4.6 gave many fields a new name and kept the number.
Units: the same, and for PCIe and NVLink dcgm-exporter issue 87 (they are bytes per second, whatever the help says).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Final

from hashwarden.model.channels import CHANNELS
from hashwarden.serve.sources.nvml_device import POWER_REASONS, THERMAL_REASONS

__all__ = ["MOVING", "NAMES", "NUMBERS", "PROFILED", "channels", "is_blank", "raw_value"]

_DEV: Final = "DCGM_FI_DEV_"
_PROF: Final = "DCGM_FI_PROF_"
_MIB: Final = float(1 << 20)
_UTIL_RATIO: Final = f"{_DEV}GPU_UTIL_RATIO"

_ENERGY, _FB_TOTAL, _FB_FREE, _FB_USED, _FB_RESERVED, _FB_RATIO = 156, 250, 251, 252, 253, 254
_POWER, _LIMIT_ASKED, _LIMIT = 155, 160, 164
_SM, _MEMORY, _SM_MOST, _MEMORY_MOST, _REASONS = 100, 101, 113, 114, 112

NAMES: Final[Mapping[int, tuple[str, ...]]] = MappingProxyType(
    {
        _SM: (f"{_DEV}SM_CLOCK",),
        _MEMORY: (f"{_DEV}MEM_CLOCK",),
        _REASONS: (f"{_DEV}CLOCK_THROTTLE_REASONS", f"{_DEV}CLOCKS_EVENT_REASONS"),
        _SM_MOST: (f"{_DEV}MAX_SM_CLOCK",),
        _MEMORY_MOST: (f"{_DEV}MAX_MEM_CLOCK",),
        140: (f"{_DEV}MEMORY_TEMP", f"{_DEV}MEMORY_TEMP_CELSIUS"),
        150: (f"{_DEV}GPU_TEMP", f"{_DEV}GPU_TEMP_CELSIUS"),
        _POWER: (f"{_DEV}POWER_USAGE", f"{_DEV}BOARD_POWER_WATTS"),
        _ENERGY: (f"{_DEV}TOTAL_ENERGY_CONSUMPTION",),
        _LIMIT_ASKED: (f"{_DEV}POWER_MGMT_LIMIT", f"{_DEV}BOARD_POWER_LIMIT_REQUESTED_WATTS"),
        _LIMIT: (f"{_DEV}ENFORCED_POWER_LIMIT", f"{_DEV}BOARD_POWER_LIMIT_ENFORCED_WATTS"),
        203: (f"{_DEV}GPU_UTIL", _UTIL_RATIO),
        204: (f"{_DEV}MEM_COPY_UTIL",),
        206: (f"{_DEV}ENC_UTIL",),
        207: (f"{_DEV}DEC_UTIL",),
        _FB_TOTAL: (f"{_DEV}FB_TOTAL",),
        _FB_FREE: (f"{_DEV}FB_FREE",),
        _FB_USED: (f"{_DEV}FB_USED",),
        _FB_RESERVED: (f"{_DEV}FB_RESERVED",),
        _FB_RATIO: (f"{_DEV}FB_USED_PERCENT", f"{_DEV}FB_USED_RATIO"),
        1001: (f"{_PROF}GR_ENGINE_ACTIVE", f"{_PROF}GR_ENGINE_UTIL_RATIO"),
        1002: (f"{_PROF}SM_ACTIVE", f"{_PROF}SM_UTIL_RATIO"),
        1003: (f"{_PROF}SM_OCCUPANCY", f"{_PROF}SM_OCCUPANCY_RATIO"),
        1004: (f"{_PROF}PIPE_TENSOR_ACTIVE", f"{_PROF}TENSOR_UTIL_RATIO"),
        1005: (f"{_PROF}DRAM_ACTIVE", f"{_PROF}DRAM_UTIL_RATIO"),
        1006: (f"{_PROF}PIPE_FP64_ACTIVE", f"{_PROF}FP64_UTIL_RATIO"),
        1007: (f"{_PROF}PIPE_FP32_ACTIVE", f"{_PROF}FP32_UTIL_RATIO"),
        1008: (f"{_PROF}PIPE_FP16_ACTIVE", f"{_PROF}FP16_UTIL_RATIO"),
        1009: (f"{_PROF}PCIE_TX_BYTES",),
        1010: (f"{_PROF}PCIE_RX_BYTES",),
        1011: (f"{_PROF}NVLINK_TX_BYTES",),
        1012: (f"{_PROF}NVLINK_RX_BYTES",),
        1013: (f"{_PROF}PIPE_TENSOR_IMMA_ACTIVE", f"{_PROF}IMMA_UTIL_RATIO"),
        1014: (f"{_PROF}PIPE_TENSOR_HMMA_ACTIVE", f"{_PROF}HMMA_UTIL_RATIO"),
        1015: (f"{_PROF}PIPE_TENSOR_DFMA_ACTIVE", f"{_PROF}DFMA_UTIL_RATIO"),
        1016: (f"{_PROF}PIPE_INT_ACTIVE", f"{_PROF}INT_UTIL_RATIO"),
    }
)
"""Every field that is read, by number: the name before DCGM 4.6 first."""

NUMBERS: Final[Mapping[str, int]] = MappingProxyType({name: n for n, names in NAMES.items() for name in names})
"""The number of each name."""

PROFILED: Final[Mapping[int, str]] = MappingProxyType(
    {c.dcgm: c.name for c in CHANNELS if c.dcgm is not None and c.dcgm > 1000}
)
"""The profiling fields and their channels."""

MOVING: Final = frozenset({_POWER, _ENERGY, 150, *PROFILED})
"""Fields that a live exporter never repeats all together for long: energy grows while there is power."""

_PERCENT: Final = {
    203: "gpu_util_ratio",
    204: "memory_util_ratio",
    206: "encoder_util_ratio",
    207: "decoder_util_ratio",
}
_PLAIN: Final = {
    _POWER: "power_watts", 150: "temperature_celsius", 140: "memory_temperature_celsius", _SM: "sm_clock_mhz"
}  # fmt: skip
_OF_AN_INSTANCE: Final = frozenset({*PROFILED} - {1009, 1010, 1011, 1012}) | set(range(_FB_TOTAL, _FB_RATIO + 1))
"""What DCGM knows of a MIG instance. Power, clocks and utilisation under an instance's labels are the whole GPU's, and
PCIe has no meaning there (DCGM issue 88)."""

_FP64_BLANK: Final = 140737488355328.0
_INT32_BLANK: Final = 0x7FFFFFF0
_INT64_BLANK: Final = float(0x7FFFFFFFFFFFFFF0)
_KINDS: Final = 16
"""Blank, not found, not supported, not permitted: a type's sentinel and the numbers after it (``dcgm_structs.h``)."""

Pairs = Iterator[tuple[str, float]]


def is_blank(value: float) -> bool:
    """Whether a value is one of DCGM's sentinels, or NaN: then there is no value."""
    return (
        value != value  # noqa: PLR0124  NaN
        or _FP64_BLANK <= value < _FP64_BLANK + _KINDS
        or _INT32_BLANK <= value < _INT32_BLANK + _KINDS
        or value == _INT64_BLANK  # a float does not tell the last ones apart
    )


def raw_value(name: str, value: float) -> float | None:
    """The value of a field in its old unit; None if there is none.

    ``GPU_UTIL_RATIO`` has the number of a percentage and the name of a ratio: between 0 and 1 it is the one, above 1
    the other, and 1 may be either, and so is nothing.
    """
    if is_blank(value):
        return None
    if name == _UTIL_RATIO and 0 < value <= 1:
        return 100 * value if value < 1 else None
    return value


def channels(raw: Mapping[int, float], *, mig: bool = False) -> dict[str, float]:
    """Channels of one device.

    Parameters
    ----------
    raw : mapping of int to float
        Values by number of the field, none blank. What cannot be true is given on, for whoever judges it.
    mig : bool
        Whether it is a MIG instance.
    """
    known = {number: value for number, value in raw.items() if number in _OF_AN_INSTANCE} if mig else raw
    found = {channel: known[number] / 100 for number, channel in _PERCENT.items() if number in known}
    found |= {channel: known[number] for number, channel in _PLAIN.items() if number in known}
    return found | dict(_profiled(known)) | dict(_over(known)) | dict(_memory(known))


def _profiled(raw: Mapping[int, float]) -> Pairs:
    for number, channel in PROFILED.items():
        if number in raw:
            yield channel, raw[number] / _MIB if channel.endswith("mib_per_s") else raw[number]


def _over(raw: Mapping[int, float]) -> Pairs:
    """What is told as a part of a limit; without the limit it is not told."""
    limit = raw.get(_LIMIT, raw.get(_LIMIT_ASKED, 0.0))
    for channel, part, whole in (
        ("power_ratio", _POWER, limit),
        ("sm_clock_ratio", _SM, raw.get(_SM_MOST, 0.0)),
        ("memory_clock_ratio", _MEMORY, raw.get(_MEMORY_MOST, 0.0)),
    ):
        if part in raw and whole > 0:
            yield channel, raw[part] / whole
    reasons = raw.get(_REASONS)
    if reasons is not None and 0 <= reasons < 1 << 53:
        yield "power_capped_ratio", float(bool(int(reasons) & POWER_REASONS))
        yield "thermal_capped_ratio", float(bool(int(reasons) & THERMAL_REASONS))


def _memory(raw: Mapping[int, float]) -> Pairs:
    """As NVML counts it since driver 510: what the driver reserved is in use."""
    used = raw.get(_FB_USED)
    if used is None:
        if _FB_RATIO in raw:
            yield "fb_used_ratio", raw[_FB_RATIO]
        return
    taken = used + raw.get(_FB_RESERVED, 0.0)
    total = raw.get(_FB_TOTAL, taken + raw[_FB_FREE] if _FB_FREE in raw else 0.0)
    yield "fb_used_mib", taken
    if total > 0:
        yield "fb_used_ratio", taken / total
    elif _FB_RATIO in raw:
        yield "fb_used_ratio", raw[_FB_RATIO]
