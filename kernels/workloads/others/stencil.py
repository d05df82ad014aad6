"""Jacobi iteration of the seven-point stencil on a cube: the heat equation.

The classic bandwidth-bound kernel (Datta and others, SC 2008): seven loads a point, all of them from places
that follow from the thread's number, with neighbours shared among warps through the caches.
"""

# ruff: noqa: ANN401, PLR0913, PLR0917  bodies take arrays, and many of them

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from hashwarden.kernels.device import device
from hashwarden.kernels.memory.recorder import begin, load, store
from hashwarden.kernels.workloads.plan import Arrays, Empty, Launch, Plan, Work, require_close
from hashwarden.kernels.workloads.workload import Parameter, Settings, Workload

__all__ = ["WORKLOADS", "build_plan"]

CENTRE: Final = np.float32(0.4)
SIDE: Final = np.float32(0.1)
_BLOCK: Final = 24


@device
def fill(thread: Any, log: Any, grid: Any, other: Any, edge: Any, salt: Any) -> None:
    """Give point ``thread`` a temperature, in both copies because the border never changes."""
    t = begin(log, thread)
    x, y, z = thread % edge, (thread // edge) % edge, thread // (edge * edge)
    value = np.float32((x * y + 3 * z + x * x * 31 + salt) % 97)
    t = store(log, t, 0, 0, thread)
    grid[thread] = value
    t = store(log, t, 1, 1, thread)
    other[thread] = value


@device
def sweep(thread: Any, log: Any, grid: Any, target: Any, edge: Any) -> None:
    """Replace an inner point by the weighted mean of itself and its six neighbours."""
    t = begin(log, thread)
    x, y, z = thread % edge, (thread // edge) % edge, thread // (edge * edge)
    if min(x, y, z) == 0 or max(x, y, z) == edge - 1:
        return
    plane = edge * edge
    t = load(log, t, 0, 0, thread)
    t = load(log, t, 1, 0, thread - 1)
    t = load(log, t, 2, 0, thread + 1)
    t = load(log, t, 3, 0, thread - edge)
    t = load(log, t, 4, 0, thread + edge)
    t = load(log, t, 5, 0, thread - plane)
    t = load(log, t, 6, 0, thread + plane)
    near = grid[thread - 1] + grid[thread + 1] + grid[thread - edge] + grid[thread + edge]
    around = near + grid[thread - plane] + grid[thread + plane]
    t = store(log, t, 7, 1, thread)
    target[thread] = np.float32(CENTRE * grid[thread] + SIDE * np.float32(around))


def _start(high: int, salt: int) -> NDArray[np.float64]:
    """Oracle: temperatures of a corner of the cube, indexed z, y, x."""
    z, y, x = np.meshgrid(*(np.arange(high),) * 3, indexing="ij")
    return ((x * y + 3 * z + 31 * x**2 + salt) % 97).astype(np.float64)


def build_plan(settings: Settings, seed: int) -> Plan:
    """Plan ``sweeps`` sweeps a step over a cube of ``edge`` points in each direction."""
    edge, sweeps = settings["edge"], settings["sweeps"]
    points, salt = edge**3, seed % 97
    arrays: Arrays = {name: Empty((points,), np.float32) for name in ("even", "odd")}
    names = ("even", "odd")

    def step(number: int) -> list[Launch]:
        turns = range(number * sweeps, (number + 1) * sweeps)
        return [Launch(sweep, points, (names[i % 2], names[1 - i % 2], np.int64(edge))) for i in turns]

    def check(results: Mapping[str, NDArray[Any]]) -> None:
        # A block at the lowest corner: its three outer faces are borders, the others wear off by one a sweep.
        high = min(edge, _BLOCK + sweeps)
        grid = _start(high, salt)
        for _ in range(sweeps):
            inner = 0.4 * grid[1:-1, 1:-1, 1:-1]
            for axis in range(3):
                for side in (slice(None, -2), slice(2, None)):
                    place = [slice(1, -1)] * 3
                    place[axis] = side
                    inner = inner + 0.1 * grid[tuple(place)]
            grid[1:-1, 1:-1, 1:-1] = inner
        sound = high if high == edge else _BLOCK
        got = results[names[sweeps % 2]].reshape((edge,) * 3)[:sound, :sound, :sound]
        require_close("temperature", got, grid[:sound, :sound, :sound], relative=1e-5, absolute=1e-4)

    return Plan(
        arrays,
        step=step,
        work=Work(units=points * sweeps, dram_bytes=points * sweeps * 8, float_ops=points * sweeps * 8),
        check=check,
        setup=(Launch(fill, points, ("even", "odd", np.int64(edge), np.int64(salt))),),
    )


WORKLOADS: Final = (
    Workload(
        name="stencil",
        label="hpc-other",
        family="stencil",
        bound="memory",
        summary="Jacobi iteration of the seven-point stencil on a cube (SC 2008)",
        unit="point",
        parameters=(
            Parameter("edge", "points", 3, 1290, "points in each direction"),
            Parameter("sweeps", "sweeps", 1, 1000, "sweeps of a step"),
        ),
        sizes={
            "small": {"edge": 8, "sweeps": 2},
            "trace": {"edge": 64, "sweeps": 1},
            "gpu": {"edge": 768, "sweeps": 4},
        },
        build=build_plan,
    ),
)
