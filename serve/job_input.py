"""Checks what goes into the job model: it would answer to anything, and nonsense must not pass for a verdict."""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from hashwarden.errors import UsageError
from hashwarden.model.channels import CHANNELS

__all__ = ["check_shapes", "check_state", "cleaned"]

F32 = npt.NDArray[np.float32]
Array = npt.NDArray[np.generic]

INFINITY: Final = 0x7F800000
"""The bits of an infinite float32. Larger are NaN and everything with a sign."""


def check_shapes(sample: Array, mask: Array, dt: Array, axes: int) -> None:
    """Refuse what is no array of numbers, or of another shape: `axes` axes before that of the channels.

    Raises
    ------
    UsageError
    """
    for name, array, kinds in (("sample", sample, "f"), ("mask", mask, "bfiu"), ("dt", dt, "fiu")):
        if not isinstance(array, np.ndarray) or array.dtype.kind not in kinds:
            got = f"of {array.dtype}" if isinstance(array, np.ndarray) else f"that is a {type(array).__name__}"
            raise UsageError(f"a {name} {got}", "a NumPy array of numbers, samples in float32", "Convert it.")
    lead = sample.shape[:axes]
    if sample.ndim != axes + 1 or sample.shape[-1] != len(CHANNELS):
        wanted = f"{axes} axes and then {len(CHANNELS)} channels"
        raise UsageError(f"samples of shape {sample.shape}", wanted, "Fill the table of channels, NaN for missing.")
    if mask.shape != sample.shape or dt.shape not in (lead, (*lead, 1)):
        got = f"a mask of shape {mask.shape} and times of shape {dt.shape}"
        raise UsageError(got, f"{sample.shape} and {lead}", "Give a mask for each value and a time for each sample.")


def check_state(state: object, count: int, size: int) -> None:
    """Refuse a state that is not float32 of shape (count, size).

    Raises
    ------
    UsageError
    """
    if isinstance(state, np.ndarray) and state.shape == (count, size) and state.dtype == np.float32:
        return
    got = f"{state.dtype} of shape {state.shape}" if isinstance(state, np.ndarray) else type(state).__name__
    raise UsageError(f"a state that is {got}", f"float32 of shape {(count, size)}", "Hand on what the last step gave.")


def cleaned(sample: Array, mask: Array, dt: Array) -> tuple[F32, F32, F32]:
    """Samples that are 0 where the mask is, a mask of 0 and 1, and times; float32.

    Raises
    ------
    UsageError
        If a value that the mask shows is below 0 or not finite, or time runs backwards or is not finite.
    """
    shown = mask != 0
    given, times = _single(sample), _single(dt)
    bits = np.multiply(given.view(np.uint32), shown)  # 0 under the mask whatever lies there, and no warning of it
    values = bits.view(np.float32)
    if not _fits(values):
        wrong = ~((values >= 0) & (values < np.inf))
        channel = CHANNELS[int(np.argwhere(wrong)[0, -1])].name
        raise UsageError(
            f"the value {values[wrong][0]} of {channel}, which the mask shows",
            "judged values: finite, 0 or more",
            "Judge samples first (hashwarden.model.validity), or mask what is missing.",
        )
    if not _fits(times):
        wrong_times = times[~((times >= 0) & (times < np.inf))]
        got = f"{wrong_times.flat[0]} s since the sample before"
        raise UsageError(got, "a finite time, 0 or more", "Put samples in the order of time.")
    return values, shown.astype(np.float32), times


def _single(array: Array) -> F32:
    """As float32; a double that is too large becomes infinite, and is refused as such."""
    if array.dtype == np.float32:
        return np.asarray(array, np.float32)
    with np.errstate(over="ignore"):
        return array.astype(np.float32)


def _fits(values: F32) -> bool:
    """Whether all are finite and 0 or more: as integers they are below infinity then, and one look is enough."""
    if not values.size or np.maximum.reduce(values.view(np.uint32), axis=None) < INFINITY:
        return True
    return bool(values.min() >= 0 and values.max() < np.inf)  # there is a -0
