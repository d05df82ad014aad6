"""The engine on the GPU: CUDA C (streams.cu) and Fourier transforms through CuPy.

`reduce_on` takes the array module and the way to launch a kernel as arguments, so that the whole of it also
runs with NumPy and kernels compiled for the CPU: that is how it is tested where there is no GPU.
"""

# ruff: noqa: ANN401  arrays of NumPy or CuPy, and the module that they are of

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from importlib.resources import files
from itertools import combinations
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from hashwarden.errors import MissingExtraError, NoDeviceError
from hashwarden.kernels.streams import reduced as sizes
from hashwarden.kernels.streams import spectra
from hashwarden.kernels.streams.reduced import Plan, Reduced, hann

__all__ = ["KERNELS", "reduce", "reduce_on", "source"]

Launch = Callable[..., None]
"""``launch(kernel, blocks, threads, *arguments)``: arrays and NumPy scalars."""

KERNELS: Final = ("run_sums", "taper_segments", "chunk_states", "chunk_starts", "chunk_lengths")
"""The kernels of streams.cu."""

_THREADS: Final = 128
_CHUNK: Final = 256
_MOST_CHUNKS: Final = 1024


def source() -> str:
    """The text of streams.cu."""
    return files("hashwarden.kernels.streams").joinpath("streams.cu").read_text()


def reduce(window: npt.NDArray[np.floating[Any]], plan: Plan) -> Reduced:
    """Compute the sums of a window on the current GPU.

    Parameters
    ----------
    window : ndarray of shape (samples, channels)
        Oldest sample first; NaN is missing. Copied to the GPU.
    plan : Plan
        Sizes that fit the window.

    Raises
    ------
    MissingExtraError
        If CuPy is not installed.
    NoDeviceError
        If there is no GPU.
    """
    cupy = _cupy()
    return reduce_on(cupy, _launch, cupy.asarray(np.ascontiguousarray(window, np.float32)), plan)


def _cupy() -> Any:
    try:
        import cupy
    except ImportError as error:
        raise MissingExtraError.of("cupy", "cuda13") from error
    try:
        found = cupy.cuda.runtime.getDeviceCount()
    except cupy.cuda.runtime.CUDARuntimeError as error:
        raise NoDeviceError(f"no GPU ({error})", "an NVIDIA GPU", "Use the engine 'numba'.") from error
    if not found:
        raise NoDeviceError("no GPU", "an NVIDIA GPU", "Use the engine 'numba'.")
    return cupy


@cache
def _module(device: int) -> Any:  # noqa: ARG001  a module belongs to the device it was loaded on
    return _cupy().RawModule(code=source())


def _launch(kernel: str, blocks: int, threads: int, *arguments: Any) -> None:
    device = _cupy().cuda.runtime.getDevice()
    _module(device).get_function(kernel)((blocks,), (threads,), arguments)


def reduce_on(xp: Any, launch: Launch, window: Any, plan: Plan) -> Reduced:
    """Compute the sums of a window with an array module and a way to launch kernels.

    Parameters
    ----------
    xp : module
        cupy, or numpy.
    launch : callable
        Runs a kernel of `KERNELS`.
    window : array of float32, shape (samples, channels), C-contiguous
        An array of ``xp``.
    plan : Plan
        Sizes that fit the window.
    """
    present = xp.isfinite(window)
    count, mean, std, largest, magnitude = _levels(xp, window, present)
    quantiles = _quantiles(xp, window, present, count)
    peaks = xp.ascontiguousarray(quantiles[:, -1])
    activity = window[:, plan.activity] > sizes.ACTIVE_SHARE * peaks[plan.activity]
    known = (count[plan.activity] > 0) & (peaks[plan.activity] > 0)
    sums, counts = _run_sums(xp, launch, window, plan.bin_width, plan)
    bins = xp.where(2 * counts >= plan.bin_width, sums / xp.maximum(counts, 1), np.nan)
    auto, lagged = spectra.lag_correlations(xp, bins, plan)
    columns: dict[str, Any] = {
        "count": count,
        "mean": mean,
        "std": std,
        "largest": largest,
        "magnitude": magnitude,
        "quantiles": quantiles,
        "shares": _shares(xp, window, peaks, count),
        "active": xp.stack(_levels(xp, window, present & activity[:, None])[:3], axis=1),
        "fano": _fano(xp, launch, window, plan),
        "bins": bins,
        "bursts": _bursts(xp, launch, window, peaks, plan),
        "psd": _psd(xp, launch, window, plan),
        "correlation": _correlations(xp, window),
        "auto": auto,
        "lagged": lagged,
    }
    share = xp.where(known, activity.sum() / xp.maximum(count[plan.activity], 1), np.nan)
    return Reduced(active_share=float(share), **{name: _to_host(xp, value) for name, value in columns.items()})


def _to_host(xp: Any, array: Any) -> npt.NDArray[Any]:
    host: npt.NDArray[Any] = array if xp is np else xp.asnumpy(array)
    return host


def _levels(xp: Any, window: Any, chosen: Any) -> tuple[Any, ...]:
    """Count, mean, standard deviation, maximum and maximum magnitude of the chosen samples of each channel."""
    count = chosen.sum(axis=0).astype(np.float64)
    safe, empty = xp.maximum(count, 1), count == 0
    values = xp.where(chosen, window, np.float32(0)).astype(np.float64)
    mean = values.sum(axis=0) / safe
    std = xp.sqrt((xp.where(chosen, values - mean, 0.0) ** 2).sum(axis=0) / safe)
    largest = xp.where(chosen, values, -np.inf).max(axis=0)
    found = (mean, std, largest, xp.abs(values).max(axis=0))
    return count, *(xp.where(empty, np.nan, one) for one in found)


