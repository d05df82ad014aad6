"""One synthesised run: what the job does, how it hides, where it runs, what the sensors show of it.

The site, which is whatever has nothing to do with what the job does (other processes with a context, limits that the
operator set, whether the recording begins with the job), is drawn alike for all classes, by a stream of its own.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

import numpy as np

from hashwarden.errors import UsageError
from hashwarden.model.channels import GROUPS, Group
from hashwarden.model.job.taxonomy import STRATEGIES
from hashwarden.model.trace import Run, RunInfo
from hashwarden.training.synthesise.blend import level
from hashwarden.training.synthesise.evasions import HIDE, STRATEGY_PARAMETERS
from hashwarden.training.synthesise.gpus import Gpu, gpu_named
from hashwarden.training.synthesise.hiding_tools import Disguise, Hidden, hash_work, with_host
from hashwarden.training.synthesise.kinds import kind_named
from hashwarden.training.synthesise.miners import miner_named
from hashwarden.training.synthesise.physics import Activity, activity
from hashwarden.training.synthesise.scene import Parameter, Scene
from hashwarden.training.synthesise.schedule import TICK_S, Schedule
from hashwarden.training.synthesise.sensors import Sensors, observe
from hashwarden.version import __version__

__all__ = ["SITE", "make_run", "make_schedule", "spans"]

SITE: Final = (
    Parameter("fresh", 0.0, 1.0, 0.4, meaning="below 0.4: the recording begins with the job, else in the middle of it"),
    Parameter("processes", 0.0, 1.0, 0.5, meaning="above 0.7 one more process has a context, above 0.9 two"),
    Parameter("visit", 0.0, 1.0, 0.5, meaning="above 0.85 one more process comes and goes: a check, a monitor"),
    Parameter("foreign", 0.0, 1.0, 0.5, meaning="above 0.98 somebody else's idle process has a context"),
    Parameter("power_share", 0.55, 1.0, 1.0, meaning="power limit that the operator set, where one is set"),
    Parameter("clock_share", 0.6, 1.0, 1.0, meaning="clock that the operator pinned, where one is pinned"),
    Parameter("memory_clock_share", 0.4, 1.0, 1.0, meaning="memory clock that the operator pinned, where one is"),
    Parameter(
        "limits",
        0.0,
        1.0,
        0.5,
        meaning="below 0.15 the operator lowered the power limit, above 0.88 the clock, above 0.97 both clocks",
    ),
)
"""What is drawn alike for all classes."""

_CONTEXT_MIB: Final = 420.0


def make_run(  # noqa: PLR0913, PLR0917  a run has that many sides
    label: str, family: str, strategy: str = "plain", gpu: str = "H100 SXM", seconds: float = 600.0,
    period_s: float = 1.0, groups: Sequence[Group] = GROUPS, seed: int = 0,
    changes: Mapping[str, float | str] | None = None, sensors: Sensors | None = None,
) -> Run:  # fmt: skip
    """Synthesise a run.

    Parameters
    ----------
    label, family : str
        Class, and family of the work within it (`hashwarden.training.synthesise.kinds.families`).
    strategy : str
        Way to hide, for mining.
    gpu : str
        One of `hashwarden.training.synthesise.gpus.GPUS`.
    seconds : float
        Length.
    period_s : float
        Time between samples, 0.1 to 60.
    groups : sequence of str
        Groups of channels that the sensors show.
    seed : int
        The same seed and settings give the same run.
    changes : mapping, optional
        Values that are given, not drawn: parameters of the strategy by name, all others as ``ROLE.NAME`` with the role
        ``work``, ``cover``, ``strategy`` or ``site``.
    sensors : Sensors, optional
        Noise, faults and the like; its period and groups are not read.

    Returns
    -------
    Run
        `RunInfo.parameters` holds all that was drawn, flat, by ``ROLE.NAME``. A run that mines for a part of the time
        only has ``mining_spans_s``, pairs of seconds, and ``cover``, the class of what it does in between.

    Raises
    ------
    UsageError
        If a name is unknown or a value out of its range.
    """
    there = gpu_named(gpu)
    sensors = sensors or Sensors()
    schedule = make_schedule(label, family, strategy, there, seconds, seed, changes)
    rng = np.random.default_rng([seed, 7])
    settings = replace(sensors, period_s=period_s, groups=tuple(groups))
    times, values = observe(schedule, there, settings, rng, kernels=_kernels(schedule, there, seed))
    info = RunInfo(
        origin="synthesised", gpu=gpu, architecture=there.architecture, made_by=f"hashwarden {__version__}",
        period_s=period_s, labelled_by="construction", share=schedule.share, seed=seed,
        parameters={**schedule.parameters, "groups": list(groups), "seconds": seconds},
    )  # fmt: skip
    return Run(f"{label}-{family}-{strategy}-{seed}", times, values, label, family, strategy, info)


def make_schedule(  # noqa: PLR0913, PLR0917  as make_run
    label: str, family: str, strategy: str, gpu: Gpu, seconds: float, seed: int = 0,
    changes: Mapping[str, float | str] | None = None,
) -> Schedule:  # fmt: skip
    """What a run does, before any sensor; parameters as for `make_run`."""
    if strategy not in STRATEGIES or (strategy != "plain" and label != "mining"):
        known = ", ".join(STRATEGIES) if label == "mining" else "plain"
        raise UsageError(f"the strategy {strategy!r} for {label}", f"one of {known}", "Choose one.")
    if not (math.isfinite(seconds) and seconds >= TICK_S):
        raise UsageError(f"a run of {seconds:g} seconds", f"at least {TICK_S:g}", "Give a longer time.")
    scene = Scene(seconds, gpu.dram_mib, seed, changes=_named(strategy, changes or {}))
    site = scene.part("site").values(SITE)
    scene.fresh = site["fresh"] < 0.4
    made = _hidden(scene, family, strategy) if label == "mining" else None
    schedule = kind_named(label, family).schedule(scene) if made is None else made.schedule
    _check_used(scene)
    parameters: dict[str, Any] = dict(scene.notes)
    share = 0.0
    if made is not None:
        kernels, hashes = _kernels(schedule, gpu, seed), miner_named(family).hashes
        share = min(1.0, hash_work(schedule, hashes, kernels) / max(hash_work(made.full, hashes, kernels), 1e-9))
        if made.mining is not None:
            parameters |= {"mining_spans_s": spans(made.mining, seconds), "cover": _cover_class(scene)}
    labels = {"label": label, "family": family, "strategy": strategy}
    return replace(_on_site(schedule, site, gpu), share=share, labels=labels, parameters=parameters)


def _kernels(schedule: Schedule, gpu: Gpu, seed: int) -> Activity:
    return activity(schedule.parts, gpu, np.random.default_rng([seed, 5]))


def _named(strategy: str, changes: Mapping[str, float | str]) -> dict[str, float | str]:
    """Changes by their full names: a plain name is a parameter of the strategy, or else of the work."""
    own = {parameter.name for parameter in STRATEGY_PARAMETERS[strategy]}
    return {
        name if "." in name else f"{'strategy' if name in own else 'work'}.{name}": value
        for name, value in changes.items()
    }


def _check_used(scene: Scene) -> None:
    for name in scene.changes:
        if name not in scene.notes:
            known = ", ".join(sorted(scene.notes))
            raise UsageError(f"the parameter {name!r}, which nothing draws", f"one of {known}", "Correct the name.")


def _hidden(scene: Scene, family: str, strategy: str) -> Hidden:
    kind = kind_named("mining", family)
    part = scene.part("strategy")

    def mine(fresh: bool, most_start_s: float) -> Schedule:
        work = scene.part("work")
        work.fresh, work.most_start_s = fresh, most_start_s
        return kind.schedule(work)

    return HIDE[strategy](Disguise(part, part.values(STRATEGY_PARAMETERS[strategy]), miner_named(family), mine))


def _cover_class(scene: Scene) -> str:
    return str(scene.notes.get("cover.family", "idle")).split("/", maxsplit=1)[0]


def spans(on: np.ndarray, seconds: float) -> list[list[float]]:
    """When something is on: pairs of seconds, from ticks."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], on, [False]]).astype(np.int8)))
    pairs = edges.reshape(-1, 2) * TICK_S
    return [[round(float(a), 3), round(min(float(b), seconds), 3)] for a, b in pairs if a < seconds]


