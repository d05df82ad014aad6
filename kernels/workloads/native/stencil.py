"""A 7-point stencil on a cube, sweep after sweep: Jacobi's method for Poisson's equation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from hashwarden.kernels.workloads.native.define import define
from hashwarden.kernels.workloads.plan import NativeLaunch, Plan, Work, require_close
from hashwarden.kernels.workloads.workload import Parameter, Settings

__all__ = ["WORKLOADS", "build_plan"]

_SOURCE: Final = "hpc_grid"
_HERE: Final = np.float32(0.4)
_BESIDE: Final = np.float32(0.1)
_CORNER: Final = 12
"""Side of the part of the cube that is compared with the oracle."""


def _swept(box: NDArray[np.float64]) -> NDArray[np.float64]:
    after = box.copy()
    inner = box[1:-1, 1:-1, 1:-1]
    sides = box[:-2, 1:-1, 1:-1] + box[2:, 1:-1, 1:-1] + box[1:-1, :-2, 1:-1] + box[1:-1, 2:, 1:-1]
    sides = sides + box[1:-1, 1:-1, :-2] + box[1:-1, 1:-1, 2:]
    after[1:-1, 1:-1, 1:-1] = float(_HERE) * inner + float(_BESIDE) * sides
    return after


def build_plan(settings: Settings, seed: int) -> Plan:
    """Plan ``2 * pairs`` sweeps a step over a cube of ``side`` cells a side; the rim stays as it is."""
    side, pairs = settings["side"], settings["pairs"]
    cube = np.random.default_rng(seed).random((side, side, side), np.float32)
    block = (32, 4)
    shape = (tuple(-(-side // width) for width in block), block)
    sides = (np.int32(side),) * 3

    def sweep(ends: tuple[str, str]) -> NativeLaunch:
        return NativeLaunch(_SOURCE, "stencil7", *shape, (*ends, *sides, _HERE, _BESIDE))

    def check(results: Mapping[str, NDArray[Any]]) -> None:
        box = cube[(slice(0, min(side, _CORNER + 2 * pairs)),) * 3].astype(np.float64)
        for _ in range(2 * pairs):
            box = _swept(box)
        corner = (slice(0, min(side, _CORNER)),) * 3
        require_close("a corner of the cube", results["now"][corner].astype(np.float64), box[corner])

    return Plan(
        {"now": cube, "next": cube.copy()},
        step=lambda _: (sweep(("now", "next")), sweep(("next", "now"))) * pairs,
        work=Work(units=2 * pairs * side**3, dram_bytes=2 * pairs * side**3 * 8, float_ops=2 * pairs * side**3 * 8),
        check=check,
    )


WORKLOADS: Final = (
    define(
        "stencil-native",
        "stencil",
        "Sweeps of a 7-point stencil over a cube, in CUDA C (Jacobi's method)",
        build_plan,
        bound="memory",
        parameters=(
            Parameter("side", "cells", 8, 1024, "cells along a side"),
            Parameter("pairs", "pairs", 1, 64, "pairs of sweeps of a step"),
        ),
        small={"side": 20, "pairs": 2},
        gpu={"side": 232, "pairs": 48},
        unit="cell",
        label="hpc-other",
    ),
)
