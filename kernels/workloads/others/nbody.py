"""Gravitation among all pairs of bodies.

Each thread holds four bodies in registers and walks through all the others (Nyland, Harris and Prins, GPU
Gems 3, 2007): floating point without end over a small array that every thread reads in the same order.
"""

# ruff: noqa: ANN401  bodies take arrays, and many of them

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from hashwarden.kernels.device import device, local_array
from hashwarden.kernels.memory.recorder import begin, load, store
from hashwarden.kernels.workloads.plan import Arrays, Empty, Launch, Plan, Work, require_close
from hashwarden.kernels.workloads.workload import Parameter, Settings, Workload

__all__ = ["WORKLOADS", "build_plan"]

HELD: Final = 4
SOFTENING: Final = np.float32(0.01)
INTERVAL: Final = np.float32(0.01)
_SAMPLE: Final = 64


@device
def pull(thread: Any, log: Any, bodies: Any, speeds: Any, moved: Any) -> None:
    """Move bodies ``thread``, ``thread + threads`` and so on by one interval; a body is x, y, z, mass."""
    t = begin(log, thread)
    count = len(bodies) // 4
    threads = count // HELD
    own, force = local_array(12, np.float32), local_array(12, np.float32)
    for body in range(HELD):
        place = thread + body * threads
        t = load(log, t, 0, 0, 4 * place, 0, 4)
        for axis in range(3):
            own[3 * body + axis] = bodies[4 * place + axis]
            force[3 * body + axis] = np.float32(0)
    for other in range(count):
        t = load(log, t, 1, 0, 4 * other, 0, 4)
        x, y, z, mass = bodies[4 * other], bodies[4 * other + 1], bodies[4 * other + 2], bodies[4 * other + 3]
        for body in range(HELD):
            dx = np.float32(x - own[3 * body])
            dy = np.float32(y - own[3 * body + 1])
            dz = np.float32(z - own[3 * body + 2])
            square = np.float32(dx * dx + dy * dy + dz * dz + SOFTENING)
            inverse = np.float32(np.float32(1) / np.float32(math.sqrt(square)))
            weight = np.float32(mass * inverse * inverse * inverse)
            force[3 * body] = np.float32(force[3 * body] + dx * weight)
            force[3 * body + 1] = np.float32(force[3 * body + 1] + dy * weight)
            force[3 * body + 2] = np.float32(force[3 * body + 2] + dz * weight)
    for body in range(HELD):
        place = 4 * (thread + body * threads)
        t = load(log, t, 2, 1, place, 0, 4)
        t = store(log, t, 3, 1, place, 0, 4)
        t = store(log, t, 4, 2, place, 0, 4)
        for axis in range(3):
            speeds[place + axis] = np.float32(speeds[place + axis] + INTERVAL * force[3 * body + axis])
            moved[place + axis] = np.float32(own[3 * body + axis] + INTERVAL * speeds[place + axis])
        moved[place + 3] = bodies[place + 3]


def build_plan(settings: Settings, seed: int) -> Plan:
    """Plan intervals of ``bodies`` bodies."""
    count = settings["bodies"]
    random = np.random.default_rng(seed)
    start = random.standard_normal((count, 4)).astype(np.float32)
    start[:, 3] = random.uniform(0.5, 1.5, count).astype(np.float32) / np.float32(count)
    arrays: Arrays = {
        "even": start.reshape(-1),
        "odd": Empty((4 * count,), np.float32),
        "speeds": Empty((4 * count,), np.float32),
    }
    names = ("even", "odd")

    def step(number: int) -> tuple[Launch, ...]:
        return (Launch(pull, count // HELD, (names[number % 2], "speeds", names[1 - number % 2])),)

    def check(results: Mapping[str, NDArray[Any]]) -> None:
        chosen = random.integers(0, count, min(count, _SAMPLE))
        exact = start.astype(np.float64)
        apart = exact[None, :, :3] - exact[chosen, None, :3]
        square = (apart**2).sum(axis=2) + float(SOFTENING)
        pulls = (apart * (exact[:, 3] * square**-1.5)[:, :, None]).sum(axis=1)
        speeds = float(INTERVAL) * pulls
        require_close("speeds", results["speeds"].reshape(-1, 4)[chosen, :3], speeds, 1e-3, 1e-5)
        expected = exact[chosen, :3] + float(INTERVAL) * speeds
        require_close("places", results["odd"].reshape(-1, 4)[chosen, :3], expected)

    pairs = count * count
    return Plan(arrays, step=step, work=Work(units=pairs, dram_bytes=count * 64, float_ops=20 * pairs), check=check)


WORKLOADS: Final = (
    Workload(
        name="n-body",
        label="hpc-other",
        family="n-body",
        bound="float",
        summary="Gravitation among all pairs of bodies (GPU Gems 3, 2007)",
        unit="pair",
        parameters=(Parameter("bodies", "bodies", 4, 1 << 22, "bodies, four for each thread", power_of_two=True),),
        sizes={
            "small": {"bodies": 128},
            "trace": {"bodies": 1 << 12},
            "gpu": {"bodies": 1 << 17},
        },
        build=build_plan,
    ),
)
