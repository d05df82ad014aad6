"""Miners that imitate the rhythm of honest work: the steps of a training, the requests of a server."""

from __future__ import annotations

import numpy as np

from hashwarden.training.synthesise.blend import joined, level, stretched
from hashwarden.training.synthesise.hiding import padding
from hashwarden.training.synthesise.hiding_tools import Disguise, Hidden, full_speed, started, with_host
from hashwarden.training.synthesise.schedule import Schedule
from hashwarden.training.synthesise.serving import arrivals, queued
from hashwarden.training.synthesise.track import F64, events, occupancy, trimmed

__all__ = ["mimic_requests", "mimic_step"]


def mimic_step(disguise: Disguise) -> Hidden:
    """Turns of mining, useless products and idling, as long as steps; memory, batches and checkpoints for show."""
    scene, v = disguise.scene, disguise.values
    rng = scene.rng
    full = full_speed(disguise)
    padded = v["pad"] * (1 - v["gap"])
    shares = np.array([1 - v["gap"] - padded, padded, v["gap"]])
    count = int(scene.seconds / v["step_s"] * 1.1) + 3
    durations = (v["step_s"] * shares * np.exp(rng.normal(0, v["jitter"], (count, 3)))).ravel()
    which = np.tile(np.arange(3), count)
    durations[0] *= rng.random()
    times = events(rng, v["checkpoint_every_s"], scene.seconds)
    at = np.minimum(np.searchsorted(np.cumsum(durations)[2::3], times) * 3 + 3, len(durations))
    durations = np.insert(durations, at, v["checkpoint_s"] * np.exp(rng.normal(0, 0.1, len(times))))
    durations, which = trimmed(durations, np.insert(which, at, 3), scene.seconds + 1)
    turns = occupancy(durations, which, 4, scene.ticks)
    return _shown(disguise, full, turns[:, 0], turns[:, 1], turns[:, 3] * rng.uniform(800, 18000))


def mimic_requests(disguise: Disguise) -> Hidden:
    """Mining as long as imitated requests take; memory that grows like a cache, a little traffic, useless products."""
    scene, v = disguise.scene, disguise.values
    full = full_speed(disguise)
    asked = {"load": v["load"], "work_s": v["request_s"], "work_spread": 0.6, "burst": v["burst"],
             "burst_s": v["burst_s"], "diurnal": 0.3}  # fmt: skip
    working = queued(arrivals(scene, asked).work_s, 1.0)
    copies = working * float(np.exp(scene.rng.uniform(np.log(0.2), np.log(60))))
    return _shown(disguise, full, working * (1 - v["pad"]), working * v["pad"], copies)


def _shown(disguise: Disguise, full: Schedule, mines: F64, pads: F64, copies: F64) -> Hidden:
    """Mining and padding in their turns, with memory, launches and copies for show."""
    scene, v = disguise.scene, disguise.values
    useless = padding(disguise, scene.rng.uniform(0.3, 1), scene.rng.random())
    mines = started(disguise, mines)
    useless = stretched(useless, np.minimum(pads, 1 - mines))
    made = joined(stretched(full, mines), useless, mines)
    memory = np.full(scene.ticks, v["memory"] * scene.memory_mib)
    if scene.flip("memory_grows", 0.5):
        filling = 1 - np.exp(-np.arange(scene.ticks) / scene.rng.uniform(0.05, 0.5) / scene.ticks)
        memory *= np.ceil((0.6 + 0.4 * filling) * 60) / 60
    graphs = scene.rng.uniform(0, 0.8) if scene.flip("graphs", 0.3) else 0.0
    return Hidden(
        with_host(
            made,
            {
                "fb_mib": np.maximum(level(made, "fb_mib"), memory),
                "launch_jitter": v["launch_jitter"],
                "graph_share": graphs,
                "pcie_tx_mib_per_s": level(made, "pcie_tx_mib_per_s") + copies,
                "pcie_rx_mib_per_s": level(made, "pcie_rx_mib_per_s") + mines * float(scene.rng.uniform(0, 60)),
            },
        ),
        full,
    )