def _quantiles(xp: Any, window: Any, present: Any, count: Any) -> Any:
    """Quantiles between samples linearly: what is missing sorts to the end."""
    ordered = xp.sort(xp.where(present, window, np.float32(np.inf)), axis=0)
    at = xp.asarray(sizes.QUANTILES) * xp.maximum(count - 1, 0)[:, None]
    low = xp.floor(at).astype(np.int64)
    high = xp.minimum(low + 1, xp.maximum(count - 1, 0).astype(np.int64)[:, None])
    channel = xp.arange(window.shape[1])[:, None]
    below, above = (ordered[index, channel].astype(np.float64) for index in (low, high))
    empty = (count == 0)[:, None]
    below, above = xp.where(empty, np.nan, below), xp.where(empty, np.nan, above)
    return below + (above - below) * (at - low)


def _shares(xp: Any, window: Any, peaks: Any, count: Any) -> Any:
    safe = xp.where(count > 0, count, np.nan)
    near_zero = (window <= sizes.NEAR_ZERO * peaks).sum(axis=0) / safe
    near_peak = (window >= sizes.NEAR_PEAK * peaks).sum(axis=0) / safe
    return xp.stack([near_zero, xp.where(peaks > 0, near_peak, np.nan)], axis=1)


def _correlations(xp: Any, window: Any) -> Any:
    """Pearson's correlation of every pair of channels over the samples present in both."""
    present = xp.isfinite(window)
    mask = present.astype(np.float64)
    total = mask.sum(axis=0)
    # About the mean, so that the differences of large sums below lose nothing.
    mean = xp.where(present, window, 0.0).astype(np.float64).sum(axis=0) / xp.maximum(total, 1)
    z = xp.where(present, window - mean, 0.0)
    n, sums, squares = mask.T @ mask, z.T @ mask, (z * z).T @ mask
    safe = xp.maximum(n, 1)
    variance = xp.maximum(squares - sums**2 / safe, 0.0) / safe
    largest = xp.abs(xp.where(present, window, 0.0)).max(axis=0)
    constant = xp.sqrt(variance) <= sizes.CONSTANT * xp.maximum(largest[:, None], 0.0)
    known = (n >= 3) & ~constant & ~constant.T
    covariance = (z.T @ z - sums * sums.T / safe) / safe
    matrix = xp.where(known, covariance / xp.sqrt(xp.where(known, variance * variance.T, 1.0)), np.nan)
    pairs = list(combinations(range(window.shape[1]), 2))
    return matrix[[a for a, _ in pairs], [b for _, b in pairs]] if pairs else xp.empty(0)


def _run_sums(xp: Any, launch: Launch, window: Any, width: int, plan: Plan) -> tuple[Any, Any]:
    runs = plan.samples // width
    sums, counts = xp.empty((runs, plan.channels)), xp.empty((runs, plan.channels))
    blocks = -(-runs * plan.channels // _THREADS)
    if blocks:
        arguments = (np.int32(plan.channels), np.int64(width), np.int64(runs), sums, counts)
        launch("run_sums", blocks, _THREADS, window, *arguments)
    return sums, counts


def _fano(xp: Any, launch: Launch, window: Any, plan: Plan) -> Any:
    sums, counts = _run_sums(xp, launch, window, sizes.FANO_SAMPLES, plan)
    whole = counts == sizes.FANO_SAMPLES
    n = whole.sum(axis=0).astype(np.float64)
    safe = xp.where(n > 0, n, np.nan)
    mean = xp.where(whole, sums, 0.0).sum(axis=0) / safe
    variance = (xp.where(whole, sums - mean, 0.0) ** 2).sum(axis=0) / safe
    return xp.stack([n, mean, variance], axis=1)


def _bursts(xp: Any, launch: Launch, window: Any, peaks: Any, plan: Plan) -> Any:
    chunk = max(_CHUNK, -(-plan.samples // _MOST_CHUNKS))
    chunks = -(-plan.samples // chunk)
    blocks = -(-chunks * plan.channels // _THREADS)
    highs, lows = sizes.ACTIVE_SHARE * peaks, sizes.IDLE_SHARE * peaks
    where = (np.int64(plan.samples), np.int32(plan.channels), np.int64(chunk), np.int32(chunks), highs, lows)
    states = xp.empty((chunks, plan.channels), np.int32)
    starts, gaps = (xp.empty((chunks, plan.channels), np.int64) for _ in range(2))
    bursts = xp.zeros((plan.channels, 6), np.int64)
    launch("chunk_states", blocks, _THREADS, window, *where, states)
    launch("chunk_starts", blocks, _THREADS, window, *where, states, starts, gaps)
    launch("chunk_lengths", blocks, _THREADS, window, *where, states, starts, gaps, bursts)
    return bursts


def _psd(xp: Any, launch: Launch, window: Any, plan: Plan) -> Any:
    """One channel and a portion of segments after the other, so that never are all of them held."""
    if not plan.segment:
        return xp.empty((0, plan.channels))
    taper, found = xp.asarray(hann(plan.segment)), []
    least = np.float64(sizes.SEGMENT_PRESENT * plan.segment)
    for channel in range(plan.channels):
        sums = []
        for first, count in spectra.batches(plan):
            part = window[first * plan.segment // 2 :]
            out, energy = xp.empty((count, plan.segment)), xp.empty(count)
            where = (np.int32(plan.channels), np.int32(channel), taper, np.int32(plan.segment), np.int32(count))
            launch("taper_segments", count, _THREADS, part, *where, least, out, energy)
            sums.append(spectra.power(xp, out, energy, plan.interval_s))
        found.append(spectra.mean_power(xp, sums))
    return xp.stack(found, axis=1)
