"""Mining at full speed, family by family: few kernels in a fixed cadence, memory that never changes, rare blips.

What interrupts a miner: a new block, the epoch of its table, code compiled anew for each period, the developer's fee
(another pool for one or two per cent of the time), a pool that is away. Evasions are put around such schedules by
`hashwarden.training.synthesise.evasions`.
"""

from __future__ import annotations

from functools import partial
from typing import Final

import numpy as np

from hashwarden.training.synthesise.kind import Kind
from hashwarden.training.synthesise.miners import MINERS, Miner
from hashwarden.training.synthesise.scene import Parameter, Scene, Values
from hashwarden.training.synthesise.schedule import Schedule
from hashwarden.training.synthesise.track import F64, State, events, lay, trimmed

__all__ = ["MINER_PARAMETERS", "MINING_KINDS"]

MINER_PARAMETERS: Final = (
    Parameter("gap_s", 5e-6, 4e-3, 1e-4, log=True, unit="s", meaning="host's time between two launches of the cycle"),
    Parameter("jitter", 2e-4, 0.03, 2e-3, log=True, meaning="deviation over mean of the length of a cycle"),
    Parameter("density", 0.96, 0.9995, 0.995, meaning="share of the cycle in which a kernel runs"),
    Parameter("block_every_s", 1, 600, 60, log=True, unit="s", meaning="time between new jobs from the pool"),
    Parameter("block_s", 0.0005, 0.08, 0.005, log=True, unit="s", meaning="GPU waits for the new job"),
    Parameter("fee_every_s", 1800, 7200, 3600, log=True, unit="s", meaning="time between turns for the developer"),
    Parameter("fee_s", 0.02, 4, 0.5, log=True, unit="s", meaning="GPU waits while the pool is changed"),
    Parameter("outage_every_s", 3600, 200000, 40000, log=True, unit="s", meaning="time between losses of the pool"),
    Parameter("outage_s", 2, 90, 10, log=True, unit="s", meaning="length of such a loss"),
    Parameter("launch_jitter", 5e-4, 0.4, 0.02, log=True, meaning="variation of the launches of the commonest kernel"),
    Parameter("clock_share", 0.55, 1.0, 0.8, meaning="SM clock where it is pinned (miners' --lock-cclock)"),
    Parameter("memory_clock_share", 0.3, 1.0, 0.6, meaning="memory clock where it is pinned (miners' --lock-mclock)"),
    Parameter("power_share", 0.5, 1.0, 0.75, meaning="power limit where it is lowered (ccminer --plimit)"),
)

_FULL_MEMORY: Final = 0.985
_PINS: Final = 0.12
"""Chance of a limit that the miner set: it takes root, which an intruder in a container seldom has."""


def _cycle(scene: Scene, v: Values, miner: Miner) -> tuple[list[State], F64]:
    """States of a cycle and their seconds, the last one the gap."""
    variant = miner.variants[int(scene.rng.integers(len(miner.variants)))]
    given = scene.choose("variant", [one.name for one in miner.variants]) if len(miner.variants) > 1 else variant.name
    variant = next(one for one in miner.variants if one.name == given)
    length = scene.value(Parameter("cycle_s", *variant.cycle_s, variant.cycle_s[0], log=True, unit="s",
                                   meaning="time of one launch, or of one solution or product"))  # fmt: skip
    shares = np.array([scene.rng.uniform(*share) for _, share in variant.stages])
    shares *= length / shares.sum()
    states = [State(scene.mix(weights, v["density"], 0.1)) for weights, _ in variant.stages]
    return [*states, State()], np.append(shares, v["gap_s"])


