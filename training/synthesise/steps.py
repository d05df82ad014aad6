"""A loop of steps: what every training has in common, and what interrupts it.

N = steps, P = phases of a step.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from hashwarden.training.synthesise.scene import Parameter, Scene, Values
from hashwarden.training.synthesise.schedule import Schedule
from hashwarden.training.synthesise.track import F64, I64, State, events, lay, trimmed

__all__ = ["INTERRUPTIONS", "STEP", "Phase", "looped"]

Phase = tuple[State, float]
"""A state and its share of the step."""

STEP: Final = (
    Parameter("step_s", 0.05, 20, 0.8, log=True, unit="s", meaning="time of one optimiser step"),
    Parameter("jitter", 5e-4, 0.12, 0.01, log=True, meaning="deviation over mean of the time of a step"),
    Parameter("wait", 0.0, 0.35, 0.05, meaning="share of the step in which the GPU waits for data"),
)

INTERRUPTIONS: Final = (
    Parameter("evaluate_every_s", 60, 7200, 900, log=True, unit="s", meaning="time between evaluations"),
    Parameter("evaluate_s", 1, 120, 20, log=True, unit="s", meaning="length of an evaluation: forward passes only"),
    Parameter("checkpoint_every_s", 90, 7200, 1200, log=True, unit="s", meaning="time between checkpoints"),
    Parameter("checkpoint_s", 0.5, 40, 6, log=True, unit="s", meaning="length of a checkpoint: copies and idling"),
    Parameter("stall_every_s", 20, 3600, 300, log=True, unit="s", meaning="time between stalls of the data loader"),
    Parameter("stall_s", 0.1, 20, 1, log=True, unit="s", meaning="mean length of such a stall"),
)

_STEADY: Final = 0.25
"""Chance of a training that nothing interrupts while it is watched: as even as any miner."""
_MOST_SEGMENTS: Final = 120_000


def looped(  # noqa: PLR0913, PLR0917
    scene: Scene, v: Values, phases: Sequence[Phase], evaluation: State, host: dict[str, F64] | None = None,
    sm_share: dict[str, float] | None = None,
) -> Schedule:  # fmt: skip
    """Steps of these phases, one after another, with evaluations, checkpoints and stalls between them.

    Parameters
    ----------
    scene : Scene
    v : mapping
        Values of `STEP` and `INTERRUPTIONS`.
    phases : sequence of Phase
        Shares sum to 1; the first phase is the one that waits for data.
    evaluation : State
    host : dict of str to float64 array, shape (T,), optional
    sm_share : dict of str to float, optional
    """
    steady = scene.flip("steady", _STEADY)
    if scene.seconds / v["step_s"] * len(phases) > _MOST_SEGMENTS:
        phases = [(_mean(phases), 1.0)]
    checkpoint = State({}, {"pcie_tx_mib_per_s": float(np.exp(scene.rng.uniform(np.log(800), np.log(18000))))})
    states = [state for state, _ in phases] + [evaluation, checkpoint, State()]
    durations, steps = _steps(scene, v, np.array([share for _, share in phases]), steady)
    which = np.tile(np.arange(len(phases)), len(durations) // len(phases))
    if not steady:
        durations, which = _interrupted(scene, v, durations, which, len(phases))
    durations[0] *= scene.rng.random()
    scene.note("steps", steps)
    durations, which = trimmed(durations, which, scene.seconds + 1)
    return lay(states, durations, which, scene.ticks, host, sm_share)


def _steps(scene: Scene, v: Values, shares: F64, steady: bool) -> tuple[F64, int]:
    """Durations of the phases of all steps, flat; very many short steps are taken together: ticks hold their mean."""
    step, jitter = v["step_s"], 5e-4 if steady else v["jitter"]
    together = max(1, int(0.5 / step)) if len(shares) == 1 else 1
    count = int(scene.seconds / (step * together) * 1.05) + 3
    factors = np.exp(scene.rng.normal(0, jitter / np.sqrt(together), (count, len(shares))))
    return (step * together * shares * factors).ravel(), count * together


def _interrupted(scene: Scene, v: Values, durations: F64, which: I64, phases: int) -> tuple[F64, I64]:
    rng, seconds = scene.rng, scene.seconds
    kinds = (
        (phases, events(rng, v["evaluate_every_s"], seconds), v["evaluate_s"], 0.03),
        (phases + 1, events(rng, v["checkpoint_every_s"], seconds), v["checkpoint_s"], 0.1),
        (phases + 2, events(rng, v["stall_every_s"], seconds, 1.0), v["stall_s"], 0.9),
    )
    wanted = (scene.flip("evaluates", 0.6), scene.flip("checkpoints", 0.7), scene.flip("stalls", 0.4))
    for (state, times, length, spread), asked in zip(kinds, wanted, strict=True):
        if not asked or not len(times):
            continue
        last = np.flatnonzero(which == phases - 1)  # the last phase of each step
        ends = np.cumsum(durations)[last]
        at = np.append(last + 1, len(durations))[np.searchsorted(ends, times)]
        durations = np.insert(durations, at, length * np.exp(rng.normal(0, spread, len(times))))
        which = np.insert(which, at, state)
    return durations, which


def _mean(phases: Sequence[Phase]) -> State:
    """All phases at once: what a tick holds of a step that is much shorter."""
    busy: dict[str, float] = {}
    host: dict[str, float] = {}
    for state, share in phases:
        for total, values in ((busy, state.busy), (host, state.host)):
            for name, value in values.items():
                total[name] = total.get(name, 0.0) + share * value
    return State(busy, host)
