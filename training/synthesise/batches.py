"""Inference that is no chat: batches without end, embeddings, images, speech, video, ranking, and a server that waits.

Offline batches of equal shape are as even as a miner, on purpose: prompts in W8A8 int8 keep the same pipes busy as the
matrix products of a matmul proof of work.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Final

import numpy as np

from hashwarden.training.synthesise.kind import MEMORY, Kind, mebibytes
from hashwarden.training.synthesise.scene import Parameter, Scene, Values
from hashwarden.training.synthesise.schedule import TICK_S, Schedule
from hashwarden.training.synthesise.serving import ARRIVALS, SERVING, arrivals, queued, unlike
from hashwarden.training.synthesise.track import State, events, lay, schedule_of, trimmed

__all__ = ["BATCH", "INFERENCE"]

BATCH: Final = (
    Parameter("batch_s", 0.02, 6, 0.3, log=True, unit="s", meaning="GPU time of a batch"),
    Parameter("jitter", 5e-4, 0.4, 0.02, log=True, meaning="deviation over mean of the time of a batch"),
    Parameter("pause", 0.0, 0.4, 0.03, meaning="share of the time between batches in which the GPU waits"),
    Parameter("feed_mib_per_s", 0.2, 4000, 20, log=True, unit="MiB/s", meaning="inputs over PCIe"),
    Parameter("file_every_s", 30, 3600, 400, log=True, unit="s", meaning="time between input files"),
    Parameter("file_s", 0.1, 15, 1, log=True, unit="s", meaning="pause between input files"),
    Parameter("launch_jitter", 0.02, 3.0, 0.4, log=True, meaning="variation of the launches of the commonest kernel"),
    MEMORY,
)

_EVEN: Final = 0.3
"""Chance of batches of one shape without pauses."""

Stages = tuple[tuple[Mapping[str, float], float], ...]
"""Weights of kernels and the share of the batch, stage by stage."""

_PROMPT: Final = {"attention-prefill": 12, "norm-softmax": 7, "elementwise": 8}
_STAGES: Final[Mapping[str, Stages]] = {
    "offline-bf16": (({"gemm-bf16": 73, **_PROMPT}, 0.35),
                     ({"gemm-bf16": 40, "attention-decode": 46, "norm-softmax": 7, "elementwise": 7}, 0.65)),
    "offline-int8": (({"gemm-int8": 73, **_PROMPT}, 0.85),
                     ({"gemm-int8": 38, "attention-decode": 46, "norm-softmax": 8, "elementwise": 8}, 0.15)),
    "offline-fp8": (({"gemm-fp8": 70, **_PROMPT}, 0.6),
                    ({"gemm-fp8": 30, "attention-decode": 52, "norm-softmax": 8, "elementwise": 10}, 0.4)),
    "embedding": (({"gemm-bf16": 66, "attention-prefill": 12, "norm-softmax": 11, "elementwise": 11}, 1.0),),
    "image-making": (({"convolution": 30, "gemm-bf16": 34, "attention-prefill": 20, "norm-softmax": 9,
                       "elementwise": 7}, 0.92), ({"convolution": 80, "elementwise": 20}, 0.08)),
    "speech": (({"convolution": 20, "gemm-bf16": 56, "attention-prefill": 10, "elementwise": 14}, 0.3),
               ({"gemv-bf16": 58, "attention-decode": 22, "norm-softmax": 12, "elementwise": 8}, 0.7)),
}  # fmt: skip


def _batches(scene: Scene, v: Values, family: str) -> Schedule:
    """Batch after batch, as fast as they go."""
    even = scene.flip("even", _EVEN)
    pause = 1e-6 if even else v["pause"]
    jitter = 5e-4 if even else v["jitter"]
    density = scene.value(Parameter("density", 0.75, 0.99, 0.94, meaning="share of a batch in which a kernel runs"))
    density = 1 - (1 - density) * 0.2 if even else density
    feed = {"pcie_rx_mib_per_s": v["feed_mib_per_s"], "pcie_tx_mib_per_s": v["feed_mib_per_s"] * 0.05}
    stages = _STAGES[family]
    states = [State(scene.mix(weights, density), feed) for weights, _ in stages] + [State({}, feed), State()]
    shares = np.array([share * (1 - pause) for _, share in stages] + [pause]) * v["batch_s"]
    count = int(scene.seconds / v["batch_s"] * 1.2) + 4
    factors = np.exp(scene.rng.normal(0, jitter, (count, len(shares))))
    durations, which = (shares * factors).ravel(), np.tile(np.arange(len(shares)), count)
    durations[0] *= scene.rng.random()
    if not even:
        files = events(scene.rng, v["file_every_s"], scene.seconds, 0.4)
        at = np.searchsorted(np.cumsum(durations), files)
        lengths = v["file_s"] * np.exp(scene.rng.normal(0, 0.5, len(files)))
        durations, which = np.insert(durations, at, lengths), np.insert(which, at, len(states) - 1)
    durations, which = trimmed(durations, which, scene.seconds + 1)
    return lay(states, durations, which, scene.ticks, _host(scene, v))


def _host(scene: Scene, v: Values) -> dict[str, np.ndarray]:
    return {
        "fb_mib": mebibytes(scene, v["memory"]),
        "launch_jitter": np.full(scene.ticks, v["launch_jitter"]),
        "graph_share": np.full(scene.ticks, scene.rng.uniform(0.3, 0.98) if scene.flip("graphs", 0.4) else 0.0),
    }


_QUEUED: Final = (
    *ARRIVALS,
    MEMORY,
    Parameter("density", 0.5, 0.97, 0.8, meaning="share of the work in which a kernel runs"),
    Parameter("input_mib", 0.01, 20, 0.6, log=True, unit="MiB", meaning="size of a request over PCIe"),
    Parameter("launch_jitter", 0.05, 3.0, 0.8, log=True, meaning="variation of the launches of the commonest kernel"),
)

_NETWORKS: Final[Mapping[str, Mapping[str, float]]] = {
    "vision": {"convolution": 68, "image-decode": 8, "norm-softmax": 12, "elementwise": 12},
    "ranking": {"embedding": 48, "gemm-bf16": 16, "gemm-int8": 10, "top-k": 8, "elementwise": 12, "hash-table": 6},
    "video": {"convolution": 46, "image-decode": 30, "elementwise": 24},
}  # fmt: skip


def _requests(scene: Scene, v: Values, family: str) -> Schedule:
    """A network behind a queue."""
    traffic = arrivals(scene, v)
    working = queued(traffic.work_s, 1.0) * unlike(scene, v["uneven"])
    host = _host(scene, v)
    host["pcie_rx_mib_per_s"] = traffic.count * v["input_mib"] / TICK_S
    if family == "video":
        host["decoder_util"] = np.clip(working * scene.rng.uniform(0.2, 1.0), 0, 1)
    return schedule_of([State(scene.mix(_NETWORKS[family], v["density"]))], working[:, None], host)


_WAITING: Final = (
    MEMORY,
    Parameter("request_every_s", 30, 7200, 600, log=True, unit="s", meaning="mean time between requests"),
    Parameter("request_s", 0.2, 10, 2, log=True, unit="s", meaning="mean length of an answer"),
    Parameter("heartbeat_s", 1, 60, 10, log=True, unit="s", meaning="time between health checks"),
)


def _waiting(scene: Scene, v: Values) -> Schedule:
    """A model that is loaded and hardly asked; a request now and then, at least one that is watched."""
    times = events(scene.rng, min(v["request_every_s"], scene.seconds * 0.7), scene.seconds, 1.0)
    if not len(times):
        times = np.array([scene.rng.uniform(0.1, 0.7) * scene.seconds])
    lengths = scene.rng.exponential(v["request_s"], len(times)) + 2 * TICK_S
    pauses = np.maximum(np.diff(np.concatenate([[0.0], times])) - np.concatenate([[0.0], lengths[:-1]]), TICK_S)
    durations = np.append(np.stack([pauses, lengths], 1).ravel(), scene.seconds + 1)
    which = np.append(np.tile([0, 1], len(times)), 0)
    beat = 0.002 / v["heartbeat_s"]
    states = [
        State({"gemv-bf16": beat}),
        State(scene.mix({"gemv-bf16": 62, "attention-decode": 12, "norm-softmax": 12, "elementwise": 14}, 0.85),
              {"pcie_rx_mib_per_s": 0.3, "pcie_tx_mib_per_s": 0.3}),
    ]  # fmt: skip
    return lay(states, durations, which, scene.ticks, {"fb_mib": mebibytes(scene, v["memory"])})


def _batch_kind(family: str, summary: str) -> Kind:
    return Kind("inference", family, summary, BATCH, partial(_batches, family=family), (5, 150), {}, (30, 1200), 0.5)


def _queue_kind(family: str, summary: str) -> Kind:
    return Kind("inference", family, summary, _QUEUED, partial(_requests, family=family), (3, 60), {}, (30, 600), 0.3)


INFERENCE: Final = (
    *SERVING,
    _batch_kind("offline-bf16", "Language model over a batch without end, bf16"),
    _batch_kind("offline-int8", "Long prompts in W8A8 int8 over a batch without end"),
    _batch_kind("offline-fp8", "Language model over a batch without end, fp8"),
    _batch_kind("embedding", "Texts to vectors"),
    _batch_kind("image-making", "Diffusion model that makes images"),
    _batch_kind("speech", "Speech to text"),
    _queue_kind("vision", "Images behind a queue"),
    _queue_kind("ranking", "Recommender behind a queue"),
    _queue_kind("video", "Frames from the video decoder, then a network"),
    Kind("inference", "waiting", "A model that is loaded and hardly asked", _WAITING, _waiting, (10, 120)),
)