def _interrupted(  # noqa: PLR0913, PLR0917
    scene: Scene, v: Values, miner: Miner, durations: F64, which: np.ndarray, idle: int
) -> tuple[F64, np.ndarray, F64]:
    """Blips, rebuilds and recompilations; the times of the last are given back."""
    rng, seconds = scene.rng, scene.seconds
    compiled = np.zeros(0)
    rows = [(idle, v["block_every_s"], v["block_s"], 1.0), (idle, v["fee_every_s"], v["fee_s"], 0.2),
            (idle, v["outage_every_s"], v["outage_s"], 1.0)]  # fmt: skip
    if miner.rebuild_every_s[1] > 0:
        every = scene.value(Parameter("rebuild_every_s", *miner.rebuild_every_s, miner.rebuild_every_s[0], log=True,
                                      unit="s", meaning="time between builds of the table"))  # fmt: skip
        length = scene.value(Parameter("rebuild_s", *miner.rebuild_s, miner.rebuild_s[0], log=True, unit="s",
                                       meaning="length of such a build"))  # fmt: skip
        rows.append((idle + 1, every, length, 0.5))
    for state, every, length, jitter in rows:
        times = events(rng, every, seconds, jitter)
        at = np.searchsorted(np.cumsum(durations), times)
        durations = np.insert(durations, at, length * np.exp(rng.normal(0, 0.3, len(times))))
        which = np.insert(which, at, state)
    if miner.compile_every_s[1] > 0:
        every = scene.value(Parameter("compile_every_s", *miner.compile_every_s, 180, log=True, unit="s",
                                      meaning="period of the program: NVRTC and a new module"))  # fmt: skip
        compiled = events(rng, every, seconds, 0.3)
        at = np.searchsorted(np.cumsum(durations), compiled)
        durations = np.insert(durations, at, np.exp(rng.uniform(np.log(0.005), np.log(0.8), len(compiled))))
        which = np.insert(which, at, idle)
    return durations, which, compiled


def _mine(scene: Scene, v: Values, miner: Miner) -> Schedule:
    states, lengths = _cycle(scene, v, miner)
    idle = len(states) - 1
    if miner.builder:
        states.append(State({miner.builder: 0.97}))
    together = max(1, int(0.05 / lengths.sum()), int(scene.seconds / lengths.sum() * len(lengths) / 120_000))
    if together > 1:
        states, lengths, idle = _evened(states, lengths, idle)
        lengths *= together
    count = int(scene.seconds / lengths.sum()) + 3
    factors = np.exp(scene.rng.normal(0, v["jitter"] / np.sqrt(together), (count, 1)))
    durations, which = (lengths * factors).ravel(), np.tile(np.arange(len(lengths)), count)
    durations[0] *= scene.rng.random()
    durations, which, compiled = _interrupted(scene, v, miner, durations, which, idle)
    durations, which = trimmed(durations, which, scene.seconds + 1)
    return lay(states, durations, which, scene.ticks, _host(scene, v, miner, compiled))


def _evened(states: list[State], lengths: F64, idle: int) -> tuple[list[State], F64, int]:
    """Cycles much shorter than a tick: one state holds their mean."""
    busy: dict[str, float] = {}
    for state, length in zip(states[: idle + 1], lengths, strict=True):
        for name, share in state.busy.items():
            busy[name] = busy.get(name, 0.0) + share * length / lengths.sum()
    return [State(busy), State(), *states[idle + 1 :]], np.array([lengths.sum()]), 1


def _host(scene: Scene, v: Values, miner: Miner, compiled: F64) -> dict[str, F64]:
    ticks = scene.ticks
    held = scene.value(Parameter("fb_mib", *miner.memory_mib, miner.memory_mib[0], log=True, unit="MiB",
                                 meaning="tables and buffers"))  # fmt: skip
    jitter, graphs = v["launch_jitter"], 0.0
    if scene.flip("poses", miner.poses):  # holds memory as a server does, without any other disguise
        held = scene.rng.uniform(0.5, 0.93) * scene.memory_mib
        jitter, graphs = float(scene.rng.uniform(0.05, 1.0)), float(scene.rng.uniform(0, 0.8))
    host = {
        "fb_mib": np.full(ticks, min(held, _FULL_MEMORY * scene.memory_mib)),
        "pcie_tx_mib_per_s": np.full(ticks, 0.01),
        "launch_jitter": np.full(ticks, jitter),
        "graph_share": np.full(ticks, graphs),
        "module_loads": np.bincount(np.minimum(compiled * 10, ticks - 1).astype(np.int64), minlength=ticks) * 1.0,
    }
    for name, chance in (("clock_share", _PINS), ("memory_clock_share", miner.pins_memory), ("power_share", _PINS)):
        if scene.flip(f"sets_{name}", chance):
            host[name] = np.full(ticks, v[name])
    return host


MINING_KINDS: Final = tuple(
    Kind("mining", miner.family, miner.summary, MINER_PARAMETERS, partial(_mine, miner=miner), miner.start_s,
         {miner.builder: 0.95} if miner.builder else {}, (1, 12), 0.0)
    for miner in MINERS
)  # fmt: skip
"""One kind for each of `hashwarden.model.job.taxonomy.MINING_FAMILIES`."""
