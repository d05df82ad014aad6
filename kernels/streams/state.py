"""Streams of counters in, features out: a window of bounded length that is fed block by block."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Final, Protocol, cast

import numpy as np
import numpy.typing as npt

from hashwarden.errors import UsageError
from hashwarden.kernels.streams.finish import finish
from hashwarden.kernels.streams.reduced import Plan, Reduced
from hashwarden.kernels.streams.table import feature_names

__all__ = ["ENGINES", "MAX_VALUES", "StreamFeatures", "StreamState", "reduce_window"]

ENGINES: Final = {
    "numba": "hashwarden.kernels.streams.cpu",
    "reference": "hashwarden.kernels.streams.reference",
    "cupy": "hashwarden.kernels.streams.raw",
}
"""The engines, the default first, and the module of each."""

MAX_VALUES: Final = 1 << 26
"""Most values (samples times channels) that a window may hold: 256 MiB of float32."""


@dataclass(frozen=True)
class StreamFeatures:
    """Features of a window.

    Attributes
    ----------
    names : tuple of str
        As `table.feature_names` gives them.
    values : ndarray of shape (features,)
        float64; NaN is unknown, never 0.
    """

    names: tuple[str, ...]
    values: npt.NDArray[np.float64]

    def __getitem__(self, name: str) -> float:
        try:
            return float(self.values[self.names.index(name)])
        except ValueError:
            raise UsageError(f"feature {name!r}", "a name of this object's names", "Look in its `names`.") from None

    def as_dict(self) -> Mapping[str, float]:
        """The features by name."""
        return dict(zip(self.names, self.values.tolist(), strict=True))


class _Engine(Protocol):
    """What an engine's module offers."""

    def reduce(self, window: npt.NDArray[np.floating[Any]], plan: Plan) -> Reduced: ...


def reduce_window(
    window: npt.NDArray[np.floating[Any]],
    channels: Sequence[str],
    interval_s: float,
    *,
    activity: str = "",
    engine: str = "numba",
) -> StreamFeatures:
    """Compute the features of a whole window at once.

    Parameters
    ----------
    window : ndarray of shape (samples, channels)
        Oldest sample first; NaN is missing, and so is what is infinite.
    channels : sequence of str
        One name each.
    interval_s : float
        Seconds between samples.
    activity : str, default the first channel
        The channel that says when the GPU is active.
    engine : str, default "numba"
        One of `ENGINES`; all give the same features up to rounding.

    Raises
    ------
    UsageError
        If shapes, names or the engine cannot be meant.
    MissingExtraError
        If the engine's package is not installed.
    """
    state = StreamState(channels, interval_s, max(1, len(window)) * interval_s, activity=activity, engine=engine)
    state.push(window)
    return state.features()