def _visit(site: Mapping[str, float], ticks: int) -> np.ndarray | int:
    """When one more process has a context, shape (T,)."""
    if site["visit"] <= 0.85:
        return 0
    begin = (site["visit"] - 0.85) / 0.15 * 0.9
    time = np.arange(ticks) / ticks
    return (time >= begin) & (time < begin + 0.6)


def _on_site(schedule: Schedule, site: Mapping[str, float], gpu: Gpu) -> Schedule:
    """The schedule among what else has a context, under the operator's limits, within what the GPU has."""
    more = (site["processes"] > 0.7) + (site["processes"] > 0.9) + _visit(site, len(schedule.busy))
    foreign = float(site["foreign"] > 0.98)
    held = level(schedule, "fb_mib") + _CONTEXT_MIB * (more + foreign)
    changes: dict[str, Any] = {
        "fb_mib": np.minimum(held, 0.99 * gpu.dram_mib),
        "processes": level(schedule, "processes") + more,
        "foreign_processes": foreign,
    }
    if site["limits"] < 0.15:
        changes["power_share"] = np.minimum(level(schedule, "power_share"), site["power_share"])
    if site["limits"] > 0.88:
        changes["clock_share"] = np.minimum(level(schedule, "clock_share"), site["clock_share"])
    if site["limits"] > 0.97:
        changes["memory_clock_share"] = np.minimum(level(schedule, "memory_clock_share"), site["memory_clock_share"])
    for name, most in (("pcie_rx_mib_per_s", gpu.pcie_mib_per_s), ("pcie_tx_mib_per_s", gpu.pcie_mib_per_s),
                       ("nvlink_mib_per_s", gpu.nvlink_mib_per_s)):  # fmt: skip
        changes[name] = np.minimum(level(schedule, name), 0.9 * most)
    return with_host(schedule, changes)
