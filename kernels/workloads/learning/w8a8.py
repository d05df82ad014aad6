"""Inference with 8-bit weights and activations: blocks of norm, two integer products, residual.

The linear layers of a language model under SmoothQuant or LLM.int8 (see `int8`): weights are quantised once,
activations row by row before every product.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from hashwarden.errors import UsageError
from hashwarden.kernels.workloads.learning import int8, layers, oracle
from hashwarden.kernels.workloads.learning.batches import Batches
from hashwarden.kernels.workloads.learning.checks import check_output
from hashwarden.kernels.workloads.learning.elementwise import quads
from hashwarden.kernels.workloads.learning.lazy_torch import torch_builder
from hashwarden.kernels.workloads.learning.oracle import Value
from hashwarden.kernels.workloads.learning.program import Program, Tensor
from hashwarden.kernels.workloads.plan import Plan, require_close, require_equal
from hashwarden.kernels.workloads.workload import Parameter, Settings, Workload

__all__ = ["WORKLOADS", "build_inference"]

_WRONG: Final = 0.08
"""How far, as a share of the largest number, the whole network may be from the one without quantisation."""

_SAMPLE: Final = 32
"""Rows of each product that are compared."""


class _Layer:
    """One integer product: its arrays, and how they are checked one by one."""

    def __init__(self, program: Program, x: Tensor, name: str, width: int, kind: int) -> None:
        self.name, self.x, self.kind = name, x, kind
        spread = 1.5 / float(np.sqrt(x.columns))
        self.weights = program.random.integers(-127, 128, (width, x.columns), np.int8)
        self.scales = (program.random.uniform(0.5, 1, width) * spread / 127).astype(np.float32)
        self.bias = program.random.uniform(-0.1, 0.1, width).astype(np.float32)
        fixed = [
            program.host(f"{name}.{part}", contents)
            for part, contents in (("w", self.weights), ("scales", self.scales), ("bias", self.bias))
        ]
        partial = program.scratch("partial", x.rows * 32)
        self.whole = program.scratch("whole", x.size, np.int8)
        self.row_scales = program.scratch("scales", x.rows)
        self.sums = program.scratch("sums", x.rows * width, np.int32)
        self.y = program.tensor("scaled", x.rows, width)
        program.run(int8.largest, x.rows * 32, x.name, partial, x.columns, ops=float(x.size))
        names = (x.name, partial, self.whole, self.row_scales)
        program.run(int8.quantise, x.rows * 32, *names, x.columns, ops=2.0 * x.size)
        sizes = (x.rows, width, x.columns)
        program.run(int8.gemm_int8, int8.gemm_threads(x.rows, width), self.whole, fixed[0], self.sums, *sizes)
        program.int_ops += 1.0 * x.rows * width * x.columns
        inputs = (self.sums, self.row_scales, fixed[1], fixed[2], self.y.name)
        program.run(int8.dequantise, quads(x.rows, width), *inputs, width, kind, ops=4.0 * self.y.size)

    def linear(self, x: Value) -> Value:
        """The layer without rounding of activations."""
        return x @ Value((self.weights.T * self.scales).astype(x.data.dtype)) + self.bias.astype(x.data.dtype)

    def check(self, results: Mapping[str, NDArray[Any]]) -> None:
        """Compare every array of a sample of rows with what the one before it demands."""
        shape = (self.x.rows, self.x.columns)
        rows = np.unique(np.linspace(0, self.x.rows - 1, _SAMPLE).astype(np.int64))
        x = results[self.x.name].reshape(shape)[rows].astype(np.float64)
        scales = results[self.row_scales][rows].astype(np.float64)
        whole = results[self.whole].reshape(shape)[rows].astype(np.int32)
        require_close(f"{self.name}: scales", scales, np.abs(x).max(1) / 127, 1e-6, 1e-12)
        # Half an integer may be rounded either way.
        require_close(f"{self.name}: integers", whole, x / scales[:, None], 0.0, 0.5 + 1e-4)
        sums = results[self.sums].reshape(self.x.rows, -1)[rows]
        require_equal(f"{self.name}: sums", sums, whole @ self.weights.T.astype(np.int32))
        value = Value(sums * scales[:, None] * self.scales + self.bias)
        expected = oracle.gelu(value) if self.kind == layers.GELU else value
        got = results[self.y.name].reshape(-1, sums.shape[1])[rows]
        check_output(f"{self.name}: results", got, expected.data)


def build_inference(settings: Settings, seed: int) -> Plan:
    """Plan passes over one batch of rows after another."""
    rows, width = settings["tokens"], settings["width"]
    if width % int8.RUN or settings["inner"] % int8.RUN:
        found = f"width = {width}, inner = {settings['inner']}"
        raise UsageError(found, f"multiples of {int8.RUN}", "Choose multiples of it.")
    program = Program(seed)
    data = Batches(program, rows, width, 2)
    x, blocks = data.rows, []
    for layer in range(settings["layers"]):
        y = layers.layer_norm(program, x, f"norm{layer}")
        up = _Layer(program, y, f"up{layer}", settings["inner"], layers.GELU)
        down = _Layer(program, up.y, f"down{layer}", width, layers.NONE)
        x = layers.add(program, x, down.y)
        blocks.append((up, down))

    def check(results: Mapping[str, NDArray[Any]]) -> None:
        value = Value(data.first[:_SAMPLE].astype(np.float64))
        for number, (up, down) in enumerate(blocks):
            up.check(results)
            down.check(results)
            norm = (Value(results[f"norm{number}.{part}"].astype(np.float64)) for part in "gs")
            value = value + down.linear(oracle.gelu(up.linear(oracle.layer_norm(value, *norm))))
        got = results[x.name].reshape(rows, width)[:_SAMPLE]
        require_close("results", got, value.data, _WRONG, _WRONG * float(np.abs(value.data).max()))

    return program.plan(rows, check)


WORKLOADS: Final = (
    Workload(
        name="w8a8-inference",
        label="inference",
        family="w8a8",
        bound="integer",
        summary="Feed-forward blocks with 8-bit weights and activations, exact 32-bit sums (ICML 2023)",
        unit="token",
        parameters=(
            Parameter("tokens", "tokens", 1, 1 << 17, "rows of a step"),
            Parameter("width", "", 16, 16384, "width of the residual stream, a multiple of 16"),
            Parameter("inner", "", 16, 65536, "width of the feed-forward part, a multiple of 16"),
            Parameter("layers", "", 1, 128, "blocks"),
        ),
        sizes={
            "small": {"tokens": 5, "width": 16, "inner": 32, "layers": 1},
            "trace": {"tokens": 64, "width": 384, "inner": 1024, "layers": 2},
            "gpu": {"tokens": 2048, "width": 2048, "inner": 8192, "layers": 2},
        },
        build=build_inference,
        torch=torch_builder("torch_w8a8", "w8a8_inference"),
    ),
)
