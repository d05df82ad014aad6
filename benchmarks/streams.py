"""How fast counter streams are reduced to features, against SciPy, NumPy and pandas in the same run.

One command, one core::

    python benchmarks/streams.py [--seconds 2] [--out benchmarks/results]

It makes a synthetic window (ten seconds of 12 channels at 10 kHz) and measures in millions of channel samples per
second of processor time: every engine at hand, feeding the window alone, and peers: the same kinds of features
written with SciPy and NumPy as one would without this package, and pandas' rolling windows. An engine
on the GPU is timed by the clock, copies included, beside a copy on the device. Writes streams.json and streams.md.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import itertools
import json
import os
import platform
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # before NumPy: one core is what is measured

import numpy as np
import pandas as pd
import scipy.signal
import scipy.stats

from hashwarden.errors import HashwardenError
from hashwarden.kernels.streams import synthetic
from hashwarden.kernels.streams.state import StreamState, reduce_window
from hashwarden.kernels.streams.table import feature_names

ROOT = Path(__file__).resolve().parent.parent
SAMPLES, CHANNELS, RATE_HZ = 100_000, 12, 10_000
NAMES = tuple(f"channel{i}" for i in range(CHANNELS))


def window() -> np.ndarray:
    """Channels of several kinds, all with noise; one sample in a thousand is missing."""
    kinds = [
        lambda seed: synthetic.training(SAMPLES, 3000, 0.03, seed),
        lambda seed: synthetic.requests(SAMPLES, 0.002, 40, seed),
        lambda seed: synthetic.plateau(SAMPLES, (30_000,), seed=seed),
        lambda seed: synthetic.duty_cycle(SAMPLES, 5000 + seed, 0.4),
    ]
    x = np.stack([kinds[i % 4](i) + np.abs(synthetic.noise(SAMPLES, 2, i)) for i in range(CHANNELS)], axis=1)
    x[np.random.default_rng(0).random(x.shape) < 0.001] = np.nan
    return x.astype(np.float32)


def scipy_and_numpy(x: np.ndarray) -> list[Any]:
    """Level, burstiness, spectrum, period and correlation in library calls; gaps are filled with the mean.

    What it leaves out: bursts, steps, phase changes, levels while active, and gaps as such.
    """
    mean, std = np.nanmean(x, axis=0), np.nanstd(x, axis=0)
    levels = np.nanquantile(x, (0.05, 0.5, 0.95, 0.99), axis=0)
    shares = (x <= 0.05 * levels[3]).mean(axis=0), (x >= 0.9 * levels[3]).mean(axis=0)
    whole = np.where(np.isnan(x), mean, x)
    sums = whole[: SAMPLES // 64 * 64].reshape(-1, 64, CHANNELS).sum(axis=1)
    frequency, psd = scipy.signal.welch(whole, RATE_HZ, nperseg=8192, axis=0)
    share = psd[1:] / psd[1:].sum(axis=0)
    entropy = -(share * np.log(share)).sum(axis=0)
    flatness = scipy.stats.gmean(psd[1:], axis=0) / psd[1:].mean(axis=0)
    bins = whole[: SAMPLES // 7 * 7].reshape(-1, 7, CHANNELS).mean(axis=1)
    z = (bins - bins.mean(axis=0)) / bins.std(axis=0)
    periods = [scipy.signal.find_peaks(autocorrelation(z[:, c]), prominence=0.1)[0][:1] for c in range(CHANNELS)]
    lags = [
        np.abs(scipy.signal.correlate(z[:, a], z[:, b], method="fft")).argmax()
        for a, b in itertools.combinations(range(CHANNELS), 2)
    ]
    return [mean, std, levels, shares, sums.var(axis=0) / sums.mean(axis=0), frequency, entropy, flatness,
            periods, np.corrcoef(whole, rowvar=False), lags]  # fmt: skip


def autocorrelation(z: np.ndarray) -> np.ndarray:
    return scipy.signal.correlate(z, z, method="fft")[len(z) - 1 :] / len(z)


def pandas_rolling(x: np.ndarray) -> list[Any]:
    """Level and burstiness as rolling windows of 64 samples; no spectrum, no period, no pairs."""
    rolling = pd.DataFrame(x, columns=NAMES).rolling(64)
    return [rolling.mean(), rolling.std(), rolling.max(), rolling.quantile(0.5)]


def rate(function: Callable[[], Any], seconds: float, clock: Callable[[], float] = time.process_time) -> dict[str, Any]:
    """Median and best million channel samples per second, over about ``seconds``, after one run to warm up."""
    function()
    speeds: list[float] = []
    until = time.perf_counter() + seconds
    while len(speeds) < 3 or time.perf_counter() < until:
        start = clock()
        function()
        speeds.append(SAMPLES * CHANNELS / 1e6 / max(clock() - start, 1e-9))
    return {"median": float(np.median(speeds)), "best": max(speeds), "runs": len(speeds)}


def feed(x: np.ndarray, block: int) -> None:
    state = StreamState(NAMES, 1 / RATE_HZ, SAMPLES / RATE_HZ)
    for start in range(0, SAMPLES, block):
        state.push(x[start : start + block])


def on_the_gpu(x: np.ndarray, seconds: float) -> dict[str, Any]:
    """The engine on the GPU by the clock, and a copy of the same bytes on the device."""
    try:
        reduce_window(x, NAMES, 1 / RATE_HZ, engine="cupy")
    except HashwardenError as error:
        return {"CuPy, all features": str(error.got)}
    import cupy

    source = cupy.asarray(x)
    target = cupy.empty_like(source)

    def copy() -> None:
        cupy.copyto(target, source)
        cupy.cuda.runtime.deviceSynchronize()

    name = cupy.cuda.runtime.getDeviceProperties(0)["name"].decode()
    return {
        f"CuPy on {name}, all features, wall time": rate(
            lambda: reduce_window(x, NAMES, 1 / RATE_HZ, engine="cupy"), seconds, time.perf_counter
        ),
        f"copy on {name}, wall time": rate(copy, seconds, time.perf_counter),
    }


def measure(seconds: float) -> dict[str, Any]:
    """All measurements of one run."""
    x = window()
    speeds: dict[str, Any] = {
        "Numba, all features": rate(lambda: reduce_window(x, NAMES, 1 / RATE_HZ), seconds),
        "reference (NumPy), all features": rate(lambda: reduce_window(x, NAMES, 1 / RATE_HZ, engine="reference"), 0),
        "feeding alone, blocks of 100 samples": rate(lambda: feed(x, 100), seconds),
        "feeding alone, blocks of 10,000 samples": rate(lambda: feed(x, 10_000), seconds),
        "SciPy and NumPy, part of the features": rate(lambda: scipy_and_numpy(x), seconds),
        "pandas rolling, level and burstiness": rate(lambda: pandas_rolling(x), seconds),
    }
    speeds |= on_the_gpu(x, seconds)
    return {
        "what": "million channel samples per second of processor time, one core, where not said otherwise",
        "samples": SAMPLES,
        "channels": CHANNELS,
        "features": len(feature_names(NAMES)),
        "speeds": speeds,
        "machine": machine(),
    }


def machine() -> dict[str, Any]:
    """Where and with what it was measured."""
    info = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
    model = next((line.split(":", 1)[1].strip() for line in info.splitlines() if line.startswith("model name")), "")
    names = ("numpy", "numba", "scipy", "pandas")
    return {
        "cpu": model or platform.processor(),
        "cores": os.cpu_count(),
        "load": os.getloadavg()[0],
        "date": time.strftime("%Y-%m-%d"),
        "python": platform.python_version(),
        "versions": {name: importlib.metadata.version(name) for name in names},
    }


def markdown(result: dict[str, Any]) -> str:
    """The report."""
    speeds, at = result["speeds"], result["machine"]
    ours = speeds["Numba, all features"]["median"]
    lines = [
        "# Speed of the stream reductions",
        "",
        f"{at['date']}, {at['cpu']}, {at['cores']} cores (load {at['load']:.1f}), one used; Python {at['python']}, "
        + ", ".join(f"{name} {version}" for name, version in at["versions"].items())
        + ".",
        "",
        f"A synthetic window of {result['samples']:,} samples of {result['channels']} channels, "
        f"{result['features']} features. Processor time, not wall time, where not said otherwise.",
        "",
        "| what | million channel samples/s, median | best | Numba is faster by |",
        "| --- | --- | --- | --- |",
    ]
    for name, speed in speeds.items():
        if isinstance(speed, str):
            lines.append(f"| {name} | {speed} | | |")
        else:
            ratio = f"{ours / speed['median']:.1f}" if name.startswith(("SciPy", "pandas", "reference")) else ""
            lines.append(f"| {name} | {speed['median']:.2f} | {speed['best']:.2f} | {ratio} |")
    share = result["channels"] * RATE_HZ / 1e6 / ours
    lines += [
        "",
        f"Features of a whole window, taken once for each window of {result['channels']} channels at {RATE_HZ:,} "
        f"samples a second, cost {share:.1%} of a core; they are computed anew each time, so that taking them more "
        "often costs more. The peers do less: SciPy and NumPy compute no bursts, steps, phase changes and levels while "
        "active and fill gaps, pandas computes four of the level features.",
    ]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--seconds", type=float, default=2.0, help="time for each fast measurement")
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results")
    arguments = parser.parse_args()
    result = measure(arguments.seconds)
    arguments.out.mkdir(parents=True, exist_ok=True)
    (arguments.out / "streams.json").write_text(json.dumps(result, indent=1) + "\n")
    (arguments.out / "streams.md").write_text(markdown(result))
    print(markdown(result))


if __name__ == "__main__":
    main()
