"""The transformations: which part of each tick mines, and what has the rest."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from hashwarden.training.synthesise.blend import beside, blend, level
from hashwarden.training.synthesise.hiding_tools import (
    Disguise,
    Hidden,
    cover_of,
    full_speed,
    pulses,
    started,
    with_host,
)
from hashwarden.training.synthesise.schedule import TICK_S, Schedule
from hashwarden.training.synthesise.track import F64, State, events, lay

__all__ = [
    "besides",
    "bursts",
    "duty_cycle",
    "few_sms",
    "interleave",
    "pad",
    "padding",
    "plain",
    "slow_start",
    "throttle",
]


def plain(disguise: Disguise) -> Hidden:
    """Nothing is hidden."""
    full = full_speed(disguise)
    return Hidden(full, full)


def _constant(disguise: Disguise, share: float) -> F64:
    return np.full(disguise.scene.ticks, share)


def _processes(disguise: Disguise) -> int:
    """How many processes miner and cover are: it may run inside the honest one."""
    return 2 if disguise.scene.flip("own_process", 0.5) else 1


def _uneven(disguise: Disguise, schedule: Schedule) -> Schedule:
    """Launches come less regularly where the host idles between them."""
    jitter = float(np.exp(disguise.scene.rng.uniform(np.log(0.05), np.log(3))))
    return with_host(schedule, {"launch_jitter": np.maximum(level(schedule, "launch_jitter"), jitter)})


def duty_cycle(disguise: Disguise) -> Hidden:
    """Idle by a share that changes at random from stage to stage."""
    scene, v = disguise.scene, disguise.values
    full = full_speed(disguise)
    shortest, longest = sorted((v["shortest_s"], v["longest_s"]))
    low, high = sorted((v["low"], v["high"]))
    count = int(scene.seconds / shortest) + 3
    ends = np.cumsum(scene.rng.uniform(shortest, longest, count)) - scene.rng.uniform(0, shortest)
    stage = np.searchsorted(ends, np.arange(scene.ticks) * TICK_S)
    duty = scene.rng.uniform(low, high, count + 1)[stage]
    part = pulses(duty, v["slice_s"], scene.rng.random())
    return Hidden(_uneven(disguise, blend(full, None, started(disguise, part))), full)


def throttle(disguise: Disguise) -> Hidden:
    """Idle after each launch, at a lower clock if asked."""
    scene, v = disguise.scene, disguise.values
    full = full_speed(disguise)
    part = pulses(_constant(disguise, v["share"]), v["slice_s"], scene.rng.random())
    made = _uneven(disguise, blend(full, None, started(disguise, part)))
    if v["clock"] < 1:
        made = with_host(made, {"clock_share": np.minimum(level(made, "clock_share"), v["clock"])})
    return Hidden(made, full)


def interleave(disguise: Disguise) -> Hidden:
    """Turns of mining between the steps of a real training."""
    scene, v = disguise.scene, disguise.values
    full = disguise.mine(False, np.inf)
    cover = cover_of(disguise, full, ("training",))
    share = v["share"]
    period = v["block_s"] / share
    step = scene.notes.get("cover.step_s")
    if v["aligned"] >= 0.5 and isinstance(step, float | int):
        period = step / max(1 - share, 0.02)
    part = pulses(_constant(disguise, share), period, scene.rng.random())
    return Hidden(blend(full, cover, part), full)


def padding(disguise: Disguise, tensor: float, floating: float) -> Schedule:
    """Useless work: products, FP32 and copies whose results nobody reads."""
    scene = disguise.scene
    rest = 1 - tensor
    kernel = scene.choose("padding", ("gemm-bf16", "burn-tensor", "gemm-tf32"))
    weights = {kernel: tensor, "burn-fp32": rest * floating, "elementwise": rest * (1 - floating)}
    weights["norm-softmax"] = 0.05
    state = State(scene.mix(weights, 0.98))
    return lay([state], np.array([scene.seconds + 1]), np.array([0]), scene.ticks)


def pad(disguise: Disguise) -> Hidden:
    """Useless work between the launches of the miner, so that the mean of the counters moves."""
    scene, v = disguise.scene, disguise.values
    full = full_speed(disguise)
    part = pulses(_constant(disguise, v["share"]), v["slice_s"], scene.rng.random())
    made = _uneven(disguise, blend(full, padding(disguise, v["tensor"], v["float"]), started(disguise, part)))
    shown = np.maximum(level(made, "fb_mib"), v["memory"] * scene.memory_mib)
    return Hidden(with_host(made, {"fb_mib": shown}), full)


def besides(disguise: Disguise) -> Hidden:
    """A second process at the same time as an honest one; the driver's time slices go round."""
    scene, v = disguise.scene, disguise.values
    full = full_speed(disguise)
    cover = cover_of(disguise, full)
    own = blend(full, None, started(disguise, pulses(_constant(disguise, v["share"]), 0.5, scene.rng.random())))
    made, _ = beside(own, cover, v["weight"])
    return Hidden(made, full)


