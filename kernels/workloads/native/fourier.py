"""Batches of Fourier transforms in shared memory (Stockham 1966, radix 2)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from hashwarden.kernels.workloads.native.define import define
from hashwarden.kernels.workloads.plan import Empty, NativeLaunch, Plan, Work, require_close
from hashwarden.kernels.workloads.workload import Parameter, Settings

__all__ = ["WORKLOADS", "build_plan"]

_SOURCE: Final = "hpc_fft"
_SAMPLE: Final = 64


def build_plan(settings: Settings, seed: int) -> Plan:
    """Plan ``times`` passes a step over ``rows`` rows of ``points`` complex numbers."""
    rows, points, times = settings["rows"], settings["points"], settings["times"]
    values = np.random.default_rng(seed).standard_normal((rows, points, 2), np.float32)
    launch = NativeLaunch(
        _SOURCE, "fft_radix2_shared", (rows,), (min(256, points // 2),), ("values", "spectrum"), f"POINTS={points}"
    )

    def check(results: Mapping[str, NDArray[Any]]) -> None:
        chosen = np.arange(0, rows, max(1, rows // _SAMPLE))
        expected = np.fft.fft(values[chosen].astype(np.float64).view(np.complex128)[:, :, 0])
        both = np.stack([expected.real, expected.imag], axis=2)
        require_close("spectra", results["spectrum"][chosen].astype(np.float64), both, 1e-3, 1e-4 * np.sqrt(points))

    stages = points.bit_length() - 1
    return Plan(
        {"values": values, "spectrum": Empty((rows, points, 2), np.float32)},
        step=lambda _: (launch,) * times,
        work=Work(
            units=times * rows,
            dram_bytes=times * rows * points * 16,
            float_ops=times * rows * points * stages * 5,
        ),
        check=check,
    )


WORKLOADS: Final = (
    define(
        "fft-native",
        "fft",
        "Batches of complex Fourier transforms in shared memory, in CUDA C (Stockham 1966)",
        build_plan,
        bound="memory",
        parameters=(
            Parameter("rows", "rows", 1, 1 << 20, "transforms of a pass"),
            Parameter("points", "points", 64, 2048, "complex numbers of a row", power_of_two=True),
            Parameter("times", "passes", 1, 256, "passes of a step"),
        ),
        small={"rows": 3, "points": 64, "times": 1},
        gpu={"rows": 12288, "points": 1024, "times": 32},
        unit="row",
        label="hpc-other",
    ),
)
