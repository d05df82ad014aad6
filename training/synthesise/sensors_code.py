"""Traced launches, what the kernel model says of the code that was launched, and probes.

Launches are traced a second in thirty and missing in between; loads of modules are always seen. N = samples,
B = bursts, K = kernels of the watched job.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np
import numpy.typing as npt

from hashwarden.training.synthesise.codes import CODE_CHANNELS
from hashwarden.training.synthesise.physics import Activity
from hashwarden.training.synthesise.schedule import TICK_S
from hashwarden.training.synthesise.truth import Truth
from hashwarden.training.synthesise.windows import Means, bursts

__all__ = ["read_code", "read_probes"]

F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]
I64 = npt.NDArray[np.int64]

TOP_SHARE: Final = 0.1
"""Of the launched threads, from which a kernel counts for ``code_mining_top_ratio``."""

_NAMES: Final = {
    name: "code_novelty" if name == "novelty" else f"code_{name.removeprefix('p_')}_ratio" for name in CODE_CHANNELS
}


def read_code(  # noqa: PLR0913, PLR0917
    ran: F32, kernels: Activity, host: Mapping[str, F32], times: F64, duty: tuple[float, float],
    rng: np.random.Generator,
) -> dict[str, F64]:  # fmt: skip
    """The channels of launches and code by name, each of shape (N,).

    Parameters
    ----------
    ran : float32 array, shape (T, K)
        How much of each tick each kernel of the job ran for.
    kernels : Activity
        Of the job.
    host : mapping of str to float32 array, shape (T,)
    times : float64 array, shape (N,)
    duty : tuple of float
        Seconds from one trace to the next, and of each.
    rng : Generator
    """
    rows, start, stop = bursts(times, *duty, rng)
    series = {f"{k}": ran[:, k] for k in range(ran.shape[1])}
    means = Means({**series, **{name: host[name] for name in ("module_loads", "graph_share", "launch_jitter")}})
    shown = means.over(start, stop)
    seconds = np.maximum(stop - start, 1e-9)
    expected = (
        np.array([shown[name] for name in series]).reshape(len(series), len(rows)).T
        / kernels.launch_s
        * seconds[:, None]
    )
    counts = np.floor(expected + rng.random(expected.shape))  # (B, K)
    loads = np.diff(means.over(np.zeros(len(stop)), stop)["module_loads"] * stop / TICK_S, prepend=0.0)
    traced = _launches(counts, seconds, kernels, shown, loads, rng) | _code(counts, kernels, rng)
    out = {name: np.full(len(times), np.nan) for name in traced}
    for name, value in traced.items():
        out[name][rows] = value
    return out | {"module_loads_per_s": _loads(means, times)}


def _loads(means: Means, times: F64) -> F64:
    before = np.concatenate([[0.0], times[:-1]])
    rate: F64 = np.round(means.over(before, times)["module_loads"] / TICK_S, 6)
    return np.maximum(rate, 0)


def _launches(  # noqa: PLR0913, PLR0917
    counts: F64, seconds: F64, kernels: Activity, shown: dict[str, F64], loads: F64, rng: np.random.Generator
) -> dict[str, F64]:
    graph = np.clip(shown["graph_share"], 0, 1)
    total = counts.sum(1)
    some = np.where(total > 0, total, np.nan)
    kinds = kernels.variants * -np.expm1(-counts / kernels.variants)
    first = (np.cumsum(counts > 0, axis=0) == 1) & (counts > 0)
    renewed = kernels.rebuilt & (loads[:, None] > LOADED) & (counts > 0)
    interval = np.where(total > 0, shown["launch_jitter"] * rng.lognormal(0, 0.15, len(total)) + 0.01, np.nan)
    return {
        "launches_per_s": total * (1 - graph) / seconds,
        "graph_launches_per_s": total * graph / rng.uniform(50, 500) / seconds,
        "distinct_kernels": np.where(total > 0, np.maximum(np.round(kinds.sum(1)), 1), 0),
        "top_kernel_ratio": (counts / kernels.variants**TOP_EVEN).max(1, initial=0) / some,
        "new_kernel_ratio": (counts * (first | renewed)).sum(1) / some,
        "threads_per_launch": counts @ kernels.threads / some,
        "launch_interval_variation": interval,
    }


LOADED: Final = 0.5
"""Modules since the trace before, from which kernels that are made anew count as new."""
TOP_EVEN: Final = 0.7
"""Launches of a part spread over its variants, unevenly: the commonest has this power of an even share."""


def _code(counts: F64, kernels: Activity, rng: np.random.Generator) -> dict[str, F64]:
    """Means of what the code tier says, weighted by launched threads."""
    weight = counts * kernels.threads
    total = weight.sum(1)
    some = np.where(total > 0, total, np.nan)
    known = np.where(total > 0, rng.uniform(0.85, 1.0), np.nan)
    means = (weight @ kernels.code) / some[:, None]
    out = {_NAMES[name]: means[:, place] for place, name in enumerate(CODE_CHANNELS)}
    heavy = weight >= TOP_SHARE * total[:, None]
    mining = np.where(heavy, kernels.code[:, CODE_CHANNELS.index("p_mining")], 0).max(1, initial=0)
    return {"code_known_ratio": known, **out, "code_mining_top_ratio": np.where(total > 0, mining, np.nan)}


_PROBES: Final = {
    "lop3": ("alu",),
    "imad": ("product", "fp32"),
    "ffma": ("fp32", "product"),
    "hmma": ("tensor_half", "tensor_fp8"),
    "imma": ("tensor_int8",),
    "l2": ("l2",),
    "dram": ("dram",),
}


def read_probes(true: Truth, times: F64, hertz: float, rng: np.random.Generator) -> dict[str, F64]:
    """The channels of the probes by name, each of shape (N,), missing where no probe ran since the sample before.

    Assumed: a probe of a unit that is busy for a share u waits like a server at that load, u / (1.15 - u), and has to
    wait for its turn besides.
    """
    _, start, _ = bursts(times, 1 / max(hertz, 1e-6), TICK_S / 10, rng)
    rows = np.searchsorted(times, start)
    kept = (np.diff(rows, append=len(times) + 1) > 0) & (rows < len(times))
    rows, tick = rows[kept], np.clip((start[kept] / TICK_S).astype(np.int64), 0, len(true.busy) - 1)
    busy = true.busy[tick].astype(np.float64)
    turn, gain = rng.uniform(0.1, 0.8), rng.uniform(0.5, 1.0)
    out = {f"probe_{name}_ratio": np.full(len(times), np.nan) for name in (*_PROBES, "gap")}
    for name, units in _PROBES.items():
        used = np.minimum(sum(true.rates[unit][tick].astype(np.float64) for unit in units), 1.0)
        wait = 1 + gain * used / (1.15 - used) + turn * busy
        out[f"probe_{name}_ratio"][rows] = wait * rng.lognormal(0, 0.05, len(rows))
    out["probe_gap_ratio"][rows] = np.clip(busy * rng.uniform(0.3, 0.7, len(rows)), 0, 1)
    return out
