"""Products of 8-bit integers with a requantising epilogue, as quantised networks have them (W8A8)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from hashwarden.kernels.workloads.native.define import define
from hashwarden.kernels.workloads.plan import Empty, NativeLaunch, Plan, Work, require_equal
from hashwarden.kernels.workloads.workload import Parameter, Settings

__all__ = ["WORKLOADS", "build_plan"]

_SOURCE: Final = "gemm_int8"
_TILE: Final = 64
_ZERO: Final = 3
_ROWS: Final = 16
"""Rows compared with the oracle; the first is always one of them."""


def build_plan(settings: Settings, seed: int) -> Plan:
    """Plan ``layers`` products a step: ``m`` x ``k`` activations by weights of ``n`` rows."""
    m, n, k, layers = (settings[name] for name in ("m", "n", "k", "layers"))
    random = np.random.default_rng(seed)
    a, b = (random.integers(-128, 128, shape, np.int8) for shape in ((m, k), (layers, n, k)))
    bias = random.integers(-1000, 1000, (layers, n), np.int32)
    scale = (random.random((layers, n), np.float32) + np.float32(0.5)) * np.float32(0.4 / np.sqrt(k) / 74)

    def launch(layer: int) -> NativeLaunch:
        sides = (np.int32(m), np.int32(n), np.int32(k // 4), np.int32(_ZERO))
        arguments = ("a", f"b[{layer}]", f"bias[{layer}]", f"scale[{layer}]", f"c[{layer}]", *sides)
        return NativeLaunch(_SOURCE, "gemm_dp4a", (-(-n // _TILE), -(-m // _TILE)), (256,), arguments)

    def check(results: Mapping[str, NDArray[Any]]) -> None:
        rows = np.unique([0, *random.integers(0, m, _ROWS)])
        for layer, got in enumerate(results["c"]):
            sums = np.rint(a[rows].astype(np.float64) @ b[layer].T.astype(np.float64)).astype(np.int64) + bias[layer]
            expected = np.clip(np.rint(sums.astype(np.float32) * scale[layer]) + _ZERO, -128, 127).astype(np.int8)
            require_equal("rows of a product", got[rows], expected)

    return Plan(
        {"a": a, "b": b, "bias": bias, "scale": scale, "c": Empty((layers, m, n), np.int8)},
        step=lambda _: tuple(launch(layer) for layer in range(layers)),
        work=Work(
            units=m,
            dram_bytes=layers * (m * k + n * k + m * n),
            int_ops=layers * m * n * (k / 4 + 6),
        ),
        check=check,
    )


WORKLOADS: Final = (
    define(
        "gemm-int8-native",
        "w8a8",
        "W8A8 layers by 8-bit dot products and a requantising epilogue, in CUDA C",
        build_plan,
        bound="integer",
        parameters=(
            Parameter("m", "tokens", 1, 1 << 15, "rows of the activations"),
            Parameter("n", "", 4, 1 << 15, "rows of the weights"),
            Parameter("k", "", 32, 1 << 15, "inner columns", power_of_two=True),
            Parameter("layers", "", 1, 8, "products of a step"),
        ),
        small={"m": 20, "n": 40, "k": 64, "layers": 2},
        gpu={"m": 4096, "n": 4096, "k": 4096, "layers": 4},
        unit="token",
        label="inference",
    ),
)
