"""Training: what a step of each kind is made of, and what is particular to it.

Shares of kernels are round numbers for such networks, assumed, and drawn anew for each run by a quarter either way;
ranges are wide on purpose, so that some training is as even as a miner and some as ragged as a notebook.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Final

import numpy as np

from hashwarden.training.synthesise.kind import MEMORY, Kind, mebibytes
from hashwarden.training.synthesise.scene import Parameter, Scene, Values
from hashwarden.training.synthesise.schedule import TICK_S, Schedule
from hashwarden.training.synthesise.steps import INTERRUPTIONS, STEP, Phase, looped
from hashwarden.training.synthesise.track import F64, State

__all__ = ["NETWORK_PARAMETERS", "TRAINING", "host_of", "network"]

NETWORK_PARAMETERS: Final = (
    *STEP,
    *INTERRUPTIONS,
    MEMORY,
    Parameter("backward", 0.5, 0.72, 0.64, meaning="share of the computing that is the backward pass"),
    Parameter("update", 0.004, 0.08, 0.03, log=True, meaning="share of the step that is the optimiser"),
    Parameter("exchange", 0.0, 0.3, 0.06, meaning="share of the step that is left to all-reduce"),
    Parameter("accumulate", 1, 16, 2, log=True, meaning="micro-batches of a step"),
    Parameter("density", 0.7, 0.995, 0.93, meaning="share of a pass in which a kernel runs; the rest is launch gaps"),
    Parameter("feed_mib_per_s", 0.5, 3000, 30, log=True, unit="MiB/s", meaning="batches over PCIe"),
    Parameter("nvlink_mib_per_s", 2e3, 3e5, 3e4, log=True, unit="MiB/s", meaning="NVLink while exchanging"),
    Parameter("launch_jitter", 0.05, 3.0, 0.6, log=True, meaning="variation of the launches of the commonest kernel"),
)

Weights = Mapping[str, float]

_FORWARD: Final[Mapping[str, Weights]] = {
    "llm-bf16": {"gemm-bf16": 68, "attention-prefill": 14, "norm-softmax": 8, "elementwise": 9, "embedding": 1},
    "llm-tf32": {"gemm-tf32": 74, "attention-prefill": 9, "norm-softmax": 8, "elementwise": 9},
    "llm-fp8": {"gemm-fp8": 52, "gemm-bf16": 8, "attention-prefill": 17, "norm-softmax": 9, "elementwise": 14},
    "llm-moe": {"gemm-bf16": 50, "attention-prefill": 11, "top-k": 4, "sort": 4, "all-reduce": 13, "norm-softmax": 7,
                "elementwise": 11},
    "fine-tune": {"gemm-bf16": 62, "attention-prefill": 10, "norm-softmax": 11, "elementwise": 17},
    "cnn": {"convolution": 70, "norm-softmax": 14, "elementwise": 16},
    "recommender": {"embedding": 42, "gemm-bf16": 22, "gemm-fp32": 6, "elementwise": 12, "hash-table": 6,
                    "all-reduce": 12},
    "diffusion": {"convolution": 38, "gemm-bf16": 28, "attention-prefill": 16, "norm-softmax": 10, "elementwise": 8},
    "graph": {"spmv": 40, "embedding": 16, "gemm-tf32": 20, "sort": 6, "graph": 8, "elementwise": 10},
    "small": {"gemm-fp32": 40, "elementwise": 42, "norm-softmax": 18},
}  # fmt: skip


def host_of(scene: Scene, v: Values) -> dict[str, F64]:
    """Memory that is constant after the warm-up, and the variation of launches."""
    return {
        "fb_mib": mebibytes(scene, v["memory"]),
        "launch_jitter": np.full(scene.ticks, v["launch_jitter"]),
        "graph_share": np.full(scene.ticks, scene.rng.uniform(0.2, 0.95) if scene.flip("graphs", 0.2) else 0.0),
    }


def network(  # noqa: PLR0913, PLR0917  two are by name
    scene: Scene, v: Values, mix: str, alone: float = 0.3, sm_share: float = 1.0, sparse: float = 1.0
) -> Schedule:
    """The steps of a network.

    Parameters
    ----------
    scene : Scene
    v : mapping
        Values of `NETWORK_PARAMETERS`.
    mix : str
        Kernels of the forward pass.
    alone : float
        Chance of a job on one GPU, which exchanges nothing.
    sm_share : float
        Share of the SMs that its kernels fill.
    sparse : float
        Factor of the density: small kernels leave longer gaps.
    """
    density = v["density"] * sparse
    forward = scene.mix(_FORWARD[mix], density)
    backward = scene.mix(_FORWARD[mix], density)
    one = scene.flip("one_gpu", alone)
    exchange = 0.0 if one else v["exchange"]
    wait = 0.0 if scene.flip("never_waits", 0.3) else v["wait"]
    feed = {"pcie_rx_mib_per_s": v["feed_mib_per_s"]}
    nvlink = {"nvlink_mib_per_s": 0.0 if one else v["nvlink_mib_per_s"]}
    rest = 1 - exchange - wait * (1 - exchange) - v["update"]
    count = max(1, round(v["accumulate"])) if v["step_s"] > 0.4 else 1
    passes: list[Phase] = [
        (State(forward, feed), rest * (1 - v["backward"]) / count),
        (State(backward, {**feed, "nvlink_mib_per_s": nvlink["nvlink_mib_per_s"] * 0.2}), rest * v["backward"] / count),
    ]
    phases: list[Phase] = [
        (State({}, feed), max(wait * (1 - exchange), 1e-6)),
        *passes * count,
        (State({"all-reduce": 0.9}, nvlink), max(exchange, 1e-6)),
        (State(scene.mix({"optimizer": 0.8, "elementwise": 0.2}, density)), v["update"]),
    ]
    narrow = {name: sm_share for state, _ in phases for name in state.busy} if sm_share < 1 else None
    return looped(scene, v, phases, State(forward, feed), host_of(scene, v), narrow)


def _small(scene: Scene, v: Values) -> Schedule:
    """A network that fills a quarter of the GPU, with long gaps between short launches."""
    share = scene.value(Parameter("sm_share", 0.08, 0.6, 0.25, meaning="share of the SMs that the network fills"))
    return network(scene, v, "small", 0.95, share, 0.75)


def _notebook(scene: Scene, v: Values) -> Schedule:
    """Training that a person starts and stops: honest work that comes in bursts."""
    made = network(scene, v, scene.choose("network", ("cnn", "fine-tune", "small", "graph")), 0.95)
    on = scene.value(Parameter("on_s", 10, 900, 90, log=True, unit="s", meaning="mean length of a burst"))
    off = scene.value(Parameter("off_s", 5, 900, 120, log=True, unit="s", meaning="mean time between bursts"))
    count = int(scene.seconds / (on + off) * 4) + 6
    ends = np.cumsum(scene.rng.exponential(1, (count, 2)) * [on, off]) - scene.rng.uniform(0, on)
    active = np.searchsorted(ends, np.arange(scene.ticks) * TICK_S) % 2 == 0
    flows = ("pcie_rx_mib_per_s", "pcie_tx_mib_per_s", "nvlink_mib_per_s")
    host = {k: values * active if k in flows else values for k, values in made.host.items()}
    return Schedule(made.parts, made.busy * active[:, None].astype(np.float32), made.sm_share, host)


_WARM_UP: Final = {"elementwise": 0.1, "gemm-fp32": 0.05}


def _kind(family: str, summary: str, mix: str, alone: float = 0.3) -> Kind:
    build = partial(network, mix=mix, alone=alone)
    return Kind("training", family, summary, NETWORK_PARAMETERS, build, (4, 120), _WARM_UP, (40, 1500), 0.3)


TRAINING: Final = (
    _kind("llm-bf16", "Dense language model, bf16", "llm-bf16", 0.15),
    _kind("llm-fp8", "Dense language model, fp8 products", "llm-fp8", 0.15),
    _kind("llm-tf32", "Transformer in tf32", "llm-tf32"),
    _kind("llm-moe", "Mixture of experts: routing, sorting, all-to-all", "llm-moe", 0.05),
    _kind("fine-tune", "LoRA on a small language model, one GPU", "fine-tune", 0.8),
    _kind("cnn", "Convolutional network", "cnn", 0.5),
    _kind("recommender", "Embedding tables with random reads, small products", "recommender", 0.4),
    _kind("diffusion", "Diffusion model", "diffusion", 0.5),
    _kind("graph-network", "Graph network: sparse products, gathers, samplers", "graph", 0.8),
    Kind("training", "small", "Small network on a part of the GPU", NETWORK_PARAMETERS, _small, (3, 30), _WARM_UP),
    Kind("training", "notebook", "Training started and stopped by hand", NETWORK_PARAMETERS, _notebook, (3, 40)),
)
"""Kinds of training; reinforcement learning is in `hashwarden.training.synthesise.rollouts`."""
