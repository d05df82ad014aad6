"""Looks at a GPU through CUPTI's PM sampling, and what they show. Part of sampling.py; not a command."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from hashwarden.kernels.streams import collector as layer
from hashwarden.kernels.streams.sampler import Sampler

__all__ = ["Look", "Watching", "clocks", "look", "rate_row", "rhythm", "summary"]

POLL_S = 0.05
MOST_PERCENT = 101.0
"""A percentage of a peak may be a little over it: numerator and denominator are not read at one moment."""
STRETCHES = 12
Row = dict[str, Any]


class Watching:
    """A driver that hands on all, and keeps the time stamps of every sample that passes.

    Parameters
    ----------
    driver : Driver, optional
        The one that reaches the hardware; cupti-python by default.
    """

    def __init__(self, driver: layer.Driver | None = None) -> None:
        self._driver = driver or layer.CuptiDriver()
        self.times: list[np.ndarray] = []
        self.values: list[np.ndarray] = []
        self.context: bool | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._driver, name)

    def collector(self, device: int) -> Any:
        """A collector whose decodings are looked at."""
        return _Collector(self._driver.collector(device), self)


class _Collector:
    def __init__(self, collector: Any, watching: Watching) -> None:
        self._collector, self._watching = collector, watching

    def __getattr__(self, name: str) -> Any:
        return getattr(self._collector, name)

    def decode(self, max_samples: int) -> Any:
        decoded = _Kept(self._collector.decode(max_samples=max_samples))
        self._watching.context = getattr(self._collector, "has_context", None)
        times, values = layer.rows(decoded)
        if len(times):
            self._watching.times.append(times)
            self._watching.values.append(values)
        return decoded


class _Kept:
    """A decoding that can be gone through twice, and is evaluated once."""

    def __init__(self, decoded: Any) -> None:
        self._samples = list(decoded)
        self.num_total_samples = decoded.num_total_samples
        self.num_populated_samples = decoded.num_populated_samples
        self.num_completed_samples = decoded.num_completed_samples

    def __iter__(self) -> Iterator[Any]:
        return iter(self._samples)


class Look:
    """What one stretch of sampling gave.

    Attributes
    ----------
    names : tuple of str
        Channels.
    times : int64 array, shape (samples, 2)
        Start and end of each sample, ns of CUPTI's clock.
    values : float64 array, shape (samples, channels)
    polls : list of (float, int)
        Monotonic clock when a poll was over, in seconds, and the newest end by then, in ns.
    context : bool, optional
        Whether sampling took a context of our own on the GPU.
    """

    def __init__(self, sampler: Sampler, watching: Watching) -> None:
        self.names, self.rate_hz, self.loss = sampler.names, sampler.rate_hz, sampler.loss
        self.interval_s = sampler.interval_s
        none = np.empty((0, 2), np.int64), np.empty((0, len(sampler.names)))
        self.times = np.concatenate(watching.times) if watching.times else none[0]
        self.values = np.concatenate(watching.values) if watching.values else none[1]
        self.polls: list[tuple[float, int]] = []
        self.poll_s: list[float] = []
        self.seconds = self.cpu_s = self.open_s = 0.0
        self.rhythm: Row = {}
        self.context = watching.context


def look(  # noqa: PLR0913  a rate, and what to do meanwhile
    make: Callable[..., Sampler], driver: Callable[[], Watching], rate_hz: float, seconds: float, *,
    width: str = "wide", window_s: float = 0.0, meanwhile: Callable[[], object] | None = None,
) -> Look:  # fmt: skip
    """Sample for a while.

    Parameters
    ----------
    make : callable
        `Sampler`, or what a test puts in its place.
    driver : callable
        Makes a `Watching`.
    window_s : float
        Look for the rhythm in so much of it; 0: do not.
    meanwhile : callable, optional
        Is called once, in the middle, while the polling goes on; the look lasts at least as long. What it raises is
        raised.
    """
    watching, polls, took = driver(), [], []
    began, other = time.monotonic(), None
    with (
        ThreadPoolExecutor(1) as pool,
        make(0, rate_hz=rate_hz, poll_s=POLL_S, width=width, driver=watching) as sampler,
    ):
        opened = time.monotonic()
        state = sampler.state(window_s) if window_s else None
        used = time.process_time()
        while time.monotonic() < opened + seconds or (other is not None and not other.done()):
            time.sleep(POLL_S)
            start = time.monotonic()
            sampler.poll()
            took.append(time.monotonic() - start)
            if watching.times:
                polls.append((time.monotonic(), int(watching.times[-1][-1, 1])))
            if meanwhile is not None and other is None and time.monotonic() > opened + seconds / 2:
                other = pool.submit(meanwhile)  # nothing polls the buffer of a sampler that waits
        cpu_s, seconds = time.process_time() - used, time.monotonic() - opened
        found = Look(sampler, watching)
        found.rhythm = rhythm(state) if state is not None else {}
    found.polls, found.poll_s, found.cpu_s, found.seconds = polls, took, cpu_s, seconds
    found.open_s = opened - began
    if other is not None:
        other.result()
    return found


def rhythm(state: Any) -> Row:
    """Period in seconds, and its strength, of each pipe that works."""
    features = state.features()
    rows = {}
    for name in ("tensor", "alu", "sm_active"):
        if np.nan_to_num(features[f"{name}.mean"]) > 1:
            rows[name] = {"period_s": features[f"{name}.period"], "strength": features[f"{name}.period_strength"]}
    return {name: row for name, row in rows.items() if np.isfinite(row["period_s"])}


def summary(found: Look) -> Row:
    """Mean of each channel, and how many of its values cannot be: missing, negative, over the peak."""
    rows = {}
    for place, name in enumerate(found.names):
        column = found.values[:, place]
        there = column[np.isfinite(column)]
        rows[name] = {
            "mean_percent": float(there.mean()) if len(there) else None,
            "missing": int(len(column) - len(there)),
            "cannot_be": int(((there < 0) | (there > MOST_PERCENT)).sum()),
        }
    return {"samples": len(found.values), "channels": rows}


def rate_row(found: Look) -> Row:
    """How well a rate was held."""
    row: Row = {
        "rate_hz": found.rate_hz, "channels": len(found.names), "seconds": found.seconds,
        "samples": found.loss.samples, "lost": found.loss.lost, "incomplete": found.loss.incomplete,
        "overflows": found.loss.overflows, "odd": found.loss.odd, "context": found.context,
        "share_of_a_core": found.cpu_s / found.seconds, "opened_in_s": found.open_s,
        "longest_poll_ms": 1e3 * max(found.poll_s, default=0.0),
    }  # fmt: skip
    if len(found.times) > 2:
        span = (found.times[-1, 1] - found.times[0, 0]) / 1e9
        between = np.diff(found.times[:, 1]) / 1e3
        p1, p50, p99 = np.percentile(between, (1, 50, 99)).tolist()
        row |= {
            "share_of_wanted": len(found.times) / (span * found.rate_hz), "span_s": span,
            "between_ends_us": {"p1": p1, "p50": p50, "p99": p99, "longest": float(between.max())},
        }  # fmt: skip
    return row


def clocks(polls: Sequence[tuple[float, int]]) -> Row | None:
    """How CUPTI's clock runs against the monotonic one; None for too few polls.

    A sample is there some time after its end. Of every few polls the soonest counts, and a line is laid through these:
    its slope is the drift, with the standard error that the line's residuals give.
    """
    if len(polls) < STRETCHES * 2:
        return None
    at, end = np.array([one for one, _ in polls]), np.array([one for _, one in polls]) / 1e9
    late = (at - at[0]) - (end - end[0])
    soonest = [part[np.argmin(late[part])] for part in np.array_split(np.arange(len(at)), STRETCHES)]
    (slope, _), errors = np.polyfit(at[soonest] - at[0], late[soonest], 1, cov=True)
    return {
        "span_s": float(at[-1] - at[0]), "drift_ppm": -1e6 * float(slope),
        "standard_error_ppm": 1e6 * float(np.sqrt(errors[0, 0])),
        "unix_minus_stamp_s": float(time.time() - time.monotonic() + at[-1] - end[-1]),
        "monotonic_minus_stamp_s": float(at[-1] - end[-1]),
    }  # fmt: skip
