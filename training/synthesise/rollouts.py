"""Reinforcement learning of a language model: phases of generating, scoring and training in turn.

The job in which an agent began to mine was of this kind (arXiv 2512.24873): memory-bound decoding for minutes, then
steps, with the memory of the cache given back and taken again; few other jobs change so much by themselves.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from hashwarden.training.synthesise.kind import MEMORY, Kind, mebibytes
from hashwarden.training.synthesise.scene import Parameter, Scene, Values
from hashwarden.training.synthesise.schedule import TICK_S, Schedule
from hashwarden.training.synthesise.track import F64, I64, State, occupancy, schedule_of, trimmed

__all__ = ["ROLLOUTS", "ROLLOUT_PARAMETERS"]

ROLLOUT_PARAMETERS: Final = (
    Parameter("round_s", 15, 900, 120, log=True, unit="s", meaning="length of a round of generating and training"),
    Parameter("generate", 0.35, 0.85, 0.6, meaning="share of the round that generates"),
    Parameter("score", 0.02, 0.2, 0.06, meaning="share of the round in which rewards and reference are computed"),
    Parameter("environment", 0.0, 0.35, 0.08, meaning="share of the generating in which tools or games are waited for"),
    Parameter("tail", 0.1, 0.6, 0.3, meaning="share of the generating with only a few long answers left"),
    Parameter("step_s", 0.5, 20, 3, log=True, unit="s", meaning="time of one optimiser step"),
    Parameter("spread", 0.01, 0.35, 0.1, log=True, meaning="deviation over mean of the length of a round"),
    Parameter("sync_mib_per_s", 2e3, 2e5, 2e4, log=True, unit="MiB/s", meaning="weights over NVLink after training"),
    Parameter("launch_jitter", 0.1, 3.0, 0.8, log=True, meaning="variation of the launches of the commonest kernel"),
    MEMORY,
)

_DECODE: Final = {
    "gemm-bf16": 40,
    "gemv-bf16": 12,
    "attention-decode": 28,
    "norm-softmax": 9,
    "elementwise": 8,
    "top-k": 3,
}
_LATE: Final = {"gemv-bf16": 45, "attention-decode": 22, "norm-softmax": 15, "elementwise": 14, "top-k": 4}
_SCORE: Final = {"gemm-bf16": 70, "attention-prefill": 14, "norm-softmax": 8, "elementwise": 8}


def _rounds(scene: Scene, v: Values) -> tuple[F64, I64]:
    """Segments: decode, wait, decode with few left, score, then train and update in turn, then synchronise."""
    rng = scene.rng
    generate, score = v["generate"], v["score"]
    train = max(0.1, 1 - generate - score)
    steps = max(1, round(train * v["round_s"] / v["step_s"]))
    turns = max(2, round(generate * v["round_s"] / 8))
    early = generate * (1 - v["tail"]) / turns
    shares = [share for _ in range(turns) for share in (early * (1 - v["environment"]), early * v["environment"])]
    kinds = [0, 1] * turns
    shares += [generate * v["tail"], score]
    kinds += [2, 3]
    shares += [share for _ in range(steps) for share in (train / steps * 0.9, train / steps * 0.07)]
    kinds += [4, 5] * steps
    shares.append(train * 0.03)
    kinds.append(6)
    count = int(scene.seconds / v["round_s"] * 1.6) + 3
    spread = np.where(np.array(kinds) < 3, v["spread"] * 2, 0.02)
    factors = np.exp(rng.normal(0, 1, (count, len(shares))) * spread) * np.exp(rng.normal(0, v["spread"], (count, 1)))
    durations = (v["round_s"] * np.array(shares) * factors).ravel()
    return _from_the_middle(durations, np.tile(kinds, count), rng.uniform(0, 0 if scene.fresh else v["round_s"]))


def _from_the_middle(durations: F64, which: I64, skipped: float) -> tuple[F64, I64]:
    ends = np.cumsum(durations)
    first = int(np.searchsorted(ends, skipped, side="right"))
    durations = durations[first:].copy()
    durations[0] = ends[first] - skipped
    return durations, which[first:]


def _reinforcement(scene: Scene, v: Values) -> Schedule:
    nvlink = {"nvlink_mib_per_s": v["sync_mib_per_s"]}
    states = (
        State(scene.mix(_DECODE, 0.9), {"pcie_tx_mib_per_s": 2.0}),
        State({}, {"pcie_rx_mib_per_s": 1.0}),
        State(scene.mix(_LATE, 0.7), {"pcie_tx_mib_per_s": 0.5}),
        State(scene.mix(_SCORE, 0.93), {"pcie_rx_mib_per_s": 20.0}),
        State(scene.mix({**_SCORE, "all-reduce": 6}, 0.92), {"nvlink_mib_per_s": v["sync_mib_per_s"] * 0.3}),
        State({"optimizer": 0.75, "all-reduce": 0.15}, nvlink),
        State({"all-reduce": 0.5}, {**nvlink, "pcie_rx_mib_per_s": 300.0}),
    )
    durations, which = trimmed(*_rounds(scene, v), scene.seconds + 1)
    shares = occupancy(durations, which, len(states), scene.ticks)
    full = mebibytes(scene, v["memory"])
    freed = scene.rng.uniform(0, 0.5) if scene.flip("gives_cache_back", 0.6) else 0.0
    generating = shares[:, :3].sum(1) > 0.5
    host = {
        "fb_mib": np.where(generating, full, full * (1 - freed)),
        "launch_jitter": np.full(scene.ticks, v["launch_jitter"]),
        "graph_share": shares[:, 0] * 0.8 if scene.flip("graphs", 0.7) else np.zeros(scene.ticks),
        "module_loads": (scene.rng.random(scene.ticks) < TICK_S / 600).astype(np.float64),
    }
    return schedule_of(states, shares, host)


ROLLOUTS: Final = (
    Kind("training", "rl", "Reinforcement learning: rollouts, rewards, steps in turn", ROLLOUT_PARAMETERS,
         _reinforcement, (10, 180), {"gemm-bf16": 0.05, "elementwise": 0.05}, (100, 2500), 0.4),
)  # fmt: skip
