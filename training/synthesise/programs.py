"""Programs that go through stages again and again: most of what is neither learning nor mining.

A row says which kernels a stage runs and how long a round of stages takes; feeding over PCIe, memory that changes,
pauses and bursts are drawn within the row's limits. Some are perfectly even, on purpose.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Final, final

import numpy as np

from hashwarden.training.synthesise.kind import Kind
from hashwarden.training.synthesise.scene import Parameter, Scene, Values
from hashwarden.training.synthesise.schedule import TICK_S, Schedule
from hashwarden.training.synthesise.track import F64, State, events, lay, trimmed

__all__ = ["PROGRAM_PARAMETERS", "Program", "kind_of"]

PROGRAM_PARAMETERS: Final = (
    Parameter("jitter", 3e-4, 0.3, 0.02, log=True, meaning="deviation over mean of the time of a round"),
    Parameter("density", 0.8, 0.9995, 0.97, meaning="share of a stage in which a kernel runs"),
    Parameter("pause", 0.0, 0.4, 0.05, meaning="share of a round in which the GPU waits"),
    Parameter("output_every_s", 20, 3600, 300, log=True, unit="s", meaning="time between outputs or new inputs"),
    Parameter("output_s", 0.1, 25, 2, log=True, unit="s", meaning="length of an output or input: copies and idling"),
    Parameter("output_mib_per_s", 200, 2e4, 4000, log=True, unit="MiB/s", meaning="PCIe meanwhile"),
    Parameter("launch_jitter", 5e-4, 3.0, 0.1, log=True, meaning="variation of the launches of the commonest kernel"),
)

Span = tuple[float, float]


@final
@dataclass(frozen=True, slots=True)
class Program:
    """One kind of program.

    Attributes
    ----------
    label, family, summary : str
    stages : tuple
        Weights of kernels, and least and most share of the round, stage by stage.
    round_s : (float, float)
        Least and most seconds of a round.
    memory : (float, float)
        Least and most part of the device memory.
    feed_mib_per_s : (float, float)
        Least and most over PCIe to the GPU; 0 for nothing.
    even : float
        Chance that nothing pauses or interrupts it: as constant as a miner.
    memory_moves : float
        Chance that its memory changes from input to input.
    answers : float
        Traffic back over PCIe as part of the feed.
    decoder : float
        Most load of the video decoder.
    exchange : float
        Chance of neighbours on other GPUs, with traffic over NVLink.
    sm_share : (float, float)
        Least and most share of the SMs that it fills.
    """

    label: str
    family: str
    summary: str
    stages: tuple[tuple[Mapping[str, float], Span], ...]
    round_s: Span
    memory: Span = (0.005, 0.5)
    feed_mib_per_s: Span = (0.0, 0.0)
    even: float = 0.3
    memory_moves: float = 0.2
    answers: float = 0.05
    decoder: float = 0.0
    exchange: float = 0.0
    sm_share: Span = (1.0, 1.0)


def _program(scene: Scene, v: Values, program: Program) -> Schedule:
    even = scene.flip("even", program.even)
    pause = 1e-7 if even else v["pause"]
    jitter = min(v["jitter"], 3e-3) if even else v["jitter"]
    length = scene.value(Parameter("round_s", *program.round_s, program.round_s[0], log=True, unit="s",
                                   meaning="time of a round of its stages"))  # fmt: skip
    feed = _host_of_stages(scene, program)
    density = 1 - (1 - v["density"]) * 0.1 if even else v["density"]  # what never pauses leaves small gaps too
    states = [State(scene.mix(weights, density), feed) for weights, _ in program.stages]
    shares = np.array([scene.rng.uniform(*share) for _, share in program.stages])
    shares = np.append(shares / shares.sum() * (1 - pause), pause)
    copy = {"pcie_tx_mib_per_s": v["output_mib_per_s"], "pcie_rx_mib_per_s": v["output_mib_per_s"] * 0.3}
    states += [State({}, feed), State({}, copy)]
    durations, which, cuts = _rounds(scene, v, shares * length, jitter, even)
    host = _host(scene, v, program, cuts)
    wide = float(scene.rng.uniform(*program.sm_share))
    narrow = {name: wide for state in states for name in state.busy} if wide < 1 else None
    return lay(states, durations, which, scene.ticks, host, narrow)


def _rounds(scene: Scene, v: Values, lengths: F64, jitter: float, even: bool) -> tuple[F64, np.ndarray, F64]:
    """Segments of all rounds, and the times at which outputs come between them."""
    rng, seconds = scene.rng, scene.seconds
    together = max(1, int(seconds / lengths.sum() * len(lengths) / 120_000), int(0.05 / lengths.sum()))
    count = int(seconds / (lengths.sum() * together) * 1.1) + 4
    factors = np.exp(rng.normal(0, jitter / np.sqrt(together), (count, len(lengths))))
    durations = (lengths * together * factors).ravel()
    which = np.tile(np.arange(len(lengths)), count)
    durations[0] *= rng.random()
    cuts = np.zeros(0)
    if not even:
        cuts = events(rng, v["output_every_s"], seconds, 0.3)
        at = np.searchsorted(np.cumsum(durations), cuts)
        durations = np.insert(durations, at, v["output_s"] * np.exp(rng.normal(0, 0.4, len(cuts))))
        which = np.insert(which, at, len(lengths))
    return *trimmed(durations, which, seconds + 1), cuts


def _host_of_stages(scene: Scene, program: Program) -> dict[str, float]:
    low, high = program.feed_mib_per_s
    feed = float(np.exp(scene.rng.uniform(np.log(low), np.log(high)))) if high > 0 else 0.0
    said = {"pcie_rx_mib_per_s": feed, "pcie_tx_mib_per_s": feed * program.answers}
    if program.decoder:
        said["decoder_util"] = float(scene.rng.uniform(0.1, program.decoder))
    if scene.flip("exchanges", program.exchange):
        said["nvlink_mib_per_s"] = float(np.exp(scene.rng.uniform(np.log(200), np.log(60000))))
    return said


def _host(scene: Scene, v: Values, program: Program, cuts: F64) -> dict[str, F64]:
    low, high = program.memory
    held = np.exp(scene.rng.uniform(np.log(low), np.log(high))) * scene.memory_mib
    memory = np.full(scene.ticks, held)
    if scene.flip("memory_moves", program.memory_moves) and len(cuts):
        sizes = np.exp(scene.rng.normal(0, 0.35, len(cuts) + 1))
        memory *= np.minimum(sizes, 0.95 / (held / scene.memory_mib))[
            np.searchsorted(cuts, np.arange(scene.ticks) * TICK_S)
        ]
    graphs = scene.rng.uniform(0.1, 0.9) if scene.flip("graphs", 0.08) else 0.0
    host = {
        "fb_mib": memory,
        "launch_jitter": np.full(scene.ticks, v["launch_jitter"]),
        "graph_share": np.full(scene.ticks, graphs),
    }
    if scene.flip("sets_clock_share", 0.08):  # benchmarks are taken at a pinned clock
        host["clock_share"] = np.full(scene.ticks, scene.rng.uniform(0.55, 1.0))
    return host


def kind_of(program: Program) -> Kind:
    """The kind of a row."""
    build = partial(_program, program=program)
    return Kind(program.label, program.family, program.summary, PROGRAM_PARAMETERS, build, (1, 40), {}, (1, 120), 0.2)
