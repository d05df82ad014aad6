"""Inference: requests arrive, prompts are read, tokens are written; or a batch that never ends.

A queue in ticks: prompts are work that waits its turn (Lindley's recursion), answers are written by all that are under
way at once (continuous batching). T = ticks.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, final

import numpy as np

from hashwarden.training.synthesise.kind import MEMORY, Kind, mebibytes
from hashwarden.training.synthesise.scene import Parameter, Scene, Values
from hashwarden.training.synthesise.schedule import TICK_S, Schedule
from hashwarden.training.synthesise.track import F64, State, schedule_of

__all__ = ["ARRIVALS", "CHAT", "SERVING", "Traffic", "arrivals", "queued", "unlike"]

ARRIVALS: Final = (
    Parameter(
        "load", 0.02, 1.3, 0.5, log=True, meaning="offered work over what the GPU can do; above 1 it is saturated"
    ),
    Parameter("work_s", 0.004, 1.5, 0.08, log=True, unit="s", meaning="GPU time of a request, or of its prompt"),
    Parameter("work_spread", 0.05, 1.4, 0.7, meaning="deviation of the logarithm of that time"),
    Parameter("burst", 0.0, 0.9, 0.4, meaning="part of the load that comes in bursts"),
    Parameter("burst_s", 2, 300, 20, log=True, unit="s", meaning="mean length of a burst"),
    Parameter("diurnal", 0.0, 0.9, 0.4, meaning="swing of the load over a day"),
    Parameter("uneven", 0.003, 0.4, 0.05, log=True, meaning="how unlike batches fill the GPU"),
)

CHAT: Final = (
    *ARRIVALS,
    MEMORY,
    Parameter("answer_s", 0.5, 40, 6, log=True, unit="s", meaning="mean time to write an answer"),
    Parameter("most_at_once", 8, 512, 128, log=True, meaning="most answers under way at once"),
    Parameter("gap", 0.02, 0.4, 0.12, meaning="share of the decoding in which the host prepares the next step"),
    Parameter("prefill_share", 0.3, 1.0, 0.7, meaning="most of the time that prompts may take"),
    Parameter("launch_jitter", 0.05, 3.0, 0.7, log=True, meaning="variation of the launches of the commonest kernel"),
)


@final
@dataclass(frozen=True, slots=True)
class Traffic:
    """What came in, per tick.

    Attributes
    ----------
    count : float64 array, shape (T,)
        Requests.
    work_s : float64 array, shape (T,)
        Seconds of GPU time that they ask for.
    """

    count: F64
    work_s: F64


def arrivals(scene: Scene, v: Values) -> Traffic:
    """Requests that arrive: Poisson around a rate that swings over a day and jumps in bursts."""
    rng, ticks = scene.rng, scene.ticks
    time = np.arange(ticks) * TICK_S
    day = 1 + v["diurnal"] * np.sin(2 * np.pi * (time / 86400 + rng.random()))
    lengths = rng.exponential(v["burst_s"], int(scene.seconds / v["burst_s"] * 2) + 8)
    level = rng.gamma(1.2, 1 / 1.2, len(lengths))
    bursts = level[np.minimum(np.searchsorted(np.cumsum(lengths), time), len(level) - 1)]
    mean = np.exp(v["work_spread"] ** 2 / 2)
    rate = v["load"] / (v["work_s"] * mean) * day * (1 - v["burst"] + v["burst"] * bursts)
    count = rng.poisson(rate * TICK_S).astype(np.float64)
    spread = v["work_spread"] / np.sqrt(np.maximum(count, 1))
    return Traffic(count, count * v["work_s"] * mean * np.exp(rng.normal(0, 1, ticks) * spread - spread**2 / 2))


def queued(work_s: F64, most: float) -> F64:
    """Share of each tick that is spent on work that waits its turn, shape (T,).

    Parameters
    ----------
    work_s : float64 array, shape (T,)
        Seconds of work that come in.
    most : float
        Share of a tick that may be spent, 0 to 1.
    """
    sums = np.cumsum(work_s - most * TICK_S)
    waiting = sums - np.minimum.accumulate(np.minimum(sums, 0))
    done = work_s + np.concatenate([[0.0], waiting[:-1]]) - waiting
    return np.asarray(np.clip(done / TICK_S, 0, most))


def unlike(scene: Scene, deviation: float) -> F64:
    """Share of its time that each tick uses: batches of unlike shapes fill the GPU unlike, shape (T,)."""
    return np.exp(-np.abs(np.log(scene.wander(deviation, 2.0))))


def _under_way(scene: Scene, v: Values, done: F64, traffic: Traffic) -> F64:
    """Answers being written at each tick: what came in, fading with the time of an answer."""
    mean = traffic.count.sum() / max(traffic.work_s.sum(), 1e-9)
    started = done * TICK_S * mean
    keep = 1 - TICK_S / max(v["answer_s"], 2 * TICK_S)
    length = min(len(done), int(np.log(1e-3) / np.log(keep)) + 1)
    fading = keep ** np.arange(length)
    size = 1 << int(np.ceil(np.log2(len(done) + length)))
    steady = 0.0 if scene.fresh else started.mean() / (1 - keep)
    series = np.fft.irfft(np.fft.rfft(started, size) * np.fft.rfft(fading, size), size)[: len(done)]
    series += steady * keep ** np.arange(1, len(done) + 1)
    return np.asarray(np.clip(series, 0, v["most_at_once"]))


Mixes = tuple[Mapping[str, float], Mapping[str, float], Mapping[str, float]]
"""Weights of kernels: reading prompts, writing one answer, writing very many."""

_MIXES: Final[Mapping[str, Mixes]] = {
    "bf16": (
        {"gemm-bf16": 74, "attention-prefill": 14, "norm-softmax": 6, "elementwise": 6},
        {"gemv-bf16": 62, "attention-decode": 12, "norm-softmax": 12, "elementwise": 12, "top-k": 2},
        {"gemm-bf16": 38, "attention-decode": 46, "norm-softmax": 7, "elementwise": 6, "top-k": 3},
    ),
    "fp8": (
        {"gemm-fp8": 62, "attention-prefill": 20, "norm-softmax": 8, "elementwise": 10},
        {"gemv-int8": 48, "attention-decode": 18, "norm-softmax": 16, "elementwise": 15, "top-k": 3},
        {"gemm-fp8": 26, "attention-decode": 55, "norm-softmax": 8, "elementwise": 8, "top-k": 3},
    ),
    "int8": (
        {"gemm-int8": 66, "attention-prefill": 16, "norm-softmax": 7, "elementwise": 11},
        {"gemv-int8": 55, "attention-decode": 14, "norm-softmax": 14, "elementwise": 14, "top-k": 3},
        {"gemm-int8": 32, "attention-decode": 48, "norm-softmax": 8, "elementwise": 9, "top-k": 3},
    ),
}  # fmt: skip


def _chat(scene: Scene, v: Values, precision: str) -> Schedule:
    """A language model behind a queue."""
    traffic = arrivals(scene, v)
    reading = queued(traffic.work_s, v["prefill_share"])
    under_way = _under_way(scene, v, reading, traffic)
    writing = (1 - reading) * np.clip(under_way * 4, 0, 1)
    many = writing * under_way / (under_way + v["most_at_once"] / 6)
    prompt, few, full = _MIXES[precision]
    tokens = {"pcie_tx_mib_per_s": 0.4}
    states = (
        State(scene.mix(prompt, 0.95), {"pcie_rx_mib_per_s": 3.0}),
        State(scene.mix(few, 1 - v["gap"]), tokens),
        State(scene.mix(full, 1 - v["gap"]), tokens),
    )
    host = _served(scene, v, under_way / v["most_at_once"])
    shares = np.stack([reading, writing - many, many], 1)
    return schedule_of(states, shares * unlike(scene, v["uneven"])[:, None], host)


def _served(scene: Scene, v: Values, cache: F64) -> dict[str, F64]:
    """Memory of weights and cache (taken at once by most servers, as it fills by the others), launches, graphs."""
    full = mebibytes(scene, v["memory"])
    if not scene.flip("takes_cache_at_once", 0.75):
        weights = scene.rng.uniform(0.3, 0.8)
        full *= weights + (1 - weights) * np.ceil(np.maximum.accumulate(cache) * 0.5 * 40 + cache * 0.5 * 40) / 40
    graphs = scene.rng.uniform(0.5, 0.98) if scene.flip("graphs", 0.6) else 0.0
    return {
        "fb_mib": full,
        "launch_jitter": np.full(scene.ticks, v["launch_jitter"]),
        "graph_share": np.full(scene.ticks, graphs),
    }


def _kind(family: str, summary: str, precision: str) -> Kind:
    def build(scene: Scene, v: Values) -> Schedule:
        return _chat(scene, v, precision)

    return Kind("inference", family, summary, CHAT, build, (10, 180), {"gemm-bf16": 0.1}, (60, 1500), 0.5)


SERVING: Final = (
    _kind("llm-bf16", "Language model in bf16 behind a queue", "bf16"),
    _kind("llm-fp8", "Language model in fp8 behind a queue", "fp8"),
    _kind("llm-int8", "Language model in W8A8 int8 behind a queue", "int8"),
)
