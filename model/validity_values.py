"""Values that cannot be true whatever came before: sentinels, impossible values, ratios a little above 1."""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from hashwarden.model.channels import CHANNELS, INDEX
from hashwarden.model.validity_rules import CLAMP_TO, NEVER_ZERO, SENTINEL_FROM, SENTINELS, Reason

__all__ = ["look_at_values"]

F32 = npt.NDArray[np.float32]
I8 = npt.NDArray[np.int8]

_LOW: Final = np.array([c.low for c in CHANNELS], np.float32)
_HIGH: Final = np.array([c.high for c in CHANNELS], np.float32)
_DRIVER: Final = np.array([c.group in {"nvml", "gpm", "pm"} for c in CHANNELS])
_CLAMPED: Final = np.array([c.unit == "ratio" and c.high == 1 for c in CHANNELS])
_POSITIVE: Final = np.zeros(len(CHANNELS), bool)
_POSITIVE[[INDEX[name] for name in NEVER_ZERO]] = True

# Limits of the quick look: what lies outside is looked at closely.
_QUICK_LOW: Final = np.where(_POSITIVE, np.nextafter(np.float32(0), np.float32(1)), _LOW).astype(np.float32)
_QUICK_HIGH: Final = np.where(_DRIVER, np.minimum(_HIGH, SENTINEL_FROM), _HIGH).astype(np.float32)
_NAN: Final = np.float32(np.nan)
_OK: Final = np.int8(Reason.OK)
_MISSING: Final = np.int8(Reason.MISSING)


def look_at_values(values: F32) -> tuple[F32, I8]:
    """Judge each value by itself.

    Parameters
    ----------
    values : float32 array, shape (T, len(CHANNELS)) or (len(CHANNELS),)
        Raw; NaN and infinite are missing.

    Returns
    -------
    values : float32 array of the same shape
        A copy, NaN where not credible.
    reasons : int8 array of the same shape
        `Reason`.
    """
    quick = (values >= _QUICK_LOW) & (values <= _QUICK_HIGH)
    out = np.where(quick, values, _NAN)
    reasons = np.where(quick, _OK, _MISSING)
    odd = np.isfinite(values)
    odd ^= quick
    if np.count_nonzero(odd):
        _look_closer(values, odd, out, reasons)
    return out, reasons


def _look_closer(values: F32, odd: npt.NDArray[np.bool_], out: F32, reasons: I8) -> None:
    """Judge the few values that the quick look did not pass; fills ``out`` and ``reasons``."""
    places = np.nonzero(odd)
    value, columns = values[places], places[-1]
    possible = (value >= _LOW[columns]) & (value <= _HIGH[columns])
    above = _CLAMPED[columns] & (value > 1) & (value <= np.float32(CLAMP_TO))
    blank = np.isin(value, SENTINELS) & (_DRIVER[columns] | ~possible)
    zero = _POSITIVE[columns] & (value == 0)
    conditions = [blank, zero, above, possible]
    codes = [Reason.SENTINEL, Reason.DEAD, Reason.CLAMPED, Reason.OK]
    reasons[places] = np.select(conditions, codes, Reason.OUT_OF_RANGE)
    out[places] = np.select(conditions, [_NAN, _NAN, np.float32(1), value], _NAN)