class StreamState:
    """A window over a stream of counters.

    Parameters
    ----------
    channels : sequence of str
        Names, each once; the unit of a channel is its own.
    interval_s : float
        Seconds between samples, above 0.
    window_s : float
        Seconds that are held; the oldest samples go first. At most `MAX_VALUES` values.
    activity : str, default the first channel
        The channel that says when the GPU is active.
    engine : str, default "numba"
        One of `ENGINES`.

    Raises
    ------
    UsageError
        If one of these cannot be meant.
    MissingExtraError
        If the engine's package is not installed.
    """

    def __init__(
        self, channels: Sequence[str], interval_s: float, window_s: float, *, activity: str = "", engine: str = "numba"
    ) -> None:
        self.channels = _checked_names(channels)
        self.interval_s = _checked_seconds(interval_s, "the interval")
        self.length = _checked_length(_checked_seconds(window_s, "the window"), interval_s, len(self.channels))
        activity = activity or self.channels[0]
        if activity not in self.channels:
            raise UsageError(
                f"activity channel {activity!r}", f"one of {', '.join(self.channels)}", "Name one of them."
            )
        self.activity = activity
        self._engine = _engine(engine)
        self._ring = np.full((self.length, len(self.channels)), np.nan, np.float32)
        self._next = 0
        self.samples = 0
        self.missing = 0

    @property
    def held(self) -> int:
        """Samples in the window."""
        return min(self.samples, self.length)

    def push(self, block: npt.ArrayLike) -> None:
        """Add samples.

        Parameters
        ----------
        block : array_like of float, shape (samples, channels)
            Newest last; NaN is missing, and so is what is infinite. Held as float32.

        Raises
        ------
        UsageError
            If it is no such array; nothing is added then.
        """
        values = self._checked(block)
        self.samples += len(values)
        self.missing += int(np.isnan(values).sum())
        values = values[-self.length :]
        room = self.length - self._next
        self._ring[self._next : self._next + len(values)] = values[:room]
        self._ring[: max(0, len(values) - room)] = values[room:]
        self._next = (self._next + len(values)) % self.length

    def skip(self, samples: int) -> None:
        """Add samples that were lost: all channels are missing for so long."""
        if samples < 0:
            raise UsageError(f"{samples} lost samples", "a number of 0 or more", "Count them again.")
        rest = max(0, samples - self.length)  # a long gap costs no more than a whole window
        self.push(np.full((samples - rest, len(self.channels)), np.nan, np.float32))
        self.samples += rest
        self.missing += rest * len(self.channels)

    def window(self) -> npt.NDArray[np.float32]:
        """Copy of what is held, oldest sample first, shape (held, channels)."""
        if self.samples < self.length:
            return self._ring[: self.samples].copy()
        return np.concatenate([self._ring[self._next :], self._ring[: self._next]])

    def features(self) -> StreamFeatures:
        """Features of what is held; how it was cut into blocks does not change them. NaN for an empty window."""
        names = feature_names(self.channels)
        if not self.held:
            return StreamFeatures(names, np.full(len(names), np.nan))
        plan = Plan(self.held, len(self.channels), self.interval_s, self.channels.index(self.activity))
        return StreamFeatures(names, finish(self._engine.reduce(self.window(), plan), plan))

    def _checked(self, block: npt.ArrayLike) -> npt.NDArray[np.float32]:
        expected = f"float32 or float64 of shape (samples, {len(self.channels)})"
        remedy = "Give one row per sample and one column per channel: " + ", ".join(self.channels) + "."
        try:
            values = np.asarray(block)
        except ValueError:
            raise UsageError("a block of rows of different lengths", expected, remedy) from None
        if values.ndim != 2 or values.shape[1] != len(self.channels):
            raise UsageError(f"a block of shape {values.shape}", expected, remedy)
        if values.dtype.kind not in "fiu":
            raise UsageError(f"a block of {values.dtype}", expected, remedy)
        with np.errstate(over="ignore"):  # what float32 cannot hold is no counter's value: missing
            values = values.astype(np.float32)
        values[~np.isfinite(values)] = np.nan
        return values


def _checked_names(channels: Sequence[str]) -> tuple[str, ...]:
    names = (channels,) if isinstance(channels, str) else tuple(channels)
    if not names or len(set(names)) < len(names) or not all(isinstance(n, str) and n for n in names):
        raise UsageError(
            f"channels {list(names)!r}", "one or more names, each once", "Name every column of the blocks."
        )
    return names


def _checked_seconds(value: float, what: str) -> float:
    if not (np.isfinite(value) and value > 0):
        raise UsageError(f"{what} of {value} s", "a finite number of seconds above 0", "Give it in seconds.")
    return float(value)


def _checked_length(window_s: float, interval_s: float, channels: int) -> int:
    length = max(1, round(window_s / interval_s))
    if length * channels > MAX_VALUES:
        raise UsageError(
            f"a window of {length} samples of {channels} channels",
            f"at most {MAX_VALUES} values",
            "Shorten the window, sample less often, or watch fewer channels.",
        )
    return length


def _engine(name: str) -> _Engine:
    """The module of an engine, imported when it is used."""
    if name not in ENGINES:
        raise UsageError(f"engine {name!r}", f"one of {', '.join(ENGINES)}", "Name one of them.")
    return cast(_Engine, import_module(ENGINES[name]))