def few_sms(disguise: Disguise) -> Hidden:
    """Launches that fill a few SMs only; the rest of the time is idle or another job's."""
    scene, v = disguise.scene, disguise.values
    full = full_speed(disguise)
    narrow = replace(full, sm_share=np.full_like(full.busy, v["sms"]))
    cover = cover_of(disguise, full) if scene.flip("has_cover", 0.5) and v["time"] < 1 else None
    part = pulses(_constant(disguise, v["time"]), 1.0, scene.rng.random())
    return Hidden(blend(narrow, cover, started(disguise, part), _processes(disguise)), full)


def bursts(disguise: Disguise) -> Hidden:
    """Some minutes of mining now and then, within an honest job."""
    scene, v = disguise.scene, disguise.values
    every = max(v["every_s"], v["on_s"] * 1.05)
    time = np.arange(scene.ticks) * TICK_S
    starts = events(scene.rng, every, scene.seconds + every, 0.2) - scene.rng.uniform(0, v["on_s"])
    seen = min(v["on_s"], 0.2 * scene.seconds)  # at least this much of one burst is watched
    if not ((np.minimum(starts + v["on_s"], scene.seconds) - np.maximum(starts, 0)) >= seen * 0.999).any():
        starts = np.array([scene.rng.uniform(min(0.0, seen - v["on_s"]), scene.seconds - seen)])
    last = np.searchsorted(starts, time, side="right") - 1
    on = (last >= 0) & (time - starts[np.maximum(last, 0)] < v["on_s"])
    part = pulses((on * v["share"]).astype(np.float64), 0.5)
    part[~on] = 0.0
    full = disguise.mine(True, 0.2 * seen * v["share"])
    made = blend(full, cover_of(disguise, full), part, _processes(disguise))
    return Hidden(_freed(made, full, on) if scene.flip("frees_memory", 0.5) else made, full, on)


def _freed(made: Schedule, miner: Schedule, on: np.ndarray) -> Schedule:
    """Memory of the miner is given back, and its process ends, while it does not mine."""
    held = float(level(miner, "fb_mib")[-1])
    begun = np.cumsum(on) > 0
    memory = np.maximum(level(made, "fb_mib") - held * (begun & ~on), 0)
    processes = np.where(on, level(made, "processes"), 1)
    return with_host(made, {"fb_mib": memory, "processes": processes})


def slow_start(disguise: Disguise) -> Hidden:
    """Honest work first, mining later."""
    scene, v = disguise.scene, disguise.values
    begins = scene.note("mining_from_s", min(v["honest_s"], 0.9 * scene.seconds))
    on = np.arange(scene.ticks) * TICK_S >= begins
    part = pulses((on * v["share"]).astype(np.float64), 0.5)
    part[~on] = 0.0
    full = disguise.mine(True, 0.2 * (scene.seconds - begins) * v["share"])
    return Hidden(blend(full, cover_of(disguise, full), part, _processes(disguise)), full, on)
